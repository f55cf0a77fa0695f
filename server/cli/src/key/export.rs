//! `portcullis key export`

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use portcullis_common::id::KeyId;
use portcullis_proto::admin::v1::ExportKeysRequest;
use portcullis_proto::admin::v1::keys_client::KeysClient;
use zeroize::Zeroizing;

use super::kdf::Kdf;
use crate::context::Context;
use crate::error::CliError;
use crate::input::passphrase;
use crate::view::ExportView;
use portcullis_host::private_files::{create_private_file, sync_dir};

#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// The file to write: a new one, readable by you alone
    file: PathBuf,
    /// Export this key only; may be given several times
    #[arg(long = "key", value_name = "ID")]
    keys: Vec<KeyId>,
    /// Export the keys for this purpose only
    #[arg(long, value_enum)]
    purpose: Option<Purpose>,
    /// Take the passphrase from this file, in place of asking for it twice
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// How the key is derived from the passphrase
    #[arg(long, value_enum, default_value_t)]
    kdf: Kdf,
    /// Export without a passphrase: whoever gets hold of the file has every key in it
    #[arg(long, conflicts_with = "passphrase_file")]
    unprotected_under_the_public_default_key: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Purpose {
    /// Keys that encrypt the secrets in the repository
    Server,
    /// Keys from which those of the gateways are made
    Gateway,
}

impl ExportArgs {
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        let mut keys = context.client(KeysClient::new).await?;
        // Looked at before a passphrase is typed; that it is new is made sure of when it is written.
        if self.file.symlink_metadata().is_ok() {
            let there = std::io::ErrorKind::AlreadyExists.into();
            return Err(cannot_write(&self.file, there));
        }
        let unprotected = self.unprotected_under_the_public_default_key;
        let passphrase = match &self.passphrase_file {
            Some(path) => Some(passphrase::from_file(path)?),
            None if unprotected => None,
            None => Some(passphrase::new("Passphrase of the export")?),
        };
        let purpose = match self.purpose {
            None => "",
            Some(Purpose::Server) => "server",
            Some(Purpose::Gateway) => "gateway",
        };
        let answer = keys
            .export(ExportKeysRequest {
                key_ids: self.keys.iter().map(KeyId::to_string).collect(),
                purpose: purpose.to_owned(),
                passphrase,
                unprotected,
                kdf: self.kdf.into(),
            })
            .await?
            .into_inner();
        let content = Zeroizing::new(answer.content);
        create_private_file(&self.file, &content)
            .and_then(|()| match self.file.parent() {
                Some(folder) if folder != Path::new("") => sync_dir(folder),
                _ => sync_dir(Path::new(".")),
            })
            .map_err(|source| cannot_write(&self.file, source))?;
        context.print(&ExportView {
            file: self.file,
            keys: answer.keys,
            unprotected,
        })
    }
}

fn cannot_write(path: &Path, source: std::io::Error) -> CliError {
    CliError::File {
        action: "write the export to",
        path: path.to_owned(),
        source,
    }
}
