//! Keys, by id.

mod deletion;
mod protection;
mod server_key_status;
mod status;
mod tasks;
mod transfer;

use std::time::Duration;

use portcullis_common::id::KeyId;
use portcullis_proto::admin::v1 as proto;
use tokio_stream::StreamExt;

use super::context::Context;
use super::error::AdminError;
use super::names::{self, key_id};
use super::request::{About, Front, Messages, Method, Request, Withdraws, change, read};
use super::{LOOK, convert};
use crate::config::Capability::SecurityAdministrator;
use crate::fleet::{ProgressStream, Rotation};
use crate::repository::{Replaced, RepositoryError};
use crate::services::Services;
use crate::tasks::SyncGateways;

/// However long a caller says that it would wait.
const MAX_WAIT: Duration = Duration::from_hours(24);

pub(super) fn offer(front: &mut impl Front) {
    front.offer::<proto::ListKeysRequest>();
    front.offer::<proto::KeyStatusRequest>();
    front.offer::<proto::GenerateServerKeyRequest>();
    front.offer::<proto::SetCurrentKeyRequest>();
    front.offer::<proto::RotateGatewayRequest>();
    front.offer::<proto::SyncGatewaysRequest>();
    front.offer::<tasks::StartSync>();
    front.offer::<proto::ReEncryptRequest>();
    front.offer::<proto::VerifyRequest>();
    front.offer::<proto::ManageKeysRequest>();
    front.offer::<proto::ProtectRequest>();
    front.offer::<proto::ExportKeysRequest>();
    front.offer::<proto::ImportKeysRequest>();
    front.offer::<proto::DeleteKeyRequest>();
}

impl Request for proto::ListKeysRequest {
    type Answer = proto::ListKeysResponse;

    const METHOD: Method = read("Keys/List", LOOK);

    fn about(&self) -> About {
        About::server("")
    }

    async fn run(self, context: &Context) -> Result<proto::ListKeysResponse, AdminError> {
        let repository = &context.services.repository;
        let gateway_keys = repository.gateway_keys().list().await?;
        let server_keys = repository.database().server_keys().list().await?;
        let gateway_keys = gateway_keys.iter().map(convert::gateway_key);
        let server_keys = server_keys.iter().map(convert::server_key);
        Ok(proto::ListKeysResponse {
            keys: gateway_keys.chain(server_keys).collect(),
            protection: Some(protection::protection(&context.services).await?),
        })
    }
}

impl Request for proto::KeyStatusRequest {
    type Answer = proto::KeyStatusResponse;

    const METHOD: Method = read("Keys/Status", LOOK);

    fn about(&self) -> About {
        About::server("")
    }

    async fn run(self, context: &Context) -> Result<proto::KeyStatusResponse, AdminError> {
        let services = &context.services;
        Ok(proto::KeyStatusResponse {
            gateway_keys: Some(status::gateway_keys(services, self.gateways).await?),
            server_keys: Some(server_key_status::server_keys(services).await?),
        })
    }
}

impl Request for proto::GenerateServerKeyRequest {
    type Answer = proto::Key;

    const METHOD: Method = change("Keys/GenerateServer", &[SecurityAdministrator]);

    fn about(&self) -> About {
        About::server("server key")
    }

    fn withdraws(&self) -> Withdraws {
        match self.set_current {
            true => Withdraws::Once,
            false => Withdraws::Nothing,
        }
    }

    async fn run(self, context: &Context) -> Result<proto::Key, AdminError> {
        let services = &context.services;
        let kind = convert::key_kind(names::key_kind(self.kind)?);
        let made = services.keys.generate(kind, false).await?;
        context.note.add(made);
        if self.set_current {
            held_everywhere(services, made).await?;
            services.keys.set_current(made).await?;
        }
        server_key(services, made).await
    }
}

impl Request for proto::SetCurrentKeyRequest {
    type Answer = proto::Key;

    const METHOD: Method = change("Keys/SetCurrent", &[SecurityAdministrator]);

    fn about(&self) -> About {
        About::server(format!("server key {}", self.key_id))
    }

    fn withdraws(&self) -> Withdraws {
        Withdraws::Again
    }

    async fn run(self, context: &Context) -> Result<proto::Key, AdminError> {
        let id = key_id(&self.key_id)?;
        let gateway_keys = context.services.repository.gateway_keys().list().await?;
        if gateway_keys.iter().any(|row| row.info.id == id) {
            return Err(AdminError::Precondition(format!(
                "{id} is a gateway key: no gateway goes back to an older one; `portcullis key rotate-gateway` makes a new one current"
            )));
        }
        held_everywhere(&context.services, id).await?;
        context.services.keys.set_current(id).await?;
        server_key(&context.services, id).await
    }
}

