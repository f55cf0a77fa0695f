//! What was deleted is overwritten, and that is not forgotten where a crash comes between.

use super::{Database, RepositoryError, meta};

impl Database {
    /// Overwrites what was deleted, in the file and in the write-ahead log: old wrapped keys do not
    /// remain. Rewrites the whole file once, which takes room on the disk for a second copy
    /// meanwhile. `false`: the repository is in a database, whose log and standbys nobody
    /// overwrites.
    ///
    /// # Errors
    /// [`RepositoryError`]; `NotScrubbed` where a reader keeps the log in use. It stays due then:
    /// the next start tries again.
    pub async fn scrub(&self) -> Result<bool, RepositoryError> {
        let overwritten = self.overwrite_deleted().await?;
        self.write(meta::clear_scrub_due).await?;
        Ok(overwritten)
    }

    /// As [`Self::scrub`], where a deletion was not followed by one: a crash came between. `true`:
    /// that was so, and all is overwritten now.
    ///
    /// # Errors
    /// As there.
    pub async fn scrub_if_due(&self) -> Result<bool, RepositoryError> {
        let due = self.read(meta::scrub_is_due).await?;
        Ok(due && self.scrub().await?)
    }
}
