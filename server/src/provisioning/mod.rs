//! Calls: made up from a resource and a request, sent through the fleet, and what came of them.

mod contents;
pub mod describe;
pub mod entry;
mod open_calls;
pub mod outcome;
mod password;
pub mod queue;
mod recent;
mod recover;
mod sending;

use std::pin::Pin;

use data_encoding::HEXLOWER;
use portcullis_host::clock;
use portcullis_proto::gateway::v1::call::Verb;
use portcullis_proto::gateway::v1::{
    Call, FailureKind, Outcome, SearchItem, Secret, SecretSetting,
};
use prost::Message as _;
use rand::RngExt;
use tokio::sync::watch;
use tokio_stream::{Stream, StreamExt};
use zeroize::Zeroizing;

use crate::audit::{AuditLog, Draft};
use crate::fleet::{Attempt, CallError, Fleet, Recipient};
use crate::passwords::PasswordError;
use crate::repository::{LostSettings, OpenedResource, QueuedState, Repository, RepositoryError};
use contents::ContentsKey;
use open_calls::{OpenCall, OpenCalls};
use outcome::{Flaw, failed_search};
use password::Afterwards;
use recent::{Claim, Claimed, RecentCalls};

/// Characters of a call id, at most.
const MAX_CALL_ID: usize = 128;

/// What calls are carried out with. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Provisioning {
    /// Where resources, policy and queued calls are stored.
    pub repository: Repository,
    /// The links to the gateways.
    pub fleet: Fleet,
    /// Where a queued call leaves its entries.
    pub audit: AuditLog,
    recent: RecentCalls,
    open: OpenCalls,
    /// Counts up with every change of a queued call; `None`: the server stops.
    queue_changes: watch::Sender<Option<u64>>,
}

impl Provisioning {
    /// Over an open repository, with no call under way.
    pub fn new(repository: Repository, fleet: Fleet, audit: AuditLog) -> Self {
        Self {
            repository,
            fleet,
            audit,
            recent: RecentCalls::new(),
            open: OpenCalls::default(),
            queue_changes: watch::Sender::new(Some(0)),
        }
    }

    /// A queued call stands in another way.
    pub fn queue_changed(&self) {
        let count = |count: &mut Option<u64>| *count = count.map(|count| count.wrapping_add(1));
        self.queue_changes.send_modify(count);
    }

    /// Whoever follows a queued call is told that the server stops.
    pub fn stop_following(&self) {
        self.queue_changes.send_replace(None);
    }

    /// Tells whenever a queued call may stand in another way; `None`: the server stops.
    pub fn queue_changes(&self) -> watch::Receiver<Option<u64>> {
        self.queue_changes.subscribe()
    }
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
    /// There is another call of that id.
    #[error("call `{id}` was {how} with other contents: give this one another id, or none")]
    OtherCall {
        /// The id.
        id: String,
        /// `made` or `queued`.
        how: &'static str,
    },
    /// The same call waits in the queue, or was taken back.
    #[error(
        "call `{0}` is in the queue, and has no outcome: `portcullis call show {0}` tells how it stands"
    )]
    Queued(String),
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

/// A call of any verb but `search`, before it is sent.
#[derive(Debug)]
pub enum Prepared {
    /// It is to be sent.
    Ready(Box<Ready>),
    /// It has its outcome already: there is something wrong with it.
    Answered(Outcome),
    /// It was made before, and this is what came of it.
    Known(Outcome),
}

/// A call that is ready to be sent.
#[derive(Debug)]
pub struct Ready {
    to: Recipient,
    call: Call,
    afterwards: Afterwards,
    claimed: Option<Claimed>,
}

/// Makes a direct call ready to be sent. Whatever concerns the call itself is in the outcome. With
/// `from_user`, the password that it sets is that user's.
///
/// One that may change something and has the id and the contents of one that is under way or was
/// carried out has the outcome of that one.
///
/// # Errors
/// [`DispatchError`].
pub async fn prepare(
    provisioning: &Provisioning,
    resource: &str,
    call: Call,
    from_user: Option<&str>,
) -> Result<Prepared, DispatchError> {
    let claimed = if call.changes() {
        match claim(provisioning, resource, &call, from_user).await? {
            Claims::New(claimed) => Some(claimed),
            Claims::Known(outcome) => return Ok(Prepared::Known(outcome)),
        }
    } else {
        check_reading(provisioning, resource, &call, from_user).await?;
        None
    };
    let prepared = make_ready(provisioning, resource, call, from_user).await?;
    if let Prepared::Ready(mut ready) = prepared {
        ready.claimed = claimed;
        return Ok(Prepared::Ready(ready));
    }
    Ok(prepared)
}

impl Ready {
    /// The gateway that it goes through.
    pub fn gateway(&self) -> &str {
        self.to.name()
    }

    /// Sends it. `begun`: what is to be written where no answer comes and its gateway tells later.
    ///
    /// # Errors
    /// [`DispatchError::Repository`]: nothing was sent.
    pub async fn send(
        self,
        provisioning: &Provisioning,
        begun: Option<Draft>,
    ) -> Result<Outcome, DispatchError> {
        let Self {
            to,
            call,
            afterwards,
            claimed,
        } = self;
        let (call_id, changes) = (call.call_id.clone(), call.changes());
        let begun_ms = clock::now().0;
        let outcome = match provisioning.fleet.attempt(&to, call).await? {
            Attempt::Ended(outcome) => outcome,
            Attempt::Unsent(why) => {
                outcome::failed_with(call_id.clone(), FailureKind::Unavailable, why)
            }
            Attempt::Lost(outcome) => {
                if changes {
                    provisioning.open.add(OpenCall {
                        gateway: to.name().to_owned(),
                        call_id,
                        begun_ms,
                        draft: begun,
                        queued: false,
                        restarted: false,
                    });
                }
                outcome
            }
        };
        afterwards
            .carry_out(&provisioning.repository, &outcome)
            .await;
        if let Some(claimed) = claimed {
            claimed.end(&outcome);
        }
        Ok(outcome)
    }
}

