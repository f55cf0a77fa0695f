//! `portcullis audit archive`: older entries go from the log into a file.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use clap::Args;
use data_encoding::HEXLOWER;
use portcullis_host::private_files;
use portcullis_host::text::LineReader;
use portcullis_proto::admin::v1::audit_client::AuditClient;
use portcullis_proto::admin::v1::audit_record::Record;
use portcullis_proto::admin::v1::{
    ArchiveAuditRequest, AuditHead, AuditRecord, ExportAuditRequest,
};
use portcullis_proto::grpc::Messages;
use serde_json::json;
use tonic::Code;

use super::export::{read_line, write_file, write_line};
use super::verify::MAX_LINE;
use crate::context::Context;
use crate::error::CliError;

const EXAMPLES: &str = "\
The file is an export: it is written and flushed first, and only then the entries leave the log. Where
they did not (a second person has to approve it, say), the same command goes on with the file.

Examples:
  portcullis audit archive /archive/audit-2026.jsonl --before 2027-01-01
  portcullis audit archive /archive/audit-a.jsonl --before 90d     # all that is older than 90 days
  portcullis audit verify                                          # the log, from there on
  portcullis audit verify --file /archive/audit-a.jsonl            # the archives, the oldest first";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ArchiveArgs {
    /// The file to make; or one that this command has made before whose entries are in the log yet
    file: PathBuf,
    /// What was written before, which is not later than now: a day like 2026-11-22, a time like
    /// 2026-11-22T08:00:00Z, or how long ago, like 90d
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
        let (head, is_new) = match self.file.symlink_metadata() {
            Ok(_) => (made_before(&self.file, records).await?, false),
            Err(_) => (write_file(&self.file, records).await?.1, true),
        };
        sync_folder(&self.file)?;
        let archived = ArchiveAuditRequest {
            count: head.count,
            mac: head.mac.clone(),
        };
        let removed = match client.archive(archived).await {
            Ok(answer) => answer.into_inner().removed,
            Err(status) if is_new => return Err(self.without_copy(status.into())),
            Err(status) => return Err(status.into()),
        };
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

impl ArchiveArgs {
    /// Where another archive was faster, the file that was just made is a second copy of what its
    /// file holds, and nothing goes on with it.
    fn without_copy(&self, error: CliError) -> CliError {
        match error {
            CliError::Refused {
                code: Code::Aborted,
                message,
            } => {
                let path = self.file.display();
                let left = match std::fs::remove_file(&self.file) {
                    Ok(()) => format!("{path} was removed again"),
                    Err(error) => format!("remove {path}, which is not needed ({error})"),
                };
                CliError::Refused {
                    code: Code::Aborted,
                    message: format!("{message}; {left}"),
                }
            }
            other => other,
        }
    }
}

/// The head of a file that is there already, once it has shown to hold what would be archived now,
/// from the first entry of the log on, and to end with a head.
async fn made_before(
    path: &Path,
    mut records: Messages<AuditRecord>,
) -> Result<AuditHead, CliError> {
    let other = || {
        let why = format!(
            "it is there already, and is not the beginning of what would be archived now: give another file (`portcullis audit verify --file {}` tells whether this one is an archive)",
            path.display()
        );
        CliError::file("archive into", path)(io::Error::new(io::ErrorKind::AlreadyExists, why))
    };
    let file = File::open(path).map_err(CliError::file("read", path))?;
    // Whoever wrote it may not have come to that.
    file.sync_all().map_err(CliError::file("flush", path))?;
    let mut lines = LineReader::new(BufReader::new(file), MAX_LINE);
    while let Some(line) = lines.next() {
        let (_, text) = line.map_err(CliError::text(path))?;
        match read_line(&text) {
            Ok(Record::Head(head)) if lines.next().is_none() => return Ok(head),
            Ok(Record::Entry(_)) => {}
            Ok(Record::Head(_)) | Err(_) => return Err(other()),
        }
        let record = records.message().await?.and_then(|message| message.record);
        if record.is_none_or(|record| write_line(record) != text) {
            return Err(other());
        }
    }
    Err(other())
}

/// The file's name is on the disk, too.
fn sync_folder(file: &Path) -> Result<(), CliError> {
    let folder = file
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    private_files::sync_dir(folder).map_err(CliError::file("flush the folder of", file))
}
