//! Keys of the server: the keyring that seals the repository's secrets, its protection, and the gateway keys.

pub mod gateway_keys;
mod keyring;
mod manager;
pub mod memory;
mod protect;
pub mod protection;

pub use keyring::{Keyring, KeyringError};
pub use manager::{KeyError, KeyManager};
pub use protect::{NewProtection, ProtectError, Protected};
