//! The passwords by which gateways work on resources, given new ones.
//!
//! ```text
//! new one kept beside the old one ─→ sent ─→ done                      ─→ the new one counts
//!   (on the disk, before anything         ├─→ failed: nothing changed   ─→ the old one counts
//!    is sent)                             └─→ nobody knows: both stay
//!                                               │ the next use of the resource, or another attempt
//!                                               └─→ the gateway tries the new one, then the old
//!                                                   one, once each: the one that fits counts
//! ```
//!
//! While both stay, nothing else is sent to the resource: a call would try a password that may be
//! wrong, and wrong ones lock an account. Where neither fits, they are not tried again by
//! themselves.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use portcullis_proto::gateway::v1::call::Verb;
use portcullis_proto::gateway::v1::outcome::Result as OutcomeResult;
use portcullis_proto::gateway::v1::{Call, Failure, FailureKind, Outcome, RotatePassword, Secret};
use rand::RngExt;
use tokio::sync::OwnedMutexGuard;
use zeroize::Zeroizing;

use super::{Provisioning, secret_setting, with_id};
use crate::audit::{Draft, Outcome as Audited, Subject};
use crate::fleet::{Attempt, Recipient};
use crate::repository::{
    AuditFields, LostSettings, OpenedResource, PendingSecret, RepositoryError, Resource,
};

/// Characters of a new password: some 214 bits.
const LENGTH: usize = 39;
/// Every so many characters stands a hyphen: with the letters and digits, all that rules ask for.
const PART: usize = 10;
/// Letters and digits: every target takes them, in every encoding.
const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// The action of the entry that says what a gateway found out.
const FOUND: &str = "Resources/PasswordFound";

/// Why a password was not changed, or may not have been.
#[derive(Debug, thiserror::Error)]
pub enum RotateError {
    /// There is no resource of that name.
    #[error("there is no resource `{0}`")]
    UnknownResource(String),
    /// The repository could not be read or written.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// Secret settings have to be given again first.
    #[error(transparent)]
    Lost(#[from] LostSettings),
    /// There is nothing to be changed.
    #[error("{0}")]
    Setting(String),
    /// Nothing has changed.
    #[error("the password of resource `{resource}` was not changed: {}", .failure.message)]
    Failed {
        /// The resource.
        resource: String,
        /// Why.
        failure: Failure,
    },
    /// Nobody knows.
    #[error(
        "whether resource `{resource}` has the new password or the old one is not known yet: {why}"
    )]
    Unknown {
        /// The resource.
        resource: String,
        /// Why, and what to do.
        why: String,
    },
}

/// One change of a resource's password at a time, and what was found out last. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Rotations(Arc<Mutex<HashMap<String, Arc<tokio::sync::Mutex<Turn>>>>>);

/// What is known of a resource whose password is being changed.
#[derive(Debug, Default)]
pub(super) struct Turn {
    /// The call whose new password did not fit, nor the old one, and what was seen.
    neither: Option<(String, String)>,
}

impl Rotations {
    async fn enter(&self, resource: &str) -> OwnedMutexGuard<Turn> {
        let turn = {
            // Whole at every moment, whoever panicked meanwhile.
            let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(turns.entry(resource.to_owned()).or_default())
        };
        turn.lock_owned().await
    }
}

/// Gives the gateway a new password at a resource. Answers the setting that has a new value; empty
/// in `setting`: the only secret one.
///
/// # Errors
/// [`RotateError`].
pub async fn rotate(
    provisioning: &Provisioning,
    resource: &str,
    setting: &str,
) -> Result<String, RotateError> {
    let mut turn = provisioning.rotations.enter(resource).await;
    let mut opened = open(provisioning, resource).await?;
    if let Some(pending) = opened.pending.take() {
        find_out(provisioning, &opened, &pending, &mut turn).await?;
        opened = open(provisioning, resource).await?;
    }
    let setting = chosen(&opened, setting)?;
    check_alone(provisioning, &opened, &setting).await?;
    let pending = PendingSecret {
        setting: setting.clone(),
        call_id: with_id(Call::default()).call_id,
        value: password(),
    };
    let resources = provisioning.repository.resources();
    if !resources.keep_pending(resource, pending.clone()).await? {
        let why = format!("resource `{resource}` was changed meanwhile: try again");
        return Err(RotateError::Setting(why));
    }
    let came = match send(provisioning, &opened, &pending, None).await? {
        Attempt::Unsent(why) => Came::Old(unavailable(why)),
        Attempt::Lost(outcome) => Came::of(outcome),
        Attempt::Ended(outcome) => Came::of(outcome),
    };
    match conclude(provisioning, &opened, &pending, came, &mut turn).await? {
        None => Ok(setting),
        Some(failure) => Err(RotateError::Failed {
            resource: resource.to_owned(),
            failure,
        }),
    }
}

