//! Keys of the server: the keyring that seals the repository's secrets, its protection, and the gateway keys.

pub mod gateway_keys;
mod keyring;
pub mod protection;

pub use keyring::{Keyring, KeyringError};
