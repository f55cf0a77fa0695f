//! How a call is shown: as it stands, why, and what to do about one that came to no good end.

use std::time::SystemTime;

use portcullis_proto::admin::v1::{QueuedCall, QueuedState};
use portcullis_proto::gateway::v1::FailureKind;
use portcullis_proto::gateway::v1::outcome::Result as OutcomeResult;
use serde_json::{Value, json};

use crate::detail::{insert_detail, insert_failure};
use crate::time::{age, rfc3339, time_and_age};
use crate::view::{Listed, View, clipped, facts, printable};

/// Letters of a cause in a list: `call show` has all of it.
const MAX_CAUSE: usize = 60;

/// Ids of calls that one sentence tells.
const MAX_IDS: usize = 20;

/// How a call ends that came to no good.
pub(crate) const BAD_ENDS: [QueuedState; 4] = [
    QueuedState::Failed,
    QueuedState::Indeterminate,
    QueuedState::Expired,
    QueuedState::Unknown,
];

/// A call that came to no good end, with its cause and what to do.
pub(crate) struct BadEnd(pub(crate) QueuedCall);

impl Listed for BadEnd {
    const NONE: &'static str = "no call has failed";
    const HEADING: &'static [&'static str] = &[
        "call", "resource", "what", "state", "ended", "cause", "remedy",
    ];

    fn row(&self, now: SystemTime) -> Vec<String> {
        let call = &self.0;
        vec![
            call.call_id.clone(),
            call.resource.clone(),
            call.summary.clone(),
            state_word(call.state()).to_owned(),
            age(call.ended_unix_ms, now).unwrap_or_default(),
            clipped(message(call).unwrap_or_default(), MAX_CAUSE),
            remedy(call).to_owned(),
        ]
    }
}

impl View for BadEnd {
    fn table(&self, now: SystemTime) -> String {
        self.0.table(now)
    }

    fn json(&self) -> Value {
        self.0.json()
    }
}

/// The kind of a call's failure.
fn kind(call: &QueuedCall) -> Option<FailureKind> {
    match result(call)? {
        OutcomeResult::Failed(failure) => Some(failure.kind()),
        OutcomeResult::Done(_) | OutcomeResult::Indeterminate(_) => None,
    }
}

/// What to do about a call that came to no good end.
fn remedy(call: &QueuedCall) -> &'static str {
    match (call.state(), kind(call)) {
        (QueuedState::Unknown, _) => {
            "bring its gateway up: it is looked at then; or look yourself, and `portcullis call resolve`"
        }
        (QueuedState::Indeterminate, _) => {
            "look at the object, then `portcullis call resolve`, or `call retry` where it was not carried out"
        }
        (QueuedState::Expired, _) => "bring its gateway up, and make the call again",
        (QueuedState::Waiting, Some(_)) => {
            "nothing was begun, and it is tried again by itself: mend the cause, or `portcullis call cancel`"
        }
        (_, Some(FailureKind::Unavailable | FailureKind::Busy | FailureKind::NotBegun)) => {
            "nothing was begun: mend the cause, then `portcullis call retry`"
        }
        (_, Some(FailureKind::NotFound)) => {
            "look for the object's name or id, and make the call anew"
        }
        (_, Some(FailureKind::AlreadyExists)) => {
            "choose another name, or update the object there is"
        }
        (_, Some(FailureKind::Refused)) => {
            "the gateway's configuration forbids it: change its guard rails, or leave it"
        }
        (_, Some(FailureKind::Unsupported)) => {
            "the resource cannot do it: see `portcullis resource schema`"
        }
        (_, Some(FailureKind::Rejected | FailureKind::Invalid)) => {
            "correct what the cause names, and make the call anew"
        }
        (QueuedState::Failed, _) => "mend what the cause names, then `portcullis call retry`",
        _ => "",
    }
}

