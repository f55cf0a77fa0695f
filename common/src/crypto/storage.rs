//! Secrets at rest in the server's repository: values sealed under a server key, server keys
//! wrapped under a secret kept elsewhere.
//!
//! A sealed value is: version (1) ‖ server key id (17) ‖ salt (16) ‖ ciphertext ‖ tag. Each has
//! keys of its own, derived from the server key and its random salt, so counter and nonce start at
//! zero each time. Under a 3DES server key it is 3DES-CTR, then HMAC-SHA256 (32-byte tag); under an
//! AES one AES-256-GCM (16-byte tag). What stands before the ciphertext, and where the value
//! belongs, are authenticated with it.

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::kdf::{Label, Purpose, derive_key, expand_label, extract_unsalted};
use super::key_wrap;
use super::mac::{self, MacKey};
use super::value_cipher::{MAX_TAG_LEN, SALT_LEN, ValueCipher, ValueFlaw};
use crate::id::{KeyId, KeyKind};
use crate::secret::{DEFAULT_KEY, KeyEncryptionKey, ServerKey, StorageSecret};

const VERSION: u8 = 1;
/// Stands in a wrapped server key, authenticated, where the rows that decide in its repository
/// carry MACs: so nobody who lacks the secret can have them made again.
const BOUND: u8 = 2;
const HEADER_LEN: usize = 1 + KeyId::LEN + SALT_LEN;

/// Why something stored does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StorageError {
    /// Too short, or of a later version.
    #[error("it is cut short, or written by a later version")]
    Malformed,
    /// It was changed, moved from elsewhere, or stored under another secret.
    #[error("it was changed or moved, or it belongs to another secret")]
    Forged,
}

impl From<ValueFlaw> for StorageError {
    fn from(flaw: ValueFlaw) -> Self {
        match flaw {
            ValueFlaw::Short => Self::Malformed,
            ValueFlaw::Forged => Self::Forged,
        }
    }
}

/// The id of the server key under which `sealed` is; `None` where it is no sealed value of this
/// version.
pub fn server_key_id(sealed: &[u8]) -> Option<KeyId> {
    let (&version, rest) = sealed.split_first()?;
    (version == VERSION && sealed.len() >= HEADER_LEN)
        .then(|| rest.get(..KeyId::LEN).and_then(KeyId::from_bytes))?
}

/// A server key made ready to seal and open values: what is the same for all of them is computed
/// once.
#[derive(Clone, Debug)]
pub struct SealingKey {
    kind: KeyKind,
    prk: MacKey,
}

impl SealingKey {
    /// `key`, made ready.
    pub fn new(key: &ServerKey) -> Self {
        Self {
            kind: key.kind(),
            prk: MacKey::new(&extract_unsalted(&[key.expose()])),
        }
    }

    fn value_cipher(&self, salt: &[u8; SALT_LEN]) -> ValueCipher {
        let label = |purpose| label(purpose, self.kind);
        let cipher_key = derive_key(self.kind, &self.prk, label(Purpose::SealedValueKey), salt);
        ValueCipher::new(&cipher_key, || {
            expand_label(&self.prk, label(Purpose::SealedValueMacKey), salt)
        })
    }
}

/// Seals `value`, of at most 1 MiB, for the place that `place` names unambiguously.
pub fn seal(
    key: &SealingKey,
    key_id: KeyId,
    place: &[u8],
    value: &[u8],
    rng: &mut impl CryptoRng,
) -> Vec<u8> {
    let mut salt = [0; SALT_LEN];
    rng.fill_bytes(&mut salt);
    // Never longer than this: the buffer does not move while it holds the plaintext.
    let mut sealed = Vec::with_capacity(HEADER_LEN + value.len() + MAX_TAG_LEN);
    sealed.push(VERSION);
    sealed.extend_from_slice(&key_id.to_bytes());
    sealed.extend_from_slice(&salt);
    let associated = associated_data(&sealed, place);
    sealed.extend_from_slice(value);
    key.value_cipher(&salt)
        .seal(&associated, &mut sealed, HEADER_LEN);
    sealed
}

