//! Message 0, from anybody who can reach the server's port.

use portcullis_common::handshake::Preamble;

pub(crate) fn run(frame: &[u8]) {
    if let Ok(preamble) = Preamble::decode(frame) {
        assert_eq!(preamble.encode().as_deref(), Ok(frame));
    }
}
