//! The authority key: made once, with the MACs of all rows there are; opened at each start.

use portcullis_common::id::{GatewayId, KeyId};

use super::tables::QUEUED_CALLS_BEFORE;
use super::{AUTHORITY_KEY_LEN, Authority, KEY_PLACE, QUEUED_CALLS, Stamp, TABLES, Table};
use crate::repository::sql::{Tx, Value, params};
use crate::repository::{
    Database, OpenError, Place, ProtectedType, Repository, RepositoryError, Sealer, resources,
    sealed_values,
};

impl Database {
    /// Whether the repository has an authority key, that is, MACs of the rows that decide.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn has_authority(&self) -> Result<bool, RepositoryError> {
        let found = self.read(|tx| sealed_values::find(tx, &KEY_PLACE));
        Ok(found.await?.is_some())
    }
}

#[cfg(test)]
impl Repository {
    /// Gives calls the MACs that an earlier version made.
    pub(crate) async fn make_earlier_call_macs(&self) {
        let authority = self.database.authority().unwrap();
        let made = self.database.write(move |tx| {
            let before = &QUEUED_CALLS_BEFORE;
            let stamps = tx.query(&before.select("true"), &[], |row| {
                Stamp::read(before, row, 0)
            })?;
            for stamp in stamps {
                let mac = authority.mac_of(&stamp.covered, &[]);
                let sql = "UPDATE queued_calls SET mac = ?2, form = 0 WHERE call_id = ?1";
                tx.execute(sql, &[stamp.key.value(), Value::Blob(&mac)])?;
            }
            Ok(())
        });
        made.await.unwrap();
    }
}

impl Repository {
    /// Opens the authority key: from now on every row that decides is checked, and gets its MAC
    /// when it changes.
    ///
    /// # Errors
    /// [`RepositoryError`]; `Sealed` where the key does not open.
    pub async fn open_authority(&self) -> Result<(), RepositoryError> {
        let sealer = self.sealer.clone();
        let opened = self.database.read(move |tx| {
            let sealed = sealed_values::find(tx, &KEY_PLACE)?
                .ok_or_else(|| RepositoryError::damaged("authority key"))?;
            read(&sealer.open(&KEY_PLACE, &sealed)?)
        });
        let authority = opened.await?;
        self.database.set_authority(authority.clone());
        let before = "SELECT 1 FROM queued_calls WHERE form = 0";
        if self.database.read(|tx| tx.exists(before, &[])).await? {
            let renewed = self.database.write(move |tx| renew_before(tx, &authority));
            renewed.await?;
        }
        Ok(())
    }

    /// Seals the authority key anew, under the server key that is current.
    ///
    /// # Errors
    /// [`RepositoryError`]; `Sealed` where it does not open.
    pub async fn reseal_authority(&self) -> Result<(), RepositoryError> {
        let sealer = self.sealer.clone();
        let resealed = self.database.write(move |tx| {
            let sealed = sealed_values::find(tx, &KEY_PLACE)?
                .ok_or_else(|| RepositoryError::damaged("authority key"))?;
            let key = sealer.open(&KEY_PLACE, &sealed)?;
            sealed_values::put(tx, &KEY_PLACE, &sealer.seal(&KEY_PLACE, &key))
        });
        resealed.await
    }

    /// Gives every row that decides its MAC under `key`, binds the values that were not bound to a
    /// gateway yet, and stores `wrapped`, the server keys wrapped as those of a repository with
    /// MACs are. Once, in one transaction: where it was done before, nothing changes.
    ///
    /// # Errors
    /// [`RepositoryError`]; `Damaged` where the key is not as long as it has to be.
    pub async fn bind_rows(
        &self,
        key: &[u8],
        wrapped: Vec<(KeyId, Vec<u8>)>,
    ) -> Result<(), RepositoryError> {
        let authority = read(key)?;
        let sealed = self.sealer.seal(&KEY_PLACE, key);
        let sealer = self.sealer.clone();
        let bound = self.database.write(move |tx| {
            if sealed_values::find(tx, &KEY_PLACE)?.is_some() {
                return Ok(());
            }
            sealed_values::put(tx, &KEY_PLACE, &sealed)?;
            for (id, wrapped) in &wrapped {
                tx.execute(
                    "UPDATE server_keys SET wrapped = ?2 WHERE id = ?1",
                    &params![id.to_bytes(), wrapped],
                )?;
            }
            bind_values(tx, &*sealer)?;
            tx.execute("DELETE FROM authority_changes", &[])?;
            for table in TABLES {
                bind_table(tx, &authority, table)?;
            }
            Ok(())
        });
        bound.await
    }
}

