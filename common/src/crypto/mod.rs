//! The ciphers and derivations, each from its standard.

pub mod kdf;
pub mod suites;
