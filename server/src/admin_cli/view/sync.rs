//! How far a gateway key has got.

use std::collections::BTreeMap;
use std::time::SystemTime;

use portcullis_proto::admin::v1::{SyncProgress, SyncResult, SyncState};
use serde_json::{Value, json};

use super::View;
use super::table::list;
use super::text::{age, printable, rfc3339};

/// The last that was heard of each gateway.
#[derive(Debug, Default)]
pub(in crate::admin_cli) struct SyncSummary {
    current_key_id: String,
    synchronized: u32,
    total: u32,
    gateways: BTreeMap<String, SyncResult>,
}

impl SyncSummary {
    /// Takes in one message of the stream.
    pub(in crate::admin_cli) fn take(&mut self, progress: SyncProgress) {
        self.current_key_id = progress.current_key_id;
        self.synchronized = progress.synchronized;
        self.total = progress.total;
        for result in progress.results {
            self.gateways.insert(result.gateway.clone(), result);
        }
    }
}

/// One line about one gateway, as it happens.
pub(in crate::admin_cli) fn sync_line(result: &SyncResult) -> String {
    let detail = if result.detail.is_empty() {
        String::new()
    } else {
        format!(": {}", printable(&result.detail))
    };
    format!(
        "{}: {}{detail}",
        printable(&result.gateway),
        state_phrase(result.state())
    )
}

impl View for SyncSummary {
    fn table(&self, now: SystemTime) -> String {
        let head = format!(
            "current gateway key: {}\n{} of {} enrolled gateways have proved it",
            printable(&self.current_key_id),
            self.synchronized,
            self.total
        );
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
            "current_key_id": self.current_key_id,
            "synchronized": self.synchronized,
            "total": self.total,
            "gateways": gateways,
        })
    }
}

fn state_word(state: SyncState) -> &'static str {
    match state {
        SyncState::Synchronized => "synchronized",
        SyncState::Away => "away",
        SyncState::Pending => "pending",
        SyncState::Refused => "refused",
        SyncState::MustEnrol => "must-enrol",
        SyncState::Unspecified => "unknown",
    }
}

fn state_phrase(state: SyncState) -> &'static str {
    match state {
        SyncState::Synchronized => "has proved the current key",
        SyncState::Away => "away, catches up when it returns",
        SyncState::Pending => "key sent, proof not yet seen",
        SyncState::Refused => "refused the key",
        SyncState::MustEnrol => "must enrol again by token",
        SyncState::Unspecified => "unknown to this version",
    }
}
