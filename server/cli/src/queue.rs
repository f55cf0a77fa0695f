//! `portcullis call …`: calls that may change something and queued ones, and what came of them.

use clap::{Args, Subcommand};
use portcullis_proto::admin::v1::calls_client::CallsClient;
use portcullis_proto::admin::v1::{
    CancelManyQueuedRequest, CancelQueuedRequest, ListQueuedRequest, QueuedCall, QueuedState,
    ResolveRequest, RetryRequest, ShowQueuedRequest, WatchQueuedRequest,
};
use portcullis_proto::gateway::v1::outcome::Result as OutcomeResult;
use portcullis_proto::gateway::v1::{Failure, FailureKind};
use serde_json::json;

use crate::call_view::{BAD_ENDS, BadEnd, message, state_word};
use crate::context::Context;
use crate::error::CliError;
use crate::pending::Interrupts;

#[derive(Debug, Subcommand)]
pub(crate) enum QueueCommand {
    /// List the calls that have not ended: those that may change something, and queued ones
    List {
        /// Those that have ended, too
        #[arg(long, conflicts_with = "state")]
        all: bool,
        /// Those that failed and those of which nobody knows, each with its cause and what to do
        #[arg(long, conflicts_with_all = ["state", "all"])]
        failed: bool,
        /// Those that stand so; repeat it for several
        #[arg(long, value_name = "STATE", value_parser = state)]
        state: Vec<QueuedState>,
        #[command(flatten)]
        of: Of,
    },
    /// Show what became of a call
    Show {
        /// The call's id
        #[arg(value_name = "ID")]
        call_id: String,
    },
    /// Follow a call to its end, with a line at each change; ends as the call itself would
    Watch {
        /// The call's id
        #[arg(value_name = "ID")]
        call_id: String,
    },
    /// Wait for the end of calls, and show it; ends as the worst of them would
    Wait {
        /// The calls' ids
        #[arg(value_name = "ID", required = true)]
        call_ids: Vec<String>,
    },
    /// Take back calls that still wait; of one that was sent, its outcome decides
    Cancel {
        /// The calls' ids
        #[arg(value_name = "ID")]
        call_ids: Vec<String>,
        #[command(flatten)]
        of: Of,
    },
    /// Queue once more, under a new id, a call that failed or is indeterminate
    Retry {
        /// The call's id
        #[arg(value_name = "ID")]
        call_id: String,
    },
    /// Settle a call of which nobody knows what came, once you have looked at its object
    #[command(group = clap::ArgGroup::new("as").required(true))]
    Resolve {
        /// The call's id
        #[arg(value_name = "ID")]
        call_id: String,
        /// It was carried out
        #[arg(long, group = "as")]
        done: bool,
        /// It was not, and nothing has changed
        #[arg(long, group = "as")]
        failed: bool,
        /// What you saw, and where: it is written into the audit log
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
}

/// Which calls.
#[derive(Debug, Args)]
pub(crate) struct Of {
    /// Only those of this resource
    #[arg(
        long,
        value_name = "NAME",
        default_value = "",
        hide_default_value = true
    )]
    resource: String,
    /// Only those of the resources behind this gateway
    #[arg(
        long,
        value_name = "NAME",
        default_value = "",
        hide_default_value = true
    )]
    gateway: String,
}

impl QueueCommand {
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        let mut calls = context.client(CallsClient::new).await?;
        match self {
            Self::List {
                all,
                failed,
                state,
                of,
            } => {
                let states = match failed {
                    true => BAD_ENDS.to_vec(),
                    false => state,
                };
                let request = ListQueuedRequest {
                    all,
                    states: states.into_iter().map(Into::into).collect(),
                    resource: of.resource,
                    gateway: of.gateway,
                    ..ListQueuedRequest::default()
                };
                let found = list(calls, request).await?;
                match failed {
                    true => context.print(&found.into_iter().map(BadEnd).collect::<Vec<_>>()),
                    false => context.print(&found),
                }
            }
            Self::Retry { call_id } => {
                let again = calls.retry(RetryRequest { call_id }).await?;
                context.print(&again.into_inner())
            }
            Self::Resolve {
                call_id,
                done,
                failed: _,
                reason,
            } => {
                let request = ResolveRequest {
                    call_id,
                    done,
                    reason,
                };
                context.print(&calls.resolve(request).await?.into_inner())
            }
            Self::Show { call_id } => {
                let call = calls.show_queued(ShowQueuedRequest { call_id }).await?;
                context.print(&call.into_inner())
            }
            Self::Watch { call_id } => {
                let mut interrupts = context.pending().interrupts().map_err(CliError::Runtime)?;
                let told = |call: &QueuedCall| context.note(&told(call));
                let call = watch(&mut calls, call_id, &mut interrupts, told).await?;
                context.print(&call)?;
                ended(call)
            }
            Self::Wait { call_ids } => wait(context, calls, call_ids).await,
            Self::Cancel { call_ids, of } => cancel(context, calls, call_ids, of).await,
        }
    }
}

/// Follows a call to its end. Whoever stops before, or loses the server, does not know how it ends.
async fn watch(
    calls: &mut CallsClient,
    call_id: String,
    interrupts: &mut Interrupts,
    told: impl Fn(&QueuedCall),
) -> Result<QueuedCall, CliError> {
    let request = WatchQueuedRequest {
        call_id: call_id.clone(),
    };
    let follow = async {
        let mut states = calls.watch_queued(request).await?.into_inner();
        while let Some(call) = states.message().await? {
            if !matches!(
                call.state(),
                QueuedState::Waiting | QueuedState::Dispatched | QueuedState::Unknown
            ) {
                return Ok(Some(call));
            }
            told(&call);
        }
        Ok(None)
    };
    let followed = tokio::select! {
        followed = follow => followed,
        () = interrupts.next() => Ok(None),
    };
    match followed {
        Ok(Some(call)) => Ok(call),
        Ok(None) | Err(CliError::Lost { .. }) => Err(CliError::CallLeft { call_id }),
        Err(error) => Err(error),
    }
}

