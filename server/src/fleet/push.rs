//! A new gateway key: made current, then pushed to every gateway that has a link. Those that are away catch up when they return.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use portcullis_common::id::KeyKind;
use portcullis_common::rotation::{GatewayKeyInfo, Standing};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, sleep, sleep_until};

use super::dial::jittered;
use super::link::Link;
use super::{Fleet, Progress, ProgressStream, Rotation, RotationError, SyncResult, SyncState};
use crate::clock;
use crate::keys::gateway_keys;
use crate::repository::{Gateway, RepositoryError};

/// Installs at once.
const PUSHES: usize = 64;
/// Installs are spread over so long, for each link.
const SPREAD_PER_LINK: Duration = Duration::from_millis(2);
/// The shortest time between two reports.
const REPORT_INTERVAL: Duration = Duration::from_millis(100);

impl Fleet {
    /// Makes a new gateway key current, then pushes it as [`Self::synchronize`] does.
    ///
    /// # Errors
    /// [`RotationError`]: nothing has changed.
    pub async fn rotate(
        &self,
        rotation: Rotation,
        wait: Duration,
    ) -> Result<ProgressStream, RotationError> {
        let keys = self.inner.repository.gateway_keys();
        let kind = match rotation.kind {
            Some(kind) => kind,
            None => keys.current().await?.map_or(KeyKind::Tdes, |id| id.kind()),
        };
        let new = gateway_keys::generate(kind, clock::now());
        let id = new.id;
        let replaced = keys
            .rotate(new, rotation.expected_current, rotation.compromised)
            .await??;
        tracing::info!(new = %id, ?replaced, compromised = rotation.compromised, "gateway key rotated");
        if rotation.compromised {
            for gateway in self.inner.roster.gateways() {
                self.inner.roster.cut(&gateway);
            }
        }
        Ok(self.synchronize(wait).await?)
    }

    /// Pushes the current gateway key to the gateways that have not proved it, and reports for at most `wait`
    /// (zero: one report of how it stands) or until all that are connected have proved it.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn synchronize(&self, wait: Duration) -> Result<ProgressStream, RepositoryError> {
        let mut changes = self.inner.roster.changes();
        let first = self.report(&mut HashMap::new()).await?;
        let (messages, progress) = mpsc::channel(16);
        self.push_to_links(first.progress.current);
        let fleet = self.clone();
        tokio::spawn(async move {
            let deadline = Instant::now() + wait;
            let mut known = HashMap::new();
            loop {
                changes.mark_unchanged();
                let report = match fleet.report(&mut known).await {
                    Ok(report) => report,
                    Err(error) => {
                        // Nobody listens any more.
                        let _ = messages.send(Err(error)).await;
                        return;
                    }
                };
                let mut progress = report.progress;
                progress.last = !report.pending || Instant::now() >= deadline;
                let last = progress.last;
                if messages.send(Ok(progress)).await.is_err() || last {
                    return;
                }
                sleep(REPORT_INTERVAL).await;
                tokio::select! {
                    _ = changes.changed() => {}
                    () = sleep_until(deadline) => {}
                }
            }
        });
        Ok(ProgressStream::new(progress))
    }

    /// Has a link's gateway shake hands anew, where the link's session is no longer what it should be.
    pub(super) fn replace(&self, link: &Arc<Link>) {
        if link.dialled_out {
            self.inner.roster.dismiss(link);
        } else {
            self.inner.roster.await_link(&link.gateway);
            self.inner.roster.redial(&link.gateway).notify_one();
        }
    }

    fn push_to_links(&self, current: portcullis_common::id::KeyId) {
        let links: Vec<_> = self
            .inner
            .roster
            .links()
            .into_iter()
            .filter(|link| link.info().key_id != current)
            .collect();
        let turns = Arc::new(Semaphore::new(PUSHES));
        let spread = SPREAD_PER_LINK.saturating_mul(u32::try_from(links.len()).unwrap_or(u32::MAX));
        for link in links {
            let (fleet, turns) = (self.clone(), Arc::clone(&turns));
            tokio::spawn(async move {
                sleep(jittered(spread)).await;
                let _turn = turns.acquire().await;
                fleet.push(&link).await;
            });
        }
    }

    async fn push(&self, link: &Arc<Link>) {
        match self.install(link, None).await {
            Ok(_) => self.replace(link),
            Err(error) => {
                tracing::warn!(gateway = link.gateway, %error, "the new key was not taken");
                self.inner
                    .roster
                    .push_failed(&link.gateway, error.to_string());
            }
        }
    }

    async fn report(
        &self,
        known: &mut HashMap<String, SyncState>,
    ) -> Result<Report, RepositoryError> {
        let keys: Vec<GatewayKeyInfo> = self
            .inner
            .repository
            .gateway_keys()
            .list()
            .await?
            .into_iter()
            .map(|row| row.info)
            .collect();
        let current = keys
            .first()
            .map(|key| key.id)
            .ok_or_else(|| RepositoryError::Damaged("no gateway key".to_owned()))?;
        let mut report = Report {
            pending: false,
            progress: Progress {
                current,
                synchronized: 0,
                total: 0,
                results: Vec::new(),
                last: false,
            },
        };
        for gateway in self.inner.repository.gateways().list().await? {
            let registration = &gateway.registration;
            if registration.standing != Standing::Admitted || registration.last_proved.is_none() {
                continue;
            }
            let result = self.sync_result(&gateway, &keys);
            report.progress.total += 1;
            report.progress.synchronized += u32::from(result.state == SyncState::Synchronized);
            report.pending |= result.state == SyncState::Pending;
            if known.insert(gateway.name, result.state) != Some(result.state) {
                report.progress.results.push(result);
            }
        }
        Ok(report)
    }

    fn sync_result(&self, gateway: &Gateway, keys: &[GatewayKeyInfo]) -> SyncResult {
        let standing = self.inner.roster.standing(&gateway.name);
        let registration = &gateway.registration;
        let (state, detail) = if registration.synchronized(keys) {
            (SyncState::Synchronized, String::new())
        } else if registration.must_enrol(keys, &self.inner.settings.policy, clock::now()) {
            (
                SyncState::MustEnrol,
                format!(
                    "enrol it again with the token from `portcullis gateway token {}`",
                    gateway.name
                ),
            )
        } else if let Some(error) = standing.push_error {
            (SyncState::Refused, error)
        } else if standing.link.is_some() || standing.awaited {
            (SyncState::Pending, String::new())
        } else {
            (
                SyncState::Away,
                gateway.last_error.clone().unwrap_or_default(),
            )
        };
        SyncResult {
            gateway: gateway.name.clone(),
            state,
            detail,
            last_seen: gateway.last_seen,
        }
    }
}

struct Report {
    progress: Progress,
    /// Some are connected and have not proved the current key yet.
    pending: bool,
}
