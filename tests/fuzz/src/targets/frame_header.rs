//! A header is refused or read as it would be written.

use portcullis_common::wire::{FrameHeader, HEADER_LEN};

pub(crate) fn run(input: &[u8]) {
    let Some(&bytes) = input.first_chunk::<HEADER_LEN>() else {
        return;
    };
    let handshake = FrameHeader::decode_handshake(bytes);
    let record = FrameHeader::decode_record(bytes);
    assert!(handshake.is_err() || record.is_err());
    if let Ok(header) = handshake.or(record) {
        assert_eq!(header.encode(), bytes);
    }
}
