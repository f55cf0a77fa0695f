//! Calls through a link: sent at most once, and whatever becomes of them has an outcome.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use portcullis_common::calls::{Answer, NotSubmitted, Refusal, Unsent};
use portcullis_common::id::GatewayId;
use portcullis_common::rotation::Standing;
use portcullis_common::stream::{open_call, open_outcome, seal_call};
use portcullis_proto::gateway::v1::{
    AcknowledgeRequest, Call, Failure, FailureKind, FinishedCall, FinishedRequest, Indeterminate,
    Outcome, PingRequest, outcome,
};
use portcullis_watch::traces::{Key, Kind, Span};
use portcullis_watch::{failure_name, outcome_name};
use prost::Message as _;
use rand::Rng as _;
use tokio::time::{Instant, timeout, timeout_at};
use tonic::{Code, Status};

use super::call_stream::UnderWay;
use super::establish::in_time;
use super::gate::{EVICTED, MayCall, REVOKED};
use super::link::Link;
use super::roster::REPLACEMENT;
use super::transport::SendError;
use super::{CallError, Fleet, Recipient, printable};
use crate::repository::{Gateway, Reach, RepositoryError};

/// How much longer than the gateway the server waits for an outcome.
const GRACE: Duration = Duration::from_secs(10);
/// How long a gateway takes at most that has not said so: what it takes where nothing is set.
const CALL_TIMEOUT: Duration = Duration::from_mins(1);
const PING_TIMEOUT: Duration = Duration::from_secs(10);
const ASK_TIMEOUT: Duration = Duration::from_secs(10);
/// Calls that a gateway is asked for at once.
pub const MAX_ASKED: usize = 64;
/// Calls of which a gateway is told at once.
pub const MAX_ACKNOWLEDGED: usize = 512;
/// Links that a call may be given to before one takes it.
const LINKS: u32 = 3;
/// Why calls do not go through a link.
const TOO_OLD: &str = "its version is too old for several servers on one repository: it gets calls only while a single one stands; update the gateway";
/// Random bytes that a ping carries.
const PING_LEN: usize = 32;

impl Fleet {
    /// Carries out one call of any verb but `search`. The outcome says what came of it, also where
    /// no link was there (failed, unavailable) or it was lost on the way (indeterminate). A call is
    /// never sent twice.
    ///
    /// # Errors
    /// [`CallError::Repository`]: nothing was sent.
    pub async fn execute(
        &self,
        to: impl Into<Recipient>,
        call: Call,
    ) -> Result<Outcome, CallError> {
        let call_id = call.call_id.clone();
        Ok(match self.attempt(&to.into(), call).await? {
            Attempt::Ended(outcome) | Attempt::Lost(outcome) => outcome,
            Attempt::Unsent(message) => failed(call_id, FailureKind::Unavailable, message),
        })
    }

    /// As [`Self::execute`], but tells a call that was certainly not sent from one that failed.
    ///
    /// # Errors
    /// [`CallError::Repository`]: nothing was sent.
    pub async fn attempt(&self, to: &Recipient, call: Call) -> Result<Attempt, RepositoryError> {
        self.attempt_again(to, call, None).await
    }

    /// The same of a call that was sent before, or may have been: to a gateway that keeps a
    /// journal, its id is `again` where there is one, to any other its own. It is sent only to one
    /// that has said which of the two it is, and a look only to one that keeps a journal.
    ///
    /// # Errors
    /// As [`Self::attempt`].
    pub async fn attempt_again(
        &self,
        to: &Recipient,
        mut call: Call,
        again: Option<String>,
    ) -> Result<Attempt, RepositoryError> {
        let (verb, begun) = (call.verb_name(), Instant::now());
        let _under_way = Arc::clone(&self.inner.under_way);
        let span = self.begin(to, &mut call);
        let attempt = self.try_call(to, call, again).await?;
        let outcome = match &attempt {
            Attempt::Ended(outcome) | Attempt::Lost(outcome) => outcome_name(outcome),
            Attempt::Unsent(_) => failure_name(FailureKind::Unavailable),
        };
        let calls = &self.inner.measured.calls;
        calls.ended(verb, outcome, begun.elapsed());
        span.end(outcome);
        Ok(attempt)
    }

