//! What keeps whoever can write the repository's file, without its secret, from deciding anything:
//! each row that decides carries a MAC, and the audit log binds the sum over all of them.
//!
//! **A row** of the tables in [`TABLES`] carries a MAC under the authority key over every column
//! that decides, and over what belongs to it in other tables. It is checked wherever the row is
//! read ([`Authority::check`]); one that does not check decides nothing.
//!
//! **A change** of such a row is made between [`Authority::guard`] and [`Guarded::settle`], which
//! check the row as it was, make the MAC of the row as it is, and insert the difference. Rows that
//! were inserted are told to [`Authority::added`]. Where the transaction ends with an audit entry,
//! the differences are gathered and bound by it, without being inserted.
//!
//! **Rows put back.** A row that is deleted by hand, or replaced by an earlier state of itself,
//! has a right MAC or none. The sum over all rows shows it: see [`sum`].

pub(super) mod bind;
mod changes;
mod encoding;
mod gathering;
mod sum;
mod tables;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use portcullis_common::crypto::mac::{MAC_KEY_LEN, MacKey, TAG_LEN};

use super::sql::{Row, Tx, Value};
use super::{Database, Place, ProtectedType, RepositoryError};
pub(super) use changes::Guarded;
use encoding::{Encoding, Owned};
pub(super) use gathering::{begin_to_gather, changes, undone_if_failed};
pub use sum::{RowFault, RowsCheck, RowsSum};
pub(super) use sum::{base, fold};
pub(super) use tables::{
    ADMINISTRATORS, APPROVALS, GATEWAY_JOURNALS, GATEWAY_KEYS, GATEWAYS, LOGIN_APPLICATIONS,
    LOGIN_GROUPS, PASSWORD_POLICY, QUEUED_CALLS, RESOURCES, SERVER_KEYS, SESSIONS, TABLES, TASKS,
    Table,
};

/// Bytes of the authority key.
pub const AUTHORITY_KEY_LEN: usize = MAC_KEY_LEN;

const ROW: &[u8] = b"portcullis authority row v1";

/// Where the authority key stands, sealed.
pub(super) const KEY_PLACE: Place<'static> = Place {
    kind: ProtectedType::AuthorityKey,
    owner: b"repository",
    field: "key",
    context: &[],
};

/// The MAC of a row.
pub(super) type RowMac = [u8; TAG_LEN];

/// The authority key of an open repository. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Authority {
    key: Arc<MacKey>,
    /// How many rows did not check when all were looked at last; at least 1 once one was met.
    bad: Arc<AtomicU64>,
}

/// What a row holds that is covered by its MAC, as it was read.
#[derive(Debug)]
pub(super) struct Stamp {
    key: Owned,
    covered: Encoding,
    mac: Option<RowMac>,
}

/// A row whose MAC is right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Checked {
    pub(super) mac: RowMac,
    /// What belongs to the row in other tables, encoded.
    pub(super) children: Vec<u8>,
}

impl Authority {
    pub(super) fn new(key: &[u8; AUTHORITY_KEY_LEN]) -> Self {
        Self {
            key: Arc::new(MacKey::new(key)),
            bad: Arc::default(),
        }
    }

    /// The MAC of a row that holds `columns`, in the order of its table, and has these `children`.
    pub(super) fn mac(&self, table: &Table, columns: &[Value<'_>], children: &[u8]) -> RowMac {
        let mut covered = Encoding::of_table(table);
        for value in columns {
            covered.value(*value);
        }
        self.mac_of(&covered, children)
    }

    /// Checks a row's MAC.
    ///
    /// # Errors
    /// [`RepositoryError::RowChanged`] where it is wrong.
    pub(super) fn check(
        &self,
        tx: &mut Tx<'_>,
        table: &Table,
        stamp: &Stamp,
    ) -> Result<Checked, RepositoryError> {
        let children = table.children(tx, stamp.key.value())?;
        self.check_with(table, stamp, children)
    }

    /// As [`Self::check`], of a row of a table to which nothing belongs elsewhere.
    ///
    /// # Errors
    /// As [`Self::check`].
    pub(super) fn check_alone(
        &self,
        table: &Table,
        stamp: &Stamp,
    ) -> Result<Checked, RepositoryError> {
        self.check_with(table, stamp, Vec::new())
    }

    fn check_with(
        &self,
        table: &Table,
        stamp: &Stamp,
        children: Vec<u8>,
    ) -> Result<Checked, RepositoryError> {
        let parts: [&[u8]; 3] = [ROW, stamp.covered.bytes(), &children];
        match stamp.mac {
            Some(mac) if self.key.verify(&parts, &mac).is_ok() => Ok(Checked { mac, children }),
            _ => {
                self.bad.fetch_max(1, Ordering::Relaxed);
                Err(table.changed(&stamp.key))
            }
        }
    }

    /// A MAC over what is to be known again and not to be read; `parts` begin with what it is for.
    pub(super) fn tag(&self, parts: &[&[u8]]) -> RowMac {
        self.key.tag(parts).to_bytes()
    }

    fn mac_of(&self, covered: &Encoding, children: &[u8]) -> RowMac {
        self.key.tag(&[ROW, covered.bytes(), children]).to_bytes()
    }
}

impl Stamp {
    /// Reads the columns of `table` from the one at `first` on, and its MAC after them.
    ///
    /// # Errors
    /// [`RepositoryError`] where there are no such columns.
    pub(super) fn read(
        table: &Table,
        row: &Row<'_>,
        first: usize,
    ) -> Result<Self, RepositoryError> {
        let mut covered = Encoding::of_table(table);
        for index in first..first + table.width {
            covered.column(row.column(index)?);
        }
        Ok(Self {
            key: Owned::of(row.column(first)?),
            covered,
            mac: Owned::of(row.column(first + table.width)?).mac(),
        })
    }
}

impl Database {
    /// How many records were changed or put in by hand, as far as anybody has looked.
    pub fn changed_records(&self) -> u64 {
        self.opened_authority()
            .map_or(0, |authority| authority.bad.load(Ordering::Relaxed))
    }

    /// The authority key, once it was opened.
    ///
    /// # Errors
    /// [`RepositoryError::Locked`] before that.
    pub(super) fn authority(&self) -> Result<Authority, RepositoryError> {
        self.opened_authority().ok_or(RepositoryError::Locked)
    }
}

#[cfg(test)]
mod tests;
