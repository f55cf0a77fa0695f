//! `portcullis audit …`: who did what, and what came of it.

mod export;
mod verify;

use std::time::{SystemTime, UNIX_EPOCH};

use clap::{Args, Subcommand};
use data_encoding::HEXLOWER;
use portcullis_proto::admin::v1::audit_client::AuditClient;
use portcullis_proto::admin::v1::{AcceptAuditRequest, AuditEntry, ListAuditRequest};
use serde_json::{Value, json};

use crate::context::Context;
use crate::error::CliError;
use crate::time::{now, rfc3339};
use crate::view::{Listed, View, list};

/// Entries asked for at once.
const PAGE: u32 = 1_000;

#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// List the entries of the audit log, newest first
    List(ListArgs),
    /// Check that the audit log, or an export of it, is what the server wrote
    Verify(verify::VerifyArgs),
    /// Write the whole audit log to a file, one JSON object a line
    Export(export::ExportArgs),
    /// Go on although the audit log and its head file disagree: after a restore, or once an attack
    /// was looked into
    Accept {
        /// Why: the backup that was restored, or what was found; it is written into the log
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Not earlier: a time like 2026-11-22T08:00:00Z, or how long ago, like 2h
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<SystemTime>,
    /// Not later
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<SystemTime>,
    /// A part of who it was: a name, or an id
    #[arg(long, value_name = "TEXT", default_value = "")]
    subject: String,
    /// A part of what was done, like Keys/ or set-password
    #[arg(long, value_name = "TEXT", default_value = "")]
    action: String,
    /// A part of what it was done to, like a name or a call id
    #[arg(long, value_name = "TEXT", default_value = "")]
    object: String,
    /// What came of it: begun, done, failed, refused, indeterminate, unknown
    #[arg(long, value_name = "WORD", default_value = "")]
    outcome: String,
    /// Only entries before this one
    #[arg(long, value_name = "SEQ", default_value_t = 0)]
    before: u64,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: u32,
    /// Also the entries that say that something was begun whose outcome is known
    #[arg(long)]
    with_begun: bool,
}

impl AuditCommand {
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        match self {
            Self::List(args) => args.run(context).await,
            Self::Verify(args) => args.run(context).await,
            Self::Export(args) => args.run(context).await,
            Self::Accept { reason } => {
                let mut client = context.client(AuditClient::new).await?;
                let head = client
                    .accept(AcceptAuditRequest { reason })
                    .await?
                    .into_inner();
                let (count, mac) = (head.count, HEXLOWER.encode(&head.mac));
                context.say(
                    &format!(
                        "the audit log goes on from entry {count}, which says so\nhead  {count}:{mac}"
                    ),
                    &json!({ "count": count, "mac": mac }),
                )
            }
        }
    }
}

impl ListArgs {
    async fn run(self, context: &Context) -> Result<(), CliError> {
        let mut client = context.client(AuditClient::new).await?;
        let mut request = ListAuditRequest {
            since_unix_ms: self.since.map_or(0, unix_ms),
            until_unix_ms: self.until.map_or(0, unix_ms),
            subject: self.subject,
            action: self.action,
            object: self.object,
            outcome: self.outcome,
            with_begun: self.with_begun,
            before: self.before,
            limit: 0,
        };
        let mut entries = Vec::new();
        let mut left = self.limit;
        while left > 0 {
            request.limit = left.min(PAGE);
            let page = client.list(request.clone()).await?.into_inner();
            let got = u32::try_from(page.entries.len()).unwrap_or(u32::MAX);
            left = left.saturating_sub(got);
            entries.extend(page.entries);
            request.before = page.next_before;
            if page.next_before == 0 {
                break;
            }
        }
        context.print(&entries)
    }
}

fn moment(text: &str) -> Result<SystemTime, String> {
    if let Ok(ago) = humantime::parse_duration(text) {
        return now()
            .checked_sub(ago)
            .ok_or_else(|| "too long ago".to_owned());
    }
    humantime::parse_rfc3339_weak(text)
        .map_err(|_| "give a time like 2026-11-22T08:00:00Z, or how long ago, like 2h".to_owned())
}

fn unix_ms(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX).max(1)
}

impl Listed for AuditEntry {
    const NONE: &'static str = "no entry is like that";
    const HEADING: &'static [&'static str] = &["seq", "time", "who", "action", "object", "outcome"];

    fn row(&self, _: SystemTime) -> Vec<String> {
        vec![
            self.seq.to_string(),
            rfc3339(self.time_unix_ms).unwrap_or_default(),
            self.subject.clone(),
            self.action.clone(),
            self.object.clone(),
            match self.detail.as_str() {
                "" => self.outcome.clone(),
                detail => format!("{}: {detail}", self.outcome),
            },
        ]
    }
}

impl View for AuditEntry {
    fn table(&self, now: SystemTime) -> String {
        list(Self::HEADING, [self.row(now)])
    }

    fn json(&self) -> Value {
        json!({
            "seq": self.seq,
            "time": rfc3339(self.time_unix_ms),
            "subject": self.subject,
            "action": self.action,
            "object": self.object,
            "outcome": self.outcome,
            "begun": Some(self.begun).filter(|begun| *begun != 0),
            "detail": self.detail,
        })
    }
}
