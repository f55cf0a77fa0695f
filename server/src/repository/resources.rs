use std::collections::BTreeMap;

use portcullis_common::rotation::UnixMillis;
use rusqlite::{OptionalExtension, Transaction};

use super::registration_row::{from_sql_millis, to_sql_millis};
use super::{Database, RepositoryError};

/// A resource: a connector of a gateway, with settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// Its name, unique.
    pub name: String,
    /// The gateway that reaches it.
    pub gateway: String,
    /// The connector's name in that gateway's configuration.
    pub connector: String,
    /// The settings passed along with each call.
    pub settings: BTreeMap<String, String>,
    /// When it was added.
    pub created: UnixMillis,
}

/// The resources.
#[derive(Clone, Copy, Debug)]
pub struct Resources<'a> {
    database: &'a Database,
}

impl<'a> Resources<'a> {
    pub(super) const fn new(database: &'a Database) -> Self {
        Self { database }
    }

    /// Adds one under a new name.
    ///
    /// # Errors
    /// [`RepositoryError::AlreadyExists`] where the name is taken, `NotFound` where there is no such gateway.
    pub async fn add(&self, resource: Resource) -> Result<(), RepositoryError> {
        self.database
            .write(move |transaction| {
                if find(transaction, &resource.name)?.is_some() {
                    return Err(RepositoryError::AlreadyExists {
                        kind: "resource",
                        name: resource.name,
                    });
                }
                store(transaction, &resource)
            })
            .await
    }

    /// All of them, by name.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn list(&self) -> Result<Vec<Resource>, RepositoryError> {
        self.database
            .read(|transaction| {
                let mut statement =
                    transaction.prepare_cached("SELECT name FROM resources ORDER BY name")?;
                let names = statement
                    .query_map([], |row| row.get::<_, String>(0))?
                    .collect::<Result<Vec<_>, _>>()?;
                names
                    .iter()
                    .filter_map(|name| find(transaction, name).transpose())
                    .collect()
            })
            .await
    }

    /// The resource of that name; `None` where there is none.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn find(&self, name: &str) -> Result<Option<Resource>, RepositoryError> {
        let name = name.to_owned();
        self.database
            .read(move |transaction| find(transaction, &name))
            .await
    }

    /// Lets `change` alter a resource (all but its name) in one transaction, and gives it as it then is.
    ///
    /// # Errors
    /// [`RepositoryError::NotFound`] where there is no such resource, or no such gateway as the one it now names.
    pub async fn update<F>(&self, name: &str, change: F) -> Result<Resource, RepositoryError>
    where
        F: FnOnce(&mut Resource) + Send + 'static,
    {
        let name = name.to_owned();
        self.database
            .write(move |transaction| {
                let mut resource =
                    find(transaction, &name)?.ok_or_else(|| not_found("resource", &name))?;
                change(&mut resource);
                resource.name = name;
                store(transaction, &resource)?;
                Ok(resource)
            })
            .await
    }

    /// Removes one.
    ///
    /// # Errors
    /// [`RepositoryError::NotFound`] where there is none of that name.
    pub async fn remove(&self, name: &str) -> Result<(), RepositoryError> {
        let name = name.to_owned();
        self.database
            .write(move |transaction| {
                match transaction.execute("DELETE FROM resources WHERE name = ?1", [&name])? {
                    0 => Err(not_found("resource", &name)),
                    _ => Ok(()),
                }
            })
            .await
    }
}

fn not_found(kind: &'static str, name: &str) -> RepositoryError {
    RepositoryError::NotFound {
        kind,
        name: name.to_owned(),
    }
}

fn find(transaction: &Transaction<'_>, name: &str) -> Result<Option<Resource>, RepositoryError> {
    let resource = transaction
        .prepare_cached("SELECT gateway, connector, created_ms FROM resources WHERE name = ?1")?
        .query_row([name], |row| {
            Ok(Resource {
                name: name.to_owned(),
                gateway: row.get(0)?,
                connector: row.get(1)?,
                settings: BTreeMap::new(),
                created: from_sql_millis(row.get(2)?),
            })
        })
        .optional()?;
    let Some(mut resource) = resource else {
        return Ok(None);
    };
    resource.settings = transaction
        .prepare_cached("SELECT name, value FROM resource_settings WHERE resource = ?1")?
        .query_map([name], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    Ok(Some(resource))
}

fn store(transaction: &Transaction<'_>, resource: &Resource) -> Result<(), RepositoryError> {
    transaction
        .query_row(
            "SELECT 1 FROM gateways WHERE name = ?1",
            [&resource.gateway],
            |_| Ok(()),
        )
        .optional()?
        .ok_or_else(|| not_found("gateway", &resource.gateway))?;
    transaction.execute(
        "INSERT INTO resources (name, gateway, connector, created_ms) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (name) DO UPDATE SET gateway = excluded.gateway, connector = excluded.connector",
        (
            &resource.name,
            &resource.gateway,
            &resource.connector,
            to_sql_millis(resource.created),
        ),
    )?;
    transaction.execute(
        "DELETE FROM resource_settings WHERE resource = ?1",
        [&resource.name],
    )?;
    let mut insert = transaction.prepare_cached(
        "INSERT INTO resource_settings (resource, name, value) VALUES (?1, ?2, ?3)",
    )?;
    for (name, value) in &resource.settings {
        insert.execute((&resource.name, name, value))?;
    }
    Ok(())
}
