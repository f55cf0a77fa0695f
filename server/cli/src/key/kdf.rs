use clap::ValueEnum;
use portcullis_proto::admin::v1::Kdf as Message;

/// How a key is derived from a passphrase.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub(super) enum Kdf {
    /// PBKDF2-HMAC-SHA-256
    #[default]
    Pbkdf2,
    /// scrypt, which costs memory, too
    Scrypt,
}

impl From<Kdf> for i32 {
    fn from(kdf: Kdf) -> Self {
        match kdf {
            Kdf::Pbkdf2 => Message::Pbkdf2,
            Kdf::Scrypt => Message::Scrypt,
        }
        .into()
    }
}
