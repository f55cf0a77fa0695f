//! Identifiers of keys, gateways and servers: random, public, fixed in size.

use std::fmt;
use std::str::FromStr;

use data_encoding::HEXLOWER_PERMISSIVE;
use rand_core::CryptoRng;

/// Why a text is no identifier.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not {expected}: give {prefix} and 32 hexadecimal digits")]
pub struct ParseIdError {
    expected: &'static str,
    prefix: &'static str,
}

/// The kind of a key: it decides size, wrap and derivation of everything made from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum KeyKind {
    /// 168-bit 3DES: 24 bytes with odd parity. Wraps by TKW (SP 800-38F).
    Tdes = 1,
    /// 256-bit AES: 32 bytes. Wraps by RFC 3394.
    Aes256 = 2,
}

impl KeyKind {
    /// Bytes in a key of this kind.
    pub const fn key_len(self) -> usize {
        match self {
            Self::Tdes => 24,
            Self::Aes256 => 32,
        }
    }

    /// The name used in texts and labels: `3des` or `aes-256`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tdes => "3des",
            Self::Aes256 => "aes-256",
        }
    }

    /// The kind with this number on the wire.
    pub const fn from_wire(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Tdes),
            2 => Some(Self::Aes256),
            _ => None,
        }
    }

    const fn prefix(self) -> &'static str {
        match self {
            Self::Tdes => "3des-",
            Self::Aes256 => "aes-",
        }
    }
}

/// Names a key: its kind and 128 random bits. On the wire 17 bytes: the kind, then the bits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId {
    kind: KeyKind,
    bits: [u8; 16],
}

impl KeyId {
    /// Bytes of a key id on the wire.
    pub const LEN: usize = 17;

    /// The id under which both programs know the compiled-in default key, which is public.
    pub const DEFAULT: Self = Self {
        kind: KeyKind::Tdes,
        bits: [0; 16],
    };

    /// A fresh random id for a key of `kind`.
    pub fn random(kind: KeyKind, rng: &mut impl CryptoRng) -> Self {
        let mut bits = [0; 16];
        rng.fill_bytes(&mut bits);
        Self { kind, bits }
    }

    /// The kind of key that this names.
    pub const fn kind(&self) -> KeyKind {
        self.kind
    }

    /// The 17 bytes on the wire.
    pub fn to_bytes(self) -> [u8; Self::LEN] {
        let mut out = [0; Self::LEN];
        let (kind, bits) = out.split_at_mut(1);
        kind.fill(self.kind as u8);
        bits.copy_from_slice(&self.bits);
        out
    }

    /// Parses the 17 bytes on the wire; `None` where the size or the kind is unknown.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (&kind, bits) = bytes.split_first()?;
        Some(Self {
            kind: KeyKind::from_wire(kind)?,
            bits: bits.try_into().ok()?,
        })
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}{}",
            self.kind.prefix(),
            HEXLOWER_PERMISSIVE.encode(&self.bits)
        )
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for KeyId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [KeyKind::Tdes, KeyKind::Aes256]
            .into_iter()
            .find_map(|kind| {
                Some(Self {
                    kind,
                    bits: parse_hex(text.strip_prefix(kind.prefix())?)?,
                })
            })
            .ok_or(ParseIdError {
                expected: "a key id",
                prefix: "`3des-` or `aes-`",
            })
    }
}

fn parse_hex(text: &str) -> Option<[u8; 16]> {
    HEXLOWER_PERMISSIVE
        .decode(text.as_bytes())
        .ok()?
        .try_into()
        .ok()
}

macro_rules! random_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal, $expected:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 16]);

        impl $name {
            /// Bytes on the wire.
            pub const LEN: usize = 16;

            /// A fresh random id.
            pub fn random(rng: &mut impl CryptoRng) -> Self {
                let mut bytes = [0; 16];
                rng.fill_bytes(&mut bytes);
                Self(bytes)
            }

            /// From the 16 bytes on the wire.
            pub const fn from_array(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// From the bytes on the wire; `None` where they are not 16.
            pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
                bytes.try_into().ok().map(Self)
            }

            /// The 16 bytes on the wire.
            pub const fn to_bytes(self) -> [u8; 16] {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), HEXLOWER_PERMISSIVE.encode(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.strip_prefix($prefix)
                    .and_then(parse_hex)
                    .map(Self)
                    .ok_or(ParseIdError { expected: $expected, prefix: concat!("`", $prefix, "`") })
            }
        }
    };
}

random_id!(
    /// Names a registration of a gateway: random, new each time it is registered. Its name is
    /// separate.
    GatewayId, "gw-", "a gateway id"
);
random_id!(
    /// Names a central server.
    ServerId, "sv-", "a server id"
);

random_id!(
    /// Names one running program on a repository that several share: random, new at each start.
    PeerId, "in-", "an instance"
);

impl PeerId {
    /// Stands for no instance. Never given to one.
    pub const NONE: Self = Self([0; 16]);
}

/// The two ends of a link between servers, told apart by who dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PeerEnds {
    /// The instance that opened the connection.
    pub dialler: PeerId,
    /// The instance that it is to reach.
    pub dialled: PeerId,
}

impl PeerEnds {
    /// Bytes on the wire.
    pub const LEN: usize = 2 * PeerId::LEN;

    /// Both instances, the one that dialled first.
    pub fn to_bytes(self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        let (dialler, dialled) = bytes.split_at_mut(PeerId::LEN);
        dialler.copy_from_slice(&self.dialler.to_bytes());
        dialled.copy_from_slice(&self.dialled.to_bytes());
        bytes
    }

    /// Whether these are two instances: a server has no link to itself.
    pub fn are_two(&self) -> bool {
        self.dialler != self.dialled && self.dialler != PeerId::NONE && self.dialled != PeerId::NONE
    }
}

impl GatewayId {
    /// Stands in message 2 of default mode, for a gateway that has no id yet. Never given to one.
    pub const NONE: Self = Self([0; 16]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_survive_text_and_wire() {
        for kind in [KeyKind::Tdes, KeyKind::Aes256] {
            let id = KeyId::random(kind, &mut rand::rng());
            assert_eq!(id.to_string().parse(), Ok(id));
            assert_eq!(KeyId::from_bytes(&id.to_bytes()), Some(id));
        }
        let id = GatewayId::random(&mut rand::rng());
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(GatewayId::from_bytes(&id.to_bytes()), Some(id));
    }

    #[test]
    fn other_texts_are_refused_with_advice() {
        for text in [
            "",
            "3des-",
            "gw-00",
            "3des-0g000000000000000000000000000000",
            "des-00000000000000000000000000000000",
        ] {
            let error = text.parse::<KeyId>().unwrap_err();
            assert!(error.to_string().contains("3des-"), "{error}");
        }
        assert_eq!(KeyId::from_bytes(&[3; 17]), None);
        assert_eq!(KeyId::from_bytes(&[1; 16]), None);
    }
}
