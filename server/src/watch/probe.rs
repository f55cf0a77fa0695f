//! Whether the repository can be written.

use std::time::Duration;

use portcullis_host::clock;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::repository::{Repository, RepositoryError};

/// For how long a write that succeeded is proof enough.
const PROOF: Duration = Duration::from_secs(10);

/// Writes what nobody reads, at most every 10 s: a full or broken disk shows in nothing less than a
/// commit.
#[derive(Debug)]
pub(super) struct Probe {
    repository: Repository,
    /// When it last succeeded.
    written: Mutex<Option<Instant>>,
}

impl Probe {
    pub(super) fn new(repository: Repository) -> Self {
        Self {
            repository,
            written: Mutex::default(),
        }
    }

    pub(super) async fn write(&self) -> Result<(), RepositoryError> {
        let mut written = self.written.lock().await;
        if written.is_some_and(|at| at.elapsed() < PROOF) {
            return Ok(());
        }
        *written = None;
        let meta = self.repository.database().meta();
        meta.set_probed(clock::now()).await?;
        *written = Some(Instant::now());
        Ok(())
    }
}
