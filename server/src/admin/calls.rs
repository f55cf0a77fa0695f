//! Calls on resources.

use futures_util::StreamExt as _;
use portcullis_proto::admin::v1::ExecuteRequest;
use portcullis_proto::gateway::v1::search_item::Kind;
use portcullis_proto::gateway::v1::{Outcome, SearchItem};

use super::audited_call::AuditedCall;
use super::context::Context;
use super::error::AdminError;
use super::request::{About, FromMessage, Front, Messages, Method, Request, own};
use crate::config::Capability::Operator;
use crate::provisioning;

pub(super) fn offer(front: &mut impl Front) {
    front.offer::<Execute>();
    front.offer::<Search>();
}

/// `Calls.Execute`
#[derive(Debug)]
pub(crate) struct Execute(ExecuteRequest);

/// `Calls.Search`
#[derive(Debug)]
pub(crate) struct Search(ExecuteRequest);

impl Request for Execute {
    type Answer = Outcome;

    const METHOD: Method = own("Calls/Execute", &[Operator]);

    fn about(&self) -> About {
        About::resource(&self.0.resource)
    }

    async fn run(self, context: &Context) -> Result<Outcome, AdminError> {
        let ExecuteRequest {
            resource,
            call,
            password_from_user,
        } = self.0;
        let user = context
            .password_of_user(Self::METHOD, &password_from_user)
            .await?;
        let call = provisioning::with_id(call.unwrap_or_default());
        let audited = AuditedCall::begin(context, &resource, &call, &password_from_user).await?;
        let provisioning = &context.services.provisioning;
        match provisioning::execute(provisioning, &resource, call, user).await {
            Ok(outcome) => {
                audited.outcome(&outcome).await;
                Ok(outcome)
            }
            Err(error) => Err(audited.not_sent(error).await),
        }
    }
}

impl Request for Search {
    type Answer = Messages<SearchItem>;

    const METHOD: Method = own("Calls/Search", &[Operator]);

    fn about(&self) -> About {
        About::resource(&self.0.resource)
    }

    async fn run(self, context: &Context) -> Result<Messages<SearchItem>, AdminError> {
        let ExecuteRequest { resource, call, .. } = self.0;
        let call = provisioning::with_id(call.unwrap_or_default());
        let audited = AuditedCall::begin(context, &resource, &call, "").await?;
        let provisioning = &context.services.provisioning;
        let items = match provisioning::search(provisioning, &resource, call).await {
            Ok(items) => items,
            Err(error) => return Err(audited.not_sent(error).await),
        };
        let mut audited = Some(audited);
        // The entry is written before the caller sees the end.
        Ok(Messages::new(items.then(move |item| {
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
        })))
    }
}

impl FromMessage for Execute {
    type Message = ExecuteRequest;

    fn from_message(message: Self::Message) -> Self {
        Self(message)
    }
}

impl FromMessage for Search {
    type Message = ExecuteRequest;

    fn from_message(message: Self::Message) -> Self {
        Self(message)
    }
}
