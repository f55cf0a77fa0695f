//! The authority key at a start: opened, or made once for a repository of an earlier version.

use portcullis_common::crypto::storage;
use portcullis_common::id::KeyId;
use rand::Rng;
use zeroize::Zeroizing;

use super::key_rng::key_rng;
use super::protection::{Protection, Unlock};
use crate::repository::{AUTHORITY_KEY_LEN, Repository, RepositoryError};

/// Why a repository is not trusted to say who decides.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// The repository cannot be read or written, or the authority key does not open.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// It was bound before, and its authority key is gone.
    #[error(
        "the rows of this repository carried MACs before, as its server keys say, and the key of these MACs is gone: the repository was put back to an earlier schema by hand; restore it from a backup"
    )]
    Gone,
    /// It is bound, and a server key says that it is not.
    #[error(
        "server key {0} is wrapped as before the rows of this repository carried MACs: it was put back by hand; restore the repository from a backup"
    )]
    KeyPutBack(KeyId),
    /// The head file knows of MACs that are not there.
    #[error(
        "the rows of this repository carry no MACs, and the audit log's head file knows that they did: it was put back to an earlier state. If you restored a backup from before the upgrade yourself, move the head file away, start the server, and `portcullis audit accept`; if not, restore the latest backup"
    )]
    Known,
    /// The row of a server key was changed.
    #[error(
        "the record of server key {0} in the repository was changed by hand, and with it perhaps which key seals new values: restore the repository from a backup"
    )]
    ServerKeyChanged(KeyId),
}

/// Opens the authority key of `repository`, or makes it, once, with the MACs of all rows there are.
/// `known`: the audit log's head file says that they had MACs before. Only to be looked at, a
/// repository without them stays closed.
///
/// # Errors
/// [`AuthorityError`]: the repository may not be served.
pub async fn open(
    repository: &Repository,
    protection: &Protection,
    how: Unlock,
    known: bool,
) -> Result<(), AuthorityError> {
    let database = repository.database();
    let keys = database.server_keys().list().await?;
    let unbound = keys.iter().find(|row| !storage::is_bound(&row.wrapped));
    let any_bound = keys.iter().any(|row| storage::is_bound(&row.wrapped));
    match (database.has_authority().await?, unbound) {
        (true, None) => open_existing(repository).await,
        (true, Some(row)) => Err(AuthorityError::KeyPutBack(row.id)),
        (false, _) if any_bound => Err(AuthorityError::Gone),
        (false, _) if known => Err(AuthorityError::Known),
        (false, _) if how == Unlock::Look => Ok(()),
        (false, _) => {
            let mut wrapped = Vec::with_capacity(keys.len());
            for row in &keys {
                let key = protection
                    .unwrap(row.id, &row.wrapped)
                    .map_err(|_| AuthorityError::KeyPutBack(row.id))?;
                wrapped.push((row.id, protection.wrap(row.id, &key)));
            }
            make(repository, wrapped).await?;
            tracing::info!("the rows that decide carry MACs from now on");
            open_existing(repository).await
        }
    }
}

/// Makes the authority key of a repository just made, whose server keys are wrapped already.
///
/// # Errors
/// [`RepositoryError`].
pub async fn create(repository: &Repository) -> Result<(), RepositoryError> {
    make(repository, Vec::new()).await?;
    repository.open_authority().await
}

async fn open_existing(repository: &Repository) -> Result<(), AuthorityError> {
    repository.open_authority().await?;
    let keys = repository.database().server_keys().list().await?;
    match keys.iter().find(|row| !row.sound) {
        Some(row) => Err(AuthorityError::ServerKeyChanged(row.id)),
        None => Ok(()),
    }
}

