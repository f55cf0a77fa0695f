//! What all sessions of one run of the gateway may use.

use std::time::Duration;

use tokio::sync::Notify;

use super::keys::Keys;
use super::status::StatusBoard;
use crate::worker::OwnLog;

/// One run of the gateway, as a session sees it.
#[derive(Debug)]
pub struct Run {
    /// The key store.
    pub keys: Keys,
    /// What `status` shows.
    pub status: StatusBoard,
    /// This host's name.
    pub hostname: String,
    /// The longest that a call may take.
    pub call_timeout: Duration,
    /// The log of this process; `None`: no server is given it, nor changes it.
    pub log: Option<OwnLog>,
    new_key: Notify,
}

impl Run {
    /// On the host of this name.
    pub fn new(
        keys: Keys,
        status: StatusBoard,
        hostname: String,
        call_timeout: Duration,
        log_for_server: bool,
    ) -> Self {
        Self {
            keys,
            status,
            hostname,
            call_timeout,
            log: log_for_server.then(OwnLog::default),
            new_key: Notify::new(),
        }
    }

    /// Notes that a new key waits to be proved by a fresh handshake.
    pub fn installed(&self) {
        self.new_key.notify_one();
    }

    /// Waits until a new key waits to be proved.
    pub async fn until_installed(&self) {
        self.new_key.notified().await;
    }
}
