//! Common resources: resources in a fixed order, among which a log-in finds its account. The place
//! of a resource in one stands among its settings, under the same MAC.

use std::collections::BTreeMap;

use super::authority::{Authority, RESOURCES};
use super::resource_rows::{find, read, store};
use super::resources::not_found;
use super::sql::{Tx, params};
use super::{Repository, RepositoryError};

/// What stands before the name of a common resource, among the settings of a resource that is in
/// it, with its place.
pub(super) const COMMON: &str = "common:";

/// A place in a common resource: the directory, counted from 0, and which of those resources that
/// are one directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CommonPlace {
    /// Which directory.
    pub directory: u16,
    /// Which way to it.
    pub way: u16,
}

/// A common resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommonResource {
    /// Its name.
    pub name: String,
    /// The directories in their order, each the names of the resources that are that directory.
    pub directories: Vec<Vec<String>>,
}

/// The common resources.
#[derive(Clone, Copy, Debug)]
pub struct CommonResources<'a> {
    repository: &'a Repository,
}

impl Repository {
    /// The common resources.
    pub const fn common_resources(&self) -> CommonResources<'_> {
        CommonResources { repository: self }
    }
}

impl CommonPlace {
    /// As it is stored.
    pub(super) fn text(self) -> String {
        format!("{}.{}", self.directory, self.way)
    }

    /// From what is stored; what makes no sense comes last.
    pub(super) fn parse(text: &str) -> Self {
        let parsed = text
            .split_once('.')
            .and_then(|(directory, way)| Some((directory.parse().ok()?, way.parse().ok()?)));
        let (directory, way) = parsed.unwrap_or((u16::MAX, u16::MAX));
        Self { directory, way }
    }
}

impl CommonResources<'_> {
    /// All of them, by name. Resources whose record decides nothing are in none.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn list(&self) -> Result<Vec<CommonResource>, RepositoryError> {
        let authority = self.repository.database.authority()?;
        let database = &self.repository.database;
        database.read(move |tx| all(tx, &authority)).await
    }

    /// The one of this name; `None`: there is none.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn find(&self, name: &str) -> Result<Option<CommonResource>, RepositoryError> {
        let all = self.list().await?;
        Ok(all.into_iter().find(|common| common.name == name))
    }

    /// Gives the one of this name these directories, in this order; none removes it. Tells whether
    /// there was one.
    ///
    /// # Errors
    /// [`RepositoryError::NotFound`] where there is no resource of one of the names.
    pub async fn set(&self, common: CommonResource) -> Result<bool, RepositoryError> {
        let authority = self.repository.database.authority()?;
        self.repository
            .database
            .write(move |tx| {
                let CommonResource { name, directories } = &common;
                let before = all(tx, &authority)?;
                let before = before.into_iter().find(|one| one.name == *name);
                let mut places = BTreeMap::new();
                for (directory, ways) in (0..).zip(directories) {
                    for (way, resource) in (0..).zip(ways) {
                        let place = CommonPlace { directory, way };
                        places.insert(resource.clone(), Some(place));
                    }
                }
                let was_there = before.is_some();
                let gone = before.into_iter().flat_map(|one| one.directories).flatten();
                for resource in gone {
                    places.entry(resource).or_insert(None);
                }
                for (resource, place) in &places {
                    put(tx, &authority, name, (resource, *place))?;
                }
                Ok(was_there)
            })
            .await
    }
}

/// Gives a resource a place, or takes it away.
fn put(
    tx: &mut Tx<'_>,
    authority: &Authority,
    name: &str,
    (resource, place): (&str, Option<CommonPlace>),
) -> Result<(), RepositoryError> {
    let guarded = authority.guard(tx, &RESOURCES, "name = ?1", &params![resource])?;
    let mut found =
        find(tx, authority, resource)?.ok_or_else(|| not_found("resource", resource))?;
    match place {
        Some(place) => drop(found.common.insert(name.to_owned(), place)),
        None => drop(found.common.remove(name)),
    }
    store(tx, &found)?;
    guarded.settle(tx)
}

fn all(tx: &mut Tx<'_>, authority: &Authority) -> Result<Vec<CommonResource>, RepositoryError> {
    let sql = "SELECT DISTINCT resource FROM resource_settings WHERE substr(name, 1, ?1) = ?2";
    let length = i64::try_from(COMMON.len()).unwrap_or(i64::MAX);
    let names: Vec<String> = tx.query(sql, &params![length, COMMON], |row| row.get(0))?;
    let mut places = BTreeMap::<String, BTreeMap<CommonPlace, String>>::new();
    for resource in names {
        let found = read(tx, authority, &resource)?;
        let Some(found) = found.filter(|found| found.fault.is_none()) else {
            continue;
        };
        for (name, place) in found.common {
            let of = places.entry(name).or_default();
            of.insert(place, resource.clone());
        }
    }
    Ok(places
        .into_iter()
        .map(|(name, places)| {
            let mut directories = BTreeMap::<u16, Vec<String>>::new();
            for (place, resource) in places {
                let ways = directories.entry(place.directory).or_default();
                ways.push(resource);
            }
            let directories = directories.into_values().collect();
            CommonResource { name, directories }
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::super::resources::tests::with_resource;
    use super::*;

    #[tokio::test]
    async fn the_order_stays_as_it_was_given_and_ends_with_its_resources() {
        let fixture = with_resource().await;
        let resources = fixture.repository.resources();
        let ldap = resources.find("ldap").await.unwrap().unwrap();
        for name in ["a", "z"] {
            let mut other = ldap.clone();
            other.name = name.to_owned();
            resources.add(other).await.unwrap();
        }
        let common = fixture.repository.common_resources();
        let staff = |directories: &[&[&str]]| CommonResource {
            name: "staff".to_owned(),
            directories: directories
                .iter()
                .map(|ways| ways.iter().map(|one| (*one).to_owned()).collect())
                .collect(),
        };
        let given = staff(&[&["z", "ldap"], &["a"]]);
        assert!(!common.set(given.clone()).await.unwrap());
        let another = fixture.another().await;
        assert_eq!(another.common_resources().list().await.unwrap(), [given]);
        // Its settings are none of the resource's own.
        let z = resources.find("z").await.unwrap().unwrap();
        assert_eq!((z.settings, z.mapping), (ldap.settings, ldap.mapping));
        assert!(common.set(staff(&[&["a"], &["z"]])).await.unwrap());
        let found = common.find("staff").await.unwrap();
        assert_eq!(found, Some(staff(&[&["a"], &["z"]])));
        assert!(common.set(staff(&[&["nobody"]])).await.is_err());
        resources.remove("a").await.unwrap();
        assert_eq!(common.find("staff").await.unwrap(), Some(staff(&[&["z"]])));
        assert!(common.set(staff(&[])).await.unwrap());
        assert_eq!(common.list().await.unwrap(), []);
    }
}
