//! Gauges that are set each time somebody asks, from what the repository and the fleet have.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use portcullis_common::rotation::UnixMillis;
use portcullis_host::clock;
use portcullis_watch::{DiskGauge, ExpiryGauge, Flag};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::fleet::{CLOCKS_APART_MS, Counts};
use crate::forward::Place;
use crate::repository::{CallCounts, RepositoryError, Scheme};
use crate::services::Services;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct State {
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Kind {
    kind: &'static str,
}

/// As many as the configuration names: a handful.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfPlace {
    place: String,
}

/// For how long what was counted row by row holds.
const COUNTED: Duration = Duration::from_secs(10);

type Seconds = Gauge<f64, AtomicU64>;

/// All of them.
#[derive(Debug)]
pub(super) struct Gauges {
    pub(super) audit_writable: Flag,
    gateways: Family<State, Gauge>,
    not_synchronized: Gauge,
    ahead: Gauge,
    clocks_apart: Gauge,
    alarms: Gauge,
    queued: Family<State, Gauge>,
    key_age: Family<Kind, Seconds>,
    keys_unprotected: Flag,
    audit_entries: Gauge,
    changed_records: Gauge,
    failed_tasks: Gauge,
    configuration_sound: Flag,
    disks: DiskGauge,
    places: Vec<Arc<Place>>,
    forward_working: Family<OfPlace, Gauge>,
    forward_behind: Family<OfPlace, Gauge>,
    tls: ExpiryGauge,
    counted: Mutex<Option<Instant>>,
}

