//! The audit log.

use std::time::SystemTime;

use data_encoding::HEXLOWER;
use portcullis_proto::admin::v1::{AuditEntry, VerifyAuditResponse};
use serde_json::{Value, json};

use super::View;
use super::{facts, list};
use crate::time::rfc3339;

/// Entries, newest first.
pub(crate) struct AuditList(pub(crate) Vec<AuditEntry>);

impl View for AuditList {
    fn table(&self, _: SystemTime) -> String {
        if self.0.is_empty() {
            return "no entry is like that".to_owned();
        }
        let rows = self.0.iter().map(|entry| {
            vec![
                entry.seq.to_string(),
                rfc3339(entry.time_unix_ms).unwrap_or_default(),
                entry.subject.clone(),
                entry.action.clone(),
                entry.object.clone(),
                outcome(entry),
            ]
        });
        list(&["seq", "time", "who", "action", "object", "outcome"], rows)
    }

    fn json(&self) -> Value {
        self.0
            .iter()
            .map(|entry| {
                json!({
                    "seq": entry.seq,
                    "time": rfc3339(entry.time_unix_ms),
                    "subject": entry.subject,
                    "action": entry.action,
                    "object": entry.object,
                    "outcome": entry.outcome,
                    "begun": Some(entry.begun).filter(|begun| *begun != 0),
                    "detail": entry.detail,
                })
            })
            .collect()
    }
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
        facts([
            ("entries", Some(count)),
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

fn outcome(entry: &AuditEntry) -> String {
    if entry.detail.is_empty() {
        entry.outcome.clone()
    } else {
        format!("{}: {}", entry.outcome, entry.detail)
    }
}
