//! The queue: calls that wait for a link to their gateway, each sent at most once.
//!
//! A call is marked as dispatched before it is sent. Whatever happens then, it is not sent again:
//! one that has no outcome when the server starts is indeterminate, unless its gateway can tell.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use portcullis_common::rotation::UnixMillis;
use portcullis_host::clock;
use portcullis_proto::gateway::v1::Call;
use prost::Message;
use tokio::sync::{Notify, OnceCell};
use zeroize::Zeroizing;

use super::contents::ContentsKey;
use super::entry::CallEntry;
use super::recent::OtherContents;
use super::recover::recover;
use super::sending::{carry_out, send_waiting};
use super::{Provisioning, check, open_calls, password, with_id};
use crate::audit::AuditError;
use crate::audit::{Draft, Outcome, Subject};
use crate::config;
use crate::passwords::PasswordError;
use crate::repository::{AuditFields, Enqueued, NewQueuedCall, QueuedCall, RepositoryError};

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
    #[error("call `{id}` was {how} with other contents: give this one another id, or none")]
    OtherCall {
        /// The id.
        id: String,
        /// `made` or `queued`.
        how: &'static str,
    },
    /// The same call was made directly.
    #[error(
        "call `{0}` was made already, and not through the queue: make it again without --queue, and you get what came of it"
    )]
    MadeAlready(String),
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
    digests: OnceCell<ContentsKey>,
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
                digests: OnceCell::new(),
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
        check(&mut call, false).map_err(|flaw| QueueError::Malformed(flaw.to_string()))?;
        let provisioning = &self.inner.provisioning;
        let repository = &provisioning.repository;
        let digest = self.digests().await?.digest(resource, &call, from_user);
        let queued = repository.queued_calls();
        if let Some(existing) = queued.find(&call.call_id).await? {
            return same(existing, resource, &summary, &digest.to_vec());
        }
        match provisioning.recent.check(resource, &call, from_user) {
            Ok(false) => {}
            Ok(true) => return Err(QueueError::MadeAlready(call.call_id)),
            Err(OtherContents) => return Err(other(call.call_id, "made")),
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
            digest: digest.to_vec(),
        };
        match queued.enqueue(new, self.inner.limits.queue_limit).await? {
            Enqueued::New(call) => {
                self.inner.woken.notify_one();
                self.inner.provisioning.queue_changed();
                Ok(call)
            }
            Enqueued::Existing(existing) => same(existing, resource, &summary, &digest.to_vec()),
            Enqueued::Full { gateway } => Err(QueueError::Full {
                gateway,
                calls: self.inner.limits.queue_limit,
            }),
        }
    }

    /// Ends the calls that wait for an earlier registration of a gateway: they go to no other.
    /// Gives how many.
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

    async fn digests(&self) -> Result<&ContentsKey, RepositoryError> {
        let repository = &self.inner.provisioning.repository;
        self.inner
            .digests
            .get_or_try_init(|| async {
                let bytes = repository.call_digest_key().await?;
                let key = ContentsKey::from_bytes(&bytes);
                key.ok_or_else(|| {
                    RepositoryError::Damaged("key of the digests of calls".to_owned())
                })
            })
            .await
    }

    /// Sends what waits whenever there is a link, and asks gateways for the ends of calls that
    /// nobody knows, until it is dropped. Begins with what the last run of the server left.
    pub async fn run(self) {
        let provisioning = &self.inner.provisioning;
        while let Err(error) = recover(provisioning).await {
            tracing::error!(%error, "the queue of calls waits: the repository failed");
            tokio::time::sleep(RETRY).await;
        }
        provisioning.queue_changed();
        tokio::join!(open_calls::follow(provisioning), self.send_for_ever());
    }

    async fn send_for_ever(&self) {
        let provisioning = &self.inner.provisioning;
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
        let (next, expired) = queued.expire(now, forget).await?;
        if !expired.is_empty() {
            provisioning.queue_changed();
        }
        for call in expired {
            let fields = AuditFields {
                call_id: call.call_id,
                resource: call.resource.clone(),
                ..AuditFields::default()
            };
            let action = format!("{}{}", open_calls::QUEUED, call.summary);
            let object = format!("resource {}", call.resource);
            let entry = CallEntry::new(&provisioning.audit, || {
                Draft::new(Subject::server(), &action, &object, Outcome::Unknown).about(fields)
            });
            let why = "it waited beyond its time, and was not sent";
            entry.end(Outcome::Failed, why).await;
        }
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
        let provisioning = &self.inner.provisioning;
        loop {
            // Where the records are not those that the audit log knows, a call may have been put
            // back that was sent long ago.
            match provisioning.audit.ready().await {
                Ok(()) => {}
                Err(AuditError::Closed) => return,
                Err(error) => {
                    tracing::warn!(gateway, %error, "queued calls wait: the audit log takes no entries");
                    tokio::time::sleep(RETRY).await;
                    continue;
                }
            }
            match send_waiting(provisioning, &gateway).await {
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

/// The call that is queued already, where it is the same.
fn same(
    existing: QueuedCall,
    resource: &str,
    summary: &str,
    digest: &[u8],
) -> Result<QueuedCall, QueueError> {
    let same = match &existing.digest {
        Some(before) => before == digest,
        // Queued by an earlier version.
        None => existing.resource == resource && existing.summary == summary,
    };
    match same {
        true => Ok(existing),
        false => Err(other(existing.call_id, "queued")),
    }
}

fn other(id: String, how: &'static str) -> QueueError {
    QueueError::OtherCall { id, how }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
