//! Whether changes outlive the loss of the database's host.

use crate::repository::RepositoryError;
use crate::repository::sql::Tx;

/// Whether a change is acknowledged that no standby has.
///
/// # Errors
/// [`RepositoryError`].
pub(in crate::repository) fn is_alone(tx: &mut Tx<'_>) -> Result<bool, RepositoryError> {
    let sql = "SELECT current_setting('synchronous_standby_names') = ''";
    tx.query_one(sql, &[], |row| row.get(0))
}
