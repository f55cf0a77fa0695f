//! Makes a repository, its secret and the first keys: all of it, or nothing.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use portcullis_common::id::{KeyId, KeyKind, ServerId};
use portcullis_host::clock;
use tempfile::TempDir;

use crate::audit::{self, AuditError, Head, HeadError, HeadFile};
use crate::config::{Config, Engine, SecretSource};
use crate::keys::key_rng::key_rng;
use crate::keys::protection::pbe::{Kdf, PbeError};
use crate::keys::protection::{Protection, ProtectionError, Secret, files};
use crate::keys::{Keyring, authority, gateway_keys};
use crate::repository::{self, Database, Replaced, Repository, RepositoryError, Scheme, Store};
use portcullis_host::private_files::{self, PermissionError};

/// Why nothing was made.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// There is a repository, or a secret.
    #[error("{path} is already there: `portcullis-server init` never overwrites; use it as it is, or move it away with the rest of its folder", path = .0.display())]
    Exists(PathBuf),
    /// A folder or file cannot be made.
    #[error("cannot make {path}: {source}; nothing was left behind", path = path.display())]
    System {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The data folder is open to others.
    #[error(transparent)]
    Permission(#[from] PermissionError),
    /// The secret cannot be used.
    #[error("{0}; nothing was left behind")]
    Secret(#[from] ProtectionError),
    /// The storage secret cannot be encrypted.
    #[error("cannot protect the keys: {0}; nothing was left behind")]
    Pbe(#[from] PbeError),
    /// The repository cannot be written.
    #[error("cannot make the repository: {0}; nothing was left behind")]
    Repository(#[from] RepositoryError),
    /// The audit log's head file cannot be written.
    #[error("{0}; nothing was left behind")]
    Head(#[from] HeadError),
    /// The audit log cannot be made.
    #[error("cannot make the audit log: {0}; nothing was left behind")]
    Audit(#[from] AuditError),
    /// The program's own machinery does not start.
    #[error("cannot start: {0}")]
    Runtime(io::Error),
}

/// What was made.
#[derive(Clone, Copy, Debug)]
pub struct Made {
    /// The new server.
    pub server_id: ServerId,
    /// The first gateway key.
    pub gateway_key: KeyId,
}

/// What is to protect the keys of the new repository.
#[derive(Clone, Debug)]
pub enum InitProtection {
    /// The compiled-in default key, which is public.
    Default,
    /// A secret (PKCS #5).
    Pbe {
        /// `None`: a fresh one where it comes from a file, and else the one that is found there.
        secret: Option<Secret>,
        /// How the key is derived from it.
        kdf: Kdf,
    },
}

/// Makes the repository and the secret that `config` names.
///
/// # Errors
/// [`InitError`]; nothing was left behind, but for empty folders.
pub async fn init(config: &Config) -> Result<Made, InitError> {
    let protection = InitProtection::Pbe {
        secret: None,
        kdf: Kdf::default(),
    };
    init_protected(config, protection).await
}

/// As [`init`], with this protection.
///
/// # Errors
/// [`InitError`]; nothing was left behind, but for empty folders.
pub async fn init_protected(
    config: &Config,
    protection: InitProtection,
) -> Result<Made, InitError> {
    let place = Store::of(config);
    let head_file = &config.audit.head_file;
    if let Some(file) = place.file() {
        must_not_exist(file)?;
    }
    let plan = Plan::new(&config.secret, protection)?;
    must_not_exist(head_file)?;
    make_dir(&config.data_dir)?;
    private_files::check_private(&config.data_dir)?;
    if let Some((file, _)) = &plan.file
        && let Some(folder) = file.parent().filter(|path| !path.exists())
    {
        make_dir(folder)?;
    }
    let unfinished = Unfinished::create(config).await?;
    let made = match fill(unfinished.open().await, &plan).await {
        Ok((made, head)) => put(config, &plan, &head, &unfinished).await.map(|()| made),
        Err(error) => Err(error),
    };
    if made.is_err() {
        unfinished.remove().await?;
    }
    made
}

/// Puts all that was made into its place, or nothing.
async fn put(
    config: &Config,
    plan: &Plan,
    head: &Head,
    unfinished: &Unfinished,
) -> Result<(), InitError> {
    let head_file = &config.audit.head_file;
    if let Some((file, secret)) = &plan.file {
        private_files::create_private_file(file, &secret.to_file())
            .map_err(|source| system(file, source))?;
    }
    let secret_file = plan.file.as_ref().map(|(file, _)| file);
    let mut left_behind: Vec<_> = secret_file.into_iter().collect();
    let made = HeadFile::new(head_file.clone()).create(head);
    let placed = match made {
        Ok(()) => {
            left_behind.push(head_file);
            unfinished.place(config, secret_file).await
        }
        Err(error) => Err(error.into()),
    };
    if placed.is_err() {
        for file in left_behind {
            fs::remove_file(file).map_err(|source| system(file, source))?;
        }
    }
    placed
}

pub(super) fn must_not_exist(path: &Path) -> Result<(), InitError> {
    match path.symlink_metadata() {
        Ok(_) => Err(InitError::Exists(path.to_owned())),
        Err(_) => Ok(()),
    }
}

/// The repository while it is filled, beside its place: what a crash leaves there is never taken
/// for a repository.
pub(super) enum Unfinished {
    File(TempDir),
    Database(Box<repository::Unfinished>),
}

impl Unfinished {
    pub(super) async fn create(config: &Config) -> Result<Self, InitError> {
        match &config.engine {
            Engine::Sqlite => tempfile::Builder::new()
                .prefix(".init-")
                .tempdir_in(&config.data_dir)
                .map(Self::File)
                .map_err(|source| system(&config.data_dir, source)),
            Engine::Postgres(settings) => {
                let unfinished = repository::Unfinished::create(settings).await?;
                Ok(Self::Database(Box::new(unfinished)))
            }
        }
    }

    pub(super) async fn open(&self) -> Result<Database, RepositoryError> {
        match self {
            Self::File(folder) => Database::create(&in_folder(folder)).await,
            Self::Database(unfinished) => Database::look_at(unfinished.place()).await,
        }
    }

    /// Puts it into its place, where there is none.
    pub(super) async fn place(
        &self,
        config: &Config,
        secret_file: Option<&PathBuf>,
    ) -> Result<(), InitError> {
        let synced = secret_file
            .and_then(|file| file.parent())
            .map_or(Ok(()), private_files::sync_dir);
        let folder = match self {
            Self::File(folder) => folder,
            Self::Database(unfinished) => {
                synced.map_err(|source| system(&config.data_dir, source))?;
                return Ok(unfinished.finish().await?);
            }
        };
        let repository_file = config.repository_file();
        synced
            // Fails where another `init` was faster, which a rename would not.
            .and_then(|()| fs::hard_link(in_folder(folder), &repository_file))
            .and_then(|()| private_files::sync_dir(&config.data_dir))
            .map_err(|source| system(&repository_file, source))
    }

    /// It is not wanted any more.
    pub(super) async fn remove(self) -> Result<(), InitError> {
        match self {
            Self::File(folder) => {
                drop(folder);
                Ok(())
            }
            Self::Database(unfinished) => Ok(unfinished.remove().await?),
        }
    }
}

pub(super) fn in_folder(folder: &TempDir) -> PathBuf {
    folder.path().join("portcullis.db")
}

/// What is to be made beside the repository.
struct Plan {
    protection: Protection,
    scheme: Scheme,
    /// The secret file to be written.
    file: Option<(PathBuf, Secret)>,
}

impl Plan {
    fn new(source: &SecretSource, protection: InitProtection) -> Result<Self, InitError> {
        let InitProtection::Pbe { secret, kdf } = protection else {
            files::must_be_none(source)?;
            return Ok(Self {
                protection: Protection::public_default(),
                scheme: Scheme::Default,
                file: None,
            });
        };
        let (secret, file) = match (source, secret) {
            (SecretSource::File(path), secret) => file_to_write(path, secret)?,
            (_, Some(secret)) => (secret, None),
            (source, None) => (files::read_new(source)?, None),
        };
        let protection = Protection::random();
        Ok(Self {
            scheme: protection.encrypt(&secret, kdf)?,
            protection,
            file: file.map(|path| (path, secret)),
        })
    }
}

/// A file that holds the secret given already is used as it is.
fn file_to_write(
    path: &Path,
    given: Option<Secret>,
) -> Result<(Secret, Option<PathBuf>), InitError> {
    if path.symlink_metadata().is_err() {
        return Ok((
            given.unwrap_or_else(|| Secret::random(&mut key_rng())),
            Some(path.to_owned()),
        ));
    }
    match given {
        Some(secret) if files::read_private(path)? == secret => Ok((secret, None)),
        _ => Err(InitError::Exists(path.to_owned())),
    }
}

async fn fill(
    opened: Result<Database, RepositoryError>,
    plan: &Plan,
) -> Result<(Made, Head), InitError> {
    let now = clock::now();
    let server_id = ServerId::random(&mut rand::rng());
    let database = opened?;
    let protection = &plan.protection;
    let filled = async {
        database.meta().set_server_id(server_id).await?;
        database
            .protection()
            .switch(None, plan.scheme.clone(), Vec::new(), now)
            .await?;
        let keyring = Keyring::create(&database, protection, now).await?;
        let repository = Repository::new(database.clone(), Arc::new(keyring));
        authority::create(&repository).await?;
        let key = gateway_keys::generate(KeyKind::Tdes, now);
        let gateway_key = key.id;
        // Nobody else knows of this repository: there is no other rotation to lose against.
        let _ = repository
            .gateway_keys()
            .rotate(key, None, Replaced::Retired)
            .await?;
        let head = audit::create(&repository, server_id).await?;
        database.scrub().await?;
        let made = Made {
            server_id,
            gateway_key,
        };
        Ok::<_, InitError>((made, head))
    };
    let filled = filled.await;
    database.close().await;
    filled
}

fn make_dir(path: &Path) -> Result<(), InitError> {
    private_files::create_private_dir(path).map_err(|source| system(path, source))
}

fn system(path: &Path, source: io::Error) -> InitError {
    InitError::System {
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;
    use crate::config::Audit;
    use crate::serve::Unlocked;

    fn config(folder: &Path) -> Config {
        Config {
            data_dir: folder.join("data"),
            secret: SecretSource::File(secret_file(folder)),
            audit: Audit {
                head_file: folder.join("data-audit/head"),
                calls: true,
            },
            ..Config::default()
        }
    }

    fn secret_file(folder: &Path) -> PathBuf {
        folder.join("data/server.secret")
    }

    /// Every file below, by its path.
    fn files(folder: &Path) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut folders = vec![folder.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    found.push(path);
                }
            }
        }
        found.sort();
        found
    }

    #[tokio::test]
    async fn what_init_makes_opens_and_is_private() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path());
        let made = init(&config).await.unwrap();
        assert_eq!(
            files(folder.path()),
            [
                config.repository_file(),
                secret_file(folder.path()),
                config.audit.head_file.clone()
            ]
        );
        for path in files(folder.path()) {
            assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o600);
        }
        assert_eq!(config.data_dir.metadata().unwrap().mode() & 0o777, 0o700);
        let unlocked = Unlocked::open(&config).await.unwrap();
        assert_eq!(unlocked.server_id, made.server_id);
        let current = unlocked.repository.gateway_keys().current().await.unwrap();
        assert_eq!(current, Some(made.gateway_key));
    }

    #[tokio::test]
    async fn init_never_overwrites() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path());
        init(&config).await.unwrap();
        let before: Vec<_> = files(folder.path())
            .iter()
            .map(|path| fs::read(path).unwrap())
            .collect();
        let error = init(&config).await.unwrap_err();
        assert!(matches!(error, InitError::Exists(_)), "{error}");
        fs::remove_file(config.repository_file()).unwrap();
        let error = init(&config).await.unwrap_err();
        assert!(matches!(&error, InitError::Exists(path) if *path == secret_file(folder.path())));
        assert_eq!(fs::read(secret_file(folder.path())).unwrap(), before[1]);
    }

    #[tokio::test]
    async fn a_repository_without_protection_opens_without_a_secret() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path());
        init_protected(&config, InitProtection::Default)
            .await
            .unwrap();
        assert!(!secret_file(folder.path()).exists());
        Unlocked::open(&config).await.unwrap();
    }

    #[tokio::test]
    async fn a_secret_that_is_there_already_is_used_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path());
        let secret = Secret::parse(b"correct horse battery").unwrap();
        let given = |secret: &Secret| InitProtection::Pbe {
            secret: Some(secret.clone()),
            kdf: Kdf::Pbkdf2,
        };
        make_dir(&config.data_dir).unwrap();
        let path = secret_file(folder.path());
        private_files::create_private_file(&path, &secret.to_file()).unwrap();
        let other = Secret::random(&mut rand::rng());
        let error = init_protected(&config, given(&other)).await.unwrap_err();
        assert!(matches!(error, InitError::Exists(_)), "{error}");
        init_protected(&config, given(&secret)).await.unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"correct horse battery\n");
        Unlocked::open(&config).await.unwrap();
    }

    #[tokio::test]
    async fn an_init_that_fails_leaves_no_file_behind() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = config(folder.path());
        // A file stands where a folder would have to be.
        let blocked = folder.path().join("blocked");
        fs::write(&blocked, "").unwrap();
        config.secret = SecretSource::File(blocked.join("server.secret"));
        let error = init(&config).await.unwrap_err().to_string();
        assert!(error.contains("blocked/server.secret"), "{error}");
        assert_eq!(files(folder.path()), [blocked]);
    }
}
