//! What one transaction does to rows that decide, kept while it goes on: differences for the audit
//! entries that it ends with, and what it has found out about rows that nobody else can change
//! before.

use super::{Authority, QUEUED_CALLS, RowMac, Table};
use crate::repository::RepositoryError;
use crate::repository::sql::Tx;

/// A difference: the MAC of a row before and after its change.
pub(super) type Difference = (Option<RowMac>, Option<RowMac>);

/// Differences that are not inserted, because an entry of the same transaction binds them.
#[derive(Default)]
struct Gathered {
    gathers: bool,
    differences: Vec<Difference>,
}

/// How often rows of other tables than that of calls were changed in this transaction.
#[derive(Clone, Copy, Default)]
struct Changed(u64);

/// From now on differences are gathered, until they are taken.
pub(in crate::repository) fn begin_to_gather(tx: &mut Tx<'_>) {
    tx.keep(Gathered {
        gathers: true,
        differences: Vec::new(),
    });
}

/// Does `work` in a savepoint: where it fails, what it has changed and gathered is undone.
///
/// # Errors
/// [`RepositoryError`] of the savepoint, within it that of the work alone.
pub(in crate::repository) fn undone_if_failed<T>(
    tx: &mut Tx<'_>,
    work: impl FnOnce(&mut Tx<'_>) -> Result<T, RepositoryError>,
) -> Result<Result<T, RepositoryError>, RepositoryError> {
    tx.execute("SAVEPOINT beside", &[])?;
    let before = gathered(tx);
    let done = work(tx);
    if done.is_err() {
        tx.batch("ROLLBACK TO beside")?;
        undo_from(tx, before);
    }
    tx.execute("RELEASE beside", &[])?;
    Ok(done)
}

/// How many differences are gathered.
fn gathered(tx: &mut Tx<'_>) -> usize {
    let gathered: Gathered = tx.take_kept();
    let count = gathered.differences.len();
    tx.keep(gathered);
    count
}

/// What was done since so many were gathered is undone.
fn undo_from(tx: &mut Tx<'_>, count: usize) {
    let mut gathered: Gathered = tx.take_kept();
    gathered.differences.truncate(count);
    tx.keep(gathered);
    count_change(tx);
}

/// Gathers a difference; false: it is to be inserted.
pub(super) fn gather(tx: &mut Tx<'_>, before: Option<&RowMac>, after: Option<&RowMac>) -> bool {
    let mut gathered: Gathered = tx.take_kept();
    let gathers = gathered.gathers;
    if gathers {
        let difference = (before.copied(), after.copied());
        gathered.differences.push(difference);
    }
    tx.keep(gathered);
    gathers
}

/// Takes what was gathered; nothing more is.
pub(super) fn take_gathered(tx: &mut Tx<'_>) -> Vec<Difference> {
    tx.take_kept::<Gathered>().differences
}

impl Authority {
    /// Inserts what was gathered: no entry of this transaction binds it.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub(in crate::repository) fn insert_gathered(
        &self,
        tx: &mut Tx<'_>,
    ) -> Result<(), RepositoryError> {
        for (before, after) in take_gathered(tx) {
            self.insert_difference(tx, before.as_ref(), after.as_ref())?;
        }
        Ok(())
    }
}

/// A row of this table is about to be changed, or was.
pub(super) fn changing(tx: &mut Tx<'_>, table: &Table) {
    // What calls depend on are other rows.
    if table.name != QUEUED_CALLS.name {
        count_change(tx);
    }
}

/// A row of another table than that of calls was changed.
pub(super) fn count_change(tx: &mut Tx<'_>) {
    let Changed(count) = tx.take_kept();
    tx.keep(Changed(count.wrapping_add(1)));
}

/// What stays the same in a transaction for as long as no resource, gateway or key was changed in
/// it.
pub(in crate::repository) fn changes(tx: &mut Tx<'_>) -> u64 {
    let changed: Changed = tx.take_kept();
    tx.keep(changed);
    changed.0
}
