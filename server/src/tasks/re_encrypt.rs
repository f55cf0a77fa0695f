//! Seals every value anew that is not under the current server key, while calls go on.
//!
//! What is left to do is what stands under another key: a crash loses no more than the batch that
//! was not stored, whose values stand as they stood. A value that changes meanwhile is not
//! overwritten.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;

use portcullis_common::id::KeyId;

use super::{
    Finding, JobError, MAX_FINDINGS, Progress, Reporter, SERVER_KEY, TypeProgress, Why, Work,
};
use crate::keys::Keyring;
use crate::repository::{
    Database, OpenError, ProtectedType, RepositoryError, Resealed, SealedCount, SealedValue, Sealer,
};

/// Values of one transaction: enough that the wait for the disk costs little, and few enough that
/// others who write wait for milliseconds only.
pub const BATCH: usize = 512;
/// Fewer than so many are not worth a second thread.
const SHARE: usize = 64;

/// What there is to seal anew, as it stands in one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Of each type, also where there is nothing: what is to be done, and what cannot be.
    pub types: Vec<TypeProgress>,
    groups: Vec<Group>,
}

/// Values of one type under one server key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Group {
    key: KeyId,
    kind: ProtectedType,
}

impl Plan {
    /// What is to be done for values of these types.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn make(
        database: &Database,
        keyring: &Keyring,
        types: &[ProtectedType],
    ) -> Result<Self, RepositoryError> {
        Self::under(database, keyring, types, Some(keyring.current())).await
    }

    /// As [`Self::make`], where `current` will be the current server key; `None`: one that is yet
    /// to be made.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn under(
        database: &Database,
        keyring: &Keyring,
        types: &[ProtectedType],
        current: Option<KeyId>,
    ) -> Result<Self, RepositoryError> {
        let counts = database.sealed_values().counts().await?;
        let mut plan = Self::default();
        for &kind in types {
            let mut progress = TypeProgress {
                name: kind.name().to_owned(),
                ..TypeProgress::default()
            };
            for count in counts.iter().filter(|count| count.kind == kind) {
                plan.count(&mut progress, count, keyring, current);
            }
            plan.types.push(progress);
        }
        Ok(plan)
    }

    fn count(
        &mut self,
        progress: &mut TypeProgress,
        count: &SealedCount,
        keyring: &Keyring,
        current: Option<KeyId>,
    ) {
        match count.server_key {
            None => progress.failed += count.values,
            Some(key) if current == Some(key) => {}
            Some(key) if keyring.key(key).is_none() => progress.undecryptable += count.values,
            Some(key) => {
                progress.total += count.values;
                self.groups.push(Group {
                    key,
                    kind: count.kind,
                });
            }
        }
    }

    /// Tells how far the work is: what was to be done at first and is not any more, is done.
    fn tell(&self, progress: &mut Progress) {
        for now in &self.types {
            let told = progress.named(&now.name);
            told.total = told.total.max(now.total);
            told.done = told.total - now.total;
            told.undecryptable = now.undecryptable;
            told.failed = now.failed;
        }
    }
}

/// The server keys that would be wrapped anew.
///
/// # Errors
/// [`RepositoryError`].
pub async fn server_keys(database: &Database) -> Result<TypeProgress, RepositoryError> {
    let rows = database.server_keys().list().await?;
    Ok(TypeProgress {
        name: SERVER_KEY.to_owned(),
        total: rows.len() as u64,
        ..TypeProgress::default()
    })
}

/// Wraps every server key anew, all or none. A task that is taken up again does not repeat it.
pub(super) async fn wrap_server_keys(work: &Work, reporter: &mut Reporter) -> Result<(), JobError> {
    let known = reporter.progress().types;
    if known
        .iter()
        .any(|kind| kind.name == SERVER_KEY && kind.done > 0)
    {
        return Ok(());
    }
    let planned = server_keys(work.repository.database()).await?;
    reporter
        .store(|progress| *progress.named(SERVER_KEY) = planned)
        .await?;
    let wrapped = work.keys.rewrap(&work.secret).await? as u64;
    reporter
        .store(|progress| {
            let told = progress.named(SERVER_KEY);
            (told.total, told.done) = (wrapped, wrapped);
        })
        .await
}

/// Seals anew what is of these types.
pub(super) async fn run(
    work: &Work,
    types: &[ProtectedType],
    reporter: &mut Reporter,
) -> Result<(), JobError> {
    let database = work.repository.database();
    let keyring = work.keys.keyring();
    reporter.update(Progress::clear_findings).await?;
    loop {
        let current = keyring.current();
        let plan = Plan::make(database, keyring, types).await?;
        reporter.store(|progress| plan.tell(progress)).await?;
        let mut pass = Pass::default();
        for group in &plan.groups {
            pass.over(*group, database, keyring, reporter).await?;
        }
        // What others stored or chose meanwhile is found by another pass.
        if pass.replaced == 0 && pass.lost == 0 && keyring.current() == current {
            return finish(pass, &plan, types, database, keyring, reporter).await;
        }
    }
}

