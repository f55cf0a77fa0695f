//! What protects the server keys.

use portcullis_proto::admin::v1 as proto;
use portcullis_proto::gateway::v1::Secret as SecretMessage;
use prost::Message as _;

use crate::admin::context::Context;
use crate::admin::convert::millis;
use crate::admin::error::AdminError;
use crate::admin::request::{About, Method, Request, Withdraws, change};
use crate::config::Capability::SecurityAdministrator;
use crate::keys::protection::Secret;
use crate::keys::protection::pbe::{self, Kdf};
use crate::keys::{NewProtection, ProtectionChange};
use crate::repository::Scheme;
use crate::services::Services;

impl Request for proto::ProtectRequest {
    type Answer = proto::ProtectResponse;

    const METHOD: Method = change("Keys/Protect", &[SecurityAdministrator]);

    fn about(&self) -> About {
        About::server(match self.public_default {
            true => "server keys, by the public default key",
            false => "server keys, by a secret",
        })
    }

    fn for_two(&self) -> Option<Vec<u8>> {
        self.public_default.then(|| self.encode_to_vec())
    }

    fn withdraws(&self) -> Withdraws {
        Withdraws::Once
    }

    async fn run(self, context: &Context) -> Result<proto::ProtectResponse, AdminError> {
        let services = &context.services;
        let new = match (self.public_default, self.secret) {
            (true, None) => NewProtection::Default,
            (true, Some(_)) => {
                return Err(AdminError::malformed(
                    "the default key needs no secret: leave one of the two out",
                ));
            }
            (false, secret) => NewProtection::Pbe {
                secret: secret.map(parse_secret).transpose()?,
                kdf: kdf(self.kdf)?,
            },
        };
        let change = ProtectionChange::prepare(new, &services.secret).await?;
        services.withdrawals.all_hold(change.encrypted()).await?;
        let protected = services.keys.protect_by(change, &services.secret).await?;
        context.note.add(format!(
            "generation {}, {} server keys",
            protected.generation, protected.keys
        ));
        let secret_file = protected.secret_file.map(|path| path.display().to_string());
        Ok(proto::ProtectResponse {
            protection: Some(protection(services).await?),
            server_keys: u32::try_from(protected.keys).unwrap_or(u32::MAX),
            secret_file: secret_file.unwrap_or_default(),
            to_be_placed: protected.to_be_placed.unwrap_or_default(),
            not_scrubbed: protected.not_scrubbed.unwrap_or_default(),
        })
    }
}

/// What protects the server keys now.
pub(super) async fn protection(services: &Services) -> Result<proto::Protection, AdminError> {
    let row = services.repository.database().protection().find().await?;
    // None only before the first start of this version has converted the repository.
    let row =
        row.ok_or_else(|| AdminError::Unavailable("the server has not started yet".to_owned()))?;
    let (scheme, derivation) = match &row.scheme {
        Scheme::Default => ("default", String::new()),
        Scheme::Pbe(encrypted) => {
            let cost = pbe::cost(encrypted);
            ("pbe", cost.map(|cost| cost.to_string()).unwrap_or_default())
        }
    };
    Ok(proto::Protection {
        scheme: scheme.to_owned(),
        derivation,
        generation: row.generation,
        changed_unix_ms: millis(row.changed),
    })
}

pub(super) fn parse_secret(message: SecretMessage) -> Result<Secret, AdminError> {
    Secret::parse(&message.value).map_err(AdminError::malformed)
}

pub(super) fn kdf(number: i32) -> Result<Kdf, AdminError> {
    match proto::Kdf::try_from(number) {
        Ok(proto::Kdf::Unspecified | proto::Kdf::Pbkdf2) => Ok(Kdf::Pbkdf2),
        Ok(proto::Kdf::Scrypt) => Ok(Kdf::Scrypt),
        Err(_) => Err(AdminError::Malformed(format!(
            "{number} is no derivation: give pbkdf2 or scrypt"
        ))),
    }
}
