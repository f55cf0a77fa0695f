//! Durable storage, by aggregate: [`Meta`], [`ProtectionTable`], [`ServerKeys`], [`SealedValues`]
//! and [`Tasks`] of a [`Database`], and on top of an unlocked keyring [`Gateways`],
//! [`GatewayKeys`], [`Resources`], [`Users`], [`PasswordHistory`], [`PolicyWords`] and
//! [`AuditEntries`] of a [`Repository`].
//!
//! Every change is one transaction, durable when its call returns. A call whose future is dropped
//! may still take effect.
//!
//! Secrets are sealed before the transaction, by the thread that asks: the one writer does no
//! cipher for others. Meanwhile their server key may be deleted, so whatever stores a sealed value
//! requires its key within the transaction (`sealed_values::put`, or `require_keys` for many).
//! Sealed within the transaction is only what is not known before: the payload of a queued call and
//! the secret settings of a resource, which are for the registration that the gateway has then, the
//! token that a change leaves in a registration, and a history that takes another name.
//!
//! Rows that decide who may do what, and where things go, carry MACs: whatever changes one goes
//! through `authority`.
//!
//! To add a stored type: its migration in `schema/`, its file with its accessor, and its lines
//! below. Where it has secrets, its variant in `protected_type.rs` too; where it decides, its table
//! in `authority/tables.rs`.

mod administrators;
mod alarms;
mod approvals;
mod audit;
mod audit_fields;
mod audit_tip;
mod authority;
mod beside;
mod call_digest_key;
mod columns;
mod common_resources;
mod database;
mod engine;
mod error;
mod forwarders;
mod gateway_demands;
mod gateway_groups;
mod gateway_journals;
mod gateway_keys;
mod gateway_life;
mod gateways;
mod holdings;
mod import;
mod instance;
mod left;
mod lineage;
mod links;
mod lockouts;
mod login_setup;
mod loss;
mod meta;
mod observer;
mod one_write;
mod opened;
mod password_history;
mod password_policy;
mod peer_key;
mod pending_secrets;
mod policy_words;
mod postgres;
mod protected_type;
mod protection;
mod pushes;
mod queued_calls;
mod readers;
mod registration;
mod resource_rows;
mod resources;
mod schema;
mod scrub;
mod sealed_values;
mod sealer;
mod server_keys;
mod servers;
mod sessions;
mod spent_tokens;
mod sql;
mod sqlite;
mod tasks;
mod telling;
mod transfer;
mod users;

/// Each brings a repository from the version of its index to the next. Never change one that was
/// released.
const MIGRATIONS: &[&str] = &[
    include_str!("schema/0001_first.sql"),
    include_str!("schema/0002_sealed_values.sql"),
    include_str!("schema/0003_gateway_groups.sql"),
    include_str!("schema/0004_audit.sql"),
    include_str!("schema/0005_protection.sql"),
    include_str!("schema/0006_tasks.sql"),
    include_str!("schema/0007_passwords.sql"),
    include_str!("schema/0008_queued_calls.sql"),
    include_str!("schema/0009_instances.sql"),
    include_str!("schema/0010_alarms.sql"),
    include_str!("schema/0011_authority.sql"),
    include_str!("schema/0012_audit_fields.sql"),
    include_str!("schema/0013_call_digests.sql"),
    include_str!("schema/0014_queued_macs.sql"),
    include_str!("schema/0015_calls.sql"),
    include_str!("schema/0016_gateway_journals.sql"),
    include_str!("schema/0017_gateway_demands.sql"),
    include_str!("schema/0018_gateway_clocks.sql"),
    include_str!("schema/0019_call_traces.sql"),
    include_str!("schema/0020_links.sql"),
    include_str!("schema/0021_servers.sql"),
    include_str!("schema/0022_rows_sum.sql"),
    include_str!("schema/0023_approvals.sql"),
    include_str!("schema/0024_servers_seen.sql"),
    include_str!("schema/0025_audit_open.sql"),
    include_str!("schema/0026_task_ends.sql"),
    include_str!("schema/0027_forwarders.sql"),
    include_str!("schema/0028_servers_hold.sql"),
    include_str!("schema/0029_links_up.sql"),
    include_str!("schema/0030_pushes.sql"),
    include_str!("schema/0031_login.sql"),
    include_str!("schema/0032_login_setup.sql"),
];

