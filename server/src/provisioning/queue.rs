//! The queue: calls that wait for a link to their gateway, each sent at most once.
//!
//! A call is marked as dispatched before it is sent. Whatever happens then, it is not sent again:
//! one that has no outcome when the server starts is indeterminate.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use portcullis_common::rotation::UnixMillis;
use portcullis_host::clock;
use portcullis_proto::gateway::v1::outcome::Result as OutcomeResult;
use portcullis_proto::gateway::v1::{Call, FailureKind, Outcome};
use prost::Message;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use zeroize::Zeroizing;

use super::{DispatchError, Prepared, Provisioning, check, outcome, password, prepare, with_id};
use crate::audit::{self, Draft, Subject};
use crate::config;
use crate::fleet::Attempt;
use crate::passwords::PasswordError;
use crate::repository::{
    Dispatched, Enqueued, NewQueuedCall, PayloadError, QueuedCall, QueuedState, RepositoryError,
};

/// Queued calls under way through one gateway.
const AT_ONCE: usize = 8;
/// How long changes of the fleet are gathered before they are looked at.
const GATHER: Duration = Duration::from_millis(20);
/// How long the server waits before it tries again what the repository refused.
const RETRY: Duration = Duration::from_secs(5);
/// The longest time between two looks for expired calls and old results.
const LONGEST_SLEEP: Duration = Duration::from_hours(1);
const TAKEN_OVER: &str = "a queued call was taken over by another instance of the server, which alone records what came of it";

/// Why a call was not queued. Nothing has changed.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// It is malformed.
    #[error("{0}")]
    Malformed(String),
    /// There is another call of that id.
    #[error(
        "call `{0}` is another one, on another object: `portcullis call show {0}` tells; choose another id, or none"
    )]
    OtherCall(String),
    /// Too many wait already.
    #[error(
        "{calls} calls wait for gateway `{gateway}` already, which is the limit ([calls] queue_limit): bring up its link, or `portcullis call cancel` some"
    )]
    Full {
        /// The gateway.
        gateway: String,
        /// How many.
        calls: u32,
    },
    /// Its password is refused or cannot be judged.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// The repository cannot be read or written.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
}

/// The queue of one server. Cheap to clone.
#[derive(Clone, Debug)]
pub struct CallQueue {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    limits: config::Calls,
    provisioning: Provisioning,
    woken: Notify,
    /// The gateways whose calls are being sent; true: look once more before that ends.
    sending: Mutex<HashMap<String, bool>>,
}

impl CallQueue {
    /// A queue that sends nothing before [`Self::run`].
    pub fn new(limits: config::Calls, provisioning: Provisioning) -> Self {
        Self {
            inner: Arc::new(Inner {
                limits,
                provisioning,
                woken: Notify::new(),
                sending: Mutex::default(),
            }),
        }
    }