enum Claims {
    New(Claimed),
    Known(Outcome),
}

/// Claims the id of a direct call that may change something.
async fn claim(
    provisioning: &Provisioning,
    resource: &str,
    call: &Call,
    from_user: Option<&str>,
) -> Result<Claims, DispatchError> {
    if let Some(known) = queued_already(provisioning, resource, call, from_user).await? {
        return Ok(Claims::Known(known));
    }
    loop {
        match provisioning.recent.claim(resource, call, from_user) {
            Err(_) => return Err(other_call(call, "made")),
            Ok(Claim::New(claimed)) => return Ok(Claims::New(claimed)),
            Ok(Claim::Same(mut outcome)) => {
                // An error says that it was not sent after all.
                if let Ok(ended) = outcome.wait_for(Option::is_some).await
                    && let Some(outcome) = ended.clone()
                {
                    return Ok(Claims::Known(outcome));
                }
            }
        }
    }
}

/// A call that only reads is made each time, but under no other call's id.
async fn check_reading(
    provisioning: &Provisioning,
    resource: &str,
    call: &Call,
    from_user: Option<&str>,
) -> Result<(), DispatchError> {
    let known = provisioning.recent.check(resource, call, from_user);
    known.map(drop).map_err(|_| other_call(call, "made"))
}

/// The outcome of a call of this id in the queue; `None`: there is none.
async fn queued_already(
    provisioning: &Provisioning,
    resource: &str,
    call: &Call,
    from_user: Option<&str>,
) -> Result<Option<Outcome>, DispatchError> {
    let queued = provisioning.repository.queued_calls();
    let Some(row) = queued.find(&call.call_id).await? else {
        return Ok(None);
    };
    let key = provisioning.repository.call_digest_key().await?;
    let digest = ContentsKey::from_bytes(&key).map(|key| key.digest(resource, call, from_user));
    if row.digest != digest.map(contents::Digest::to_vec) {
        return Err(other_call(call, "queued"));
    }
    let ended = matches!(
        row.state,
        QueuedState::Done | QueuedState::Failed | QueuedState::Indeterminate
    );
    let outcome = row.outcome.filter(|_| ended);
    let outcome = outcome.and_then(|bytes| Outcome::decode(bytes.as_slice()).ok());
    match outcome {
        Some(outcome) => Ok(Some(outcome)),
        None => Err(DispatchError::Queued(call.call_id.clone())),
    }
}

fn other_call(call: &Call, how: &'static str) -> DispatchError {
    DispatchError::OtherCall {
        id: call.call_id.clone(),
        how,
    }
}

async fn make_ready(
    provisioning: &Provisioning,
    resource: &str,
    call: Call,
    from_user: Option<&str>,
) -> Result<Prepared, DispatchError> {
    let (to, mut call) = match make_up(provisioning, resource, call).await? {
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
        Ok(afterwards) => Prepared::Ready(Box::new(Ready {
            to,
            call,
            afterwards,
            claimed: None,
        })),
        Err(error) => Prepared::Answered(outcome::of_password_error(call.call_id, error)?),
    })
}

/// Carries out a `search` on a resource, through the gateway that is given back.
///
/// # Errors
/// [`DispatchError`].
pub async fn search(
    provisioning: &Provisioning,
    resource: &str,
    call: Call,
) -> Result<(String, Found), DispatchError> {
    check_reading(provisioning, resource, &call, None).await?;
    let (to, mut call) = match make_up(provisioning, resource, call).await? {
        Ok(made_up) => made_up,
        Err((_, lost)) => {
            let end = failed_search(outcome::lost_settings(&lost));
            return Ok((String::new(), only(end)));
        }
    };
    let gateway = to.name().to_owned();
    if let Err(flaw) = check(&mut call, true) {
        return Ok((gateway, only(failed_search(flaw.failure()))));
    }
    match provisioning.fleet.search(to, call).await {
        Ok(items) => Ok((gateway, Box::pin(items))),
        Err(CallError::Repository(error)) => Err(error.into()),
        Err(error) => Ok((gateway, only(failed_search(outcome::unavailable(&error))))),
    }
}

/// Fills in what the resource determines, whatever the caller wrote there, and an id where there is
/// none. Within it the call's id and [`LostSettings`], where its secret settings have to be given
/// again first.
async fn make_up(
    provisioning: &Provisioning,
    name: &str,
    call: Call,
) -> Result<Result<(Recipient, Call), (String, LostSettings)>, DispatchError> {
    let opened = provisioning
        .repository
        .resources()
        .open(name)
        .await?
        .ok_or_else(|| DispatchError::UnknownResource(name.to_owned()))?;
    let mut call = with_id(call);
    let OpenedResource {
        resource,
        gateway_id,
        secrets,
    } = match opened {
        Ok(opened) => opened,
        Err(lost) => return Ok(Err((call.call_id, lost))),
    };
    call.connector = resource.connector;
    call.settings = resource.settings.into_iter().collect();
    call.secret_settings = secrets.into_iter().map(secret_setting).collect();
    let to = Recipient::registration(&resource.gateway, gateway_id);
    Ok(Ok((to, call)))
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
