//! The registry key store: one `REG_BINARY` value, protected by DPAPI, in a key that only SYSTEM
//! and Administrators may open.

mod access;
#[cfg(windows)]
mod store;
#[cfg(windows)]
mod win32;

#[cfg(windows)]
pub use store::RegistryStore;
