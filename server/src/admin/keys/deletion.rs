//! The end of a key.

use portcullis_proto::admin::v1 as proto;
use prost::Message as _;

use crate::admin::context::Context;
use crate::admin::error::AdminError;
use crate::admin::names::{dry_run, key_id};
use crate::admin::request::{About, Method, Request, Withdraws, change};
use crate::config::Capability::SecurityAdministrator;
use crate::keys::Deletion;
use crate::repository::{Dependency, DependentValues};

impl Request for proto::DeleteKeyRequest {
    type Answer = proto::DeleteKeyResponse;

    const METHOD: Method = change("Keys/Delete", &[SecurityAdministrator]);

    fn about(&self) -> About {
        let about = About::server(format!("key {}", self.key_id));
        let about = about.shown_with(if self.force { ", forced" } else { "" });
        about.shown_with(dry_run(self.dry_run))
    }

    /// One that is not confirmed is refused, whoever would approve it.
    fn for_two(&self) -> Option<Vec<u8>> {
        let forced = self.force && !self.dry_run && is_confirmed(self);
        forced.then(|| self.encode_to_vec())
    }

    fn withdraws(&self) -> Withdraws {
        match self.dry_run {
            true => Withdraws::Nothing,
            false => Withdraws::Again,
        }
    }

    async fn run(self, context: &Context) -> Result<proto::DeleteKeyResponse, AdminError> {
        let id = key_id(&self.key_id)?;
        let how = match (self.dry_run, self.force) {
            (true, _) => Deletion::DryRun,
            (false, false) => Deletion::Unused,
            (false, true) if is_confirmed(&self) => Deletion::Forced,
            (false, true) => {
                return Err(AdminError::malformed(
                    "the id typed to confirm is not the key's: nothing was deleted",
                ));
            }
        };
        let deleted = context.services.keys.delete(id, how).await?;
        if deleted.closed_after > deleted.closed_before {
            context.note.add(format!(
                "{} values closed, {} before",
                deleted.closed_after, deleted.closed_before
            ));
        }
        let gateways = deleted.gateways.into_iter();
        let gateways = gateways.map(|it| proto::DependentGateway {
            name: it.gateway,
            dependency: match it.dependency {
                Dependency::LastProved => "last proved",
                Dependency::Sent => "sent",
                Dependency::Enrolling => "enrolling",
            }
            .to_owned(),
        });
        Ok(proto::DeleteKeyResponse {
            purpose: deleted.purpose.name().to_owned(),
            current: deleted.current,
            values: deleted.values.into_iter().map(values).collect(),
            gateways: gateways.collect(),
            closed_before: deleted.closed_before,
            closed_after: deleted.closed_after,
            not_scrubbed: deleted.not_scrubbed.unwrap_or_default(),
        })
    }
}

fn values(values: DependentValues) -> proto::DependentValues {
    proto::DependentValues {
        r#type: values.kind.to_string(),
        count: values.count,
        owners: values.owners,
    }
}

/// Whether the id that was typed to confirm is the key's.
fn is_confirmed(request: &proto::DeleteKeyRequest) -> bool {
    let confirmed = key_id(&request.confirm_key_id);
    key_id(&request.key_id).is_ok_and(|id| confirmed.is_ok_and(|confirmed| confirmed == id))
}
