//! The resources that calls are about, with their settings.

use std::collections::{BTreeMap, BTreeSet};

use portcullis_common::id::GatewayId;
use portcullis_common::rotation::UnixMillis;
use zeroize::Zeroizing;

use portcullis_host::clock;

use super::authority::{self, Authority, GATEWAYS, RESOURCES, Stamp, Table};
use super::common_resources::CommonPlace;
use super::pending_secrets::{PendingSecret, forget_pending, pending};
use super::resource_rows::{find, read, read_row, store};
use super::sql::{Tx, Value, params};
use super::{
    Place, ProtectedType, Repository, RepositoryError, Sealer, meta, password_history,
    queued_calls, sealed_values,
};

/// Why a call that waited was cancelled.
const MOVED: &str = "its resource was moved to another gateway or connector";
const REMOVED: &str = "its resource was removed";

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
    /// Templates by `CLASS.NAME`: what the attributes of calls are called there.
    pub mapping: BTreeMap<String, String>,
    /// The groups that it is in: one command makes a call on each resource of a group.
    pub groups: BTreeSet<String>,
    /// The names of those that are secret; their values are sealed.
    pub secret_settings: BTreeSet<String>,
    /// Of them, those that were given for another registration of the gateway: they go to nobody,
    /// and have to be set again.
    pub lost_settings: BTreeSet<String>,
    /// Of the secret settings, the password that is being changed, with the id of the call that
    /// does it: its new value is kept beside the old one.
    pub pending: BTreeMap<String, String>,
    /// Its places in common resources, by their names.
    pub common: BTreeMap<String, CommonPlace>,
    /// What is wrong with its record, which decides nothing then; `None`: nothing.
    pub fault: Option<String>,
    /// When it was added.
    pub created: UnixMillis,
}

/// The values of a resource's secret settings, by name.
pub type SecretSettings = BTreeMap<String, Zeroizing<Vec<u8>>>;

/// Secret settings that were given for another registration of the gateway.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the secret settings of resource `{resource}` ({}) were given for an earlier registration of gateway `{gateway}`, which was evicted or enrolled again since, and go to no other: give them again, `portcullis resource set {resource} --secret-setting NAME`; nothing was sent", .settings.join(", ")
)]
pub struct LostSettings {
    /// The resource.
    pub resource: String,
    /// Its gateway.
    pub gateway: String,
    /// Their names, in order.
    pub settings: Vec<String>,
}

/// A resource as calls need it.
#[derive(Clone, Debug)]
pub struct OpenedResource {
    /// The resource.
    pub resource: Resource,
    /// The registration of its gateway: what is secret goes to that one only.
    pub gateway_id: GatewayId,
    /// The values of its secret settings.
    pub secrets: SecretSettings,
    /// The one that is being changed.
    pub pending: Option<PendingSecret>,
}

/// What a change of a resource came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// The resource as it now is.
    pub resource: Resource,
    /// The secret settings that were removed since the resource moved to another gateway or
    /// connector.
    pub dropped: Vec<String>,
    /// The ids of the queued calls that were cancelled for the same reason.
    pub cancelled: Vec<String>,
}