impl Listed for QueuedCall {
    const NONE: &'static str = "no call waits or is under way";
    const HEADING: &'static [&'static str] = &["call", "resource", "what", "state", "queued"];

    fn row(&self, now: SystemTime) -> Vec<String> {
        vec![
            self.call_id.clone(),
            self.resource.clone(),
            self.summary.clone(),
            state_word(self.state()).to_owned(),
            age(self.queued_unix_ms, now).unwrap_or_default(),
        ]
    }
}

impl View for QueuedCall {
    fn table(&self, now: SystemTime) -> String {
        let waits = self.state() == QueuedState::Waiting;
        facts([
            ("call", Some(self.call_id.clone())),
            ("resource", Some(self.resource.clone())),
            ("what", Some(self.summary.clone())),
            ("state", Some(state_word(self.state()).to_owned())),
            (
                "cause",
                kind(self).map(|kind| crate::error::failure_word(kind).to_owned()),
            ),
            ("message", message(self).map(str::to_owned)),
            ("evidence", evidence(self)),
            (
                "remedy",
                Some(remedy(self).to_owned()).filter(|it| !it.is_empty()),
            ),
            (
                "attempt",
                Some(self.attempt.to_string()).filter(|_| self.attempt > 1),
            ),
            (
                "next attempt",
                time_and_age(self.next_attempt_unix_ms, now).filter(|_| waits),
            ),
            (
                "repeats",
                Some(self.retry_of.clone()).filter(|of| !of.is_empty()),
            ),
            (
                "gateway",
                Some(self.gateway.clone()).filter(|gateway| !gateway.is_empty()),
            ),
            (
                if self.direct { "made" } else { "queued" },
                time_and_age(self.queued_unix_ms, now),
            ),
            (
                "expires",
                time_and_age(self.expires_unix_ms, now).filter(|_| waits),
            ),
            ("sent", time_and_age(self.dispatched_unix_ms, now)),
            ("ended", time_and_age(self.ended_unix_ms, now)),
            (
                "trace",
                Some(self.trace_id.clone()).filter(|id| !id.is_empty()),
            ),
        ])
    }

    fn json(&self) -> Value {
        let mut out = json!({
            "call_id": self.call_id,
            "resource": self.resource,
            "summary": self.summary,
            "state": state_word(self.state()),
            "message": message(self),
            "cause": kind(self).map(crate::error::failure_word),
            "evidence": seen(self),
            "remedy": Some(remedy(self)).filter(|it| !it.is_empty()),
            "direct": self.direct,
            "attempt": self.attempt,
            "next_attempt": rfc3339(self.next_attempt_unix_ms),
            "retry_of": Some(&self.retry_of).filter(|of| !of.is_empty()),
            "gateway": Some(&self.gateway).filter(|gateway| !gateway.is_empty()),
            "queued": rfc3339(self.queued_unix_ms),
            "expires": rfc3339(self.expires_unix_ms),
            "dispatched": rfc3339(self.dispatched_unix_ms),
            "ended": rfc3339(self.ended_unix_ms),
            "trace_id": Some(&self.trace_id).filter(|id| !id.is_empty()),
        });
        let result = self.outcome.as_ref().and_then(|it| it.result.as_ref());
        match result {
            Some(OutcomeResult::Done(done)) => insert_detail(&mut out, done.detail.as_ref()),
            Some(OutcomeResult::Failed(failure)) => insert_failure(&mut out, failure),
            Some(OutcomeResult::Indeterminate(_)) | None => {}
        }
        out
    }
}

/// What was seen of a call that is indeterminate.
fn seen(call: &QueuedCall) -> &[String] {
    match call.outcome.as_ref().and_then(|it| it.result.as_ref()) {
        Some(OutcomeResult::Indeterminate(it)) => &it.evidence,
        _ => &[],
    }
}

fn evidence(call: &QueuedCall) -> Option<String> {
    let seen = seen(call);
    (!seen.is_empty()).then(|| seen.join("; "))
}

