//! The gateway keys: which is current, what becomes of the others, and who still depends on them.

use portcullis_common::id::KeyId;
use portcullis_common::rotation::{GatewayKeyInfo, UnixMillis};
use portcullis_common::secret::GatewayKey;

use super::authority::{Authority, GATEWAY_KEYS, GATEWAYS, Stamp, Table};
use super::columns::{from_sql_millis, key_id, to_sql_millis};
use super::sql::{Row, Tx, Value, params};
use super::{Place, ProtectedType, Repository, RepositoryError, meta, sealed_values};

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

/// What becomes of the key that a rotation replaces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Replaced {
    /// It still lets in those that hold it, for as long as the configuration says.
    #[default]
    Retired,
    /// Rolled back: its push ends, it is never sent again, and those that may hold it move forward
    /// to the new one.
    Withdrawn,
    /// It and the older ones are refused at once; the gateways that hold them enrol again by token.
    Compromised,
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

/// Why a gateway still depends on a gateway key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dependency {
    /// It is the newest key that the gateway ever proved.
    LastProved,
    /// It was sent to the gateway, which has not proved it, nor a newer one, since.
    Sent,
    /// It was sent to a gateway that is enrolling: its token is bound, and no key was proved yet.
    Enrolling,
}

/// A gateway that still depends on a gateway key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dependent {
    /// The gateway's name.
    pub gateway: String,
    /// Why.
    pub dependency: Dependency,
}

/// Why a gateway key was not deleted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeleteKeyError {
    /// It is the one that every gateway is to hold.
    #[error(
        "{0} is the current gateway key: `portcullis key rotate-gateway` first, and delete it once every gateway has moved on"
    )]
    Current(KeyId),
    /// Gateways would be locked out.
    #[error(
        "{} of the gateways still depend on gateway key {key}, the first is `{}`: `portcullis key status --gateways` lists them, `portcullis key sync-gateways` moves them on",
        .dependents.len(), .dependents.first().map_or("", |first| first.gateway.as_str())
    )]
    InUse {
        /// The key.
        key: KeyId,
        /// Who depends on it, by name; never empty.
        dependents: Vec<Dependent>,
    },
}

/// The gateway keys: the one with the highest generation is current.
#[derive(Clone, Copy, Debug)]
pub struct GatewayKeys<'a> {
    repository: &'a Repository,
}

impl Repository {
    /// The gateway keys, of which the newest is current.
    pub const fn gateway_keys(&self) -> GatewayKeys<'_> {
        GatewayKeys { repository: self }
    }
}

