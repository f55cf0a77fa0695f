//! Keys, by id.

mod life;
mod server_key_status;
mod status;
mod tasks;

use std::time::Duration;

use portcullis_common::id::KeyId;
use portcullis_proto::admin::v1 as proto;
use portcullis_proto::admin::v1::keys_server::Keys;
use portcullis_proto::grpc::Replies;
use tokio_stream::StreamExt;
use tonic::{Request, Response, Status};

use super::error::{of_key, of_repository, of_rotation};
use super::note::Note;
use super::{convert, names};
use crate::access::Caller;
use crate::fleet::{ProgressStream, Rotation};
use crate::repository::{Replaced, RepositoryError};
use crate::services::Services;
use crate::tasks::{Job, SyncGateways};

/// However long a caller says that it would wait.
const MAX_WAIT: Duration = Duration::from_hours(24);

/// `portcullis.admin.v1.Keys`
pub(crate) struct KeysApi(pub(crate) Services);

type SyncStream = Replies<proto::SyncProgress>;

#[tonic::async_trait]
impl Keys for KeysApi {
    async fn list(
        &self,
        _: Request<proto::ListKeysRequest>,
    ) -> Result<Response<proto::ListKeysResponse>, Status> {
        let repository = &self.0.repository;
        let gateway_keys = repository
            .gateway_keys()
            .list()
            .await
            .map_err(|error| of_repository(&error))?;
        let server_keys = repository
            .database()
            .server_keys()
            .list()
            .await
            .map_err(|error| of_repository(&error))?;
        let keys = gateway_keys
            .iter()
            .map(convert::gateway_key)
            .chain(server_keys.iter().map(convert::server_key))
            .collect();
        let protection = life::protection(&self.0).await?;
        Ok(Response::new(proto::ListKeysResponse {
            keys,
            protection: Some(protection),
        }))
    }

    async fn generate_server(
        &self,
        request: Request<proto::GenerateServerKeyRequest>,
    ) -> Result<Response<proto::Key>, Status> {
        let note = Note::of(&request);
        let request = request.into_inner();
        let kind = convert::key_kind(kind(request.kind)?);
        let made = self.0.keys.generate(kind, request.set_current).await;
        let made = made.map_err(|error| of_key(&error))?;
        note.add(made);
        self.server_key(made).await
    }

    async fn set_current(
        &self,
        request: Request<proto::SetCurrentKeyRequest>,
    ) -> Result<Response<proto::Key>, Status> {
        let id = key_id(&request.into_inner().key_id)?;
        let set = self.0.keys.set_current(id).await;
        set.map_err(|error| of_key(&error))?;
        self.server_key(id).await
    }

    async fn re_encrypt(
        &self,
        request: Request<proto::ReEncryptRequest>,
    ) -> Result<Response<proto::StartedTask>, Status> {
        let subject = subject(&request);
        tasks::re_encrypt(&self.0, &subject, request.into_inner()).await
    }

    async fn verify(
        &self,
        request: Request<proto::VerifyRequest>,
    ) -> Result<Response<proto::StartedTask>, Status> {
        tasks::start(&self.0, &subject(&request), Job::Verify).await
    }

    async fn manage(
        &self,
        request: Request<proto::ManageKeysRequest>,
    ) -> Result<Response<proto::StartedTask>, Status> {
        let subject = subject(&request);
        tasks::manage(&self.0, &subject, request.into_inner()).await
    }

    async fn rotate_gateway(
        &self,
        request: Request<proto::RotateGatewayRequest>,
    ) -> Result<Response<SyncStream>, Status> {
        let note = Note::of(&request);
        let request = request.into_inner();
        let mut push = push(request.push.unwrap_or_default())?.push();
        let replaced = match (request.roll_back, request.compromised) {
            (false, false) => Replaced::Retired,
            (false, true) => Replaced::Compromised,
            (true, false) if push.groups.is_empty() => Replaced::Withdrawn,
            (true, false) => {
                return Err(Status::invalid_argument(
                    "a roll-back concerns every gateway that may hold the key, whatever its group: give no group",
                ));
            }
            (true, true) => {
                return Err(Status::invalid_argument(
                    "a compromised key is not rolled back but refused: give one of the two",
                ));
            }
        };
        let rotation = Rotation {
            kind: convert::key_kind(kind(request.kind)?),
            expected_current: expected(&request.expected_current)?,
            replaced,
        };
        let fleet = &self.0.fleet;
        let (new, former) = fleet
            .rotate(rotation)
            .await
            .map_err(|error| of_rotation(&error))?;
        note.add(format!("{new} is current"));
        if let Some(former) = former {
            note.add(format!("it replaces {former}"));
        }
        let withdrawn = former.filter(|_| replaced == Replaced::Withdrawn);
        push.holders_of = withdrawn;
        let stream = fleet
            .synchronize(push, wait(request.wait_ms))
            .await
            .map_err(|error| of_repository(&error))?;
        Ok(Response::new(messages(stream, withdrawn)))
    }

