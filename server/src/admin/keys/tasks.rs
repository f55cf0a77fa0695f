//! The long work of `Keys`: started here, watched through `Tasks`.

use portcullis_proto::admin::v1 as proto;
use portcullis_proto::admin::v1::started_task::Kind;
use tonic::{Response, Status};

use crate::admin::convert;
use crate::admin::error::{of_repository, of_task};
use crate::admin::keys::kind;
use crate::admin::keys::life::of_protect;
use crate::admin::tasks::{message, steps, types};
use crate::services::Services;
use crate::tasks::manage::{Choice, Manage};
use crate::tasks::re_encrypt::{Plan, server_keys};
use crate::tasks::{Job, ReEncrypt};

/// `Keys.ReEncrypt`
pub(crate) async fn re_encrypt(
    services: &Services,
    subject: &str,
    request: proto::ReEncryptRequest,
) -> Result<Response<proto::StartedTask>, Status> {
    let job = ReEncrypt::named(request.types);
    let job = job.map_err(|error| Status::invalid_argument(error.to_string()))?;
    if job.server_keys() {
        let can = services.keys.rewrappable(&services.secret).await;
        can.map_err(|error| of_protect(&error))?;
    }
    if !request.dry_run {
        return start(services, subject, Job::ReEncrypt(job)).await;
    }
    let database = services.repository.database();
    let mut planned = Vec::new();
    if job.server_keys() {
        let server_keys = server_keys(database).await;
        planned.push(server_keys.map_err(|error| of_repository(&error))?);
    }
    let plan = Plan::make(database, services.keys.keyring(), &job.types()).await;
    planned.extend(plan.map_err(|error| of_repository(&error))?.types);
    Ok(answer(Kind::Plan(proto::TaskPlan {
        types: types(planned),
        steps: Vec::new(),
    })))
}

/// `Keys.Manage`
pub(crate) async fn manage(
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
        delete_unused: request.delete_unused,
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
pub(crate) async fn start(
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
