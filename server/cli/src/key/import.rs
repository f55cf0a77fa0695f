//! `portcullis key import`

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;

use clap::Args;
use portcullis_proto::admin::v1::ImportKeysRequest;
use portcullis_proto::admin::v1::keys_client::KeysClient;
use zeroize::Zeroizing;

use crate::context::Context;
use crate::error::CliError;
use crate::input::passphrase;
use crate::view::ImportView;
use portcullis_common::crypto::export::{ExportFile, MAX_FILE_LEN};

#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// The export
    file: PathBuf,
    /// Take the passphrase from this file, in place of asking for it
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// Only say what would happen
    #[arg(long)]
    dry_run: bool,
}

impl ImportArgs {
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        let mut keys = context.client(KeysClient::new).await?;
        let mut content = Zeroizing::new(Vec::with_capacity(MAX_FILE_LEN + 1));
        File::open(&self.file)
            .and_then(|file| file.take(MAX_FILE_LEN as u64 + 1).read_to_end(&mut content))
            .map_err(|source| CliError::File {
                action: "read",
                path: self.file.clone(),
                source,
            })?;
        // The server looks again; here, a damaged file is told before a passphrase is typed.
        let parsed = ExportFile::parse(&content)
            .map_err(|error| CliError::usage(format!("{}: {error}", self.file.display())))?;
        let passphrase = match &self.passphrase_file {
            Some(path) => Some(passphrase::from_file(path)?),
            None if parsed.needs_passphrase() => {
                Some(passphrase::known("Passphrase of the export")?)
            }
            None => None,
        };
        let answer = keys
            .import(ImportKeysRequest {
                content: std::mem::take(&mut *content),
                passphrase,
                dry_run: self.dry_run,
            })
            .await?
            .into_inner();
        context.print(&ImportView {
            server_id: parsed.server_id(),
            answer,
            dry_run: self.dry_run,
        })
    }
}