/// Before a resource is used whose password is being changed: waits until that is over, and finds
/// out which password counts where nobody knows. `again`: also where neither did before.
pub(super) async fn settle(
    provisioning: &Provisioning,
    resource: &str,
    again: bool,
) -> Result<(), RotateError> {
    let mut turn = provisioning.rotations.enter(resource).await;
    let mut opened = open(provisioning, resource).await?;
    let Some(pending) = opened.pending.take() else {
        return Ok(());
    };
    if let Some((_, seen)) = turn
        .neither
        .as_ref()
        .filter(|(id, _)| *id == pending.call_id)
        && !again
    {
        return Err(RotateError::Unknown {
            resource: resource.to_owned(),
            why: neither(resource, &pending.setting, seen),
        });
    }
    find_out(provisioning, &opened, &pending, &mut turn).await
}

async fn open(provisioning: &Provisioning, resource: &str) -> Result<OpenedResource, RotateError> {
    let opened = provisioning.repository.resources().open(resource).await?;
    let unknown = || RotateError::UnknownResource(resource.to_owned());
    Ok(opened.ok_or_else(unknown)??)
}

/// Refuses to change the password of an account by which other resources work, too: each has its
/// own copy, and nobody could give the others the new one.
async fn check_alone(
    provisioning: &Provisioning,
    opened: &OpenedResource,
    setting: &str,
) -> Result<(), RotateError> {
    let own = &opened.resource;
    let listed = provisioning.repository.resources().list().await?;
    let shares = |other: &&Resource| {
        other.name != own.name
            && (&other.gateway, &other.connector) == (&own.gateway, &own.connector)
            && other.settings == own.settings
            && other.secret_settings.contains(setting)
    };
    let others: Vec<_> = listed.iter().filter(shares).map(|it| &*it.name).collect();
    if others.is_empty() {
        return Ok(());
    }
    Err(RotateError::Setting(format!(
        "resource `{}` works by the same account as {} (same gateway, connector and settings), each with a copy of its password: a new one here would lock the others out, and nobody would know it. Give each an account of its own; or change the password at the resource by hand, and give it to all of them by `portcullis resource set NAME --secret-setting {setting}`",
        own.name,
        others.join(", "),
    )))
}

/// The setting that is to be changed.
fn chosen(opened: &OpenedResource, setting: &str) -> Result<String, RotateError> {
    let OpenedResource {
        resource, secrets, ..
    } = opened;
    let name = &resource.name;
    let names: Vec<_> = secrets.keys().map(String::as_str).collect();
    let why = match (setting, names.as_slice()) {
        ("", [only]) => return Ok((*only).to_owned()),
        (given, names) if names.contains(&given) => return Ok(given.to_owned()),
        (_, []) => format!(
            "resource `{name}` has no secret setting: it needs no password, as SQLite, or the gateway has it from a file of its own (`bind_password_file`, `password_file`), where no server changes it. Change it there and at the resource by hand, or give it to the resource: `portcullis resource set {name} --secret-setting bind_password` (of a database: `password`)"
        ),
        ("", names) => format!(
            "resource `{name}` has several secret settings: say which by `--setting`, one of {}",
            names.join(", ")
        ),
        (given, names) => format!(
            "resource `{name}` has no secret setting `{given}`; it has {}",
            names.join(", ")
        ),
    };
    Err(RotateError::Setting(why))
}

/// What came of a change.
enum Came {
    /// The resource has the new password.
    New,
    /// It has the old one, for this reason.
    Old(Failure),
    /// It takes neither.
    Neither(String),
    /// Nobody knows, for this reason.
    Unknown(String),
}

impl Came {
    /// Of the change itself.
    fn of(outcome: Outcome) -> Self {
        match outcome.result {
            Some(OutcomeResult::Done(_)) => Self::New,
            Some(OutcomeResult::Failed(failure)) => match failure.kind() {
                FailureKind::Forgotten => Self::Unknown(failure.message),
                _ => Self::Old(failure),
            },
            Some(OutcomeResult::Indeterminate(it)) if it.look_again || it.evidence.is_empty() => {
                Self::Unknown(it.message)
            }
            Some(OutcomeResult::Indeterminate(it)) => Self::Neither(it.evidence.join("; ")),
            None => Self::Unknown("the gateway did not say what came of it".to_owned()),
        }
    }

