//! `portcullis audit …`: who did what, and what came of it.

mod archive;
mod export;
mod verify;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::{Args, Subcommand};
use data_encoding::HEXLOWER;
use portcullis_proto::admin::v1::audit_client::AuditClient;
use portcullis_proto::admin::v1::{AcceptAuditRequest, AuditEntry, ListAuditRequest};
use serde_json::{Value, json};
use tonic::Code;

use crate::context::Context;
use crate::error::CliError;
use crate::time::{now, rfc3339};
use crate::view::{Listed, View, facts, printable};

/// Entries asked for at once.
const PAGE: u32 = 1_000;

/// How often the log is looked at while it is followed.
const POLL: Duration = Duration::from_secs(1);

#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// List the entries of the audit log, newest first
    List(ListArgs),
    /// Show one entry with all its fields
    Show {
        /// Its number
        seq: u64,
    },
    /// Check that the audit log, or an export of it, is what the server wrote
    Verify(verify::VerifyArgs),
    /// Write the audit log, or what came to it since an entry, to a file, one JSON object a line
    Export(export::ExportArgs),
    /// Move what was written before a time from the log into a file
    Archive(archive::ArchiveArgs),
    /// Go on although the audit log and its head file disagree: after a restore, or once an attack
    /// was looked into
    Accept {
        /// Why: the backup that was restored, or what was found; it is written into the log
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
}

const LIST_HELP: &str = "\
All times are in UTC, those that are given and those that are shown.

Examples:
  portcullis audit list --since 2h --outcome failed
  portcullis audit list --since 2026-11-01 --until 2026-11-30 --subject alice
  portcullis audit list --object leave-4711        # what came of a call
  portcullis audit list --follow --output json     # one JSON object a line, as entries are written";

#[derive(Debug, Args)]
#[command(after_help = LIST_HELP)]
pub(crate) struct ListArgs {
    /// Not earlier: a day like 2026-11-22, a time like 2026-11-22T08:00:00Z, or how long ago, like
    /// 2h
    #[arg(long, value_name = "TIME", value_parser = beginning)]
    since: Option<SystemTime>,
    /// Not later; of a day, its end
    #[arg(long, value_name = "TIME", value_parser = end, conflicts_with = "follow")]
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
    /// This call's id
    #[arg(long, value_name = "ID", default_value = "")]
    call: String,
    /// This resource
    #[arg(long, value_name = "NAME", default_value = "")]
    resource: String,
    /// This gateway
    #[arg(long, value_name = "NAME", default_value = "")]
    gateway: String,
    /// What came of it: begun, done, failed, refused, indeterminate, unknown
    #[arg(long, value_name = "WORD", default_value = "")]
    outcome: String,
    /// Only entries before this one
    #[arg(
        long,
        value_name = "SEQ",
        default_value_t = 0,
        conflicts_with = "follow"
    )]
    before: u64,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Also the entries that say that something was begun whose outcome is known
    #[arg(long)]
    with_begun: bool,
    /// Show the entries in the order in which they were written, and go on with those that are
    /// written from now on
    #[arg(long)]
    follow: bool,
}

impl AuditCommand {
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        match self {
            Self::List(args) => args.run(context).await,
            Self::Show { seq } => show(context, seq).await,
            Self::Verify(args) => args.run(context).await,
            Self::Archive(args) => args.run(context).await,
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
        let (limit, follow) = (self.limit, self.follow);
        let request = self.request();
        let (mut entries, more) = newest(&mut client, request.clone(), limit, 0).await?;
        if follow {
            entries.reverse();
            return go_on(context, client, request, entries).await;
        }
        context.print(&entries)?;
        if let (true, Some(last)) = (more, entries.last()) {
            context.note(&format!(
                "there are older entries: `--before {}` goes on with them, `--limit N` shows more at once",
                last.seq
            ));
        }
        Ok(())
    }

    fn request(self) -> ListAuditRequest {
        ListAuditRequest {
            since_unix_ms: self.since.map_or(0, unix_ms),
            until_unix_ms: self.until.map_or(0, unix_ms),
            subject: self.subject,
            action: self.action,
            object: self.object,
            outcome: self.outcome,
            with_begun: self.with_begun,
            before: self.before,
            call_id: self.call,
            resource: self.resource,
            gateway: self.gateway,
            ..ListAuditRequest::default()
        }
    }
}

async fn show(context: &Context, seq: u64) -> Result<(), CliError> {
    let mut client = context.client(AuditClient::new).await?;
    let request = ListAuditRequest {
        before: seq.saturating_add(1),
        limit: 1,
        with_begun: true,
        ..ListAuditRequest::default()
    };
    let found = client.list(request).await?.into_inner().entries;
    match found.into_iter().next().filter(|entry| entry.seq == seq) {
        Some(entry) => context.print(&entry),
        None => Err(CliError::Refused {
            code: Code::NotFound,
            message: format!(
                "the audit log has no entry {seq}: `portcullis audit list` shows those there are"
            ),
        }),
    }
}

