//! The queue: calls that wait for a link to their gateway and for their turn, each begun at most
//! once.
//!
//! A call is marked as dispatched before it is sent. It is sent again only where it certainly was
//! not begun; one that has no outcome when the server starts is looked at first.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use portcullis_common::rotation::UnixMillis;
use portcullis_proto::gateway::v1::Call;
use prost::Message;
use zeroize::Zeroizing;

use super::entry::CallEntry;
use super::known::{Asked, Known, compare, look_up};
use super::lanes::lanes;
use super::mapping::Mapping;
use super::sending::{carry_out, send_waiting};
use super::{
    DispatchError, Provisioning, asking, check, journals, outcome, password, sending, sent,
    trace_id, with_id,
};
use crate::audit::AuditError;
use crate::audit::{Draft, Outcome, Subject};
use crate::config;
use crate::passwords::PasswordError;
use crate::repository::{
    AuditFields, Enqueued, NewQueuedCall, QueuedCall, RepositoryError, tell_refusal,
};

/// How long changes of the fleet are gathered before they are looked at.
pub(super) const GATHER: Duration = Duration::from_millis(20);
/// How long the server waits before it tries again what the repository refused.
pub(super) const RETRY: Duration = Duration::from_secs(5);
/// The longest time between two looks for expired calls and old results.
const LONGEST_SLEEP: Duration = Duration::from_hours(1);

