//! What all sessions of one run of the gateway may use.

use std::time::Duration;

use portcullis_proto::gateway::v1::ConnectorInfo;
use tokio::sync::Notify;

use super::keys::Keys;
use super::status::StatusBoard;
use crate::connectors::Connectors;

/// One run of the gateway, as a session sees it.
#[derive(Debug)]
pub struct Run {
    /// The key store.
    pub keys: Keys,
    /// What `status` shows.
    pub status: StatusBoard,
    /// What this gateway offers.
    pub connectors: Vec<ConnectorInfo>,
    /// This host's name.
    pub hostname: String,
    /// The longest that a call may take.
    pub call_timeout: Duration,
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
    ) -> Self {
        Self {
            keys,
            status,
            connectors: describe(connectors),
            hostname,
            call_timeout,
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

fn describe(connectors: &Connectors) -> Vec<ConnectorInfo> {
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
        })
        .collect()
}
