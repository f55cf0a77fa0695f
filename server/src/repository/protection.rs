//! What protects the server keys.

use portcullis_common::id::KeyId;
use portcullis_common::rotation::UnixMillis;

use super::columns::{from_sql_millis, to_sql_millis};
use super::sql::{Tx, Value, params};
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

/// A protection that is to take the place of the one that stands, once every server holds its
/// secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Tells it from any other.
    pub id: [u8; 16],
    /// As of [`Scheme::Pbe`].
    pub encrypted: Vec<u8>,
}

/// The name in `meta` of what is offered.
const OFFER: &str = "protection offered";

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
    /// The protection; `None`: the server keys are wrapped directly under the secret file, as in
    /// the first versions.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn find(&self) -> Result<Option<ProtectionRow>, RepositoryError> {
        self.database.read(find).await
    }

    /// Offers a protection: every server says in its row whether it holds the secret. It takes the
    /// place of an offer before it.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn offer(&self, offer: Offer) -> Result<(), RepositoryError> {
        let value = [&offer.id[..], &offer.encrypted].concat();
        self.database
            .write(move |tx| {
                tx.execute(
                    "INSERT INTO meta (name, value) VALUES (?1, ?2)
                     ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                    &params![OFFER, value],
                )?;
                // Whoever follows what is withdrawn looks at it.
                meta::raise_authority(tx).map(drop)
            })
            .await
    }

    /// What is offered; `None`: nothing.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn offered(&self) -> Result<Option<Offer>, RepositoryError> {
        self.database
            .look(|tx| {
                let sql = "SELECT value FROM meta WHERE name = ?1";
                let found: Option<Vec<u8>> =
                    tx.query_optional(sql, &params![OFFER], |row| row.get(0))?;
                let offer = found.map(|value| {
                    let (id, encrypted) = value.split_first_chunk()?;
                    Some(Offer {
                        id: *id,
                        encrypted: encrypted.to_vec(),
                    })
                });
                Ok(offer.flatten())
            })
            .await
    }

    /// Nothing is offered any more.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn end_offer(&self) -> Result<(), RepositoryError> {
        self.database
            .write(|tx| {
                let sql = "DELETE FROM meta WHERE name = ?1";
                tx.execute(sql, &params![OFFER]).map(drop)
            })
            .await
    }

    /// Sets another protection, provided that `expected` still stands, and with it every server key
    /// wrapped anew. From then on, a scrub is due. Gives the new generation.
    ///
    /// # Errors
    /// [`RepositoryError`]; `ProtectionChanged` where the protection, or the set of server keys, is
    /// another by now.
    pub async fn switch(
        &self,
        expected: Option<u64>,
        scheme: Scheme,
        wrapped: Vec<(KeyId, Vec<u8>)>,
        now: UnixMillis,
    ) -> Result<u64, RepositoryError> {
        self.database
            .write(move |tx| {
                let found = generation(tx)?;
                let keys: i64 =
                    tx.query_one("SELECT count(*) FROM server_keys", &[], |row| row.get(0))?;
                if found != expected || keys.unsigned_abs() != wrapped.len() as u64 {
                    return Err(RepositoryError::ProtectionChanged);
                }
                let ids: Vec<_> = wrapped.iter().map(|(id, _)| id.to_bytes()).collect();
                let rows: Vec<_> = ids
                    .iter()
                    .zip(&wrapped)
                    .map(|(id, (_, wrapped))| [Value::Blob(id), Value::Blob(wrapped)])
                    .collect();
                let sql = "UPDATE server_keys SET wrapped = ?2 WHERE id = ?1";
                if tx.execute_many(sql, &rows)? != wrapped.len() as u64 {
                    return Err(RepositoryError::ProtectionChanged);
                }
                let generation = expected.unwrap_or(0) + 1;
                let (name, encrypted) = match &scheme {
                    Scheme::Default => ("default", None),
                    Scheme::Pbe(encrypted) => ("pbe", Some(encrypted)),
                };
                tx.execute(
                    "INSERT INTO protection (one, scheme, encrypted, generation, changed_ms)
                     VALUES (1, ?1, ?2, ?3, ?4)
                     ON CONFLICT (one) DO UPDATE SET scheme = excluded.scheme, encrypted = excluded.encrypted,
                         generation = excluded.generation, changed_ms = excluded.changed_ms",
                    &params![name, encrypted, generation.cast_signed(), to_sql_millis(now)],
                )?;
                meta::raise_authority(tx)?;
                meta::set_scrub_due(tx)?;
                Ok(generation)
            })
            .await
    }
}

/// The generation of the protection that stands; `None`: there is none yet.
pub(super) fn generation(tx: &mut Tx<'_>) -> Result<Option<u64>, RepositoryError> {
    Ok(find(tx)?.map(|row| row.generation))
}

fn find(tx: &mut Tx<'_>) -> Result<Option<ProtectionRow>, RepositoryError> {
    tx.query_optional(
        "SELECT scheme, encrypted, generation, changed_ms FROM protection",
        &[],
        |row| {
            let (scheme, encrypted): (String, Option<Vec<u8>>) = (row.get(0)?, row.get(1)?);
            Ok(ProtectionRow {
                scheme: match (scheme.as_str(), encrypted) {
                    ("default", None) => Scheme::Default,
                    ("pbe", Some(encrypted)) => Scheme::Pbe(encrypted),
                    _ => return Err(RepositoryError::damaged("protection")),
                },
                generation: row.get::<i64>(2)?.unsigned_abs(),
                changed: from_sql_millis(row.get(3)?),
            })
        },
    )
}
