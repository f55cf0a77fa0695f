//! `portcullis task …`: long work that the server does by itself.

pub(crate) mod follow;

use std::time::SystemTime;

use clap::Subcommand;
use portcullis_proto::admin::v1::tasks_client::TasksClient;
use portcullis_proto::admin::v1::{
    CancelTaskRequest, ListTasksRequest, ResumeTaskRequest, ShowTaskRequest, Task, TaskFinding,
    TaskPlan, TaskState, TaskStep, TypeProgress,
};
use serde_json::{Value, json};

use crate::context::Context;
use crate::error::CliError;
use crate::time::{age, rfc3339, time_and_age};
use crate::view::{Listed, View, facts, list, some};
use follow::{Where, follow, go_on};

#[derive(Debug, Subcommand)]
pub(crate) enum TaskCommand {
    /// List the tasks, newest first
    List,
    /// Show what a task did, and what it found
    Show {
        /// The task's number
        id: u64,
    },
    /// Follow a task to its end
    Watch {
        /// The task's number
        id: u64,
    },
    /// End a task at the next point where it can be resumed
    Cancel {
        /// The task's number
        id: u64,
    },
    /// Let a task that failed or was cancelled go on with what is left to do
    Resume {
        /// The task's number
        id: u64,
        #[command(flatten)]
        place: Where,
    },
}

impl TaskCommand {
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        let connect = || context.client(TasksClient::new);
        let task = match self {
            Self::List => {
                let listed = connect().await?.list(ListTasksRequest {}).await?;
                return context.print(&listed.into_inner().tasks);
            }
            Self::Watch { id } => return follow(context, id).await,
            Self::Resume { id, place } => {
                let task = connect().await?.resume(ResumeTaskRequest { id }).await?;
                return go_on(context, &task.into_inner(), place).await;
            }
            Self::Show { id } => connect().await?.show(ShowTaskRequest { id }).await?,
            Self::Cancel { id } => connect().await?.cancel(CancelTaskRequest { id }).await?,
        };
        context.print(&task.into_inner())
    }
}

impl Listed for Task {
    const NONE: &'static str = "no task was started yet";
    const HEADING: &'static [&'static str] =
        &["task", "kind", "state", "values", "started", "by", "reason"];

    fn row(&self, now: SystemTime) -> Vec<String> {
        vec![
            self.id.to_string(),
            self.kind.clone(),
            state(self).to_owned(),
            match self.total {
                // Its steps say how far it is.
                0 => String::new(),
                total => format!("{} of {total}", self.done),
            },
            age(self.started_unix_ms, now).unwrap_or_default(),
            self.subject.clone(),
            self.reason.clone(),
        ]
    }
}

impl View for Task {
    fn table(&self, now: SystemTime) -> String {
        let mut parts = vec![facts([
            ("task", Some(format!("{} ({})", self.id, self.kind))),
            ("state", Some(state(self).to_owned())),
            ("reason", Some(self.reason.clone())),
            ("started", time_and_age(self.started_unix_ms, now)),
            ("by", Some(self.subject.clone())),
            ("ended", time_and_age(self.ended_unix_ms, now)),
        ])];
        parts.extend(steps(&self.steps));
        parts.extend(types(&self.types));
        parts.extend(findings(&self.findings, self.more_findings));
        parts.join("\n\n")
    }

    fn json(&self) -> Value {
        json!({
            "id": self.id,
            "kind": self.kind,
            "state": state(self),
            "reason": some(&self.reason),
            "subject": self.subject,
            "started": rfc3339(self.started_unix_ms),
            "ended": rfc3339(self.ended_unix_ms),
            "done": self.done,
            "total": self.total,
            "steps": steps_json(&self.steps),
            "types": types_json(&self.types),
            "findings": self.findings.iter().map(|finding| json!({
                "type": finding.r#type,
                "owner": finding.owner,
                "field": finding.field,
                "server_key": some(&finding.key_id),
                "why": finding.why,
            })).collect::<Value>(),
            "more_findings": self.more_findings,
        })
    }
}

impl View for TaskPlan {
    fn table(&self, _: SystemTime) -> String {
        let mut parts = vec!["nothing was changed; this would be done:".to_owned()];
        parts.extend(steps(&self.steps));
        parts.extend(types(&self.types));
        parts.join("\n\n")
    }

    fn json(&self) -> Value {
        json!({ "steps": steps_json(&self.steps), "types": types_json(&self.types) })
    }
}

fn steps(steps: &[TaskStep]) -> Option<String> {
    let rows = steps
        .iter()
        .map(|step| vec![step.name.clone(), step.state.clone(), step.note.clone()]);
    (!steps.is_empty()).then(|| list(&["step", "state", "note"], rows))
}

fn types(types: &[TypeProgress]) -> Option<String> {
    let rows = types.iter().map(|kind| {
        vec![
            kind.r#type.clone(),
            kind.total.to_string(),
            kind.done.to_string(),
            kind.undecryptable.to_string(),
            kind.failed.to_string(),
        ]
    });
    let heading = ["type", "values", "done", "key not here", "do not open"];
    (!types.is_empty()).then(|| list(&heading, rows))
}

fn findings(findings: &[TaskFinding], more: u64) -> Option<String> {
    let rows = findings.iter().map(|finding| {
        vec![
            finding.r#type.clone(),
            finding.owner.clone(),
            finding.field.clone(),
            finding.key_id.clone(),
            finding.why.clone(),
        ]
    });
    let mut text = list(&["type", "owner", "field", "server key", "why"], rows);
    if more > 0 {
        text.push_str(&format!("\nand {more} more"));
    }
    (!findings.is_empty()).then_some(text)
}

fn steps_json(steps: &[TaskStep]) -> Value {
    let steps = steps
        .iter()
        .map(|step| json!({ "name": step.name, "state": step.state, "note": step.note }));
    steps.collect()
}

fn types_json(types: &[TypeProgress]) -> Value {
    let types = types.iter().map(|kind| {
        json!({
            "type": kind.r#type,
            "total": kind.total,
            "done": kind.done,
            "undecryptable": kind.undecryptable,
            "failed": kind.failed,
        })
    });
    types.collect()
}

fn state(task: &Task) -> &'static str {
    match task.state() {
        TaskState::Running => "running",
        TaskState::Done => "done",
        TaskState::Failed => "failed",
        TaskState::Cancelled => "cancelled",
        TaskState::Unspecified => "unknown",
    }
}
