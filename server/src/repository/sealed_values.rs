//! Every sealed value in one table: what counts them, encrypts them again and verifies them need
//! not know their owners.

use portcullis_common::id::KeyId;

use super::columns::key_id;
use super::sql::{Row, Tx, Value, params};
use super::{Database, OpenError, Place, ProtectedType, RepositoryError, Sealer, authority};

const PUT: &str = "INSERT INTO sealed_values (type, owner, field, sealed, context) VALUES (?1, ?2, ?3, ?4, ?5)
    ON CONFLICT (type, owner, field) DO UPDATE SET sealed = excluded.sealed, context = excluded.context";

/// How many values of one type are sealed under one server key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SealedCount {
    /// The key; `None`: what stands there is no sealed value.
    pub server_key: Option<KeyId>,
    /// What they are.
    pub kind: ProtectedType,
    /// How many.
    pub values: u64,
}

/// A sealed value with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedValue {
    /// Its row: grows with each value stored.
    pub row: i64,
    /// What it is.
    pub kind: ProtectedType,
    /// The owner's id, in bytes.
    pub owner: Vec<u8>,
    /// Which of the owner's values it is.
    pub field: String,
    /// The value, sealed for this place.
    pub sealed: Vec<u8>,
    /// What it is for, beside its owner.
    pub context: Vec<u8>,
}

impl SealedValue {
    /// Where it stands.
    pub fn place(&self) -> Place<'_> {
        Place {
            kind: self.kind,
            owner: &self.owner,
            field: &self.field,
            context: &self.context,
        }
    }
}

/// Which values a batch is to hold.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Of these types; empty: of all.
    pub kinds: Vec<ProtectedType>,
    /// Sealed under any key but this.
    pub not_under: Option<KeyId>,
    /// Sealed under this key.
    pub under: Option<KeyId>,
}

/// A value sealed anew.
#[derive(Clone, Debug)]
pub struct Resealed {
    /// Its row.
    pub row: i64,
    /// What stood there when it was opened: where something else stands now, it stays.
    pub before: Vec<u8>,
    /// What is to stand there.
    pub after: Vec<u8>,
}

/// How many values opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Opened {
    /// As they should.
    pub opened: u64,
    /// Not, as their server key is not here.
    pub without_key: u64,
}

/// The sealed values of a repository, as they are: sealed.
#[derive(Clone, Copy, Debug)]
pub struct SealedValues<'a> {
    database: &'a Database,
}

impl Database {
    /// The sealed values, as they are: sealed.
    pub const fn sealed_values(&self) -> SealedValues<'_> {
        SealedValues { database: self }
    }
}

