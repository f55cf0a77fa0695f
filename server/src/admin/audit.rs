//! The audit log: read, checked, exported, and accepted after a restore.

use portcullis_common::id::ServerId;
use portcullis_host::clock;
use portcullis_proto::admin::v1 as proto;
use portcullis_proto::admin::v1::audit_record::Record;
use prost::Message as _;
use tokio::sync::mpsc;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;

use super::context::Context;
use super::error::AdminError;
use super::request::{About, Front, Messages, Method, Request, change, own, read};
use crate::audit::{Anchor, ArchiveError, AuditError, Draft, Fault, Head, Outcome, Report};
use crate::config::Capability::{self, Auditor, SecurityAdministrator};
use crate::repository::{
    AUDIT_MAC_LEN, AuditEntry, AuditFields, AuditFilter, AuditTip, Repository,
};
use crate::services::Services;

/// Entries of one answer at most.
const MAX_PAGE: u32 = 1_000;
/// Heads that one verification takes at most.
const MAX_KNOWN: usize = 1_000;

const LOOK: &[Capability] = &[SecurityAdministrator, Auditor];

pub(super) fn offer(front: &mut impl Front) {
    front.offer::<proto::ListAuditRequest>();
    front.offer::<proto::VerifyAuditRequest>();
    front.offer::<proto::ExportAuditRequest>();
    front.offer_of_many::<proto::AuditRecord, VerifyExport>();
    front.offer::<proto::AcceptAuditRequest>();
    front.offer::<proto::ArchiveAuditRequest>();
}

/// `Audit.VerifyExport`
pub(crate) struct VerifyExport(Messages<proto::AuditRecord>);

impl From<Messages<proto::AuditRecord>> for VerifyExport {
    fn from(records: Messages<proto::AuditRecord>) -> Self {
        Self(records)
    }
}

impl Request for proto::ListAuditRequest {
    type Answer = proto::ListAuditResponse;

    const METHOD: Method = read("Audit/List", LOOK);

    fn about(&self) -> About {
        About::server("")
    }

    async fn run(self, context: &Context) -> Result<proto::ListAuditResponse, AdminError> {
        let limit = match self.limit {
            0 => MAX_PAGE,
            limit => limit.min(MAX_PAGE),
        };
        let bound = |time: i64| u64::try_from(time).unwrap_or(0);
        if Outcome::ALL.iter().all(|one| one.name() != self.outcome) && !self.outcome.is_empty() {
            let names = Outcome::ALL.map(Outcome::name).join(", ");
            return Err(AdminError::Malformed(format!(
                "there is no such outcome: give one of {names}"
            )));
        }
        let filter = AuditFilter {
            before: self.before,
            since_ms: bound(self.since_unix_ms),
            until_ms: bound(self.until_unix_ms),
            subject: self.subject,
            action: self.action,
            object: self.object,
            fields: AuditFields {
                call_id: self.call_id,
                resource: self.resource,
                object_class: self.object_class,
                object_name: self.object_name,
                user: self.user,
                gateway: self.gateway,
            },
            outcome: self.outcome,
            with_begun: self.with_begun,
        };
        let entries = context.services.repository.audit_entries();
        let entries = entries.page(filter, limit).await?;
        let full = entries.len() >= limit as usize;
        let last = entries.last().filter(|_| full);
        Ok(proto::ListAuditResponse {
            next_before: last.map_or(0, |last| last.seq),
            entries: entries.into_iter().map(entry_message).collect(),
        })
    }
}

impl Request for proto::VerifyAuditRequest {
    type Answer = proto::VerifyAuditResponse;

    const METHOD: Method = read("Audit/Verify", LOOK);

    fn about(&self) -> About {
        About::server("")
    }

    async fn run(self, context: &Context) -> Result<proto::VerifyAuditResponse, AdminError> {
        if self.known.len() > MAX_KNOWN {
            return Err(AdminError::Malformed(format!(
                "give at most {MAX_KNOWN} heads at once"
            )));
        }
        let known: Result<_, _> = self.known.iter().map(known_tip).collect();
        let report = context.services.audit.verify(known?).await;
        Ok(report_message(&report.map_err(unreadable)?))
    }
}

