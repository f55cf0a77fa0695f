//! How a repository of an earlier version becomes one of this version.

use std::borrow::Cow;

use super::sql::Tx;
use super::{MIGRATIONS, RepositoryError};

/// Carries out those migrations that a repository of version `found` has not seen. Gives its
/// version from then on. `dialect` makes of each what the engine understands.
pub(super) fn migrate(
    tx: &mut Tx<'_>,
    found: u32,
    dialect: fn(&'static str) -> Cow<'static, str>,
) -> Result<u32, RepositoryError> {
    let known = u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX);
    if found > known {
        return Err(RepositoryError::NewerSchema { found, known });
    }
    for migration in MIGRATIONS.iter().skip(found as usize) {
        tx.batch(&dialect(migration))
            .map_err(|error| put_back(found, error))?;
    }
    Ok(known)
}

/// A migration fails where its tables or columns are there already.
fn put_back(found: u32, error: RepositoryError) -> RepositoryError {
    match error {
        RepositoryError::Storage(reason)
            if reason.contains("already exists") || reason.contains("duplicate column") =>
        {
            RepositoryError::SchemaPutBack { found, reason }
        }
        other => other,
    }
}
