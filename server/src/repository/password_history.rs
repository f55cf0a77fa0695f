//! The digests of earlier passwords, of users and of accounts.

use data_encoding::HEXLOWER;
use rand::RngExt;
use zeroize::Zeroizing;

use super::sql::{Tx, params};
use super::{Place, ProtectedType, Repository, RepositoryError, Sealer, sealed_values};

/// Whose earlier passwords.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HistoryOwner {
    /// A user's.
    User(String),
    /// Those of an account on a resource.
    Account {
        /// The resource's name.
        resource: String,
        /// What the account is called in calls: `name:` or `id:` and the rest.
        account: String,
    },
}

impl HistoryOwner {
    /// Of the account that calls know by this name.
    pub fn account_named(resource: &str, name: &str) -> Self {
        Self::Account {
            resource: resource.to_owned(),
            account: format!("name:{name}"),
        }
    }

    /// Of the account that calls know by this id.
    pub fn account_with_id(resource: &str, id: &str) -> Self {
        Self::Account {
            resource: resource.to_owned(),
            account: format!("id:{id}"),
        }
    }

    const fn kind(&self) -> ProtectedType {
        match self {
            Self::User(_) => ProtectedType::PasswordHistory,
            Self::Account { .. } => ProtectedType::ResourcePasswordHistory,
        }
    }

    /// No name of a resource holds a `/`.
    fn owner(&self) -> Vec<u8> {
        match self {
            Self::User(name) => name.clone().into_bytes(),
            Self::Account { resource, account } => format!("{resource}/{account}").into_bytes(),
        }
    }
}

/// A password about to be remembered.
#[derive(Clone, Debug)]
pub struct HistoryEntry {
    /// Its digest.
    pub digest: Zeroizing<Vec<u8>>,
    /// How many are kept, with this one.
    pub depth: u32,
}

impl HistoryEntry {
    pub(super) fn seal(&self, of: HistoryOwner, sealer: &dyn Sealer) -> SealedEntry {
        // A name of its own: what is sealed for one place opens in no other.
        let field = HEXLOWER.encode(&rand::rng().random::<[u8; 16]>());
        let owner = of.owner();
        let sealed = sealer.seal(&place(of.kind(), &owner, &field), &self.digest);
        SealedEntry {
            kind: of.kind(),
            owner,
            field,
            sealed,
            depth: self.depth,
        }
    }
}

pub(super) struct SealedEntry {
    kind: ProtectedType,
    owner: Vec<u8>,
    field: String,
    sealed: Vec<u8>,
    depth: u32,
}

/// The digests of earlier passwords, of users and of accounts.
#[derive(Clone, Copy, Debug)]
pub struct PasswordHistory<'a> {
    repository: &'a Repository,
}

impl Repository {
    /// The digests of earlier passwords.
    pub const fn password_history(&self) -> PasswordHistory<'_> {
        PasswordHistory { repository: self }
    }
}