    /// A call is sent to a gateway: what is done there belongs to this span.
    pub(super) fn begin(&self, to: &Recipient, call: &mut Call) -> Span {
        let trace = self.tracer().continued(&call.traceparent);
        let mut span = trace.begin(Kind::Client, "gateway");
        span.set(Key::Verb, call.verb_name());
        span.set_name(Key::Gateway, to.name());
        span.set_name(Key::Connector, &call.connector);
        call.traceparent = span.trace().traceparent();
        span
    }

    async fn try_call(
        &self,
        to: &Recipient,
        mut call: Call,
        again: Option<String>,
    ) -> Result<Attempt, RepositoryError> {
        let gateway = to.name();
        let ids = (call.call_id.clone(), again);
        let mut links = 0;
        let mut before: Option<Arc<Link>> = None;
        loop {
            links += 1;
            let link = match self.link_for_call(to, links > 1).await {
                Ok(link) => link,
                Err(CallError::Repository(error)) => return Err(error),
                Err(error) => return Ok(Attempt::Unsent(error.to_string())),
            };
            if let Err(why) = fit(&link, before.take(), &mut call, &ids).await {
                return Ok(Attempt::Unsent(why));
            }
            let wait = patience(call.timeout_ms, link.call_timeout());
            let known = match self.submit(&link, &mut call, wait) {
                Ok(mut under_way) => match under_way.next().await {
                    Answer::End(answer) => {
                        let exporter = link.session().exporter();
                        let outcome = Outcome::decode(answer).ok().and_then(|mut outcome| {
                            let sound = outcome.result.is_some()
                                && outcome.call_id == call.call_id
                                && open_outcome(exporter, &mut outcome).is_ok();
                            sound.then_some(outcome)
                        });
                        Known::Ended(outcome)
                    }
                    other => known(gateway, other, under_way.refusal(), wait),
                },
                Err(error) => not_submitted(error),
            };
            let failed = match known {
                Known::Ended(Some(outcome)) => return Ok(Attempt::Ended(outcome)),
                Known::Ended(None) => indeterminate(std::mem::take(&mut call.call_id), "the gateway's answer is not about this call, says nothing, or holds a secret that was not sealed for this server: look at the resource before the call is made again, and at the versions on both sides".to_owned()),
                Known::ThroughAnother if links < LINKS => {
                    before = Some(link);
                    continue;
                }
                Known::ThroughAnother => return Ok(Attempt::Unsent(no_link(gateway))),
                Known::Unsent(message) => return Ok(Attempt::Unsent(message)),
                Known::NothingBegun(failure) => Outcome {
                    call_id: std::mem::take(&mut call.call_id),
                    result: Some(outcome::Result::Failed(failure)),
                },
                Known::Nothing(message) => {
                    let call_id = std::mem::take(&mut call.call_id);
                    return Ok(Attempt::Lost(indeterminate(call_id, message)));
                }
            };
            return Ok(Attempt::Ended(failed));
        }
    }

    /// Seals a call for a link, and submits it there.
    pub(super) fn submit(
        &self,
        link: &Arc<Link>,
        call: &mut Call,
        wait: Duration,
    ) -> Result<UnderWay, NotSubmitted> {
        if self.is_too_old(link) {
            return Err(NotSubmitted::Closed);
        }
        seal_call(link.session().exporter(), call);
        let encoded = call.encode_to_vec().into();
        let settings = &self.inner.settings;
        link.submit(
            encoded,
            wait,
            &self.inner.repository,
            settings.renewals.as_ref(),
        )
    }

