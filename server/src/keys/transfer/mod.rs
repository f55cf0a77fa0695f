//! Keys on their way to another server, or into a safe: exports under a passphrase
//! (`proto/KEY_EXPORT.md`) and their import.

mod export;
mod import;

pub use export::{ExportError, ExportProtection, ExportSelection};
pub use import::{ImportError, Imported, ImportedKey, Opened, What};

#[cfg(test)]
mod tests;
#[cfg(test)]
mod vector;
