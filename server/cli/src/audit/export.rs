//! `portcullis audit export`: the log, or what came to it since, one JSON object a line, and how
//! such a line is read.

use std::fmt::Display;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use clap::Args;
use data_encoding::HEXLOWER;
use portcullis_proto::admin::v1::audit_client::AuditClient;
use portcullis_proto::admin::v1::audit_record::Record;
use portcullis_proto::admin::v1::{AuditEntry, AuditHead, AuditRecord, ExportAuditRequest};
use portcullis_proto::grpc::Messages;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::context::Context;
use crate::error::CliError;

const EXAMPLES: &str = "\
Examples:
  portcullis audit export audit-1.jsonl
  portcullis audit export audit-2.jsonl --after 4711          # what came since
  portcullis audit verify --file audit-1.jsonl --file audit-2.jsonl";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ExportArgs {
    /// The file to make, which must not be there yet
    file: PathBuf,
    /// Only entries after this one: those that the last export did not have yet
    #[arg(long, value_name = "SEQ", default_value_t = 0)]
    after: u64,
}

impl ExportArgs {
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        let mut client = context.client(AuditClient::new).await?;
        let records = client
            .export(ExportAuditRequest {
                after: self.after,
                before_unix_ms: 0,
            })
            .await?
            .into_inner();
        let (entries, head) = write_file(&self.file, records).await?;
        let (count, mac) = (head.count, HEXLOWER.encode(&head.mac));
        context.say(
            &format!(
                "{entries} entries in {}\nhead  {count}:{mac}",
                self.file.display()
            ),
            &json!({
                "file": self.file.to_string_lossy(),
                "after": self.after,
                "entries": entries,
                "count": count,
                "mac": mac,
            }),
        )
    }
}

/// Writes them into a file that is not there yet, and flushes it: how many entries there are, and
/// the head. Where that fails there is no file.
pub(super) async fn write_file(
    path: &Path,
    records: Messages<AuditRecord>,
) -> Result<(u64, AuditHead), CliError> {
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(CliError::file("create", path))?;
    let written = write_all(file, records, CliError::file("write", path)).await;
    if written.is_err() {
        let failed = CliError::file("remove what was written of", path);
        std::fs::remove_file(path).map_err(failed)?;
    }
    written
}

async fn write_all(
    file: File,
    mut records: Messages<AuditRecord>,
    failed: impl Fn(io::Error) -> CliError,
) -> Result<(u64, AuditHead), CliError> {
    let mut out = BufWriter::new(file);
    let (mut entries, mut head) = (0, None);
    while let Some(AuditRecord { record }) = records.message().await? {
        let record = record.ok_or(CliError::BadAnswer("an empty record"))?;
        if let Record::Head(last) = &record {
            head = Some(last.clone());
        } else {
            entries += 1;
        }
        writeln!(out, "{}", write_line(record)).map_err(&failed)?;
    }
    let head = head.ok_or(CliError::BadAnswer("the export breaks off"))?;
    out.into_inner()
        .map_err(io::IntoInnerError::into_error)
        .and_then(|file| file.sync_all())
        .map_err(&failed)?;
    Ok((entries, head))
}

