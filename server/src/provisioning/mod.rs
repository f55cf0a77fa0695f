//! Calls: made up from a resource and a request, sent through the fleet, and what came of them.

mod asking;
pub mod common;
mod contents;
pub mod describe;
pub mod direct;
pub mod entry;
mod journals;
mod known;
mod lanes;
mod look;
mod lookouts;
pub mod mapping;
pub mod outcome;
mod password;
pub mod queue;
mod retry;
pub mod rotation;
mod sending;
mod sent;
mod server_time;

use std::pin::Pin;
use std::sync::Arc;

use data_encoding::HEXLOWER;
use portcullis_common::rotation::UnixMillis;
use portcullis_host::clock;
use portcullis_proto::gateway::v1::call::Verb;
use portcullis_proto::gateway::v1::search_item::Kind;
use portcullis_proto::gateway::v1::{
    Call, Failure, FailureKind, Outcome, SearchItem, Secret, SecretSetting,
};
use portcullis_watch::traces::TraceContext;
use rand::RngExt;
use tokio::sync::{Notify, OnceCell, watch};
use tokio_stream::{Stream, StreamExt};
use zeroize::Zeroizing;

use crate::audit::{AuditError, AuditLog};
use crate::fleet::{Attempt, CallError, Fleet, Recipient};
use crate::passwords::PasswordError;
use crate::repository::{OpenedResource, QueuedCall, Repository, RepositoryError};
use contents::ContentsKey;
use known::{Asked, Known, look_up};
use lookouts::Lookouts;
use mapping::Mapping;
use outcome::{Flaw, failed_search};
use password::Afterwards;
pub use retry::{ChangeError, Resolution, resolve, retry};
use rotation::{RotateError, Rotations};
pub use server_time::ServerTime;

/// Characters of a call id, at most.
const MAX_CALL_ID: usize = 128;

/// What calls are carried out with. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Provisioning {
    /// Where resources, policy and calls are stored.
    pub repository: Repository,
    /// The links to the gateways.
    pub fleet: Fleet,
    /// Where a call leaves its entries.
    pub audit: AuditLog,
    /// By which calls expire.
    pub time: ServerTime,
    /// When this server was started.
    started: UnixMillis,
    open: Lookouts,
    /// Had while a journal is compared with how far it was seen.
    journals: Arc<journals::Turns>,
    rotations: Rotations,
    digests: Arc<OnceCell<ContentsKey>>,
    /// A call ended for whose object others wait.
    turn: Arc<Notify>,
    /// A call ended of which its gateway is to be told.
    ended: Arc<Notify>,
    /// Counts up with every change of a call; `None`: the server stops.
    queue_changes: watch::Sender<Option<u64>>,
}

impl Provisioning {
    /// Over an open repository, with no call under way.
    pub fn new(repository: Repository, fleet: Fleet, audit: AuditLog) -> Self {
        Self {
            repository,
            fleet,
            audit,
            time: ServerTime::new(),
            started: clock::now(),
            open: Lookouts::default(),
            journals: Arc::default(),
            rotations: Rotations::default(),
            digests: Arc::default(),
            turn: Arc::default(),
            ended: Arc::default(),
            queue_changes: watch::Sender::new(Some(0)),
        }
    }

    /// The keyed digest of what is asked for.
    async fn digest(
        &self,
        resource: &str,
        call: &Call,
        from_user: Option<&str>,
    ) -> Result<Vec<u8>, RepositoryError> {
        let key = self.digests.get_or_try_init(|| async {
            let bytes = self.repository.call_digest_key().await?;
            let key = ContentsKey::from_bytes(&bytes);
            key.ok_or_else(|| RepositoryError::Damaged("key of the digests of calls".to_owned()))
        });
        Ok(key.await?.digest(resource, call, from_user).to_vec())
    }

    /// The id by which a gateway knows an attempt at a call: one with a journal knows each by
    /// itself.
    fn wire_id(&self, gateway: &str, call: &QueuedCall) -> String {
        match self.keeps_journal(gateway) {
            Some(true) => journals::attempt_id(&call.call_id, call.attempt),
            Some(false) | None => call.call_id.clone(),
        }
    }

    /// Whether a gateway keeps a journal of calls; `None`: it has not said so yet.
    fn keeps_journal(&self, gateway: &str) -> Option<bool> {
        let description = self.fleet.status(gateway)?.description?;
        Some(description.journal.is_some())
    }

    /// Whether a gateway tells an unknown account from a wrong password where it is asked to.
    fn tells_unknown(&self, gateway: &str) -> bool {
        let status = self.fleet.status(gateway);
        let description = status.and_then(|status| status.description);
        description.is_some_and(|description| description.tells_unknown)
    }

    /// A gateway was removed, or has another registration: what was sent to the one before is
    /// settled.
    pub fn registration_gone(&self, gateway: &str) {
        self.open.lost(gateway);
    }

    /// A call stands in another way.
    pub fn queue_changed(&self) {
        let count = |count: &mut Option<u64>| *count = count.map(|count| count.wrapping_add(1));
        self.queue_changes.send_modify(count);
    }

