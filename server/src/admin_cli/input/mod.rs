//! What people type: typed attributes, filters, passwords.

pub(super) mod assignment;
pub(super) mod filter;
pub(super) mod password;
pub(super) mod typing;
