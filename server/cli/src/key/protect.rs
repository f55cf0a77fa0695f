//! `portcullis key protect`: how the server keys are protected from now on.

use std::path::PathBuf;
use std::time::SystemTime;

use clap::{Args, ValueEnum};
use portcullis_proto::admin::v1::keys_client::KeysClient;
use portcullis_proto::admin::v1::{ProtectRequest, ProtectResponse};
use serde_json::{Value, json};

use super::view::{Kdf, not_scrubbed, warning};
use crate::context::Context;
use crate::error::CliError;
use crate::input::prompt::{confirm, new_passphrase, passphrase_file};
use crate::time::rfc3339;
use crate::view::{View, facts, printable, some};

#[derive(Debug, Args)]
pub(crate) struct ProtectArgs {
    /// What is to protect the server keys
    #[arg(value_enum)]
    protection: Protection,
    /// Take the new secret from this file, in place of a fresh random one
    #[arg(long, value_name = "FILE", conflicts_with = "prompt")]
    secret_file: Option<PathBuf>,
    /// Ask for the new secret, in place of a fresh random one
    #[arg(long)]
    prompt: bool,
    /// How the key is derived from the secret
    #[arg(long, value_enum, default_value_t)]
    kdf: Kdf,
    /// Do not ask to confirm `default`
    #[arg(long)]
    yes: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Protection {
    /// A secret kept apart from the repository (PKCS #5)
    Pbe,
    /// Nothing but a key that is compiled in and public
    Default,
}

impl ProtectArgs {
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        let public_default = self.protection == Protection::Default;
        if public_default && (self.secret_file.is_some() || self.prompt) {
            return Err(CliError::usage(
                "`default` takes no secret: leave --secret-file and --prompt out",
            ));
        }
        let mut keys = context.client(KeysClient::new).await?;
        if public_default && !self.yes {
            confirm(
                "Whoever gets hold of the repository, or of a backup of it, then has every key and every password in it.",
                "default",
                "--yes",
            )?;
        }
        let secret = match &self.secret_file {
            Some(path) => Some(passphrase_file(path)?),
            None if self.prompt => Some(new_passphrase("New secret of the repository")?),
            None => None,
        };
        let request = ProtectRequest {
            public_default,
            secret,
            kdf: self.kdf.into(),
        };
        context.print(&keys.protect(request).await?.into_inner())
    }
}

impl View for ProtectResponse {
    fn table(&self, _: SystemTime) -> String {
        let protection = self.protection.clone().unwrap_or_default();
        let server_keys = format!("{} wrapped anew", self.server_keys);
        let mut lines = vec![facts([
            ("protection", Some(protection.scheme.clone())),
            ("derivation", Some(protection.derivation.clone())),
            ("generation", Some(protection.generation.to_string())),
            ("server keys", Some(server_keys)),
            ("secret", Some(self.secret_file.clone())),
        ])];
        if !self.secret_file.is_empty() {
            lines.push("Back the secret file up now, apart from the repository. Backups of the repository made before open with the secret before only.".to_owned());
        }
        if let Some(place) = some(&self.to_be_placed).map(printable) {
            lines.push(if protection.scheme == "default" {
                format!("Take {place} out of the server's configuration: the next start refuses it beside a repository without protection.")
            } else {
                format!("From the next start on, {place} must hold the new secret: change it there now.")
            });
        }
        lines.extend(warning(&protection).map(str::to_owned));
        lines.extend(not_scrubbed(&self.not_scrubbed));
        lines.join("\n")
    }

    fn json(&self) -> Value {
        let protection = self.protection.clone().unwrap_or_default();
        json!({
            "protection": protection.scheme,
            "derivation": some(&protection.derivation),
            "generation": protection.generation,
            "changed": rfc3339(protection.changed_unix_ms),
            "server_keys": self.server_keys,
            "secret_file": some(&self.secret_file),
            "to_be_placed": some(&self.to_be_placed),
            "not_scrubbed": some(&self.not_scrubbed),
        })
    }
}