    /// Whoever follows a call is told that the server stops.
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
    #[error(
        "call `{id}` was {how} with other contents ({differs}): give this one another id, or none"
    )]
    OtherCall {
        /// The id.
        id: String,
        /// `made` or `queued`.
        how: &'static str,
        /// In what, as far as can be said.
        differs: String,
    },
    /// What it does would not be in the audit log.
    #[error(transparent)]
    Audit(AuditError),
    /// The same call was queued, and was taken back or waited beyond its time.
    #[error(
        "call `{0}` was queued, and was cancelled or waited beyond its time: it was not sent, and is not sent any more; give this one another id, or none"
    )]
    TakenBack(String),
    /// The same call waits in the queue.
    #[error(
        "call `{0}` is in the queue, and has no outcome: `portcullis call show {0}` tells how it stands"
    )]
    Queued(String),
    /// The server ends while the call is under way: what came of it is not known.
    #[error("the server is stopping: look at the object before the call is made again")]
    Stopping,
}

impl DispatchError {
    /// Whether the database of the repository is away.
    pub fn is_away(&self) -> bool {
        match self {
            Self::Repository(error) => error.is_away(),
            Self::Audit(error) => error.is_away(),
            _ => false,
        }
    }
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

/// The trace that a call belongs to, as it is stored.
fn trace_id(call: &Call) -> Option<String> {
    let context: TraceContext = call.traceparent.parse().ok()?;
    Some(context.trace_id())
}

/// A call of any verb but `search`, before it is sent.
#[derive(Debug)]
pub enum Prepared {
    /// It is to be sent.
    Ready(Box<Ready>),
    /// It has its outcome already: there is something wrong with it.
    Answered(Outcome),
}

/// A call that is ready to be sent.
#[derive(Debug)]
pub struct Ready {
    to: Recipient,
    call: Call,
    /// What its answer goes through.
    mapping: Mapping,
    afterwards: Afterwards,
}

/// Makes a direct call that only reads ready to be sent. Whatever concerns the call itself is in
/// the outcome. `from_user` is refused, for such a call sets no password.
///
/// # Errors
/// [`DispatchError`].
pub async fn prepare(
    provisioning: &Provisioning,
    resource: &str,
    call: Call,
    from_user: Option<&str>,
) -> Result<Prepared, DispatchError> {
    check_reading(provisioning, resource, &call).await?;
    make_ready(provisioning, resource, call, from_user, Form::Given).await
}

impl Ready {
    /// The gateway that it goes through.
    pub fn gateway(&self) -> &str {
        self.to.name()
    }

    /// The same; what comes back keeps the names that the resource has for it.
    #[must_use]
    pub fn unmapped(self) -> Self {
        Self {
            mapping: Mapping::default(),
            ..self
        }
    }

    /// Sends a call that only reads.
    ///
    /// # Errors
    /// [`DispatchError::Repository`]: nothing was sent.
    pub async fn send(self, provisioning: &Provisioning) -> Result<Outcome, DispatchError> {
        let Self {
            to, call, mapping, ..
        } = self;
        let call_id = call.call_id.clone();
        Ok(match provisioning.fleet.attempt(&to, call).await? {
            Attempt::Ended(mut outcome) | Attempt::Lost(mut outcome) => {
                mapping.answer(&mut outcome);
                outcome
            }
            Attempt::Unsent(why) => outcome::failed_with(call_id, FailureKind::Unavailable, why),
        })
    }
}

/// A call that only reads is made each time, but under no other call's id.
async fn check_reading(
    provisioning: &Provisioning,
    resource: &str,
    call: &Call,
) -> Result<(), DispatchError> {
    let digest = provisioning.digest(resource, call, None).await?;
    let asked = Asked {
        resource,
        call,
        from_user: None,
        digest: &digest,
    };
    match look_up(provisioning, asked).await? {
        Known::New | Known::After(_) | Known::Same(_) => Ok(()),
    }
}

async fn make_ready(
    provisioning: &Provisioning,
    resource: &str,
    call: Call,
    from_user: Option<&str>,
    form: Form,
) -> Result<Prepared, DispatchError> {
    let made_up = match make_up(provisioning, resource, call, form).await? {
        Ok(made_up) => made_up,
        Err((id, failure)) => return Ok(Prepared::Answered(outcome::failed(id, failure))),
    };
    let MadeUp {
        to,
        mut call,
        mapping,
    } = made_up;
    if let Err(flaw) = check(&mut call, By::Execute) {
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
            mapping,
            afterwards,
        })),
        Err(error) => Prepared::Answered(outcome::of_password_error(call.call_id, error)?),
    })
}

/// By which method a call came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// Its answer is one outcome.
    Execute,
    /// Its answers are what it finds.
    Search,
    /// Its answers are what has changed.
    Sync,
}

