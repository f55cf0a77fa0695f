//! Whether new calls may go through a link: asked before each batch, looked up only where something
//! was committed since.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use portcullis_common::id::{GatewayId, KeyId};
use portcullis_common::rotation::{Scope, Standing};
use portcullis_common::stream::Session;

use crate::repository::{Repository, RepositoryError};

pub(super) const REVOKED: &str = "it is revoked: `portcullis gateway restore` lets it enrol again";
pub(super) const EVICTED: &str =
    "it was evicted: it may enrol again with the token from `portcullis gateway token`";
const UNRENEWED: &str = "this server has had no answer from the database of its repository for seven seconds, so another one may take over: nothing is sent until there is an answer";

/// Whether a call may go through a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MayCall {
    Yes,
    /// Not through this one: through the link that takes its place.
    ThroughSuccessor,
    /// Through none now, for this reason; the link stays.
    NotNow(&'static str),
    /// Through none, for this reason.
    No(&'static str),
}

/// What decides whether calls may go through a link.
#[derive(Clone, Debug)]
pub(super) struct Credentials {
    gateway_id: GatewayId,
    scope: Scope,
    key: KeyId,
    session: Arc<Session>,
}

impl Credentials {
    /// Of a link with this session, in which the gateway proved `key`.
    pub(super) const fn new(
        gateway_id: GatewayId,
        scope: Scope,
        key: KeyId,
        session: Arc<Session>,
    ) -> Self {
        Self {
            gateway_id,
            scope,
            key,
            session,
        }
    }

    /// Asks the repository: another server may have changed the answer.
    pub(super) async fn look(&self, repository: &Repository) -> Result<MayCall, RepositoryError> {
        let (gateway_id, scope, key) = (self.gateway_id, self.scope, self.key);
        let closed = self.session.is_closed();
        let looked = repository
            .gateways()
            .look(gateway_id, move |registration, keys| {
                match registration.standing {
                    Standing::Revoked => MayCall::No(REVOKED),
                    Standing::Evicted => MayCall::No(EVICTED),
                    Standing::Admitted
                        if !closed && registration.may_call(gateway_id, scope, key, keys) =>
                    {
                        MayCall::Yes
                    }
                    Standing::Admitted => MayCall::ThroughSuccessor,
                }
            })
            .await;
        match looked {
            Err(RepositoryError::NotFound { .. }) => Ok(MayCall::No(
                "it was registered anew, and has not enrolled again yet",
            )),
            // Asked last: the answer took time as well.
            Ok(_) if !repository.database().may_act() => Ok(MayCall::NotNow(UNRENEWED)),
            other => other,
        }
    }
}

/// Lets calls through a link for as long as they may go.
pub(super) struct Gate {
    repository: Repository,
    credentials: Credentials,
    /// The state of the repository in which they last might.
    open_in: Option<i64>,
    looking: Option<Look>,
}

struct Look {
    state: Option<i64>,
    /// What other servers had withdrawn when it began.
    withdrawn: u64,
    /// The call that was submitted last when it began.
    last: u64,
    may: Pin<Box<dyn Future<Output = bool> + Send>>,
}

/// Which calls may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    UpTo(u64),
    None,
}

impl Gate {
    pub(super) const fn new(repository: Repository, credentials: Credentials) -> Self {
        Self {
            repository,
            credentials,
            open_in: None,
            looking: None,
        }
    }

    /// Which calls may go, of those up to `last`, the one submitted last: the answer is never older
    /// than the call. Waits only where something was committed since this was last asked, by
    /// whichever process.
    pub(super) fn poll(&mut self, last: u64, cx: &mut Context<'_>) -> Poll<Verdict> {
        loop {
            if let Some(looking) = &mut self.looking {
                let may = ready!(looking.may.as_mut().poll(cx));
                let (state, asked) = (looking.state, looking.last);
                let withdrawn = looking.withdrawn;
                self.looking = None;
                if may && withdrawn != self.repository.database().withdrawals() {
                    continue;
                }
                self.open_in = state.filter(|_| may);
                return Poll::Ready(if may {
                    Verdict::UpTo(asked)
                } else {
                    Verdict::None
                });
            }
            let state = self.repository.database().state();
            if state.is_some() && state == self.open_in {
                return Poll::Ready(Verdict::UpTo(last));
            }
            let withdrawn = self.repository.database().withdrawals();
            let (repository, credentials) = (self.repository.clone(), self.credentials.clone());
            // An error is told to the callers, who ask again by themselves.
            let may =
                async move { matches!(credentials.look(&repository).await, Ok(MayCall::Yes)) };
            self.looking = Some(Look {
                state,
                withdrawn,
                last,
                may: Box::pin(may),
            });
        }
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate")
            .field("credentials", &self.credentials)
            .field("open_in", &self.open_in)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
