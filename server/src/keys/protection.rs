//! What protects the server keys: a secret kept apart from the repository.
//!
//! The secret file holds one line: `PCS1-` and base32 of the 32 random bytes and the first 4 bytes of their HMAC, so
//! that a damaged copy is told from a wrong one.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use data_encoding::BASE32_NOPAD;
use portcullis_common::crypto::mac::MacKey;
use portcullis_common::crypto::storage::{self, StorageError};
use portcullis_common::id::KeyId;
use portcullis_common::secret::{ServerKey, StorageSecret};
use rand::Rng as _;
use zeroize::Zeroizing;

use super::memory::key_rng;
use crate::serve::permissions::{self, PermissionError};

const PREFIX: &str = "PCS1-";
const SECRET_LEN: usize = 32;
const CHECKSUM_LEN: usize = 4;
/// Longer than any secret file: what is longer is not read.
const MAX_FILE_LEN: u64 = 1024;

/// Why the secret cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProtectionError {
    /// The file cannot be read.
    #[error("cannot read the secret file {path}: {source}; `portcullis-server init` makes it, and without it the repository's keys stay closed", path = path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Others may read it.
    #[error(transparent)]
    Permission(#[from] PermissionError),
    /// It holds something else, or a letter is missing.
    #[error("{path} holds no secret of `portcullis-server init`, or a damaged copy: put back the file from your backup", path = path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
    },
}

/// Wraps and unwraps server keys.
#[derive(Debug)]
pub struct Protection {
    secret: StorageSecret,
}

impl Protection {
    /// A fresh secret, and the text that its file is to hold.
    pub fn random() -> (Self, Zeroizing<String>) {
        let mut bytes = Zeroizing::new([0; SECRET_LEN]);
        key_rng().fill_bytes(&mut *bytes);
        let mut content = Zeroizing::new(Vec::with_capacity(SECRET_LEN + CHECKSUM_LEN));
        content.extend_from_slice(&*bytes);
        content.extend_from_slice(&checksum(&bytes));
        let mut text = Zeroizing::new(String::with_capacity(128));
        text.push_str(PREFIX);
        BASE32_NOPAD.encode_append(&content, &mut text);
        text.push('\n');
        let secret = StorageSecret::from_bytes(&bytes);
        (Self { secret }, text)
    }

    /// Reads a secret file, which only its owner may be able to read.
    ///
    /// # Errors
    /// [`ProtectionError`].
    pub fn load(path: &Path) -> Result<Self, ProtectionError> {
        let unreadable = |source| ProtectionError::Unreadable {
            path: path.to_owned(),
            source,
        };
        let malformed = || ProtectionError::Malformed {
            path: path.to_owned(),
        };
        if fs::metadata(path).map_err(unreadable)?.len() > MAX_FILE_LEN {
            return Err(malformed());
        }
        permissions::check_private(path)?;
        let text = Zeroizing::new(fs::read(path).map_err(unreadable)?);
        parse(&text).ok_or_else(malformed)
    }

    /// Wraps a server key.
    pub fn wrap(&self, id: KeyId, key: &ServerKey) -> Vec<u8> {
        storage::wrap_server_key(&self.secret, id, key)
    }

    /// Unwraps a server key.
    ///
    /// # Errors
    /// [`StorageError`] where it was wrapped under another secret, or changed.
    pub fn unwrap(&self, id: KeyId, wrapped: &[u8]) -> Result<ServerKey, StorageError> {
        storage::unwrap_server_key(&self.secret, id, wrapped)
    }
}

fn parse(text: &[u8]) -> Option<Protection> {
    let letters = text.trim_ascii().strip_prefix(PREFIX.as_bytes())?;
    let bytes = Zeroizing::new(BASE32_NOPAD.decode(letters).ok()?);
    let (secret, sum) = bytes.split_first_chunk::<SECRET_LEN>()?;
    if sum != checksum(secret) {
        return None;
    }
    let secret = StorageSecret::from_bytes(secret);
    Some(Protection { secret })
}

fn checksum(secret: &[u8; SECRET_LEN]) -> [u8; CHECKSUM_LEN] {
    let tag = MacKey::new(secret).tag(&[b"checksum"]).to_bytes();
    let mut sum = [0; CHECKSUM_LEN];
    sum.copy_from_slice(&tag[..CHECKSUM_LEN]);
    sum
}

#[cfg(test)]
pub(crate) mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    pub(crate) fn random_protection() -> Protection {
        Protection::random().0
    }

    #[test]
    fn a_secret_file_that_others_may_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("server.secret");
        let (_, text) = Protection::random();
        permissions::create_private_file(&path, text.as_bytes()).unwrap();
        Protection::load(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let error = Protection::load(&path).unwrap_err().to_string();
        assert!(error.contains("chmod 0600"), "{error}");
    }

    #[test]
    fn a_damaged_secret_file_is_noticed_before_it_is_used() {
        let (_, text) = Protection::random();
        assert!(parse(text.as_bytes()).is_some());
        for at in 0..text.trim_end().len() {
            let mut changed = text.as_bytes().to_vec();
            changed[at] = if changed[at] == b'Q' { b'R' } else { b'Q' };
            assert!(parse(&changed).is_none(), "letter {at}");
            assert!(parse(&text.as_bytes()[..at]).is_none(), "cut at {at}");
        }
    }

    #[test]
    fn the_secret_stays_out_of_debug() {
        let (protection, text) = Protection::random();
        assert_eq!(
            format!("{protection:?}"),
            "Protection { secret: StorageSecret([redacted]) }"
        );
        assert!(text.starts_with(PREFIX));
    }
}
