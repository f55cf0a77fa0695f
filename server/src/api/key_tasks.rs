//! The long work of `Keys`: started here, watched through `Tasks`.

use portcullis_proto::admin::v1 as proto;
use portcullis_proto::admin::v1::started_task::Kind;
use tonic::{Response, Status};

use super::convert;
use super::keys::kind;
use super::status::{of_repository, of_task};
use super::tasks::{message, steps, types};
use crate::repository::ProtectedType;
use crate::serve::Services;
use crate::tasks::manage::{Choice, Manage};
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

/// `Keys.Manage`
pub(super) async fn manage(
    services: &Services,
    subject: &str,
    request: proto::ManageKeysRequest,
) -> Result<Response<proto::StartedTask>, Status> {
    let kind = convert::key_kind(kind(request.server_kind)?);
    let choice = Choice {
        server_key: request.server_key.then_some(kind),
        re_encrypt: request.re_encrypt,
        gateway_key: request.gateway_key,
        sync: request.sync_gateways,
        verify: request.verify,
    };
    let work = services.tasks.work();
    let job = Manage::new(&choice, work).await;
    let job = job.map_err(|error| of_task(&error))?;
    if !request.dry_run {
        return start(services, subject, Job::Manage(job)).await;
    }
    let plan = job.plan(work).await;
    let (planned, counted) = plan.map_err(|error| of_repository(&error))?;
    Ok(answer(Kind::Plan(proto::TaskPlan {
        types: types(counted),
        steps: steps(planned),
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
