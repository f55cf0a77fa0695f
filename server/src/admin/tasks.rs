//! Long work, by its number.

use portcullis_proto::admin::v1 as proto;
use tokio_stream::StreamExt;

use super::LOOK;
use super::context::Context;
use super::convert::{millis, some_millis};
use super::error::AdminError;
use super::request::{About, Front, Messages, Method, Request, change, read};
use crate::config::Capability::SecurityAdministrator;
use crate::repository::TaskState;
use crate::tasks::{self, Finding, Step, StepState, TypeProgress};

pub(super) fn offer(front: &mut impl Front) {
    front.offer::<proto::ListTasksRequest>();
    front.offer::<proto::ShowTaskRequest>();
    front.offer::<proto::WatchTaskRequest>();
    front.offer::<proto::CancelTaskRequest>();
    front.offer::<proto::ResumeTaskRequest>();
}

impl Request for proto::ListTasksRequest {
    type Answer = proto::ListTasksResponse;

    const METHOD: Method = read("Tasks/List", LOOK);

    fn about(&self) -> About {
        About::server("")
    }

    async fn run(self, context: &Context) -> Result<proto::ListTasksResponse, AdminError> {
        let tasks = context.services.tasks.list().await?;
        Ok(proto::ListTasksResponse {
            tasks: tasks.into_iter().map(message).collect(),
        })
    }
}

impl Request for proto::ShowTaskRequest {
    type Answer = proto::Task;

    const METHOD: Method = read("Tasks/Show", LOOK);

    fn about(&self) -> About {
        about(self.id)
    }

    async fn run(self, context: &Context) -> Result<proto::Task, AdminError> {
        Ok(message(context.services.tasks.show(self.id).await?))
    }
}

impl Request for proto::WatchTaskRequest {
    type Answer = Messages<proto::Task>;

    const METHOD: Method = read("Tasks/Watch", LOOK);

    fn about(&self) -> About {
        about(self.id)
    }

    async fn run(self, context: &Context) -> Result<Messages<proto::Task>, AdminError> {
        let states = context.services.tasks.watch(self.id).await?;
        Ok(Messages::new(states.map(|task| Ok(message(task)))))
    }
}

impl Request for proto::CancelTaskRequest {
    type Answer = proto::Task;

    const METHOD: Method = change("Tasks/Cancel", &[SecurityAdministrator]);

    fn about(&self) -> About {
        about(self.id)
    }

    async fn run(self, context: &Context) -> Result<proto::Task, AdminError> {
        Ok(message(context.services.tasks.cancel(self.id).await?))
    }
}

impl Request for proto::ResumeTaskRequest {
    type Answer = proto::Task;

    const METHOD: Method = change("Tasks/Resume", &[SecurityAdministrator]);

    fn about(&self) -> About {
        about(self.id)
    }

    async fn run(self, context: &Context) -> Result<proto::Task, AdminError> {
        Ok(message(context.services.tasks.resume(self.id).await?))
    }
}

fn about(id: u64) -> About {
    About::server(format!("task {id}"))
}

/// A task for the wire.
pub(super) fn message(task: tasks::Task) -> proto::Task {
    let state = match task.state {
        TaskState::Running => proto::TaskState::Running,
        TaskState::Done => proto::TaskState::Done,
        TaskState::Failed => proto::TaskState::Failed,
        TaskState::Cancelled => proto::TaskState::Cancelled,
    };
    let progress = task.progress;
    proto::Task {
        id: task.id,
        kind: task.kind,
        state: state.into(),
        subject: task.subject,
        reason: task.reason.unwrap_or_default(),
        started_unix_ms: millis(task.started),
        ended_unix_ms: some_millis(task.ended),
        done: progress.done(),
        total: progress.total(),
        types: types(progress.types),
        steps: steps(progress.steps),
        findings: progress.findings.into_iter().map(finding).collect(),
        more_findings: progress.more_findings,
    }
}

/// The counts of each type for the wire.
pub(super) fn types(types: Vec<TypeProgress>) -> Vec<proto::TypeProgress> {
    let types = types.into_iter().map(|kind| proto::TypeProgress {
        r#type: kind.name,
        total: kind.total,
        done: kind.done,
        undecryptable: kind.undecryptable,
        failed: kind.failed,
    });
    types.collect()
}

/// The steps for the wire.
pub(super) fn steps(steps: Vec<Step>) -> Vec<proto::TaskStep> {
    let steps = steps.into_iter().map(|step| proto::TaskStep {
        name: step.name,
        state: match step.state {
            StepState::Waiting => "waiting",
            StepState::Running => "running",
            StepState::Done => "done",
            StepState::Failed => "failed",
        }
        .to_owned(),
        note: step.note,
    });
    steps.collect()
}

fn finding(finding: Finding) -> proto::TaskFinding {
    proto::TaskFinding {
        r#type: finding.kind,
        owner: finding.owner,
        field: finding.field,
        key_id: finding.key,
        why: finding.why.text().to_owned(),
    }
}
