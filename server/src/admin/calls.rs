//! Calls on resources.

use portcullis_proto::admin::v1::calls_server::Calls;
use portcullis_proto::admin::v1::{self as proto, ExecuteRequest};
use portcullis_proto::gateway::v1::search_item::Kind;
use portcullis_proto::gateway::v1::{Outcome, SearchItem};
use portcullis_proto::grpc::Replies;
use tonic::{Request, Response, Status};

use super::audited_call::AuditedCall;
use super::authorize::authorize_password_of_user;
use super::error::{not_found, of_audit, of_password, of_repository};
use super::queue;
use crate::access::Caller;
use crate::provisioning::{self, DispatchError};
use crate::services::Services;

/// `portcullis.admin.v1.Calls`
pub(crate) struct CallsApi(pub(crate) Services);

#[tonic::async_trait]
impl Calls for CallsApi {
    async fn execute(&self, request: Request<ExecuteRequest>) -> Result<Response<Outcome>, Status> {
        let caller = Caller::of(&request);
        let ExecuteRequest {
            resource,
            call,
            password_from_user,
        } = request.into_inner();
        let user = self
            .user(&caller, "Calls/Execute", &password_from_user)
            .await?;
        let call = provisioning::with_id(call.unwrap_or_default());
        let audited =
            AuditedCall::begin(&self.0.audit, caller, &resource, &call, &password_from_user)
                .await
                .map_err(|error| of_audit(&error))?;
        match provisioning::execute(&self.0.provisioning, &resource, call, user).await {
            Ok(outcome) => {
                audited.outcome(&outcome).await;
                Ok(Response::new(outcome))
            }
            Err(error) => Err(audited.refused(refused(&error)).await),
        }
    }

    async fn enqueue(
        &self,
        request: Request<ExecuteRequest>,
    ) -> Result<Response<proto::QueuedCall>, Status> {
        let caller = Caller::of(&request);
        let user = &request.get_ref().password_from_user;
        self.user(&caller, "Calls/Enqueue", user).await?;
        queue::enqueue(&self.0, request).await
    }

    async fn list_queued(
        &self,
        request: Request<proto::ListQueuedRequest>,
    ) -> Result<Response<proto::ListQueuedResponse>, Status> {
        queue::list(&self.0, &request.into_inner()).await
    }

    async fn show_queued(
        &self,
        request: Request<proto::ShowQueuedRequest>,
    ) -> Result<Response<proto::QueuedCall>, Status> {
        queue::show(&self.0, &request.into_inner().call_id).await
    }

    async fn cancel_queued(
        &self,
        request: Request<proto::CancelQueuedRequest>,
    ) -> Result<Response<proto::QueuedCall>, Status> {
        queue::cancel(&self.0, &request.into_inner().call_id).await
    }

    async fn search(
        &self,
        request: Request<ExecuteRequest>,
    ) -> Result<Response<Replies<SearchItem>>, Status> {
        let caller = Caller::of(&request);
        let ExecuteRequest { resource, call, .. } = request.into_inner();
        let call = provisioning::with_id(call.unwrap_or_default());
        let audited = AuditedCall::begin(&self.0.audit, caller, &resource, &call, "")
            .await
            .map_err(|error| of_audit(&error))?;
        let items = match provisioning::search(&self.0.provisioning, &resource, call).await {
            Ok(items) => items,
            Err(error) => return Err(audited.refused(refused(&error)).await),
        };
        let mut audited = Some(audited);
        // The entry is written before the caller sees the end.
        let items = futures_util::StreamExt::then(items, move |item| {
            let ended = match &item.kind {
                Some(Kind::End(_)) => audited.take(),
                _ => None,
            };
            async move {
                if let (Some(audited), Some(Kind::End(end))) = (ended, &item.kind) {
                    audited.search_end(end).await;
                }
                Ok(item)
            }
        });
        Ok(Response::new(Box::pin(items)))
    }
}

impl CallsApi {
    /// The user whose password a call is to set, where it names one, and provided that the caller may use it.
    async fn user<'a>(
        &self,
        caller: &Caller,
        method: &'static str,
        user: &'a str,
    ) -> Result<Option<&'a str>, Status> {
        if user.is_empty() {
            return Ok(None);
        }
        if let Err(refusal) = authorize_password_of_user(caller, method) {
            let audit = &self.0.audit;
            let subject = caller.subject.clone();
            audit
                .refused(subject, refusal.action, &refusal.reason)
                .await;
            return Err(refusal.status);
        }
        Ok(Some(user))
    }
}

fn refused(error: &DispatchError) -> Status {
    match error {
        DispatchError::UnknownResource(name) => not_found("resource", name),
        DispatchError::Repository(error) => of_repository(error),
        DispatchError::Password(error) => of_password(error),
        DispatchError::Stopping => Status::unavailable(error.to_string()),
    }
}
