//! What may be chosen of a key: its kind, and how it is derived from a passphrase.

use clap::ValueEnum;
use portcullis_proto::admin::v1::{Kdf as KdfMessage, KeyKind};

/// A kind of key.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Kind {
    /// 168-bit 3DES
    #[value(name = "3des")]
    Tdes,
    /// 256-bit AES
    #[value(name = "aes-256")]
    Aes256,
}

/// How a key is derived from a passphrase.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub(crate) enum Kdf {
    /// PBKDF2-HMAC-SHA-256
    #[default]
    Pbkdf2,
    /// scrypt, which costs memory, too
    Scrypt,
}

/// The kind as a message says it; without one, that of the current key.
pub(crate) fn kind_of(kind: Option<Kind>) -> KeyKind {
    match kind {
        None => KeyKind::Unspecified,
        Some(Kind::Tdes) => KeyKind::Tdes,
        Some(Kind::Aes256) => KeyKind::Aes256,
    }
}

impl From<Kdf> for i32 {
    fn from(kdf: Kdf) -> Self {
        match kdf {
            Kdf::Pbkdf2 => KdfMessage::Pbkdf2,
            Kdf::Scrypt => KdfMessage::Scrypt,
        }
        .into()
    }
}
