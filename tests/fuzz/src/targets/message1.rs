//! Message 1, from anybody who can reach the gateway's port.

use portcullis_common::wire::Message1;

pub(crate) fn run(frame: &[u8]) {
    if let Ok(message) = Message1::decode(frame) {
        assert_eq!(message.encode().as_deref(), Ok(frame));
    }
}