impl Request for proto::RotateGatewayRequest {
    type Answer = Messages<proto::SyncProgress>;

    const METHOD: Method = change("Keys/RotateGateway", &[SecurityAdministrator]);

    fn about(&self) -> About {
        let what = match (self.compromised, self.roll_back) {
            (true, _) => ", compromised",
            (false, true) => ", rolled back",
            (false, false) => "",
        };
        about_push(what, self.push.as_ref())
    }

    fn withdraws(&self) -> Withdraws {
        match self.compromised || self.roll_back {
            true => Withdraws::Once,
            false => Withdraws::Nothing,
        }
    }

    async fn run(self, context: &Context) -> Result<Messages<proto::SyncProgress>, AdminError> {
        let mut push = sync_job(self.push.unwrap_or_default())?.push();
        let replaced = match (self.roll_back, self.compromised) {
            (false, false) => Replaced::Retired,
            (false, true) => Replaced::Compromised,
            (true, false) if push.groups.is_empty() => Replaced::Withdrawn,
            (true, false) => {
                return Err(AdminError::malformed(
                    "a roll-back concerns every gateway that may hold the key, whatever its group: give no group",
                ));
            }
            (true, true) => {
                return Err(AdminError::malformed(
                    "a compromised key is not rolled back but refused: give one of the two",
                ));
            }
        };
        let rotation = Rotation {
            kind: convert::key_kind(names::key_kind(self.kind)?),
            expected_current: expected(&self.expected_current)?,
            replaced,
        };
        let fleet = &context.services.fleet;
        let (new, former) = fleet.rotate(rotation).await?;
        context.note.add(format!("{new} is current"));
        if let Some(former) = former {
            context.note.add(format!("it replaces {former}"));
        }
        let withdrawn = former.filter(|_| replaced == Replaced::Withdrawn);
        push.holders_of = withdrawn;
        let stream = fleet.synchronize(push, wait(self.wait_ms)).await?;
        Ok(messages(stream, withdrawn))
    }
}

impl Request for proto::SyncGatewaysRequest {
    type Answer = Messages<proto::SyncProgress>;

    const METHOD: Method = change("Keys/SyncGateways", &[SecurityAdministrator]);

    fn about(&self) -> About {
        about_push("", self.push.as_ref())
    }

    async fn run(self, context: &Context) -> Result<Messages<proto::SyncProgress>, AdminError> {
        let push = sync_job(self.push.unwrap_or_default())?.push();
        let fleet = &context.services.fleet;
        let stream = fleet.synchronize(push, wait(self.wait_ms)).await?;
        Ok(messages(stream, None))
    }
}

/// The gateway key, and the groups of gateways that it is sent to.
fn about_push(what: &str, push: Option<&proto::PushOptions>) -> About {
    let groups = push.map(|push| names::listed(", to", &push.groups));
    let about = About::server(format!("gateway key{what}"));
    about.shown_with(&groups.unwrap_or_default())
}

fn sync_job(options: proto::PushOptions) -> Result<SyncGateways, AdminError> {
    Ok(SyncGateways {
        groups: names::groups(options.groups)?,
        per_minute: options.per_minute,
        force: options.force,
    })
}

/// Before anything is sealed under a key: every server has it, and opens what others seal.
async fn held_everywhere(services: &Services, id: KeyId) -> Result<(), AdminError> {
    let held = services.withdrawals.done().await;
    held.map_err(|error| {
        let why = format!(
            "server key {id} is stored and not current, as it is not known whether every server has it: {error}; `portcullis key set-current {id}` tries again"
        );
        AdminError::Unavailable(why)
    })
}

async fn server_key(services: &Services, id: KeyId) -> Result<proto::Key, AdminError> {
    let keys = services.repository.database().server_keys().list().await?;
    let key = keys.iter().find(|key| key.id == id);
    let key = key.ok_or(RepositoryError::NoSuchKey(id))?;
    Ok(convert::server_key(key))
}

fn expected(text: &str) -> Result<Option<KeyId>, AdminError> {
    Some(text)
        .filter(|text| !text.is_empty())
        .map(key_id)
        .transpose()
}

fn wait(millis: u32) -> Duration {
    Duration::from_millis(millis.into()).min(MAX_WAIT)
}

fn messages(stream: ProgressStream, withdrawn: Option<KeyId>) -> Messages<proto::SyncProgress> {
    Messages::new(stream.map(move |progress| Ok(convert::progress(progress?, withdrawn))))
}