async fn finish(
    pass: Pass,
    plan: &Plan,
    types: &[ProtectedType],
    database: &Database,
    keyring: &Keyring,
    reporter: &mut Reporter,
) -> Result<(), JobError> {
    let left_out = plan.types.iter().map(|t| t.undecryptable + t.failed);
    if left_out.sum::<u64>() > 0 {
        let values = database.sealed_values().without_key(MAX_FINDINGS).await?;
        let of_these = values.iter().filter(|value| types.contains(&value.kind));
        let findings: Vec<_> = of_these
            .map(|value| {
                Finding::new(
                    value,
                    why(keyring.open(&value.place(), &value.sealed).err()),
                )
            })
            .collect();
        reporter
            .update(|progress| progress.add_findings(findings))
            .await?;
    }
    reporter
        .update(|progress| {
            for (kind, count) in &pass.failed {
                progress.of(*kind).failed += count;
            }
            progress.add_findings(pass.findings);
            progress.more_findings += pass.more_findings;
        })
        .await?;
    match reporter.progress().failed() {
        0 => Ok(()),
        count => Err(JobError::DoNotOpen { count }),
    }
}

/// What one pass over all values did.
#[derive(Default)]
struct Pass {
    replaced: u64,
    /// Values that were changed or deleted while they were sealed anew.
    lost: u64,
    /// Values that do not open, of each type.
    failed: BTreeMap<ProtectedType, u64>,
    /// Of them, as many as a report has room for.
    findings: Vec<Finding>,
    more_findings: u64,
}

impl Pass {
    /// Reads one batch, seals another and stores a third, at the same time.
    async fn over(
        &mut self,
        group: Group,
        database: &Database,
        keyring: &Arc<Keyring>,
        reporter: &mut Reporter,
    ) -> Result<(), JobError> {
        let values = database.sealed_values();
        let read = |after| values.under(group.key, group.kind, after, BATCH);
        let store = async |sealed: Vec<Resealed>| {
            let count = sealed.len() as u64;
            if sealed.is_empty() {
                return Ok((0, 0));
            }
            let replaced = values.replace(sealed).await?;
            Ok::<_, RepositoryError>((replaced, count - replaced))
        };
        let mut batch = read(0).await?;
        let mut waiting = Vec::new();
        while !batch.is_empty() || !waiting.is_empty() {
            let after = batch.last().map_or(i64::MAX, |value| value.row);
            let (sealed, next, stored) =
                tokio::join!(seal(keyring, batch), read(after), store(waiting));
            let (sealed, failed) = sealed?;
            batch = next?;
            let (replaced, lost) = stored?;
            self.replaced += replaced;
            self.lost += lost;
            self.note(group.kind, failed);
            waiting = sealed;
            reporter
                .update(|progress| {
                    let told = progress.of(group.kind);
                    told.done = (told.done + replaced).min(told.total);
                })
                .await?;
        }
        Ok(())
    }

    fn note(&mut self, kind: ProtectedType, failed: Vec<Finding>) {
        if failed.is_empty() {
            return;
        }
        *self.failed.entry(kind).or_default() += failed.len() as u64;
        let room = MAX_FINDINGS - self.findings.len();
        self.more_findings += failed.len().saturating_sub(room) as u64;
        self.findings.extend(failed.into_iter().take(room));
    }
}

/// Opens values and seals them under the current key, on several threads where there are many.
async fn seal(
    keyring: &Arc<Keyring>,
    batch: Vec<SealedValue>,
) -> Result<(Vec<Resealed>, Vec<Finding>), JobError> {
    let parts = shares(batch).into_iter().map(|part| {
        let keyring = Arc::clone(keyring);
        tokio::task::spawn_blocking(move || seal_part(&keyring, part))
    });
    let (mut sealed, mut failed) = (Vec::new(), Vec::new());
    for part in parts.collect::<Vec<_>>() {
        let (some, bad) = part.await.map_err(|_| JobError::Broken)?;
        sealed.extend(some);
        failed.extend(bad);
    }
    Ok((sealed, failed))
}

fn seal_part(keyring: &Keyring, part: Vec<SealedValue>) -> (Vec<Resealed>, Vec<Finding>) {
    let (mut sealed, mut failed) = (Vec::new(), Vec::new());
    for value in part {
        match keyring.open(&value.place(), &value.sealed) {
            Ok(opened) => sealed.push(Resealed {
                row: value.row,
                after: keyring.seal(&value.place(), &opened),
                before: value.sealed,
            }),
            // Deleted meanwhile, and counted with the others whose key is not here by the next
            // pass.
            Err(OpenError::UnknownKey { .. }) => {}
            Err(error) => failed.push(Finding::new(&value, why(Some(error)))),
        }
    }
    (sealed, failed)
}

/// The batch in parts of about one size, one for each processor.
pub(super) fn shares<T>(mut batch: Vec<T>) -> Vec<Vec<T>> {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let size = batch.len().div_ceil(threads).max(SHARE);
    let mut parts = Vec::new();
    while batch.len() > size {
        parts.push(batch.split_off(batch.len() - size));
    }
    parts.push(batch);
    parts
}

/// Why a value did not open; one that opens after all had its key come meanwhile.
pub(super) fn why(error: Option<OpenError>) -> Why {
    match error {
        None | Some(OpenError::UnknownKey { .. }) => Why::KeyAbsent,
        Some(OpenError::Malformed(_)) => Why::Malformed,
        Some(OpenError::Forged(_)) => Why::Forged,
    }
}