impl Request for proto::ExportAuditRequest {
    type Answer = Messages<proto::AuditRecord>;

    const METHOD: Method = own("Audit/Export", LOOK);

    fn about(&self) -> About {
        About::server("")
    }

    async fn run(self, context: &Context) -> Result<Messages<proto::AuditRecord>, AdminError> {
        let (audit, subject) = (&context.services.audit, context.caller.subject.clone());
        let start = match audit.anchor().await? {
            Anchor::At(start) => start.count,
            // What is there has to be exported all the more.
            Anchor::Forged => 0,
        };
        if (1..start).contains(&self.after) {
            return Err(AdminError::Precondition(format!(
                "the entries up to {start} were archived: export what came after them (--after {start}, or without it)"
            )));
        }
        let after = self.after.max(start);
        if self.before_unix_ms > 0 {
            return export_archivable(context, after, self.before_unix_ms).await;
        }
        let count = audit.head().await?.tip.count;
        if self.after > count {
            // Nothing is not what came since: whoever goes on from there would miss all entries up
            // to it.
            return Err(AdminError::Precondition(format!(
                "the audit log has {count} entries, and none that could come after entry {}: it was restored from a backup since, or that number is of another server's; export all of it anew",
                self.after
            )));
        }
        // A log in dispute has to be exported all the more: the entry is written once it is
        // accepted.
        let exported = Draft::new(subject, Self::METHOD.name, "", Outcome::Done);
        audit.record(exported).await;
        let head = audit.head().await?;
        Ok(records(&context.services.repository, after, head))
    }
}

/// What may be archived of the entries that were written before this time.
async fn export_archivable(
    context: &Context,
    after: u64,
    before_unix_ms: i64,
) -> Result<Messages<proto::AuditRecord>, AdminError> {
    let services = &context.services;
    let most = forwarded_to(services).await?;
    let before = u64::try_from(before_unix_ms).unwrap_or(0);
    if before > clock::now().0 {
        return Err(AdminError::malformed(
            "that time is later than now: the whole log would go. Name one that has passed; `--before 0s` is this moment",
        ));
    }
    let head = services.audit.archivable(before, most).await?;
    let Some(head) = head else {
        return Err(AdminError::Precondition(
            "there is nothing to archive: no entry was written before that time which has its outcome and was forwarded to all places of [forward]".to_owned(),
        ));
    };
    services.audit.copied(after, head.tip);
    let subject = context.caller.subject.clone();
    let exported = Draft::new(
        subject,
        proto::ExportAuditRequest::METHOD.name,
        "",
        Outcome::Done,
    );
    let detail = format!(
        "entries {} to {}, to archive them",
        after + 1,
        head.tip.count
    );
    services.audit.record(exported.detail(&detail)).await;
    Ok(records(&services.repository, after, head))
}

/// The last entry that every place of `[forward]` has.
async fn forwarded_to(services: &Services) -> Result<u64, AdminError> {
    let mut most = u64::MAX;
    for place in &services.live.config().forward {
        let meta = services.repository.database().meta();
        most = most.min(meta.forwarded(&place.name).await?.unwrap_or(0));
    }
    Ok(most)
}

/// The entries after this one up to `head`, and `head`.
fn records(repository: &Repository, after: u64, head: Head) -> Messages<proto::AuditRecord> {
    let (records, stream) = mpsc::channel(MAX_PAGE as usize);
    let repository = repository.clone();
    tokio::spawn(async move {
        if let Err(error) = send_records(&repository, after, &head, &records).await {
            // Whoever asked went away.
            let _ = records.send(Err(error)).await;
        }
    });
    Messages::new(ReceiverStream::new(stream))
}

impl Request for proto::ArchiveAuditRequest {
    type Answer = proto::ArchiveAuditResponse;

    const METHOD: Method = change("Audit/Archive", &[SecurityAdministrator]);

    fn about(&self) -> About {
        About::server(format!("entries up to {}", self.count))
    }

    /// Nobody here knows what becomes of the file: who removes it has emptied the log.
    fn for_two(&self) -> Option<Vec<u8>> {
        Some(self.encode_to_vec())
    }