/// Why a call was not queued. Nothing has changed.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// It is malformed.
    #[error("{0}")]
    Malformed(String),
    /// There is another call of that id.
    #[error(transparent)]
    Other(DispatchError),
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
                sending: Mutex::default(),
            }),
        }
    }

    /// Queues a call of any verb but `search`; `summary` says to people what it is. A call of the
    /// same id and the same contents is not queued again: the answer is the one there is.
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
        check(&mut call, super::By::Execute)
            .map_err(|flaw| QueueError::Malformed(flaw.to_string()))?;
        let provisioning = &self.inner.provisioning;
        let repository = &provisioning.repository;
        let asked_for = call.clone();
        let digest = provisioning.digest(resource, &call, from_user).await?;
        let asked = Asked {
            resource,
            call: &asked_for,
            from_user,
            digest: &digest,
        };
        let after = match look_up(provisioning, asked).await.map_err(of_known)? {
            Known::New => None,
            Known::After(attempt) => Some(attempt),
            Known::Same(existing) => return Ok(*existing),
        };
        if let Some(user) = from_user {
            password::fill_in(repository, &mut call, user).await?;
        }
        map(provisioning, resource, &mut call).await?;
        // Told now rather than in a week; it is held against the policy of that day once more when
        // it is sent.
        password::prepare(repository, resource, &call).await?;
        // The resource's, as they are when it is sent.
        call.settings.clear();
        call.secret_settings.clear();
        let now = provisioning.time.now();
        let new = NewQueuedCall {
            call_id: call.call_id.clone(),
            resource: resource.to_owned(),
            summary,
            lanes: lanes(&call),
            payload: Zeroizing::new(call.encode_to_vec()),
            queued: now,
            expires: now.plus(millis(self.inner.limits.queue_lifetime)),
            digest: digest.clone(),
            direct: None,
            after,
            retry_of: None,
            trace_id: trace_id(&call),
        };
        let existing = match self.put(new).await? {
            Enqueued::Existing(existing) => existing,
            Enqueued::New(call) => return Ok(call),
            Enqueued::Full { gateway } => return Err(self.full(gateway)),
            // Only of direct calls.
            Enqueued::Moved => return Err(RepositoryError::Closed.into()),
        };
        compare(asked, &existing).map_err(of_known)?;
        Ok(existing)
    }

    /// Puts a call into the queue.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub(super) async fn put(&self, new: NewQueuedCall) -> Result<Enqueued, RepositoryError> {
        let calls = self.inner.provisioning.repository.queued_calls();
        let put = calls.enqueue(new, self.inner.limits.queue_limit).await?;
        if matches!(put, Enqueued::New(_)) {
            self.inner.provisioning.turn.notify_one();
            self.inner.provisioning.queue_changed();
        }
        Ok(put)
    }

    pub(super) fn full(&self, gateway: String) -> QueueError {
        QueueError::Full {
            gateway,
            calls: self.inner.limits.queue_limit,
        }
    }

    /// When a call that is queued now expires.
    pub(super) fn lifetime(&self) -> u64 {
        millis(self.inner.limits.queue_lifetime)
    }

    /// What calls are carried out with.
    pub(super) fn provisioning(&self) -> &Provisioning {
        &self.inner.provisioning
    }

    /// Ends the calls that wait for an earlier registration of a gateway: they go to no other.
    /// Gives how many.
    ///
    /// # Errors
    /// [`RepositoryError`]: the rest ends once there is a link.
    pub async fn end_lost(&self, gateway: &str) -> Result<usize, RepositoryError> {
        let provisioning = &self.inner.provisioning;
        let queued = provisioning.repository.queued_calls();
        let lost = queued.lost_waiting(gateway).await?;
        let ended = lost.len();
        for lost in lost {
            carry_out(provisioning.clone(), gateway.to_owned(), lost).await;
        }
        Ok(ended)
    }

    /// Sends what waits whenever there is a link, and asks gateways for the ends of calls that
    /// nobody knows, until it is dropped. Begins with what the last run of the server left.
    pub async fn run(self) {
        let provisioning = &self.inner.provisioning;
        while let Err(error) = recover(provisioning).await {
            tell_refusal!(error, "the queue of calls waits: the repository failed");
            tokio::time::sleep(RETRY).await;
        }
        provisioning.queue_changed();
        tokio::join!(
            asking::follow(provisioning),
            journals::follow(provisioning),
            journals::watch(provisioning),
            self.send_for_ever()
        );
    }

    /// Takes over what servers that are gone had under way: it is looked at, as [`Self::run`] does
    /// with what it finds when it begins.
    ///
    /// # Errors
    /// [`RepositoryError`]: it is taken over when this is asked again.
    pub async fn take_over(&self) -> Result<(), RepositoryError> {
        let provisioning = &self.inner.provisioning;
        if take_over(provisioning).await? > 0 {
            provisioning.queue_changed();
        }
        Ok(())
    }

    /// Looks for what other servers did to calls: what waits for a gateway whose link is here is
    /// sent, what ended is told to it, whoever waits here for a call looks once more, and a call of
    /// which nobody knows what came is looked at by the server that has the link now.
    ///
    /// # Errors
    /// [`RepositoryError`]: some were not looked at.
    pub async fn heed_others(&self) -> Result<(), RepositoryError> {
        let provisioning = &self.inner.provisioning;
        let queued = provisioning.repository.queued_calls();
        provisioning.queue_changed();
        let awaited = queued.awaited_gateways(provisioning.time.now()).await?;
        let is_here = |gateway: &String| provisioning.fleet.status(gateway).is_some();
        if awaited.iter().any(is_here) {
            provisioning.turn.notify_one();
        }
        let untold = queued.gateways_unacknowledged().await?;
        let is_told = |gateway: &String| provisioning.keeps_journal(gateway) == Some(true);
        if untold.iter().any(is_told) {
            provisioning.ended.notify_one();
        }
        let handed = queued.hand_over().await?;
        if handed > 0 {
            tracing::info!(
                count = handed,
                "calls of which nobody knows what came are looked at by the servers that have the links now"
            );
        }
        if !queued.gateways_of_unknown().await?.is_empty() {
            provisioning.open.changed();
        }
        Ok(())
    }

    async fn send_for_ever(&self) {
        let provisioning = &self.inner.provisioning;
        loop {
            let changed = provisioning.fleet.changed();
            let sleep = self.look().await.unwrap_or_else(|error| {
                tell_refusal!(error, "the queue of calls waits: the repository failed");
                RETRY
            });
            tokio::select! {
                // A fleet that comes back changes thousands of times in a moment: one look will do
                // for many.
                () = changed => tokio::time::sleep(GATHER).await,
                () = provisioning.turn.notified() => {}
                () = tokio::time::sleep(sleep) => {}
            }
        }
    }

    /// Ends what has expired, and sees to every gateway that can be reached. Gives how long there
    /// is nothing to do.
    async fn look(&self) -> Result<Duration, RepositoryError> {
        let provisioning = &self.inner.provisioning;
        let queued = provisioning.repository.queued_calls();
        provisioning.time.keep(&provisioning.repository).await?;
        let now = provisioning.time.now();
        let before = |time| UnixMillis(now.0.saturating_sub(millis(time)));
        let erase = before(self.inner.limits.queue_lifetime);
        let forget = before(self.inner.limits.results_kept);
        let (next, expired) = queued.expire(now, erase, forget).await?;
        if !expired.is_empty() {
            provisioning.queue_changed();
        }
        // Of a direct call its caller has written how it ended.
        for call in expired.into_iter().filter(|call| !call.direct) {
            let fields = AuditFields {
                call_id: call.call_id,
                resource: call.resource.clone(),
                ..AuditFields::default()
            };
            let action = format!("queued call {}", call.summary);
            let object = format!("resource {}", call.resource);
            let entry = CallEntry::new(&provisioning.audit, || {
                Draft::new(Subject::server(), &action, &object, Outcome::Unknown).about(fields)
            });
            let why = "it waited beyond its time, and was not sent";
            entry.end(Outcome::Failed, why).await;
        }
        let awaited = match provisioning.fleet.is_drained() {
            true => Vec::new(),
            false => queued.awaited_gateways(now).await?,
        };
        for gateway in awaited {
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
        let provisioning = &self.inner.provisioning;
        loop {
            // Where the records are not those that the audit log knows, a call may have been put
            // back that was sent long ago.
            match provisioning.audit.ready().await {
                Ok(()) => {}
                Err(AuditError::Closed) => return,
                Err(error) => {
                    // The audit log says once why it takes none, and not for each gateway.
                    tracing::debug!(gateway, %error, "queued calls wait: the audit log takes no entries");
                    tokio::time::sleep(RETRY).await;
                    continue;
                }
            }
            match send_waiting(provisioning, &gateway).await {
                Ok(()) => {}
                Err(RepositoryError::Closed) => return,
                Err(error) => {
                    tell_refusal!(error, gateway, "queued calls wait: the repository failed");
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

/// Takes over what earlier instances of the server had under way: it is looked at. Goes on with the
/// time by which calls expire.
async fn recover(provisioning: &Provisioning) -> Result<(), RepositoryError> {
    provisioning.time.go_on(&provisioning.repository).await?;
    let queued = provisioning.repository.queued_calls();
    if let Err(AuditError::Disputed(_)) = provisioning.audit.ready().await {
        let count = queued.doubt_waiting().await?;
        tracing::error!(
            count,
            "queued calls are not sent: their records may be those of an earlier state"
        );
    }
    take_over(provisioning).await.map(drop)
}

/// Takes over what servers that are gone had under way. Gives how many calls nobody knows of since.
async fn take_over(provisioning: &Provisioning) -> Result<usize, RepositoryError> {
    let queued = provisioning.repository.queued_calls();
    let why = "the server ended while the call was under way: look at the object before the call is made again";
    let taken = queued.take_over(why).await?;
    if taken > 0 {
        tracing::warn!(
            count = taken,
            "nobody knows yet what came of calls that were under way when the server ended"
        );
    }
    end_direct(provisioning).await?;
    Ok(taken)
}

/// Direct calls that waited for their turn: nobody waits for them any more.
async fn end_direct(provisioning: &Provisioning) -> Result<(), RepositoryError> {
    let queued = provisioning.repository.queued_calls();
    for call in queued.abandoned().await? {
        let why = "the server ended before the call was sent";
        let outcome = sent::unsent(&call, why.to_owned());
        let (work, _) = queued.refuse(&call, sent::end_of(provisioning, &outcome))?;
        let entry = sending::entry(provisioning, &call, "", &Call::default());
        let repository = &provisioning.repository;
        entry.outcome_with(repository, &outcome, work).await;
        queued.waits_no_more(&call);
    }
    Ok(())
}

fn of_known(error: DispatchError) -> QueueError {
    match error {
        DispatchError::Repository(error) => error.into(),
        other => QueueError::Other(other),
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Turns a call into what the resource takes, as its mapping now is.
async fn map(
    provisioning: &Provisioning,
    resource: &str,
    call: &mut Call,
) -> Result<(), QueueError> {
    let found = provisioning.repository.resources().find(resource).await?;
    let rules = found.map(|resource| resource.mapping).unwrap_or_default();
    let mapped = Mapping::parse(&rules).and_then(|mapping| mapping.ask(call));
    mapped.map_err(|error| QueueError::Malformed(outcome::unmapped(resource, &error).message))
}
