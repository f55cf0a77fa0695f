//! The numbers that PostgreSQL gives out by itself, and the time that a long transaction may take.

use crate::repository::RepositoryError;
use crate::repository::sql::{Tx, params};

/// The last number that was given out in a table; 0: none was.
///
/// # Errors
/// [`RepositoryError`].
pub(in crate::repository) fn last_number(
    tx: &mut Tx<'_>,
    table: &str,
    column: &str,
) -> Result<i64, RepositoryError> {
    let sql =
        "SELECT coalesce(pg_sequence_last_value(pg_get_serial_sequence(?1, ?2)::regclass), 0)";
    tx.query_one(sql, &params![table, column], |row| row.get(0))
}

/// Numbers are given out after this one.
///
/// # Errors
/// [`RepositoryError`].
pub(in crate::repository) fn set_last_number(
    tx: &mut Tx<'_>,
    table: &str,
    column: &str,
    last: i64,
) -> Result<(), RepositoryError> {
    let sql = "SELECT setval(pg_get_serial_sequence(?1, ?2)::regclass, ?3)";
    tx.query_one(sql, &params![table, column, last], |_| Ok(()))
}

/// The transaction may stand idle for as long as whoever has it is busy elsewhere.
///
/// # Errors
/// [`RepositoryError`].
pub(in crate::repository) fn take_time(tx: &mut Tx<'_>) -> Result<(), RepositoryError> {
    tx.batch("SET LOCAL idle_in_transaction_session_timeout TO 0")
}
