//! Keys that leave this server in a file, and come back.

use portcullis_common::crypto::export::{KeyEntry, KeyPurpose};
use portcullis_proto::admin::v1 as proto;
use prost::Message as _;
use zeroize::Zeroizing;

use super::protection::{kdf, parse_secret};
use crate::admin::context::Context;
use crate::admin::error::AdminError;
use crate::admin::names::{dry_run, key_id};
use crate::admin::request::{About, Method, Request, change};
use crate::config::Capability::SecurityAdministrator;
use crate::keys::transfer::{ExportProtection, ExportSelection, What};

impl Request for proto::ExportKeysRequest {
    type Answer = proto::ExportKeysResponse;

    const METHOD: Method = change("Keys/Export", &[SecurityAdministrator]);

    fn about(&self) -> About {
        let which = match (self.key_ids.as_slice(), self.purpose.as_str()) {
            ([], "") => "all keys".to_owned(),
            ([], purpose) => format!("{purpose} keys"),
            (ids, _) => format!("keys {}", ids.join(", ")),
        };
        About::server(which).shown_with(if self.unprotected {
            ", unprotected"
        } else {
            ""
        })
    }

    fn for_two(&self) -> Option<Vec<u8>> {
        self.unprotected.then(|| self.encode_to_vec())
    }

    async fn run(self, context: &Context) -> Result<proto::ExportKeysResponse, AdminError> {
        let services = &context.services;
        let ids = self.key_ids.iter().map(|id| key_id(id));
        let selection = ExportSelection {
            ids: ids.collect::<Result<_, _>>()?,
            purpose: purpose(&self.purpose)?,
        };
        let protection = match (self.passphrase, self.unprotected) {
            (Some(passphrase), false) => ExportProtection::Passphrase {
                passphrase: parse_secret(passphrase)?,
                kdf: kdf(self.kdf)?,
            },
            (None, true) => ExportProtection::PublicDefault,
            _ => {
                return Err(AdminError::malformed(
                    "give either a passphrase for the export, or that it is to be unprotected",
                ));
            }
        };
        let exported = services
            .keys
            .export(services.server_id, selection, protection);
        let (text, keys) = exported.await?;
        for key in &keys {
            context.note.add(key.id);
        }
        Ok(proto::ExportKeysResponse {
            content: text.into_bytes(),
            keys: keys.iter().map(exported_key).collect(),
        })
    }
}

impl Request for proto::ImportKeysRequest {
    type Answer = proto::ImportKeysResponse;

    const METHOD: Method = change("Keys/Import", &[SecurityAdministrator]);

    fn about(&self) -> About {
        About::server("keys").shown_with(dry_run(self.dry_run))
    }

    async fn run(self, context: &Context) -> Result<proto::ImportKeysResponse, AdminError> {
        let passphrase = self.passphrase.map(parse_secret).transpose()?;
        let content = Zeroizing::new(self.content);
        let keys = &context.services.keys;
        let imported = keys.import(&content, passphrase, self.dry_run).await?;
        for key in imported.keys.iter().filter(|key| key.what != What::Present) {
            context.note.add(key.entry.id);
        }
        let keys = imported.keys.iter().map(|key| proto::ImportedKey {
            key: Some(exported_key(&key.entry)),
            outcome: match key.what {
                What::Imported => "imported",
                What::Present => "present",
                What::Restored => "restored",
            }
            .to_owned(),
        });
        let opened = imported.opened.iter().map(|opened| proto::DependentValues {
            r#type: opened.kind.to_string(),
            count: opened.values,
            owners: Vec::new(),
        });
        Ok(proto::ImportKeysResponse {
            keys: keys.collect(),
            opened: opened.collect(),
            damaged: imported.damaged,
            still_closed: imported.still_closed,
        })
    }
}

fn exported_key(key: &KeyEntry) -> proto::ExportedKey {
    proto::ExportedKey {
        key_id: key.id.to_string(),
        purpose: key.purpose.name().to_owned(),
        kind: key.id.kind().name().to_owned(),
        state: key.state.name().to_owned(),
    }
}

fn purpose(name: &str) -> Result<Option<KeyPurpose>, AdminError> {
    if name.is_empty() {
        return Ok(None);
    }
    let purpose = KeyPurpose::from_name(name);
    purpose.map(Some).ok_or_else(|| {
        AdminError::Malformed(format!("`{name}` is no purpose: give server or gateway"))
    })
}
