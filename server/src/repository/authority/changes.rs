//! A row that decides is changed: what it was is checked, what it is gets its MAC, and the
//! difference is inserted.

use super::encoding::Owned;
use super::gathering::{changing, count_change, gather};
use super::{Authority, RowMac, Stamp, Table};
use crate::repository::RepositoryError;
use crate::repository::sql::{Tx, Value};

const CHANGE: &[u8] = b"portcullis authority change v1";

/// Rows as they were before a change. What is changed gets its MAC by [`Self::settle`].
#[derive(Debug)]
#[must_use = "rows that were changed need their new MACs: call `settle`"]
pub(in crate::repository) struct Guarded {
    authority: Authority,
    table: &'static Table,
    rows: Vec<Before>,
}

#[derive(Debug)]
struct Before {
    key: Owned,
    mac: Option<RowMac>,
    sound: bool,
}

impl Authority {
    /// Notes the rows that `filter` selects, which are about to be changed or removed.
    ///
    /// # Errors
    /// [`RepositoryError::RowChanged`] where the MAC of one is wrong: nothing may be built upon it.
    pub(in crate::repository) fn guard(
        &self,
        tx: &mut Tx<'_>,
        table: &'static Table,
        filter: &str,
        params: &[Value<'_>],
    ) -> Result<Guarded, RepositoryError> {
        let guarded = self.guard_any(tx, table, filter, params)?;
        match guarded.rows.iter().find(|row| !row.sound) {
            Some(row) => Err(table.changed(&row.key)),
            None => Ok(guarded),
        }
    }

    /// As [`Self::guard`], also of rows whose MAC is wrong: it stays wrong, whatever is changed of
    /// them.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub(in crate::repository) fn guard_any(
        &self,
        tx: &mut Tx<'_>,
        table: &'static Table,
        filter: &str,
        params: &[Value<'_>],
    ) -> Result<Guarded, RepositoryError> {
        changing(tx, table);
        let stamps = tx.query(&table.select(filter), params, |row| {
            Stamp::read(table, row, 0)
        })?;
        let mut rows = Vec::with_capacity(stamps.len());
        for stamp in stamps {
            let sound = match self.check(tx, table, &stamp) {
                Ok(_) => true,
                Err(RepositoryError::RowChanged { .. }) => false,
                Err(error) => return Err(error),
            };
            rows.push(Before {
                mac: stamp.mac,
                key: stamp.key,
                sound,
            });
        }
        Ok(Guarded {
            authority: self.clone(),
            table,
            rows,
        })
    }

    /// Makes the MAC of a row that was inserted.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub(in crate::repository) fn added(
        &self,
        tx: &mut Tx<'_>,
        table: &'static Table,
        key: Value<'_>,
    ) -> Result<(), RepositoryError> {
        self.renew(tx, table, key, None)
    }

    /// Inserts the difference that a change made to the sum over all rows.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub(in crate::repository) fn note(
        &self,
        tx: &mut Tx<'_>,
        before: Option<&RowMac>,
        after: Option<&RowMac>,
    ) -> Result<(), RepositoryError> {
        count_change(tx);
        self.noted(tx, before, after)
    }

    fn noted(
        &self,
        tx: &mut Tx<'_>,
        before: Option<&RowMac>,
        after: Option<&RowMac>,
    ) -> Result<(), RepositoryError> {
        if before == after || gather(tx, before, after) {
            return Ok(());
        }
        self.insert_difference(tx, before, after)
    }

    /// Inserts a difference, whatever is gathered.
    pub(super) fn insert_difference(
        &self,
        tx: &mut Tx<'_>,
        before: Option<&RowMac>,
        after: Option<&RowMac>,
    ) -> Result<(), RepositoryError> {
        let epoch = epoch(tx)?;
        let (before, after) = (before.map(RowMac::as_slice), after.map(RowMac::as_slice));
        let mac = self.change_mac(epoch, before, after);
        tx.execute(
            "INSERT INTO authority_changes (epoch, before, after, mac) VALUES (?1, ?2, ?3, ?4)",
            &[
                Value::Integer(epoch),
                before.map_or(Value::Null, Value::Blob),
                after.map_or(Value::Null, Value::Blob),
                Value::Blob(&mac),
            ],
        )?;
        Ok(())
    }

    /// The MAC of a difference. It names the last audit entry: once the next one has bound it, it
    /// counts no more, whoever puts it back.
    pub(super) fn change_mac(
        &self,
        epoch: i64,
        before: Option<&[u8]>,
        after: Option<&[u8]>,
    ) -> RowMac {
        let (before, after) = (before.unwrap_or_default(), after.unwrap_or_default());
        let lengths = [before.len() as u8, after.len() as u8];
        let parts = [CHANGE, &epoch.to_be_bytes(), &lengths, before, after];
        self.key.tag(&parts).to_bytes()
    }

    /// Makes the MAC of a row as it now is; `before`: the one that it had.
    pub(super) fn renew(
        &self,
        tx: &mut Tx<'_>,
        table: &'static Table,
        key: Value<'_>,
        before: Option<&RowMac>,
    ) -> Result<(), RepositoryError> {
        changing(tx, table);
        let sql = table.select(&format!("{} = ?1", table.key));
        let stamp = tx.query_optional(&sql, &[key], |row| Stamp::read(table, row, 0))?;
        match stamp {
            Some(stamp) => self.renew_read(tx, table, &stamp, before),
            None => self.noted(tx, before, None),
        }
    }

    /// As [`Self::renew`], of a row that was read after its last change.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub(in crate::repository) fn renew_read(
        &self,
        tx: &mut Tx<'_>,
        table: &'static Table,
        stamp: &Stamp,
        before: Option<&RowMac>,
    ) -> Result<(), RepositoryError> {
        let key = stamp.key.value();
        let children = table.children(tx, key)?;
        let mac = self.mac_of(&stamp.covered, &children);
        if stamp.mac != Some(mac) {
            let Table {
                name, key: column, ..
            } = table;
            let sql = format!("UPDATE {name} SET mac = ?2 WHERE {column} = ?1");
            tx.execute(&sql, &[key, Value::Blob(&mac)])?;
        }
        self.noted(tx, before, Some(&mac))
    }
}

impl Guarded {
    /// Whether there is any row.
    pub(in crate::repository) const fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The row with this key was written whole, whatever stood in its place: makes its MAC, and
    /// inserts the difference.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub(in crate::repository) fn replaced(
        self,
        tx: &mut Tx<'_>,
        key: Value<'_>,
    ) -> Result<(), RepositoryError> {
        let before = self.rows.first().and_then(|row| row.mac);
        self.authority.renew(tx, self.table, key, before.as_ref())
    }

    /// Makes the MACs of the rows as they now are, and inserts the differences.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub(in crate::repository) fn settle(self, tx: &mut Tx<'_>) -> Result<(), RepositoryError> {
        let Self {
            authority,
            table,
            rows,
        } = self;
        for row in rows {
            let key = row.key.value();
            if row.sound {
                authority.renew(tx, table, key, row.mac.as_ref())?;
                continue;
            }
            let sql = format!("SELECT 1 FROM {} WHERE {} = ?1", table.name, table.key);
            if !tx.exists(&sql, &[key])? {
                authority.noted(tx, row.mac.as_ref(), None)?;
            }
        }
        Ok(())
    }
}

/// The last audit entry: each that is written binds all changes before it.
pub(super) fn epoch(tx: &mut Tx<'_>) -> Result<i64, RepositoryError> {
    tx.query_one(
        "SELECT coalesce(max(seq), 0) FROM audit_entries",
        &[],
        |row| row.get(0),
    )
}
