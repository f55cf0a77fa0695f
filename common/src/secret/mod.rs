//! One newtype per key role: in locked memory, zeroized on drop, redacted in `Debug`, opened by an
//! explicit `expose`.

#[cfg_attr(feature = "locked-memory", allow(unsafe_code))]
pub mod locked;
pub mod stack;
#[cfg(feature = "locked-memory")]
pub mod wiping;

use std::fmt;

use rand_core::CryptoRng;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::id::KeyKind;
use locked::LockedBytes;

/// Why bytes are no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The number of bytes is not that of the kind.
    #[error("a key of this kind has another length")]
    Length,
    /// A 3DES key without odd parity, with equal parts, or with a weak or semi-weak part (SP
    /// 800-67r2, 3.4).
    #[error("a weak or malformed 3DES key")]
    Weak,
}

/// The bytes of a key, checked for its kind: a 3DES key has odd parity, three distinct parts, none
/// weak.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub(crate) enum KeyBytes {
    Tdes(LockedBytes<24>),
    Aes256(LockedBytes<32>),
}

impl KeyBytes {
    pub(crate) fn new(kind: KeyKind, bytes: &[u8]) -> Result<Self, KeyError> {
        if bytes.len() != kind.key_len() {
            return Err(KeyError::Length);
        }
        Self::filled(kind, |key| key.copy_from_slice(bytes))
    }

    pub(crate) fn random(kind: KeyKind, rng: &mut impl CryptoRng) -> Self {
        loop {
            // Fails once in 2^50 or so: a weak part, or two equal ones.
            if let Ok(key) = Self::made(kind, |bytes| rng.fill_bytes(bytes)) {
                return key;
            }
        }
    }

    /// Of the bytes that `fill` writes, with odd parity set first for 3DES: from a generator or a
    /// derivation.
    pub(crate) fn made(kind: KeyKind, fill: impl FnOnce(&mut [u8])) -> Result<Self, KeyError> {
        Self::filled(kind, |bytes| {
            fill(bytes);
            if kind == KeyKind::Tdes {
                set_odd_parity(bytes);
            }
        })
    }

    /// `fill` writes where the key stays.
    fn filled(kind: KeyKind, fill: impl FnOnce(&mut [u8])) -> Result<Self, KeyError> {
        match kind {
            KeyKind::Tdes => {
                let mut bytes = LockedBytes::zeroed();
                fill(&mut *bytes);
                if tdes_key_is_sound(&bytes) {
                    Ok(Self::Tdes(bytes))
                } else {
                    Err(KeyError::Weak)
                }
            }
            KeyKind::Aes256 => {
                let mut bytes = LockedBytes::zeroed();
                fill(&mut *bytes);
                Ok(Self::Aes256(bytes))
            }
        }
    }

    pub(crate) const fn kind(&self) -> KeyKind {
        match self {
            Self::Tdes(_) => KeyKind::Tdes,
            Self::Aes256(_) => KeyKind::Aes256,
        }
    }

    pub(crate) fn expose(&self) -> &[u8] {
        match self {
            Self::Tdes(bytes) => &**bytes,
            Self::Aes256(bytes) => &**bytes,
        }
    }
}

/// Sets the lowest bit of every byte so that it has an odd number of ones (FIPS 46-3).
pub(crate) fn set_odd_parity(bytes: &mut [u8]) {
    for byte in bytes {
        *byte = (*byte & 0xFE) | ((*byte >> 1).count_ones() as u8 & 1 ^ 1);
    }
}

fn tdes_key_is_sound(bytes: &[u8; 24]) -> bool {
    let odd = bytes.iter().all(|byte| byte.count_ones() % 2 == 1);
    let (k1, k2, k3) = (&bytes[..8], &bytes[8..16], &bytes[16..]);
    let distinct = k1 != k2 && k2 != k3 && k1 != k3;
    odd && distinct
        && ![k1, k2, k3]
            .iter()
            .any(|part| WEAK_DES_KEYS.iter().any(|weak| weak == part))
}

/// The 4 weak and 12 semi-weak DES keys (SP 800-67r2, 3.4.2).
const WEAK_DES_KEYS: [[u8; 8]; 16] = [
    [0x01; 8],
    [0xFE; 8],
    [0xE0, 0xE0, 0xE0, 0xE0, 0xF1, 0xF1, 0xF1, 0xF1],
    [0x1F, 0x1F, 0x1F, 0x1F, 0x0E, 0x0E, 0x0E, 0x0E],
    [0x01, 0xFE, 0x01, 0xFE, 0x01, 0xFE, 0x01, 0xFE],
    [0xFE, 0x01, 0xFE, 0x01, 0xFE, 0x01, 0xFE, 0x01],
    [0x1F, 0xE0, 0x1F, 0xE0, 0x0E, 0xF1, 0x0E, 0xF1],
    [0xE0, 0x1F, 0xE0, 0x1F, 0xF1, 0x0E, 0xF1, 0x0E],
    [0x01, 0xE0, 0x01, 0xE0, 0x01, 0xF1, 0x01, 0xF1],
    [0xE0, 0x01, 0xE0, 0x01, 0xF1, 0x01, 0xF1, 0x01],
    [0x1F, 0xFE, 0x1F, 0xFE, 0x0E, 0xFE, 0x0E, 0xFE],
    [0xFE, 0x1F, 0xFE, 0x1F, 0xFE, 0x0E, 0xFE, 0x0E],
    [0x01, 0x1F, 0x01, 0x1F, 0x01, 0x0E, 0x01, 0x0E],
    [0x1F, 0x01, 0x1F, 0x01, 0x0E, 0x01, 0x0E, 0x01],
    [0xE0, 0xFE, 0xE0, 0xFE, 0xF1, 0xFE, 0xF1, 0xFE],
    [0xFE, 0xE0, 0xFE, 0xE0, 0xFE, 0xF1, 0xFE, 0xF1],
];

