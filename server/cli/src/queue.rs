//! `portcullis call …`: calls that wait for their gateway, and what came of them.

use std::time::SystemTime;

use clap::Subcommand;
use portcullis_proto::admin::v1::calls_client::CallsClient;
use portcullis_proto::admin::v1::{
    CancelQueuedRequest, ListQueuedRequest, QueuedCall, QueuedState, ShowQueuedRequest,
};
use portcullis_proto::gateway::v1::outcome::Result as OutcomeResult;
use serde_json::{Value, json};

use crate::context::Context;
use crate::detail::insert_detail;
use crate::error::CliError;
use crate::time::{age, rfc3339, time_and_age};
use crate::view::{Listed, View, facts};

#[derive(Debug, Subcommand)]
pub(crate) enum QueueCommand {
    /// List the queued calls that have not ended
    List {
        /// Those that have ended, too
        #[arg(long)]
        all: bool,
    },
    /// Show what became of a queued call
    Show {
        /// The call's id
        #[arg(value_name = "ID")]
        call_id: String,
    },
    /// Take back a queued call that still waits
    Cancel {
        /// The call's id
        #[arg(value_name = "ID")]
        call_id: String,
    },
}

impl QueueCommand {
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        let mut calls = context.client(CallsClient::new).await?;
        let call = match self {
            Self::List { all } => return context.print(&list(calls, all).await?),
            Self::Show { call_id } => calls.show_queued(ShowQueuedRequest { call_id }).await?,
            Self::Cancel { call_id } => {
                let request = CancelQueuedRequest { call_id };
                calls.cancel_queued(request).await?
            }
        };
        context.print(&call.into_inner())
    }
}

async fn list(mut client: CallsClient, all: bool) -> Result<Vec<QueuedCall>, CliError> {
    let mut calls = Vec::new();
    let mut request = ListQueuedRequest {
        all,
        ..ListQueuedRequest::default()
    };
    loop {
        let page = client.list_queued(request).await?.into_inner();
        calls.extend(page.calls);
        match calls.last() {
            Some(last) if page.more => request.after = last.sequence,
            _ => return Ok(calls),
        }
    }
}

impl Listed for QueuedCall {
    const NONE: &'static str = "no call is queued";
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
        let mut out = json!({
            "call_id": self.call_id,
            "resource": self.resource,
            "summary": self.summary,
            "state": state_word(self.state()),
            "message": message(self),
            "queued": rfc3339(self.queued_unix_ms),
            "expires": rfc3339(self.expires_unix_ms),
            "dispatched": rfc3339(self.dispatched_unix_ms),
            "ended": rfc3339(self.ended_unix_ms),
        });
        let result = self.outcome.as_ref().and_then(|it| it.result.as_ref());
        if let Some(OutcomeResult::Done(done)) = result {
            insert_detail(&mut out, done.detail.as_ref());
        }
        out
    }
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
