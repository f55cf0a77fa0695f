//! Deleting a key: refused while anything depends on it, check and deletion in one transaction.

use std::sync::Arc;

use portcullis_common::crypto::export::KeyPurpose;
use portcullis_common::id::KeyId;

use super::manager::{Inner, KeyError, KeyManager, to_its_end};
use crate::repository::{
    DeleteKeyError, Dependent, DependentValues, ProtectedType, RepositoryError,
};

/// Why a key was not deleted.
#[derive(Debug, thiserror::Error)]
pub enum DeleteError {
    /// The repository cannot be read or written, or there is no such key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// It seals what is new.
    #[error(
        "{0} is the current server key, which is never deleted: `portcullis key set-current` another one first, then `portcullis key re-encrypt`"
    )]
    CurrentServerKey(KeyId),
    /// Values would never open again.
    #[error(
        "{} values depend on server key {key} ({}): `portcullis key re-encrypt` them first; `portcullis key delete --dry-run` lists them", total(.values), summary(.values)
    )]
    ValuesDepend {
        /// The key.
        key: KeyId,
        /// What depends on it.
        values: Vec<DependentValues>,
    },
    /// It is the current gateway key, or gateways depend on it.
    #[error(transparent)]
    GatewayKey(#[from] DeleteKeyError),
}

impl From<RepositoryError> for DeleteError {
    fn from(error: RepositoryError) -> Self {
        Self::Key(error.into())
    }
}

/// How far to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deletion {
    /// Only say what depends on it.
    DryRun,
    /// Only where nothing depends on it.
    Unused,
    /// Whatever depends on it: values never open again, gateways enrol again.
    Forced,
}

/// What a deletion did; of a dry run, what depends on the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deleted {
    /// What the key is for.
    pub purpose: KeyPurpose,
    /// It seals what is new, or every gateway is to hold it: it cannot be deleted.
    pub current: bool,
    /// The values that depend on it, by type.
    pub values: Vec<DependentValues>,
    /// The gateways that depend on it, by name.
    pub gateways: Vec<Dependent>,
    /// Values whose server key is away, before.
    pub closed_before: u64,
    /// And afterwards; of a dry run, what it would be.
    pub closed_after: u64,
    /// Why its bytes could not be overwritten in the repository's files yet; the next start tries
    /// again.
    pub not_scrubbed: Option<String>,
}

impl KeyManager {
    /// Deletes a key, and overwrites its bytes in memory and in the repository's files.
    ///
    /// # Errors
    /// [`DeleteError`]: it was not deleted.
    pub async fn delete(&self, id: KeyId, how: Deletion) -> Result<Deleted, DeleteError> {
        let inner = Arc::clone(&self.inner);
        to_its_end(async move {
            let _alone = inner.protection.lock().await;
            let server_keys = inner.database.server_keys().list().await?;
            if server_keys.iter().any(|row| row.id == id) {
                inner.delete_server_key(id, how).await
            } else {
                inner.delete_gateway_key(id, how).await
            }
        })
        .await
    }
}

impl Inner {
    async fn delete_server_key(&self, id: KeyId, how: Deletion) -> Result<Deleted, DeleteError> {
        let keys = self.database.server_keys();
        let current = self.keyring.current() == id;
        let closed_before = self.closed_values(&self.keyring).await?;
        if how == Deletion::DryRun {
            let values = keys.dependents(id).await?;
            return Ok(Deleted {
                purpose: KeyPurpose::Server,
                current,
                closed_before,
                closed_after: closed_before + total(&values) - moved(&values),
                values,
                gateways: Vec::new(),
                not_scrubbed: None,
            });
        }
        if current {
            return Err(DeleteError::CurrentServerKey(id));
        }
        let forced = how == Deletion::Forced;
        if forced {
            // Without it no row would be believed, and the server would not start again.
            self.repository().reseal_authority().await?;
        }
        let values = keys.delete(id, forced).await?;
        if moved(&values) > 0 || (!forced && !values.is_empty()) {
            return Err(DeleteError::ValuesDepend { key: id, values });
        }
        self.keyring.remove(id);
        tracing::info!(key = %id, forced, "server key deleted");
        Ok(Deleted {
            purpose: KeyPurpose::Server,
            current,
            closed_before,
            closed_after: self.closed_values(&self.keyring).await?,
            values,
            gateways: Vec::new(),
            not_scrubbed: self.scrub().await,
        })
    }

    async fn delete_gateway_key(&self, id: KeyId, how: Deletion) -> Result<Deleted, DeleteError> {
        let repository = self.repository();
        let keys = repository.gateway_keys();
        let closed = self.closed_values(&self.keyring).await?;
        let gateways = keys.dependents(id).await?;
        let current = keys.current().await? == Some(id);
        let mut deleted = Deleted {
            purpose: KeyPurpose::Gateway,
            current,
            values: Vec::new(),
            gateways,
            closed_before: closed,
            closed_after: closed,
            not_scrubbed: None,
        };
        match how {
            Deletion::DryRun => return Ok(deleted),
            Deletion::Unused => keys.delete(id).await??,
            Deletion::Forced => deleted.gateways = keys.delete_forced(id).await??,
        }
        tracing::info!(key = %id, forced = how == Deletion::Forced, "gateway key deleted");
        deleted.closed_after = self.closed_values(&self.keyring).await?;
        deleted.not_scrubbed = self.scrub().await;
        Ok(deleted)
    }
}

/// How many of the values are sealed anew where a deletion is forced, in place of being lost.
fn moved(values: &[DependentValues]) -> u64 {
    let authority = |values: &&DependentValues| values.kind == ProtectedType::AuthorityKey;
    values
        .iter()
        .filter(authority)
        .map(|values| values.count)
        .sum()
}

fn total(values: &[DependentValues]) -> u64 {
    values.iter().map(|values| values.count).sum()
}

fn summary(values: &[DependentValues]) -> String {
    let each = values
        .iter()
        .map(|values| format!("{} {}", values.count, values.kind));
    each.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
