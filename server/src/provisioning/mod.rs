//! Calls: made up from a resource and a request, sent through the fleet, and what came of them.

mod outcome;
mod password;
pub mod queue;

use std::pin::Pin;

use data_encoding::HEXLOWER;
use portcullis_proto::gateway::v1::call::Verb;
use portcullis_proto::gateway::v1::{Call, Outcome, SearchItem, Secret, SecretSetting};
use rand::RngExt;
use tokio_stream::{Stream, StreamExt};
use zeroize::Zeroizing;

use crate::audit::AuditLog;
use crate::fleet::{CallError, Fleet};
use crate::passwords::PasswordError;
use crate::repository::{LostSettings, OpenedResource, Repository, RepositoryError};
use outcome::{Flaw, failed_search, of_call_error};
use password::Afterwards;

/// Characters of a call id, at most.
const MAX_CALL_ID: usize = 128;

/// What calls are carried out with. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Provisioning {
    /// Where resources, policy and queued calls are stored.
    pub repository: Repository,
    /// The links to the gateways.
    pub fleet: Fleet,
    /// Where a queued call leaves its entry.
    pub audit: AuditLog,
}

/// Why a call has no outcome. Nothing was sent, save for `Stopping`.
#[derive(Debug, thiserror::Error)]
pub enum DispatchError {
    /// There is no resource of that name.
    #[error("there is no resource `{0}`")]
    UnknownResource(String),
    /// The repository could not be read.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// The password that it sets cannot be had or judged.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// The server ends while the call is under way: what came of it is not known.
    #[error("the server is stopping: look at the object before the call is made again")]
    Stopping,
}

/// The objects found, then one `SearchEnd`.
pub type Found = Pin<Box<dyn Stream<Item = SearchItem> + Send>>;

/// The call, with an id where it has none.
pub fn with_id(mut call: Call) -> Call {
    if call.call_id.is_empty() {
        call.call_id = format!("pc-{}", HEXLOWER.encode(&rand::rng().random::<[u8; 16]>()));
    }
    call
}

/// Carries out one call of any verb but `search` on a resource. Whatever concerns the call itself
/// is in the outcome. With `from_user`, the password that the call sets is that user's.
///
/// # Errors
/// [`DispatchError`].
pub async fn execute(
    provisioning: &Provisioning,
    resource: &str,
    call: Call,
    from_user: Option<&str>,
) -> Result<Outcome, DispatchError> {
    let (gateway, call, afterwards) = match prepare(provisioning, resource, call, from_user).await?
    {
        Prepared::Answered(outcome) => return Ok(outcome),
        Prepared::Ready {
            gateway,
            call,
            afterwards,
        } => (gateway, *call, afterwards),
    };
    if afterwards.is_nothing() {
        return send(&provisioning.fleet, &gateway, call).await;
    }
    let (fleet, repository) = (provisioning.fleet.clone(), provisioning.repository.clone());
    // On its own: the history is kept also where the caller goes away while the call is under way.
    let sent = tokio::spawn(async move {
        let outcome = send(&fleet, &gateway, call).await?;
        afterwards.carry_out(&repository, &outcome).await;
        Ok(outcome)
    });
    sent.await.map_err(|_| DispatchError::Stopping)?
}

/// A call that is ready to be sent, or already has its outcome.
enum Prepared {
    Ready {
        gateway: String,
        call: Box<Call>,
        afterwards: Afterwards,
    },
    Answered(Outcome),
}

async fn prepare(
    provisioning: &Provisioning,
    resource: &str,
    call: Call,
    from_user: Option<&str>,
) -> Result<Prepared, DispatchError> {
    let (gateway, mut call) = match make_up(provisioning, resource, call).await? {
        Ok(made_up) => made_up,
        Err((call_id, lost)) => return Ok(Prepared::Answered(outcome::lost(call_id, &lost))),
    };
    if let Err(flaw) = check(&mut call, false) {
        return Ok(Prepared::Answered(flaw.outcome(call.call_id)));
    }
    let repository = &provisioning.repository;
    if let Some(user) = from_user {
        password::fill_in(repository, &mut call, user).await?;
    }
    Ok(match password::prepare(repository, resource, &call).await {
        Ok(afterwards) => Prepared::Ready {
            gateway,
            call: Box::new(call),
            afterwards,
        },
        Err(error) => Prepared::Answered(outcome::of_password_error(call.call_id, error)?),
    })
}

async fn send(fleet: &Fleet, gateway: &str, call: Call) -> Result<Outcome, DispatchError> {
    let call_id = call.call_id.clone();
    let changes = call.changes();
    match fleet.execute(gateway, call).await {
        Ok(outcome) => Ok(outcome),
        Err(CallError::Repository(error)) => Err(error.into()),
        Err(error) => Ok(of_call_error(call_id, &error, changes)),
    }
}

/// Carries out a `search` on a resource.
///
/// # Errors
/// [`DispatchError`].
pub async fn search(
    provisioning: &Provisioning,
    resource: &str,
    call: Call,
) -> Result<Found, DispatchError> {
    let (gateway, mut call) = match make_up(provisioning, resource, call).await? {
        Ok(made_up) => made_up,
        Err((_, lost)) => return Ok(only(failed_search(outcome::lost_settings(&lost)))),
    };
    if let Err(flaw) = check(&mut call, true) {
        return Ok(only(failed_search(flaw.failure())));
    }
    match provisioning.fleet.search(&gateway, call).await {
        Ok(items) => Ok(Box::pin(items)),
        Err(CallError::Repository(error)) => Err(error.into()),
        Err(error) => Ok(only(failed_search(outcome::unavailable(&error)))),
    }
}

/// Fills in what the resource determines, whatever the caller wrote there, and an id where there is
/// none. Within it the call's id and [`LostSettings`], where its secret settings have to be given
/// again first.
async fn make_up(
    provisioning: &Provisioning,
    name: &str,
    call: Call,
) -> Result<Result<(String, Call), (String, LostSettings)>, DispatchError> {
    let opened = provisioning
        .repository
        .resources()
        .open(name)
        .await?
        .ok_or_else(|| DispatchError::UnknownResource(name.to_owned()))?;
    let mut call = with_id(call);
    let OpenedResource {
        resource, secrets, ..
    } = match opened {
        Ok(opened) => opened,
        Err(lost) => return Ok(Err((call.call_id, lost))),
    };
    call.connector = resource.connector;
    call.settings = resource.settings.into_iter().collect();
    call.secret_settings = secrets.into_iter().map(secret_setting).collect();
    Ok(Ok((resource.gateway, call)))
}

fn secret_setting((name, mut value): (String, Zeroizing<Vec<u8>>)) -> SecretSetting {
    SecretSetting {
        name,
        value: Some(Secret::plain(std::mem::take(&mut *value))),
    }
}

fn check(call: &mut Call, search: bool) -> Result<(), Flaw> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | ':' | '-');
    if call.call_id.len() > MAX_CALL_ID || !call.call_id.chars().all(allowed) {
        return Err(Flaw::CallId);
    }
    if call
        .secrets_mut()
        .iter()
        .any(|secret| !secret.sealed.is_empty())
    {
        return Err(Flaw::SealedSecret);
    }
    match (&call.verb, search) {
        (None, _) => Err(Flaw::NoVerb),
        (Some(Verb::Search(_)), false) => Err(Flaw::SearchInExecute),
        (Some(Verb::Search(_)), true) | (Some(_), false) => Ok(()),
        (Some(_), true) => Err(Flaw::OtherThanSearch),
    }
}

fn only(item: SearchItem) -> Found {
    Box::pin(tokio_stream::once(item).fuse())
}