impl SealedValues<'_> {
    /// How many there are of each type under each key, as they are in one moment.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn counts(&self) -> Result<Vec<SealedCount>, RepositoryError> {
        self.database
            .read(|tx| {
                tx.query(
                    "SELECT server_key, type, count(*) FROM sealed_values GROUP BY server_key, type",
                    &[],
                    |row| {
                        Ok(SealedCount {
                            server_key: KeyId::from_bytes(&row.get::<Vec<u8>>(0)?),
                            kind: read_kind(row, 1)?,
                            values: row.get::<i64>(2)?.unsigned_abs(),
                        })
                    },
                )
            })
            .await
    }

    /// The first `limit` selected values in rows after `after`, by row.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn batch(
        &self,
        selection: Selection,
        after: i64,
        limit: usize,
    ) -> Result<Vec<SealedValue>, RepositoryError> {
        self.database
            .read(move |tx| {
                let kinds = selection.kinds.iter().map(|kind| kind.name());
                let kinds = kinds.collect::<Vec<_>>().join(" ");
                let under = selection.under.map(|id| id.to_bytes().to_vec());
                let not_under = selection.not_under.map(|id| id.to_bytes().to_vec());
                let limit = i64::try_from(limit).unwrap_or(i64::MAX);
                tx.query(
                    // No name of a type holds a blank.
                    "SELECT id, type, owner, field, sealed, context FROM sealed_values
                     WHERE id > ?1 AND (?2 IS NULL OR server_key = ?2) AND (?3 IS NULL OR server_key <> ?3)
                       AND (?4 = '' OR instr(' ' || ?4 || ' ', ' ' || type || ' ') > 0)
                     ORDER BY id LIMIT ?5",
                    &params![after, under, not_under, kinds, limit],
                    read,
                )
            })
            .await
    }

    /// The first `limit` values of one type that are sealed under `key`, in rows after `after`, by
    /// row. As quick for a few among many as for all.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn under(
        &self,
        key: KeyId,
        kind: ProtectedType,
        after: i64,
        limit: usize,
    ) -> Result<Vec<SealedValue>, RepositoryError> {
        self.database
            .read(move |tx| {
                let limit = i64::try_from(limit).unwrap_or(i64::MAX);
                tx.query(
                    "SELECT id, type, owner, field, sealed, context FROM sealed_values
                     WHERE server_key = ?1 AND type = ?2 AND id > ?3 ORDER BY id LIMIT ?4",
                    &params![key.to_bytes(), kind.name(), after, limit],
                    read,
                )
            })
            .await
    }

    /// The first `limit` values that are sealed under no key of this repository, or are no sealed
    /// values at all.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn without_key(&self, limit: usize) -> Result<Vec<SealedValue>, RepositoryError> {
        self.database
            .read(move |tx| {
                let limit = i64::try_from(limit).unwrap_or(i64::MAX);
                tx.query(
                    "SELECT id, type, owner, field, sealed, context FROM sealed_values
                     WHERE server_key NOT IN (SELECT id FROM server_keys)
                     ORDER BY server_key, type, id LIMIT ?1",
                    &params![limit],
                    read,
                )
            })
            .await
    }

    /// Stores values, each sealed for its place, in one transaction; their rows are given to them.
    ///
    /// # Errors
    /// [`RepositoryError`]; `ServerKeyGone` where the key of one was deleted since it was sealed.
    /// None is stored then.
    pub async fn store(&self, values: Vec<SealedValue>) -> Result<(), RepositoryError> {
        self.database
            .write(move |tx| {
                require_keys(tx, values.iter().map(|value| &*value.sealed))?;
                let rows: Vec<_> = values
                    .iter()
                    .map(|value| {
                        [
                            Value::Text(value.kind.name()),
                            Value::Blob(&value.owner),
                            Value::Text(&value.field),
                            Value::Blob(&value.sealed),
                            Value::Blob(&value.context),
                        ]
                    })
                    .collect();
                tx.execute_many(PUT, &rows)?;
                Ok(())
            })
            .await
    }

    /// Puts values sealed anew into their places, in one transaction, each only where the value
    /// from before still stands. Gives how many were replaced.
    ///
    /// # Errors
    /// [`RepositoryError`]; `ServerKeyGone` where the key of one was deleted meanwhile. None was
    /// replaced then.
    pub async fn replace(&self, values: Vec<Resealed>) -> Result<u64, RepositoryError> {
        self.database
            .write(move |tx| {
                require_keys(tx, values.iter().map(|value| &*value.after))?;
                let rows: Vec<_> = values
                    .iter()
                    .map(|value| params![value.row, value.before, value.after])
                    .collect();
                tx.execute_many(
                    "UPDATE sealed_values SET sealed = ?3 WHERE id = ?1 AND sealed = ?2",
                    &rows,
                )
            })
            .await
    }
}

/// Stores a value that was sealed for `place`, over the one that stood there.
///
/// # Errors
/// [`RepositoryError::ServerKeyGone`] where its server key was deleted since it was sealed.
pub(super) fn put(
    tx: &mut Tx<'_>,
    place: &Place<'_>,
    sealed: &[u8],
) -> Result<(), RepositoryError> {
    require_key(tx, sealed)?;
    tx.execute(
        PUT,
        &params![
            place.kind.name(),
            place.owner,
            place.field,
            sealed,
            place.context
        ],
    )?;
    Ok(())
}

/// The sealed value that stands at `place`.
pub(super) fn find(tx: &mut Tx<'_>, place: &Place<'_>) -> Result<Option<Vec<u8>>, RepositoryError> {
    tx.query_optional(
        "SELECT sealed FROM sealed_values WHERE type = ?1 AND owner = ?2 AND field = ?3",
        &params![place.kind.name(), place.owner, place.field],
        |row| row.get(0),
    )
}

/// What the value at `place` is for, whatever the place says of that; `None`: there is none.
pub(super) fn context_of(
    tx: &mut Tx<'_>,
    place: &Place<'_>,
) -> Result<Option<Vec<u8>>, RepositoryError> {
    tx.query_optional(
        "SELECT context FROM sealed_values WHERE type = ?1 AND owner = ?2 AND field = ?3",
        &params![place.kind.name(), place.owner, place.field],
        |row| row.get(0),
    )
}

/// Deletes the value at `place`, where there is one.
pub(super) fn remove(tx: &mut Tx<'_>, place: &Place<'_>) -> Result<(), RepositoryError> {
    tx.execute(
        "DELETE FROM sealed_values WHERE type = ?1 AND owner = ?2 AND field = ?3",
        &params![place.kind.name(), place.owner, place.field],
    )?;
    Ok(())
}

/// Deletes every value of one type that an owner has.
pub(super) fn remove_of_owner(
    tx: &mut Tx<'_>,
    kind: ProtectedType,
    owner: &[u8],
) -> Result<(), RepositoryError> {
    tx.execute(
        "DELETE FROM sealed_values WHERE type = ?1 AND owner = ?2",
        &params![kind.name(), owner],
    )?;
    Ok(())
}

