//! Groups of gateways: names that an administrator gave, each gateway in any number of them.

use std::collections::HashMap;

use super::RepositoryError;
use super::sql::{Tx, Value, params};

/// The groups of every gateway that is in any, in order.
pub(super) fn all(tx: &mut Tx<'_>) -> Result<HashMap<String, Vec<String>>, RepositoryError> {
    let rows = tx.query(
        "SELECT gateway, name FROM gateway_groups ORDER BY gateway, name",
        &[],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    let mut groups = HashMap::<String, Vec<String>>::new();
    for (gateway, name) in rows {
        groups.entry(gateway).or_default().push(name);
    }
    Ok(groups)
}

/// The groups of one gateway, in order.
pub(super) fn of(tx: &mut Tx<'_>, gateway: &str) -> Result<Vec<String>, RepositoryError> {
    tx.query(
        "SELECT name FROM gateway_groups WHERE gateway = ?1 ORDER BY name",
        &params![gateway],
        |row| row.get(0),
    )
}

/// Puts a gateway into groups; it may be in them already.
pub(super) fn add(
    tx: &mut Tx<'_>,
    gateway: &str,
    groups: &[String],
) -> Result<(), RepositoryError> {
    let rows = rows(gateway, groups);
    tx.execute_many(
        "INSERT INTO gateway_groups (gateway, name) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
        &rows,
    )?;
    Ok(())
}

/// Takes a gateway out of groups; it need not be in them.
pub(super) fn remove(
    tx: &mut Tx<'_>,
    gateway: &str,
    groups: &[String],
) -> Result<(), RepositoryError> {
    let rows = rows(gateway, groups);
    tx.execute_many(
        "DELETE FROM gateway_groups WHERE gateway = ?1 AND name = ?2",
        &rows,
    )?;
    Ok(())
}

fn rows<'a>(gateway: &'a str, groups: &'a [String]) -> Vec<[Value<'a>; 2]> {
    let groups = groups.iter();
    groups
        .map(|group| [Value::Text(gateway), Value::Text(group)])
        .collect()
}
