#![no_main]
//! Message 2, before its proof is verified.

use libfuzzer_sys::fuzz_target;
use portcullis_common::wire::Message2;

fuzz_target!(|frame: &[u8]| {
    if let Ok((message, proof)) = Message2::decode(frame) {
        assert_eq!(message.encode(|_| proof), frame);
    }
});