    /// Of a look at it.
    fn of_look(outcome: Outcome) -> Self {
        match Self::of(outcome) {
            Self::Old(failure) if failure.kind() != FailureKind::NotBegun => {
                Self::Unknown(failure.message)
            }
            other => other,
        }
    }
}

/// Finds out which password a resource has, and keeps that one.
async fn find_out(
    provisioning: &Provisioning,
    opened: &OpenedResource,
    pending: &PendingSecret,
    turn: &mut Turn,
) -> Result<(), RotateError> {
    let came = match ended(provisioning, opened, pending).await {
        Some(outcome) => Came::of(outcome),
        None => look(provisioning, opened, pending).await?,
    };
    let which = match &came {
        Came::New => Some((Audited::Done, "the resource has the new password")),
        Came::Old(_) => Some((Audited::Done, "the resource has the old password")),
        Came::Neither(seen) => Some((Audited::Indeterminate, &**seen)),
        Came::Unknown(_) => None,
    };
    if let Some((outcome, detail)) = which {
        let name = &opened.resource.name;
        let object = format!("resource {name}");
        let draft = Draft::new(Subject::server(), FOUND, &object, outcome);
        let fields = AuditFields::resource(name);
        let draft = draft.about(fields).detail(detail);
        provisioning.audit.record(draft).await;
    }
    conclude(provisioning, opened, pending, came, turn)
        .await
        .map(drop)
}

/// What the gateway has of the call, where it saw its end.
async fn ended(
    provisioning: &Provisioning,
    opened: &OpenedResource,
    pending: &PendingSecret,
) -> Option<Outcome> {
    let (gateway, id) = (&opened.resource.gateway, opened.gateway_id);
    let ids = vec![pending.call_id.clone()];
    let answers = provisioning.fleet.finished(gateway, id, ids).await.ok()?;
    let mut answers = answers.into_iter().filter(|answer| !answer.unseen);
    let outcome = answers.find_map(|answer| answer.outcome)?;
    let is_of = outcome.call_id == pending.call_id && outcome.result.is_some();
    let is_known = !matches!(outcome.result, Some(OutcomeResult::Indeterminate(_)));
    (is_of && is_known).then_some(outcome)
}

/// Has the gateway try both passwords. No call of the id is begun from then on.
async fn look(
    provisioning: &Provisioning,
    opened: &OpenedResource,
    pending: &PendingSecret,
) -> Result<Came, RotateError> {
    let came = match send(provisioning, opened, pending, Some(&pending.call_id)).await? {
        Attempt::Unsent(why) => return Ok(Came::Unknown(why)),
        Attempt::Lost(outcome) => return Ok(Came::of_look(outcome)),
        // The resource has other settings since: to the journal it is another call.
        Attempt::Ended(Outcome {
            result: Some(OutcomeResult::Indeterminate(it)),
            ..
        }) if !it.look_again && it.evidence.is_empty() => {
            let another = with_id(Call::default()).call_id;
            send(provisioning, opened, pending, Some(&another)).await?
        }
        ended => ended,
    };
    Ok(match came {
        Attempt::Unsent(why) => Came::Unknown(why),
        Attempt::Lost(outcome) | Attempt::Ended(outcome) => Came::of_look(outcome),
    })
}

/// Sends the change, or a look at it under an id.
async fn send(
    provisioning: &Provisioning,
    opened: &OpenedResource,
    pending: &PendingSecret,
    look: Option<&str>,
) -> Result<Attempt, RotateError> {
    let OpenedResource {
        resource,
        gateway_id,
        secrets,
        ..
    } = opened;
    let call = Call {
        call_id: look.unwrap_or(&pending.call_id).to_owned(),
        connector: resource.connector.clone(),
        settings: resource.settings.clone().into_iter().collect(),
        secret_settings: secrets.clone().into_iter().map(secret_setting).collect(),
        look: look.is_some(),
        // That the journal lacks the call proves nothing: the passwords tell.
        journal_lost: look.is_some(),
        verb: Some(Verb::RotatePassword(RotatePassword {
            setting: pending.setting.clone(),
            password: Some(Secret::plain(pending.value.to_vec())),
        })),
        ..Call::default()
    };
    let to = Recipient::registration(&resource.gateway, *gateway_id);
    Ok(provisioning.fleet.attempt_again(&to, call, None).await?)
}