/// The resources.
#[derive(Clone, Copy, Debug)]
pub struct Resources<'a> {
    pub(super) repository: &'a Repository,
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
        let authority = self.repository.database.authority()?;
        self.repository
            .database
            .write(move |tx| {
                let sql = "SELECT 1 FROM resources WHERE name = ?1";
                if tx.exists(sql, &params![resource.name])? {
                    return Err(RepositoryError::AlreadyExists {
                        kind: "resource",
                        name: resource.name.clone(),
                    });
                }
                store(tx, &resource)?;
                authority.added(tx, &RESOURCES, Value::Text(&resource.name))
            })
            .await
    }

    /// All of them, by name, also those whose record decides nothing.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn list(&self) -> Result<Vec<Resource>, RepositoryError> {
        let authority = self.repository.database.authority()?;
        self.repository
            .database
            .read(move |tx| {
                let names: Vec<String> =
                    tx.query("SELECT name FROM resources ORDER BY name", &[], |row| {
                        row.get(0)
                    })?;
                names
                    .iter()
                    .filter_map(|name| read(tx, &authority, name).transpose())
                    .collect()
            })
            .await
    }

    /// The resource of that name; `None` where there is none.
    ///
    /// # Errors
    /// [`RepositoryError`]; `RowChanged` where its record decides nothing.
    pub async fn find(&self, name: &str) -> Result<Option<Resource>, RepositoryError> {
        let name = name.to_owned();
        let authority = self.repository.database.authority()?;
        self.repository
            .database
            .read(move |tx| find(tx, &authority, &name))
            .await
    }

    /// The resource of that name, with the values of its secret settings; `None` where there is
    /// none. Within it [`LostSettings`], where some were given for another registration of its
    /// gateway: nothing may be sent without them.
    ///
    /// # Errors
    /// [`RepositoryError`]; `Sealed` where one does not open.
    pub async fn open(
        &self,
        name: &str,
    ) -> Result<Option<Result<OpenedResource, LostSettings>>, RepositoryError> {
        let name = name.to_owned();
        let authority = self.repository.database.authority()?;
        let sealer = self.repository.sealer.clone();
        self.repository
            .database
            .look(move |tx| {
                let Some(resource) = find(tx, &authority, &name)? else {
                    return Ok(None);
                };
                if !resource.lost_settings.is_empty() {
                    return Ok(Some(Err(LostSettings {
                        resource: name.clone(),
                        gateway: resource.gateway,
                        settings: resource.lost_settings.into_iter().collect(),
                    })));
                }
                let gateway_id = gateway_id(tx, &authority, &resource.gateway)?;
                let context = context(gateway_id, &resource.connector);
                let pending = pending(tx, &resource, &context, &*sealer)?;
                let mut secrets = SecretSettings::new();
                for setting in &resource.secret_settings {
                    let place = place(&name, setting, &context);
                    if let Some(sealed) = sealed_values::find(tx, &place)? {
                        secrets.insert(setting.clone(), sealer.open(&place, &sealed)?);
                    }
                }
                Ok(Some(Ok(OpenedResource {
                    resource,
                    gateway_id,
                    secrets,
                    pending,
                })))
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
        let authority = self.repository.database.authority()?;
        let sealer = self.repository.sealer.clone();
        self.repository
            .database
            .write(move |tx| {
                let guarded = authority.guard(tx, &RESOURCES, "name = ?1", &params![name])?;
                let mut resource =
                    read(tx, &authority, &name)?.ok_or_else(|| not_found("resource", &name))?;
                let secret = std::mem::take(&mut resource.secret_settings);
                let before = (resource.gateway.clone(), resource.connector.clone());
                change(&mut resource);
                resource.name.clone_from(&name);
                let moved = before != (resource.gateway.clone(), resource.connector.clone());
                let dropped = drop_secrets(tx, &mut resource, &secret, &secrets, moved)?;
                // Sealed within the transaction: only there it is known which registration the
                // gateway has.
                let gateway_id = gateway_id(tx, &authority, &resource.gateway)?;
                let context = context(gateway_id, &resource.connector);
                set_secrets(tx, &mut resource, &secrets, &context, &*sealer)?;
                store(tx, &resource)?;
                guarded.settle(tx)?;
                let cancelled = match moved {
                    true => {
                        meta::raise_authority(tx)?;
                        let of = (&*resource.name, MOVED);
                        queued_calls::cancel_of_resource(tx, &authority, of, clock::now())?
                    }
                    false => Vec::new(),
                };
                let resource =
                    find(tx, &authority, &name)?.ok_or_else(|| not_found("resource", &name))?;
                Ok(Changed {
                    resource,
                    dropped,
                    cancelled,
                })
            })
            .await
    }

    /// Removes one, with its secret settings and the password history of its accounts. Queued calls
    /// that wait for it are cancelled; gives their ids.
    ///
    /// # Errors
    /// [`RepositoryError::NotFound`] where there is none of that name.
    pub async fn remove(&self, name: &str) -> Result<Vec<String>, RepositoryError> {
        let name = name.to_owned();
        let authority = self.repository.database.authority()?;
        self.repository
            .database
            .write(move |tx| remove(tx, &authority, &name, clock::now()))
            .await
    }
}

/// Removes one with all that is of it alone. Gives the ids of the calls that waited for it: they
/// are cancelled.
pub(super) fn remove(
    tx: &mut Tx<'_>,
    authority: &Authority,
    name: &str,
    now: UnixMillis,
) -> Result<Vec<String>, RepositoryError> {
    let guarded = authority.guard_any(tx, &RESOURCES, "name = ?1", &params![name])?;
    if tx.execute("DELETE FROM resources WHERE name = ?1", &params![name])? == 0 {
        return Err(not_found("resource", name));
    }
    guarded.settle(tx)?;
    meta::raise_authority(tx)?;
    let kind = ProtectedType::ResourcePassword;
    sealed_values::remove_of_owner(tx, kind, name.as_bytes())?;
    password_history::remove_of_resource(tx, name)?;
    queued_calls::cancel_of_resource(tx, authority, (name, REMOVED), now)
}

pub(super) fn not_found(kind: &'static str, name: &str) -> RepositoryError {
    RepositoryError::NotFound {
        kind,
        name: name.to_owned(),
    }
}

/// The id of the gateway's registration.
///
/// # Errors
/// [`RepositoryError::NotFound`] where there is no such gateway, `RowChanged` where its row decides
/// nothing.
pub(super) fn gateway_id(
    tx: &mut Tx<'_>,
    authority: &Authority,
    gateway: &str,
) -> Result<GatewayId, RepositoryError> {
    let Table { columns, .. } = GATEWAYS;
    let found = tx.query_optional(
        &format!("SELECT {columns}, mac FROM gateways WHERE name = ?1"),
        &params![gateway],
        |row| Ok((Stamp::read(&GATEWAYS, row, 0)?, row.get::<Vec<u8>>(3)?)),
    )?;
    let (stamp, id) = found.ok_or_else(|| not_found("gateway", gateway))?;
    authority.check(tx, &GATEWAYS, &stamp)?;
    GatewayId::from_bytes(&id).ok_or_else(|| RepositoryError::damaged("gateway id"))
}

/// Where calls on a resource go.
#[derive(Clone)]
pub(super) struct Route {
    /// The gateway's name.
    pub(super) gateway: String,
    /// Its registration.
    pub(super) gateway_id: GatewayId,
    /// Its registration and the connector: see [`context`].
    pub(super) context: Vec<u8>,
}

/// Where calls on a resource go, as its row and that of its gateway say.
///
/// # Errors
/// [`RepositoryError::NotFound`] where there is no such resource, `RowChanged` where one of the
/// rows decides nothing.
pub(super) fn route(
    tx: &mut Tx<'_>,
    authority: &Authority,
    name: &str,
) -> Result<Route, RepositoryError> {
    let changes = authority::changes(tx);
    let mut known: Routes = tx.take_kept();
    if known.changes != changes {
        known = Routes {
            changes,
            of: BTreeMap::new(),
        };
    }
    if let Some(route) = known.of.get(name).cloned() {
        tx.keep(known);
        return Ok(route);
    }
    let (stamp, resource) = read_row(tx, name)?.ok_or_else(|| not_found("resource", name))?;
    authority.check(tx, &RESOURCES, &stamp)?;
    let gateway_id = gateway_id(tx, authority, &resource.gateway)?;
    let route = Route {
        context: context(gateway_id, &resource.connector),
        gateway: resource.gateway,
        gateway_id,
    };
    known.of.insert(name.to_owned(), route.clone());
    tx.keep(known);
    Ok(route)
}

/// The routes that one transaction has looked for: many calls of a transaction go the same way.
#[derive(Default)]
struct Routes {
    /// How many changes there were before.
    changes: u64,
    of: BTreeMap<String, Route>,
}

/// Where what is secret may go: to this registration of a gateway, for this connector. The id is
/// first and always of one length.
pub(super) fn context(gateway: GatewayId, connector: &str) -> Vec<u8> {
    [&gateway.to_bytes(), connector.as_bytes()].concat()
}

/// Removes, of the settings that were `secret`, those that are no more. Gives the names of those
/// that only go because the resource `moved`.
fn drop_secrets(
    tx: &mut Tx<'_>,
    resource: &mut Resource,
    secret: &BTreeSet<String>,
    given: &SecretSettings,
    moved: bool,
) -> Result<Vec<String>, RepositoryError> {
    let mut dropped = Vec::new();
    for setting in secret {
        let given = given.contains_key(setting);
        let plain = resource.settings.contains_key(setting);
        if moved && !given && !plain {
            dropped.push(setting.clone());
        }
        if plain || moved {
            sealed_values::remove(tx, &place(&resource.name, setting, &[]))?;
        }
        if plain || moved || given {
            forget_pending(tx, resource, setting)?;
        }
    }
    Ok(dropped)
}

/// Stores or removes the secret settings that a change gives; an empty one is to go.
fn set_secrets(
    tx: &mut Tx<'_>,
    resource: &mut Resource,
    given: &SecretSettings,
    context: &[u8],
    sealer: &dyn Sealer,
) -> Result<(), RepositoryError> {
    for (setting, value) in given {
        let place = place(&resource.name, setting, context);
        if value.is_empty() {
            sealed_values::remove(tx, &place)?;
            continue;
        }
        sealed_values::put(tx, &place, &sealer.seal(&place, value))?;
        resource.settings.remove(setting);
    }
    Ok(())
}

pub(super) const fn place<'a>(resource: &'a str, setting: &'a str, context: &'a [u8]) -> Place<'a> {
    Place {
        kind: ProtectedType::ResourcePassword,
        owner: resource.as_bytes(),
        field: setting,
        context,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use portcullis_common::id::KeyKind;

    use super::super::Reach;
    use super::super::tests::{Fixture, NOW, registration};
    use super::*;

    pub(in super::super) fn secrets(given: &[(&str, &str)]) -> SecretSettings {
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

    pub(in super::super) async fn with_resource() -> Fixture {
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
            mapping: BTreeMap::new(),
            groups: BTreeSet::new(),
            lost_settings: BTreeSet::new(),
            pending: BTreeMap::new(),
            common: BTreeMap::new(),
            fault: None,
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
        let opened = another.resources().open("ldap").await.unwrap().unwrap();
        let OpenedResource {
            resource,
            secrets: opened,
            ..
        } = opened.unwrap();
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
        let opened = resources.open("ldap").await.unwrap().unwrap();
        let OpenedResource {
            resource,
            secrets: opened,
            ..
        } = opened.unwrap();
        assert_eq!(resource.settings["base"], "plain");
        assert!(opened.is_empty());
    }
}