pub use administrators::Administrators;
pub use alarms::{Acknowledgement, Alarm, AlarmKind, Closed, NewAlarm};
pub use approvals::{Asked, NewApproval, StoredApproval, StoredApprovals};
pub use audit::{
    Appended, AuditEntries, AuditEntry, AuditFilter, AuditKeyRow, LogEnd, Moved, Written,
};
pub use audit_fields::AuditFields;
pub use audit_tip::{AUDIT_MAC_LEN, AuditTip};
pub use authority::{AUTHORITY_KEY_LEN, RowFault, RowsCheck, RowsSum};
pub use beside::{Beside, Told};
pub use common_resources::{CommonPlace, CommonResource, CommonResources};
pub use database::Database;
pub use engine::{Store, Unfinished};
pub use error::RepositoryError;
pub use gateway_journals::{JournalMemory, SeenJournal};
pub use gateway_keys::{
    DeleteKeyError, Dependency, Dependent, GatewayKeyRow, GatewayKeys, NewGatewayKey, Replaced,
    RotateError,
};
pub use gateway_life::{RemovedGateway, StillInUse};
pub use gateways::{Gateway, GatewayChange, GatewayRef, Gateways, Reach};
pub use holdings::{Holding, Holdings};
pub use import::{ImportedGatewayKey, ImportedServerKey, KeyImport};
pub use instance::InstanceId;
pub use lineage::Lineage;
pub use links::{Grant, HeldLink, LinkPlace};
pub use lockouts::{Count, Counted, LogInFailures};
pub use login_setup::{ApplicationRow, GroupRow, LoginSetup, SetupRows};
pub use loss::Loss;
pub use meta::Meta;
pub use observer::{Fate, Moment, WriteObserver};
pub use opened::Repository;
pub use password_history::{HistoryEntry, HistoryOwner, PasswordHistory};
pub use password_policy::{PasswordPolicies, PasswordPolicy};
pub use pending_secrets::PendingSecret;
pub use policy_words::{PolicyWord, PolicyWords, TAG_LEN};
#[cfg(test)]
pub(crate) use postgres::testing::{in_file as test_place, on_postgres, stand};
pub use protected_type::{ProtectedType, UnknownType};
pub use protection::{Offer, ProtectionRow, ProtectionTable, Scheme};
pub use pushes::{PushReach, ToldPush};
pub use queued_calls::{
    CallCounts, Dispatched, EndOf, EndedCall, Enqueued, NewQueuedCall, OpenedPayload, Payload,
    PayloadError, QueuedCall, QueuedCalls, QueuedFilter, QueuedState, Unacknowledged, UnknownCalls,
    WaitsAgain,
};
pub use resources::{Changed, LostSettings, OpenedResource, Resource, Resources, SecretSettings};
pub use sealed_values::{Opened, Resealed, SealedCount, SealedValue, SealedValues, Selection};
pub use sealer::{OpenError, Place, Sealer};
pub use server_keys::{DependentValues, ServerKeyRow, ServerKeys};
pub use servers::{Beat, Fencing, Load, NewServer, NotDrained, Served, ServerRow, ServerRows};
pub use sessions::{NewSession, Session, Sessions};
pub use spent_tokens::SpentToken;
#[cfg(test)]
pub(crate) use sqlite::testing::{literal, tamper};
pub use tasks::{Admission, NewTask, TaskRow, TaskState, Tasks};
pub(crate) use telling::tell_refusal;
pub use transfer::TableSum;
pub use users::{User, Users};

#[cfg(test)]
mod tests;