/// Keeps the password that counts, as far as that is known. `Some`: it is the old one, for this
/// reason.
async fn conclude(
    provisioning: &Provisioning,
    opened: &OpenedResource,
    pending: &PendingSecret,
    came: Came,
    turn: &mut Turn,
) -> Result<Option<Failure>, RotateError> {
    let name = &opened.resource.name;
    let unknown = |why| {
        let resource = name.clone();
        Err(RotateError::Unknown { resource, why })
    };
    let failure = match came {
        Came::New => None,
        Came::Old(failure) => Some(failure),
        Came::Neither(seen) => {
            let why = neither(name, &pending.setting, &seen);
            turn.neither = Some((pending.call_id.clone(), seen));
            return unknown(why);
        }
        Came::Unknown(why) => {
            return unknown(format!(
                "{why}. Both are kept, and the next use of the resource finds out: `portcullis resource test {name}`"
            ));
        }
    };
    turn.neither = None;
    let resources = provisioning.repository.resources();
    let is_new = failure.is_none();
    resources
        .settle_secret(name, &pending.call_id, is_new)
        .await?;
    tracing::info!(
        resource = name,
        is_new,
        "which password a resource has is known"
    );
    let (gateway, id) = (&opened.resource.gateway, opened.gateway_id);
    let ids = vec![pending.call_id.clone()];
    // Otherwise its journal keeps the entry for its time alone.
    let _ = provisioning.fleet.acknowledge(gateway, id, ids).await;
    Ok(failure)
}

fn neither(resource: &str, setting: &str, seen: &str) -> String {
    format!(
        "{seen}. They are not tried again by themselves, for wrong ones may lock the account: give the right one, `portcullis resource set {resource} --secret-setting {setting}`, or have both tried once more, `portcullis resource test {resource}`"
    )
}

fn unavailable(message: String) -> Failure {
    Failure {
        kind: FailureKind::Unavailable.into(),
        message,
        ..Failure::default()
    }
}

/// A new password, with letters of both cases, digits and hyphens in it.
fn password() -> Zeroizing<Vec<u8>> {
    let mut rng = rand::rng();
    loop {
        let mut password = Zeroizing::new(Vec::with_capacity(LENGTH));
        for place in 1..=LENGTH {
            let letter = LETTERS.get(rng.random_range(0..LETTERS.len()));
            password.push(match place % PART {
                0 => b'-',
                _ => letter.copied().unwrap_or(b'-'),
            });
        }
        let has = |of: fn(&u8) -> bool| password.iter().any(of);
        if has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase) && has(u8::is_ascii_digit) {
            return password;
        }
    }
}

#[cfg(test)]
mod tests {
    use portcullis_proto::gateway::v1::Indeterminate;

    use super::*;

    #[test]
    fn a_new_password_is_long_and_keeps_common_rules() {
        let (one, two) = (password(), password());
        assert_ne!(one, two);
        assert_eq!(one.len(), LENGTH);
        let text = std::str::from_utf8(&one).unwrap();
        assert_eq!(text.matches('-').count(), 3, "{text}");
        assert!(text.split('-').all(|part| part.len() == PART - 1), "{text}");
    }

    #[test]
    fn what_a_look_answers_in_another_way_proves_nothing() {
        let outcome = |result| Outcome {
            call_id: "c".to_owned(),
            result: Some(result),
        };
        let failed = |kind: FailureKind| {
            outcome(OutcomeResult::Failed(Failure {
                kind: kind.into(),
                ..Failure::default()
            }))
        };
        for kind in [
            FailureKind::Unavailable,
            FailureKind::Invalid,
            FailureKind::Refused,
        ] {
            assert!(matches!(Came::of(failed(kind)), Came::Old(_)), "{kind:?}");
            assert!(
                matches!(Came::of_look(failed(kind)), Came::Unknown(_)),
                "{kind:?}"
            );
        }
        let not_begun = failed(FailureKind::NotBegun);
        assert!(matches!(Came::of_look(not_begun), Came::Old(_)));
        let unclear = |look_again, evidence: &[&str]| {
            outcome(OutcomeResult::Indeterminate(Indeterminate {
                look_again,
                evidence: evidence.iter().map(|seen| (*seen).to_owned()).collect(),
                ..Indeterminate::default()
            }))
        };
        assert!(matches!(
            Came::of_look(unclear(true, &["x"])),
            Came::Unknown(_)
        ));
        assert!(matches!(
            Came::of_look(unclear(false, &[])),
            Came::Unknown(_)
        ));
        assert!(matches!(
            Came::of_look(unclear(false, &["x"])),
            Came::Neither(_)
        ));
    }
}
