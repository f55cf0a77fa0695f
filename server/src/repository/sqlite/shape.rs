//! Whether the tables of a file are those that this program makes. What else a file may hold, such
//! as triggers, is part of it and would take part in every change: they are switched off, and a
//! table or an index that is another one is not worked with.

use std::collections::BTreeMap;

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use crate::repository::{MIGRATIONS, RepositoryError};

/// Tables and indexes, by name, with the statement that made each.
type Shape = BTreeMap<String, String>;

/// Has nothing that stands in the file run in our transactions: whoever can write the file could
/// have a row changed between our change of it and its MAC.
///
/// # Errors
/// [`RepositoryError`].
pub(super) fn run_nothing_of_the_file(connection: &Connection) -> Result<(), RepositoryError> {
    for what in [
        DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER,
        DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW,
    ] {
        connection.set_db_config(what, false)?;
    }
    Ok(())
}

/// Compares the tables and indexes of a file with those of one just made.
///
/// # Errors
/// [`RepositoryError::SchemaChanged`] with the first that is missing or another one.
pub(super) fn check(connection: &Connection) -> Result<(), RepositoryError> {
    let made = made()?;
    let (expected, found) = (of(&made)?, of(connection)?);
    let changed = expected
        .into_iter()
        .find(|(name, sql)| found.get(name) != Some(sql));
    match changed {
        Some((name, _)) => Err(RepositoryError::SchemaChanged { name }),
        None => Ok(()),
    }
}

/// An empty repository in memory.
///
/// # Errors
/// [`RepositoryError`].
pub(super) fn made() -> Result<Connection, RepositoryError> {
    let made = Connection::open_in_memory()?;
    for migration in MIGRATIONS {
        made.execute_batch(migration)?;
    }
    Ok(made)
}

fn of(connection: &Connection) -> Result<Shape, RepositoryError> {
    let mut statement = connection.prepare(
        "SELECT name, sql FROM sqlite_schema WHERE type IN ('table', 'index') AND sql IS NOT NULL AND substr(name, 1, 7) <> 'sqlite_'",
    )?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}
