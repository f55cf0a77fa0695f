//! How far a gateway key has got.

use std::collections::BTreeMap;
use std::time::SystemTime;

use portcullis_proto::admin::v1::{PushEnd, SyncProgress, SyncResult, SyncState};
use serde_json::{Value, json};

use super::View;
use super::list;
use crate::time::{age, rfc3339};
use crate::view::printable;

/// The last that was heard of each gateway.
#[derive(Debug, Default)]
pub(crate) struct SyncSummary {
    last: SyncProgress,
    gateways: BTreeMap<String, SyncResult>,
}

impl SyncSummary {
    /// Takes in one message of the stream.
    pub(crate) fn take(&mut self, mut progress: SyncProgress) {
        for result in std::mem::take(&mut progress.results) {
            self.gateways.insert(result.gateway.clone(), result);
        }
        self.last = progress;
    }

    fn counts(&self) -> [(u32, &'static str); 5] {
        [
            (self.last.pending, "pending"),
            (self.last.away, "away"),
            (self.last.refused, "refused"),
            (self.last.must_enrol, "must enrol again"),
            (self.last.not_in_scope, "not in scope"),
        ]
    }
}

/// One line about one gateway, as it happens.
pub(crate) fn sync_line(result: &SyncResult) -> String {
    let detail = if result.detail.is_empty() {
        String::new()
    } else {
        format!(": {}", printable(&result.detail))
    };
    let since = match (result.state(), rfc3339(result.last_seen_unix_ms)) {
        (SyncState::Away, Some(time)) => format!(" since {time}"),
        _ => String::new(),
    };
    format!(
        "{}: {}{since}{detail}",
        printable(&result.gateway),
        state_phrase(result.state())
    )
}

impl View for SyncSummary {
    fn table(&self, now: SystemTime) -> String {
        let mut head = format!(
            "gateway key: {}\n{} of {} enrolled gateways have proved it",
            printable(&self.last.current_key_id),
            self.last.synchronized,
            self.last.total
        );
        for (count, what) in self.counts().into_iter().filter(|(count, _)| *count > 0) {
            head.push_str(&format!(", {count} {what}"));
        }
        if !self.last.withdrawn_key_id.is_empty() {
            head.push_str(&format!(
                "\nwithdrawn: {}, never sent again",
                printable(&self.last.withdrawn_key_id)
            ));
        }
        if self.last.end() == PushEnd::UnderWay {
            head.push_str("\nthe push goes on");
        }
        let late: Vec<_> = self
            .gateways
            .values()
            .filter(|result| result.state() != SyncState::Synchronized)
            .map(|result| {
                vec![
                    result.gateway.clone(),
                    state_phrase(result.state()).to_owned(),
                    age(result.last_seen_unix_ms, now).unwrap_or_else(|| "never".to_owned()),
                    result.detail.clone(),
                ]
            })
            .collect();
        if late.is_empty() {
            return head;
        }
        format!(
            "{head}\n\n{}",
            list(&["gateway", "state", "seen", "detail"], late)
        )
    }

    fn json(&self) -> Value {
        let gateways: Vec<_> = self
            .gateways
            .values()
            .map(|result| {
                json!({
                    "gateway": result.gateway,
                    "state": state_word(result.state()),
                    "detail": result.detail,
                    "last_seen": rfc3339(result.last_seen_unix_ms),
                })
            })
            .collect();
        json!({
            "current_key_id": self.last.current_key_id,
            "withdrawn_key_id": Some(&self.last.withdrawn_key_id).filter(|id| !id.is_empty()),
            "end": end_word(self.last.end()),
            "synchronized": self.last.synchronized,
            "away": self.last.away,
            "pending": self.last.pending,
            "refused": self.last.refused,
            "must_enrol": self.last.must_enrol,
            "not_in_scope": self.last.not_in_scope,
            "total": self.last.total,
            "gateways": gateways,
        })
    }
}

fn end_word(end: PushEnd) -> &'static str {
    match end {
        PushEnd::UnderWay => "under-way",
        PushEnd::Complete => "complete",
        PushEnd::Superseded => "superseded",
        PushEnd::Unspecified => "unknown",
    }
}

fn state_word(state: SyncState) -> &'static str {
    match state {
        SyncState::Synchronized => "synchronized",
        SyncState::Away => "away",
        SyncState::Pending => "pending",
        SyncState::Refused => "refused",
        SyncState::MustEnrol => "must-enrol",
        SyncState::NotInScope => "not-in-scope",
        SyncState::Unspecified => "unknown",
    }
}

fn state_phrase(state: SyncState) -> &'static str {
    match state {
        SyncState::Synchronized => "has proved the current key",
        SyncState::Away => "away",
        SyncState::Pending => "pending",
        SyncState::Refused => "refused the key",
        SyncState::MustEnrol => "must enrol again by token",
        SyncState::NotInScope => "not in scope",
        SyncState::Unspecified => "unknown to this version",
    }
}
