//! From the repository's row and the secret to the storage secret.

use std::path::Path;

use portcullis_host::clock;

use super::pbe::{Kdf, PbeError};
use super::{Protection, ProtectionError, Secret, files};
use crate::config::SecretSource;
use crate::repository::{Database, Scheme};

/// What opening may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unlock {
    /// What a crash left half done is put right, and a repository of the first versions converted.
    Mend,
    /// Nothing: a server may be running on it.
    Look,
}

/// Opens the storage secret of `database` with the secret from `source`.
///
/// # Errors
/// [`ProtectionError`].
pub async fn unlock(
    database: &Database,
    source: &SecretSource,
    how: Unlock,
) -> Result<Protection, ProtectionError> {
    match database.protection().find().await?.map(|row| row.scheme) {
        Some(Scheme::Default) => {
            files::must_be_none(source)?;
            if let (SecretSource::File(path), Unlock::Mend) = (source, how) {
                drop_staged(path);
            }
            Ok(Protection::public_default())
        }
        Some(Scheme::Pbe(encrypted)) => match source {
            SecretSource::File(path) => by_file(path, &encrypted, how).await,
            other => {
                let secret = files::read(other)?;
                let opened = decrypt(&encrypted, &secret).await?;
                opened.ok_or_else(|| wrong(source))
            }
        },
        None => of_first_versions(database, source, how).await,
    }
}

/// Before another change: what an earlier one left beside the secret file takes its place, where
/// the repository opens with it, and is removed where it opens with the secret file itself.
///
/// # Errors
/// [`ProtectionError`]: neither file was touched. `LeftBeside` where neither opens the repository.
pub async fn settle(database: &Database, path: &Path) -> Result<(), ProtectionError> {
    if !files::is_staged(path)? {
        return Ok(());
    }
    if let Some(Scheme::Pbe(encrypted)) = database.protection().find().await?.map(|row| row.scheme)
    {
        if opens(path, &encrypted).await? {
            return files::discard(path).map(|_| ());
        }
        if opens(&files::staged(path), &encrypted).await? {
            return files::place(path);
        }
    }
    Err(ProtectionError::LeftBeside {
        path: path.to_owned(),
    })
}

/// Whether the secret from `source`, or what lies beside its file, opens this protection.
///
/// # Errors
/// [`ProtectionError`]: it is no protection.
pub async fn holds_secret(
    source: &SecretSource,
    encrypted: &[u8],
) -> Result<bool, ProtectionError> {
    match source {
        SecretSource::File(path) => {
            Ok(opens(path, encrypted).await? || opens(&files::staged(path), encrypted).await?)
        }
        SecretSource::Credential(_) => match files::read(source) {
            Ok(secret) => Ok(decrypt(encrypted, &secret).await?.is_some()),
            Err(_) => Ok(false),
        },
        // Nobody is there to be asked for it.
        SecretSource::Prompt => Ok(false),
    }
}

async fn opens(path: &Path, encrypted: &[u8]) -> Result<bool, ProtectionError> {
    match files::read_private(path) {
        Ok(secret) => Ok(decrypt(encrypted, &secret).await?.is_some()),
        Err(_) => Ok(false),
    }
}

/// Whichever of the two files opens the repository wins.
async fn by_file(
    path: &Path,
    encrypted: &[u8],
    how: Unlock,
) -> Result<Protection, ProtectionError> {
    let read = files::read_private(path);
    if let Ok(secret) = &read
        && let Some(protection) = decrypt(encrypted, secret).await?
    {
        if how == Unlock::Mend {
            drop_staged(path);
        }
        return Ok(protection);
    }
    let staged = files::staged(path);
    if staged.exists() {
        let secret = files::read_private(&staged)?;
        if let Some(protection) = decrypt(encrypted, &secret).await? {
            if how == Unlock::Mend {
                match files::place(path) {
                    Ok(()) => tracing::warn!(
                        file = %path.display(),
                        "the secret was changed and its file not yet replaced, by a crash: replaced now by {}", staged.display()
                    ),
                    Err(error) => tracing::warn!(
                        %error,
                        "the secret that opens the repository lies in {}: back it up, and put it in its place by hand", staged.display()
                    ),
                }
            }
            return Ok(protection);
        }
    }
    read.and(Err(wrong(&SecretSource::File(path.to_owned()))))
}

