//! How calls end, and how long they take, by verb: both programs count them alike.

use std::time::Duration;

use portcullis_proto::gateway::v1::outcome::Result as OutcomeResult;
use portcullis_proto::gateway::v1::{FailureKind, Outcome};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// Upper bounds in seconds: a call through a link on one site takes a millisecond, one may take an
/// hour at most.
const BOUNDS: [f64; 12] = [
    0.001, 0.005, 0.025, 0.1, 0.25, 1.0, 2.5, 10.0, 30.0, 60.0, 300.0, 3600.0,
];

/// The label of a call that was done …
pub const DONE: &str = "done";
/// … and of one of which nobody knows what came of it.
pub const INDETERMINATE: &str = "indeterminate";

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    verb: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfVerb {
    verb: &'static str,
}

/// Counts calls. Cheap to clone; all clones count together.
#[derive(Clone, Debug)]
pub struct CallMeter {
    ended: Family<Ended, Counter>,
    seconds: Family<OfVerb, Histogram, fn() -> Histogram>,
}

impl Default for CallMeter {
    fn default() -> Self {
        Self {
            ended: Family::default(),
            seconds: Family::new_with_constructor(|| Histogram::new(BOUNDS)),
        }
    }
}

impl CallMeter {
    /// A call of this verb ended so after this time. Both names come from closed sets.
    pub fn ended(&self, verb: &'static str, outcome: &'static str, took: Duration) {
        self.ended.get_or_create(&Ended { verb, outcome }).inc();
        let seconds = self.seconds.get_or_create(&OfVerb { verb });
        seconds.observe(took.as_secs_f64());
    }

    /// Has `registry` show `calls` and `call_duration`.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "calls",
            "Calls that ended, by verb and outcome: `done`, `indeterminate`, or the kind of failure",
            self.ended.clone(),
        );
        registry.register(
            "call_duration_seconds",
            "How long calls took, by verb",
            self.seconds.clone(),
        );
    }
}

/// `done`, `indeterminate`, or the kind of failure.
pub fn outcome_name(outcome: &Outcome) -> &'static str {
    match &outcome.result {
        Some(OutcomeResult::Done(_)) => DONE,
        Some(OutcomeResult::Failed(failure)) => failure_name(failure.kind()),
        Some(OutcomeResult::Indeterminate(_)) | None => INDETERMINATE,
    }
}

/// The kind of failure, as a label.
pub fn failure_name(kind: FailureKind) -> &'static str {
    match kind {
        FailureKind::Unspecified => "unspecified",
        FailureKind::Invalid => "invalid",
        FailureKind::NotFound => "not_found",
        FailureKind::AlreadyExists => "already_exists",
        FailureKind::Refused => "refused",
        FailureKind::Unsupported => "unsupported",
        FailureKind::BadCredentials => "bad_credentials",
        FailureKind::Unavailable => "unavailable",
        FailureKind::Rejected => "rejected",
        FailureKind::Busy => "busy",
        FailureKind::Internal => "internal",
        FailureKind::Denied => "denied",
        FailureKind::Policy => "policy",
        FailureKind::AccountLocked => "account_locked",
        FailureKind::AccountDisabled => "account_disabled",
        FailureKind::PasswordExpired => "password_expired",
        FailureKind::NotBegun => "not_begun",
        FailureKind::Late => "late",
        FailureKind::Forgotten => "forgotten",
    }
}