async fn make(
    repository: &Repository,
    wrapped: Vec<(KeyId, Vec<u8>)>,
) -> Result<(), RepositoryError> {
    // On the heap, which is wiped when it is freed; an array would leave copies wherever it is
    // moved.
    let mut key = Zeroizing::new(vec![0; AUTHORITY_KEY_LEN]);
    key_rng().fill_bytes(&mut key);
    repository.bind_rows(&key, wrapped).await
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::sync::Arc;

    use portcullis_common::id::{GatewayId, KeyKind};
    use portcullis_common::rotation::{EnrolmentToken, Registration, UnixMillis};
    use tempfile::TempDir;

    use super::*;
    use crate::keys::{Keyring, gateway_keys};
    use crate::repository::{
        Database, Place, ProtectedType, Reach, Replaced, Resource, Sealer, literal, tamper,
    };

    const NOW: UnixMillis = UnixMillis(1_000_000);

    struct Site {
        folder: TempDir,
        protection: Protection,
    }

    impl Site {
        /// A repository with a gateway, and a resource with a password.
        async fn new() -> Self {
            let site = Self {
                folder: tempfile::tempdir().unwrap(),
                protection: Protection::random(),
            };
            let database = Database::create(&site.file()).await.unwrap();
            let keyring = Keyring::create(&database, &site.protection, NOW).await;
            let repository = Repository::new(database, Arc::new(keyring.unwrap()));
            create(&repository).await.unwrap();
            let key = gateway_keys::generate(KeyKind::Tdes, NOW);
            let keys = repository.gateway_keys();
            let _ = keys.rotate(key, None, Replaced::Retired).await.unwrap();
            let mut rng = rand::rng();
            let token =
                EnrolmentToken::random(GatewayId::random(&mut rng), KeyKind::Tdes, &mut rng);
            let registration = Registration::new(&token, NOW.plus(10), None);
            let gateways = repository.gateways();
            let added = gateways.add("host1", Reach::DialOut, &registration, NOW);
            added.await.unwrap();
            let resource = Resource {
                name: "hr".to_owned(),
                gateway: "host1".to_owned(),
                connector: "ldap".to_owned(),
                settings: BTreeMap::new(),
                secret_settings: BTreeSet::new(),
                mapping: BTreeMap::new(),
                groups: BTreeSet::new(),
                lost_settings: BTreeSet::new(),
                pending: BTreeMap::new(),
                common: BTreeMap::new(),
                fault: None,
                created: NOW,
            };
            let resources = repository.resources();
            resources.add(resource).await.unwrap();
            let password = Zeroizing::new(b"secret".to_vec());
            let secrets = BTreeMap::from([("password".to_owned(), password)]);
            resources.update_with("hr", secrets, |_| ()).await.unwrap();
            repository.database().close().await;
            site
        }

        fn file(&self) -> std::path::PathBuf {
            self.folder.path().join("test.db")
        }

        async fn open(&self, known: bool) -> Result<Repository, AuthorityError> {
            let database = Database::open(&self.file()).await?;
            let keyring = Keyring::unlock(&database, &self.protection).await.unwrap();
            let repository = Repository::new(database, Arc::new(keyring));
            let opened = open(&repository, &self.protection, Unlock::Mend, known).await;
            if opened.is_err() {
                repository.database().close().await;
            }
            opened.map(|()| repository)
        }

        /// Takes everything out that the version with MACs put in, as it was before, but for what
        /// only who has the secret can take out.
        fn strip(&self) {
            tamper(
                &self.file(),
                "UPDATE gateways SET mac = NULL; UPDATE resources SET mac = NULL;
                 UPDATE gateway_keys SET mac = NULL; UPDATE server_keys SET mac = NULL;
                 DELETE FROM authority_changes;
                 DELETE FROM sealed_values WHERE type = 'authority-key'",
            );
        }

        /// The same, with the secret: what is left is a repository of the version before.
        async fn strip_whole(&self) {
            let repository = self.open(false).await.unwrap();
            let database = repository.database();
            let rows = database.server_keys().list().await.unwrap();
            let keyring = Keyring::unlock(database, &self.protection).await.unwrap();
            let place = Place {
                kind: ProtectedType::ResourcePassword,
                owner: b"hr",
                field: "password",
                context: &[],
            };
            let sealed = keyring.seal(&place, b"secret");
            let key = self
                .protection
                .unwrap(rows[0].id, &rows[0].wrapped)
                .unwrap();
            let wrapped = self.protection.wrap_unbound(rows[0].id, &key);
            database.close().await;
            self.strip();
            tamper(
                &self.file(),
                &format!(
                    "UPDATE server_keys SET wrapped = {};
                     UPDATE sealed_values SET sealed = {}, context = x'' WHERE type = 'resource-password'",
                    literal(&wrapped),
                    literal(&sealed)
                ),
            );
        }
    }

    #[tokio::test]
    async fn a_repository_of_the_version_before_gets_its_macs_once() {
        let site = Site::new().await;
        site.strip_whole().await;
        let error = site.open(true).await.unwrap_err();
        assert!(matches!(error, AuthorityError::Known), "{error}");
        let repository = site.open(false).await.unwrap();
        let checked = repository.check_rows().await.unwrap();
        assert_eq!((checked.fault_count, checked.bound), (0, None));
        let opened = repository.resources().open("hr").await.unwrap().unwrap();
        assert_eq!(&**opened.unwrap().secrets["password"], b"secret");
        repository.database().close().await;
        // From then on, what has no MAC is not given one.
        tamper(&site.file(), "UPDATE gateways SET mac = NULL");
        let repository = site.open(false).await.unwrap();
        assert_eq!(repository.check_rows().await.unwrap().fault_count, 1);
    }

    #[tokio::test]
    async fn whoever_lacks_the_secret_has_no_row_bound_again() {
        let site = Site::new().await;
        site.strip();
        let error = site.open(false).await.unwrap_err();
        assert!(matches!(error, AuthorityError::Gone), "{error}");
        // The version of the schema is no way around, either.
        tamper(&site.file(), "PRAGMA user_version = 9");
        let error = site.open(false).await.unwrap_err();
        let put_back = matches!(
            error,
            AuthorityError::Repository(RepositoryError::SchemaPutBack { found: 9, .. })
        );
        assert!(put_back, "{error}");
    }

    #[tokio::test]
    async fn which_server_key_seals_is_not_chosen_by_hand() {
        let site = Site::new().await;
        let repository = site.open(false).await.unwrap();
        let keys = repository.database().server_keys();
        let id = KeyId::random(KeyKind::Aes256, &mut rand::rng());
        let key = portcullis_common::secret::ServerKey::random(KeyKind::Aes256, &mut rand::rng());
        keys.add(id, site.protection.wrap(id, &key), None, NOW)
            .await
            .unwrap();
        repository.database().close().await;
        site.open(false).await.unwrap().database().close().await;
        tamper(
            &site.file(),
            &format!(
                "UPDATE server_keys SET current = 0;
                 UPDATE server_keys SET current = 1 WHERE id = {}",
                literal(&id.to_bytes())
            ),
        );
        let error = site.open(false).await.unwrap_err();
        assert!(
            matches!(error, AuthorityError::ServerKeyChanged(_)),
            "{error}"
        );
    }
}
