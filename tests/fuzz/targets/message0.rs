#![no_main]
//! Message 0, from anybody who can reach the server's port.

use libfuzzer_sys::fuzz_target;
use portcullis_common::handshake::Preamble;

fuzz_target!(|frame: &[u8]| {
    if let Ok(preamble) = Preamble::decode(frame) {
        assert_eq!(preamble.encode().as_deref(), Ok(frame));
    }
});
