#![no_main]
//! A header is refused or read as it would be written.

use libfuzzer_sys::fuzz_target;
use portcullis_common::wire::{FrameHeader, HEADER_LEN};

fuzz_target!(|bytes: [u8; HEADER_LEN]| {
    let handshake = FrameHeader::decode_handshake(bytes);
    let record = FrameHeader::decode_record(bytes);
    assert!(handshake.is_err() || record.is_err());
    if let Ok(header) = handshake.or(record) {
        assert_eq!(header.encode(), bytes);
    }
});
