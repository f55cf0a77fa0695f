//! The end of a gateway, and its change of name.

use portcullis_proto::admin::v1 as proto;

use super::context::Context;
use super::error::AdminError;
use super::gateways::shown;
use super::names;
use super::queue::record_cancelled;
use super::request::{About, Front, Method, Request, Withdraws, change};
use crate::access::Target;
use crate::config::Capability::Administrator;
use crate::repository::{AuditFields, StillInUse};

/// Resources named in a message; the others are counted.
const NAMED: usize = 10;

pub(super) fn offer(front: &mut impl Front) {
    front.offer::<proto::RemoveGatewayRequest>();
    front.offer::<proto::RenameGatewayRequest>();
}

impl Request for proto::RemoveGatewayRequest {
    type Answer = proto::RemoveGatewayResponse;

    const METHOD: Method = change("Gateways/Remove", &[Administrator]);

    fn about(&self) -> About {
        let forced = if self.force {
            ", with its resources"
        } else {
            ""
        };
        About::gateway(&self.name).shown_with(forced)
    }

    fn withdraws(&self) -> Withdraws {
        Withdraws::Again
    }

    async fn run(self, context: &Context) -> Result<proto::RemoveGatewayResponse, AdminError> {
        let (services, name) = (&context.services, &self.name);
        let gateways = services.repository.gateways();
        let removed = gateways.remove(name, self.force).await?;
        let removed = removed.map_err(|in_use| refusal(name, &in_use))?;
        services.fleet.forget(name);
        services.provisioning.registration_gone(name);
        if !removed.resources.is_empty() {
            context.note.add(format!(
                "removed with it: {}; cancelled {} queued calls",
                removed.resources.join(" "),
                removed.cancelled.len()
            ));
        }
        let fields = AuditFields {
            gateway: name.clone(),
            ..AuditFields::default()
        };
        record_cancelled(context, Self::METHOD, &removed.cancelled, &fields).await;
        tracing::warn!(
            gateway = name,
            resources = removed.resources.len(),
            "removed a gateway; nothing on its host was touched"
        );
        Ok(proto::RemoveGatewayResponse {
            resources: removed.resources,
            cancelled_calls: u64::try_from(removed.cancelled.len()).unwrap_or(u64::MAX),
            cancelled_call_ids: removed.cancelled,
        })
    }
}

impl Request for proto::RenameGatewayRequest {
    type Answer = proto::Gateway;

    const METHOD: Method = change("Gateways/Rename", &[Administrator]);

    fn about(&self) -> About {
        // Who holds a right on a gateway by its name must not gain or lose one by renaming.
        let to = Target::Gateway(self.new_name.clone());
        let about = About::gateway(&self.name).and([to]);
        about.shown_with(&format!(" to {}", self.new_name))
    }

    fn withdraws(&self) -> Withdraws {
        Withdraws::Again
    }

    async fn run(self, context: &Context) -> Result<proto::Gateway, AdminError> {
        let services = &context.services;
        let (old, new) = (&self.name, names::name("gateway", &self.new_name)?);
        services.repository.gateways().rename(old, new).await?;
        services.fleet.rename(old, new);
        tracing::info!(gateway = new, formerly = old, "renamed a gateway");
        shown(services, new).await
    }
}

fn refusal(name: &str, in_use: &StillInUse) -> AdminError {
    let StillInUse { resources, calls } = in_use;
    let mut named: Vec<_> = resources.iter().take(NAMED).cloned().collect();
    if resources.len() > NAMED {
        named.push(format!("and {} more", resources.len() - NAMED));
    }
    let calls = match calls {
        0 => String::new(),
        calls => format!(", for which {calls} queued calls wait or are under way"),
    };
    AdminError::Precondition(format!(
        "gateway `{name}` has resources ({}){calls}: remove them or move them to another gateway first, or remove them with it by `portcullis gateway remove {name} --force`",
        named.join(", ")
    ))
}
