//! What people type: typed attributes, filters, passwords.

pub(super) mod assignment;
pub(super) mod confirm;
pub(super) mod filter;
pub(super) mod passphrase;
pub(super) mod password;
pub(super) mod typing;
