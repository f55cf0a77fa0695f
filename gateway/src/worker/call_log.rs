//! What the log says of calls, and what their callers are told where something panicked.

use tokio::time::Instant;

use super::guarded::is_guarded;
use crate::model::{Call, CallId, ConnectorName, Failure, Outcome, Request, Verb};

/// What the log is to say of a call when it has ended.
pub(super) struct Logged {
    id: CallId,
    connector: ConnectorName,
    verb: Verb,
    object: Option<String>,
    begun: Instant,
}

impl Logged {
    /// Changes and tried passwords in any case; what only reads where somebody looks for the cause
    /// of something.
    pub(super) fn new(call: &Call) -> Option<Self> {
        let verb = call.request.verb();
        let listened = if is_guarded(verb) {
            tracing::enabled!(tracing::Level::INFO)
        } else {
            tracing::enabled!(tracing::Level::DEBUG)
        };
        listened.then(|| Self {
            id: call.id.clone(),
            connector: call.connector.clone(),
            verb,
            object: subject(&call.request),
            begun: Instant::now(),
        })
    }

    pub(super) fn ended(self, outcome: &Outcome) {
        let Self {
            id,
            connector,
            verb,
            object,
            begun,
        } = self;
        let (result, took_ms) = (summary(outcome), begun.elapsed().as_millis());
        if is_guarded(verb) {
            tracing::info!(call = %id, %connector, %verb, object, result, took_ms, "call");
        } else {
            tracing::debug!(call = %id, %connector, %verb, object, result, took_ms, "call");
        }
    }
}

/// What is known of a call within which something panicked, where the call may have changed
/// something.
pub(super) fn panicked_while(id: &str, changes: bool) -> Outcome {
    let failure = panicked(id);
    if changes {
        let message = failure.message;
        let message = format!("{message}. Look at the object before you try again");
        Outcome::Indeterminate(message.into())
    } else {
        Outcome::Failed(failure)
    }
}

/// Logs that something panicked within a call, and says as much to its caller. What the panic held
/// is not repeated: nobody knows what it is.
pub(super) fn panicked(id: &str) -> Failure {
    // One that was not checked yet may hold anything.
    let id = CallId::new(id).ok();
    tracing::error!(
        call = id.as_ref().map(CallId::as_str),
        "the gateway failed while it carried out a call, which is a fault in its program: please report it; other calls go on"
    );
    Failure::internal("the gateway failed while it carried out the call; its log says more")
}

/// What a call is about, for the log: the only record of a call that a stolen server cannot touch.
pub(super) fn subject(request: &Request) -> Option<String> {
    match request {
        Request::Create(create) => Some(format!("{} `{}`", create.class, create.name)),
        Request::Rename(object, new_name) => Some(format!("{object} to `{new_name}`")),
        Request::Run(run) => Some(format!("action `{}`", run.action)),
        other => other.object().map(ToString::to_string),
    }
}

pub(super) fn summary(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Done(_) => "done".to_owned(),
        Outcome::Failed(failure) => format!("failed ({}): {}", failure.kind, failure.message),
        Outcome::Indeterminate(why) => format!("indeterminate: {}", why.message),
    }
}
