//! Resources: which connector of which gateway, with which settings.

use std::collections::{BTreeMap, HashMap};

use portcullis_host::clock;
use portcullis_proto::admin::v1 as proto;
use portcullis_proto::admin::v1::resources_server::Resources;
use portcullis_proto::gateway::v1::SecretSetting;
use tonic::{Request, Response, Status};

use super::convert;
use super::error::{not_found, of_repository};
use super::names;
use super::note::Note;
use super::users::secret;
use crate::repository::{Changed, Resource, SecretSettings};
use crate::services::Services;

/// Bytes of a secret setting.
const MAX_SECRET: usize = 1_024;

/// `portcullis.admin.v1.Resources`
pub(crate) struct ResourcesApi(pub(crate) Services);

#[tonic::async_trait]
impl Resources for ResourcesApi {
    async fn add(
        &self,
        request: Request<proto::AddResourceRequest>,
    ) -> Result<Response<proto::Resource>, Status> {
        let request = request.into_inner();
        names::name("resource", &request.name)?;
        names::name("connector", &request.connector)?;
        names::check_settings(&request.settings)?;
        let mut settings = BTreeMap::new();
        names::merge_settings(&mut settings, request.settings);
        let resource = Resource {
            name: request.name,
            gateway: request.gateway,
            connector: request.connector,
            settings,
            secret_settings: std::collections::BTreeSet::new(),
            created: clock::now(),
        };
        self.0
            .repository
            .resources()
            .add(resource.clone())
            .await
            .map_err(|error| of_repository(&error))?;
        tracing::info!(
            resource = resource.name,
            gateway = resource.gateway,
            connector = resource.connector,
            "added a resource"
        );
        Ok(Response::new(convert::resource(resource)))
    }

    async fn set(
        &self,
        request: Request<proto::SetResourceRequest>,
    ) -> Result<Response<proto::Resource>, Status> {
        let note = Note::of(&request);
        let request = request.into_inner();
        if let Some(connector) = &request.connector {
            names::name("connector", connector)?;
        }
        names::check_settings(&request.settings)?;
        let secrets = secret_settings(request.secret_settings, &request.settings)?;
        let Changed {
            resource,
            dropped,
            cancelled,
        } = self
            .0
            .repository
            .resources()
            .update_with(&request.name, secrets, move |resource| {
                if let Some(gateway) = request.gateway {
                    resource.gateway = gateway;
                }
                if let Some(connector) = request.connector {
                    resource.connector = connector;
                }
                names::merge_settings(&mut resource.settings, request.settings);
            })
            .await
            .map_err(|error| of_repository(&error))?;
        tracing::info!(resource = resource.name, "changed a resource");
        if !dropped.is_empty() {
            let names = dropped.join(" ");
            note.add(format!("moved: removed the secret settings {names}"));
        }
        if cancelled > 0 {
            note.add(format!("moved: cancelled {cancelled} queued calls"));
        }
        Ok(Response::new(proto::Resource {
            dropped_secret_settings: dropped,
            cancelled_calls: cancelled.try_into().unwrap_or(u64::MAX),
            ..convert::resource(resource)
        }))
    }

    async fn list(
        &self,
        _: Request<proto::ListResourcesRequest>,
    ) -> Result<Response<proto::ListResourcesResponse>, Status> {
        let resources = self
            .0
            .repository
            .resources()
            .list()
            .await
            .map_err(|error| of_repository(&error))?;
        Ok(Response::new(proto::ListResourcesResponse {
            resources: resources.into_iter().map(convert::resource).collect(),
        }))
    }

    async fn show(
        &self,
        request: Request<proto::ShowResourceRequest>,
    ) -> Result<Response<proto::Resource>, Status> {
        let name = request.into_inner().name;
        let resource = self
            .0
            .repository
            .resources()
            .find(&name)
            .await
            .map_err(|error| of_repository(&error))?
            .ok_or_else(|| not_found("resource", &name))?;
        Ok(Response::new(convert::resource(resource)))
    }

    async fn remove(
        &self,
        request: Request<proto::RemoveResourceRequest>,
    ) -> Result<Response<proto::RemoveResourceResponse>, Status> {
        let name = request.into_inner().name;
        self.0
            .repository
            .resources()
            .remove(&name)
            .await
            .map_err(|error| of_repository(&error))?;
        tracing::info!(
            resource = name,
            "removed a resource; nothing on it was touched"
        );
        Ok(Response::new(proto::RemoveResourceResponse {}))
    }
}

/// Secret settings as they are stored, within bounds.
fn secret_settings(
    given: Vec<SecretSetting>,
    settings: &HashMap<String, String>,
) -> Result<SecretSettings, Status> {
    let mut secrets = SecretSettings::new();
    for SecretSetting { name, value } in given {
        names::name("setting", &name)?;
        let value = secret(value);
        if value.len() > MAX_SECRET {
            return Err(Status::invalid_argument(format!(
                "setting `{name}`: a secret has at most {MAX_SECRET} bytes"
            )));
        }
        if settings.contains_key(&name) || secrets.contains_key(&name) {
            return Err(Status::invalid_argument(format!(
                "setting `{name}` is given twice: give it once, as a secret or as it is"
            )));
        }
        secrets.insert(name, value);
    }
    if secrets.len() > names::MAX_SETTINGS {
        return Err(Status::invalid_argument(format!(
            "a resource has at most {} settings",
            names::MAX_SETTINGS
        )));
    }
    Ok(secrets)
}