/// Opens what [`seal`] gave for the same `place` under the same key.
///
/// # Errors
/// [`StorageError`].
pub fn open(
    key: &SealingKey,
    place: &[u8],
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, StorageError> {
    if server_key_id(sealed).is_none() {
        return Err(StorageError::Malformed);
    }
    let (header, rest) = sealed
        .split_at_checked(HEADER_LEN)
        .ok_or(StorageError::Malformed)?;
    let salt = header
        .last_chunk::<SALT_LEN>()
        .ok_or(StorageError::Malformed)?;
    let associated = associated_data(header, place);
    Ok(key.value_cipher(salt).open(&associated, rest)?)
}

/// Wraps a server key under `secret`: key wrap of the key's kind, `BOUND`, then an HMAC-SHA256
/// over the id and both (the wrap's own check is 32 bits for 3DES).
pub fn wrap_server_key(secret: &StorageSecret, id: KeyId, key: &ServerKey) -> Vec<u8> {
    wrap_with(secret, id, key, &[BOUND])
}

/// As [`wrap_server_key`], as the first versions did it: without `BOUND`.
pub fn wrap_unbound_server_key(secret: &StorageSecret, id: KeyId, key: &ServerKey) -> Vec<u8> {
    wrap_with(secret, id, key, &[])
}

/// Whether a wrapped server key says that the rows of its repository carry MACs.
/// [`unwrap_server_key`] tells whether it says so rightly.
pub fn is_bound(wrapped: &[u8]) -> bool {
    wrapped
        .split_last_chunk::<{ mac::TAG_LEN }>()
        .is_some_and(|(body, _)| split_mark(body).1)
}

fn wrap_with(secret: &StorageSecret, id: KeyId, key: &ServerKey, mark: &[u8]) -> Vec<u8> {
    let (kek, mac) = protection_keys(secret, id);
    let mut wrapped = key_wrap::wrap(&kek, key.expose());
    wrapped.extend_from_slice(mark);
    let tag = mac.tag(&[&id.to_bytes(), &wrapped]).to_bytes();
    wrapped.extend_from_slice(&tag);
    wrapped
}

/// The wrap, and whether [`BOUND`] stands behind it: a wrap is always a multiple of 4 bytes long.
fn split_mark(body: &[u8]) -> (&[u8], bool) {
    match body.split_last() {
        Some((&BOUND, wrap)) if wrap.len().is_multiple_of(4) => (wrap, true),
        _ => (body, false),
    }
}

/// Opens what [`wrap_server_key`], or [`wrap_unbound_server_key`], gave for the same id.
///
/// # Errors
/// [`StorageError`]; `Forged` also where `secret` is another.
pub fn unwrap_server_key(
    secret: &StorageSecret,
    id: KeyId,
    wrapped: &[u8],
) -> Result<ServerKey, StorageError> {
    let (kek, mac) = protection_keys(secret, id);
    let (wrapped, tag) = wrapped
        .split_last_chunk::<{ mac::TAG_LEN }>()
        .ok_or(StorageError::Malformed)?;
    mac.verify(&[&id.to_bytes(), wrapped], tag)
        .map_err(|_| StorageError::Forged)?;
    let bytes = key_wrap::unwrap(&kek, split_mark(wrapped).0).map_err(|_| StorageError::Forged)?;
    ServerKey::from_bytes(id.kind(), &bytes).map_err(|_| StorageError::Forged)
}

/// The storage secret of a repository without protection: derived from the compiled-in default key,
/// and public as that is.
pub fn default_storage_secret() -> StorageSecret {
    let prk = extract_unsalted(&[&DEFAULT_KEY]);
    let label = label(Purpose::DefaultStorageSecret, KeyKind::Tdes);
    StorageSecret::from(expand_label(&prk, label, &[]))
}

fn protection_keys(secret: &StorageSecret, id: KeyId) -> (KeyEncryptionKey, MacKey) {
    let kind = id.kind();
    let prk = extract_unsalted(&[secret.expose()]);
    let context = id.to_bytes();
    let kek = derive_key(kind, &prk, label(Purpose::StorageKek, kind), &context);
    let mac = expand_label(&prk, label(Purpose::StorageMacKey, kind), &context);
    (KeyEncryptionKey(kek), MacKey::new(&mac))
}

const fn label(purpose: Purpose, kind: KeyKind) -> Label {
    Label {
        purpose,
        kind,
        suite: None,
    }
}

/// The header has a fixed length, so it and the place cannot be taken for one another.
fn associated_data(header: &[u8], place: &[u8]) -> Vec<u8> {
    let length = (place.len() as u64).to_be_bytes();
    [header, &length, place].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: [KeyKind; 2] = [KeyKind::Tdes, KeyKind::Aes256];

    fn key(kind: KeyKind) -> (KeyId, ServerKey) {
        let rng = &mut rand::rng();
        (KeyId::random(kind, rng), ServerKey::random(kind, rng))
    }

    #[test]
    fn a_value_opens_in_its_place_only() {
        for kind in KINDS {
            let (id, key) = key(kind);
            for len in [0, 1, 8, 24, 1000] {
                let value = vec![7; len];
                let sealed = seal(
                    &SealingKey::new(&key),
                    id,
                    b"here",
                    &value,
                    &mut rand::rng(),
                );
                assert_eq!(server_key_id(&sealed), Some(id));
                assert_eq!(
                    *open(&SealingKey::new(&key), b"here", &sealed).unwrap(),
                    value
                );
                assert_eq!(
                    open(&SealingKey::new(&key), b"there", &sealed).unwrap_err(),
                    StorageError::Forged
                );
                let again = seal(
                    &SealingKey::new(&key),
                    id,
                    b"here",
                    &value,
                    &mut rand::rng(),
                );
                assert_ne!(again, sealed, "two seals of one value must differ");
            }
            let other = ServerKey::random(kind, &mut rand::rng());
            let sealed = seal(
                &SealingKey::new(&key),
                id,
                b"here",
                b"value",
                &mut rand::rng(),
            );
            assert_eq!(
                open(&SealingKey::new(&other), b"here", &sealed).unwrap_err(),
                StorageError::Forged
            );
        }
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_refused() {
        for kind in KINDS {
            let (id, key) = key(kind);
            let sealed = seal(
                &SealingKey::new(&key),
                id,
                b"here",
                b"a password",
                &mut rand::rng(),
            );
            for bit in 0..sealed.len() * 8 {
                let mut changed = sealed.clone();
                changed[bit / 8] ^= 1 << (bit % 8);
                assert!(
                    open(&SealingKey::new(&key), b"here", &changed).is_err(),
                    "bit {bit}"
                );
            }
            for len in 0..sealed.len() {
                assert!(
                    open(&SealingKey::new(&key), b"here", &sealed[..len]).is_err(),
                    "cut to {len}"
                );
            }
            let mut longer = sealed;
            longer.push(0);
            assert!(open(&SealingKey::new(&key), b"here", &longer).is_err());
        }
    }

    #[test]
    fn the_plaintext_does_not_show() {
        for kind in KINDS {
            let (id, key) = key(kind);
            let value = b"correct horse battery staple";
            let sealed = seal(&SealingKey::new(&key), id, b"here", value, &mut rand::rng());
            assert!(
                !sealed
                    .windows(4)
                    .any(|window| value.windows(4).any(|part| part == window))
            );
        }
    }

    #[test]
    fn a_server_key_opens_under_its_secret_and_id_only() {
        for kind in KINDS {
            let (id, key) = key(kind);
            let secret = StorageSecret::from_bytes(&[5; 32]);
            let wrapped = wrap_server_key(&secret, id, &key);
            let opened = unwrap_server_key(&secret, id, &wrapped).unwrap();
            assert_eq!(opened.expose(), key.expose());
            let unbound = wrap_unbound_server_key(&secret, id, &key);
            let again = unwrap_server_key(&secret, id, &unbound).unwrap();
            assert_eq!(again.expose(), key.expose());
            assert!(is_bound(&wrapped) && !is_bound(&unbound));
            let refused = |secret: &StorageSecret, id, wrapped: &[u8]| {
                unwrap_server_key(secret, id, wrapped).is_err()
            };
            assert!(refused(&StorageSecret::from_bytes(&[6; 32]), id, &wrapped));
            assert!(refused(
                &secret,
                KeyId::random(kind, &mut rand::rng()),
                &wrapped
            ));
            for bit in 0..wrapped.len() * 8 {
                let mut changed = wrapped.clone();
                changed[bit / 8] ^= 1 << (bit % 8);
                assert!(refused(&secret, id, &changed), "bit {bit}");
            }
            for len in 0..wrapped.len() {
                assert!(refused(&secret, id, &wrapped[..len]), "cut to {len}");
            }
        }
    }
}
