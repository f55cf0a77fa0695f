#![no_main]
//! Message 4.

use libfuzzer_sys::fuzz_target;
use portcullis_common::wire::Message4;

fuzz_target!(|frame: &[u8]| {
    if let Ok(mac) = Message4::decode(frame) {
        assert_eq!(Message4::encode(mac), frame);
    }
});
