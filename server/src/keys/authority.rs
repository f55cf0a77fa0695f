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