/// All of them end before this does: the worst of them says how.
async fn wait(
    context: &Context,
    mut calls: CallsClient,
    call_ids: Vec<String>,
) -> Result<(), CliError> {
    let mut interrupts = context.pending().interrupts().map_err(CliError::Runtime)?;
    let mut all = Vec::with_capacity(call_ids.len());
    for call_id in call_ids {
        all.push(watch(&mut calls, call_id, &mut interrupts, |_| {}).await?);
    }
    match <[QueuedCall; 1]>::try_from(all) {
        Ok([call]) => {
            context.print(&call)?;
            ended(call)
        }
        Err(all) => {
            context.print(&all)?;
            let worst = all.into_iter().filter_map(|call| ended(call).err());
            worst.max_by_key(CliError::exit_code).map_or(Ok(()), Err)
        }
    }
}

/// How a call ended, as if it had not been queued.
fn ended(call: QueuedCall) -> Result<(), CliError> {
    let call_id = call.call_id.clone();
    let message = message(&call).map(str::to_owned);
    match call.state() {
        QueuedState::Done => Ok(()),
        QueuedState::Indeterminate => Err(CliError::Indeterminate {
            call_id,
            message: message.unwrap_or_default(),
            server_lost: false,
        }),
        QueuedState::Failed => {
            let failure = match call.outcome.and_then(|it| it.result) {
                Some(OutcomeResult::Failed(failure)) => failure,
                _ => Failure::default(),
            };
            Err(CliError::failed(call_id, failure))
        }
        state => {
            let failure = Failure {
                kind: FailureKind::Unavailable.into(),
                message: format!("call {call_id} is {}: it was not sent", state_word(state)),
                native: None,
            };
            Err(CliError::failed(call_id, failure))
        }
    }
}

fn told(call: &QueuedCall) -> String {
    format!("{}: {}", call.call_id, state_word(call.state()))
}

async fn cancel(
    context: &Context,
    mut calls: CallsClient,
    call_ids: Vec<String>,
    of: Of,
) -> Result<(), CliError> {
    if call_ids.is_empty() {
        if of.resource.is_empty() && of.gateway.is_empty() {
            return Err(CliError::usage(
                "give the ids of calls; or --resource NAME or --gateway NAME, for all that wait there",
            ));
        }
        return cancel_many(context, calls, of).await;
    }
    if !(of.resource.is_empty() && of.gateway.is_empty()) {
        return Err(CliError::usage(
            "give ids, or --resource and --gateway: not both",
        ));
    }
    if let [call_id] = call_ids.as_slice() {
        let call_id = call_id.clone();
        let answer = calls.cancel_queued(CancelQueuedRequest { call_id }).await?;
        return context.print(&answer.into_inner());
    }
    let total = call_ids.len();
    let (mut cancelled, mut failed) = (Vec::with_capacity(total), Vec::new());
    for call_id in call_ids {
        let asked = calls.cancel_queued(CancelQueuedRequest { call_id }).await;
        match asked.map_err(CliError::from) {
            Ok(answer) => cancelled.push(answer.into_inner()),
            Err(refused @ CliError::Refused { .. }) => failed.push(refused),
            Err(error) => return Err(error),
        }
    }
    context.print(&cancelled)?;
    let count = failed.len();
    match failed.into_iter().next() {
        None => Ok(()),
        Some(first) => Err(CliError::CallsKept {
            failed: count,
            total,
            first: Box::new(first),
        }),
    }
}

async fn cancel_many(context: &Context, mut calls: CallsClient, of: Of) -> Result<(), CliError> {
    let mut ids = Vec::new();
    loop {
        let request = CancelManyQueuedRequest {
            resource: of.resource.clone(),
            gateway: of.gateway.clone(),
        };
        let answer = calls.cancel_many_queued(request).await?.into_inner();
        ids.extend(answer.call_ids);
        if !answer.more {
            break;
        }
    }
    let count = ids.len();
    context.say(
        &format!("{count} calls are taken back"),
        &json!({ "cancelled": ids }),
    )
}

async fn list(
    mut client: CallsClient,
    mut request: ListQueuedRequest,
) -> Result<Vec<QueuedCall>, CliError> {
    let mut calls = Vec::new();
    loop {
        let page = client.list_queued(request.clone()).await?.into_inner();
        calls.extend(page.calls);
        match calls.last() {
            Some(last) if page.more => request.after = last.sequence,
            _ => return Ok(calls),
        }
    }
}

fn state(word: &str) -> Result<QueuedState, String> {
    let states = STATES.iter().copied();
    let mut named = states.filter(|state| state_word(*state) == word);
    named.next().ok_or_else(|| {
        let words = STATES.map(state_word).join(", ");
        format!("give one of {words}")
    })
}

const STATES: [QueuedState; 8] = [
    QueuedState::Waiting,
    QueuedState::Dispatched,
    QueuedState::Done,
    QueuedState::Failed,
    QueuedState::Indeterminate,
    QueuedState::Cancelled,
    QueuedState::Expired,
    QueuedState::Unknown,
];