macro_rules! key_role {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Zeroize, ZeroizeOnDrop)]
        pub struct $name(pub(crate) KeyBytes);

        impl $name {
            /// A fresh random key.
            pub fn random(kind: KeyKind, rng: &mut impl CryptoRng) -> Self {
                Self(KeyBytes::random(kind, rng))
            }

            /// A key from its bytes: 24 with odd parity for 3DES, 32 for AES-256.
            ///
            /// # Errors
            /// [`KeyError`] where the length is another or a 3DES key is weak or malformed.
            pub fn from_bytes(kind: KeyKind, bytes: &[u8]) -> Result<Self, KeyError> {
                KeyBytes::new(kind, bytes).map(Self)
            }

            /// The kind of this key.
            pub fn kind(&self) -> KeyKind {
                self.0.kind()
            }

            /// The secret bytes: to be written to protected storage or into a wrap, nowhere else.
            pub fn expose(&self) -> &[u8] {
                self.0.expose()
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({}, [redacted])"), self.0.kind().name())
            }
        }
    };
}

key_role!(
    /// The repository's key from which the master key of every gateway is diversified.
    GatewayKey
);
key_role!(
    /// The repository's key from which that of every link between two of its servers is
    /// diversified.
    PeerKey
);
key_role!(
    /// One gateway's own key: all that it stores. An enrolment key takes its place until the first
    /// is installed.
    MasterKey
);
key_role!(
    /// Made by the server for one session of one server/gateway pair.
    SessionKey
);
key_role!(
    /// The server's key that seals the secrets in its repository.
    ServerKey
);

/// Wraps one key, once or under a context of its own: it is derived for that alone.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub(crate) struct KeyEncryptionKey(pub(crate) KeyBytes);

impl fmt::Debug for KeyEncryptionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyEncryptionKey({}, [redacted])", self.0.kind().name())
    }
}

macro_rules! secret_role {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Zeroize, ZeroizeOnDrop)]
        pub struct $name(LockedBytes<32>);

        impl $name {
            /// A secret from its 32 bytes, which the caller wipes.
            pub fn from_bytes(bytes: &[u8; 32]) -> Self {
                Self(LockedBytes::copy_of(bytes))
            }

            /// The secret bytes: to derive from, nothing else.
            pub fn expose(&self) -> &[u8; 32] {
                &self.0
            }
        }

        impl From<LockedBytes<32>> for $name {
            fn from(bytes: LockedBytes<32>) -> Self {
                Self(bytes)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "([redacted])"))
            }
        }
    };
}

secret_role!(
    /// The secret of one epoch of one direction: its keys and the next epoch's secret are derived
    /// from it.
    TrafficSecret
);
secret_role!(
    /// 256 random bits that open a repository's server keys. The repository holds them encrypted
    /// only, if at all.
    StorageSecret
);
secret_role!(
    /// 256 random bits that open the keys in one export. The export holds them encrypted under its
    /// passphrase.
    ExportSecret
);

/// The 168-bit default key, compiled into both programs and therefore public: it authenticates
/// nobody.
///
/// The first 24 bytes of SHA-256("portcullis default key"), with odd parity.
pub const DEFAULT_KEY: [u8; 24] = [
    0x02, 0x1A, 0xA7, 0xF7, 0x98, 0xB9, 0xF4, 0x1A, 0x49, 0x31, 0x85, 0x46, 0xBF, 0xDF, 0xE9, 0x70,
    0x52, 0x6D, 0x37, 0x5B, 0xE9, 0xAE, 0x91, 0xEA,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_key_byte() {
        let key = MasterKey::random(KeyKind::Tdes, &mut rand::rng());
        assert_eq!(format!("{key:?}"), "MasterKey(3des, [redacted])");
    }

    #[test]
    fn weak_equal_and_even_3des_keys_are_refused() {
        let good = MasterKey::random(KeyKind::Tdes, &mut rand::rng());
        let good = good.expose();
        for weak in WEAK_DES_KEYS {
            for part in 0..3 {
                let mut bytes = good.to_vec();
                bytes[part * 8..][..8].copy_from_slice(&weak);
                assert_eq!(
                    MasterKey::from_bytes(KeyKind::Tdes, &bytes).unwrap_err(),
                    KeyError::Weak
                );
            }
        }
        for (from, to) in [(0, 8), (8, 16), (0, 16)] {
            let mut bytes = good.to_vec();
            bytes.copy_within(from..from + 8, to);
            assert_eq!(
                MasterKey::from_bytes(KeyKind::Tdes, &bytes).unwrap_err(),
                KeyError::Weak
            );
        }
        let mut even = good.to_vec();
        even[5] ^= 1;
        assert_eq!(
            MasterKey::from_bytes(KeyKind::Tdes, &even).unwrap_err(),
            KeyError::Weak
        );
        assert_eq!(
            MasterKey::from_bytes(KeyKind::Aes256, good).unwrap_err(),
            KeyError::Length
        );
    }
}
