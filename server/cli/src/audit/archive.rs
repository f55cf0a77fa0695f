//! `portcullis audit archive`: older entries go from the log into a file.

use std::path::PathBuf;
use std::time::SystemTime;

use clap::Args;
use data_encoding::HEXLOWER;
use portcullis_host::private_files;
use portcullis_proto::admin::v1::audit_client::AuditClient;
use portcullis_proto::admin::v1::{ArchiveAuditRequest, ExportAuditRequest};
use serde_json::json;

use super::export::write_file;
use crate::context::Context;
use crate::error::CliError;

const EXAMPLES: &str = "\
The file is an export: it is written and flushed first, and only then the entries leave the log.

Examples:
  portcullis audit archive /archive/audit-2026.jsonl --before 2027-01-01
  portcullis audit archive /archive/audit-a.jsonl --before 90d     # all that is older than 90 days
  portcullis audit verify                                          # the log, from there on
  portcullis audit verify --file /archive/audit-a.jsonl            # the archives, the oldest first";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ArchiveArgs {
    /// The file to make, which must not be there yet
    file: PathBuf,
    /// What was written before: a day like 2026-11-22, a time like 2026-11-22T08:00:00Z, or how
    /// long ago, like 90d
    #[arg(long, value_name = "TIME", value_parser = super::beginning)]
    before: SystemTime,
}

impl ArchiveArgs {
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        let mut client = context.client(AuditClient::new).await?;
        let request = ExportAuditRequest {
            after: 0,
            before_unix_ms: super::unix_ms(self.before),
        };
        let records = client.export(request).await?.into_inner();
        let (_, head) = write_file(&self.file, records).await?;
        sync_folder(&self.file)?;
        let archived = ArchiveAuditRequest {
            count: head.count,
            mac: head.mac.clone(),
        };
        let removed = client.archive(archived).await?.into_inner().removed;
        let (count, mac) = (head.count, HEXLOWER.encode(&head.mac));
        context.say(
            &format!(
                "{removed} entries are in {} and no longer in the log, which begins after\nhead  {count}:{mac}",
                self.file.display()
            ),
            &json!({
                "file": self.file.to_string_lossy(),
                "entries": removed,
                "count": count,
                "mac": mac,
            }),
        )
    }
}

/// The file's name is on the disk, too.
fn sync_folder(file: &std::path::Path) -> Result<(), CliError> {
    let folder = file
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(std::path::Path::new("."));
    private_files::sync_dir(folder).map_err(CliError::file("flush the folder of", file))
}
