//! The server keys, wrapped, and which of them seals new values.

use portcullis_common::id::KeyId;
use portcullis_common::rotation::UnixMillis;

use super::authority::{Authority, Guarded, SERVER_KEYS, Stamp, Table};
use super::columns::{from_sql_millis, key_id, to_sql_millis};
use super::sql::{Tx, Value, params};
use super::{Database, ProtectedType, RepositoryError, meta, protection};

/// A server key as it is stored: wrapped under the protection.
#[derive(Clone, Debug)]
pub struct ServerKeyRow {
    /// Its id.
    pub id: KeyId,
    /// Grows with each key made.
    pub generation: u64,
    /// The wrapped key: of use only to who holds the protection's secret.
    pub wrapped: Vec<u8>,
    /// When it was made.
    pub created: UnixMillis,
    /// When another took its place; `None` for the current one.
    pub retired: Option<UnixMillis>,
    /// Seals what is stored from now on: one key does.
    pub current: bool,
    /// How many values of the repository are sealed under it.
    pub in_use_by: u64,
    /// Its row is as this server stored it. Before the authority key is open, nobody knows: `true`.
    pub sound: bool,
}

/// Values of one type that depend on a server key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DependentValues {
    /// What they are.
    pub kind: ProtectedType,
    /// How many.
    pub count: u64,
    /// Whose they are: the first [`Self::MAX_OWNERS`], as people know them.
    pub owners: Vec<String>,
}

impl DependentValues {
    /// Owners of one type that are listed.
    pub const MAX_OWNERS: usize = 1000;
}

/// The server keys.
#[derive(Clone, Copy, Debug)]
pub struct ServerKeys<'a> {
    database: &'a Database,
}

impl Database {
    /// The server keys, wrapped.
    pub const fn server_keys(&self) -> ServerKeys<'_> {
        ServerKeys { database: self }
    }
}

impl ServerKeys<'_> {
    /// All of them, newest first.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn list(&self) -> Result<Vec<ServerKeyRow>, RepositoryError> {
        let authority = self.database.opened_authority();
        self.database
            .read(move |tx| {
                let Table { columns, width, .. } = SERVER_KEYS;
                tx.query(
                    &format!(
                        "SELECT {columns}, mac, wrapped,
                                (SELECT count(*) FROM sealed_values WHERE server_key = s.id)
                         FROM server_keys s ORDER BY generation DESC"
                    ),
                    &[],
                    |row| {
                        let stamp = Stamp::read(&SERVER_KEYS, row, 0)?;
                        let check = |authority: &Authority| {
                            authority.check_alone(&SERVER_KEYS, &stamp).is_ok()
                        };
                        Ok(ServerKeyRow {
                            id: key_id(&row.get::<Vec<u8>>(0)?)?,
                            generation: from_sql_millis(row.get(1)?).0,
                            created: from_sql_millis(row.get(2)?),
                            retired: row.get::<Option<i64>>(3)?.map(from_sql_millis),
                            current: row.get(4)?,
                            wrapped: row.get(width + 1)?,
                            in_use_by: row.get::<i64>(width + 2)?.unsigned_abs(),
                            sound: authority.as_ref().is_none_or(check),
                        })
                    },
                )
            })
            .await
    }

    /// One key, wrapped; `None`: there is none of this id.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn find(&self, id: KeyId) -> Result<Option<Vec<u8>>, RepositoryError> {
        self.database
            .read(move |tx| {
                tx.query_optional(
                    "SELECT wrapped FROM server_keys WHERE id = ?1",
                    &params![id.to_bytes()],
                    |row| row.get(0),
                )
            })
            .await
    }

    /// Stores a new key, under which nothing is sealed until it is made current. The first one of
    /// all is current at once. It is wrapped under the protection of this generation; `None`: under
    /// that of a repository that has none yet.
    ///
    /// # Errors
    /// [`RepositoryError`]; `ProtectionChanged` where the protection is another by now.
    pub async fn add(
        &self,
        id: KeyId,
        wrapped: Vec<u8>,
        protection: Option<u64>,
        now: UnixMillis,
    ) -> Result<(), RepositoryError> {
        let authority = self.database.opened_authority();
        self.database
            .write(move |tx| {
                if protection::generation(tx)? != protection {
                    return Err(RepositoryError::ProtectionChanged);
                }
                tx.execute(
                    "INSERT INTO server_keys (id, generation, wrapped, created_ms)
                     VALUES (?1, (SELECT coalesce(max(generation), 0) + 1 FROM server_keys), ?2, ?3)",
                    &params![id.to_bytes(), wrapped, to_sql_millis(now)],
                )?;
                if let Some(authority) = &authority {
                    authority.added(tx, &SERVER_KEYS, Value::Blob(&id.to_bytes()))?;
                }
                let first = !tx.exists("SELECT 1 FROM server_keys WHERE current = 1", &[])?;
                if first {
                    make_current(tx, authority.as_ref(), id, now)?;
                }
                // So that the other servers have it before something is sealed under it.
                meta::raise_authority(tx).map(drop)
            })
            .await
    }

    /// Makes a stored key the current one.
    ///
    /// # Errors
    /// [`RepositoryError::NoSuchKey`] where there is no such key.
    pub async fn set_current(&self, id: KeyId, now: UnixMillis) -> Result<(), RepositoryError> {
        let authority = self.database.opened_authority();
        self.database
            .write(move |tx| make_current(tx, authority.as_ref(), id, now))
            .await
    }

    /// The values that depend on a key, by type.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn dependents(&self, id: KeyId) -> Result<Vec<DependentValues>, RepositoryError> {
        self.database.read(move |tx| dependents(tx, id)).await
    }

    /// Deletes a key, in one transaction, where it is not the current one, and no value depends on
    /// it or `forced` is set. From then on a scrub is due. Gives the values that depend on it:
    /// where there are any, and it is not forced, it stays; also where it is, and the authority key
    /// is one of them, without which the server never starts again.
    ///
    /// # Errors
    /// [`RepositoryError::NoSuchKey`] where there is none, or it is the current one.
    pub async fn delete(
        &self,
        id: KeyId,
        forced: bool,
    ) -> Result<Vec<DependentValues>, RepositoryError> {
        let authority = self.database.opened_authority();
        self.database
            .write(move |tx| {
                let values = dependents(tx, id)?;
                let needed = values
                    .iter()
                    .any(|values| values.kind == ProtectedType::AuthorityKey);
                if values.is_empty() || (forced && !needed) {
                    let guarded = guard(tx, authority.as_ref(), id)?;
                    let deleted = tx.execute(
                        "DELETE FROM server_keys WHERE id = ?1 AND current = 0",
                        &params![id.to_bytes()],
                    )?;
                    settle(tx, guarded)?;
                    if deleted == 0 {
                        return Err(RepositoryError::NoSuchKey(id));
                    }
                    meta::raise_authority(tx)?;
                    meta::set_scrub_due(tx)?;
                }
                Ok(values)
            })
            .await
    }

    /// Removes a key that is not the current one and that no value needs; where one does, it stays.
    /// `false`: it stayed, or there is none.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn remove(&self, id: KeyId) -> Result<bool, RepositoryError> {
        let authority = self.database.opened_authority();
        self.database
            .write(move |tx| {
                let guarded = guard(tx, authority.as_ref(), id)?;
                let removed = tx.execute(
                    "DELETE FROM server_keys WHERE id = ?1 AND current = 0
                       AND NOT EXISTS (SELECT 1 FROM sealed_values WHERE server_key = ?1)",
                    &params![id.to_bytes()],
                )?;
                settle(tx, guarded)?;
                if removed > 0 {
                    meta::raise_authority(tx)?;
                }
                Ok(removed > 0)
            })
            .await
    }
}

