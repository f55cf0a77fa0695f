//! The ciphers and derivations, each from its standard.

pub mod export;
pub(crate) mod gcm;
pub mod kdf;
pub mod key_wrap;
pub mod keystream;
pub mod mac;
pub mod passphrase;
pub mod sealed_record;
pub mod storage;
pub mod suites;
pub(crate) mod value_cipher;
#[cfg(test)]
mod wycheproof;
