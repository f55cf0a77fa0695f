//! Keys of the server: the keyring that seals the repository's secrets, its protection, and the
//! gateway keys.

pub mod authority;
mod delete;
pub mod gateway_keys;
pub mod key_rng;
mod keyring;
mod manager;
pub mod memory;
mod protect;
pub mod protection;
pub mod transfer;

pub use authority::AuthorityError;
pub use delete::{DeleteError, Deleted, Deletion};
pub use keyring::{Keyring, KeyringError};
pub use manager::{KeyError, KeyManager, RenewError};
pub use protect::{Change as ProtectionChange, NewProtection, ProtectError, Protected};