/// One line of an export.
#[derive(Deserialize, Serialize)]
#[serde(untagged)]
enum Line {
    Head(HeadLine),
    Entry(Box<EntryLine>),
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct HeadLine {
    head: HeadFields,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct HeadFields {
    server: String,
    count: u64,
    mac: String,
    tag: String,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct EntryLine {
    seq: u64,
    commit_first: u64,
    /// For people; `time_ms` is what the MAC covers.
    time: String,
    time_ms: i64,
    subject: String,
    action: String,
    object: String,
    outcome: String,
    begun: u64,
    detail: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    authority: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    call_id: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    resource: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    object_class: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    object_name: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    user: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    gateway: String,
    mac: String,
}

/// The line of a record, without its end.
pub(super) fn write_line(record: Record) -> String {
    let line = match record {
        Record::Entry(entry) => Line::Entry(Box::new(EntryLine {
            seq: entry.seq,
            commit_first: entry.commit_first,
            time: time(entry.time_unix_ms),
            time_ms: entry.time_unix_ms,
            subject: entry.subject,
            action: entry.action,
            object: entry.object,
            outcome: entry.outcome,
            begun: entry.begun,
            detail: entry.detail,
            authority: HEXLOWER.encode(&entry.authority),
            call_id: entry.call_id,
            resource: entry.resource,
            object_class: entry.object_class,
            object_name: entry.object_name,
            user: entry.user,
            gateway: entry.gateway,
            mac: HEXLOWER.encode(&entry.mac),
        })),
        Record::Head(head) => Line::Head(HeadLine {
            head: HeadFields {
                server: head.server_id,
                count: head.count,
                mac: HEXLOWER.encode(&head.mac),
                tag: HEXLOWER.encode(&head.tag),
            },
        }),
    };
    // Texts and numbers alone: this cannot fail.
    serde_json::to_string(&line).unwrap_or_default()
}

/// What a line says, or why it says nothing.
pub(crate) fn read_line(line: &str) -> Result<Record, String> {
    let text = |error: &dyn Display| error.to_string();
    let bytes = |hex: &str| {
        HEXLOWER
            .decode(hex.as_bytes())
            .map_err(|error| text(&error))
    };
    match serde_json::from_str(line).map_err(|error| text(&error))? {
        Line::Head(HeadLine { head }) => Ok(Record::Head(AuditHead {
            mac: bytes(&head.mac)?,
            tag: bytes(&head.tag)?,
            server_id: head.server,
            count: head.count,
        })),
        Line::Entry(entry) if entry.time != time(entry.time_ms) => Err(format!(
            "`time` says {}, and `time_ms` {}",
            entry.time,
            time(entry.time_ms)
        )),
        Line::Entry(entry) => Ok(Record::Entry(AuditEntry {
            mac: bytes(&entry.mac)?,
            authority: bytes(&entry.authority)?,
            seq: entry.seq,
            commit_first: entry.commit_first,
            time_unix_ms: entry.time_ms,
            subject: entry.subject,
            action: entry.action,
            object: entry.object,
            outcome: entry.outcome,
            begun: entry.begun,
            detail: entry.detail,
            call_id: entry.call_id,
            resource: entry.resource,
            object_class: entry.object_class,
            object_name: entry.object_name,
            user: entry.user,
            gateway: entry.gateway,
        })),
    }
}

fn time(unix_ms: i64) -> String {
    let time = u64::try_from(unix_ms)
        .ok()
        .and_then(|ms| UNIX_EPOCH.checked_add(Duration::from_millis(ms)))
        .unwrap_or(UNIX_EPOCH);
    // Later than year 9999 is no time that a server wrote.
    let known = unix_ms < 253_402_300_800_000;
    humantime::format_rfc3339_millis(if known { time } else { UNIX_EPOCH }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_survives_its_line_and_a_line_holds_no_more_than_it_shows() {
        let entry = AuditEntry {
            seq: 3,
            commit_first: 2,
            time_unix_ms: 1_800_000_000_123,
            subject: "ann (7)".to_owned(),
            action: "Gateways/Add".to_owned(),
            object: "gateway \"web\"\u{2028}1".to_owned(),
            outcome: "done".to_owned(),
            begun: 2,
            detail: String::new(),
            authority: vec![0xCD; 32],
            call_id: "c1".to_owned(),
            gateway: "web".to_owned(),
            mac: vec![0xAB; 32],
            ..AuditEntry::default()
        };
        let line = write_line(Record::Entry(entry.clone()));
        assert!(!line.contains('\n'));
        assert!(line.contains("2027-01-15T08:00:00.123Z"), "{line}");
        assert_eq!(read_line(&line), Ok(Record::Entry(entry.clone())));
        // As earlier versions wrote it.
        let earlier = line.replace(",\"call_id\":\"c1\",\"gateway\":\"web\"", "");
        assert_ne!(earlier, line);
        let without = AuditEntry {
            call_id: String::new(),
            gateway: String::new(),
            ..entry
        };
        assert_eq!(read_line(&earlier), Ok(Record::Entry(without)));
        assert!(read_line(&line.replace("08:00:00.123Z", "09:00:00.123Z")).is_err());
        assert!(read_line(&line.replace("\"begun\"", "\"more\":1,\"begun\"")).is_err());
        let head = AuditHead {
            server_id: "sv-1".to_owned(),
            count: 3,
            mac: vec![1; 32],
            tag: vec![2; 32],
        };
        assert_eq!(
            read_line(&write_line(Record::Head(head.clone()))),
            Ok(Record::Head(head))
        );
        for far in [i64::MIN, -1, i64::MAX] {
            assert_eq!(time(far), "1970-01-01T00:00:00.000Z");
        }
    }
}
