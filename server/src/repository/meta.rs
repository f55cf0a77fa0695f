//! The repository's own properties.

use portcullis_common::id::ServerId;
use portcullis_common::rotation::UnixMillis;

use super::sql::{Tx, params};
use super::{Database, RepositoryError};

const SERVER_ID: &str = "server_id";
const SERVER_TIME: &str = "server_time";
const SCRUB_DUE: &str = "scrub_due";
/// How often the repository went back in time.
const GENERATION: &str = "generation";
/// No number here that grows by one at a time gets so high: one that is higher was written by
/// somebody else, and is neither gone by nor told to any gateway, which would remember it.
pub(super) const HIGHEST: u64 = 1 << 48;
/// Raised by whatever withdraws authority.
const AUTHORITY: &str = "authority version";
/// There where the repository was found to have gone back in time, until that is accepted.
const WENT_BACK: &str = "went back";
const PROBED: &str = "probed";
/// Before the name of a place that the audit log is sent to.
const FORWARDED: &str = "forwarded/";

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
            .read(|tx| {
                let bytes: Option<Vec<u8>> = tx.query_optional(
                    "SELECT value FROM meta WHERE name = ?1",
                    &params![SERVER_ID],
                    |row| row.get(0),
                )?;
                bytes
                    .and_then(|bytes| ServerId::from_bytes(&bytes))
                    .ok_or_else(|| RepositoryError::damaged("server id"))
            })
            .await
    }

    /// The server's own time and what the host's clock showed then, in milliseconds since 1970, as
    /// they were written down last; `None`: never.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn server_time(&self) -> Result<Option<(u64, u64)>, RepositoryError> {
        self.database
            .read(|tx| {
                let bytes: Option<Vec<u8>> = tx.query_optional(
                    "SELECT value FROM meta WHERE name = ?1",
                    &params![SERVER_TIME],
                    |row| row.get(0),
                )?;
                Ok(bytes.and_then(|bytes| {
                    let (own, wall) = bytes.split_first_chunk()?;
                    let wall = wall.try_into().ok()?;
                    Some((u64::from_be_bytes(*own), u64::from_be_bytes(wall)))
                }))
            })
            .await
    }

    /// Writes both down.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn set_server_time(&self, own: u64, wall: u64) -> Result<(), RepositoryError> {
        let value = [own.to_be_bytes(), wall.to_be_bytes()].concat();
        self.database
            .write_in_turn(move |tx| {
                tx.execute(
                    "INSERT INTO meta (name, value) VALUES (?1, ?2)
                     ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                    &params![SERVER_TIME, value],
                )?;
                Ok(())
            })
            .await
    }

    /// The authority version: raised by each transaction that withdraws something which servers go
    /// by. Whoever has read what stands in the repository at one version or later knows all that
    /// was withdrawn up to it.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn authority_version(&self) -> Result<u64, RepositoryError> {
        self.database.look(|tx| number(tx, AUTHORITY)).await
    }

    /// How often the repository went back in time, as somebody accepted each time.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn generation(&self) -> Result<u64, RepositoryError> {
        self.database.look(generation).await
    }

    /// Whether a server found that the repository went back in time, and nobody accepted it yet.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn went_back(&self) -> Result<bool, RepositoryError> {
        self.database
            .look(|tx| tx.exists("SELECT 1 FROM meta WHERE name = ?1", &params![WENT_BACK]))
            .await
    }

    /// Tells all servers that the repository went back in time.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn set_went_back(&self) -> Result<(), RepositoryError> {
        self.database.write(set_went_back).await
    }

    /// The last audit entry that the place of this name has; `None`: it was never sent any.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn forwarded(&self, place: &str) -> Result<Option<u64>, RepositoryError> {
        let name = format!("{FORWARDED}{place}");
        self.database
            .read(move |tx| {
                let bytes: Option<Vec<u8>> = tx.query_optional(
                    "SELECT value FROM meta WHERE name = ?1",
                    &params![name],
                    |row| row.get(0),
                )?;
                let number = bytes.map(|bytes| <[u8; 8]>::try_from(bytes.as_slice()));
                number
                    .transpose()
                    .map(|number| number.map(u64::from_be_bytes))
                    .map_err(|_| RepositoryError::damaged("cursor of a place of [forward]"))
            })
            .await
    }

    /// The place has all entries up to this one.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn set_forwarded(&self, place: &str, seq: u64) -> Result<(), RepositoryError> {
        let (name, value) = (format!("{FORWARDED}{place}"), seq.to_be_bytes());
        self.database
            .write_in_turn(move |tx| {
                tx.execute(
                    "INSERT INTO meta (name, value) VALUES (?1, ?2)
                     ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                    &params![name, value],
                )?;
                Ok(())
            })
            .await
    }

    /// Writes down that somebody looked whether anything can be written. Nobody reads it.
    ///
    /// # Errors
    /// [`RepositoryError`]: nothing can.
    pub async fn set_probed(&self, now: UnixMillis) -> Result<(), RepositoryError> {
        let value = now.0.to_be_bytes();
        self.database
            .write_in_turn(move |tx| {
                tx.execute(
                    "INSERT INTO meta (name, value) VALUES (?1, ?2)
                     ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                    &params![PROBED, value],
                )?;
                Ok(())
            })
            .await
    }

    /// Stores the server's id: once, for a repository just made.
    ///
    /// # Errors
    /// [`RepositoryError`]; also where there is one already.
    pub async fn set_server_id(&self, id: ServerId) -> Result<(), RepositoryError> {
        self.database
            .write(move |tx| {
                tx.execute(
                    "INSERT INTO meta (name, value) VALUES (?1, ?2)",
                    &params![SERVER_ID, id.to_bytes()],
                )?;
                Ok(())
            })
            .await
    }
}

