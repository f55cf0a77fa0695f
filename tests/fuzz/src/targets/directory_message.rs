//! A directory's message: nothing in it makes the reader hold much more than it has, and what comes
//! before its end or after it changes nothing.

use portcullis_gateway::connector::fuzzed::read;

/// Bytes of one message at the most.
const MOST: usize = 2048;

/// Bytes that a message of this length may become: an attribute without values has six of them, and
/// an unreadable byte of a text is shown as three.
fn room(length: usize) -> usize {
    1024 + 32 * length
}

pub(crate) fn run(bytes: &[u8]) {
    let Some(message) = read(bytes, MOST) else {
        return;
    };
    assert!(message.length <= bytes.len().min(MOST));
    assert!(message.kept <= room(message.length), "{message:?}");
    let mut behind = bytes.get(..message.length).unwrap_or_default().to_vec();
    behind.extend([0x30, 0x84, 0xff]);
    assert_eq!(read(&behind, MOST).as_ref(), Some(&message));
    for cut in [1, 2, 7, message.length / 2, message.length - 1] {
        if cut < message.length {
            assert_eq!(read(bytes.get(..cut).unwrap_or_default(), MOST), None);
        }
    }
    assert_eq!(read(bytes, message.length - 1), None);
}
