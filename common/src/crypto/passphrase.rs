//! What a protection or an export is opened with: one line of text, made here or chosen by a
//! person.
//!
//! One made here is `PCS1-` and base32 of 32 random bytes and the first 4 bytes of their HMAC, so
//! that a damaged copy is told from a wrong one.

use std::fmt;

use data_encoding::BASE32_NOPAD;
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::mac::MacKey;
use crate::secret::locked::LockedBytes;

const PREFIX: &[u8] = b"PCS1-";
const RANDOM_LEN: usize = 32;
const CHECKSUM_LEN: usize = 4;
const MIN_LEN: usize = 12;
const MAX_LEN: usize = 1024;

/// Why a text is no secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// Nothing is there.
    #[error("the secret is empty: give one line of at least {MIN_LEN} bytes")]
    Empty,
    /// A guess would find it.
    #[error("the secret has fewer than {MIN_LEN} bytes: give a longer one, or let one be made")]
    Short,
    /// No person typed this.
    #[error("the secret has more than {MAX_LEN} bytes: give one line of at most {MAX_LEN} bytes")]
    Long,
    /// Which of the lines is it?
    #[error("the secret has more than one line, or a zero byte: give one line of text")]
    Lines,
    /// It begins as one that was made here, and is none.
    #[error(
        "the secret begins with `PCS1-` as those that are made here, but is a damaged copy of one: put it back from your backup"
    )]
    Damaged,
}

/// A passphrase, or a secret made here; erased when dropped.
#[derive(Clone)]
pub struct Secret {
    line: Zeroizing<Vec<u8>>,
    random: Option<LockedBytes<RANDOM_LEN>>,
}

impl Secret {
    /// A fresh one, of 32 bytes of `rng`.
    pub fn random(rng: &mut impl CryptoRng) -> Self {
        let mut bytes = LockedBytes::zeroed();
        rng.fill_bytes(&mut *bytes);
        let mut content = Zeroizing::new(Vec::with_capacity(RANDOM_LEN + CHECKSUM_LEN));
        content.extend_from_slice(&*bytes);
        content.extend_from_slice(&checksum(&bytes));
        // Never longer than this: the text does not move while it grows.
        let mut text = Zeroizing::new(String::with_capacity(128));
        BASE32_NOPAD.encode_append(&content, &mut text);
        let mut line = Zeroizing::new(Vec::with_capacity(128));
        line.extend_from_slice(PREFIX);
        line.extend_from_slice(text.as_bytes());
        Self {
            line,
            random: Some(bytes),
        }
    }

    /// Reads one line; the line's end does not belong to it.
    ///
    /// # Errors
    /// [`SecretError`].
    pub fn parse(text: &[u8]) -> Result<Self, SecretError> {
        let line = text.strip_suffix(b"\n").unwrap_or(text);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            return Err(SecretError::Empty);
        }
        if line.len() > MAX_LEN {
            return Err(SecretError::Long);
        }
        if line.iter().any(|byte| matches!(byte, 0 | b'\n' | b'\r')) {
            return Err(SecretError::Lines);
        }
        let random = match line.trim_ascii().strip_prefix(PREFIX) {
            Some(letters) => Some(decode(letters).ok_or(SecretError::Damaged)?),
            None if line.len() < MIN_LEN => return Err(SecretError::Short),
            None => None,
        };
        let line = if random.is_some() {
            line.trim_ascii()
        } else {
            line
        };
        Ok(Self {
            line: Zeroizing::new(line.to_vec()),
            random,
        })
    }

    /// The line: what the key is derived from.
    pub fn expose(&self) -> &[u8] {
        &self.line
    }

    /// Was it made here? Then no guess ever finds it, and deriving from it need not be slow.
    pub const fn is_random(&self) -> bool {
        self.random.is_some()
    }

    /// The content of a file that holds it.
    pub fn to_file(&self) -> Zeroizing<Vec<u8>> {
        let mut content = Zeroizing::new(Vec::with_capacity(self.line.len() + 1));
        content.extend_from_slice(&self.line);
        content.push(b'\n');
        content
    }

    /// The 32 bytes of one made here: in the first versions they were the storage secret itself.
    pub fn random_bytes(&self) -> Option<&[u8; RANDOM_LEN]> {
        self.random.as_deref()
    }
}

impl PartialEq for Secret {
    /// For comparing what one person typed twice; not in constant time.
    fn eq(&self, other: &Self) -> bool {
        self.line == other.line
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret([redacted])")
    }
}

fn decode(letters: &[u8]) -> Option<LockedBytes<RANDOM_LEN>> {
    let bytes = Zeroizing::new(BASE32_NOPAD.decode(letters).ok()?);
    let (secret, sum) = bytes.split_first_chunk::<RANDOM_LEN>()?;
    (sum == checksum(secret)).then(|| LockedBytes::copy_of(secret))
}

fn checksum(secret: &[u8; RANDOM_LEN]) -> [u8; CHECKSUM_LEN] {
    let tag = MacKey::new(secret).tag(&[b"checksum"]).to_bytes();
    let mut sum = [0; CHECKSUM_LEN];
    sum.copy_from_slice(&tag[..CHECKSUM_LEN]);
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_copy_of_a_secret_made_here_is_noticed_before_it_is_used() {
        let secret = Secret::random(&mut rand::rng());
        let text = secret.to_file();
        assert_eq!(Secret::parse(&text), Ok(secret.clone()));
        assert_eq!(Secret::parse(secret.expose()), Ok(secret.clone()));
        for at in PREFIX.len()..text.len() - 1 {
            let mut changed = text.to_vec();
            changed[at] = if changed[at] == b'Q' { b'R' } else { b'Q' };
            assert_eq!(Secret::parse(&changed), Err(SecretError::Damaged), "{at}");
            assert_eq!(
                Secret::parse(&text[..at]),
                Err(SecretError::Damaged),
                "{at}"
            );
        }
    }

    #[test]
    fn a_passphrase_is_one_line_with_its_spaces() {
        let secret = Secret::parse(b" correct horse battery \r\n").unwrap();
        assert_eq!(secret.expose(), b" correct horse battery ");
        assert!(!secret.is_random());
        for (text, error) in [
            (&b""[..], SecretError::Empty),
            (b"\n", SecretError::Empty),
            (b"hunter2\n", SecretError::Short),
            (b"two lines of\ntext here\n", SecretError::Lines),
            (b"a zero\0byte is no text", SecretError::Lines),
            (&[b'x'; 1025], SecretError::Long),
        ] {
            assert_eq!(Secret::parse(text), Err(error));
        }
        assert_eq!(format!("{secret:?}"), "Secret([redacted])");
    }
}