fn read(key: &[u8]) -> Result<Authority, RepositoryError> {
    let key = <&[u8; AUTHORITY_KEY_LEN]>::try_from(key);
    let key = key.map_err(|_| RepositoryError::damaged("authority key"))?;
    Ok(Authority::new(key))
}

/// Gives calls whose MACs an earlier version made those of this one. A row whose MAC is wrong keeps
/// a wrong one.
fn renew_before(tx: &mut Tx<'_>, authority: &Authority) -> Result<(), RepositoryError> {
    let before = &QUEUED_CALLS_BEFORE;
    let stamps = tx.query(&before.select("form = 0"), &[], |row| {
        Stamp::read(before, row, 0)
    })?;
    for stamp in stamps {
        let key = stamp.key.value();
        tx.execute(
            "UPDATE queued_calls SET form = 1 WHERE call_id = ?1",
            &[key],
        )?;
        match authority.check_alone(before, &stamp) {
            Ok(checked) => authority.renew(tx, &QUEUED_CALLS, key, Some(&checked.mac))?,
            Err(RepositoryError::RowChanged { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn bind_table(
    tx: &mut Tx<'_>,
    authority: &Authority,
    table: &Table,
) -> Result<(), RepositoryError> {
    let stamps = tx.query(&table.select("true"), &[], |row| Stamp::read(table, row, 0))?;
    let Table { name, key, .. } = table;
    let sql = format!("UPDATE {name} SET mac = ?2 WHERE {key} = ?1");
    for stamp in stamps {
        let key = stamp.key.value();
        let children = table.children(tx, key)?;
        let mac = authority.mac_of(&stamp.covered, &children);
        tx.execute(&sql, &[key, Value::Blob(&mac)])?;
    }
    Ok(())
}

/// What was sealed for a name is sealed for the gateway that bears it, and for its connector. What
/// does not open stays as it is: it opens nowhere.
fn bind_values(tx: &mut Tx<'_>, sealer: &dyn Sealer) -> Result<(), RepositoryError> {
    let routes = tx.query(
        "SELECT r.name, r.connector, g.gateway_id FROM resources r JOIN gateways g ON g.name = r.gateway",
        &[],
        |row| Ok((row.get::<String>(0)?, row.get::<String>(1)?, row.get::<Vec<u8>>(2)?)),
    )?;
    for (resource, connector, gateway) in routes {
        let Some(gateway) = GatewayId::from_bytes(&gateway) else {
            continue;
        };
        let context = resources::context(gateway, &connector);
        // Those that wait or are under way.
        let owners = tx.query(
            "SELECT call_id FROM queued_calls WHERE state < 2 AND resource = ?1",
            &params![resource],
            |row| row.get::<String>(0),
        )?;
        let owners = owners
            .into_iter()
            .map(|call| (ProtectedType::QueuedCall, call.into_bytes()));
        let own = (ProtectedType::ResourcePassword, resource.into_bytes());
        for (kind, owner) in owners.chain([own]) {
            for field in sealed_values::fields(tx, kind, &owner)? {
                let place = Place {
                    kind,
                    owner: &owner,
                    field: &field,
                    context: &[],
                };
                bind_value(tx, sealer, place, &context)?;
            }
        }
    }
    Ok(())
}

fn bind_value(
    tx: &mut Tx<'_>,
    sealer: &dyn Sealer,
    place: Place<'_>,
    context: &[u8],
) -> Result<(), RepositoryError> {
    let Some(sealed) = sealed_values::find(tx, &place)? else {
        return Ok(());
    };
    let opened = match sealer.open(&place, &sealed) {
        Ok(opened) => opened,
        Err(OpenError::UnknownKey { .. } | OpenError::Malformed(_) | OpenError::Forged(_)) => {
            return Ok(());
        }
    };
    let bound = Place { context, ..place };
    sealed_values::put(tx, &bound, &sealer.seal(&bound, &opened))
}
