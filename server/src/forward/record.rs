//! An entry as JSON: for files and webhooks.

use std::time::{Duration, UNIX_EPOCH};

use portcullis_common::id::ServerId;
use serde::Serialize;

use crate::repository::AuditEntry;

/// An entry; empty fields are left out.
#[derive(Debug, Serialize)]
pub(super) struct Record<'a> {
    server_id: String,
    seq: u64,
    time: String,
    subject: &'a str,
    action: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    object: &'a str,
    outcome: &'a str,
    /// The entry that this is the outcome of.
    #[serde(skip_serializing_if = "Option::is_none")]
    begun: Option<u64>,
    #[serde(skip_serializing_if = "str::is_empty")]
    detail: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    call_id: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    resource: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    object_class: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    object_name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    user: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    gateway: &'a str,
}

impl<'a> Record<'a> {
    pub(super) fn new(server: ServerId, entry: &'a AuditEntry) -> Self {
        let fields = &entry.fields;
        Self {
            server_id: server.to_string(),
            seq: entry.seq,
            time: time(entry),
            subject: &entry.subject,
            action: &entry.action,
            object: &entry.object,
            outcome: &entry.outcome,
            begun: (entry.begun > 0).then_some(entry.begun),
            detail: &entry.detail,
            call_id: &fields.call_id,
            resource: &fields.resource,
            object_class: &fields.object_class,
            object_name: &fields.object_name,
            user: &fields.user,
            gateway: &fields.gateway,
        }
    }
}

/// When it was written: RFC 3339, in UTC, with milliseconds. What somebody wrote into the row that
/// is no time is the latest that can be told.
pub(super) fn time(entry: &AuditEntry) -> String {
    /// The end of the year 9999.
    const LATEST: u64 = 253_402_300_799_999;
    let time = UNIX_EPOCH + Duration::from_millis(entry.time_ms.min(LATEST));
    humantime::format_rfc3339_millis(time).to_string()
}
