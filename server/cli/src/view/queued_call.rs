//! Queued calls, and what came of them.

use std::time::SystemTime;

use portcullis_proto::admin::v1::{QueuedCall, QueuedState};
use portcullis_proto::gateway::v1::done::Detail;
use portcullis_proto::gateway::v1::outcome::Result as OutcomeResult;
use serde_json::{Value, json};

use super::View;
use super::{facts, list};
use crate::time::{age, rfc3339, time_and_age};

/// Several queued calls.
pub(crate) struct QueuedCallList(pub(crate) Vec<QueuedCall>);

impl View for QueuedCallList {
    fn table(&self, now: SystemTime) -> String {
        if self.0.is_empty() {
            return "no call is queued".to_owned();
        }
        let rows = self.0.iter().map(|call| {
            vec![
                call.call_id.clone(),
                call.resource.clone(),
                call.summary.clone(),
                state_word(call.state()).to_owned(),
                age(call.queued_unix_ms, now).unwrap_or_default(),
            ]
        });
        list(&["call", "resource", "what", "state", "queued"], rows)
    }

    fn json(&self) -> Value {
        self.0.iter().map(call_json).collect()
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
            ("message", message(self).map(str::to_owned)),
            ("queued", time_and_age(self.queued_unix_ms, now)),
            (
                "expires",
                time_and_age(self.expires_unix_ms, now).filter(|_| waits),
            ),
            ("sent", time_and_age(self.dispatched_unix_ms, now)),
            ("ended", time_and_age(self.ended_unix_ms, now)),
        ])
    }

    fn json(&self) -> Value {
        call_json(self)
    }
}

fn call_json(call: &QueuedCall) -> Value {
    let mut out = json!({
        "call_id": call.call_id,
        "resource": call.resource,
        "summary": call.summary,
        "state": state_word(call.state()),
        "message": message(call),
        "queued": rfc3339(call.queued_unix_ms),
        "expires": rfc3339(call.expires_unix_ms),
        "dispatched": rfc3339(call.dispatched_unix_ms),
        "ended": rfc3339(call.ended_unix_ms),
    });
    let result = call.outcome.as_ref().and_then(|it| it.result.as_ref());
    if let (Some(OutcomeResult::Done(done)), Some(out)) = (result, out.as_object_mut()) {
        let detail = match &done.detail {
            Some(Detail::Object(object)) => Some(("object", object.json())),
            Some(Detail::Schema(schema)) => Some(("schema", schema.json())),
            Some(Detail::Run(run)) => Some(("run", run.json())),
            Some(Detail::Report(report)) => Some(("report", report.clone().into())),
            None => None,
        };
        if let Some((name, value)) = detail {
            out.insert(name.to_owned(), value);
        }
    }
    out
}

fn message(call: &QueuedCall) -> Option<&str> {
    match call.outcome.as_ref()?.result.as_ref()? {
        OutcomeResult::Failed(failure) => Some(&failure.message),
        OutcomeResult::Indeterminate(indeterminate) => Some(&indeterminate.message),
        OutcomeResult::Done(_) => None,
    }
}

const fn state_word(state: QueuedState) -> &'static str {
    match state {
        QueuedState::Unspecified => "unknown",
        QueuedState::Waiting => "waiting",
        QueuedState::Dispatched => "dispatched",
        QueuedState::Done => "done",
        QueuedState::Failed => "failed",
        QueuedState::Indeterminate => "indeterminate",
        QueuedState::Cancelled => "cancelled",
        QueuedState::Expired => "expired",
    }
}
