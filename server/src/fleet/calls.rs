//! Calls through a link: sent at most once, and whatever becomes of them has an outcome.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use portcullis_common::handshake::{CallSecrets, Way};
use portcullis_common::rotation::Standing;
use portcullis_proto::gateway::v1::{
    Call, Failure, FailureKind, Indeterminate, Outcome, PingRequest, SearchEnd, SearchItem,
    outcome, search_item,
};
use rand::Rng as _;
use tokio::time::{Instant, timeout, timeout_at};
use tonic::{Code, Status};

use super::link::Link;
use super::roster::REPLACEMENT;
use super::secrets::{open_answer, seal_call};
use super::transport::SendError;
use super::{CallError, Fleet, SearchStream, printable};
use crate::repository::{Gateway, Reach, RepositoryError};

/// How much longer than the gateway the server waits for an outcome.
const GRACE: Duration = Duration::from_secs(10);
/// How long the server waits where the call leaves the time to the gateway.
const LONGEST: Duration = Duration::from_mins(15);
const PING_TIMEOUT: Duration = Duration::from_secs(10);
const REVOKED: &str = "it is revoked: `portcullis gateway restore` lets it enrol again";
const EVICTED: &str =
    "it was evicted: it may enrol again with the token from `portcullis gateway token`";
/// Random bytes that a ping carries.
const PING_LEN: usize = 32;

impl Fleet {
    /// Carries out one call of any verb but `search`. The outcome says what came of it, also where no link was there
    /// (failed, unavailable) or it was lost on the way (indeterminate). A call is never sent twice.
    ///
    /// # Errors
    /// [`CallError::Repository`]: nothing was sent.
    pub async fn execute(&self, gateway: &str, call: Call) -> Result<Outcome, CallError> {
        let call_id = call.call_id.clone();
        Ok(match self.attempt(gateway, call).await? {
            Attempt::Ended(outcome) => outcome,
            Attempt::Unsent(message) => failed(call_id, FailureKind::Unavailable, message),
        })
    }

    /// As [`Self::execute`], but tells a call that was certainly not sent from one that failed.
    ///
    /// # Errors
    /// [`CallError::Repository`]: nothing was sent.
    pub async fn attempt(&self, gateway: &str, mut call: Call) -> Result<Attempt, RepositoryError> {
        let call_id = call.call_id.clone();
        let link = match self.link_for_call(gateway).await {
            Ok(link) => link,
            Err(CallError::Repository(error)) => return Err(error),
            Err(error) => return Ok(Attempt::Unsent(error.to_string())),
        };
        let wait = patience(&call);
        let exporter = link.session().exporter();
        seal_call(exporter, &mut call);
        let answers = CallSecrets::new(exporter, Way::Answer, &call_id);
        let answer = async { link.provisioning().execute(call).await };
        Ok(Attempt::Ended(match timeout(wait, answer).await {
            Ok(Ok(outcome)) => checked(outcome.into_inner(), call_id, answers),
            Ok(Err(status)) => match what_is_known(gateway, &status) {
                Known::Unsent(message) => return Ok(Attempt::Unsent(message)),
                Known::NothingBegun(failure) => Outcome {
                    call_id,
                    result: Some(outcome::Result::Failed(failure)),
                },
                Known::Nothing(message) => indeterminate(call_id, message),
            },
            Err(_) => indeterminate(
                call_id,
                format!(
                    "gateway `{gateway}` did not answer within {} s: look at the resource before the call is made again",
                    wait.as_secs()
                ),
            ),
        }))
    }

    /// Carries out a `search`.
    ///
    /// # Errors
    /// [`CallError::Repository`]: nothing was sent.
    pub async fn search(&self, gateway: &str, mut call: Call) -> Result<SearchStream, CallError> {
        let link = match self.link_for_call(gateway).await {
            Ok(link) => link,
            Err(CallError::Repository(error)) => return Err(error.into()),
            Err(error) => {
                let end = failed_end(FailureKind::Unavailable, error.to_string());
                return Ok(SearchStream {
                    items: Box::pin(stream::iter([end])),
                });
            }
        };
        let exporter = link.session().exporter();
        seal_call(exporter, &mut call);
        let search = Search {
            answers: CallSecrets::new(exporter, Way::Answer, &call.call_id),
            gateway: gateway.to_owned(),
            wait: patience(&call),
            state: SearchState::Start(link, Box::new(call)),
        };
        Ok(SearchStream {
            items: Box::pin(stream::unfold(search, Search::next)),
        })
    }

