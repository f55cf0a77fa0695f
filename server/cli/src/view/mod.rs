//! What results look like: a table for people, JSON for programs.
//!
//! JSON is stable: fields are added, never renamed. Times are RFC 3339 in UTC, or null.

mod audit;
mod gateway;
mod key;
mod key_life;
mod key_status;
pub(super) mod object;
mod policy;
mod queued_call;
mod resource;
pub(super) mod schema;
mod server_key_status;
mod status;
mod sync;
pub(super) mod table;
mod task;
pub(super) mod text;
mod user;
pub(super) mod value;

use std::time::SystemTime;

use serde_json::Value;

pub(super) use audit::AuditList;
pub(super) use gateway::GatewayList;
pub(super) use key::KeyList;
pub(super) use key_life::{DeleteView, ExportView, ImportView, ProtectView, protection_warning};
pub(super) use key_status::KeyStatus;
pub(super) use resource::ResourceList;
pub(super) use sync::{SyncSummary, sync_line};
pub(super) use task::{StartedView, TaskList};

pub(super) use queued_call::QueuedCallList;
pub(super) use user::UserList;

pub(super) use gateway::gateway_json;

/// A result that can be printed.
pub(super) trait View {
    /// For people, in lines of at most 100 columns where the content allows; `now` dates what is relative.
    fn table(&self, now: SystemTime) -> String;

    /// For programs.
    fn json(&self) -> Value;
}

#[cfg(test)]
mod tests;