/// Why a call stands as it does.
pub(crate) fn message(call: &QueuedCall) -> Option<&str> {
    let why = [&call.unknown_why, &call.cancelled_why];
    if let Some(why) = why.into_iter().find(|why| !why.is_empty()) {
        return Some(why);
    }
    match result(call)? {
        OutcomeResult::Failed(failure) => Some(&failure.message),
        OutcomeResult::Indeterminate(indeterminate) => Some(&indeterminate.message),
        OutcomeResult::Done(_) => None,
    }
}

/// Says that calls that waited were cancelled, so many with these ids; an earlier server tells no
/// ids. `None`: there were none.
pub(crate) fn cancelled(count: u64, ids: &[String]) -> Option<String> {
    let shown = ids.get(..MAX_IDS).unwrap_or(ids);
    let others = ids.len() - shown.len();
    let mut told = match count {
        0 => return None,
        1 => "1 call that waited was cancelled".to_owned(),
        count => format!("{count} calls that waited were cancelled"),
    };
    if !shown.is_empty() {
        told.push_str(&format!(": {}", printable(&shown.join(", "))));
    }
    if others > 0 {
        told.push_str(&format!(
            " and {others} others, which `portcullis call list --state cancelled` shows"
        ));
    }
    Some(told)
}

/// What came of it, or of its last attempt.
fn result(call: &QueuedCall) -> Option<&OutcomeResult> {
    let outcome = call.outcome.as_ref().or(call.last_attempt.as_ref())?;
    outcome.result.as_ref()
}

pub(crate) const fn state_word(state: QueuedState) -> &'static str {
    match state {
        QueuedState::Unspecified => "of no known state",
        QueuedState::Unknown => "unknown",
        QueuedState::Waiting => "waiting",
        QueuedState::Dispatched => "dispatched",
        QueuedState::Done => "done",
        QueuedState::Failed => "failed",
        QueuedState::Indeterminate => "indeterminate",
        QueuedState::Cancelled => "cancelled",
        QueuedState::Expired => "expired",
    }
}

#[cfg(test)]
mod tests {
    use portcullis_proto::gateway::v1::{Failure, Outcome};

    use super::*;
    use crate::time::tests::now;

    #[test]
    fn a_long_cause_is_cut_in_a_list_and_whole_by_itself() {
        let cause = "the directory has refused it: ".repeat(5);
        let failure = Failure {
            message: cause.clone(),
            ..Failure::default()
        };
        let call = QueuedCall {
            call_id: "c1".to_owned(),
            state: QueuedState::Failed.into(),
            outcome: Some(Outcome {
                result: Some(OutcomeResult::Failed(failure)),
                ..Outcome::default()
            }),
            ..QueuedCall::default()
        };
        assert!(call.table(now()).contains(cause.trim()));
        let row = BadEnd(call).row(now());
        assert!(row[5].ends_with('…') && row[5].chars().count() <= MAX_CAUSE + 1);
    }

    #[test]
    fn cancelled_calls_are_named_and_of_many_the_first() {
        let ids = |count: usize| -> Vec<_> { (0..count).map(|id| format!("c{id}")).collect() };
        assert_eq!(cancelled(0, &[]), None);
        let told = |count, ids: &[String]| cancelled(count, ids).unwrap();
        assert_eq!(told(1, &ids(1)), "1 call that waited was cancelled: c0");
        assert_eq!(told(3, &[]), "3 calls that waited were cancelled");
        let many = told(25, &ids(25));
        assert!(
            many.contains(" c19 and 5 others") && !many.contains("c20"),
            "{many}"
        );
        let call = QueuedCall {
            state: QueuedState::Cancelled.into(),
            cancelled_why: "its resource was removed".to_owned(),
            ..QueuedCall::default()
        };
        assert!(call.table(now()).contains("its resource was removed"));
    }
}
