//! What the repository shows: keys and their age, the fleet, the audit log, records.

use std::time::Duration;

use portcullis_common::rotation::UnixMillis;
use portcullis_host::clock;
use portcullis_host::doctor::Diagnosis;

use crate::audit::{self, HeadFile};
use crate::config::Config;
use crate::fleet::CLOCKS_APART_MS;
use crate::repository::{Holding, RepositoryError, Scheme, TaskState};
use crate::serve::Unlocked;

/// Days after which keys are to be replaced.
const SERVER_KEY_DAYS: u64 = 365;
const GATEWAY_KEY_DAYS: u64 = 90;
/// How long an entry waits for a place of `[forward]` that takes entries, at most.
const FORWARDED_WITHIN: Duration = Duration::from_mins(10);
/// Names that one finding has at most.
const MAX_NAMED: usize = 5;

pub(super) async fn examine(unlocked: &Unlocked, config: &Config, diagnosis: &mut Diagnosis) {
    diagnosis.fine("repository", "it opens, and its server keys open");
    let database = unlocked.repository.database();
    if database.has_no_standby().await.unwrap_or(false) {
        diagnosis.warning(
            "standby",
            "the database acknowledges changes that no standby has: a failover can lose them",
            "set `synchronous_standby_names` there, once a standby follows it",
        );
    }
    let examined = [
        keys(unlocked, diagnosis).await,
        fleet(unlocked, diagnosis).await,
        tasks(unlocked, diagnosis).await,
        log(unlocked, config, diagnosis).await,
        forwarded(unlocked, config, diagnosis).await,
    ];
    for error in examined.into_iter().filter_map(Result::err) {
        diagnosis.critical("repository", error.to_string(), "");
    }
    unlocked.repository.database().close().await;
}

async fn keys(unlocked: &Unlocked, diagnosis: &mut Diagnosis) -> Result<(), RepositoryError> {
    let database = unlocked.repository.database();
    let protection = database.protection().find().await?;
    if protection.is_some_and(|row| row.scheme == Scheme::Default) {
        diagnosis.critical(
            "key protection",
            "the server keys are protected by the compiled-in key, which is public",
            "`portcullis key protect pbe`",
        );
    } else {
        diagnosis.fine(
            "key protection",
            "the server keys are under a secret of this server",
        );
    }
    let keys = database.server_keys().list().await?;
    if let Some(current) = keys.iter().find(|key| key.current) {
        let remedy = "`portcullis key manage` makes a new one and encrypts everything anew";
        let age = age(current.created);
        diagnosis.age(
            "server key",
            "the current server key",
            age,
            SERVER_KEY_DAYS,
            remedy,
        );
    }
    let keys = unlocked.repository.gateway_keys().list().await?;
    if let Some(current) = keys.iter().max_by_key(|key| key.info.generation) {
        let remedy = "`portcullis key rotate-gateway` makes a new one and hands it to the fleet";
        let age = age(current.created);
        diagnosis.age(
            "gateway key",
            "the current gateway key",
            age,
            GATEWAY_KEY_DAYS,
            remedy,
        );
    }
    Ok(())
}

async fn fleet(unlocked: &Unlocked, diagnosis: &mut Diagnosis) -> Result<(), RepositoryError> {
    let gateways = unlocked.repository.gateways();
    let holdings = gateways.holdings().await?;
    let behind = holdings.gateways.iter().filter(|holding| {
        Holding::is_enrolled(holding) && !holding.registration.synchronized(&holdings.keys)
    });
    let behind: Vec<_> = behind.map(|holding| holding.gateway.clone()).collect();
    told(
        diagnosis,
        (
            "gateways",
            "have the current gateway key",
            "are behind with the gateway key",
        ),
        &behind,
        "`portcullis gateway list --behind` tells why; `portcullis key sync-gateways`",
    );
    let (now, mut open, mut others) = (clock::now(), Vec::new(), Vec::new());
    let mut apart = Vec::new();
    for gateway in gateways.list().await? {
        let until = gateway.registration.pairing_until;
        if until.is_some_and(|until| until > now) {
            open.push(gateway.name.clone());
        }
        let ahead = gateway.clock_ahead_ms.unwrap_or_default();
        if ahead.unsigned_abs() >= CLOCKS_APART_MS {
            apart.push(gateway.name.clone());
        }
        let version = gateway.version.as_deref();
        if version.is_some_and(|version| version != env!("CARGO_PKG_VERSION")) {
            others.push(gateway.name);
        }
    }
    told(
        diagnosis,
        (
            "pairing",
            "is open for none",
            "may pair: whoever comes first with that name is taken",
        ),
        &open,
        "enrol by token; pairing closes by itself after keys.pairing_lifetime",
    );
    told(
        diagnosis,
        (
            "versions",
            "are of this server's version",
            "are of another version than this server",
        ),
        &others,
        "install the same version on both sides once you can",
    );
    told(
        diagnosis,
        (
            "clocks",
            "went by this server's clock when they last described themselves",
            "have a clock that differs from this server's by 30 s or more",
        ),
        &apart,
        "run an NTP client on those hosts and on this one; `portcullis gateway show` says by how much, and whether it is ahead",
    );
    let alarms = gateways.open_alarms().await?;
    let mut alarmed: Vec<_> = alarms.into_keys().collect();
    alarmed.sort();
    told(
        diagnosis,
        ("alarms", "have no open alarm", "have open alarms"),
        &alarmed,
        "`portcullis gateway alarms`; then `portcullis gateway acknowledge`",
    );
    Ok(())
}

