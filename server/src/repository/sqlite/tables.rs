//! The tables that this program makes, as SQLite tells of them, and the numbers that it gives out.

use rusqlite::Connection;

use super::shape;
use crate::repository::RepositoryError;
use crate::repository::sql::{Tx, params};
use crate::repository::transfer::Table;

/// All tables that make up a repository, each after those that it refers to: not the servers that
/// are at work on one.
///
/// # Errors
/// [`RepositoryError`].
pub(in crate::repository) fn tables() -> Result<Vec<Table>, RepositoryError> {
    let made = shape::made()?;
    let mut statement = made.prepare(
        "SELECT name, sql FROM sqlite_schema WHERE type = 'table' AND substr(name, 1, 7) <> 'sqlite_' AND name <> 'servers' ORDER BY name",
    )?;
    let named = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut waiting = Vec::new();
    for named in named {
        let (name, sql): (String, String) = named?;
        let parents = parents(&made, &name)?;
        waiting.push((table(&made, name, &sql)?, parents));
    }
    let mut ordered: Vec<Table> = Vec::with_capacity(waiting.len());
    while !waiting.is_empty() {
        let before = waiting.len();
        let (ready, rest) = waiting.into_iter().partition(|(_, parents)| {
            let is_there = |parent: &String| ordered.iter().any(|table| table.name == *parent);
            parents.iter().all(is_there)
        });
        waiting = rest;
        let ready: Vec<(Table, Vec<String>)> = ready;
        ordered.extend(ready.into_iter().map(|(table, _)| table));
        if waiting.len() == before {
            return Err(RepositoryError::damaged("order of tables"));
        }
    }
    Ok(ordered)
}

fn table(made: &Connection, name: String, sql: &str) -> Result<Table, RepositoryError> {
    let mut statement =
        made.prepare("SELECT name, pk, hidden FROM pragma_table_xinfo(?1) ORDER BY cid")?;
    let read = statement.query_map([&name], |row| {
        Ok((row.get(0)?, row.get::<_, u32>(1)?, row.get::<_, u32>(2)?))
    })?;
    let (mut columns, mut key) = (Vec::new(), Vec::new());
    for column in read {
        let (column, place, hidden): (String, u32, u32) = column?;
        // A generated one is made of the others.
        if hidden != 0 {
            continue;
        }
        if place > 0 {
            key.push((place, column.clone()));
        }
        columns.push(column);
    }
    key.sort_unstable();
    let key: Vec<_> = key.into_iter().map(|(_, column)| column).collect();
    // As the dialect of the other engine reads it.
    let is_numbered = sql.contains("INTEGER PRIMARY KEY");
    Ok(Table {
        numbered: key.first().filter(|_| is_numbered).cloned(),
        never_again: sql.contains("AUTOINCREMENT"),
        name,
        columns,
        key,
    })
}

/// The other tables that one refers to.
fn parents(made: &Connection, name: &str) -> Result<Vec<String>, RepositoryError> {
    let mut statement = made.prepare("SELECT \"table\" FROM pragma_foreign_key_list(?1)")?;
    let read = statement.query_map([name], |row| row.get(0))?;
    Ok(read.collect::<Result<_, _>>()?)
}

/// The last number that was given out in a table; 0 where that is forgotten.
///
/// # Errors
/// [`RepositoryError`].
pub(in crate::repository) fn last_number(
    tx: &mut Tx<'_>,
    table: &Table,
) -> Result<i64, RepositoryError> {
    if !table.never_again {
        return Ok(0);
    }
    let sql = "SELECT seq FROM sqlite_sequence WHERE name = ?1";
    let found = tx.query_optional(sql, &params![table.name], |row| row.get(0))?;
    Ok(found.unwrap_or(0))
}

/// Numbers are given out after this one.
///
/// # Errors
/// [`RepositoryError`].
pub(in crate::repository) fn set_last_number(
    tx: &mut Tx<'_>,
    table: &Table,
    last: i64,
) -> Result<(), RepositoryError> {
    if !table.never_again {
        return Ok(());
    }
    let remove = "DELETE FROM sqlite_sequence WHERE name = ?1";
    tx.execute(remove, &params![table.name])?;
    let insert = "INSERT INTO sqlite_sequence (name, seq) VALUES (?1, ?2)";
    tx.execute(insert, &params![table.name, last])?;
    Ok(())
}
