//! The sum over all rows that decide: what tells that a row was deleted by hand, or put back to an
//! earlier state of itself, which its own MAC cannot tell.
//!
//! Each row adds a number of 256 bits, which only who holds the authority key can tell from its
//! MAC: whatever the order of the rows, no other set of them is known to have the same sum (Clarke
//! et al., *Incremental Multiset Hash Functions*, MSet-Add-Hash). Who changes a row inserts the
//! difference beside it; the next entry of the audit log adds up the differences, carries a MAC
//! over the sum as it then is, and removes them. So no row is fought over, and what the log's head
//! file knows, it knows of all rows.
//!
//! A difference names the entry before it: one that was bound does not count again. So changes and
//! entries have to be in one order, whichever servers make them: on each engine, the transactions
//! of both are as if one came after the other.
//!
//! The sum itself stands masked beside the entry that binds it, for whichever server writes the
//! next one. The mask is a MAC over that entry's number and MAC, so that none is used twice.

use std::fmt;
use std::sync::atomic::Ordering;

use portcullis_common::crypto::mac::TAG_LEN;

use super::changes::epoch;
use super::encoding::Owned;
use super::gathering::take_gathered;
use super::{Authority, RowMac, Stamp, TABLES, Table};
use crate::repository::sql::{Row, Tx, Value, params};
use crate::repository::{AuditTip, Repository, RepositoryError};

const ELEMENT: &[u8] = b"portcullis authority element v1";
const BOUND: &[u8] = b"portcullis authority sum v1";
const MASK: &[u8] = b"portcullis authority sum mask v1";

/// Bad rows that are named at most.
const MAX_FAULTS: usize = 1_000;

/// A sum of rows, modulo 2^256. It stays inside: who knew sums could look for rows that fit.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct RowsSum([u64; 4]);

/// A row whose MAC is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowFault {
    /// What it is: `gateway`, `resource`, …
    pub kind: &'static str,
    /// Its table.
    pub table: &'static str,
    /// Its name, number or id.
    pub name: String,
}

impl fmt::Display for RowFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        RepositoryError::RowChanged {
            kind: self.kind,
            table: self.table,
            name: self.name.clone(),
        }
        .fmt(f)
    }
}

/// The rows that decide, as they are in one moment.
#[derive(Clone, Debug)]
pub struct RowsCheck {
    /// How many there are in each table.
    pub counts: Vec<(&'static str, u64)>,
    /// Those whose MAC is wrong, the first 1,000.
    pub faults: Vec<RowFault>,
    /// How many that are.
    pub fault_count: u64,
    /// Whether the last audit entry knows these rows and no others; `None`: it knows of none.
    pub bound: Option<bool>,
    /// What the next audit entry goes on from.
    pub base: RowsSum,
    /// Where the audit log ended in that moment; `None`: it was empty, or its last entry's MAC is
    /// none.
    pub tip: Option<AuditTip>,
}

impl Repository {
    /// Checks every row that decides, and their sum.
    ///
    /// # Errors
    /// [`RepositoryError`] where they cannot be read; what is wrong with them is in the answer.
    pub async fn check_rows(&self) -> Result<RowsCheck, RepositoryError> {
        let authority = self.database.authority()?;
        self.database.read(move |tx| check(tx, &authority)).await
    }
}

/// Takes what no audit entry has bound yet: the differences that are stored, which are removed, and
/// those that were gathered in this transaction. Gives `base` with them, and the MAC over that sum
/// for the entry `seq`. Stored ones that this server did not insert are removed and not counted.
///
/// # Errors
/// [`RepositoryError`].
pub(in crate::repository) fn fold(
    tx: &mut Tx<'_>,
    authority: &Authority,
    base: RowsSum,
    seq: u64,
) -> Result<(RowsSum, RowMac), RepositoryError> {
    let pending = pending(tx, authority)?;
    if pending.forged > 0 {
        tracing::error!(
            count = pending.forged,
            "differences of rows in the repository were put in by hand: they do not count"
        );
    }
    if pending.count > 0 {
        tx.execute("DELETE FROM authority_changes", &[])?;
    }
    let element = |mac: Option<RowMac>| mac.map(|mac| authority.element(&mac));
    let mut sum = base.plus(pending.sum);
    for (before, after) in take_gathered(tx) {
        let added = element(after).unwrap_or_default();
        sum = sum.plus(added.minus(element(before).unwrap_or_default()));
    }
    Ok((sum, authority.bound(sum, seq)))
}

fn check(tx: &mut Tx<'_>, authority: &Authority) -> Result<RowsCheck, RepositoryError> {
    let mut checked = RowsCheck {
        counts: Vec::new(),
        faults: Vec::new(),
        fault_count: 0,
        bound: None,
        base: RowsSum::default(),
        tip: None,
    };
    for table in TABLES {
        check_table(tx, authority, table, &mut checked)?;
    }
    authority.bad.store(checked.fault_count, Ordering::Relaxed);
    checked.base = checked.base.minus(pending(tx, authority)?.sum);
    let last = last(tx)?;
    checked.tip = last.as_ref().and_then(Last::tip);
    checked.bound = last.and_then(|last| last.binds(authority, checked.base));
    Ok(checked)
}

/// The sum that the next audit entry goes on from, as the last one left it; `None`: what stands
/// there is not what the server wrote. One of an earlier version left none: then it is that of the
/// rows as they are.
///
/// # Errors
/// [`RepositoryError`].
pub(in crate::repository) fn base(
    tx: &mut Tx<'_>,
    authority: &Authority,
) -> Result<Option<RowsSum>, RepositoryError> {
    let last = last(tx)?;
    if let Some((tip, masked)) = last
        .as_ref()
        .and_then(|last| Some((last.tip()?, last.masked?)))
    {
        let sum = authority.mask(tip, RowsSum::from_bytes(&masked));
        let binds = last.and_then(|last| last.binds(authority, sum));
        return Ok((binds == Some(true)).then_some(sum));
    }
    let checked = check(tx, authority)?;
    Ok((checked.bound != Some(false)).then_some(checked.base))
}

/// The last audit entry, as far as it knows the rows.
struct Last {
    seq: u64,
    mac: Option<RowMac>,
    bound: Owned,
    masked: Option<RowMac>,
}

impl Last {
    fn tip(&self) -> Option<AuditTip> {
        let (count, mac) = (self.seq, self.mac?);
        Some(AuditTip { count, mac })
    }