/// Deletes every value of one type.
pub(super) fn remove_of_kind(tx: &mut Tx<'_>, kind: ProtectedType) -> Result<(), RepositoryError> {
    let sql = "DELETE FROM sealed_values WHERE type = ?1";
    tx.execute(sql, &params![kind.name()])?;
    Ok(())
}

/// The fields of one type that an owner has, oldest first.
pub(super) fn fields(
    tx: &mut Tx<'_>,
    kind: ProtectedType,
    owner: &[u8],
) -> Result<Vec<String>, RepositoryError> {
    tx.query(
        "SELECT field FROM sealed_values WHERE type = ?1 AND owner = ?2 ORDER BY id",
        &params![kind.name(), owner],
        |row| row.get(0),
    )
}

/// A value is sealed before its transaction begins: by then its key may have been deleted.
fn require_key(tx: &mut Tx<'_>, sealed: &[u8]) -> Result<(), RepositoryError> {
    let id = sealed
        .get(1..=KeyId::LEN)
        .ok_or_else(|| RepositoryError::damaged("sealed value"))?;
    let changes = authority::changes(tx);
    let KeyThere(known) = tx.take_kept();
    let there = Some((changes, id.to_vec()));
    if known != there && !tx.exists("SELECT 1 FROM server_keys WHERE id = ?1", &params![id])? {
        return Err(RepositoryError::ServerKeyGone(key_id(id)?));
    }
    tx.keep(KeyThere(there));
    Ok(())
}

/// The key that was looked for last in a transaction and was there, after so many changes in it.
#[derive(Default)]
struct KeyThere(Option<(u64, Vec<u8>)>);

/// As [`require_key`], of many values: those that follow one another under the same key are looked
/// up once.
fn require_keys<'v>(
    tx: &mut Tx<'_>,
    values: impl Iterator<Item = &'v [u8]>,
) -> Result<(), RepositoryError> {
    let mut checked = None;
    for sealed in values {
        let key = sealed.get(1..=KeyId::LEN);
        if key.is_none() || checked != key {
            require_key(tx, sealed)?;
            checked = key;
        }
    }
    Ok(())
}

fn read(row: &Row<'_>) -> Result<SealedValue, RepositoryError> {
    Ok(SealedValue {
        row: row.get(0)?,
        kind: read_kind(row, 1)?,
        owner: row.get(2)?,
        field: row.get(3)?,
        sealed: row.get(4)?,
        context: row.get(5)?,
    })
}

/// Opens every value once.
///
/// # Errors
/// [`RepositoryError::Sealed`] with the first that does not open although its key is here.
pub(super) fn open_all(tx: &mut Tx<'_>, sealer: &dyn Sealer) -> Result<Opened, RepositoryError> {
    let mut found = Opened::default();
    let sql = "SELECT id, type, owner, field, sealed, context FROM sealed_values ORDER BY id";
    tx.each(sql, &[], |row| {
        let value = read(row)?;
        match sealer.open(&value.place(), &value.sealed) {
            Ok(_) => found.opened += 1,
            Err(OpenError::UnknownKey { .. }) => found.without_key += 1,
            Err(error) => return Err(error.into()),
        }
        Ok(())
    })?;
    Ok(found)
}

fn read_kind(row: &Row<'_>, column: usize) -> Result<ProtectedType, RepositoryError> {
    let name: String = row.get(column)?;
    name.parse()
        .map_err(|_| RepositoryError::damaged("type of a sealed value"))
}

#[cfg(test)]
mod tests {
    use portcullis_common::id::KeyKind;

    use super::super::tests::{Fixture, NOW, registration, rotate};
    use super::super::{Reach, Replaced, Sealer};
    use super::*;

    const ALL: Selection = Selection {
        kinds: Vec::new(),
        not_under: None,
        under: None,
    };

