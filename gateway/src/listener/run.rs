//! What all sessions of one run of the gateway may use.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use portcullis_proto::gateway::v1::ConnectorInfo;
use tokio::sync::Notify;
use tokio::task::spawn_blocking;

use super::keys::Keys;
use super::more_log::More;
use super::status::StatusBoard;
use crate::connectors::Connectors;

/// Faults of a connector that the server is told, and characters of each.
const MAX_FAULTS: usize = 8;
const MAX_FAULT: usize = 500;

/// One run of the gateway, as a session sees it.
#[derive(Debug)]
pub struct Run {
    /// The key store.
    pub keys: Keys,
    /// What `status` shows.
    pub status: StatusBoard,
    connectors: Mutex<Connectors>,
    /// This host's name.
    pub hostname: String,
    /// The longest that a call may take.
    pub call_timeout: Duration,
    /// What a server has it log besides; `None`: no server is given the log, nor changes it.
    pub more_log: Option<Arc<More>>,
    new_key: Notify,
}

impl Run {
    /// With these connectors, on the host of this name.
    pub fn new(
        keys: Keys,
        status: StatusBoard,
        connectors: &Connectors,
        hostname: String,
        call_timeout: Duration,
        log_for_server: bool,
    ) -> Self {
        Self {
            keys,
            status,
            connectors: Mutex::new(connectors.clone()),
            hostname,
            call_timeout,
            more_log: log_for_server.then(Arc::default),
            new_key: Notify::new(),
        }
    }

    /// What this gateway offers, as the host now is.
    pub async fn connectors(&self) -> Vec<ConnectorInfo> {
        let connectors = self.lock().clone();
        // It reads files.
        let described = spawn_blocking(move || describe(&connectors)).await;
        described.unwrap_or_default()
    }

    /// Offers these from now on.
    pub fn offer(&self, connectors: Connectors) {
        *self.lock() = connectors;
    }

    fn lock(&self) -> MutexGuard<'_, Connectors> {
        self.connectors
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
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

fn describe(connectors: &Connectors) -> Vec<ConnectorInfo> {
    let short = |fault: String| fault.chars().take(MAX_FAULT).collect();
    connectors
        .iter()
        .map(|(name, configured)| ConnectorInfo {
            name: name.to_owned(),
            r#type: configured.connector.kind().to_owned(),
            allowed_verbs: configured
                .open_verbs()
                .iter()
                .map(ToString::to_string)
                .collect(),
            faults: configured
                .inspect()
                .faults
                .into_iter()
                .take(MAX_FAULTS)
                .map(short)
                .collect(),
        })
        .collect()
}
