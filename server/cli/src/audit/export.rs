//! `portcullis audit export`: the whole log, one JSON object a line.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use clap::Args;
use data_encoding::HEXLOWER;
use portcullis_proto::admin::v1::audit_client::AuditClient;
use portcullis_proto::admin::v1::audit_record::Record;
use portcullis_proto::admin::v1::{AuditHead, AuditRecord, ExportAuditRequest};
use portcullis_proto::grpc::Messages;
use serde_json::json;

use super::line;
use crate::context::Context;
use crate::error::CliError;

#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// The file to make, which must not be there yet
    file: PathBuf,
}

impl ExportArgs {
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        let mut client = context.client(AuditClient::new).await?;
        let records = client.export(ExportAuditRequest {}).await?.into_inner();
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&self.file)
            .map_err(CliError::file("create", &self.file))?;
        let written = write_all(file, records, CliError::file("write", &self.file)).await;
        if written.is_err() {
            let failed = CliError::file("remove what was written of", &self.file);
            std::fs::remove_file(&self.file).map_err(failed)?;
        }
        let head = written?;
        let (count, mac) = (head.count, HEXLOWER.encode(&head.mac));
        context.say(
            &format!(
                "{count} entries in {}\nhead  {count}:{mac}",
                self.file.display()
            ),
            &json!({ "file": self.file.to_string_lossy(), "count": count, "mac": mac }),
        )
    }
}

async fn write_all(
    file: File,
    mut records: Messages<AuditRecord>,
    failed: impl Fn(io::Error) -> CliError,
) -> Result<AuditHead, CliError> {
    let mut out = BufWriter::new(file);
    let mut head = None;
    while let Some(AuditRecord { record }) = records.message().await? {
        let record = record.ok_or(CliError::BadAnswer("an empty record"))?;
        if let Record::Head(last) = &record {
            head = Some(last.clone());
        }
        writeln!(out, "{}", line::write(record)).map_err(&failed)?;
    }
    let head = head.ok_or(CliError::BadAnswer("the export breaks off"))?;
    out.into_inner()
        .map_err(io::IntoInnerError::into_error)
        .and_then(|file| file.sync_all())
        .map_err(&failed)?;
    Ok(head)
}