    #[tokio::test]
    async fn values_are_counted_and_selected_by_key_and_type() {
        let fixture = Fixture::new().await;
        let repository = &fixture.repository;
        rotate(repository, None).await.unwrap();
        let first = fixture.change_server_key().await;
        rotate(repository, None).await.unwrap();
        let token = registration(KeyKind::Tdes);
        let gateways = repository.gateways();
        gateways
            .add("host1", Reach::DialOut, &token, NOW)
            .await
            .unwrap();

        let values = repository.database().sealed_values();
        let current = fixture.keyring.current();
        let counts = values.counts().await.unwrap();
        for (server_key, kind) in [
            (first, ProtectedType::GatewayKey),
            (current, ProtectedType::GatewayKey),
            (current, ProtectedType::EnrolmentKey),
        ] {
            assert!(counts.contains(&SealedCount {
                server_key: Some(server_key),
                kind,
                values: 1
            }));
        }
        // The authority key stands beside them.
        assert_eq!(counts.len(), 4);

        let select = async |selection: Selection| {
            let found = values.batch(selection, 0, 10).await.unwrap();
            found.iter().map(|value| value.kind).collect::<Vec<_>>()
        };
        assert_eq!(select(ALL).await.len(), 4);
        let old = Selection {
            not_under: Some(current),
            ..ALL
        };
        assert_eq!(
            select(old).await,
            [ProtectedType::AuthorityKey, ProtectedType::GatewayKey]
        );
        let tokens = Selection {
            kinds: vec![ProtectedType::EnrolmentKey],
            under: Some(current),
            ..ALL
        };
        assert_eq!(select(tokens).await, [ProtectedType::EnrolmentKey]);
        let one = values.batch(ALL, 0, 1).await.unwrap();
        let rest = values.batch(ALL, one[0].row, 10).await.unwrap();
        assert_eq!((one.len(), rest.len()), (1, 3));
    }

    #[tokio::test]
    async fn a_value_changed_meanwhile_is_not_replaced() {
        let fixture = Fixture::new().await;
        let repository = &fixture.repository;
        let id = rotate(repository, None).await.unwrap();
        let values = repository.database().sealed_values();
        let found = values.batch(ALL, 0, 1).await.unwrap().remove(0);
        fixture.change_server_key().await;
        let opened = fixture.keyring.open(&found.place(), &found.sealed).unwrap();
        let anew = |before: &[u8]| Resealed {
            row: found.row,
            before: before.to_vec(),
            after: fixture.keyring.seal(&found.place(), &opened),
        };
        let stale = vec![anew(b"something else")];
        assert_eq!(values.replace(stale).await.unwrap(), 0);
        assert_eq!(values.batch(ALL, 0, 1).await.unwrap()[0], found);
        let fresh = vec![anew(&found.sealed)];
        assert_eq!(values.replace(fresh).await.unwrap(), 1);
        repository.gateway_keys().open(&[id]).await.unwrap();
    }

    #[tokio::test]
    async fn nothing_is_stored_under_a_server_key_that_was_deleted() {
        let fixture = Fixture::new().await;
        let repository = &fixture.repository;
        let first = fixture.change_server_key().await;
        // Sealed while the key still was the current one, stored after it was deleted.
        assert!(fixture.keyring.set_current(first));
        repository
            .database()
            .write(move |tx| {
                tx.execute(
                    "DELETE FROM server_keys WHERE id = ?1",
                    &params![first.to_bytes()],
                )?;
                Ok(())
            })
            .await
            .unwrap();
        let new = crate::keys::gateway_keys::generate(KeyKind::Tdes, NOW);
        let error = repository
            .gateway_keys()
            .rotate(new, None, Replaced::Retired)
            .await;
        let error = error.unwrap_err();
        assert!(
            matches!(error, RepositoryError::ServerKeyGone(id) if id == first),
            "{error}"
        );
        assert!(repository.gateway_keys().list().await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_token_whose_server_key_is_away_is_none_until_the_key_arrives() {
        let fixture = Fixture::new().await;
        let gateways = fixture.repository.gateways();
        let token = registration(KeyKind::Tdes);
        gateways
            .add("host1", Reach::DialOut, &token, NOW)
            .await
            .unwrap();
        let away = fixture.change_server_key().await;
        let key = fixture.keyring.key(away).unwrap();
        assert!(fixture.keyring.remove(away));
        let row = gateways.find("host1").await.unwrap().unwrap();
        assert!(row.registration.token.is_none());
        let closed_at = NOW.plus(7);
        gateways
            .update("host1", move |row, _| row.pairing_until = Some(closed_at))
            .await
            .unwrap();

        fixture.keyring.add(away, key);
        let row = gateways.find("host1").await.unwrap().unwrap();
        assert_eq!(row.registration.pairing_until, Some(closed_at));
        let opened = row.registration.token.unwrap();
        assert_eq!(opened.key.expose(), token.token.unwrap().key.expose());
    }

    #[tokio::test]
    async fn a_token_that_is_gone_leaves_no_value() {
        let fixture = Fixture::new().await;
        let gateways = fixture.repository.gateways();
        let first = registration(KeyKind::Tdes);
        gateways
            .add("host1", Reach::DialOut, &first, NOW)
            .await
            .unwrap();
        let count = async || {
            let values = fixture.repository.database().sealed_values();
            values.batch(ALL, 0, 10).await.unwrap().len()
        };
        let again = registration(KeyKind::Tdes);
        gateways
            .update("host1", move |row, _| row.clone_from(&again))
            .await
            .unwrap();
        assert_eq!(count().await, 2);
        gateways
            .update("host1", |row, _| row.token = None)
            .await
            .unwrap();
        assert_eq!(count().await, 1);
    }
}
