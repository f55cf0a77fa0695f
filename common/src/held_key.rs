//! A gateway's keys, as the handshake and the rotation both see them.

use crate::id::{GatewayId, KeyId};
use crate::secret::MasterKey;

/// A key and its id, as a gateway holds them.
#[derive(Clone, Debug)]
pub struct HeldKey {
    /// The id of the gateway key from which it was diversified, or of the enrolment key.
    pub id: KeyId,
    /// The key.
    pub key: MasterKey,
}

impl HeldKey {
    /// Whether its id names a key of its kind, and not the default key, which no gateway holds as
    /// its own.
    pub(crate) fn is_sound(&self) -> bool {
        self.id != KeyId::DEFAULT && self.id.kind() == self.key.kind()
    }
}

/// What a gateway brings to its next handshake.
#[derive(Clone, Debug)]
pub enum Identity {
    /// Secure mode, with any of these keys: pending first, then active.
    Keyed {
        /// Its id.
        gateway_id: GatewayId,
        /// The keys it holds, newest first; never empty.
        keys: Vec<HeldKey>,
    },
    /// Default mode: it holds no key and pairing is open.
    Pairing,
    /// It holds no key and pairing is closed: every session is refused.
    None,
}
