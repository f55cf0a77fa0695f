//! Deletes every key that is not current and on which nothing depends.

use portcullis_common::id::KeyId;

use super::{Finding, JobError, Reporter, SERVER_KEY, Why, Work};
use crate::audit::{Outcome, Subject};
use crate::keys::{DeleteError, Deleted, Deletion, KeyError};
use crate::repository::{ProtectedType, Repository, RepositoryError};

/// A key that may be deleted.
struct Candidate {
    id: KeyId,
    kind: &'static str,
}

/// Gives a word on what was deleted and kept; the report lists each key.
pub(super) async fn run(work: &Work, reporter: &mut Reporter) -> Result<String, JobError> {
    let found = candidates(&work.repository).await?;
    // Listed durably before the first deletion: what is gone after a crash is still told.
    reporter
        .store(|progress| {
            for gone in progress.findings.iter_mut().filter(|known| {
                known.why == Why::Due && !found.iter().any(|key| key.id.to_string() == known.owner)
            }) {
                gone.why = Why::Deleted;
            }
            progress.more_findings = 0;
            let fresh: Vec<_> = found
                .iter()
                .filter(|key| {
                    !progress
                        .findings
                        .iter()
                        .any(|it| it.owner == key.id.to_string())
                })
                .map(|key| finding(key, String::new(), Why::Due))
                .collect();
            progress.add_findings(fresh);
        })
        .await?;
    for key in found {
        let (why, detail) = delete(&key, work, reporter).await?;
        reporter
            .store(|progress| {
                let owner = key.id.to_string();
                for known in progress.findings.iter_mut().filter(|it| it.owner == owner) {
                    *known = finding(&key, detail.clone(), why);
                }
            })
            .await?;
    }
    let findings = reporter.progress().findings;
    let count = |why| findings.iter().filter(|it| it.why == why).count();
    let deleted = match count(Why::Deleted) {
        1 => "1 key deleted".to_owned(),
        many => format!("{many} keys deleted"),
    };
    Ok(format!("{deleted}, {} kept", count(Why::InUse)))
}

/// How many server keys and gateway keys are not current.
pub(super) async fn count(repository: &Repository) -> Result<(usize, usize), RepositoryError> {
    let found = candidates(repository).await?;
    let server_keys = found.iter().filter(|key| key.kind == SERVER_KEY).count();
    Ok((server_keys, found.len() - server_keys))
}

async fn candidates(repository: &Repository) -> Result<Vec<Candidate>, RepositoryError> {
    let server_keys = repository.database().server_keys().list().await?;
    let current = repository.gateway_keys().current().await?;
    let gateway_keys = repository.gateway_keys().list().await?;
    let server_keys = server_keys.iter().filter(|row| !row.current);
    let gateway_keys = gateway_keys.iter().map(|row| row.info.id);
    Ok(server_keys
        .map(|row| Candidate {
            id: row.id,
            kind: SERVER_KEY,
        })
        .chain(
            gateway_keys
                .filter(|id| Some(*id) != current)
                .map(|id| Candidate {
                    id,
                    kind: ProtectedType::GatewayKey.name(),
                }),
        )
        .collect())
}

/// What became of the key, with details.
async fn delete(
    key: &Candidate,
    work: &Work,
    reporter: &Reporter,
) -> Result<(Why, String), JobError> {
    match work.keys.delete(key.id, Deletion::DryRun).await {
        Ok(looked) if looked.current => {
            return Ok((Why::InUse, "it has become current".to_owned()));
        }
        Ok(looked) => {
            if let Some(dependents) = dependents(&looked) {
                return Ok((Why::InUse, dependents));
            }
        }
        Err(error) => return refused(error),
    }
    let object = format!("key {}, by task {}", key.id, reporter.id());
    let subject = Subject::written(&reporter.subject());
    let begun = work.audit.begin(subject, "Keys/Delete", &object).await?;
    match work.keys.delete(key.id, Deletion::Unused).await {
        Ok(deleted) => {
            begun.end(Outcome::Done, "").await;
            let left = deleted
                .not_scrubbed
                .map(|why| format!("its bytes are overwritten at the next start: {why}"));
            Ok((Why::Deleted, left.unwrap_or_default()))
        }
        Err(error) => {
            begun.end(Outcome::Failed, &error.to_string()).await;
            refused(error)
        }
    }
}

/// A key that others deleted, or that came into use, is none that failed.
fn refused(error: DeleteError) -> Result<(Why, String), JobError> {
    match error {
        DeleteError::Key(KeyError::Repository(RepositoryError::NoSuchKey(_))) => {
            Ok((Why::Deleted, "by somebody else".to_owned()))
        }
        DeleteError::Key(error) => Err(error.into()),
        DeleteError::CurrentServerKey(_)
        | DeleteError::ValuesDepend { .. }
        | DeleteError::GatewayKey(_) => Ok((Why::InUse, error.to_string())),
    }
}

fn dependents(looked: &Deleted) -> Option<String> {
    if let Some(first) = looked.gateways.first() {
        let count = looked.gateways.len();
        return Some(format!("{count} gateways, the first is {}", first.gateway));
    }
    let values = looked.values.iter();
    let values: Vec<_> = values
        .map(|values| format!("{} {}", values.count, values.kind))
        .collect();
    (!values.is_empty()).then(|| values.join(", "))
}

fn finding(key: &Candidate, detail: String, why: Why) -> Finding {
    Finding {
        kind: key.kind.to_owned(),
        owner: key.id.to_string(),
        field: detail,
        key: String::new(),
        why,
    }
}
