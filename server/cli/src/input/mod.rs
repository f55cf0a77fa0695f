//! What people type: typed attributes, conditions, secrets.

pub(crate) mod assignment;
pub(crate) mod filter;
mod ldap_filter;
pub(crate) mod prompt;
pub(crate) mod typing;