impl GatewayKeys<'_> {
    /// All of them, newest first: the first is current.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn list(&self) -> Result<Vec<GatewayKeyRow>, RepositoryError> {
        let authority = self.repository.database.authority()?;
        self.repository
            .database
            .read(move |tx| {
                let Table { columns, .. } = GATEWAY_KEYS;
                tx.query(
                    &format!(
                        "SELECT {columns}, mac, (SELECT count(*) FROM gateways g WHERE g.last_proved = k.id)
                         FROM gateway_keys k ORDER BY generation DESC"
                    ),
                    &[],
                    |row| {
                        Ok(GatewayKeyRow {
                            info: read_info(row, &authority)?,
                            created: from_sql_millis(row.get(2)?),
                            in_use_by: row.get::<i64>(GATEWAY_KEYS.width + 1)?.unsigned_abs(),
                        })
                    },
                )
            })
            .await
    }

    /// The id of the current key; `None` in a repository just made.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn current(&self) -> Result<Option<KeyId>, RepositoryError> {
        let authority = self.repository.database.authority()?;
        self.repository
            .database
            .read(move |tx| Ok(current(&infos(tx, &authority)?)))
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
            .read(move |tx| {
                ids.iter()
                    .map(|id| {
                        let owner = id.to_bytes();
                        let sealed = sealed_values::find(tx, &key_place(&owner))?
                            .ok_or_else(|| RepositoryError::damaged("gateway key"))?;
                        let bytes = sealer.open(&key_place(&owner), &sealed)?;
                        GatewayKey::from_bytes(id.kind(), &bytes)
                            .map_err(|_| RepositoryError::damaged("gateway key"))
                    })
                    .collect()
            })
            .await
    }

    /// Makes `new` the current key, provided that `expected` still is (`None`: whichever is
    /// current), and the one replaced what `replaced` says, in one transaction: once it is through,
    /// no transaction finds a withdrawn key to be sent. Gives the id of the key replaced.
    ///
    /// # Errors
    /// [`RepositoryError`], or within it [`RotateError`] where another rotation was faster: nothing
    /// has changed then.
    pub async fn rotate(
        &self,
        new: NewGatewayKey,
        expected: Option<KeyId>,
        replaced: Replaced,
    ) -> Result<Result<Option<KeyId>, RotateError>, RepositoryError> {
        let sealed = self
            .repository
            .sealer
            .seal(&key_place(&new.id.to_bytes()), new.key.expose());
        let authority = self.repository.database.authority()?;
        self.repository
            .database
            .write(move |tx| {
                let current = current(&infos(tx, &authority)?);
                if let (Some(expected), Some(current)) = (expected, current)
                    && expected != current
                {
                    return Ok(Err(RotateError::NotCurrent { expected, current }));
                }
                let now = to_sql_millis(new.created);
                let guarded = authority.guard(tx, &GATEWAY_KEYS, "true", &[])?;
                if replaced == Replaced::Withdrawn {
                    tx.execute(
                        "UPDATE gateway_keys SET withdrawn = 1 WHERE retired_ms IS NULL",
                        &[],
                    )?;
                }
                tx.execute(
                    "UPDATE gateway_keys SET retired_ms = ?1 WHERE retired_ms IS NULL",
                    &params![now],
                )?;
                if replaced == Replaced::Compromised {
                    tx.execute("UPDATE gateway_keys SET compromised = 1", &[])?;
                }
                tx.execute(
                    "INSERT INTO gateway_keys (id, generation, created_ms)
                     VALUES (?1, (SELECT coalesce(max(generation), 0) + 1 FROM gateway_keys), ?2)",
                    &params![new.id.to_bytes(), now],
                )?;
                sealed_values::put(tx, &key_place(&new.id.to_bytes()), &sealed)?;
                guarded.settle(tx)?;
                authority.added(tx, &GATEWAY_KEYS, Value::Blob(&new.id.to_bytes()))?;
                meta::raise_authority(tx)?;
                Ok(Ok(current))
            })
            .await
    }

    /// Every gateway that still depends on the key `id`, by name: those that proved it last, and
    /// those that were sent it and may yet prove it. A key on which none depends is of no use to
    /// any gateway.
    ///
    /// # Errors
    /// [`RepositoryError::NoSuchKey`].
    pub async fn dependents(&self, id: KeyId) -> Result<Vec<Dependent>, RepositoryError> {
        self.repository
            .database
            .read(move |tx| {
                require(tx, id)?;
                dependents(tx, id)
            })
            .await
    }

    /// Deletes the key `id` and its sealed bytes, in one transaction, provided that no gateway
    /// depends on it.
    ///
    /// # Errors
    /// [`RepositoryError`], or within it [`DeleteKeyError`]: nothing has changed then.
    pub async fn delete(&self, id: KeyId) -> Result<Result<(), DeleteKeyError>, RepositoryError> {
        let authority = self.repository.database.authority()?;
        self.repository
            .database
            .write(move |tx| {
                require(tx, id)?;
                if current(&infos(tx, &authority)?) == Some(id) {
                    return Ok(Err(DeleteKeyError::Current(id)));
                }
                let dependents = dependents(tx, id)?;
                if !dependents.is_empty() {
                    return Ok(Err(DeleteKeyError::InUse {
                        key: id,
                        dependents,
                    }));
                }
                erase(tx, &authority, id)?;
                Ok(Ok(()))
            })
            .await
    }

    /// Deletes the key `id` and its sealed bytes, in one transaction, whoever depends on it: those
    /// gateways have to enrol again by token, unless they hold a newer key. Gives them.
    ///
    /// # Errors
    /// [`RepositoryError`], or within it [`DeleteKeyError::Current`]: nothing has changed then.
    pub async fn delete_forced(
        &self,
        id: KeyId,
    ) -> Result<Result<Vec<Dependent>, DeleteKeyError>, RepositoryError> {
        let authority = self.repository.database.authority()?;
        self.repository
            .database
            .write(move |tx| {
                require(tx, id)?;
                if current(&infos(tx, &authority)?) == Some(id) {
                    return Ok(Err(DeleteKeyError::Current(id)));
                }
                let dependents = dependents(tx, id)?;
                let concerned = "last_proved = ?1 OR instr(sent, ?1) > 0";
                let guarded =
                    authority.guard_any(tx, &GATEWAYS, concerned, &params![id.to_bytes()])?;
                tx.execute(
                    "UPDATE gateways SET last_proved = NULL WHERE last_proved = ?1",
                    &params![id.to_bytes()],
                )?;
                for dependent in &dependents {
                    let name = &dependent.gateway;
                    let sent: Vec<u8> = tx.query_one(
                        "SELECT sent FROM gateways WHERE name = ?1",
                        &params![name],
                        |row| row.get(0),
                    )?;
                    let others = sent
                        .chunks(KeyId::LEN)
                        .filter(|sent| *sent != id.to_bytes());
                    let others: Vec<u8> = others.flatten().copied().collect();
                    tx.execute(
                        "UPDATE gateways SET sent = ?2 WHERE name = ?1",
                        &params![name, others],
                    )?;
                }
                guarded.settle(tx)?;
                erase(tx, &authority, id)?;
                Ok(Ok(dependents))
            })
            .await
    }
}

