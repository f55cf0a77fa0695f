//! A task in the foreground: followed to its end, or left alone with Ctrl-C.

use std::io::{self, IsTerminal, Write};

use clap::Args;
use indicatif::ProgressBar;
use portcullis_proto::admin::v1::started_task::Kind;
use portcullis_proto::admin::v1::tasks_client::TasksClient;
use portcullis_proto::admin::v1::{StartedTask, Task, TaskState, WatchTaskRequest};

use crate::context::Context;
use crate::error::CliError;
use crate::view::{View, printable};

/// Parts of the whole after each of which a line is written where there is no terminal.
const LINES: u64 = 10;

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
    place: Where,
) -> Result<(), CliError> {
    match started.kind {
        Some(Kind::Task(task)) => go_on(context, &task, place).await,
        Some(Kind::Plan(plan)) => context.print(&plan),
        None => Err(CliError::BadAnswer("neither a task nor a plan")),
    }
}

/// Follows a task that was begun, or says how to.
pub(crate) async fn go_on(context: &Context, task: &Task, place: Where) -> Result<(), CliError> {
    let Task { id, kind, .. } = task;
    if !place.background {
        return follow(context, *id).await;
    }
    context.say(
        &format!(
            "task {id} ({}) runs: `portcullis task watch {id}` follows it, `portcullis task cancel {id}` ends it",
            printable(kind)
        ),
        &task.json(),
    )
}

/// Follows a task to its end, and prints what it did.
pub(crate) async fn follow(context: &Context, id: u64) -> Result<(), CliError> {
    let mut client = context.client(TasksClient::new).await?;
    let mut states = client.watch(WatchTaskRequest { id }).await?.into_inner();
    let mut progress = Progress::new(context);
    let mut interrupts = context.pending().interrupts().map_err(CliError::Runtime)?;
    let ended = loop {
        let state = tokio::select! {
            state = states.message() => state,
            () = interrupts.next() => return Err(CliError::TaskLeft { id }),
        };
        let task = match state.map_err(CliError::from) {
            Ok(Some(task)) => task,
            Ok(None) | Err(CliError::Lost { .. }) => return Err(CliError::TaskSuspended { id }),
            Err(error) => return Err(error),
        };
        if task.state() != TaskState::Running {
            break task;
        }
        progress.show(&task);
    };
    progress.bar.finish_and_clear();
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

/// How far a task is: a bar on a terminal, lines elsewhere, nothing for a program that asked for
/// JSON.
struct Progress {
    bar: ProgressBar,
    lines: bool,
    /// The step and the part of the whole that the last line told.
    last: Option<(String, u64)>,
}

impl Progress {
    fn new(context: &Context) -> Self {
        let bar = context.bar(
            Some(0),
            "{bar:30} {pos} of {len} values  {msg}  {elapsed} gone, {eta} to go",
        );
        Self {
            bar,
            lines: !context.json() && !io::stderr().is_terminal(),
            last: None,
        }
    }

    fn show(&mut self, task: &Task) {
        let step = task.steps.iter().find(|step| step.state == "running");
        let step = step.map_or_else(
            || task.kind.clone(),
            |step| match step.note.as_str() {
                "" => step.name.clone(),
                note => format!("{}: {note}", step.name),
            },
        );
        let step = printable(&step);
        let (id, done, total) = (task.id, task.done, task.total);
        if !self.lines {
            self.bar.set_length(total);
            self.bar.set_position(done);
            self.bar.set_message(step);
            return;
        }
        let part = done.saturating_mul(LINES) / total.max(1);
        if self.last.as_ref() != Some(&(step.clone(), part)) {
            // A courtesy: a closed standard error does not stop the task.
            let _ = writeln!(io::stderr(), "task {id}, {step}: {done} of {total} values");
            self.last = Some((step, part));
        }
    }
}