    async fn sync_gateways(
        &self,
        request: Request<proto::SyncGatewaysRequest>,
    ) -> Result<Response<SyncStream>, Status> {
        let request = request.into_inner();
        let push = push(request.push.unwrap_or_default())?.push();
        let stream = self
            .0
            .fleet
            .synchronize(push, wait(request.wait_ms))
            .await
            .map_err(|error| of_repository(&error))?;
        Ok(Response::new(messages(stream, None)))
    }

    async fn protect(
        &self,
        request: Request<proto::ProtectRequest>,
    ) -> Result<Response<proto::ProtectResponse>, Status> {
        life::protect(&self.0, request).await
    }

    async fn export(
        &self,
        request: Request<proto::ExportKeysRequest>,
    ) -> Result<Response<proto::ExportKeysResponse>, Status> {
        life::export(&self.0, request).await
    }

    async fn import(
        &self,
        request: Request<proto::ImportKeysRequest>,
    ) -> Result<Response<proto::ImportKeysResponse>, Status> {
        life::import(&self.0, request).await
    }

    async fn delete(
        &self,
        request: Request<proto::DeleteKeyRequest>,
    ) -> Result<Response<proto::DeleteKeyResponse>, Status> {
        life::delete(&self.0, request).await
    }

    async fn start_sync(
        &self,
        request: Request<proto::SyncGatewaysRequest>,
    ) -> Result<Response<proto::StartedTask>, Status> {
        let subject = subject(&request);
        let job = push(request.into_inner().push.unwrap_or_default())?;
        tasks::start(&self.0, &subject, Job::SyncGateways(job)).await
    }

    async fn status(
        &self,
        request: Request<proto::KeyStatusRequest>,
    ) -> Result<Response<proto::KeyStatusResponse>, Status> {
        let gateway_keys = status::gateway_keys(&self.0, request.into_inner().gateways).await?;
        Ok(Response::new(proto::KeyStatusResponse {
            gateway_keys: Some(gateway_keys),
            server_keys: Some(server_key_status::server_keys(&self.0).await?),
        }))
    }
}

fn push(options: proto::PushOptions) -> Result<SyncGateways, Status> {
    Ok(SyncGateways {
        groups: names::groups(options.groups)?,
        per_minute: options.per_minute,
        force: options.force,
    })
}

impl KeysApi {
    async fn server_key(&self, id: KeyId) -> Result<Response<proto::Key>, Status> {
        let keys = self.0.repository.database().server_keys().list().await;
        keys.map_err(|error| of_repository(&error))?
            .iter()
            .find(|key| key.id == id)
            .map(|key| Response::new(convert::server_key(key)))
            .ok_or_else(|| of_repository(&RepositoryError::NoSuchKey(id)))
    }
}

/// Who asks.
fn subject<T>(request: &Request<T>) -> String {
    Caller::of(request).subject.to_string()
}

/// A kind of key, as it was asked for.
pub(crate) fn kind(number: i32) -> Result<proto::KeyKind, Status> {
    proto::KeyKind::try_from(number).map_err(|_| {
        Status::invalid_argument(format!("{number} is no kind of key: give 3des or aes-256"))
    })
}

fn expected(text: &str) -> Result<Option<KeyId>, Status> {
    Some(text)
        .filter(|text| !text.is_empty())
        .map(key_id)
        .transpose()
}

pub(crate) fn key_id(text: &str) -> Result<KeyId, Status> {
    text.parse::<KeyId>()
        .map_err(|error| Status::invalid_argument(error.to_string()))
}

fn wait(millis: u32) -> Duration {
    Duration::from_millis(millis.into()).min(MAX_WAIT)
}

fn messages(stream: ProgressStream, withdrawn: Option<KeyId>) -> SyncStream {
    Box::pin(stream.map(move |progress| {
        progress
            .map(|progress| convert::progress(progress, withdrawn))
            .map_err(|error| of_repository(&error))
    }))
}
