//! How a resource lies in its table, with its settings and what stands among them.

use std::collections::{BTreeMap, BTreeSet};

use super::authority::{Authority, RESOURCES, Stamp, Table};
use super::columns::{from_sql_millis, to_sql_millis};
use super::common_resources::{COMMON, CommonPlace};
use super::pending_secrets::{PENDING, pending_field};
use super::resources::{context, gateway_id, not_found, place};
use super::sql::{Tx, Value, params};
use super::{ProtectedType, RepositoryError, Resource, sealed_values};

/// What stands before a rule of the mapping among the settings, under the same MAC; no setting has
/// a colon in its name.
const RULE: &str = "map:";

/// The same of a group that the resource is in.
const GROUP: &str = "group:";

/// The resource, where its row checks.
pub(super) fn find(
    tx: &mut Tx<'_>,
    authority: &Authority,
    name: &str,
) -> Result<Option<Resource>, RepositoryError> {
    let Some((stamp, resource)) = read_row(tx, name)? else {
        return Ok(None);
    };
    authority.check(tx, &RESOURCES, &stamp)?;
    with_lost_settings(tx, authority, resource).map(Some)
}

/// The resource; where its row does not check, with what is wrong with it.
pub(super) fn read(
    tx: &mut Tx<'_>,
    authority: &Authority,
    name: &str,
) -> Result<Option<Resource>, RepositoryError> {
    let Some((stamp, mut resource)) = read_row(tx, name)? else {
        return Ok(None);
    };
    match authority.check(tx, &RESOURCES, &stamp) {
        Ok(_) => with_lost_settings(tx, authority, resource).map(Some),
        Err(error @ RepositoryError::RowChanged { .. }) => {
            resource.fault = Some(error.to_string());
            Ok(Some(resource))
        }
        Err(error) => Err(error),
    }
}

pub(super) fn read_row(
    tx: &mut Tx<'_>,
    name: &str,
) -> Result<Option<(Stamp, Resource)>, RepositoryError> {
    let Table { columns, .. } = RESOURCES;
    let found = tx.query_optional(
        &format!("SELECT {columns}, mac FROM resources WHERE name = ?1"),
        &params![name],
        |row| {
            let resource = Resource {
                name: name.to_owned(),
                gateway: row.get(1)?,
                connector: row.get(2)?,
                settings: BTreeMap::new(),
                mapping: BTreeMap::new(),
                groups: BTreeSet::new(),
                secret_settings: BTreeSet::new(),
                lost_settings: BTreeSet::new(),
                pending: BTreeMap::new(),
                common: BTreeMap::new(),
                fault: None,
                created: from_sql_millis(row.get(3)?),
            };
            Ok((Stamp::read(&RESOURCES, row, 0)?, resource))
        },
    )?;
    let Some((stamp, mut resource)) = found else {
        return Ok(None);
    };
    let settings = tx.query(
        "SELECT name, value FROM resource_settings WHERE resource = ?1",
        &params![name],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    for (name, value) in settings {
        let name: String = name;
        if let Some(target) = name.strip_prefix(RULE) {
            resource.mapping.insert(target.to_owned(), value);
        } else if let Some(group) = name.strip_prefix(GROUP) {
            resource.groups.insert(group.to_owned());
        } else if let Some(common) = name.strip_prefix(COMMON) {
            let place = CommonPlace::parse(&value);
            resource.common.insert(common.to_owned(), place);
        } else if let Some(setting) = name.strip_prefix(PENDING) {
            resource.pending.insert(setting.to_owned(), value);
        } else {
            resource.settings.insert(name, value);
        }
    }
    let kind = ProtectedType::ResourcePassword;
    let secret = sealed_values::fields(tx, kind, name.as_bytes())?;
    let secret = secret.into_iter();
    resource.secret_settings = secret.filter(|name| !name.starts_with(PENDING)).collect();
    Ok(Some((stamp, resource)))
}

/// Finds the secret settings that are not for the gateway as it is registered now.
fn with_lost_settings(
    tx: &mut Tx<'_>,
    authority: &Authority,
    mut resource: Resource,
) -> Result<Resource, RepositoryError> {
    if resource.secret_settings.is_empty() {
        return Ok(resource);
    }
    let expected = match gateway_id(tx, authority, &resource.gateway) {
        Ok(id) => Some(context(id, &resource.connector)),
        Err(RepositoryError::RowChanged { .. }) => None,
        Err(error) => return Err(error),
    };
    for setting in &resource.secret_settings {
        let found = sealed_values::context_of(tx, &place(&resource.name, setting, &[]))?;
        if found != expected {
            resource.lost_settings.insert(setting.clone());
        }
    }
    Ok(resource)
}

/// Writes a resource in the place of what stands under its name.
pub(super) fn store(tx: &mut Tx<'_>, resource: &Resource) -> Result<(), RepositoryError> {
    let sql = "SELECT 1 FROM gateways WHERE name = ?1";
    if !tx.exists(sql, &params![resource.gateway])? {
        return Err(not_found("gateway", &resource.gateway));
    }
    tx.execute(
        "INSERT INTO resources (name, gateway, connector, created_ms) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (name) DO UPDATE SET gateway = excluded.gateway, connector = excluded.connector",
        &params![
            resource.name,
            resource.gateway,
            resource.connector,
            to_sql_millis(resource.created),
        ],
    )?;
    tx.execute(
        "DELETE FROM resource_settings WHERE resource = ?1",
        &params![resource.name],
    )?;
    let kept = kept(resource);
    let rows: Vec<_> = kept
        .iter()
        .map(|(name, value)| {
            [
                Value::Text(&resource.name),
                Value::Text(name),
                Value::Text(value),
            ]
        })
        .collect();
    tx.execute_many(
        "INSERT INTO resource_settings (resource, name, value) VALUES (?1, ?2, ?3)",
        &rows,
    )?;
    Ok(())
}

/// The plain settings of a resource, and what stands among them.
fn kept(resource: &Resource) -> BTreeMap<String, String> {
    let mut kept = resource.settings.clone();
    let rules = resource.mapping.iter();
    kept.extend(rules.map(|(target, template)| (format!("{RULE}{target}"), template.clone())));
    let groups = resource.groups.iter();
    kept.extend(groups.map(|group| (format!("{GROUP}{group}"), String::new())));
    let pending = resource.pending.iter();
    kept.extend(pending.map(|(setting, call)| (pending_field(setting), call.clone())));
    let common = resource.common.iter();
    kept.extend(common.map(|(name, place)| (format!("{COMMON}{name}"), place.text())));
    kept
}