/// Deleted key bytes may remain in the file until the next scrub. Part of the transaction that
/// deletes them, so that a crash does not forget it.
pub(super) fn set_scrub_due(tx: &mut Tx<'_>) -> Result<(), RepositoryError> {
    tx.execute(
        "INSERT INTO meta (name, value) VALUES (?1, ?2)
         ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        &params![SCRUB_DUE, [1_u8]],
    )?;
    Ok(())
}

/// How often the repository went back in time.
pub(super) fn generation(tx: &mut Tx<'_>) -> Result<u64, RepositoryError> {
    number(tx, GENERATION)
}

/// The repository went back in time once more. Gives how often by now.
pub(super) fn raise_generation(tx: &mut Tx<'_>) -> Result<u64, RepositoryError> {
    raise(tx, GENERATION)
}

/// The repository went back in time: all servers stop until that is accepted.
pub(super) fn set_went_back(tx: &mut Tx<'_>) -> Result<(), RepositoryError> {
    let sql = "INSERT INTO meta (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO NOTHING";
    tx.execute(sql, &params![WENT_BACK, [1_u8]]).map(drop)
}

/// Somebody accepted that it did.
pub(super) fn clear_went_back(tx: &mut Tx<'_>) -> Result<(), RepositoryError> {
    tx.execute("DELETE FROM meta WHERE name = ?1", &params![WENT_BACK])
        .map(drop)
}

/// Something is withdrawn by this transaction that other servers may go by: who may do what, where
/// it goes, or under which key. Gives the authority version from then on.
pub(super) fn raise_authority(tx: &mut Tx<'_>) -> Result<u64, RepositoryError> {
    raise(tx, AUTHORITY)
}

/// A number that only grows. One row, which stays locked until the transaction ends: a higher one
/// is never there before a lower one.
fn raise(tx: &mut Tx<'_>, name: &'static str) -> Result<u64, RepositoryError> {
    let raised = believed(number(tx, name)? + 1, name)?;
    tx.execute(
        "INSERT INTO meta (name, value) VALUES (?1, ?2)
         ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        &params![name, raised.to_be_bytes()],
    )?;
    Ok(raised)
}

fn number(tx: &mut Tx<'_>, name: &'static str) -> Result<u64, RepositoryError> {
    let sql = "SELECT value FROM meta WHERE name = ?1";
    let found: Option<Vec<u8>> = tx.query_optional(sql, &params![name], |row| row.get(0))?;
    let number = found.map(|bytes| <[u8; 8]>::try_from(bytes.as_slice()));
    let number = number.transpose();
    let number = number.map_err(|_| RepositoryError::damaged(name))?;
    believed(number.map_or(0, u64::from_be_bytes), name)
}

/// The number, where it is one that a server may have written.
pub(super) fn believed(number: u64, what: &'static str) -> Result<u64, RepositoryError> {
    match number <= HIGHEST {
        true => Ok(number),
        false => Err(RepositoryError::damaged(what)),
    }
}

pub(super) fn scrub_is_due(tx: &mut Tx<'_>) -> Result<bool, RepositoryError> {
    tx.exists("SELECT 1 FROM meta WHERE name = ?1", &params![SCRUB_DUE])
}

pub(super) fn clear_scrub_due(tx: &mut Tx<'_>) -> Result<(), RepositoryError> {
    tx.execute("DELETE FROM meta WHERE name = ?1", &params![SCRUB_DUE])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::tests::Fixture;
    use super::*;

    #[tokio::test]
    async fn a_number_that_no_server_wrote_is_neither_gone_by_nor_raised() {
        let fixture = Fixture::new().await;
        let database = fixture.repository.database();
        for (name, forged) in [(GENERATION, u64::MAX), (AUTHORITY, HIGHEST + 1)] {
            let written = database.write(move |tx| {
                tx.execute(
                    "INSERT INTO meta (name, value) VALUES (?1, ?2)
                     ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                    &params![name, forged.to_be_bytes()],
                )
            });
            written.await.unwrap();
            let raised = database.write(move |tx| raise(tx, name)).await;
            assert!(
                matches!(raised, Err(RepositoryError::Damaged(_))),
                "{name}: {raised:?}"
            );
        }
        let read = database.meta().generation().await;
        assert!(matches!(read, Err(RepositoryError::Damaged(_))), "{read:?}");
        let read = database.meta().authority_version().await;
        assert!(matches!(read, Err(RepositoryError::Damaged(_))), "{read:?}");
    }
}
