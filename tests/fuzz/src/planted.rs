//! Decoders with a fault of the kinds that are looked for. A run that does not find them proves
//! nothing.

use portcullis_common::wire::Message1;

use crate::Target;
use crate::targets::call_frames;

/// Each with the target whose seeds it is given.
pub const PLANTED: &[(&str, Target)] = &[
    (
        "message1",
        Target {
            name: "a length is believed",
            run: length_believed,
        },
    ),
    (
        "message1",
        Target {
            name: "what follows the message is ignored",
            run: rest_ignored,
        },
    ),
    (
        "message1",
        Target {
            name: "a bit is ignored",
            run: bit_ignored,
        },
    ),
    (
        "call_frames",
        Target {
            name: "more than the credit is taken",
            run: call_frames::run_with_less_credit,
        },
    ),
];

fn length_believed(frame: &[u8]) {
    if let [_, high, low, body @ ..] = frame {
        let len = usize::from(u16::from_be_bytes([*high, *low]));
        let _ = &body[..len];
    }
}

fn rest_ignored(frame: &[u8]) {
    if let [_, high, low, ..] = frame {
        let len = 3 + usize::from(u16::from_be_bytes([*high, *low]));
        reads_as_written(frame, frame.get(..len).unwrap_or(frame));
    }
}

fn bit_ignored(frame: &[u8]) {
    let mut read = frame.to_vec();
    if let Some(byte) = read.get_mut(2) {
        *byte &= 0x7f;
    }
    reads_as_written(frame, &read);
}

fn reads_as_written(frame: &[u8], read: &[u8]) {
    if let Ok(message) = Message1::decode(read) {
        assert_eq!(message.encode().as_deref(), Ok(frame));
    }
}
