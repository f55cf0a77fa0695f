//! A key store whose record lies sealed on the disk, under a secret that systemd hands to the
//! service as a credential.
//!
//! A record that is still plain is read, and sealed when the gateway starts. One that is sealed is
//! never written plain again.

use std::path::{Path, PathBuf};

use portcullis_common::crypto::sealed_record;
use portcullis_host::private_files;
use zeroize::Zeroizing;

use super::{KeyStore, KeyStoreError};
use crate::config::Credential;
use crate::state_dir::FileLock;

/// Set by systemd for a service with credentials.
const CREDENTIALS_DIRECTORY: &str = "CREDENTIALS_DIRECTORY";
/// Below it systemd lays the credentials of each unit that runs.
const CREDENTIALS: &str = "/run/credentials";
/// Longer than any secret: what is longer is not read.
const MAX_SECRET: usize = 2048;
/// A shorter one can be guessed.
const MIN_SECRET: usize = 16;

/// Seals what goes into another store.
#[derive(Debug)]
pub struct SealedStore<S> {
    inner: S,
    credential: Credential,
    /// Where credentials are.
    folder: PathBuf,
}

impl<S: KeyStore> SealedStore<S> {
    /// Over `inner`, under the secret in this credential.
    pub fn new(inner: S, credential: Credential) -> Self {
        let folder = std::env::var_os(CREDENTIALS_DIRECTORY).map(PathBuf::from);
        // Beside the service, root finds what that was given.
        let folder = folder.unwrap_or_else(|| Path::new(CREDENTIALS).join(&credential.unit));
        Self {
            inner,
            credential,
            folder,
        }
    }

    /// Read each time: it is in no memory of ours for longer than it is needed.
    fn secret(&self) -> Result<Zeroizing<Vec<u8>>, KeyStoreError> {
        let folder = &self.folder;
        let missing = |reason: String| KeyStoreError::Credential {
            name: self.credential.name.clone(),
            reason,
        };
        let path = folder.join(&self.credential.name);
        let read = private_files::read_bounded(&path, MAX_SECRET);
        let read = read.map_err(|error| missing(format!("{}: {error}", path.display())))?;
        let secret = Zeroizing::new(read.trim_ascii().to_vec());
        if !(MIN_SECRET..=MAX_SECRET).contains(&secret.len()) {
            return Err(missing(format!(
                "it has {} bytes, and {MIN_SECRET} to {MAX_SECRET} are allowed: `openssl rand -base64 32` makes one",
                secret.len()
            )));
        }
        Ok(secret)
    }
}

impl<S: KeyStore> KeyStore for SealedStore<S> {
    fn location(&self) -> String {
        self.inner.location()
    }

    fn prepare(&self) -> Result<(), KeyStoreError> {
        self.inner.prepare()
    }

    fn lock(&self) -> Result<FileLock, KeyStoreError> {
        self.inner.lock()
    }

    fn read(&self) -> Result<Option<Zeroizing<Vec<u8>>>, KeyStoreError> {
        let Some(bytes) = self.inner.read()? else {
            return Ok(None);
        };
        if !sealed_record::is_sealed(&bytes) {
            return Ok(Some(bytes));
        }
        let opened = sealed_record::open(&self.secret()?, &bytes);
        opened.map(Some).map_err(|_| KeyStoreError::OtherSecret {
            location: self.location(),
            name: self.credential.name.clone(),
        })
    }

    fn write(&self, bytes: &[u8], lock: &FileLock) -> Result<(), KeyStoreError> {
        let sealed = sealed_record::seal(&self.secret()?, bytes, &mut rand::rng());
        self.inner.write(&sealed, lock)
    }

    fn renew(&self) -> Result<(), KeyStoreError> {
        let lock = self.lock()?;
        match self.inner.read()? {
            Some(bytes) if !sealed_record::is_sealed(&bytes) => self.write(&bytes, &lock),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use portcullis_common::rotation::GatewayRecord;
    use tempfile::TempDir;

    use super::super::FileStore;
    use super::*;

    const SECRET: &str = "0123456789abcdef";

    struct Fixture {
        folder: TempDir,
    }

    impl Fixture {
        /// With this secret in the credential.
        fn new(secret: &str) -> Self {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join("key-store"), secret).unwrap();
            Self { folder }
        }

        fn state(&self) -> PathBuf {
            self.folder.path().join("state")
        }

        fn plain(&self) -> Box<dyn KeyStore> {
            Box::new(FileStore::new(&self.state()))
        }

        fn sealed(&self) -> Box<dyn KeyStore> {
            let credential = Credential {
                name: "key-store".to_owned(),
                unit: String::new(),
            };
            let mut store = SealedStore::new(FileStore::new(&self.state()), credential);
            store.folder = self.folder.path().to_owned();
            Box::new(store)
        }

        fn is_sealed(&self) -> bool {
            sealed_record::is_sealed(&std::fs::read(self.state().join("keys")).unwrap())
        }
    }

    #[test]
    fn what_was_plain_is_sealed_once_and_opens_with_the_credential_alone() {
        let fixture = Fixture::new(SECRET);
        fixture.plain().reset().unwrap();
        // Read as it is, until the gateway starts.
        assert!(fixture.sealed().load().is_ok() && !fixture.is_sealed());
        fixture.sealed().renew().unwrap();
        assert!(fixture.is_sealed());
        assert_eq!(
            *fixture.sealed().load().unwrap().encode(),
            *GatewayRecord::empty().encode()
        );
        fixture.sealed().reset().unwrap();
        assert!(fixture.is_sealed());
        let refused = fixture.plain().load();
        assert!(
            matches!(refused, Err(KeyStoreError::Sealed { .. })),
            "{refused:?}"
        );
        let credential = fixture.folder.path().join("key-store");
        std::fs::write(&credential, "another secret of some length").unwrap();
        let refused = fixture.sealed().load();
        assert!(
            matches!(refused, Err(KeyStoreError::OtherSecret { .. })),
            "{refused:?}"
        );
        std::fs::remove_file(&credential).unwrap();
        for refused in [fixture.sealed().load().map(drop), fixture.sealed().reset()] {
            let error = refused.unwrap_err().to_string();
            assert!(
                error.contains("LoadCredentialEncrypted=key-store:FILE"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_secret_that_can_be_guessed_seals_nothing() {
        let fixture = Fixture::new("short");
        let error = fixture.sealed().reset().unwrap_err().to_string();
        assert!(error.contains("openssl rand"), "{error}");
        assert!(!fixture.state().join("keys").exists());
    }
}
