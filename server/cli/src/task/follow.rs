//! A task in the foreground: followed to its end, or left alone with Ctrl-C.

use clap::Args;
use portcullis_proto::admin::v1::started_task::Kind;
use portcullis_proto::admin::v1::tasks_client::TasksClient;
use portcullis_proto::admin::v1::{StartedTask, Task, TaskState, WatchTaskRequest};

use super::progress::Progress;
use crate::context::Context;
use crate::error::CliError;
use crate::view::StartedView;

/// Where a command waits for its task.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Where {
    /// Do not wait for the task to end: print its number at once
    #[arg(long)]
    background: bool,
}

impl Where {
    /// Nowhere.
    pub(crate) const fn background() -> Self {
        Self { background: true }
    }
}

/// Prints what a command would do, or goes on with the task that it started.
pub(crate) async fn started(
    context: &Context,
    started: StartedTask,
    place: &Where,
) -> Result<(), CliError> {
    match started.kind {
        Some(Kind::Task(task)) => go_on(context, &task, place).await,
        Some(Kind::Plan(plan)) => context.print(&plan),
        None => Err(CliError::BadAnswer("neither a task nor a plan")),
    }
}

/// Follows a task that was begun, or says how to.
pub(crate) async fn go_on(context: &Context, task: &Task, place: &Where) -> Result<(), CliError> {
    if place.background {
        return context.print(&StartedView(task));
    }
    follow(context, task.id).await
}

/// Follows a task to its end, and prints what it did.
pub(super) async fn follow(context: &Context, id: u64) -> Result<(), CliError> {
    let mut states = context
        .client(TasksClient::new)
        .await?
        .watch(WatchTaskRequest { id })
        .await?
        .into_inner();
    let mut progress = Progress::new(context.json());
    let ended = loop {
        let state = tokio::select! {
            state = states.message() => state?,
            _ = tokio::signal::ctrl_c() => return Err(CliError::TaskLeft { id }),
        };
        let task = state.ok_or(CliError::TaskSuspended { id })?;
        if task.state() != TaskState::Running {
            break task;
        }
        progress.show(&task);
    };
    progress.finish();
    context.print(&ended)?;
    match ended.state() {
        TaskState::Done => Ok(()),
        TaskState::Failed => Err(CliError::TaskFailed {
            id,
            reason: ended.reason,
        }),
        TaskState::Cancelled => Err(CliError::TaskCancelled { id }),
        TaskState::Running | TaskState::Unspecified => {
            Err(CliError::BadAnswer("a state that no task has"))
        }
    }
}
