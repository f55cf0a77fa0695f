use clap::ValueEnum;
use portcullis_proto::admin::v1::KeyKind;

/// A kind of key, on the command line.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Kind {
    /// 168-bit 3DES
    #[value(name = "3des")]
    Tdes,
    /// 256-bit AES
    #[value(name = "aes-256")]
    Aes256,
}

/// The kind for the wire.
pub(super) const fn wire(kind: Option<Kind>) -> KeyKind {
    match kind {
        None => KeyKind::Unspecified,
        Some(Kind::Tdes) => KeyKind::Tdes,
        Some(Kind::Aes256) => KeyKind::Aes256,
    }
}