/// The newest entries, newest first, after the one that is known, at most so many; and whether
/// there are older ones.
async fn newest(
    client: &mut AuditClient,
    mut request: ListAuditRequest,
    limit: u32,
    known: u64,
) -> Result<(Vec<AuditEntry>, bool), CliError> {
    let mut entries: Vec<AuditEntry> = Vec::new();
    let mut left = limit;
    // Few are new since the last look.
    let at_once = if known == 0 { PAGE } else { PAGE / 20 };
    loop {
        // One more than is shown tells whether there are more.
        request.limit = left.saturating_add(1).min(at_once);
        let page = client.list(request.clone()).await?.into_inner();
        let ended = page.next_before == 0 || page.entries.iter().any(|it| it.seq <= known);
        for entry in page.entries.into_iter().filter(|it| it.seq > known) {
            if left == 0 {
                return Ok((entries, true));
            }
            left -= 1;
            entries.push(entry);
        }
        if ended {
            return Ok((entries, false));
        }
        request.before = page.next_before;
    }
}

/// Prints entries, and those that are written from now on, until nobody reads them any more.
async fn go_on(
    context: &Context,
    mut client: AuditClient,
    request: ListAuditRequest,
    mut entries: Vec<AuditEntry>,
) -> Result<(), CliError> {
    let mut known = 0;
    let mut ticks = tokio::time::interval(POLL);
    loop {
        for entry in &entries {
            let line = if context.json() {
                entry.json().to_string()
            } else {
                let cells = entry.row(now());
                let cells: Vec<_> = cells.iter().map(|cell| printable(cell)).collect();
                cells.join("  ")
            };
            context.write(&format!("{line}\n"))?;
            known = known.max(entry.seq);
        }
        ticks.tick().await;
        let limit = if known == 0 { PAGE } else { u32::MAX };
        entries = newest(&mut client, request.clone(), limit, known).await?.0;
        entries.reverse();
    }
}

fn beginning(text: &str) -> Result<SystemTime, String> {
    moment(text, "00:00:00.000")
}

fn end(text: &str) -> Result<SystemTime, String> {
    moment(text, "23:59:59.999")
}

/// A moment in UTC; `of_day` is meant where only a day is given.
fn moment(text: &str, of_day: &str) -> Result<SystemTime, String> {
    if let Ok(ago) = humantime::parse_duration(text) {
        return now()
            .checked_sub(ago)
            .ok_or_else(|| "too long ago".to_owned());
    }
    humantime::parse_rfc3339_weak(text)
        .or_else(|_| humantime::parse_rfc3339_weak(&format!("{text} {of_day}")))
        .map_err(|_| {
            "give a day like 2026-11-22, a time in UTC like 2026-11-22T08:00:00Z, or how long ago, like 2h".to_owned()
        })
}

pub(crate) fn unix_ms(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX).max(1)
}

impl Listed for AuditEntry {
    const NONE: &'static str = "no entry is like that";
    const HEADING: &'static [&'static str] = &[
        "seq",
        "time (UTC)",
        "who",
        "action",
        "object",
        "call",
        "outcome",
    ];

    fn row(&self, _: SystemTime) -> Vec<String> {
        vec![
            self.seq.to_string(),
            rfc3339(self.time_unix_ms).unwrap_or_default(),
            self.subject.clone(),
            self.action.clone(),
            self.object.clone(),
            self.call_id.clone(),
            match self.detail.as_str() {
                "" => self.outcome.clone(),
                detail => format!("{}: {detail}", self.outcome),
            },
        ]
    }
}

impl View for AuditEntry {
    fn table(&self, _: SystemTime) -> String {
        let begun = Some(self.begun).filter(|begun| *begun != 0);
        facts([
            ("entry", Some(self.seq.to_string())),
            ("time", rfc3339(self.time_unix_ms)),
            ("who", Some(self.subject.clone())),
            ("action", Some(self.action.clone())),
            ("object", Some(self.object.clone())),
            ("outcome", Some(self.outcome.clone())),
            ("of entry", begun.map(|begun| begun.to_string())),
            ("detail", Some(self.detail.clone())),
            ("call", Some(self.call_id.clone())),
            ("resource", Some(self.resource.clone())),
            ("class", Some(self.object_class.clone())),
            ("name", Some(self.object_name.clone())),
            ("user", Some(self.user.clone())),
            ("gateway", Some(self.gateway.clone())),
        ])
    }

    fn json(&self) -> Value {
        let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        json!({
            "seq": self.seq,
            "time": rfc3339(self.time_unix_ms),
            "subject": self.subject,
            "action": self.action,
            "object": self.object,
            "outcome": self.outcome,
            "begun": Some(self.begun).filter(|begun| *begun != 0),
            "detail": self.detail,
            "call_id": some(&self.call_id),
            "resource": some(&self.resource),
            "object_class": some(&self.object_class),
            "object_name": some(&self.object_name),
            "user": some(&self.user),
            "gateway": some(&self.gateway),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_taken_from_its_beginning_to_its_end() {
        let text = |time: SystemTime| humantime::format_rfc3339_millis(time).to_string();
        for (given, since, until) in [
            (
                "2026-11-28",
                "2026-11-28T00:00:00.000Z",
                "2026-11-28T23:59:59.999Z",
            ),
            (
                "2026-11-28T08:00:00Z",
                "2026-11-28T08:00:00.000Z",
                "2026-11-28T08:00:00.000Z",
            ),
            (
                "2026-11-28 08:00:00",
                "2026-11-28T08:00:00.000Z",
                "2026-11-28T08:00:00.000Z",
            ),
        ] {
            assert_eq!(beginning(given).map(text).as_deref(), Ok(since));
            assert_eq!(end(given).map(text).as_deref(), Ok(until));
        }
        for wrong in [
            "2026-13-01",
            "yesterday",
            "",
            "28.11.2026",
            "2026-11-28T08:00:00+01:00",
        ] {
            assert!(beginning(wrong).is_err(), "{wrong}");
        }
    }
}