    async fn run(self, context: &Context) -> Result<proto::ArchiveAuditResponse, AdminError> {
        let services = &context.services;
        let end = known_tip(&proto::KnownAuditHead {
            count: self.count,
            mac: self.mac,
        })?;
        let most = forwarded_to(services).await?;
        let removed = services.audit.archive(end, most).await;
        let removed = removed.map_err(|error| match error {
            ArchiveError::Audit(error) => AdminError::from(error),
            error @ (ArchiveError::Moved(_) | ArchiveError::UnderWay) => {
                AdminError::Outdated(error.to_string())
            }
            error => AdminError::Precondition(error.to_string()),
        })?;
        Ok(proto::ArchiveAuditResponse { removed })
    }
}

impl Request for VerifyExport {
    type Answer = proto::VerifyAuditResponse;

    const METHOD: Method = read("Audit/VerifyExport", LOOK);

    fn about(&self) -> About {
        About::server("")
    }

    async fn run(self, context: &Context) -> Result<proto::VerifyAuditResponse, AdminError> {
        let Self(mut records) = self;
        let verifier = context.services.audit.verifier().await;
        let mut verifier = verifier.map_err(unreadable)?;
        let (mut count, mut head) = (0, None);
        let mut fault = None;
        while let Some(record) = records.try_next().await? {
            match record.record {
                // What comes after the end is no part of it.
                Some(Record::Entry(_)) if head.is_some() => head = None,
                Some(Record::Entry(entry)) => {
                    count += 1;
                    let entry = stored_entry(entry);
                    fault = fault.or_else(|| verifier.take(&entry).err());
                }
                Some(Record::Head(message)) => head = Some(message),
                None => return Err(AdminError::malformed("the export holds an empty record")),
            }
        }
        let head = head.as_ref().and_then(stored_head);
        let fault = fault.or_else(|| verifier.end(head).err());
        Ok(report_message(&Report {
            sound: verifier.tip(),
            archived: 0,
            count,
            head: head.map(|head| head.tip.count),
            faults: fault.into_iter().chain(verifier.unchecked()).collect(),
            rows: Vec::new(),
        }))
    }
}

impl Request for proto::AcceptAuditRequest {
    type Answer = proto::AuditHead;

    const METHOD: Method = own("Audit/Accept", &[SecurityAdministrator]);

    fn about(&self) -> About {
        About::server(&self.reason)
    }

    /// One without a reason is refused, whoever would approve it.
    fn for_two(&self) -> Option<Vec<u8>> {
        has_reason(self).then(|| self.encode_to_vec())
    }

    /// An approval is for the faults that there were, and for no others.
    async fn looked_at(&self, services: &Services) -> Result<Vec<u8>, AdminError> {
        let faults = services.audit.faults_digest().await.map_err(unreadable)?;
        Ok(faults.to_vec())
    }

    async fn run(self, context: &Context) -> Result<proto::AuditHead, AdminError> {
        let (audit, subject) = (&context.services.audit, &context.caller.subject);
        let accepted = if has_reason(&self) {
            let accepted = audit.accept(subject.clone(), &self.reason).await;
            accepted.map_err(AdminError::from)
        } else {
            Err(AdminError::malformed(
                "say why, for those who read the log later: the backup that was restored, or what was found",
            ))
        };
        match accepted {
            Ok(head) => Ok(head_message(&head)),
            Err(error) => {
                let failed = Draft::new(subject.clone(), Self::METHOD.name, "", Outcome::Failed);
                audit.record(failed.detail(&error.to_string())).await;
                Err(error)
            }
        }
    }
}

fn has_reason(request: &proto::AcceptAuditRequest) -> bool {
    !request.reason.trim().is_empty()
}

