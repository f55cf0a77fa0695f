//! Long work, by its number.

use portcullis_proto::admin::v1 as proto;
use portcullis_proto::admin::v1::tasks_server::Tasks;
use portcullis_proto::grpc::Replies;
use tokio_stream::StreamExt;
use tonic::{Request, Response, Status};

use super::convert::{millis, some_millis};
use super::error::{of_repository, of_task};
use crate::repository::TaskState;
use crate::services::Services;
use crate::tasks::{self, Finding, Step, StepState, TypeProgress};

/// `portcullis.admin.v1.Tasks`
pub(crate) struct TasksApi(pub(crate) Services);

#[tonic::async_trait]
impl Tasks for TasksApi {
    async fn list(
        &self,
        _: Request<proto::ListTasksRequest>,
    ) -> Result<Response<proto::ListTasksResponse>, Status> {
        let tasks = self.0.tasks.list().await;
        let tasks = tasks.map_err(|error| of_repository(&error))?;
        Ok(Response::new(proto::ListTasksResponse {
            tasks: tasks.into_iter().map(message).collect(),
        }))
    }

    async fn show(
        &self,
        request: Request<proto::ShowTaskRequest>,
    ) -> Result<Response<proto::Task>, Status> {
        answer(self.0.tasks.show(request.into_inner().id).await)
    }

    async fn watch(
        &self,
        request: Request<proto::WatchTaskRequest>,
    ) -> Result<Response<Replies<proto::Task>>, Status> {
        let states = self.0.tasks.watch(request.into_inner().id).await;
        let states = states.map_err(|error| of_task(&error))?;
        Ok(Response::new(Box::pin(
            states.map(|task| Ok(message(task))),
        )))
    }

    async fn cancel(
        &self,
        request: Request<proto::CancelTaskRequest>,
    ) -> Result<Response<proto::Task>, Status> {
        answer(self.0.tasks.cancel(request.into_inner().id).await)
    }

    async fn resume(
        &self,
        request: Request<proto::ResumeTaskRequest>,
    ) -> Result<Response<proto::Task>, Status> {
        answer(self.0.tasks.resume(request.into_inner().id).await)
    }
}

fn answer(task: Result<tasks::Task, tasks::TaskError>) -> Result<Response<proto::Task>, Status> {
    let task = task.map_err(|error| of_task(&error))?;
    Ok(Response::new(message(task)))
}

/// A task for the wire.
pub(crate) fn message(task: tasks::Task) -> proto::Task {
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
pub(crate) fn types(types: Vec<TypeProgress>) -> Vec<proto::TypeProgress> {
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
pub(crate) fn steps(steps: Vec<Step>) -> Vec<proto::TaskStep> {
    let steps = steps.into_iter().map(|step| proto::TaskStep {
        name: step.name,
        state: match step.state {
            StepState::Waiting => "waiting",
            StepState::Running => "running",
            StepState::Done => "done",
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
