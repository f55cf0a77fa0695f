//! Calls on resources.

use std::pin::Pin;

use portcullis_proto::admin::v1::ExecuteRequest;
use portcullis_proto::admin::v1::calls_server::Calls;
use portcullis_proto::gateway::v1::{Outcome, SearchItem};
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status};

use super::status::{not_found, of_repository};
use crate::provisioning::{self, DispatchError};
use crate::serve::Services;

/// `portcullis.admin.v1.Calls`
pub(super) struct CallsApi(pub(super) Services);

#[tonic::async_trait]
impl Calls for CallsApi {
    type SearchStream = Pin<Box<dyn Stream<Item = Result<SearchItem, Status>> + Send>>;

    async fn execute(&self, request: Request<ExecuteRequest>) -> Result<Response<Outcome>, Status> {
        let ExecuteRequest { resource, call } = request.into_inner();
        provisioning::execute(&self.0, &resource, call.unwrap_or_default())
            .await
            .map(Response::new)
            .map_err(|error| refused(&error))
    }

    async fn search(
        &self,
        request: Request<ExecuteRequest>,
    ) -> Result<Response<Self::SearchStream>, Status> {
        let ExecuteRequest { resource, call } = request.into_inner();
        let items = provisioning::search(&self.0, &resource, call.unwrap_or_default())
            .await
            .map_err(|error| refused(&error))?;
        Ok(Response::new(Box::pin(items.map(Ok))))
    }
}

fn refused(error: &DispatchError) -> Status {
    match error {
        DispatchError::UnknownResource(name) => not_found("resource", name),
        DispatchError::Repository(error) => of_repository(error),
    }
}
