//! Derivations.

use crate::id::GatewayId;
use crate::secret::{GatewayKey, MasterKey};

/// The master key of one gateway: KDF(gateway key, gateway id). Of the gateway key's kind.
pub fn diversify(_gateway_key: &GatewayKey, _gateway_id: GatewayId) -> MasterKey {
    todo!()
}
