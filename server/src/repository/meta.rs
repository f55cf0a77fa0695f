use portcullis_common::id::ServerId;
use rusqlite::OptionalExtension;

use super::{Database, RepositoryError};

const SERVER_ID: &str = "server_id";

/// The repository's own properties.
#[derive(Clone, Copy, Debug)]
pub struct Meta<'a> {
    database: &'a Database,
}

impl<'a> Meta<'a> {
    pub(super) const fn new(database: &'a Database) -> Self {
        Self { database }
    }

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