/// Sends all entries up to `head`, and `head` itself, for as long as somebody takes them.
async fn send_records(
    repository: &Repository,
    mut after: u64,
    head: &Head,
    records: &mpsc::Sender<Result<proto::AuditRecord, AdminError>>,
) -> Result<(), AdminError> {
    while after < head.tip.count {
        let page = repository.audit_entries().scan(after, MAX_PAGE).await?;
        let Some(last) = page.last() else { break };
        after = last.seq;
        for entry in page {
            if entry.seq > head.tip.count {
                break;
            }
            let record = record_message(Record::Entry(entry_message(entry)));
            if records.send(Ok(record)).await.is_err() {
                return Ok(());
            }
        }
    }
    let record = record_message(Record::Head(head_message(head)));
    // An error says that nobody takes it any more.
    let _ = records.send(Ok(record)).await;
    Ok(())
}

/// The log could not be read.
fn unreadable(error: AuditError) -> AdminError {
    AdminError::Unavailable(error.to_string())
}

fn record_message(record: Record) -> proto::AuditRecord {
    proto::AuditRecord {
        record: Some(record),
    }
}

fn entry_message(entry: AuditEntry) -> proto::AuditEntry {
    proto::AuditEntry {
        seq: entry.seq,
        commit_first: entry.commit_first,
        time_unix_ms: i64::try_from(entry.time_ms).unwrap_or(i64::MAX),
        subject: entry.subject,
        action: entry.action,
        object: entry.object,
        outcome: entry.outcome,
        begun: entry.begun,
        detail: entry.detail,
        authority: entry.authority,
        mac: entry.mac,
        call_id: entry.fields.call_id,
        resource: entry.fields.resource,
        object_class: entry.fields.object_class,
        object_name: entry.fields.object_name,
        user: entry.fields.user,
        gateway: entry.fields.gateway,
    }
}

fn stored_entry(message: proto::AuditEntry) -> AuditEntry {
    AuditEntry {
        seq: message.seq,
        commit_first: message.commit_first,
        time_ms: u64::try_from(message.time_unix_ms).unwrap_or(u64::MAX),
        subject: message.subject,
        action: message.action,
        object: message.object,
        outcome: message.outcome,
        begun: message.begun,
        detail: message.detail,
        authority: message.authority,
        fields: AuditFields {
            call_id: message.call_id,
            resource: message.resource,
            object_class: message.object_class,
            object_name: message.object_name,
            user: message.user,
            gateway: message.gateway,
        },
        mac: message.mac,
    }
}

fn head_message(head: &Head) -> proto::AuditHead {
    proto::AuditHead {
        server_id: head.server.to_string(),
        count: head.tip.count,
        mac: head.tip.mac.to_vec(),
        tag: head.tag.to_vec(),
    }
}

/// `None`: it is none that a server ever wrote.
fn stored_head(message: &proto::AuditHead) -> Option<Head> {
    Some(Head {
        database: None,
        server: message.server_id.parse::<ServerId>().ok()?,
        tip: AuditTip {
            count: message.count,
            mac: mac(&message.mac)?,
        },
        // Whichever it is: an export does not say.
        rows: false,
        tag: mac(&message.tag)?,
    })
}

fn known_tip(known: &proto::KnownAuditHead) -> Result<AuditTip, AdminError> {
    let mac = mac(&known.mac).ok_or_else(|| {
        AdminError::Malformed(format!(
            "the MAC of head {} has not {AUDIT_MAC_LEN} bytes",
            known.count
        ))
    })?;
    Ok(AuditTip {
        count: known.count,
        mac,
    })
}

fn mac(bytes: &[u8]) -> Option<[u8; AUDIT_MAC_LEN]> {
    bytes.try_into().ok()
}

fn report_message(report: &Report) -> proto::VerifyAuditResponse {
    let fault = |fault: &Fault| proto::AuditFault {
        seq: fault.seq(),
        what: fault.to_string(),
    };
    let rows = report.rows.iter().map(|row| proto::AuditFault {
        seq: 0,
        what: format!(
            "the record of {} `{}` (table {}) was changed or put in by hand",
            row.kind, row.name, row.table
        ),
    });
    proto::VerifyAuditResponse {
        archived: report.archived,
        count: report.count,
        sound: report.sound.count,
        mac: report.sound.mac.to_vec(),
        head_count: report.head,
        faults: report.faults.iter().map(fault).chain(rows).collect(),
    }
}
