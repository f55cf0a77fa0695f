//! Groups of gateways: names that an administrator gave, each gateway in any number of them.

use std::collections::HashMap;

use rusqlite::Transaction;

use super::RepositoryError;

/// The groups of every gateway that is in any, in order.
pub(super) fn all(
    transaction: &Transaction<'_>,
) -> Result<HashMap<String, Vec<String>>, RepositoryError> {
    let mut statement = transaction
        .prepare_cached("SELECT gateway, name FROM gateway_groups ORDER BY gateway, name")?;
    let mut rows = statement.query([])?;
    let mut groups = HashMap::<String, Vec<String>>::new();
    while let Some(row) = rows.next()? {
        groups.entry(row.get(0)?).or_default().push(row.get(1)?);
    }
    Ok(groups)
}

/// The groups of one gateway, in order.
pub(super) fn of(
    transaction: &Transaction<'_>,
    gateway: &str,
) -> Result<Vec<String>, RepositoryError> {
    let mut statement = transaction
        .prepare_cached("SELECT name FROM gateway_groups WHERE gateway = ?1 ORDER BY name")?;
    let rows = statement.query_map([gateway], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Puts a gateway into groups; it may be in them already.
pub(super) fn add(
    transaction: &Transaction<'_>,
    gateway: &str,
    groups: &[String],
) -> Result<(), RepositoryError> {
    let mut statement = transaction.prepare_cached(
        "INSERT INTO gateway_groups (gateway, name) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
    )?;
    for group in groups {
        statement.execute((gateway, group))?;
    }
    Ok(())
}

/// Takes a gateway out of groups; it need not be in them.
pub(super) fn remove(
    transaction: &Transaction<'_>,
    gateway: &str,
    groups: &[String],
) -> Result<(), RepositoryError> {
    let mut statement = transaction
        .prepare_cached("DELETE FROM gateway_groups WHERE gateway = ?1 AND name = ?2")?;
    for group in groups {
        statement.execute((gateway, group))?;
    }
    Ok(())
}