impl PasswordHistory<'_> {
    /// The digests of `of`, newest first.
    ///
    /// # Errors
    /// [`RepositoryError`]; `Sealed` where one does not open.
    pub async fn digests(
        &self,
        of: HistoryOwner,
    ) -> Result<Vec<Zeroizing<Vec<u8>>>, RepositoryError> {
        let sealer = self.repository.sealer.clone();
        self.repository
            .database
            .read(move |tx| {
                let owner = of.owner();
                let fields = sealed_values::fields(tx, of.kind(), &owner)?;
                let mut digests = Vec::new();
                for field in fields.iter().rev() {
                    let place = place(of.kind(), &owner, field);
                    if let Some(sealed) = sealed_values::find(tx, &place)? {
                        digests.push(sealer.open(&place, &sealed)?);
                    }
                }
                Ok(digests)
            })
            .await
    }

    /// Remembers a password, and forgets the oldest beyond the depth.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn add(&self, of: HistoryOwner, entry: HistoryEntry) -> Result<(), RepositoryError> {
        let sealed = entry.seal(of, self.repository.sealer.as_ref());
        self.repository
            .database
            .write(move |tx| store(tx, &sealed))
            .await
    }

    /// Forgets all of `of`.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn remove(&self, of: HistoryOwner) -> Result<(), RepositoryError> {
        self.repository
            .database
            .write(move |tx| sealed_values::remove_of_owner(tx, of.kind(), &of.owner()))
            .await
    }

    /// Makes what `from` had that of `to`, in the place of what that had. Where `from` has nothing
    /// (any more), nothing changes.
    ///
    /// # Errors
    /// [`RepositoryError`]; `Sealed` where one does not open: nothing has changed then.
    pub async fn rename(
        &self,
        from: HistoryOwner,
        to: HistoryOwner,
    ) -> Result<(), RepositoryError> {
        let sealer = self.repository.sealer.clone();
        self.repository
            .database
            .write(move |tx| {
                let (old, new) = (from.owner(), to.owner());
                if old == new {
                    return Ok(());
                }
                let fields = sealed_values::fields(tx, from.kind(), &old)?;
                if fields.is_empty() {
                    return Ok(());
                }
                sealed_values::remove_of_owner(tx, to.kind(), &new)?;
                for field in fields {
                    let before = place(from.kind(), &old, &field);
                    if let Some(sealed) = sealed_values::find(tx, &before)? {
                        let digest = sealer.open(&before, &sealed)?;
                        let after = place(to.kind(), &new, &field);
                        let sealed = sealer.seal(&after, &digest);
                        sealed_values::put(tx, &after, &sealed)?;
                    }
                }
                sealed_values::remove_of_owner(tx, from.kind(), &old)
            })
            .await
    }
}

/// Stores an entry and forgets the oldest beyond its depth.
pub(super) fn store(tx: &mut Tx<'_>, entry: &SealedEntry) -> Result<(), RepositoryError> {
    let place = place(entry.kind, &entry.owner, &entry.field);
    sealed_values::put(tx, &place, &entry.sealed)?;
    tx.execute(
            "DELETE FROM sealed_values WHERE type = ?1 AND owner = ?2 AND id NOT IN
                 (SELECT id FROM sealed_values WHERE type = ?1 AND owner = ?2 ORDER BY id DESC LIMIT ?3)",
        &params![entry.kind.name(), entry.owner, entry.depth],
    )?;
    Ok(())
}

/// Forgets, of every owner of one type, the oldest beyond `depth`.
pub(super) fn trim_all(
    tx: &mut Tx<'_>,
    kind: ProtectedType,
    depth: u32,
) -> Result<(), RepositoryError> {
    tx.execute(
        "DELETE FROM sealed_values WHERE id IN
             (SELECT id FROM (SELECT id, row_number() OVER (PARTITION BY owner ORDER BY id DESC) AS age
                              FROM sealed_values WHERE type = ?1) AS aged WHERE age > ?2)",
        &params![kind.name(), depth],
    )?;
    Ok(())
}

/// Forgets what the accounts of a resource had.
pub(super) fn remove_of_resource(tx: &mut Tx<'_>, resource: &str) -> Result<(), RepositoryError> {
    // From `/` up to the byte that follows it.
    let (first, end) = (format!("{resource}/"), format!("{resource}0"));
    tx.execute(
        "DELETE FROM sealed_values WHERE type = ?1 AND owner >= ?2 AND owner < ?3",
        &params![
            ProtectedType::ResourcePasswordHistory.name(),
            first.as_bytes(),
            end.as_bytes(),
        ],
    )?;
    Ok(())
}

const fn place<'a>(kind: ProtectedType, owner: &'a [u8], field: &'a str) -> Place<'a> {
    Place {
        kind,
        owner,
        field,
        context: &[],
    }
}

#[cfg(test)]
mod tests {
    use portcullis_common::id::KeyKind;

    use super::super::tests::{Fixture, NOW, registration};
    use super::super::{PasswordPolicy, Reach, Resource};
    use super::*;

    fn account(resource: &str, account: &str) -> HistoryOwner {
        HistoryOwner::Account {
            resource: resource.to_owned(),
            account: account.to_owned(),
        }
    }

    async fn add(fixture: &Fixture, of: &HistoryOwner, digest: &str, depth: u32) {
        let entry = HistoryEntry {
            digest: Zeroizing::new(digest.as_bytes().to_vec()),
            depth,
        };
        let history = fixture.repository.password_history();
        history.add(of.clone(), entry).await.unwrap();
    }

