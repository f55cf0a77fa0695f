//! The long work of `Keys`: started here, watched through `Tasks`.

use portcullis_proto::admin::v1 as proto;
use portcullis_proto::admin::v1::started_task::Kind;
use tonic::{Response, Status};

use super::status::{of_repository, of_task};
use super::tasks::{message, types};
use crate::repository::ProtectedType;
use crate::serve::Services;
use crate::tasks::re_encrypt::Plan;
use crate::tasks::{Job, ReEncrypt};

/// `Keys.ReEncrypt`
pub(super) async fn re_encrypt(
    services: &Services,
    subject: &str,
    request: proto::ReEncryptRequest,
) -> Result<Response<proto::StartedTask>, Status> {
    let named: Result<Vec<ProtectedType>, _> =
        request.types.iter().map(|name| name.parse()).collect();
    let named = named.map_err(|error| Status::invalid_argument(error.to_string()))?;
    let job = ReEncrypt::of(&named);
    if !request.dry_run {
        return start(services, subject, Job::ReEncrypt(job)).await;
    }
    let database = services.repository.database();
    let plan = Plan::make(database, services.keys.keyring(), &job.types()).await;
    let plan = plan.map_err(|error| of_repository(&error))?;
    Ok(answer(Kind::Plan(proto::TaskPlan {
        types: types(plan.types),
        steps: Vec::new(),
    })))
}

/// Starts `job`, and answers with its task.
pub(super) async fn start(
    services: &Services,
    subject: &str,
    job: Job,
) -> Result<Response<proto::StartedTask>, Status> {
    let task = services.tasks.start(job, subject).await;
    let task = task.map_err(|error| of_task(&error))?;
    Ok(answer(Kind::Task(message(task))))
}

fn answer(kind: Kind) -> Response<proto::StartedTask> {
    Response::new(proto::StartedTask { kind: Some(kind) })
}
