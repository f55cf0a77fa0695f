//! Bytes ↔ frames and handshake messages (PROTOCOL.md, "Frames" and "Messages").
//!
//! Decoding is total and strict: no input panics, nothing is allocated beyond the cap of its frame,
//! and a message has exactly one encoding: what is unknown, repeated, out of place or left over is
//! refused.

mod error;
mod frame;
pub(crate) mod messages;
mod reader;

pub use error::{DecodeError, MAX_NAME_LEN, VERSION};
pub use frame::{
    ALERT, FrameError, FrameHeader, FrameType, HEADER_LEN, MAX_CIPHERTEXT_LEN,
    MAX_HANDSHAKE_BODY_LEN, RECORD_TAG_LEN,
};
pub use messages::{
    MAC_LEN, MAX_KEY_IDS, MAX_SUITES, Message1, Message2, Message3, Message4, NONCE_LEN, SHARE_LEN,
    WrappedDelivery,
};