    async fn read(fixture: &Fixture, of: &HistoryOwner) -> Vec<String> {
        let history = fixture.repository.password_history();
        let digests = history.digests(of.clone()).await.unwrap();
        digests
            .iter()
            .map(|digest| String::from_utf8(digest.to_vec()).unwrap())
            .collect()
    }

    #[tokio::test]
    async fn the_newest_are_kept_to_the_depth_for_each_owner_alone() {
        let fixture = Fixture::new().await;
        let (ada, other) = (account("host1", "name:ada"), account("host10", "name:ada"));
        let user = HistoryOwner::User("host1/name:ada".to_owned());
        for digest in ["1", "2", "3"] {
            add(&fixture, &ada, digest, 2).await;
        }
        add(&fixture, &other, "a", 5).await;
        add(&fixture, &user, "u", 5).await;
        assert_eq!(read(&fixture, &ada).await, ["3", "2"]);
        assert_eq!(read(&fixture, &other).await, ["a"]);
        assert_eq!(read(&fixture, &user).await, ["u"]);
    }

    #[tokio::test]
    async fn a_new_policy_trims_what_there_is() {
        let fixture = Fixture::new().await;
        let (ada, bob) = (account("host1", "name:ada"), account("host1", "name:bob"));
        let user = HistoryOwner::User("ada".to_owned());
        for digest in ["1", "2", "3"] {
            for of in [&ada, &bob, &user] {
                add(&fixture, of, digest, 9).await;
            }
        }
        let policy = PasswordPolicy {
            account_history: 2,
            ..PasswordPolicy::default()
        };
        fixture
            .repository
            .password_policy()
            .set(policy)
            .await
            .unwrap();
        assert_eq!(read(&fixture, &ada).await, ["3", "2"]);
        assert_eq!(read(&fixture, &bob).await, ["3", "2"]);
        assert!(read(&fixture, &user).await.is_empty());
    }

    #[tokio::test]
    async fn it_follows_a_rename_and_goes_with_account_and_resource() {
        let fixture = Fixture::new().await;
        let history = fixture.repository.password_history();
        let (ada, eve) = (account("host1", "name:ada"), account("host1", "name:eve"));
        let elsewhere = account("host10", "name:ada");
        for digest in ["1", "2"] {
            add(&fixture, &ada, digest, 9).await;
        }
        add(&fixture, &eve, "of another", 9).await;
        add(&fixture, &elsewhere, "x", 9).await;
        history.rename(ada.clone(), eve.clone()).await.unwrap();
        assert!(read(&fixture, &ada).await.is_empty());
        assert_eq!(read(&fixture, &eve).await, ["2", "1"]);
        // As after a crash before the outcome was recorded.
        history.rename(ada.clone(), eve.clone()).await.unwrap();
        assert_eq!(read(&fixture, &eve).await, ["2", "1"]);
        add(&fixture, &ada, "1", 9).await;
        history.remove(eve.clone()).await.unwrap();
        assert!(read(&fixture, &eve).await.is_empty());

        let token = registration(KeyKind::Tdes);
        let gateways = fixture.repository.gateways();
        gateways
            .add("g", Reach::DialOut, &token, NOW)
            .await
            .unwrap();
        let resource = Resource {
            name: "host1".to_owned(),
            gateway: "g".to_owned(),
            connector: "c".to_owned(),
            settings: std::collections::BTreeMap::new(),
            mapping: std::collections::BTreeMap::new(),
            secret_settings: std::collections::BTreeSet::new(),
            groups: std::collections::BTreeSet::new(),
            lost_settings: std::collections::BTreeSet::new(),
            pending: Default::default(),
            common: Default::default(),
            fault: None,
            created: NOW,
        };
        fixture.repository.resources().add(resource).await.unwrap();
        fixture
            .repository
            .resources()
            .remove("host1")
            .await
            .unwrap();
        assert!(read(&fixture, &ada).await.is_empty());
        assert_eq!(read(&fixture, &elsewhere).await, ["x"]);
    }
}