/// The key and its sealed bytes; a scrub is due then.
fn erase(tx: &mut Tx<'_>, authority: &Authority, id: KeyId) -> Result<(), RepositoryError> {
    let bytes = id.to_bytes();
    let guarded = authority.guard_any(tx, &GATEWAY_KEYS, "id = ?1", &params![bytes])?;
    tx.execute("DELETE FROM gateway_keys WHERE id = ?1", &params![bytes])?;
    guarded.settle(tx)?;
    sealed_values::remove(tx, &key_place(&id.to_bytes()))?;
    meta::raise_authority(tx)?;
    meta::set_scrub_due(tx)
}

fn require(tx: &mut Tx<'_>, id: KeyId) -> Result<(), RepositoryError> {
    let sql = "SELECT 1 FROM gateway_keys WHERE id = ?1";
    match tx.exists(sql, &params![id.to_bytes()])? {
        true => Ok(()),
        false => Err(RepositoryError::NoSuchKey(id)),
    }
}

fn dependents(tx: &mut Tx<'_>, id: KeyId) -> Result<Vec<Dependent>, RepositoryError> {
    let found = tx.query(
        "SELECT name, last_proved IS NOT DISTINCT FROM ?1, token_bound IS NOT NULL, sent FROM gateways
         WHERE last_proved = ?1 OR instr(sent, ?1) > 0 ORDER BY name",
        &params![id.to_bytes()],
        |row| {
            let (proved, bound): (bool, bool) = (row.get(1)?, row.get(2)?);
            let sent: Vec<u8> = row.get(3)?;
            let was_sent = sent.chunks(KeyId::LEN).any(|sent| sent == id.to_bytes());
            let dependency = match (proved, was_sent) {
                (true, _) => Dependency::LastProved,
                (false, true) if bound => Dependency::Enrolling,
                (false, true) => Dependency::Sent,
                // The bytes of two ids stand beside each other and look like this one.
                (false, false) => return Ok(None),
            };
            Ok(Some(Dependent {
                gateway: row.get(0)?,
                dependency,
            }))
        },
    )?;
    Ok(found.into_iter().flatten().collect())
}

/// What rotation goes by, of every key, newest first.
pub(super) fn infos(
    tx: &mut Tx<'_>,
    authority: &Authority,
) -> Result<Vec<GatewayKeyInfo>, RepositoryError> {
    let Table { columns, .. } = GATEWAY_KEYS;
    tx.query(
        &format!("SELECT {columns}, mac FROM gateway_keys ORDER BY generation DESC"),
        &[],
        |row| read_info(row, authority),
    )
}

fn current(keys: &[GatewayKeyInfo]) -> Option<KeyId> {
    keys.first().map(|key| key.id)
}

/// A key whose row does not check lets nobody in and is never sent. It keeps its place: where it is
/// the newest, no older one becomes current.
fn read_info(row: &Row<'_>, authority: &Authority) -> Result<GatewayKeyInfo, RepositoryError> {
    let stamp = Stamp::read(&GATEWAY_KEYS, row, 0)?;
    let sound = authority.check_alone(&GATEWAY_KEYS, &stamp).is_ok();
    Ok(GatewayKeyInfo {
        id: key_id(&row.get::<Vec<u8>>(0)?)?,
        generation: row.get::<i64>(1)?.unsigned_abs(),
        retired: row.get::<Option<i64>>(3)?.map(from_sql_millis),
        compromised: row.get::<bool>(4)? || !sound,
        withdrawn: row.get::<bool>(5)? || !sound,
    })
}

pub(super) fn key_place(id: &[u8]) -> Place<'_> {
    Place {
        kind: ProtectedType::GatewayKey,
        owner: id,
        field: "key",
        context: &[],
    }
}
