//! The resources that calls are about, with their settings.

use std::collections::{BTreeMap, BTreeSet};

use portcullis_common::rotation::UnixMillis;
use zeroize::Zeroizing;

use portcullis_host::clock;

use super::columns::{from_sql_millis, to_sql_millis};
use super::sql::{Tx, Value, params};
use super::{
    Place, ProtectedType, Repository, RepositoryError, password_history, queued_calls,
    sealed_values,
};

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
    /// The names of those that are secret; their values are sealed.
    pub secret_settings: BTreeSet<String>,
    /// When it was added.
    pub created: UnixMillis,
}

/// The values of a resource's secret settings, by name.
pub type SecretSettings = BTreeMap<String, Zeroizing<Vec<u8>>>;

/// What a change of a resource came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// The resource as it now is.
    pub resource: Resource,
    /// The secret settings that were removed since the resource moved to another gateway or
    /// connector.
    pub dropped: Vec<String>,
    /// How many queued calls were cancelled for the same reason.
    pub cancelled: usize,
}

/// The resources.
#[derive(Clone, Copy, Debug)]
pub struct Resources<'a> {
    repository: &'a Repository,
}

impl Repository {
    /// The resources that calls are about.
    pub const fn resources(&self) -> Resources<'_> {
        Resources { repository: self }
    }
}

impl Resources<'_> {
    /// Adds one under a new name.
    ///
    /// # Errors
    /// [`RepositoryError::AlreadyExists`] where the name is taken, `NotFound` where there is no
    /// such gateway.
    pub async fn add(&self, resource: Resource) -> Result<(), RepositoryError> {
        self.repository
            .database
            .write(move |tx| {
                if find(tx, &resource.name)?.is_some() {
                    return Err(RepositoryError::AlreadyExists {
                        kind: "resource",
                        name: resource.name.clone(),
                    });
                }
                store(tx, &resource)
            })
            .await
    }

    /// All of them, by name.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn list(&self) -> Result<Vec<Resource>, RepositoryError> {
        self.repository
            .database
            .read(|tx| {
                let names: Vec<String> =
                    tx.query("SELECT name FROM resources ORDER BY name", &[], |row| {
                        row.get(0)
                    })?;
                names
                    .iter()
                    .filter_map(|name| find(tx, name).transpose())
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
        self.repository
            .database
            .read(move |tx| find(tx, &name))
            .await
    }

    /// The resource of that name, with the values of its secret settings; `None` where there is
    /// none.
    ///
    /// # Errors
    /// [`RepositoryError`]; `Sealed` where one does not open.
    pub async fn open(
        &self,
        name: &str,
    ) -> Result<Option<(Resource, SecretSettings)>, RepositoryError> {
        let name = name.to_owned();
        let sealer = self.repository.sealer.clone();
        self.repository
            .database
            .read(move |tx| {
                let Some(resource) = find(tx, &name)? else {
                    return Ok(None);
                };
                let mut secrets = SecretSettings::new();
                for setting in &resource.secret_settings {
                    let place = place(&name, setting);
                    if let Some(sealed) = sealed_values::find(tx, &place)? {
                        secrets.insert(setting.clone(), sealer.open(&place, &sealed)?);
                    }
                }
                Ok(Some((resource, secrets)))
            })
            .await
    }

    /// Lets `change` alter a resource (all but its name and secret settings) in one transaction,
    /// and gives it as it then is.
    ///
    /// # Errors
    /// [`RepositoryError::NotFound`] where there is no such resource, or no such gateway as the one
    /// it now names.
    pub async fn update<F>(&self, name: &str, change: F) -> Result<Resource, RepositoryError>
    where
        F: Fn(&mut Resource) + Send + 'static,
    {
        let changed = self.update_with(name, SecretSettings::new(), change);
        Ok(changed.await?.resource)
    }

    /// As [`Self::update`], and stores the values of secret settings; an empty one removes a
    /// setting. A setting is secret or not: the way in which it is given now stands. Where the
    /// gateway or the connector changes, the secret settings that are not given anew are removed
    /// and the queued calls that wait are cancelled: they were meant for another place.
    ///
    /// # Errors
    /// As [`Self::update`].
    pub async fn update_with<F>(
        &self,
        name: &str,
        secrets: SecretSettings,
        change: F,
    ) -> Result<Changed, RepositoryError>
    where
        F: Fn(&mut Resource) + Send + 'static,
    {
        let name = name.to_owned();
        let sealer = &self.repository.sealer;
        let sealed: Vec<_> = secrets
            .into_iter()
            .map(|(setting, value)| {
                let sealed =
                    (!value.is_empty()).then(|| sealer.seal(&place(&name, &setting), &value));
                (setting, sealed)
            })
            .collect();
        self.repository
            .database
            .write(move |tx| {
                let mut resource = find(tx, &name)?.ok_or_else(|| not_found("resource", &name))?;
                let secret = std::mem::take(&mut resource.secret_settings);
                let before = (resource.gateway.clone(), resource.connector.clone());
                change(&mut resource);
                resource.name.clone_from(&name);
                let moved = before != (resource.gateway.clone(), resource.connector.clone());
                let dropped = drop_secrets(tx, &resource, &secret, &sealed, moved)?;
                set_secrets(tx, &mut resource, &sealed)?;
                store(tx, &resource)?;
                resource.secret_settings = secret_settings(tx, &resource.name)?;
                let cancelled = match moved {
                    true => queued_calls::cancel_of_resource(tx, &resource.name, clock::now())?,
                    false => 0,
                };
                Ok(Changed {
                    resource,
                    dropped,
                    cancelled,
                })
            })
            .await
    }

    /// Removes one, with its secret settings and the password history of its accounts. Queued calls
    /// that wait for it are cancelled.
    ///
    /// # Errors
    /// [`RepositoryError::NotFound`] where there is none of that name.
    pub async fn remove(&self, name: &str) -> Result<(), RepositoryError> {
        let name = name.to_owned();
        self.repository
            .database
            .write(move |tx| {
                remove(tx, &name, clock::now())?;
                Ok(())
            })
            .await
    }
}