    /// A round trip through the sealed channel. Where there is no link and the server dials this gateway, it dials at once.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn ping(&self, gateway: &str) -> Result<Duration, CallError> {
        let lost = |reason: String| CallError::Lost {
            gateway: gateway.to_owned(),
            reason,
        };
        self.dial_now(gateway).await?;
        let link = self.link_for_call(gateway).await?;
        let mut payload = vec![0; PING_LEN];
        rand::rng().fill_bytes(payload.as_mut_slice());
        let request = PingRequest {
            payload: payload.clone(),
        };
        let begun = Instant::now();
        let answer = timeout(PING_TIMEOUT, async { link.control().ping(request).await })
            .await
            .map_err(|_| lost(format!("no answer within {} s", PING_TIMEOUT.as_secs())))?
            .map_err(|status| lost(printable(status.message())))?;
        let taken = begun.elapsed();
        if answer.into_inner().payload != payload {
            return Err(lost("it answered with another payload".to_owned()));
        }
        Ok(taken)
    }

    /// Rather than wait for the next attempt, where there is one to come.
    async fn dial_now(&self, gateway: &str) -> Result<(), RepositoryError> {
        if self.inner.roster.standing(gateway).link.is_some() {
            return Ok(());
        }
        let row = self.inner.repository.gateways().find(gateway).await?;
        let dialled = row.is_some_and(|row| {
            matches!(row.reach, Reach::Address(_))
                && row.registration.standing == Standing::Admitted
        });
        if dialled {
            self.inner.roster.await_link(gateway);
            self.wake(gateway);
        }
        Ok(())
    }

    /// The link that a new call may go through. Where one is just being replaced, its successor.
    async fn link_for_call(&self, gateway: &str) -> Result<Arc<Link>, CallError> {
        let roster = &self.inner.roster;
        let deadline = Instant::now() + REPLACEMENT;
        let mut changes = roster.changes();
        loop {
            changes.mark_unchanged();
            let standing = roster.standing(gateway);
            match standing.link {
                Some(link) => match self.may_call(&link).await? {
                    MayCall::Yes => return Ok(link),
                    // Another server proved a newer key, or the link is just going.
                    MayCall::ThroughSuccessor => self.replace(&link),
                    MayCall::No(reason) => {
                        self.close(gateway).await;
                        return Err(CallError::NotConnected {
                            gateway: gateway.to_owned(),
                            reason: reason.to_owned(),
                        });
                    }
                },
                None if standing.awaited => {}
                None => return Err(self.not_connected(gateway).await?),
            }
            // An error says that it took too long.
            if timeout_at(deadline, changes.changed()).await.is_err() {
                return Err(self.not_connected(gateway).await?);
            }
        }
    }

    /// May a new call go through this link? Asks the repository: another server may have changed the answer.
    pub(super) async fn may_call(&self, link: &Link) -> Result<MayCall, RepositoryError> {
        let (gateway_id, scope, key) = (link.gateway_id(), link.scope, link.info().key_id);
        let closed = link.session().is_closed();
        let looked = self
            .inner
            .repository
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
            other => other,
        }
    }

    async fn not_connected(&self, gateway: &str) -> Result<CallError, RepositoryError> {
        let row = self.inner.repository.gateways().find(gateway).await?;
        let reason = row.map_or_else(|| "there is no gateway of that name".to_owned(), why_away);
        Ok(CallError::NotConnected {
            gateway: gateway.to_owned(),
            reason: format!(
                "{reason}; nothing was sent, and `portcullis gateway show {gateway}` tells more"
            ),
        })
    }
}

fn why_away(row: Gateway) -> String {
    let standing = match row.registration.standing {
        Standing::Revoked => Some(REVOKED),
        Standing::Evicted => Some(EVICTED),
        Standing::Admitted => None,
    };
    let awaited = match row.reach {
        Reach::Address(_) => "it is being dialled",
        Reach::DialOut => {
            "it is to dial this server and does not: look whether it is enrolled and runs"
        }
    };
    match (standing, row.last_error) {
        (Some(standing), _) => standing.to_owned(),
        (None, Some(error)) => error,
        (None, None) => awaited.to_owned(),
    }
}

/// What became of an attempt to have a call carried out.
#[derive(Clone, Debug)]
pub enum Attempt {
    /// It came to an end.
    Ended(Outcome),
    /// It was certainly not sent, for this reason.
    Unsent(String),
}

/// Whether a call may go through a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MayCall {
    Yes,
    /// Not through this one: through the link that takes its place.
    ThroughSuccessor,
    /// Through none, for this reason.
    No(&'static str),
}

/// What a status leaves to know of its call.
enum Known {
    Unsent(String),
    NothingBegun(Failure),
    Nothing(String),
}