/// The first versions had no storage secret of its own: the 32 bytes in the secret file were it.
/// Who takes the row out of a repository gains nothing: he cannot wrap a key under these bytes.
async fn of_first_versions(
    database: &Database,
    source: &SecretSource,
    how: Unlock,
) -> Result<Protection, ProtectionError> {
    let secret = files::read(source)?;
    let bytes = secret.random_bytes().ok_or_else(|| wrong(source))?;
    let before = Protection::from_bytes(bytes);
    let mut keys = Vec::new();
    for row in database.server_keys().list().await? {
        let key = before.unwrap(row.id, &row.wrapped);
        keys.push((row.id, key.map_err(|_| wrong(source))?));
    }
    if how == Unlock::Look {
        return Ok(before);
    }
    let protection = Protection::random();
    let scheme = protection.encrypt(&secret, Kdf::default());
    let wrapped = keys
        .iter()
        .map(|(id, key)| (*id, protection.wrap_unbound(*id, key)));
    database
        .protection()
        .switch(
            None,
            scheme.map_err(ProtectionError::Damaged)?,
            wrapped.collect(),
            clock::now(),
        )
        .await?;
    tracing::info!(
        "the repository's keys are protected as this version does it (PKCS #5); the secret file stays as it is"
    );
    Ok(protection)
}

/// Derives beside the tasks of the server: it takes as long as it was meant to. `None`: the secret
/// is another.
async fn decrypt(encrypted: &[u8], secret: &Secret) -> Result<Option<Protection>, ProtectionError> {
    let (encrypted, secret) = (encrypted.to_vec(), secret.clone());
    let derived =
        tokio::task::spawn_blocking(move || Protection::decrypt(&encrypted, &secret)).await;
    match derived {
        Ok(Ok(protection)) => Ok(Some(protection)),
        Ok(Err(PbeError::WrongPassphrase)) | Err(_) => Ok(None),
        Ok(Err(error)) => Err(ProtectionError::Damaged(error)),
    }
}

/// A secret that opens nothing: where it cannot be removed, the server works all the same.
fn drop_staged(path: &Path) {
    let file = files::staged(path);
    match files::discard(path) {
        Ok(true) => tracing::warn!(
            file = %file.display(),
            "removed a secret that is not in use: a crash interrupted its change"
        ),
        Ok(false) => {}
        Err(error) => {
            tracing::warn!(%error, "a secret that is not in use stays until the next start")
        }
    }
}

fn wrong(source: &SecretSource) -> ProtectionError {
    ProtectionError::WrongSecret {
        origin: files::describe(source),
    }
}

#[cfg(test)]
mod tests {
    use portcullis_common::id::{KeyId, KeyKind};
    use portcullis_common::rotation::UnixMillis;
    use portcullis_common::secret::ServerKey;

    use super::*;
    use crate::repository::tamper;
    use portcullis_host::private_files;

    #[tokio::test]
    async fn a_repository_of_the_first_versions_is_converted_when_it_is_opened() {
        let folder = tempfile::tempdir().unwrap();
        let secret = Secret::random(&mut rand::rng());
        let file = folder.path().join("server.secret");
        private_files::create_private_file(&file, &secret.to_file()).unwrap();
        let database = Database::create(&folder.path().join("test.db"))
            .await
            .unwrap();
        let key = ServerKey::random(KeyKind::Tdes, &mut rand::rng());
        let id = KeyId::random(KeyKind::Tdes, &mut rand::rng());
        let first = Protection::from_bytes(secret.random_bytes().unwrap());
        let keys = database.server_keys();
        keys.add(id, first.wrap(id, &key), None, UnixMillis(1))
            .await
            .unwrap();

        let other = folder.path().join("other.secret");
        private_files::create_private_file(&other, &Secret::random(&mut rand::rng()).to_file())
            .unwrap();
        let opened = |file: &Path, how| {
            let (database, source) = (database.clone(), SecretSource::File(file.to_owned()));
            async move { unlock(&database, &source, how).await }
        };
        let error = opened(&other, Unlock::Mend).await.unwrap_err();
        assert!(
            matches!(error, ProtectionError::WrongSecret { .. }),
            "{error}"
        );
        opened(&file, Unlock::Look).await.unwrap();
        assert_eq!(database.protection().find().await.unwrap(), None);

        for _ in 0..2 {
            let protection = opened(&file, Unlock::Mend).await.unwrap();
            let wrapped = keys.find(id).await.unwrap().unwrap();
            let again = protection.unwrap(id, &wrapped).unwrap();
            assert_eq!(again.expose(), key.expose());
            assert!(first.unwrap(id, &wrapped).is_err());
        }
        let row = database.protection().find().await.unwrap().unwrap();
        assert_eq!(row.generation, 1);
        assert!(matches!(row.scheme, Scheme::Pbe(_)));
        let error = opened(&other, Unlock::Mend).await.unwrap_err();
        assert!(
            matches!(error, ProtectionError::WrongSecret { .. }),
            "{error}"
        );
        tamper(database.path(), "DELETE FROM protection");
        let error = opened(&file, Unlock::Mend).await.unwrap_err();
        assert!(
            matches!(error, ProtectionError::WrongSecret { .. }),
            "{error}"
        );
    }
}