/// Fine where `names` is empty.
fn told(
    diagnosis: &mut Diagnosis,
    (check, fine, wrong): (&'static str, &str, &str),
    names: &[String],
    remedy: &str,
) {
    if names.is_empty() {
        return diagnosis.fine(check, format!("all gateways: {fine}"));
    }
    let mut named = names
        .iter()
        .take(MAX_NAMED)
        .cloned()
        .collect::<Vec<_>>()
        .join(", ");
    if names.len() > MAX_NAMED {
        named.push_str(", …");
    }
    let found = format!("{} gateways {wrong}: {named}", names.len());
    diagnosis.warning(check, found, remedy);
}

async fn tasks(unlocked: &Unlocked, diagnosis: &mut Diagnosis) -> Result<(), RepositoryError> {
    let tasks = unlocked.repository.database().tasks().list().await?;
    // The newest comes first.
    match tasks.first() {
        Some(task) if task.state == TaskState::Failed => diagnosis.warning(
            "tasks",
            format!("the last task ({}) failed", task.kind),
            "`portcullis task list` says why; `portcullis task resume`",
        ),
        _ => diagnosis.fine("tasks", "the last one did not fail"),
    }
    Ok(())
}

async fn log(
    unlocked: &Unlocked,
    config: &Config,
    diagnosis: &mut Diagnosis,
) -> Result<(), RepositoryError> {
    let head = HeadFile::new(config.audit.head_file.clone());
    let report = audit::verify_at_rest(&unlocked.repository, unlocked.server_id, head).await;
    match report {
        Ok(report) if report.faults.is_empty() => diagnosis.fine(
            "audit log",
            format!("all {} entries are sound", report.count - report.archived),
        ),
        Ok(report) => {
            for fault in &report.faults {
                diagnosis.critical(
                    "audit log",
                    fault.to_string(),
                    "`portcullis audit verify`; see OPERATIONS.md, \"The audit log\"",
                );
            }
        }
        Err(error) => diagnosis.critical("audit log", error.to_string(), ""),
    }
    Ok(())
}

/// Where a place does not have entries that are older than a look and a few tries.
async fn forwarded(
    unlocked: &Unlocked,
    config: &Config,
    diagnosis: &mut Diagnosis,
) -> Result<(), RepositoryError> {
    let entries = unlocked.repository.audit_entries();
    let last = entries.last().await?.map_or(0, |entry| entry.seq);
    for place in &config.forward {
        let meta = unlocked.repository.database().meta();
        // It is new: it begins with what comes after the next start.
        let Some(cursor) = meta.forwarded(&place.name).await? else {
            continue;
        };
        let next = entries.scan(cursor, 1).await?;
        let waits = next.first().map(|next| age(UnixMillis(next.time_ms)));
        if waits.is_some_and(|waits| waits > FORWARDED_WITHIN) {
            diagnosis.warning(
                "forwarding",
                format!(
                    "[forward.{}] does not have the last {} audit entries yet",
                    place.name,
                    last.saturating_sub(cursor)
                ),
                "where the server runs, `portcullis status` says why; nothing is lost, it is sent all once it takes them",
            );
        }
    }
    Ok(())
}

fn age(since: UnixMillis) -> Duration {
    Duration::from_millis(clock::now().0.saturating_sub(since.0))
}
