//! The rest of a key's life: protection, export, import, deletion.

use portcullis_common::crypto::export::{KeyEntry, KeyPurpose};
use portcullis_proto::admin::v1 as proto;
use portcullis_proto::gateway::v1::Secret as SecretMessage;
use tonic::{Request, Response, Status};
use zeroize::Zeroizing;

use crate::admin::convert::millis;
use crate::admin::error::{of_key, of_repository};
use crate::admin::keys::key_id;
use crate::admin::note::Note;
use crate::keys::protection::Secret;
use crate::keys::protection::pbe::{self, Kdf};
use crate::keys::transfer::{ExportError, ExportProtection, ExportSelection, ImportError, What};
use crate::keys::{DeleteError, Deletion, NewProtection, ProtectError};
use crate::repository::{Dependency, DependentValues, Scheme};
use crate::services::Services;

/// What protects the server keys now.
pub(crate) async fn protection(services: &Services) -> Result<proto::Protection, Status> {
    let found = services.repository.database().protection().find().await;
    let row = found.map_err(|error| of_repository(&error))?;
    // None only before the first start of this version has converted the repository.
    let row = row.ok_or_else(|| Status::unavailable("the server has not started yet"))?;
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

pub(crate) async fn protect(
    services: &Services,
    request: Request<proto::ProtectRequest>,
) -> Result<Response<proto::ProtectResponse>, Status> {
    let note = Note::of(&request);
    let request = request.into_inner();
    let new = match (request.public_default, request.secret) {
        (true, None) => NewProtection::Default,
        (true, Some(_)) => {
            return Err(Status::invalid_argument(
                "the default key needs no secret: leave one of the two out",
            ));
        }
        (false, secret) => NewProtection::Pbe {
            secret: secret.map(parse_secret).transpose()?,
            kdf: kdf(request.kdf)?,
        },
    };
    let protected = services
        .keys
        .protect(new, &services.secret)
        .await
        .map_err(|error| of_protect(&error))?;
    note.add(format!(
        "generation {}, {} server keys",
        protected.generation, protected.keys
    ));
    let secret_file = protected.secret_file.map(|path| path.display().to_string());
    Ok(Response::new(proto::ProtectResponse {
        protection: Some(protection(services).await?),
        server_keys: u32::try_from(protected.keys).unwrap_or(u32::MAX),
        secret_file: secret_file.unwrap_or_default(),
        to_be_placed: protected.to_be_placed.unwrap_or_default(),
        not_scrubbed: protected.not_scrubbed.unwrap_or_default(),
    }))
}

pub(crate) async fn export(
    services: &Services,
    request: Request<proto::ExportKeysRequest>,
) -> Result<Response<proto::ExportKeysResponse>, Status> {
    let note = Note::of(&request);
    let request = request.into_inner();
    let ids = request.key_ids.iter().map(|id| key_id(id));
    let selection = ExportSelection {
        ids: ids.collect::<Result<_, _>>()?,
        purpose: purpose(&request.purpose)?,
    };
    let protection = match (request.passphrase, request.unprotected) {
        (Some(passphrase), false) => ExportProtection::Passphrase {
            passphrase: parse_secret(passphrase)?,
            kdf: kdf(request.kdf)?,
        },
        (None, true) => ExportProtection::PublicDefault,
        _ => {
            return Err(Status::invalid_argument(
                "give either a passphrase for the export, or that it is to be unprotected",
            ));
        }
    };
    let (text, keys) = services
        .keys
        .export(services.server_id, selection, protection)
        .await
        .map_err(|error| of_export(&error))?;
    for key in &keys {
        note.add(key.id);
    }
    Ok(Response::new(proto::ExportKeysResponse {
        content: text.into_bytes(),
        keys: keys.iter().map(exported_key).collect(),
    }))
}

pub(crate) async fn import(
    services: &Services,
    request: Request<proto::ImportKeysRequest>,
) -> Result<Response<proto::ImportKeysResponse>, Status> {
    let note = Note::of(&request);
    let request = request.into_inner();
    let passphrase = request.passphrase.map(parse_secret).transpose()?;
    let content = Zeroizing::new(request.content);
    let imported = services
        .keys
        .import(&content, passphrase, request.dry_run)
        .await
        .map_err(|error| of_import(&error))?;
    for key in imported.keys.iter().filter(|key| key.what != What::Present) {
        note.add(key.entry.id);
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
    Ok(Response::new(proto::ImportKeysResponse {
        keys: keys.collect(),
        opened: opened.collect(),
        damaged: imported.damaged,
        still_closed: imported.still_closed,
    }))
}

pub(crate) async fn delete(
    services: &Services,
    request: Request<proto::DeleteKeyRequest>,
) -> Result<Response<proto::DeleteKeyResponse>, Status> {
    let note = Note::of(&request);
    let request = request.into_inner();
    let id = key_id(&request.key_id)?;
    let how = match (request.dry_run, request.force) {
        (true, _) => Deletion::DryRun,
        (false, false) => Deletion::Unused,
        (false, true) if key_id(&request.confirm_key_id)? == id => Deletion::Forced,
        (false, true) => {
            return Err(Status::invalid_argument(
                "the id typed to confirm is not the key's: nothing was deleted",
            ));
        }
    };
    let deleted = services.keys.delete(id, how).await;
    let deleted = deleted.map_err(|error| of_delete(&error))?;
    if deleted.closed_after > deleted.closed_before {
        note.add(format!(
            "{} values closed, {} before",
            deleted.closed_after, deleted.closed_before
        ));
    }
    let gateways = deleted
        .gateways
        .into_iter()
        .map(|it| proto::DependentGateway {
            name: it.gateway,
            dependency: match it.dependency {
                Dependency::LastProved => "last proved",
                Dependency::Sent => "sent",
                Dependency::Enrolling => "enrolling",
            }
            .to_owned(),
        });
    Ok(Response::new(proto::DeleteKeyResponse {
        purpose: deleted.purpose.name().to_owned(),
        current: deleted.current,
        values: deleted.values.into_iter().map(values).collect(),
        gateways: gateways.collect(),
        closed_before: deleted.closed_before,
        closed_after: deleted.closed_after,
        not_scrubbed: deleted.not_scrubbed.unwrap_or_default(),
    }))
}

fn exported_key(key: &KeyEntry) -> proto::ExportedKey {
    proto::ExportedKey {
        key_id: key.id.to_string(),
        purpose: key.purpose.name().to_owned(),
        kind: key.id.kind().name().to_owned(),
        state: key.state.name().to_owned(),
    }
}

fn values(values: DependentValues) -> proto::DependentValues {
    proto::DependentValues {
        r#type: values.kind.to_string(),
        count: values.count,
        owners: values.owners,
    }
}

fn parse_secret(message: SecretMessage) -> Result<Secret, Status> {
    Secret::parse(&message.value).map_err(|error| Status::invalid_argument(error.to_string()))
}

fn kdf(number: i32) -> Result<Kdf, Status> {
    match proto::Kdf::try_from(number) {
        Ok(proto::Kdf::Unspecified | proto::Kdf::Pbkdf2) => Ok(Kdf::Pbkdf2),
        Ok(proto::Kdf::Scrypt) => Ok(Kdf::Scrypt),
        Err(_) => Err(Status::invalid_argument(format!(
            "{number} is no derivation: give pbkdf2 or scrypt"
        ))),
    }
}

fn purpose(name: &str) -> Result<Option<KeyPurpose>, Status> {
    if name.is_empty() {
        return Ok(None);
    }
    let purpose = KeyPurpose::from_name(name);
    purpose.map(Some).ok_or_else(|| {
        Status::invalid_argument(format!("`{name}` is no purpose: give server or gateway"))
    })
}

/// Why the server keys are not wrapped anew, for a client.
pub(crate) fn of_protect(error: &ProtectError) -> Status {
    match error {
        ProtectError::Key(error) => of_key(error),
        ProtectError::SecretNeeded(_) | ProtectError::NotProtected => {
            Status::failed_precondition(error.to_string())
        }
        ProtectError::Protection(_)
        | ProtectError::Pbe(_)
        | ProtectError::DoesNotOpen(_)
        | ProtectError::NotPlaced { .. } => {
            tracing::error!(%error, "the protection failed");
            Status::internal(error.to_string())
        }
    }
}

fn of_export(error: &ExportError) -> Status {
    match error {
        ExportError::Key(error) => of_key(error),
        ExportError::Nothing | ExportError::TooMany => Status::invalid_argument(error.to_string()),
        ExportError::Pbe(_) => Status::internal(error.to_string()),
    }
}

fn of_import(error: &ImportError) -> Status {
    match error {
        ImportError::Key(error) => of_key(error),
        ImportError::File(error) => Status::invalid_argument(error.to_string()),
        ImportError::Pbe(_) => Status::invalid_argument(error.to_string()),
        ImportError::Conflict { .. } => Status::already_exists(error.to_string()),
        ImportError::Unproven(_) => Status::failed_precondition(error.to_string()),
    }
}

fn of_delete(error: &DeleteError) -> Status {
    match error {
        DeleteError::Key(error) => of_key(error),
        DeleteError::CurrentServerKey(_)
        | DeleteError::ValuesDepend { .. }
        | DeleteError::GatewayKey(_) => Status::failed_precondition(error.to_string()),
    }
}
