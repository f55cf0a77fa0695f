use portcullis_common::id::KeyId;
use portcullis_common::rotation::UnixMillis;

use super::registration_row::{from_sql_millis, key_id, to_sql_millis};
use super::{Database, RepositoryError};

/// A server key as it is stored: wrapped under the protection.
#[derive(Clone, Debug)]
pub struct ServerKeyRow {
    /// Its id.
    pub id: KeyId,
    /// The highest is the current key.
    pub generation: u64,
    /// The wrapped key: of use only to who holds the protection's secret.
    pub wrapped: Vec<u8>,
    /// When it was made.
    pub created: UnixMillis,
    /// When a newer one took its place; `None` for the current one.
    pub retired: Option<UnixMillis>,
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
                    // A sealed value begins with a version byte and the id of its key.
                    "SELECT s.id, s.generation, s.wrapped, s.created_ms, s.retired_ms,
                            (SELECT count(*) FROM gateway_keys WHERE substr(sealed_key, 2, 17) = s.id)
                          + (SELECT count(*) FROM gateways WHERE substr(token_sealed_key, 2, 17) = s.id)
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
                    "UPDATE server_keys SET retired_ms = ?1 WHERE retired_ms IS NULL",
                    [to_sql_millis(now)],
                )?;
                transaction.execute(
                    "INSERT INTO server_keys (id, generation, wrapped, created_ms)
                     VALUES (?1, (SELECT coalesce(max(generation), 0) + 1 FROM server_keys), ?2, ?3)",
                    (id.to_bytes(), wrapped, to_sql_millis(now)),
                )?;
                Ok(())
            })
            .await
    }
}
