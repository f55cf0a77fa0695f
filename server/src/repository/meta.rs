//! The repository's own properties.

use portcullis_common::id::ServerId;
use rusqlite::{OptionalExtension, Transaction};

use super::{Database, RepositoryError};

const SERVER_ID: &str = "server_id";
const SCRUB_DUE: &str = "scrub_due";

/// The repository's own properties.
#[derive(Clone, Copy, Debug)]
pub struct Meta<'a> {
    database: &'a Database,
}

impl Database {
    /// The repository's own properties.
    pub const fn meta(&self) -> Meta<'_> {
        Meta { database: self }
    }
}

impl Meta<'_> {
    /// The id of the server that owns this repository.
    ///
    /// # Errors
    /// [`RepositoryError`]; `Damaged` where there is none.
    pub async fn server_id(&self) -> Result<ServerId, RepositoryError> {
        self.database
            .read(|transaction| {
                let bytes: Option<Vec<u8>> = transaction
                    .query_row(
                        "SELECT value FROM meta WHERE name = ?1",
                        [SERVER_ID],
                        |row| row.get(0),
                    )
                    .optional()?;
                bytes
                    .and_then(|bytes| ServerId::from_bytes(&bytes))
                    .ok_or_else(|| RepositoryError::damaged("server id"))
            })
            .await
    }

    /// Stores the server's id: once, for a repository just made.
    ///
    /// # Errors
    /// [`RepositoryError`]; also where there is one already.
    pub async fn set_server_id(&self, id: ServerId) -> Result<(), RepositoryError> {
        self.database
            .write(move |transaction| {
                transaction.execute(
                    "INSERT INTO meta (name, value) VALUES (?1, ?2)",
                    (SERVER_ID, id.to_bytes()),
                )?;
                Ok(())
            })
            .await
    }
}

/// Deleted key bytes may remain in the file until the next scrub. Part of the transaction that deletes them, so that a crash
/// does not forget it.
pub(super) fn set_scrub_due(transaction: &Transaction<'_>) -> Result<(), RepositoryError> {
    transaction.execute(
        "INSERT OR REPLACE INTO meta (name, value) VALUES (?1, x'01')",
        [SCRUB_DUE],
    )?;
    Ok(())
}

pub(super) fn scrub_is_due(transaction: &Transaction<'_>) -> Result<bool, RepositoryError> {
    Ok(transaction
        .prepare_cached("SELECT 1 FROM meta WHERE name = ?1")?
        .exists([SCRUB_DUE])?)
}

pub(super) fn clear_scrub_due(transaction: &Transaction<'_>) -> Result<(), RepositoryError> {
    transaction.execute("DELETE FROM meta WHERE name = ?1", [SCRUB_DUE])?;
    Ok(())
}
