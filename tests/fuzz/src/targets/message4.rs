//! Message 4.

use portcullis_common::wire::Message4;

pub(crate) fn run(frame: &[u8]) {
    if let Ok(mac) = Message4::decode(frame) {
        assert_eq!(Message4::encode(mac), frame);
    }
}
