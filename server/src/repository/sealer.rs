//! What seals a secret for its place, and opens it there and nowhere else.

use std::fmt;

use zeroize::Zeroizing;

use portcullis_common::id::KeyId;

use super::ProtectedType;

/// Where a sealed value stands. It is authenticated with the value, which therefore opens nowhere
/// else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place<'a> {
    /// What it is.
    pub kind: ProtectedType,
    /// The owner's id, in bytes.
    pub owner: &'a [u8],
    /// Which of the owner's values it is.
    pub field: &'a str,
    /// What it is for, beside its owner: of a secret for a gateway, which one. Else empty.
    pub context: &'a [u8],
}

impl Place<'_> {
    /// The owner as people know it: a name, or the bytes of an id in hexadecimal.
    pub fn owner_name(&self) -> String {
        match std::str::from_utf8(self.owner) {
            Ok(name) if !name.contains(char::is_control) => format!("`{name}`"),
            _ => data_encoding::HEXLOWER.encode(self.owner),
        }
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the {} ({}) of {}",
            self.kind,
            self.field,
            self.owner_name()
        )
    }
}

/// Why a sealed value does not open.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Shorter than any sealed value, or of a later version.
    #[error("{0} is no sealed value: restore the repository from a backup")]
    Malformed(String),
    /// Its server key is not in the keyring.
    #[error(
        "{place} is sealed under server key {key}, which is not here: `portcullis key import` it from an export, or restore the repository from a backup"
    )]
    UnknownKey {
        /// Where it stands.
        place: String,
        /// The key.
        key: KeyId,
    },
    /// It was changed, or moved here from elsewhere.
    #[error(
        "{0} was changed or moved: restore the repository from a backup, and find out who wrote to it"
    )]
    Forged(String),
}

/// Seals and opens the secrets in the repository. The keyring is one.
pub trait Sealer: Send + Sync {
    /// Seals `value` for `place`.
    fn seal(&self, place: &Place<'_>, value: &[u8]) -> Vec<u8>;

    /// Is the key here under which `sealed` is sealed?
    fn holds_key_of(&self, sealed: &[u8]) -> bool;

    /// Opens what was sealed for `place`.
    ///
    /// # Errors
    /// [`OpenError`] where it was not sealed for `place`, or not under a key of this keyring.
    fn open(&self, place: &Place<'_>, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, OpenError>;
}
