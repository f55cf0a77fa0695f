//! Keys from an export, all of them in one transaction.

use portcullis_common::id::KeyId;
use portcullis_common::rotation::UnixMillis;
use portcullis_common::secret::GatewayKey;

use super::authority::{Authority, GATEWAY_KEYS, SERVER_KEYS};
use super::columns::to_sql_millis;
use super::gateway_keys::key_place;
use super::sql::{Tx, Value, params};
use super::{Repository, RepositoryError, meta, sealed_values};

/// A server key from elsewhere.
#[derive(Clone, Debug)]
pub struct ImportedServerKey {
    /// Its id.
    pub id: KeyId,
    /// The key, wrapped under this repository's protection.
    pub wrapped: Vec<u8>,
    /// When it was made.
    pub created: UnixMillis,
    /// Since when it is not the current one.
    pub retired: UnixMillis,
}

/// A gateway key from elsewhere.
#[derive(Clone, Debug)]
pub struct ImportedGatewayKey {
    /// Its id.
    pub id: KeyId,
    /// The key.
    pub key: GatewayKey,
    /// When it was made.
    pub created: UnixMillis,
    /// Since when it is not the current one.
    pub retired: UnixMillis,
    /// It is refused.
    pub compromised: bool,
    /// It is never sent.
    pub withdrawn: bool,
}

/// The keys of one import.
#[derive(Clone, Debug, Default)]
pub struct KeyImport {
    /// Server keys, none of which is here.
    pub server_keys: Vec<ImportedServerKey>,
    /// Gateway keys, newest first. One that is here gets these bytes in place of those that do not
    /// open.
    pub gateway_keys: Vec<ImportedGatewayKey>,
}

impl Repository {
    /// Stores keys from an export, all or none. No server key becomes the current one, and the
    /// gateway keys are older than all that are here.
    ///
    /// # Errors
    /// [`RepositoryError`]: nothing was stored.
    pub async fn import_keys(&self, import: KeyImport) -> Result<(), RepositoryError> {
        let sealed: Vec<_> = import
            .gateway_keys
            .iter()
            .map(|key| {
                let owner = key.id.to_bytes();
                self.sealer.seal(&key_place(&owner), key.key.expose())
            })
            .collect();
        let authority = self.database.authority()?;
        self.database
            .write(move |tx| {
                for key in &import.server_keys {
                    add_server_key(tx, &authority, key)?;
                }
                let mut new = Vec::new();
                for key in &import.gateway_keys {
                    let here = tx.exists(
                        "SELECT 1 FROM gateway_keys WHERE id = ?1",
                        &params![key.id.to_bytes()],
                    )?;
                    if !here {
                        new.push(key);
                    }
                }
                let guarded = authority.guard(tx, &GATEWAY_KEYS, "true", &[])?;
                make_room(tx, new.len())?;
                guarded.settle(tx)?;
                for (key, generation) in new.iter().rev().zip(1_i64..) {
                    add_gateway_key(tx, &authority, key, generation)?;
                }
                for (key, sealed) in import.gateway_keys.iter().zip(&sealed) {
                    sealed_values::put(tx, &key_place(&key.id.to_bytes()), sealed)?;
                }
                meta::raise_authority(tx).map(drop)
            })
            .await
    }
}

fn add_server_key(
    tx: &mut Tx<'_>,
    authority: &Authority,
    key: &ImportedServerKey,
) -> Result<(), RepositoryError> {
    let id = key.id.to_bytes();
    tx.execute(
        "INSERT INTO server_keys (id, generation, wrapped, created_ms, retired_ms)
         VALUES (?1, (SELECT coalesce(max(generation), 0) + 1 FROM server_keys), ?2, ?3, ?4)",
        &params![
            id,
            key.wrapped,
            to_sql_millis(key.created),
            to_sql_millis(key.retired),
        ],
    )?;
    authority.added(tx, &SERVER_KEYS, Value::Blob(&id))
}

fn add_gateway_key(
    tx: &mut Tx<'_>,
    authority: &Authority,
    key: &ImportedGatewayKey,
    generation: i64,
) -> Result<(), RepositoryError> {
    let id = key.id.to_bytes();
    tx.execute(
        "INSERT INTO gateway_keys (id, generation, created_ms, retired_ms, compromised, withdrawn)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        &params![
            id,
            generation,
            to_sql_millis(key.created),
            to_sql_millis(key.retired),
            key.compromised,
            key.withdrawn,
        ],
    )?;
    authority.added(tx, &GATEWAY_KEYS, Value::Blob(&id))
}

/// Moves every generation up by `count`, so that those from 1 on are free. By way of negative
/// numbers: each is unique at every moment.
fn make_room(tx: &mut Tx<'_>, count: usize) -> Result<(), RepositoryError> {
    if count == 0 {
        return Ok(());
    }
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    tx.execute("UPDATE gateway_keys SET generation = -generation", &[])?;
    tx.execute(
        "UPDATE gateway_keys SET generation = ?1 - generation",
        &params![count],
    )?;
    Ok(())
}
