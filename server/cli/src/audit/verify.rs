//! `portcullis audit verify`: the log itself, or an export of it, is held against its MACs.

use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;
use std::time::SystemTime;

use clap::Args;
use data_encoding::HEXLOWER;
use portcullis_host::text::LineReader;
use portcullis_proto::admin::v1::audit_client::AuditClient;
use portcullis_proto::admin::v1::audit_record::Record;
use portcullis_proto::admin::v1::{
    AuditRecord, KnownAuditHead, VerifyAuditRequest, VerifyAuditResponse,
};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::export::read_line;
use crate::context::Context;
use crate::error::CliError;
use crate::view::{View, facts};

/// Longer than any entry, in bytes.
pub(super) const MAX_LINE: u64 = 1 << 20;

/// Lines on their way to the server.
const AHEAD: usize = 256;

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// A head known from elsewhere, as the server's log tells it: the log has to pass through it
    #[arg(long, value_name = "COUNT:MAC", value_parser = known)]
    head: Vec<KnownAuditHead>,
    /// Check this export in place of the log; repeat it for exports that go on from one another
    /// (--after), the oldest first
    #[arg(long, value_name = "FILE", conflicts_with = "head")]
    file: Vec<PathBuf>,
}

impl VerifyArgs {
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        let mut client = context.client(AuditClient::new).await?;
        let report = match self.file.as_slice() {
            [] => {
                let known = self.head;
                let request = VerifyAuditRequest { known };
                client.verify(request).await?.into_inner()
            }
            files => {
                let (records, stream) = mpsc::channel(AHEAD);
                let (answer, sent) = tokio::join!(
                    client.verify_export(ReceiverStream::new(stream)),
                    send(files, records)
                );
                // A line that cannot be read is the cause, whatever the server made of the rest.
                sent?;
                answer?.into_inner()
            }
        };
        context.print(&report)?;
        match report.faults.into_iter().next() {
            None => Ok(()),
            Some(fault) => Err(CliError::AuditFault { what: fault.what }),
        }
    }
}

async fn send(files: &[PathBuf], records: mpsc::Sender<AuditRecord>) -> Result<(), CliError> {
    let mut head = None;
    for path in files {
        let file = BufReader::new(File::open(path).map_err(CliError::file("read", path))?);
        for line in LineReader::new(file, MAX_LINE) {
            let (number, text) = line.map_err(CliError::text(path))?;
            let record = read_line(&text).map_err(|problem| CliError::AuditFault {
                what: format!("{}, line {number}: {problem}", path.display()),
            })?;
            // The next export goes on where this one ended: only the last head is one.
            let record = Some(match record {
                Record::Head(_) => {
                    head = Some(record);
                    continue;
                }
                entry => entry,
            });
            if records.send(AuditRecord { record }).await.is_err() {
                // The server has answered already.
                return Ok(());
            }
        }
    }
    if head.is_some() {
        // An error says that the server has answered already.
        let _ = records.send(AuditRecord { record: head }).await;
    }
    Ok(())
}

fn known(text: &str) -> Result<KnownAuditHead, String> {
    let parsed = text.split_once(':').and_then(|(count, mac)| {
        let count = count.parse().ok()?;
        let mac = HEXLOWER.decode(mac.as_bytes()).ok()?;
        (mac.len() == 32).then_some(KnownAuditHead { count, mac })
    });
    parsed.ok_or_else(|| "give COUNT:MAC, with the MAC in 64 hexadecimal digits".to_owned())
}

impl View for VerifyAuditResponse {
    fn table(&self, _: SystemTime) -> String {
        let count = match self.faults.is_empty() {
            true => format!("{}, all sound", self.count),
            false => format!("{}, sound up to {}", self.count, self.sound),
        };
        let faults: Vec<_> = self
            .faults
            .iter()
            .map(|fault| fault.what.as_str())
            .collect();
        let head_count = match self.head_count {
            Some(count) => count.to_string(),
            None => "none that can be trusted".to_owned(),
        };
        let archived = (self.archived > 0).then(|| format!("up to entry {}", self.archived));
        facts([
            ("entries", Some(count)),
            ("archived", archived),
            ("head", Some(head(self))),
            ("head file counts", Some(head_count)),
            ("wrong", Some(faults.join("\n"))),
        ])
    }

    fn json(&self) -> Value {
        let faults: Vec<_> = self
            .faults
            .iter()
            .map(|fault| {
                json!({ "seq": Some(fault.seq).filter(|seq| *seq != 0), "what": fault.what })
            })
            .collect();
        json!({
            "archived": self.archived,
            "count": self.count,
            "sound": self.sound,
            "head": head(self),
            "head_count": self.head_count,
            "faults": faults,
        })
    }
}

/// As `--head` takes it.
fn head(report: &VerifyAuditResponse) -> String {
    format!("{}:{}", report.sound, HEXLOWER.encode(&report.mac))
}
