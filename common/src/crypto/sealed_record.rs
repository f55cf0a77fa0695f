//! The record of a gateway's key store, sealed under a secret that lies elsewhere: whoever copies
//! the disk alone has no key.
//!
//! Magic (8) ‖ salt (16) ‖ ciphertext ‖ tag (16): AES-256-GCM under a key of its own, derived from
//! the secret and the random salt, so that the nonce is zero each time. Magic and salt are
//! authenticated with it.

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::kdf::{Label, Purpose, derive_key, expand_label, extract_unsalted};
use super::mac::MacKey;
use super::storage::StorageError;
use super::value_cipher::{MAX_TAG_LEN, SALT_LEN, ValueCipher};
use crate::id::KeyKind;

const MAGIC: &[u8; 8] = b"PCGKSEA1";
const HEADER_LEN: usize = MAGIC.len() + SALT_LEN;
const KIND: KeyKind = KeyKind::Aes256;
/// No other use of a secret begins with this.
const USE: &[u8] = b"Portcullis gateway key store";

/// Whether this is a record that was sealed.
pub fn is_sealed(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC)
}

/// Seals a record under `secret`.
pub fn seal(secret: &[u8], record: &[u8], rng: &mut impl CryptoRng) -> Vec<u8> {
    let mut salt = [0; SALT_LEN];
    rng.fill_bytes(&mut salt);
    // Never longer than this: the buffer does not move while it holds the plaintext.
    let mut sealed = Vec::with_capacity(HEADER_LEN + record.len() + MAX_TAG_LEN);
    sealed.extend_from_slice(MAGIC);
    sealed.extend_from_slice(&salt);
    let header = sealed.clone();
    sealed.extend_from_slice(record);
    cipher(secret, &salt).seal(&header, &mut sealed, HEADER_LEN);
    sealed
}

/// Opens what [`seal`] gave.
///
/// # Errors
/// [`StorageError`]; `Forged` also where `secret` is another.
pub fn open(secret: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, StorageError> {
    let split = sealed.split_at_checked(HEADER_LEN);
    let (header, rest) = split.ok_or(StorageError::Malformed)?;
    let salt = header.strip_prefix(MAGIC).ok_or(StorageError::Malformed)?;
    let salt = salt.try_into().map_err(|_| StorageError::Malformed)?;
    Ok(cipher(secret, &salt).open(header, rest)?)
}

fn cipher(secret: &[u8], salt: &[u8; SALT_LEN]) -> ValueCipher {
    let prk = MacKey::new(&extract_unsalted(&[USE, secret]));
    let label = |purpose| Label {
        purpose,
        kind: KIND,
        suite: None,
    };
    let key = derive_key(KIND, &prk, label(Purpose::SealedValueKey), salt);
    ValueCipher::new(&key, || {
        expand_label(&prk, label(Purpose::SealedValueMacKey), salt)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_opens_under_its_secret_only_and_no_changed_byte_passes() {
        let record = b"PCGK and so on".as_slice();
        let sealed = seal(b"secret", record, &mut rand::rng());
        assert!(is_sealed(&sealed) && !is_sealed(record));
        assert!(
            !sealed
                .windows(4)
                .any(|part| part == b"PCGK" && !sealed.starts_with(part))
        );
        assert_eq!(open(b"secret", &sealed).unwrap().as_slice(), record);
        assert_eq!(open(b"Secret", &sealed), Err(StorageError::Forged));
        for index in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[index] ^= 1;
            assert!(open(b"secret", &changed).is_err(), "{index}");
            assert!(open(b"secret", &sealed[..index]).is_err(), "{index}");
        }
        assert_ne!(seal(b"secret", record, &mut rand::rng()), sealed);
    }
}
