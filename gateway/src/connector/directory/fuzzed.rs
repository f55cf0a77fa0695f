//! The reader of a directory's messages, for its fuzz target.

use bytes::Bytes;

use super::gathered::weight;
use super::message::{self, Body, Control};

/// What was read of some bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    /// Bytes of the message.
    pub length: usize,
    /// Bytes that are kept of it, about.
    pub kept: usize,
    /// All of it, as it is shown.
    pub shown: String,
}

/// Reads the message that `bytes` begin with, as a connection does; `None` where that is none, is
/// longer than `most`, or is not there whole.
pub fn read(bytes: &[u8], most: usize) -> Option<Read> {
    let length = message::length(bytes, most).ok()??;
    let message = message::decode(Bytes::copy_from_slice(bytes.get(..length)?)).ok()?;
    let texts = |texts: &[String]| texts.iter().map(String::len).sum::<usize>();
    let body = match &message.body {
        Body::Entry(entry) => weight(entry),
        Body::Reference(urls) => texts(urls),
        Body::Answer(answer) => {
            let value = answer.value.as_ref().map_or(0, Bytes::len);
            let oid = answer.oid.as_ref().map_or(0, String::len);
            answer.matched.len() + answer.text.len() + texts(&answer.referrals) + value + oid
        }
        Body::Intermediate { oid, value } => {
            oid.as_ref().map_or(0, String::len) + value.as_ref().map_or(0, Bytes::len)
        }
    };
    let control = |control: &Control| {
        size_of::<Control>() + control.oid.len() + control.value.as_ref().map_or(0, Vec::len)
    };
    let controls: usize = message.controls.iter().map(control).sum();
    Some(Read {
        length,
        kept: body + controls,
        shown: format!("{message:?}"),
    })
}