fn what_is_known(gateway: &str, status: &Status) -> Known {
    let failure = |kind, message: String| {
        Known::NothingBegun(Failure {
            kind: kind as i32,
            message,
        })
    };
    // A status that the gateway sent has no source; one that was made here has.
    if let Some(source) = status.source() {
        let unsent = source
            .downcast_ref::<SendError>()
            .is_some_and(|error| error.unsent);
        return if unsent {
            Known::Unsent(format!(
                "the link to gateway `{gateway}` was lost before the call was sent"
            ))
        } else {
            Known::Nothing(format!(
                "the link to gateway `{gateway}` was lost after the call was sent: look at the resource before the call is made again"
            ))
        };
    }
    let said = printable(status.message());
    match status.code() {
        Code::InvalidArgument => failure(FailureKind::Invalid, said),
        Code::PermissionDenied | Code::Unauthenticated => failure(FailureKind::Refused, said),
        Code::Unimplemented => failure(FailureKind::Unsupported, said),
        Code::ResourceExhausted => failure(FailureKind::Busy, said),
        code => Known::Nothing(format!(
            "gateway `{gateway}` gave no outcome ({code}: {said}): look at the resource before the call is made again"
        )),
    }
}

fn patience(call: &Call) -> Duration {
    match call.timeout_ms {
        0 => LONGEST,
        millis => Duration::from_millis(millis.into()) + GRACE,
    }
}

/// An outcome has to say something, and about this call.
fn checked(mut outcome: Outcome, call_id: String, mut answers: CallSecrets) -> Outcome {
    if outcome.result.is_some()
        && outcome.call_id == call_id
        && open_answer(&mut answers, outcome.secrets_mut()).is_ok()
    {
        outcome
    } else {
        indeterminate(
            call_id,
            "the gateway's answer is not about this call, says nothing, or holds a secret that was not sealed for this server: look at the resource before the call is made again, and at the versions on both sides".to_owned(),
        )
    }
}

fn failed(call_id: String, kind: FailureKind, message: String) -> Outcome {
    Outcome {
        call_id,
        result: Some(outcome::Result::Failed(Failure {
            kind: kind as i32,
            message,
        })),
    }
}

fn indeterminate(call_id: String, message: String) -> Outcome {
    Outcome {
        call_id,
        result: Some(outcome::Result::Indeterminate(Indeterminate { message })),
    }
}

fn failed_end(kind: FailureKind, message: String) -> SearchItem {
    SearchItem {
        kind: Some(search_item::Kind::End(SearchEnd {
            next_cookie: Vec::new(),
            failure: Some(Failure {
                kind: kind as i32,
                message,
            }),
        })),
    }
}

/// A search on its way.
struct Search {
    gateway: String,
    answers: CallSecrets,
    /// Between two items.
    wait: Duration,
    state: SearchState,
}

enum SearchState {
    Start(Arc<Link>, Box<Call>),
    /// Holds the link, which therefore stays open.
    Running(Arc<Link>, Box<tonic::Streaming<SearchItem>>),
    Ended,
}

impl Search {
    async fn next(mut self) -> Option<(SearchItem, Self)> {
        let (link, mut items) = match std::mem::replace(&mut self.state, SearchState::Ended) {
            SearchState::Ended => return None,
            SearchState::Running(link, items) => (link, items),
            SearchState::Start(link, call) => {
                let answer = async { link.provisioning().search(*call).await };
                match timeout(self.wait, answer).await {
                    Ok(Ok(response)) => (link, Box::new(response.into_inner())),
                    Ok(Err(status)) => return Some(self.broken(&status)),
                    Err(_) => return Some(self.too_slow()),
                }
            }
        };
        match timeout(self.wait, items.next()).await {
            Ok(Some(Ok(mut item))) => {
                if open_answer(&mut self.answers, item.secrets_mut()).is_err() {
                    return Some(
                        self.incomplete("it gave a secret that was not sealed for this server"),
                    );
                }
                if !matches!(item.kind, Some(search_item::Kind::End(_))) {
                    self.state = SearchState::Running(link, items);
                }
                Some((item, self))
            }
            Ok(Some(Err(status))) => Some(self.broken(&status)),
            Ok(None) => Some(self.incomplete("it ended without saying so")),
            Err(_) => Some(self.too_slow()),
        }
    }

    fn broken(self, status: &Status) -> (SearchItem, Self) {
        match what_is_known(&self.gateway, status) {
            Known::NothingBegun(failure) => {
                let kind = FailureKind::try_from(failure.kind).unwrap_or(FailureKind::Internal);
                (failed_end(kind, failure.message), self)
            }
            Known::Unsent(message) => (failed_end(FailureKind::Unavailable, message), self),
            Known::Nothing(_) => self.incomplete("the link was lost"),
        }
    }

    fn too_slow(self) -> (SearchItem, Self) {
        let reason = format!("nothing came for {} s", self.wait.as_secs());
        self.incomplete(&reason)
    }

    fn incomplete(self, reason: &str) -> (SearchItem, Self) {
        let message = format!(
            "the search through gateway `{}` is incomplete ({reason}): search again",
            self.gateway
        );
        (failed_end(FailureKind::Unavailable, message), self)
    }
}
