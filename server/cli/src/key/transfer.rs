//! `portcullis key export` and `portcullis key import`.

use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use portcullis_common::crypto::export::{ExportFile, MAX_FILE_LEN};
use portcullis_common::id::KeyId;
use portcullis_host::private_files::{create_private_file, sync_dir};
use portcullis_host::text;
use portcullis_proto::admin::v1::keys_client::KeysClient;
use portcullis_proto::admin::v1::{
    ExportKeysRequest, ExportedKey, ImportKeysRequest, ImportKeysResponse,
};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::view::Kdf;
use crate::context::Context;
use crate::error::CliError;
use crate::input::prompt::{known_passphrase, new_passphrase, passphrase_file};
use crate::view::{list, printable};

const EXAMPLES: &str = "\
Examples:
  portcullis key export keys.txt
  portcullis key export keys.txt --purpose server --passphrase-file safe.secret
  portcullis key import keys.txt --dry-run";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
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

impl ExportArgs {
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        let mut keys = context.client(KeysClient::new).await?;
        let failed = CliError::file("write the export to", &self.file);
        // Looked at before a passphrase is typed; that it is new is made sure of when it is
        // written.
        if self.file.symlink_metadata().is_ok() {
            return Err(failed(io::ErrorKind::AlreadyExists.into()));
        }
        let unprotected = self.unprotected_under_the_public_default_key;
        let passphrase = match &self.passphrase_file {
            Some(path) => Some(passphrase_file(path)?),
            None if unprotected => None,
            None => Some(new_passphrase("Passphrase of the export")?),
        };
        let purpose = match self.purpose {
            None => "",
            Some(Purpose::Server) => "server",
            Some(Purpose::Gateway) => "gateway",
        };
        let request = ExportKeysRequest {
            key_ids: self.keys.iter().map(KeyId::to_string).collect(),
            purpose: purpose.to_owned(),
            passphrase,
            unprotected,
            kdf: self.kdf.into(),
        };
        let answer = keys.export(request).await?.into_inner();
        let content = Zeroizing::new(answer.content);
        create_private_file(&self.file, &content)
            .and_then(|()| match self.file.parent() {
                Some(folder) if folder != Path::new("") => sync_dir(folder),
                _ => sync_dir(Path::new(".")),
            })
            .map_err(failed)?;
        context.say(
            &export_text(&self.file, &answer.keys, unprotected),
            &json!({
                "file": self.file.to_string_lossy(),
                "unprotected": unprotected,
                "keys": answer.keys.iter().map(key_json).collect::<Value>(),
            }),
        )
    }
}

impl ImportArgs {
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        let mut keys = context.client(KeysClient::new).await?;
        let mut content = text::read_file_bytes(&self.file, MAX_FILE_LEN as u64)
            .map_err(CliError::text(&self.file))?;
        // The server looks again; here, a damaged file is told before a passphrase is typed.
        let parsed = ExportFile::parse(&content)
            .map_err(|error| CliError::usage(format!("{}: {error}", self.file.display())))?;
        let passphrase = match &self.passphrase_file {
            Some(path) => Some(passphrase_file(path)?),
            None if parsed.needs_passphrase() => {
                Some(known_passphrase("Passphrase of the export")?)
            }
            None => None,
        };
        let request = ImportKeysRequest {
            content: std::mem::take(&mut *content),
            passphrase,
            dry_run: self.dry_run,
        };
        let asked = context.pending().dry(self.dry_run, keys.import(request));
        let answer = asked.await?.into_inner();
        let server_id = parsed.server_id().to_string();
        context.say(
            &import_text(&server_id, &answer, self.dry_run),
            &import_json(&server_id, &answer, self.dry_run),
        )
    }
}

fn export_text(file: &Path, keys: &[ExportedKey], unprotected: bool) -> String {
    let rows = keys
        .iter()
        .map(|key| vec![key.key_id.clone(), key.purpose.clone(), key.state.clone()]);
    let mut lines = vec![
        list(&["key", "purpose", "state"], rows),
        format!("{} keys exported to {}", keys.len(), file.display()),
    ];
    if unprotected {
        let warning = "warning: the file is NOT protected: whoever reads it has these keys";
        lines.push(warning.to_owned());
    }
    lines.join("\n")
}

fn import_text(server_id: &str, answer: &ImportKeysResponse, dry_run: bool) -> String {
    let rows = answer.keys.iter().map(|key| {
        let what = match key.outcome.as_str() {
            "present" => "was here already",
            other => other,
        };
        let key = key.key.clone().unwrap_or_default();
        vec![key.key_id, key.purpose, key.state, what.to_owned()]
    });
    let mut lines = vec![
        format!("export of server {server_id}"),
        list(&["key", "purpose", "state then", "now"], rows),
    ];
    for values in &answer.opened {
        lines.push(format!(
            "{} {} open now",
            values.count,
            printable(&values.r#type)
        ));
    }
    if answer.damaged > 0 {
        lines.push(format!(
            "{} values do not open though their key is here: they were changed or moved",
            answer.damaged
        ));
    }
    if answer.still_closed > 0 {
        lines.push(format!(
            "{} values stay closed: their server key is still away",
            answer.still_closed
        ));
    }
    if dry_run {
        lines.push("nothing was changed: this is what the import would do".to_owned());
    }
    lines.join("\n")
}

fn import_json(server_id: &str, answer: &ImportKeysResponse, dry_run: bool) -> Value {
    let keys = answer.keys.iter().map(|key| {
        let mut value = key_json(&key.key.clone().unwrap_or_default());
        value["outcome"] = key.outcome.clone().into();
        value
    });
    let opened = answer
        .opened
        .iter()
        .map(|values| json!({ "type": values.r#type, "count": values.count }));
    json!({
        "server_id": server_id,
        "dry_run": dry_run,
        "keys": keys.collect::<Value>(),
        "opened": opened.collect::<Value>(),
        "damaged": answer.damaged,
        "still_closed": answer.still_closed,
    })
}

fn key_json(key: &ExportedKey) -> Value {
    json!({
        "key_id": key.key_id,
        "purpose": key.purpose,
        "kind": key.kind,
        "state": key.state,
    })
}
