//! What servers that are gone left under way, of whatever kind: whether there is anything to take
//! over.

use super::instance::has_no_server;
use super::sql::params;
use super::{Database, RepositoryError};

impl Database {
    /// Whether servers that are gone left calls or tasks. Of a repository that servers share.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn has_left_work(&self) -> Result<bool, RepositoryError> {
        let instance = self.instance();
        let gone = has_no_server(true);
        self.look(move |tx| {
            let sql = format!(
                "SELECT 1 FROM queued_calls WHERE (state = 1 OR (state = 0 AND direct = 1)) AND {gone}
                 UNION ALL
                 SELECT 1 FROM tasks WHERE state = 'running' AND {gone}"
            );
            tx.exists(&sql, &params![instance])
        })
        .await
    }
}
