//! What happens in the fleet that belongs into the audit log. Whoever keeps that follows.

use portcullis_common::id::{GatewayId, KeyId};
use tokio::sync::mpsc;

use super::Fleet;

/// Events that may wait to be written down. They are few: alike alarms are one.
const MAX_WAITING: usize = 4_096;

/// Something that happened by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// An alarm was raised that is like no open one.
    Alarm {
        /// Whose.
        gateway: String,
        /// What happened, and what to do.
        text: String,
    },
    /// A gateway proved its first key.
    Enrolled {
        /// Its name.
        gateway: String,
        /// Its registration.
        id: GatewayId,
        /// From where.
        remote: String,
        /// What it calls its host; empty: it did not say.
        host: String,
    },
    /// A push of the gateway key has ended.
    Pushed {
        /// The key.
        key: KeyId,
        /// How many gateways have proved it, and which have not.
        text: String,
    },
}

impl Fleet {
    /// The events from now on, for one follower: the first who asks.
    pub fn events(&self) -> mpsc::Receiver<Event> {
        let (sender, receiver) = mpsc::channel(MAX_WAITING);
        // A second follower gets none.
        let _ = self.inner.events.set(sender);
        receiver
    }

    pub(super) fn tell(&self, event: Event) {
        let Some(follower) = self.inner.events.get() else {
            return;
        };
        if let Err(error) = follower.try_send(event) {
            tracing::error!(%error, "an event of the fleet is not in the audit log");
        }
    }
}