    /// Queues a call of any verb but `search`; `summary` says to people what it is. A call of the
    /// same id on the same resource is not queued again: the answer is the one there is.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn enqueue(
        &self,
        resource: &str,
        call: Call,
        from_user: Option<&str>,
        summary: String,
    ) -> Result<QueuedCall, QueueError> {
        let mut call = with_id(call);
        check(&mut call, false).map_err(|flaw| QueueError::Malformed(flaw.to_string()))?;
        let repository = &self.inner.provisioning.repository;
        let same = |existing: QueuedCall| {
            if existing.resource == resource && existing.summary == summary {
                Ok(existing)
            } else {
                Err(QueueError::OtherCall(existing.call_id))
            }
        };
        let queued = repository.queued_calls();
        if let Some(existing) = queued.find(&call.call_id).await? {
            return same(existing);
        }
        if let Some(user) = from_user {
            password::fill_in(repository, &mut call, user).await?;
        }
        // Told now rather than in a week; it is held against the policy of that day once more when
        // it is sent.
        password::prepare(repository, resource, &call).await?;
        // The resource's, as they are when it is sent.
        call.settings.clear();
        call.secret_settings.clear();
        let now = clock::now();
        let new = NewQueuedCall {
            call_id: call.call_id.clone(),
            resource: resource.to_owned(),
            summary: summary.clone(),
            payload: Zeroizing::new(call.encode_to_vec()),
            queued: now,
            expires: now.plus(millis(self.inner.limits.queue_lifetime)),
        };
        match queued.enqueue(new, self.inner.limits.queue_limit).await? {
            Enqueued::New(call) => {
                self.inner.woken.notify_one();
                Ok(call)
            }
            Enqueued::Existing(existing) => same(existing),
            Enqueued::Full { gateway } => Err(QueueError::Full {
                gateway,
                calls: self.inner.limits.queue_limit,
            }),
        }
    }

    /// Ends the calls that wait for an earlier registration of a gateway: they go to no other. Gives
    /// how many.
    ///
    /// # Errors
    /// [`RepositoryError`]: the rest ends once there is a link.
    pub async fn end_lost(&self, gateway: &str) -> Result<usize, RepositoryError> {
        let provisioning = &self.inner.provisioning;
        let queued = provisioning.repository.queued_calls();
        let mut ended = 0;
        while let Some(lost) = queued.dispatch_lost(gateway, clock::now()).await? {
            let gateway = gateway.to_owned();
            carry_out(provisioning.clone(), gateway, lost).await;
            ended += 1;
        }
        Ok(ended)
    }

    /// Sends what waits whenever there is a link, until it is dropped. Begins with what the last
    /// run of the server left.
    pub async fn run(self) {
        let provisioning = &self.inner.provisioning;
        while let Err(error) = recover(provisioning).await {
            tracing::error!(%error, "the queue of calls waits: the repository failed");
            tokio::time::sleep(RETRY).await;
        }
        loop {
            let changed = provisioning.fleet.changed();
            let sleep = self.look().await.unwrap_or_else(|error| {
                tracing::error!(%error, "the queue of calls waits: the repository failed");
                RETRY
            });
            tokio::select! {
                // A fleet that comes back changes thousands of times in a moment: one look will do
                // for many.
                () = changed => tokio::time::sleep(GATHER).await,
                () = self.inner.woken.notified() => {}
                () = tokio::time::sleep(sleep) => {}
            }
        }
    }

    /// Ends what has expired, and sees to every gateway that can be reached. Gives how long there
    /// is nothing to do.
    async fn look(&self) -> Result<Duration, RepositoryError> {
        let provisioning = &self.inner.provisioning;
        let queued = provisioning.repository.queued_calls();
        let now = clock::now();
        let kept = millis(self.inner.limits.results_kept);
        let forget = UnixMillis(now.0.saturating_sub(kept));
        let next = queued.expire(now, forget).await?;
        for gateway in queued.awaited_gateways().await? {
            if provisioning.fleet.status(&gateway).is_some() && self.begin(&gateway) {
                tokio::spawn(self.clone().send_all(gateway));
            }
        }
        let until_next = next.map(|next| Duration::from_millis(next.0.saturating_sub(now.0)));
        Ok(until_next.unwrap_or(LONGEST_SLEEP).min(LONGEST_SLEEP))
    }

    /// True: nobody sends to this gateway, and whoever asked is to. False: whoever does will look
    /// once more.
    fn begin(&self, gateway: &str) -> bool {
        let mut sending = self.sending();
        if let Some(again) = sending.get_mut(gateway) {
            *again = true;
            return false;
        }
        sending.insert(gateway.to_owned(), false);
        true
    }

    /// True: something has changed meanwhile, look once more.
    fn again(&self, gateway: &str) -> bool {
        let mut sending = self.sending();
        let again = sending.get_mut(gateway).is_some_and(std::mem::take);
        if !again {
            sending.remove(gateway);
        }
        again
    }

    fn sending(&self) -> MutexGuard<'_, HashMap<String, bool>> {
        // Whole at every moment, whoever panicked meanwhile.
        let sending = self.inner.sending.lock();
        sending.unwrap_or_else(PoisonError::into_inner)
    }

    async fn send_all(self, gateway: String) {
        loop {
            match send_waiting(&self.inner.provisioning, &gateway).await {
                Ok(()) => {}
                Err(RepositoryError::Closed) => return,
                Err(error) => {
                    tracing::error!(gateway, %error, "queued calls wait: the repository failed");
                    tokio::time::sleep(RETRY).await;
                    continue;
                }
            }
            if !self.again(&gateway) {
                return;
            }
        }
    }
}