/// Removes one with all that is of it alone. Gives how many calls that waited for it were
/// cancelled.
pub(super) fn remove(
    tx: &mut Tx<'_>,
    name: &str,
    now: UnixMillis,
) -> Result<usize, RepositoryError> {
    if tx.execute("DELETE FROM resources WHERE name = ?1", &params![name])? == 0 {
        return Err(not_found("resource", name));
    }
    let kind = ProtectedType::ResourcePassword;
    sealed_values::remove_of_owner(tx, kind, name.as_bytes())?;
    password_history::remove_of_resource(tx, name)?;
    queued_calls::cancel_of_resource(tx, name, now)
}

fn not_found(kind: &'static str, name: &str) -> RepositoryError {
    RepositoryError::NotFound {
        kind,
        name: name.to_owned(),
    }
}

fn find(tx: &mut Tx<'_>, name: &str) -> Result<Option<Resource>, RepositoryError> {
    let resource = tx.query_optional(
        "SELECT gateway, connector, created_ms FROM resources WHERE name = ?1",
        &params![name],
        |row| {
            Ok(Resource {
                name: name.to_owned(),
                gateway: row.get(0)?,
                connector: row.get(1)?,
                settings: BTreeMap::new(),
                secret_settings: BTreeSet::new(),
                created: from_sql_millis(row.get(2)?),
            })
        },
    )?;
    let Some(mut resource) = resource else {
        return Ok(None);
    };
    let settings = tx.query(
        "SELECT name, value FROM resource_settings WHERE resource = ?1",
        &params![name],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    resource.settings = settings.into_iter().collect();
    resource.secret_settings = secret_settings(tx, name)?;
    Ok(Some(resource))
}

fn secret_settings(tx: &mut Tx<'_>, name: &str) -> Result<BTreeSet<String>, RepositoryError> {
    let kind = ProtectedType::ResourcePassword;
    let names = sealed_values::fields(tx, kind, name.as_bytes())?;
    Ok(names.into_iter().collect())
}

/// The values of secret settings that a change gives, sealed for their places; `None`: the setting
/// is to go.
type GivenSecrets = [(String, Option<Vec<u8>>)];

/// Removes, of the settings that were `secret`, those that are no more. Gives the names of those
/// that only go because the resource `moved`.
fn drop_secrets(
    tx: &mut Tx<'_>,
    resource: &Resource,
    secret: &BTreeSet<String>,
    given: &GivenSecrets,
    moved: bool,
) -> Result<Vec<String>, RepositoryError> {
    let mut dropped = Vec::new();
    for setting in secret {
        let given = given.iter().any(|(name, _)| name == setting);
        let plain = resource.settings.contains_key(setting);
        if moved && !given && !plain {
            dropped.push(setting.clone());
        }
        if plain || moved {
            sealed_values::remove(tx, &place(&resource.name, setting))?;
        }
    }
    Ok(dropped)
}

/// Stores or removes the secret settings that a change gives.
fn set_secrets(
    tx: &mut Tx<'_>,
    resource: &mut Resource,
    given: &GivenSecrets,
) -> Result<(), RepositoryError> {
    for (setting, sealed) in given {
        let place = place(&resource.name, setting);
        match sealed {
            Some(sealed) => {
                sealed_values::put(tx, &place, sealed)?;
                resource.settings.remove(setting);
            }
            None => sealed_values::remove(tx, &place)?,
        }
    }
    Ok(())
}

fn place<'a>(resource: &'a str, setting: &'a str) -> Place<'a> {
    Place {
        kind: ProtectedType::ResourcePassword,
        owner: resource.as_bytes(),
        field: setting,
    }
}

fn store(tx: &mut Tx<'_>, resource: &Resource) -> Result<(), RepositoryError> {
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
    let rows: Vec<_> = resource
        .settings
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

#[cfg(test)]
mod tests {
    use portcullis_common::id::KeyKind;

    use super::super::Reach;
    use super::super::tests::{Fixture, NOW, registration};
    use super::*;

    fn secrets(given: &[(&str, &str)]) -> SecretSettings {
        given
            .iter()
            .map(|(name, value)| {
                (
                    (*name).to_owned(),
                    Zeroizing::new(value.as_bytes().to_vec()),
                )
            })
            .collect()
    }

    async fn with_resource() -> Fixture {
        let fixture = Fixture::new().await;
        let token = registration(KeyKind::Tdes);
        let gateways = fixture.repository.gateways();
        gateways
            .add("g", Reach::DialOut, &token, NOW)
            .await
            .unwrap();
        let resource = Resource {
            name: "ldap".to_owned(),
            gateway: "g".to_owned(),
            connector: "c".to_owned(),
            settings: BTreeMap::from([("base".to_owned(), "dc=x".to_owned())]),
            secret_settings: BTreeSet::new(),
            created: NOW,
        };
        fixture.repository.resources().add(resource).await.unwrap();
        fixture
    }

    #[tokio::test]
    async fn secret_settings_are_read_as_stored_and_removed_with_the_resource() {
        let fixture = with_resource().await;
        let resources = fixture.repository.resources();
        let given = secrets(&[("password", "one"), ("pin", "two")]);
        let changed = resources.update_with("ldap", given, |_| ()).await.unwrap();
        let resource = changed.resource;
        assert!(resource.secret_settings.iter().eq(["password", "pin"]));
        fixture.change_server_key().await;
        let given = secrets(&[("password", "three"), ("pin", "")]);
        resources.update_with("ldap", given, |_| ()).await.unwrap();
        let another = fixture.another().await;
        let (resource, opened) = another.resources().open("ldap").await.unwrap().unwrap();
        assert!(resource.secret_settings.iter().eq(["password"]));
        assert_eq!(opened, secrets(&[("password", "three")]));

        resources.remove("ldap").await.unwrap();
        let values = fixture.repository.database().sealed_values();
        let left = values.counts().await.unwrap();
        assert!(
            !left
                .iter()
                .any(|count| count.kind == ProtectedType::ResourcePassword),
            "{left:?}"
        );
    }

    #[tokio::test]
    async fn a_setting_is_secret_or_not() {
        let fixture = with_resource().await;
        let resources = fixture.repository.resources();
        let given = secrets(&[("base", "secret")]);
        let changed = resources.update_with("ldap", given, |_| ()).await.unwrap();
        let resource = changed.resource;
        assert!(resource.settings.is_empty());
        let resource = resources
            .update("ldap", |resource| {
                resource
                    .settings
                    .insert("base".to_owned(), "plain".to_owned());
            })
            .await
            .unwrap();
        assert!(resource.secret_settings.is_empty());
        let (resource, opened) = resources.open("ldap").await.unwrap().unwrap();
        assert_eq!(resource.settings["base"], "plain");
        assert!(opened.is_empty());
    }
}
