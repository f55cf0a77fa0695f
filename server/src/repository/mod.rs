//! Durable storage, by aggregate: [`Meta`], [`ProtectionTable`], [`ServerKeys`], [`SealedValues`] and [`Tasks`] of a [`Database`], and on top of
//! an unlocked keyring [`Gateways`], [`GatewayKeys`], [`Resources`], [`Users`], [`PasswordHistory`], [`PolicyWords`] and [`AuditEntries`]
//! of a [`Repository`].
//!
//! Every change is one transaction, durable when its call returns. A call whose future is dropped may still take effect.

mod audit;
mod batch;
mod columns;
mod database;
mod error;
mod gateway_groups;
mod gateway_keys;
mod gateways;
mod holdings;
mod import;
mod meta;
mod observer;
mod password_history;
mod password_policy;
mod policy_words;
mod protected_type;
mod protection;
mod queued_calls;
mod registration;
mod resources;
mod schema;
mod scrub;
mod sealed_values;
mod sealer;
mod server_keys;
mod tasks;
mod users;

use std::sync::Arc;

pub use audit::{
    AUDIT_MAC_LEN, AuditEntries, AuditEntry, AuditFilter, AuditKeyRow, AuditTip, TipMoved,
};
pub use database::Database;
pub use error::RepositoryError;
pub use gateway_keys::{
    DeleteKeyError, Dependency, Dependent, GatewayKeyRow, GatewayKeys, NewGatewayKey, Replaced,
    RotateError,
};
pub use gateways::{Alarm, Gateway, GatewayChange, GatewayRef, Gateways, Reach};
pub use holdings::{Holding, Holdings};
pub use import::{ImportedGatewayKey, ImportedServerKey, KeyImport};
pub use meta::Meta;
pub use observer::{Fate, Moment, WriteObserver};
pub use password_history::{HistoryEntry, HistoryOwner, PasswordHistory};
pub use password_policy::{PasswordPolicies, PasswordPolicy};
pub use policy_words::{PolicyWord, PolicyWords, TAG_LEN};
pub use protected_type::{ProtectedType, UnknownType};
pub use protection::{ProtectionRow, ProtectionTable, Scheme};
pub use queued_calls::{
    Dispatched, Enqueued, NewQueuedCall, PayloadError, QueuedCall, QueuedCalls, QueuedState,
};
pub use resources::{Changed, Resource, Resources, SecretSettings};
pub use sealed_values::{Resealed, SealedCount, SealedValue, SealedValues, Selection};
pub use sealer::{OpenError, Place, Sealer};
pub use server_keys::{DependentValues, ServerKeyRow, ServerKeys};
pub use tasks::{Admission, NewTask, TaskRow, TaskState, Tasks};
pub use users::{User, Users};

/// The repository with its secrets at hand: a [`Database`] and the [`Sealer`] that opens its sealed values. Cheap to clone.
#[derive(Clone)]
pub struct Repository {
    database: Database,
    sealer: Arc<dyn Sealer>,
}

impl Repository {
    /// The repository in `database`, whose sealed values `sealer` opens.
    pub fn new(database: Database, sealer: Arc<dyn Sealer>) -> Self {
        Self { database, sealer }
    }

    /// What needs no secret.
    pub const fn database(&self) -> &Database {
        &self.database
    }

    /// The roster: gateways and their registrations.
    pub const fn gateways(&self) -> Gateways<'_> {
        Gateways::new(self)
    }

    /// The gateway keys, of which the newest is current.
    pub const fn gateway_keys(&self) -> GatewayKeys<'_> {
        GatewayKeys::new(self)
    }

    /// The audit log's entries.
    pub const fn audit_entries(&self) -> AuditEntries<'_> {
        AuditEntries::new(self)
    }

    /// The resources that calls are about.
    pub const fn resources(&self) -> Resources<'_> {
        Resources::new(self)
    }

    /// Calls that wait for their gateway.
    pub const fn queued_calls(&self) -> QueuedCalls<'_> {
        QueuedCalls::new(self)
    }

    /// The people of the identity system.
    pub const fn users(&self) -> Users<'_> {
        Users::new(self)
    }

    /// The digests of earlier passwords.
    pub const fn password_history(&self) -> PasswordHistory<'_> {
        PasswordHistory::new(self)
    }

    /// What passwords have to be.
    pub const fn password_policy(&self) -> PasswordPolicies<'_> {
        PasswordPolicies::new(&self.database)
    }

    /// Words that no password may be.
    pub const fn policy_words(&self) -> PolicyWords<'_> {
        PolicyWords::new(self)
    }
}

impl std::fmt::Debug for Repository {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Repository")
            .field(&self.database.path())
            .finish()
    }
}

#[cfg(test)]
mod tests;