/// Sends what waits for a gateway, until nothing does or it is away.
async fn send_waiting(provisioning: &Provisioning, gateway: &str) -> Result<(), RepositoryError> {
    let queued = provisioning.repository.queued_calls();
    let mut under_way = JoinSet::new();
    let mut away = false;
    let mut failed = Ok(());
    loop {
        while !away && failed.is_ok() && under_way.len() < AT_ONCE {
            match queued.dispatch(gateway, clock::now()).await {
                Ok(Some(dispatched)) => {
                    under_way.spawn(carry_out(
                        provisioning.clone(),
                        gateway.to_owned(),
                        dispatched,
                    ));
                }
                Ok(None) => break,
                // Those under way come to their end first: what is sent must not lose its outcome.
                Err(error) => failed = Err(error),
            }
        }
        match under_way.join_next().await {
            None => return failed,
            Some(ended) => away |= matches!(ended, Ok(Progress::Away)),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    Ended,
    Away,
}

async fn carry_out(
    provisioning: Provisioning,
    gateway: String,
    dispatched: Dispatched,
) -> Progress {
    let Dispatched { call, payload } = dispatched;
    let id = call.call_id.clone();
    let wire = payload.map_err(|error| (kind_of(&error), error.to_string()));
    let wire = wire.and_then(|bytes| {
        let decoded = Call::decode(bytes.as_slice());
        decoded.map_err(|error| (FailureKind::Internal, error.to_string()))
    });
    let (outcome, afterwards) = match wire {
        Err((kind, error)) => (outcome::failed_with(id, kind, error), None),
        Ok(wire) => match send(&provisioning, &gateway, &call.resource, wire).await {
            Ok(Some((outcome, afterwards))) => (outcome, afterwards),
            Ok(None) => {
                put_back(&provisioning, &id).await;
                return Progress::Away;
            }
            Err(DispatchError::UnknownResource(_)) => {
                let message = "the resource was removed before the call was sent";
                let kind = FailureKind::NotFound;
                (outcome::failed_with(id, kind, message.to_owned()), None)
            }
            Err(error) => {
                tracing::error!(call = id, %error, "a queued call waits: it could not be made up");
                put_back(&provisioning, &id).await;
                return Progress::Away;
            }
        },
    };
    record(&provisioning, &call, &outcome).await;
    if let Some(afterwards) = afterwards {
        afterwards
            .carry_out(&provisioning.repository, &outcome)
            .await;
    }
    Progress::Ended
}

/// What came of a call whose payload is not to be had: nothing was sent.
const fn kind_of(error: &PayloadError) -> FailureKind {
    match error {
        PayloadError::Elsewhere { .. } => FailureKind::Unavailable,
        PayloadError::Missing { .. } | PayloadError::Changed(_) | PayloadError::Open(_) => {
            FailureKind::Internal
        }
    }
}

/// `None`: it was certainly not sent, and may be later.
async fn send(
    provisioning: &Provisioning,
    dispatched_for: &str,
    resource: &str,
    call: Call,
) -> Result<Option<(Outcome, Option<password::Afterwards>)>, DispatchError> {
    match prepare(provisioning, resource, call, None).await? {
        Prepared::Answered(outcome) => Ok(Some((outcome, None))),
        // The resource has moved meanwhile: the payload is not for that place.
        Prepared::Ready { gateway, .. } if gateway != dispatched_for => Ok(None),
        Prepared::Ready {
            gateway,
            call,
            afterwards,
        } => Ok(match provisioning.fleet.attempt(&gateway, *call).await? {
            Attempt::Ended(outcome) => Some((outcome, Some(afterwards))),
            Attempt::Unsent(_) => None,
        }),
    }
}

async fn put_back(provisioning: &Provisioning, call_id: &str) {
    let queued = provisioning.repository.queued_calls();
    // Where that fails it stays dispatched, and is indeterminate when the server starts again.
    match queued.put_back(call_id).await {
        Ok(true) => {}
        Ok(false) => tracing::error!(call = call_id, "{TAKEN_OVER}"),
        Err(error) => tracing::error!(call = call_id, %error, "a queued call was not put back"),
    }
}

/// Records what came of a call: as long as it takes, for until then no other goes to its resource.
async fn record(provisioning: &Provisioning, call: &QueuedCall, outcome: &Outcome) {
    let (state, stored) = storable(outcome.clone());
    let queued = provisioning.repository.queued_calls();
    loop {
        let ended = queued.end(&call.call_id, state, stored.clone(), clock::now());
        match ended.await {
            Ok(true) => break,
            // Whoever took it over records, and audits, what came of it.
            Ok(false) => {
                tracing::error!(call = call.call_id, "{TAKEN_OVER}");
                return;
            }
            Err(RepositoryError::Closed) => return,
            Err(error) => {
                tracing::error!(call = call.call_id, %error, "the outcome of a queued call is not stored yet");
                tokio::time::sleep(RETRY).await;
            }
        }
    }
    if provisioning.audit.calls() {
        let (audited, detail) = match &outcome.result {
            Some(OutcomeResult::Done(_)) => (audit::Outcome::Done, ""),
            Some(OutcomeResult::Failed(failure)) => {
                (audit::Outcome::Failed, failure.message.as_str())
            }
            Some(OutcomeResult::Indeterminate(it)) => {
                (audit::Outcome::Indeterminate, it.message.as_str())
            }
            None => (audit::Outcome::Indeterminate, ""),
        };
        let action = format!("queued call {}", call.summary);
        let object = format!("resource {}, call {}", call.resource, call.call_id);
        let draft = Draft::new(Subject::server(), &action, &object, audited);
        provisioning.audit.record(draft.detail(detail)).await;
    }
}

/// Takes over what earlier instances of the server had under way: that is never sent again.
async fn recover(provisioning: &Provisioning) -> Result<(), RepositoryError> {
    let queued = provisioning.repository.queued_calls();
    for call_id in queued.take_over().await? {
        let lost = outcome::indeterminate(
            call_id.clone(),
            "the server ended while the call was under way: look at the object before the call is made again",
        );
        let (state, stored) = storable(lost);
        queued.end(&call_id, state, stored, clock::now()).await?;
        tracing::warn!(call = call_id, "nobody knows what came of a queued call");
    }
    Ok(())
}

/// How the call stands, and its outcome without secrets.
fn storable(mut outcome: Outcome) -> (QueuedState, Vec<u8>) {
    for secret in outcome.secrets_mut() {
        *secret = portcullis_proto::gateway::v1::Secret::default();
    }
    let state = match &outcome.result {
        Some(OutcomeResult::Done(_)) => QueuedState::Done,
        Some(OutcomeResult::Failed(_)) => QueuedState::Failed,
        Some(OutcomeResult::Indeterminate(_)) | None => QueuedState::Indeterminate,
    };
    (state, outcome.encode_to_vec())
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
