#![no_main]
//! Message 3 of either mode, before its MAC is verified.

use libfuzzer_sys::fuzz_target;
use portcullis_common::handshake::Mode;
use portcullis_common::wire::Message3;

fuzz_target!(|frame: &[u8]| {
    for mode in [Mode::Secure, Mode::Default] {
        if let Ok((message, mac)) = Message3::decode(frame, mode) {
            assert_eq!(message.encode(|_| mac), frame);
        }
    }
});
