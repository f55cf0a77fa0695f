//! What protects the server keys.

use portcullis_common::id::KeyId;
use portcullis_common::rotation::UnixMillis;
use rusqlite::{OptionalExtension, Transaction};

use super::columns::{from_sql_millis, to_sql_millis};
use super::{Database, RepositoryError, meta};

/// What opens the storage secret, under which the server keys are wrapped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Nothing: it is derived from the compiled-in default key.
    Default,
    /// A secret kept elsewhere: PBES2 parameters and the encrypted storage secret, in DER.
    Pbe(Vec<u8>),
}

/// The protection as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProtectionRow {
    /// How the storage secret is protected.
    pub scheme: Scheme,
    /// Grows with each change, from 1.
    pub generation: u64,
    /// When it was set.
    pub changed: UnixMillis,
}

/// The protection of the server keys.
#[derive(Clone, Copy, Debug)]
pub struct ProtectionTable<'a> {
    database: &'a Database,
}

impl Database {
    /// What protects the server keys.
    pub const fn protection(&self) -> ProtectionTable<'_> {
        ProtectionTable { database: self }
    }
}

impl ProtectionTable<'_> {
    /// The protection; `None`: the server keys are wrapped directly under the secret file, as in the first versions.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn find(&self) -> Result<Option<ProtectionRow>, RepositoryError> {
        self.database.read(find).await
    }

    /// Sets another protection, provided that `expected` still stands, and with it every server key wrapped anew. From then
    /// on, a scrub is due. Gives the new generation.
    ///
    /// # Errors
    /// [`RepositoryError`]; `ProtectionChanged` where the protection, or the set of server keys, is another by now.
    pub async fn switch(
        &self,
        expected: Option<u64>,
        scheme: Scheme,
        wrapped: Vec<(KeyId, Vec<u8>)>,
        now: UnixMillis,
    ) -> Result<u64, RepositoryError> {
        self.database
            .write(move |transaction| {
                let found = find(transaction)?.map(|row| row.generation);
                let keys: i64 =
                    transaction.query_row("SELECT count(*) FROM server_keys", [], |row| row.get(0))?;
                if found != expected || keys.unsigned_abs() != wrapped.len() as u64 {
                    return Err(RepositoryError::ProtectionChanged);
                }
                let mut statement = transaction
                    .prepare_cached("UPDATE server_keys SET wrapped = ?2 WHERE id = ?1")?;
                for (id, wrapped) in &wrapped {
                    if statement.execute((id.to_bytes(), wrapped))? == 0 {
                        return Err(RepositoryError::ProtectionChanged);
                    }
                }
                let generation = expected.unwrap_or(0) + 1;
                let (name, encrypted) = match &scheme {
                    Scheme::Default => ("default", None),
                    Scheme::Pbe(encrypted) => ("pbe", Some(encrypted)),
                };
                transaction.execute(
                    "INSERT OR REPLACE INTO protection (one, scheme, encrypted, generation, changed_ms)
                     VALUES (1, ?1, ?2, ?3, ?4)",
                    (name, encrypted, generation.cast_signed(), to_sql_millis(now)),
                )?;
                meta::set_scrub_due(transaction)?;
                Ok(generation)
            })
            .await
    }
}

fn find(transaction: &Transaction<'_>) -> Result<Option<ProtectionRow>, RepositoryError> {
    let row: Option<(String, Option<Vec<u8>>, i64, i64)> = transaction
        .query_row(
            "SELECT scheme, encrypted, generation, changed_ms FROM protection",
            [],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
        )
        .optional()?;
    row.map(|(scheme, encrypted, generation, changed)| {
        Ok(ProtectionRow {
            scheme: match (scheme.as_str(), encrypted) {
                ("default", None) => Scheme::Default,
                ("pbe", Some(encrypted)) => Scheme::Pbe(encrypted),
                _ => return Err(RepositoryError::damaged("protection")),
            },
            generation: generation.unsigned_abs(),
            changed: from_sql_millis(changed),
        })
    })
    .transpose()
}
