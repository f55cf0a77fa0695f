//! Opens every value and every server key, checks every record that decides, and reports what is
//! wrong.

use std::sync::Arc;

use super::re_encrypt::{shares, why};
use super::{Finding, JobError, Progress, RECORD, Reporter, SERVER_KEY, Why, Work};
use crate::keys::Keyring;
use crate::repository::{ProtectedType, RowsCheck, SealedValue, Sealer, Selection};

/// Values read at once.
const BATCH: usize = 512;

pub(super) async fn run(work: &Work, reporter: &mut Reporter) -> Result<(), JobError> {
    let values = work.repository.database().sealed_values();
    let records = work.repository.check_rows().await?;
    let (bad_keys, keys) = work.keys.check().await?;
    let counts = values.counts().await?;
    reporter
        .store(|progress| {
            // Values that opened before an interruption may be others by now.
            progress.types.clear();
            progress.clear_findings();
            let server_keys = progress.named(SERVER_KEY);
            server_keys.total = keys;
            server_keys.failed = bad_keys.len() as u64;
            server_keys.done = keys - server_keys.failed;
            tell_records(progress, &records);
            for kind in ProtectedType::ALL {
                let of_kind = counts.iter().filter(|count| count.kind == kind);
                progress.of(kind).total = of_kind.map(|count| count.values).sum();
            }
            progress.add_findings(bad_keys.into_iter().map(|id| Finding {
                kind: SERVER_KEY.to_owned(),
                owner: id.to_string(),
                field: "key".to_owned(),
                key: String::new(),
                why: Why::Forged,
            }));
        })
        .await?;
    let read = |after| values.batch(Selection::default(), after, BATCH);
    let mut batch = read(0).await?;
    while let Some(last) = batch.last().map(|value| value.row) {
        let (opened, next) = tokio::join!(open(work.keys.keyring(), batch), read(last));
        let opened = opened?;
        batch = next?;
        reporter
            .update(|progress| {
                for (kind, finding) in opened {
                    let told = progress.of(kind);
                    match &finding {
                        None => told.done += 1,
                        Some(found) if found.why == Why::KeyAbsent => told.undecryptable += 1,
                        Some(_) => told.failed += 1,
                    }
                    // As many as there are now: some may have come or gone.
                    told.total = told.total.max(told.done + told.undecryptable + told.failed);
                    progress.add_findings(finding);
                }
            })
            .await?;
    }
    match wrong(&records) {
        0 => {}
        count => return Err(JobError::RecordsChanged { count }),
    }
    let progress = reporter.progress();
    match progress.failed() + progress.undecryptable() {
        0 => Ok(()),
        count => Err(JobError::DoNotOpen { count }),
    }
}

/// How many records are wrong; that some were removed or put back counts as one.
fn wrong(records: &RowsCheck) -> u64 {
    records.fault_count + u64::from(records.bound == Some(false))
}

fn tell_records(progress: &mut Progress, records: &RowsCheck) {
    let told = progress.named(RECORD);
    told.total = records.counts.iter().map(|(_, count)| count).sum();
    told.failed = wrong(records);
    told.done = told.total.saturating_sub(records.fault_count);
    let finding = |owner, field: &str, why| Finding {
        kind: RECORD.to_owned(),
        owner,
        field: field.to_owned(),
        key: String::new(),
        why,
    };
    let changed = records.faults.iter().map(|fault| {
        let owner = format!("{} `{}`", fault.kind, fault.name);
        finding(owner, fault.table, Why::Changed)
    });
    let put_back =
        (records.bound == Some(false)).then(|| finding("all".to_owned(), "sum", Why::PutBack));
    progress.add_findings(changed.chain(put_back));
}

/// Whether each value opens, and if not, why.
async fn open(
    keyring: &Arc<Keyring>,
    batch: Vec<SealedValue>,
) -> Result<Vec<(ProtectedType, Option<Finding>)>, JobError> {
    let parts = shares(batch).into_iter().map(|part| {
        let keyring = Arc::clone(keyring);
        tokio::task::spawn_blocking(move || {
            let opened = part.iter().map(|value| {
                let error = keyring.open(&value.place(), &value.sealed).err();
                let finding = error.map(|error| Finding::new(value, why(Some(error))));
                (value.kind, finding)
            });
            opened.collect::<Vec<_>>()
        })
    });
    let mut all = Vec::new();
    for part in parts.collect::<Vec<_>>() {
        all.extend(part.await.map_err(|_| JobError::Broken)?);
    }
    Ok(all)
}
