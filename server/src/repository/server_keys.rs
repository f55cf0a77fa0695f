use portcullis_common::id::KeyId;
use portcullis_common::rotation::UnixMillis;

use rusqlite::Transaction;

use super::registration_row::{from_sql_millis, key_id, to_sql_millis};
use super::{Database, RepositoryError};

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
}

/// The server keys.
#[derive(Clone, Copy, Debug)]
pub struct ServerKeys<'a> {
    database: &'a Database,
}

impl<'a> ServerKeys<'a> {
    pub(super) const fn new(database: &'a Database) -> Self {
        Self { database }
    }

    /// All of them, newest first.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn list(&self) -> Result<Vec<ServerKeyRow>, RepositoryError> {
        self.database
            .read(|transaction| {
                let mut statement = transaction.prepare_cached(
                    "SELECT s.id, s.generation, s.wrapped, s.created_ms, s.retired_ms,
                            (SELECT count(*) FROM sealed_values WHERE server_key = s.id), s.current
                     FROM server_keys s ORDER BY s.generation DESC",
                )?;
                let mut rows = statement.query([])?;
                let mut keys = Vec::new();
                while let Some(row) = rows.next()? {
                    keys.push(ServerKeyRow {
                        id: key_id(&row.get::<_, Vec<u8>>(0)?)?,
                        generation: from_sql_millis(row.get(1)?).0,
                        wrapped: row.get(2)?,
                        created: from_sql_millis(row.get(3)?),
                        retired: row.get::<_, Option<i64>>(4)?.map(from_sql_millis),
                        in_use_by: row.get::<_, i64>(5)?.unsigned_abs(),
                        current: row.get(6)?,
                    });
                }
                Ok(keys)
            })
            .await
    }

    /// Stores a new key, which becomes the current one.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn add(
        &self,
        id: KeyId,
        wrapped: Vec<u8>,
        now: UnixMillis,
    ) -> Result<(), RepositoryError> {
        self.database
            .write(move |transaction| {
                transaction.execute(
                    "INSERT INTO server_keys (id, generation, wrapped, created_ms)
                     VALUES (?1, (SELECT coalesce(max(generation), 0) + 1 FROM server_keys), ?2, ?3)",
                    (id.to_bytes(), wrapped, to_sql_millis(now)),
                )?;
                make_current(transaction, id, now)
            })
            .await
    }

    /// Makes a stored key the current one.
    ///
    /// # Errors
    /// [`RepositoryError::NoSuchKey`] where there is no such key.
    pub async fn set_current(&self, id: KeyId, now: UnixMillis) -> Result<(), RepositoryError> {
        self.database
            .write(move |transaction| make_current(transaction, id, now))
            .await
    }
}

fn make_current(
    transaction: &Transaction<'_>,
    id: KeyId,
    now: UnixMillis,
) -> Result<(), RepositoryError> {
    transaction.execute(
        "UPDATE server_keys SET current = 0, retired_ms = ?2 WHERE current = 1 AND id <> ?1",
        (id.to_bytes(), to_sql_millis(now)),
    )?;
    let found = transaction.execute(
        "UPDATE server_keys SET current = 1, retired_ms = NULL WHERE id = ?1",
        [id.to_bytes()],
    )?;
    if found == 0 {
        return Err(RepositoryError::NoSuchKey(id));
    }
    Ok(())
}
