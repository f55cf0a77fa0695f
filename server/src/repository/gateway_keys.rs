use portcullis_common::id::KeyId;
use portcullis_common::rotation::{GatewayKeyInfo, UnixMillis};
use portcullis_common::secret::GatewayKey;
use rusqlite::Transaction;

use super::registration_row::{from_sql_millis, key_id, to_sql_millis};
use super::{Place, ProtectedType, Repository, RepositoryError, sealed_values};

/// A gateway key as it is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GatewayKeyRow {
    /// What rotation goes by.
    pub info: GatewayKeyInfo,
    /// When it was made.
    pub created: UnixMillis,
    /// How many gateways last proved this key.
    pub in_use_by: u64,
}

/// A gateway key about to be stored.
#[derive(Clone, Debug)]
pub struct NewGatewayKey {
    /// Its id.
    pub id: KeyId,
    /// The key.
    pub key: GatewayKey,
    /// When it was made.
    pub created: UnixMillis,
}

/// Why a rotation did not take place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RotateError {
    /// Another rotation was faster.
    #[error(
        "the current gateway key is {current}, not {expected}: another rotation took place; look at `portcullis key list`, then rotate again if that is still wanted"
    )]
    NotCurrent {
        /// What the caller expected.
        expected: KeyId,
        /// What is current.
        current: KeyId,
    },
}

/// The gateway keys: the one with the highest generation is current.
#[derive(Clone, Copy, Debug)]
pub struct GatewayKeys<'a> {
    repository: &'a Repository,
}

impl<'a> GatewayKeys<'a> {
    pub(super) const fn new(repository: &'a Repository) -> Self {
        Self { repository }
    }

    /// All of them, newest first: the first is current.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn list(&self) -> Result<Vec<GatewayKeyRow>, RepositoryError> {
        self.repository
            .database
            .read(|transaction| {
                let mut statement = transaction.prepare_cached(
                    "SELECT k.id, k.generation, k.retired_ms, k.compromised, k.created_ms,
                            (SELECT count(*) FROM gateways g WHERE g.last_proved = k.id)
                     FROM gateway_keys k ORDER BY k.generation DESC",
                )?;
                let mut rows = statement.query([])?;
                let mut keys = Vec::new();
                while let Some(row) = rows.next()? {
                    keys.push(GatewayKeyRow {
                        info: read_info(row)?,
                        created: from_sql_millis(row.get(4)?),
                        in_use_by: row.get::<_, i64>(5)?.unsigned_abs(),
                    });
                }
                Ok(keys)
            })
            .await
    }

    /// The id of the current key; `None` in a repository just made.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn current(&self) -> Result<Option<KeyId>, RepositoryError> {
        self.repository
            .database
            .read(|transaction| Ok(current(&infos(transaction)?)))
            .await
    }

    /// The keys with these ids, in that order.
    ///
    /// # Errors
    /// [`RepositoryError`]; `Damaged` where one is not there.
    pub async fn open(&self, ids: &[KeyId]) -> Result<Vec<GatewayKey>, RepositoryError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let ids = ids.to_vec();
        let sealer = self.repository.sealer.clone();
        self.repository
            .database
            .read(move |transaction| {
                ids.iter()
                    .map(|id| {
                        let owner = id.to_bytes();
                        let sealed = sealed_values::find(transaction, &key_place(&owner))?
                            .ok_or_else(|| RepositoryError::damaged("gateway key"))?;
                        let bytes = sealer.open(&key_place(&owner), &sealed)?;
                        GatewayKey::from_bytes(id.kind(), &bytes)
                            .map_err(|_| RepositoryError::damaged("gateway key"))
                    })
                    .collect()
            })
            .await
    }

    /// Makes `new` the current key, provided that `expected` still is (`None`: whichever is current).
    /// With `compromised`, every older key is refused from now on. Gives the id of the key replaced.
    ///
    /// # Errors
    /// [`RepositoryError`], or within it [`RotateError`] where another rotation was faster: nothing has changed then.
    pub async fn rotate(
        &self,
        new: NewGatewayKey,
        expected: Option<KeyId>,
        compromised: bool,
    ) -> Result<Result<Option<KeyId>, RotateError>, RepositoryError> {
        let sealed = self
            .repository
            .sealer
            .seal(&key_place(&new.id.to_bytes()), new.key.expose());
        self.repository
            .database
            .write(move |transaction| {
                let current = current(&infos(transaction)?);
                if let (Some(expected), Some(current)) = (expected, current)
                    && expected != current
                {
                    return Ok(Err(RotateError::NotCurrent { expected, current }));
                }
                let now = to_sql_millis(new.created);
                transaction.execute(
                    "UPDATE gateway_keys SET retired_ms = ?1 WHERE retired_ms IS NULL",
                    [now],
                )?;
                if compromised {
                    transaction.execute("UPDATE gateway_keys SET compromised = 1", [])?;
                }
                transaction.execute(
                    "INSERT INTO gateway_keys (id, generation, created_ms)
                     VALUES (?1, (SELECT coalesce(max(generation), 0) + 1 FROM gateway_keys), ?2)",
                    (new.id.to_bytes(), now),
                )?;
                sealed_values::put(transaction, &key_place(&new.id.to_bytes()), &sealed)?;
                Ok(Ok(current))
            })
            .await
    }
}

/// What rotation goes by, of every key, newest first.
pub(super) fn infos(transaction: &Transaction<'_>) -> Result<Vec<GatewayKeyInfo>, RepositoryError> {
    let mut statement = transaction.prepare_cached(
        "SELECT id, generation, retired_ms, compromised FROM gateway_keys ORDER BY generation DESC",
    )?;
    let mut rows = statement.query([])?;
    let mut keys = Vec::new();
    while let Some(row) = rows.next()? {
        keys.push(read_info(row)?);
    }
    Ok(keys)
}

fn current(keys: &[GatewayKeyInfo]) -> Option<KeyId> {
    keys.first().map(|key| key.id)
}

fn read_info(row: &rusqlite::Row<'_>) -> Result<GatewayKeyInfo, RepositoryError> {
    Ok(GatewayKeyInfo {
        id: key_id(&row.get::<_, Vec<u8>>(0)?)?,
        generation: row.get::<_, i64>(1)?.unsigned_abs(),
        retired: row.get::<_, Option<i64>>(2)?.map(from_sql_millis),
        compromised: row.get(3)?,
        withdrawn: false,
    })
}

fn key_place(id: &[u8]) -> Place<'_> {
    Place {
        kind: ProtectedType::GatewayKey,
        owner: id,
        field: "key",
    }
}
