//! `portcullis key protect`

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use portcullis_proto::admin::v1::ProtectRequest;
use portcullis_proto::admin::v1::keys_client::KeysClient;

use super::kdf::Kdf;
use crate::context::Context;
use crate::error::CliError;
use crate::input::{confirm::confirm, passphrase};
use crate::view::ProtectView;

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
            Some(path) => Some(passphrase::from_file(path)?),
            None if self.prompt => Some(passphrase::new("New secret of the repository")?),
            None => None,
        };
        let answer = keys
            .protect(ProtectRequest {
                public_default,
                secret,
                kdf: self.kdf.into(),
            })
            .await?
            .into_inner();
        context.print(&ProtectView(answer))
    }
}