fn dependents(tx: &mut Tx<'_>, id: KeyId) -> Result<Vec<DependentValues>, RepositoryError> {
    let mut found = Vec::new();
    for kind in ProtectedType::ALL {
        let count: i64 = tx.query_one(
            "SELECT count(*) FROM sealed_values WHERE server_key = ?1 AND type = ?2",
            &params![id.to_bytes(), kind.name()],
            |row| row.get(0),
        )?;
        if count == 0 {
            continue;
        }
        let owners = tx.query(
            "SELECT DISTINCT owner FROM sealed_values WHERE server_key = ?1 AND type = ?2
             ORDER BY owner LIMIT ?3",
            &params![
                id.to_bytes(),
                kind.name(),
                DependentValues::MAX_OWNERS as i64
            ],
            |row| Ok(kind.owner_name(&row.get::<Vec<u8>>(0)?)),
        )?;
        found.push(DependentValues {
            kind,
            count: count.unsigned_abs(),
            owners,
        });
    }
    Ok(found)
}

/// A key about to be deleted, whatever its MAC says.
fn guard(
    tx: &mut Tx<'_>,
    authority: Option<&Authority>,
    id: KeyId,
) -> Result<Option<Guarded>, RepositoryError> {
    let guard = |authority: &Authority| {
        authority.guard_any(tx, &SERVER_KEYS, "id = ?1", &params![id.to_bytes()])
    };
    authority.map(guard).transpose()
}

fn settle(tx: &mut Tx<'_>, guarded: Option<Guarded>) -> Result<(), RepositoryError> {
    guarded.map_or(Ok(()), |guarded| guarded.settle(tx))
}

fn make_current(
    tx: &mut Tx<'_>,
    authority: Option<&Authority>,
    id: KeyId,
    now: UnixMillis,
) -> Result<(), RepositoryError> {
    let all = authority.map(|authority| authority.guard(tx, &SERVER_KEYS, "true", &[]));
    let guarded = all.transpose()?;
    tx.execute(
        "UPDATE server_keys SET current = 0, retired_ms = ?2 WHERE current = 1 AND id <> ?1",
        &params![id.to_bytes(), to_sql_millis(now)],
    )?;
    let found = tx.execute(
        "UPDATE server_keys SET current = 1, retired_ms = NULL WHERE id = ?1",
        &params![id.to_bytes()],
    )?;
    if found == 0 {
        return Err(RepositoryError::NoSuchKey(id));
    }
    meta::raise_authority(tx)?;
    settle(tx, guarded)
}
