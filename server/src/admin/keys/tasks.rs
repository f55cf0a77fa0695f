//! The long work with keys: started here, watched through `Tasks`.

use portcullis_proto::admin::v1 as proto;
use portcullis_proto::admin::v1::started_task::Kind;

use super::sync_job;
use crate::admin::context::Context;
use crate::admin::convert;
use crate::admin::error::AdminError;
use crate::admin::names;
use crate::admin::request::{About, FromMessage, Method, Request, change};
use crate::admin::tasks::{message, steps, types};
use crate::config::Capability::SecurityAdministrator;
use crate::tasks::manage::{Choice, Manage};
use crate::tasks::re_encrypt::{Plan, server_keys};
use crate::tasks::{Job, ReEncrypt};

/// `Keys.StartSync`
#[derive(Debug)]
pub(crate) struct StartSync(proto::SyncGatewaysRequest);

impl FromMessage for StartSync {
    type Message = proto::SyncGatewaysRequest;

    fn from_message(message: Self::Message) -> Self {
        Self(message)
    }
}

impl Request for StartSync {
    type Answer = proto::StartedTask;

    const METHOD: Method = change("Keys/StartSync", &[SecurityAdministrator]);

    fn about(&self) -> About {
        super::about_push("", self.0.push.as_ref())
    }

    async fn run(self, context: &Context) -> Result<proto::StartedTask, AdminError> {
        let job = sync_job(self.0.push.unwrap_or_default())?;
        start(context, Job::SyncGateways(job)).await
    }
}

impl Request for proto::VerifyRequest {
    type Answer = proto::StartedTask;

    const METHOD: Method = change("Keys/Verify", &[SecurityAdministrator]);

    fn about(&self) -> About {
        About::server("values")
    }

    async fn run(self, context: &Context) -> Result<proto::StartedTask, AdminError> {
        start(context, Job::Verify).await
    }
}

impl Request for proto::ReEncryptRequest {
    type Answer = proto::StartedTask;

    const METHOD: Method = change("Keys/ReEncrypt", &[SecurityAdministrator]);

    fn about(&self) -> About {
        About::server("values").shown_with(names::dry_run(self.dry_run))
    }

    async fn run(self, context: &Context) -> Result<proto::StartedTask, AdminError> {
        let services = &context.services;
        let job = ReEncrypt::named(self.types).map_err(AdminError::malformed)?;
        if job.server_keys() {
            services.keys.rewrappable(&services.secret).await?;
        }
        if !self.dry_run {
            return start(context, Job::ReEncrypt(job)).await;
        }
        let database = services.repository.database();
        let mut planned = Vec::new();
        if job.server_keys() {
            planned.push(server_keys(database).await?);
        }
        let plan = Plan::make(database, services.keys.keyring(), &job.types()).await?;
        planned.extend(plan.types);
        Ok(answer(Kind::Plan(proto::TaskPlan {
            types: types(planned),
            steps: Vec::new(),
        })))
    }
}

impl Request for proto::ManageKeysRequest {
    type Answer = proto::StartedTask;

    const METHOD: Method = change("Keys/Manage", &[SecurityAdministrator]);

    fn about(&self) -> About {
        About::server("keys").shown_with(names::dry_run(self.dry_run))
    }

    async fn run(self, context: &Context) -> Result<proto::StartedTask, AdminError> {
        let kind = convert::key_kind(names::key_kind(self.server_kind)?);
        let choice = Choice {
            server_key: self.server_key.then_some(kind),
            re_encrypt: self.re_encrypt,
            gateway_key: self.gateway_key,
            sync: self.sync_gateways,
            verify: self.verify,
            delete_unused: self.delete_unused,
        };
        let work = context.services.tasks.work();
        let job = Manage::new(&choice, work).await?;
        if !self.dry_run {
            return start(context, Job::Manage(job)).await;
        }
        let (planned, counted) = job.plan(work).await?;
        Ok(answer(Kind::Plan(proto::TaskPlan {
            types: types(counted),
            steps: steps(planned),
        })))
    }
}

/// Starts `job`, and answers with its task.
async fn start(context: &Context, job: Job) -> Result<proto::StartedTask, AdminError> {
    let subject = context.caller.subject.to_string();
    let task = context.services.tasks.start(job, &subject).await?;
    Ok(answer(Kind::Task(message(task))))
}

const fn answer(kind: Kind) -> proto::StartedTask {
    proto::StartedTask { kind: Some(kind) }
}