impl Gauges {
    /// Has `registry` show them; `folders` are those whose disks may become full.
    pub(super) fn register(
        registry: &mut Registry,
        folders: Vec<(&'static str, PathBuf)>,
        places: Vec<Arc<Place>>,
    ) -> Self {
        let gauges = Self {
            audit_writable: Flag::default(),
            gateways: Family::default(),
            not_synchronized: Gauge::default(),
            ahead: Gauge::default(),
            clocks_apart: Gauge::default(),
            alarms: Gauge::default(),
            queued: Family::default(),
            key_age: Family::default(),
            keys_unprotected: Flag::default(),
            audit_entries: Gauge::default(),
            changed_records: Gauge::default(),
            failed_tasks: Gauge::default(),
            configuration_sound: Flag::default(),
            disks: DiskGauge::register(registry, folders),
            places,
            forward_working: Family::default(),
            forward_behind: Family::default(),
            tls: ExpiryGauge::register(registry),
            counted: Mutex::default(),
        };
        gauges.show_families(registry);
        gauges.show_numbers(registry);
        gauges
    }

    fn show_families(&self, registry: &mut Registry) {
        registry.register(
            "gateways",
            "Gateways: `up` and `down` are enrolled",
            self.gateways.clone(),
        );
        registry.register(
            "calls_queued",
            "Calls that have no final outcome yet",
            self.queued.clone(),
        );
        registry.register(
            "key_age_seconds",
            "Age of the current server key and of the current gateway key",
            self.key_age.clone(),
        );
        registry.register(
            "forward_working",
            "0 while a place of [forward] does not take the entries that it is sent",
            self.forward_working.clone(),
        );
        registry.register(
            "forward_behind",
            "Audit entries that a place of [forward] does not have yet",
            self.forward_behind.clone(),
        );
    }

    fn show_numbers(&self, registry: &mut Registry) {
        let rows = [
            (
                "gateways_not_synchronized",
                "Enrolled gateways that have not proved the current gateway key",
                self.not_synchronized.clone(),
            ),
            (
                "gateways_ahead",
                "Gateways that refuse the key which they proved last",
                self.ahead.clone(),
            ),
            (
                "gateways_clock_apart",
                "Connected gateways whose clock and the server's differ by 30 s or more",
                self.clocks_apart.clone(),
            ),
            (
                "alarms_open",
                "Alarms that nobody has acknowledged",
                self.alarms.clone(),
            ),
            (
                "server_keys_unprotected",
                "1 while the server keys are protected by the compiled-in key alone",
                self.keys_unprotected.gauge(),
            ),
            (
                "audit_writable",
                "1 while the audit log takes entries; nothing is changed while it does not",
                self.audit_writable.gauge(),
            ),
            (
                "audit_entries",
                "Number of the audit log's last entry",
                self.audit_entries.clone(),
            ),
            (
                "records_changed",
                "Records that were changed or put in by hand, as far as they were met",
                self.changed_records.clone(),
            ),
            (
                "tasks_failed",
                "Kinds of tasks of which the last one failed",
                self.failed_tasks.clone(),
            ),
            (
                "configuration_sound",
                "0 since the configuration was read again and refused",
                self.configuration_sound.gauge(),
            ),
        ];
        for (name, help, gauge) in rows {
            registry.register(name, help, gauge);
        }
    }

    /// As things are now. Where this fails, what is not told stands as it was.
    pub(super) async fn set(&self, services: &Services) -> Result<(), RepositoryError> {
        let loaded = services.live.loaded();
        self.configuration_sound.set(loaded.error.is_none());
        self.disks.set();
        let ends = services.fleet.tls().expiries();
        self.tls.set(ends.iter().map(|end| (end.what, end.until)));
        let database = services.repository.database();
        self.changed_records.set(signed(database.changed_records()));
        self.count(services).await?;
        self.keys(services).await?;
        let last = services.repository.audit_entries().last().await?;
        let last = last.map_or(0, |entry| entry.seq);
        self.audit_entries.set(signed(last));
        self.forwarded(last);
        let failed = services.tasks.failed().await?;
        self.failed_tasks.set(signed(failed.len() as u64));
        Ok(())
    }

    /// What is counted row by row, which costs the more the larger the site is.
    async fn count(&self, services: &Services) -> Result<(), RepositoryError> {
        let mut counted = self.counted.lock().await;
        if counted.is_some_and(|at| at.elapsed() < COUNTED) {
            return Ok(());
        }
        let calls = services.repository.queued_calls();
        self.gateways(services.fleet.counts().await?);
        let apart = services.fleet.clocks_apart(CLOCKS_APART_MS);
        self.clocks_apart.set(signed(apart as u64));
        self.calls(calls.counts().await?);
        *counted = Some(Instant::now());
        Ok(())
    }

    fn forwarded(&self, last: u64) {
        for place in &self.places {
            let label = OfPlace {
                place: place.name.clone(),
            };
            let working = self.forward_working.get_or_create(&label);
            working.set(i64::from(place.fault().is_none()));
            let behind = self.forward_behind.get_or_create(&label);
            behind.set(signed(last.saturating_sub(place.cursor())));
        }
    }

    fn gateways(&self, counts: Counts) {
        for (state, count) in [
            ("up", counts.up),
            ("down", counts.down),
            ("never_enrolled", counts.never_enrolled),
            ("shut_out", counts.shut_out),
        ] {
            let gauge = self.gateways.get_or_create(&State { state });
            gauge.set(count.into());
        }
        self.not_synchronized.set(counts.behind.into());
        self.ahead.set(counts.ahead.into());
        self.alarms.set(counts.alarms.into());
    }

    fn calls(&self, counts: CallCounts) {
        for (state, count) in [
            ("waiting", counts.waiting),
            ("dispatched", counts.dispatched),
            ("unknown", counts.unknown),
            ("indeterminate", counts.indeterminate),
        ] {
            let gauge = self.queued.get_or_create(&State { state });
            gauge.set(signed(count));
        }
    }

    async fn keys(&self, services: &Services) -> Result<(), RepositoryError> {
        let database = services.repository.database();
        let protection = database.protection().find().await?;
        self.keys_unprotected
            .set(protection.is_some_and(|row| row.scheme == Scheme::Default));
        let keys = database.server_keys().list().await?;
        let current = keys.iter().find(|key| key.current);
        self.age("server", current.map(|key| key.created));
        let keys = services.repository.gateway_keys().list().await?;
        let current = keys.iter().max_by_key(|key| key.info.generation);
        self.age("gateway", current.map(|key| key.created));
        Ok(())
    }

    fn age(&self, kind: &'static str, since: Option<UnixMillis>) {
        if let Some(since) = since {
            let age = clock::now().0.saturating_sub(since.0);
            let gauge = self.key_age.get_or_create(&Kind { kind });
            gauge.set(age as f64 / 1_000.0);
        }
    }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
