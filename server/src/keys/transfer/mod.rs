//! Keys on their way to another server, or into a safe: exports under a passphrase (`proto/KEY_EXPORT.md`) and their import.

mod export;
mod file;
mod import;

use portcullis_common::crypto::export::KeyPurpose;
use portcullis_common::id::KeyId;
use portcullis_common::rotation::UnixMillis;
use zeroize::Zeroizing;

pub use export::{ExportError, ExportProtection, ExportSelection};
pub use file::{ExportFile, ExportFileError, MAX_FILE_LEN};
pub use import::{ImportError, Imported, ImportedKey, Opened, What};

/// How a key stood in the repository that it was exported from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// It was in use for what is new.
    Current,
    /// Another one had taken its place.
    Retired,
    /// It was refused, as it may have been stolen. Gateway keys only.
    Compromised,
    /// It was never to be sent again: its rotation was rolled back. Gateway keys only.
    Withdrawn,
}

impl KeyState {
    const ALL: [Self; 4] = [
        Self::Current,
        Self::Retired,
        Self::Compromised,
        Self::Withdrawn,
    ];

    /// Its word in an export.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Retired => "retired",
            Self::Compromised => "compromised",
            Self::Withdrawn => "withdrawn",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

/// What an export says of a key in clear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyEntry {
    /// What it is for.
    pub purpose: KeyPurpose,
    /// Its id.
    pub id: KeyId,
    /// How it stood.
    pub state: KeyState,
    /// When it was made.
    pub created: UnixMillis,
    /// When another took its place; `None`: none did, or it never was the current one.
    pub retired: Option<UnixMillis>,
}

/// A key with its bytes.
#[derive(Clone)]
pub struct OpenKey {
    /// What the export says of it.
    pub entry: KeyEntry,
    /// The key.
    pub bytes: Zeroizing<Vec<u8>>,
}

impl std::fmt::Debug for OpenKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OpenKey({:?}, [redacted])", self.entry)
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod vector;
