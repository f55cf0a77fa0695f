//! Message 2, before its proof is verified.

use portcullis_common::wire::Message2;

pub(crate) fn run(frame: &[u8]) {
    if let Ok((message, proof)) = Message2::decode(frame) {
        assert_eq!(message.encode(|_| proof), frame);
    }
}