    /// Whether it knows this sum; `None`: it knows none.
    fn binds(&self, authority: &Authority, sum: RowsSum) -> Option<bool> {
        match &self.bound {
            Owned::Null => None,
            bound => Some(bound.mac() == Some(authority.bound(sum, self.seq))),
        }
    }
}

fn last(tx: &mut Tx<'_>) -> Result<Option<Last>, RepositoryError> {
    tx.query_optional(
        "SELECT seq, mac, authority, rows_sum FROM audit_entries ORDER BY seq DESC LIMIT 1",
        &[],
        |row| {
            Ok(Last {
                seq: row.get::<i64>(0)?.cast_unsigned(),
                mac: Owned::of(row.column(1)?).mac(),
                bound: Owned::of(row.column(2)?),
                masked: Owned::of(row.column(3)?).mac(),
            })
        },
    )
}

fn check_table(
    tx: &mut Tx<'_>,
    authority: &Authority,
    table: &Table,
    checked: &mut RowsCheck,
) -> Result<(), RepositoryError> {
    let stamps = tx.query(&table.select("true"), &[], |row| Stamp::read(table, row, 0))?;
    checked.counts.push((table.name, stamps.len() as u64));
    for stamp in stamps {
        if let Some(mac) = &stamp.mac {
            checked.base = checked.base.plus(authority.element(mac));
        }
        match authority.check(tx, table, &stamp) {
            Ok(_) => {}
            Err(RepositoryError::RowChanged { kind, table, name }) => {
                checked.fault_count += 1;
                if checked.faults.len() < MAX_FAULTS {
                    checked.faults.push(RowFault { kind, table, name });
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[derive(Default)]
struct Pending {
    sum: RowsSum,
    count: u64,
    forged: u64,
}

fn pending(tx: &mut Tx<'_>, authority: &Authority) -> Result<Pending, RepositoryError> {
    let epoch = epoch(tx)?;
    let mut pending = Pending::default();
    let differences = tx.query(
        "SELECT epoch, before, after, mac FROM authority_changes",
        &params![],
        |row| difference(row, authority, epoch),
    )?;
    for difference in differences {
        pending.count += 1;
        match difference {
            Some(difference) => pending.sum = pending.sum.plus(difference),
            None => pending.forged += 1,
        }
    }
    Ok(pending)
}

/// `None`: it was not inserted by this server since the last audit entry.
fn difference(
    row: &Row<'_>,
    authority: &Authority,
    epoch: i64,
) -> Result<Option<RowsSum>, RepositoryError> {
    let [of, before, after, mac] = [0, 1, 2, 3].map(|index| row.column(index).map(Owned::of));
    let (before, after) = (before?, after?);
    if of? != Owned::Integer(epoch) {
        return Ok(None);
    }
    let bytes = |mac: &Owned| match mac.value() {
        Value::Blob(bytes) if bytes.len() == TAG_LEN => Some(bytes.to_vec()),
        _ => None,
    };
    let (from, to) = (bytes(&before), bytes(&after));
    let expected = authority.change_mac(epoch, from.as_deref(), to.as_deref());
    if mac?.mac() != Some(expected) {
        return Ok(None);
    }
    let element =
        |mac: Option<RowMac>| mac.map_or(RowsSum::default(), |mac| authority.element(&mac));
    Ok(Some(element(after.mac()).minus(element(before.mac()))))
}

impl Authority {
    /// What a row with this MAC adds to the sum.
    fn element(&self, mac: &RowMac) -> RowsSum {
        RowsSum::from_bytes(&self.key.tag(&[ELEMENT, mac]).to_bytes())
    }

    /// What the audit entry `seq` says of the rows whose sum this is.
    fn bound(&self, sum: RowsSum, seq: u64) -> RowMac {
        let limbs = sum.0.map(u64::to_be_bytes);
        let parts = [BOUND, &seq.to_be_bytes(), limbs.as_flattened()];
        self.key.tag(&parts).to_bytes()
    }

    /// Masks a sum for its place beside the entry at `tip`, or takes the mask off.
    fn mask(&self, tip: AuditTip, sum: RowsSum) -> RowsSum {
        let mask = self.key.tag(&[MASK, &tip.count.to_be_bytes(), &tip.mac]);
        let mask = RowsSum::from_bytes(&mask.to_bytes());
        let mut masked = sum;
        for (limb, mask) in masked.0.iter_mut().zip(mask.0) {
            *limb ^= mask;
        }
        masked
    }

    /// A sum as it stands beside the entry at `tip`, which binds it.
    pub(in crate::repository) fn masked(&self, tip: AuditTip, sum: RowsSum) -> RowMac {
        let mut bytes = RowMac::default();
        let limbs = self.mask(tip, sum).0.map(u64::to_be_bytes);
        bytes.copy_from_slice(limbs.as_flattened());
        bytes
    }
}

impl RowsSum {
    /// Of no rows.
    #[cfg(test)]
    pub(crate) const ZERO: Self = Self([0; 4]);

    fn from_bytes(bytes: &RowMac) -> Self {
        let mut limbs = [0; 4];
        for (limb, bytes) in limbs.iter_mut().zip(bytes.as_chunks::<8>().0) {
            *limb = u64::from_be_bytes(*bytes);
        }
        Self(limbs)
    }

    fn plus(self, other: Self) -> Self {
        let mut sum = [0; 4];
        let mut carry = false;
        for (to, (left, right)) in sum.iter_mut().zip(self.0.into_iter().zip(other.0)).rev() {
            let (partial, over) = left.overflowing_add(right);
            let (limb, again) = partial.overflowing_add(carry.into());
            (*to, carry) = (limb, over || again);
        }
        Self(sum)
    }

    fn minus(self, other: Self) -> Self {
        // Two's complement: -x = !x + 1.
        let one = Self([0, 0, 0, 1]);
        self.plus(Self(other.0.map(|limb| !limb)).plus(one))
    }
}

impl fmt::Debug for RowsSum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RowsSum([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_carries_over_every_limb_and_does_not_depend_on_the_order() {
        let most = RowsSum([u64::MAX; 4]);
        let one = RowsSum([0, 0, 0, 1]);
        assert_eq!(most.plus(one), RowsSum::default());
        assert_eq!(RowsSum::default().minus(one), most);
        let authority = Authority::new(&[7; 32]);
        let elements: Vec<_> = (0..20).map(|byte| authority.element(&[byte; 32])).collect();
        let sum = |order: &mut dyn Iterator<Item = &RowsSum>| {
            order.fold(RowsSum::default(), |sum, one| sum.plus(*one))
        };
        let there = sum(&mut elements.iter());
        assert_eq!(sum(&mut elements.iter().rev()), there);
        let without = there.minus(elements[3]);
        assert_ne!(without, there);
        assert_eq!(without.plus(elements[3]), there);
    }
}
