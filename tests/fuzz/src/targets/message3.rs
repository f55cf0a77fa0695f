//! Message 3 of either mode, before its MAC is verified.

use portcullis_common::handshake::Mode;
use portcullis_common::wire::Message3;

pub(crate) fn run(frame: &[u8]) {
    for mode in [Mode::Secure, Mode::Default] {
        if let Ok((message, mac)) = Message3::decode(frame, mode) {
            assert_eq!(message.encode(|_| mac), frame);
        }
    }
}
