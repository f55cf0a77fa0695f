//! Ids as people write them, and as they stand on the wire.

use portcullis_common::id::{GatewayId, KeyId, ServerId};

pub(crate) fn run(bytes: &[u8]) {
    if let Some(id) = KeyId::from_bytes(bytes) {
        assert_eq!(id.to_bytes(), bytes);
        assert_eq!(id.to_string().parse(), Ok(id));
    }
    if let Some(id) = GatewayId::from_bytes(bytes) {
        assert_eq!(id.to_bytes(), bytes);
    }
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Ok(id) = text.parse::<KeyId>() {
        assert!(id.to_string().eq_ignore_ascii_case(text));
    }
    if let Ok(id) = text.parse::<GatewayId>() {
        assert!(id.to_string().eq_ignore_ascii_case(text));
    }
    if let Ok(id) = text.parse::<ServerId>() {
        assert!(id.to_string().eq_ignore_ascii_case(text));
    }
}
