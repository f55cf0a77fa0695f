//! Overwriting what was deleted, in the file and in its write-ahead log.

use std::path::{Path, PathBuf};

use rusqlite::Connection;

use crate::repository::RepositoryError;

/// Writes every page anew, then cuts the log.
pub(super) fn scrub(connection: &Connection, file: &Path) -> Result<(), RepositoryError> {
    // `secure_delete` zeroes what is deleted, but no copy of it that a split of a page left behind:
    // all pages are written anew. The log holds them as they were before until it is cut.
    connection.execute_batch("VACUUM")?;
    truncate_log(connection, &log_of(file))
}

fn log_of(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push("-wal");
    name.into()
}

/// Copies the log into the file and cuts it to nothing.
fn truncate_log(connection: &Connection, log: &Path) -> Result<(), RepositoryError> {
    let busy: bool =
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    // What the pragma says is not relied on: the log itself has to be empty, or gone.
    let empty = std::fs::metadata(log).map_or_else(
        |error| error.kind() == std::io::ErrorKind::NotFound,
        |metadata| metadata.len() == 0,
    );
    if busy || !empty {
        return Err(RepositoryError::NotScrubbed {
            path: log.display().to_string(),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use portcullis_common::id::{KeyId, KeyKind};
    use portcullis_common::rotation::UnixMillis;

    use super::*;
    use crate::repository::{Database, Scheme};

    /// Does any file of the repository hold these bytes?
    fn holds(database: &Database, needle: &[u8]) -> bool {
        let folder = database.path().parent().unwrap();
        std::fs::read_dir(folder).unwrap().any(|entry| {
            let content = std::fs::read(entry.unwrap().path()).unwrap();
            content.windows(needle.len()).any(|window| window == needle)
        })
    }

    async fn switch(database: &Database, id: KeyId, wrapped: &[u8], expected: Option<u64>) {
        let wrapped = vec![(id, wrapped.to_vec())];
        database
            .protection()
            .switch(expected, Scheme::Default, wrapped, UnixMillis(1))
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn an_old_wrapped_key_is_found_before_a_scrub_and_not_after() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::create(&folder.path().join("test.db"))
            .await
            .unwrap();
        let id = KeyId::random(KeyKind::Tdes, &mut rand::rng());
        let old = b"an old wrapped key, to be found".to_vec();
        database
            .server_keys()
            .add(id, old.clone(), None, UnixMillis(1))
            .await
            .unwrap();
        switch(&database, id, b"a new wrapped key", None).await;
        assert!(holds(&database, &old), "this search would find nothing");
        assert!(database.scrub_if_due().await.unwrap());
        assert!(!holds(&database, &old));
        assert!(holds(&database, b"a new wrapped key"));
        assert!(!database.scrub_if_due().await.unwrap());
    }

    #[tokio::test]
    async fn a_reader_that_keeps_the_log_in_use_is_told_and_the_scrub_stays_due() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("test.db");
        let database = Database::create(&path).await.unwrap();
        let id = KeyId::random(KeyKind::Tdes, &mut rand::rng());
        let first = b"the first wrap".to_vec();
        let added = database
            .server_keys()
            .add(id, first, None, UnixMillis(1))
            .await;
        added.unwrap();
        let other = Connection::open(&path).unwrap();
        other.execute_batch("BEGIN; SELECT * FROM meta").unwrap();
        let _: i64 = other
            .query_row("SELECT count(*) FROM server_keys", [], |row| row.get(0))
            .unwrap();
        switch(&database, id, b"the second wrap", None).await;
        let error = database.scrub().await.unwrap_err();
        assert!(
            matches!(
                error,
                RepositoryError::NotScrubbed { .. } | RepositoryError::Busy
            ),
            "{error}"
        );
        drop(other);
        assert!(database.scrub_if_due().await.unwrap());
    }
}
