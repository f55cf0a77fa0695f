//! The audit log: read, checked, exported, and accepted after a restore.

use portcullis_common::id::ServerId;
use portcullis_proto::admin::v1 as proto;
use portcullis_proto::admin::v1::audit_record::Record;
use portcullis_proto::admin::v1::audit_server::Audit;
use portcullis_proto::grpc::{Messages, Replies};
use tonic::{Request, Response, Status};

use super::error::{of_audit, of_repository};
use crate::access::Caller;
use crate::audit::{Draft, Fault, Head, Outcome, Report};
use crate::repository::{AUDIT_MAC_LEN, AuditEntry, AuditFilter, AuditTip};
use crate::services::Services;

/// Entries of one answer at most.
const MAX_PAGE: u32 = 1_000;
/// Heads that one verification takes at most.
const MAX_KNOWN: usize = 1_000;

/// `portcullis.admin.v1.Audit`
pub(crate) struct AuditApi(pub(crate) Services);

type Records = Replies<proto::AuditRecord>;

#[tonic::async_trait]
impl Audit for AuditApi {
    async fn list(
        &self,
        request: Request<proto::ListAuditRequest>,
    ) -> Result<Response<proto::ListAuditResponse>, Status> {
        let request = request.into_inner();
        let limit = match request.limit {
            0 => MAX_PAGE,
            limit => limit.min(MAX_PAGE),
        };
        let bound = |time: i64| u64::try_from(time).unwrap_or(0);
        if Outcome::ALL.iter().all(|one| one.name() != request.outcome)
            && !request.outcome.is_empty()
        {
            let names = Outcome::ALL.map(Outcome::name).join(", ");
            return Err(Status::invalid_argument(format!(
                "there is no such outcome: give one of {names}"
            )));
        }
        let filter = AuditFilter {
            before: request.before,
            since_ms: bound(request.since_unix_ms),
            until_ms: bound(request.until_unix_ms),
            subject: request.subject,
            action: request.action,
            object: request.object,
            outcome: request.outcome,
            with_begun: request.with_begun,
        };
        let entries = self.0.repository.audit_entries().page(filter, limit).await;
        let entries = entries.map_err(|error| of_repository(&error))?;
        let full = entries.len() >= limit as usize;
        let last = entries.last().filter(|_| full);
        Ok(Response::new(proto::ListAuditResponse {
            next_before: last.map_or(0, |last| last.seq),
            entries: entries.into_iter().map(entry_message).collect(),
        }))
    }

    async fn verify(
        &self,
        request: Request<proto::VerifyAuditRequest>,
    ) -> Result<Response<proto::VerifyAuditResponse>, Status> {
        let known = request.into_inner().known;
        if known.len() > MAX_KNOWN {
            return Err(Status::invalid_argument(format!(
                "give at most {MAX_KNOWN} heads at once"
            )));
        }
        let known: Result<_, _> = known.iter().map(known_tip).collect();
        let report = self.0.audit.verify(known?).await;
        let report = report.map_err(|error| Status::unavailable(error.to_string()))?;
        Ok(Response::new(report_message(&report)))
    }

    async fn export(
        &self,
        request: Request<proto::ExportAuditRequest>,
    ) -> Result<Response<Records>, Status> {
        let Self(Services {
            audit, repository, ..
        }) = self;
        let subject = Caller::of(&request).subject;
        // A log in dispute has to be exported all the more: the entry is written once it is accepted.
        audit
            .record(Draft::new(subject, "Audit/Export", "", Outcome::Done))
            .await;
        let head = audit.head().await.map_err(|error| of_audit(&error))?;
        let repository = repository.clone();
        let (records, stream) = tokio::sync::mpsc::channel(MAX_PAGE as usize);
        tokio::spawn(async move {
            let mut after = 0;
            while after < head.tip.count {
                let page = repository.audit_entries().scan(after, MAX_PAGE).await;
                let page = match page {
                    Ok(page) => page,
                    Err(error) => {
                        // Whoever asked went away.
                        let _ = records.send(Err(of_repository(&error))).await;
                        return;
                    }
                };
                let Some(last) = page.last() else { break };
                after = last.seq;
                for entry in page {
                    if entry.seq > head.tip.count {
                        break;
                    }
                    let record = Record::Entry(entry_message(entry));
                    if records.send(Ok(record_message(record))).await.is_err() {
                        return;
                    }
                }
            }
            let record = record_message(Record::Head(head_message(&head)));
            let _ = records.send(Ok(record)).await;
        });
        let stream = tokio_stream::wrappers::ReceiverStream::new(stream);
        Ok(Response::new(Box::pin(stream)))
    }

    async fn verify_export(
        &self,
        request: Request<Messages<proto::AuditRecord>>,
    ) -> Result<Response<proto::VerifyAuditResponse>, Status> {
        let mut records = request.into_inner();
        let verifier = self.0.audit.verifier().await;
        let mut verifier = verifier.map_err(|error| Status::unavailable(error.to_string()))?;
        let (mut count, mut head) = (0, None);
        let mut fault = None;
        while let Some(record) = records.message().await? {
            match record.record {
                // What comes after the end is no part of it.
                Some(Record::Entry(_)) if head.is_some() => head = None,
                Some(Record::Entry(entry)) => {
                    count += 1;
                    let entry = stored_entry(entry);
                    fault = fault.or_else(|| verifier.take(&entry).err());
                }
                Some(Record::Head(message)) => head = Some(message),
                None => return Err(Status::invalid_argument("the export holds an empty record")),
            }
        }
        let head = head.as_ref().and_then(stored_head);
        let fault = fault.or_else(|| verifier.end(head).err());
        Ok(Response::new(report_message(&Report {
            sound: verifier.tip(),
            count,
            head: head.map(|head| head.tip.count),
            faults: fault.into_iter().chain(verifier.unchecked()).collect(),
        })))
    }

    async fn accept(
        &self,
        request: Request<proto::AcceptAuditRequest>,
    ) -> Result<Response<proto::AuditHead>, Status> {
        let subject = Caller::of(&request).subject;
        let reason = request.into_inner().reason;
        let accepted = if reason.trim().is_empty() {
            Err(Status::invalid_argument(
                "say why, for those who read the log later: the backup that was restored, or what was found",
            ))
        } else {
            let accepted = self.0.audit.accept(subject.clone(), &reason).await;
            accepted.map_err(|error| of_audit(&error))
        };
        match accepted {
            Ok(head) => Ok(Response::new(head_message(&head))),
            Err(status) => {
                let failed = Draft::new(subject, "Audit/Accept", "", Outcome::Failed);
                self.0.audit.record(failed.detail(status.message())).await;
                Err(status)
            }
        }
    }
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
        mac: entry.mac,
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
        server: message.server_id.parse::<ServerId>().ok()?,
        tip: AuditTip {
            count: message.count,
            mac: mac(&message.mac)?,
        },
        tag: mac(&message.tag)?,
    })
}

fn known_tip(known: &proto::KnownAuditHead) -> Result<AuditTip, Status> {
    let mac = mac(&known.mac).ok_or_else(|| {
        Status::invalid_argument(format!(
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
    proto::VerifyAuditResponse {
        count: report.count,
        sound: report.sound.count,
        mac: report.sound.mac.to_vec(),
        head_count: report.head,
        faults: report.faults.iter().map(fault).collect(),
    }
}