    /// What a gateway remembers of calls of which no answer came, [`MAX_ASKED`] at most.
    ///
    /// # Errors
    /// [`AskError`]; `Away` also where the gateway of that name has another registration.
    pub async fn finished(
        &self,
        gateway: &str,
        id: GatewayId,
        call_ids: Vec<String>,
    ) -> Result<Vec<FinishedCall>, AskError> {
        let link = self.link_of(gateway, id)?;
        let request = FinishedRequest { call_ids };
        let asked = async { link.control().finished(request).await };
        match timeout(ASK_TIMEOUT, asked).await {
            Ok(Ok(answer)) => Ok(answer.into_inner().calls),
            Ok(Err(status)) if status.code() == Code::Unimplemented => Err(AskError::Unknown),
            Ok(Err(_)) | Err(_) => Err(AskError::Away),
        }
    }

    fn link_of(&self, gateway: &str, id: GatewayId) -> Result<Arc<Link>, AskError> {
        let link = self.inner.roster.standing(gateway).link;
        let link = link.filter(|link| link.gateway_id() == id);
        link.ok_or(AskError::Away)
    }

    /// Tells a gateway that the outcomes of these calls are stored, [`MAX_ACKNOWLEDGED`] at most.
    ///
    /// # Errors
    /// As [`Self::finished`].
    pub async fn acknowledge(
        &self,
        gateway: &str,
        id: GatewayId,
        call_ids: Vec<String>,
    ) -> Result<(), AskError> {
        let link = self.link_of(gateway, id)?;
        let request = AcknowledgeRequest { call_ids };
        let told = async { link.control().acknowledge(request).await };
        match timeout(ASK_TIMEOUT, told).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(status)) if status.code() == Code::Unimplemented => Err(AskError::Unknown),
            Ok(Err(_)) | Err(_) => Err(AskError::Away),
        }
    }

    /// A round trip through the sealed channel. Where there is no link and the server dials this
    /// gateway, it dials at once.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn ping(&self, gateway: &str) -> Result<Duration, CallError> {
        let lost = |reason: String| CallError::Lost {
            gateway: gateway.to_owned(),
            reason,
        };
        self.dial_now(gateway).await?;
        let link = self.link_for_control(gateway).await?;
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

    /// As for a call; a gateway that is too old for calls is watched all the same.
    pub(super) async fn link_for_control(&self, gateway: &str) -> Result<Arc<Link>, CallError> {
        if let Some(link) = self.inner.roster.standing(gateway).link
            && self.is_too_old(&link)
        {
            let may = link.credentials().look(&self.inner.repository).await?;
            if matches!(may, MayCall::Yes) {
                return Ok(link);
            }
        }
        self.link_for_call(&gateway.into(), true).await
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
    /// Whether calls may go through it at all is asked by the link itself, before it sends any, or
    /// with `look` at once. A link to another registration than the call is for is none.
    pub(super) async fn link_for_call(
        &self,
        to: &Recipient,
        look: bool,
    ) -> Result<Arc<Link>, CallError> {
        let gateway = to.name();
        let roster = &self.inner.roster;
        if !look
            && let Some(link) = roster.standing(gateway).link
            && link.takes_calls()
        {
            to.check(&link)?;
            return Ok(link);
        }
        let deadline = Instant::now() + REPLACEMENT;
        let mut changes = roster.changes_of(gateway);
        let mut asked = None;
        loop {
            changes.mark_unchanged();
            let standing = roster.standing(gateway);
            match standing.link {
                Some(link) => match self.may_call(&link).await? {
                    MayCall::Yes => {
                        to.check(&link)?;
                        return Ok(link);
                    }
                    // Another server proved a newer key, or the link is just going.
                    // A successor that does not come is not asked for at each change.
                    MayCall::ThroughSuccessor if asked == Some(link.info().session_id) => {}
                    MayCall::ThroughSuccessor if self.is_anothers(&link).await? => {
                        return Err(CallError::NotConnected {
                            gateway: gateway.to_owned(),
                            reason: "another server has its link by now: nothing was sent"
                                .to_owned(),
                        });
                    }
                    MayCall::ThroughSuccessor => {
                        asked = Some(link.info().session_id);
                        self.succeed(&link);
                    }
                    MayCall::NotNow(reason) => {
                        return Err(CallError::NotConnected {
                            gateway: gateway.to_owned(),
                            reason: reason.to_owned(),
                        });
                    }
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

    /// May a new call go through this link? Asks the repository: another server may have changed
    /// the answer.
    pub(super) async fn may_call(&self, link: &Link) -> Result<MayCall, RepositoryError> {
        let may = link.credentials().look(&self.inner.repository).await?;
        Ok(match may {
            MayCall::Yes if self.is_too_old(link) => MayCall::NotNow(TOO_OLD),
            MayCall::Yes if !link.takes_calls() => MayCall::ThroughSuccessor,
            may => may,
        })
    }

    /// Whether the row of a link is another server's by now: this one is let come to its end.
    pub(super) async fn is_anothers(&self, link: &Link) -> Result<bool, RepositoryError> {
        if self.inner.shares.is_none() {
            return Ok(false);
        }
        let repository = &self.inner.repository;
        let row = repository.gateways().link(link.gateway_id()).await?;
        let own = repository.database().instance();
        Ok(row.is_some_and(|row| row.holder != own))
    }

    /// Whether several servers stand, of which its gateway cannot tell which to obey.
    fn is_too_old(&self, link: &Link) -> bool {
        link.is_for_one_server() && !self.is_alone()
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

/// Makes a call fit for a link: its secrets, which were sealed for the link `before`, are open
/// again, and its id is that by which this gateway is to know it.
async fn fit(
    link: &Link,
    before: Option<Arc<Link>>,
    call: &mut Call,
    (own, again): &(String, Option<String>),
) -> Result<(), String> {
    let gateway = &link.gateway;
    if let Some(before) = before
        && open_call(before.session().exporter(), call).is_err()
    {
        return Err(no_link(gateway));
    }
    if again.is_none() && !call.look {
        return Ok(());
    }
    if link.keeps_journal().is_none() {
        // An error shows in what is still not known.
        let _ = in_time(link.describe()).await;
    }
    call.call_id = match (link.keeps_journal(), again) {
        (None, _) => {
            return Err(format!(
                "gateway `{gateway}` has not said yet whether it keeps a journal of calls: nothing was sent"
            ));
        }
        // It would carry the call out.
        (Some(false), _) if call.look => {
            return Err(format!(
                "gateway `{gateway}` keeps no journal of calls, and cannot look for one: nothing was sent"
            ));
        }
        (Some(true), Some(again)) => again.clone(),
        (Some(_), _) => own.clone(),
    };
    Ok(())
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

/// Why a gateway does not say what it remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AskError {
    /// It is of an earlier version, and remembers nothing.
    Unknown,
    /// There is no link, or it gave no answer.
    Away,
}

/// What became of an attempt to have a call carried out.
#[derive(Clone, Debug)]
pub enum Attempt {
    /// It came to an end.
    Ended(Outcome),
    /// It was sent, perhaps, and no answer came: indeterminate, unless the gateway can tell later.
    Lost(Outcome),
    /// It was certainly not sent, for this reason.
    Unsent(String),
}

/// What is known of a call once its answer has come, or none will.
pub(super) enum Known {
    /// An outcome, where it is one.
    Ended(Option<Outcome>),
    /// Nothing was sent, and another link may take it.
    ThroughAnother,
    Unsent(String),
    NothingBegun(Failure),
    Nothing(String),
}

/// What is known of a call that came to another end than an answer.
pub(super) fn known(
    gateway: &str,
    answer: Answer,
    refusal: Option<Status>,
    wait: Duration,
) -> Known {
    match answer {
        Answer::Item(_) | Answer::End(_) => Known::Ended(None),
        Answer::Refused(Refusal { kind, message }) => Known::NothingBegun(Failure {
            kind: told_kind(kind),
            message: printable(&message),
            ..Failure::default()
        }),
        Answer::Unsent(Unsent::Draining | Unsent::HeldBack) => Known::ThroughAnother,
        Answer::Unsent(Unsent::Lost) => Known::Unsent(format!(
            "the link to gateway `{gateway}` was lost before the call was sent"
        )),
        Answer::Expired { sent: false } => Known::Unsent(format!(
            "gateway `{gateway}` took no call within {} s: nothing was sent",
            wait.as_secs()
        )),
        Answer::Expired { sent: true } => Known::Nothing(format!(
            "gateway `{gateway}` did not answer within {} s: look at the resource before the call is made again",
            wait.as_secs()
        )),
        Answer::Lost => match refusal {
            Some(status) => refused(gateway, &status),
            None => lost(gateway),
        },
    }
}

/// That a call came too late is the servers' own concern: for whoever made it, the gateway was
/// away.
fn told_kind(kind: i32) -> i32 {
    match FailureKind::try_from(kind) {
        Ok(FailureKind::Late) => FailureKind::Unavailable.into(),
        _ => kind,
    }
}

/// What is known of a call that no link took.
pub(super) fn not_submitted(error: NotSubmitted) -> Known {
    match error {
        NotSubmitted::TooLong => Known::NothingBegun(Failure {
            kind: FailureKind::Invalid as i32,
            message: error.to_string(),
            ..Failure::default()
        }),
        NotSubmitted::Busy => Known::NothingBegun(Failure {
            kind: FailureKind::Busy as i32,
            message: error.to_string(),
            ..Failure::default()
        }),
        NotSubmitted::Closed => Known::ThroughAnother,
    }
}

/// What is said where no link took a call.
pub(super) fn no_link(gateway: &str) -> String {
    format!(
        "no link to gateway `{gateway}` took the call, though several came up: nothing was sent, try again"
    )
}

fn lost(gateway: &str) -> Known {
    Known::Nothing(format!(
        "the link to gateway `{gateway}` was lost after the call was sent: look at the resource before the call is made again"
    ))
}

/// The gateway did not take the stream of calls.
fn refused(gateway: &str, status: &Status) -> Known {
    let failure = |kind, message: String| {
        Known::NothingBegun(Failure {
            kind: kind as i32,
            message,
            ..Failure::default()
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
            lost(gateway)
        };
    }
    let said = printable(status.message());
    match status.code() {
        Code::InvalidArgument => failure(FailureKind::Invalid, said),
        Code::PermissionDenied | Code::Unauthenticated => failure(FailureKind::Refused, said),
        Code::Unimplemented => failure(FailureKind::Unsupported, said),
        Code::ResourceExhausted => failure(FailureKind::Busy, said),
        // The session carries no calls: another one may.
        Code::FailedPrecondition => Known::ThroughAnother,
        code => Known::Nothing(format!(
            "gateway `{gateway}` gave no outcome ({code}: {said}): look at the resource before the call is made again"
        )),
    }
}

/// How long the server waits for an answer to a call that may take `timeout_ms` (0: as long as the
/// gateway lets it), through a gateway that lets none take longer than `limit`, if that is known.
pub(super) fn patience(timeout_ms: u32, limit: Option<Duration>) -> Duration {
    let asked = (timeout_ms > 0).then(|| Duration::from_millis(timeout_ms.into()));
    let takes = match (asked, limit) {
        (Some(asked), Some(limit)) => asked.min(limit),
        (Some(asked), None) => asked,
        (None, limit) => limit.unwrap_or(CALL_TIMEOUT),
    };
    takes + GRACE
}

fn failed(call_id: String, kind: FailureKind, message: String) -> Outcome {
    Outcome {
        call_id,
        result: Some(outcome::Result::Failed(Failure {
            kind: kind as i32,
            message,
            ..Failure::default()
        })),
    }
}

fn indeterminate(call_id: String, message: String) -> Outcome {
    Outcome {
        call_id,
        result: Some(outcome::Result::Indeterminate(Indeterminate {
            message,
            ..Indeterminate::default()
        })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_gateway_is_waited_for_much_longer_than_it_may_take() {
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        for (asked_ms, limit, wait) in [
            (0, None, 70),
            (0, seconds(5), 15),
            (0, seconds(3_600), 3_610),
            (5_000, None, 15),
            (5_000, seconds(60), 15),
            (900_000, seconds(60), 70),
        ] {
            let waits = patience(asked_ms, limit);
            assert_eq!(waits, Duration::from_secs(wait), "{asked_ms} ms, {limit:?}");
        }
    }
}