/// Carries out a `search` or a `sync` on a resource, through the gateway that is given back.
///
/// # Errors
/// [`DispatchError`].
pub async fn search(
    provisioning: &Provisioning,
    resource: &str,
    call: Call,
    by: By,
) -> Result<(String, Found), DispatchError> {
    check_reading(provisioning, resource, &call).await?;
    let made_up = match make_up(provisioning, resource, call, Form::Given).await? {
        Ok(made_up) => made_up,
        Err((_, failure)) => return Ok((String::new(), only(failed_search(failure)))),
    };
    let MadeUp {
        to,
        mut call,
        mapping,
    } = made_up;
    let gateway = to.name().to_owned();
    if let Err(flaw) = check(&mut call, by) {
        return Ok((gateway, only(failed_search(flaw.failure()))));
    }
    match provisioning.fleet.search(to, call).await {
        Ok(items) => {
            let items = items.map(move |mut item| {
                if let Some(Kind::Object(object)) = &mut item.kind {
                    mapping.object(object);
                }
                item
            });
            Ok((gateway, Box::pin(items)))
        }
        Err(CallError::Repository(error)) => Err(error.into()),
        Err(error) => Ok((gateway, only(failed_search(outcome::unavailable(&error))))),
    }
}

/// How a call has the attributes of its object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// As its caller gave them.
    Given,
    /// As the resource takes them: it went through the mapping when it was accepted.
    Mapped,
}

/// A call with all that the resource determines.
struct MadeUp {
    to: Recipient,
    call: Call,
    mapping: Mapping,
}

/// Fills in what the resource determines, whatever the caller wrote there, and an id where there is
/// none, and turns a call that was just given into what the resource takes. Within it the call's id
/// and why nothing is sent.
async fn make_up(
    provisioning: &Provisioning,
    name: &str,
    call: Call,
    form: Form,
) -> Result<Result<MadeUp, (String, Failure)>, DispatchError> {
    let mut call = with_id(call);
    let again = matches!(call.verb, Some(Verb::Test(_)));
    let opened = match open_settled(provisioning, name, again).await? {
        Ok(opened) => opened,
        Err(failure) => return Ok(Err((call.call_id, failure))),
    };
    let OpenedResource {
        resource,
        gateway_id,
        secrets,
        ..
    } = opened;
    let mapped = Mapping::parse(&resource.mapping).and_then(|mapping| {
        if form == Form::Given {
            mapping.ask(&mut call)?;
        }
        Ok(mapping)
    });
    let mapping = match mapped {
        Ok(mapping) => mapping,
        Err(error) => return Ok(Err((call.call_id, outcome::unmapped(name, &error)))),
    };
    call.connector = resource.connector;
    call.settings = resource.settings.into_iter().collect();
    call.secret_settings = secrets.into_iter().map(secret_setting).collect();
    let to = Recipient::registration(&resource.gateway, gateway_id);
    Ok(Ok(MadeUp { to, call, mapping }))
}

/// The resource with its secret settings, once it is known which of them count. `again`: passwords
/// that did not fit before are tried again. Within it why nothing is sent.
async fn open_settled(
    provisioning: &Provisioning,
    name: &str,
    again: bool,
) -> Result<Result<OpenedResource, Failure>, DispatchError> {
    let resources = provisioning.repository.resources();
    let unknown = || DispatchError::UnknownResource(name.to_owned());
    let open = async || resources.open(name).await?.ok_or_else(unknown);
    match open().await? {
        Err(lost) => return Ok(Err(outcome::lost_settings(&lost))),
        Ok(opened) if opened.pending.is_none() => return Ok(Ok(opened)),
        Ok(_) => {}
    }
    match rotation::settle(provisioning, name, again).await {
        Ok(()) => {}
        Err(RotateError::Repository(error)) => return Err(error.into()),
        Err(error) => return Ok(Err(outcome::unsettled(&error))),
    }
    Ok(match open().await? {
        Ok(opened) => Ok(opened),
        Err(lost) => Err(outcome::lost_settings(&lost)),
    })
}

fn secret_setting((name, mut value): (String, Zeroizing<Vec<u8>>)) -> SecretSetting {
    SecretSetting {
        name,
        value: Some(Secret::plain(std::mem::take(&mut *value))),
    }
}

fn check(call: &mut Call, by: By) -> Result<(), Flaw> {
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
    match (&call.verb, by) {
        (None, _) => Err(Flaw::NoVerb),
        (Some(Verb::RotatePassword(_)), _) => Err(Flaw::Rotation),
        (Some(Verb::Search(_)), By::Search) | (Some(Verb::Sync(_)), By::Sync) => Ok(()),
        (Some(_), By::Search) => Err(Flaw::OtherThanSearch),
        (Some(_), By::Sync) => Err(Flaw::OtherThanSync),
        (Some(Verb::Search(_)), By::Execute) => Err(Flaw::SearchInExecute),
        (Some(Verb::Sync(_)), By::Execute) => Err(Flaw::SyncInExecute),
        (Some(_), By::Execute) => Ok(()),
    }
}

fn only(item: SearchItem) -> Found {
    Box::pin(tokio_stream::once(item).fuse())
}
