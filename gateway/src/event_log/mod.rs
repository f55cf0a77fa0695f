//! The Event Log of Windows, which administrators and their tools read there.

#[forbid(unsafe_code)]
pub(crate) mod kinds;
#[cfg(windows)]
mod source;

#[cfg(windows)]
pub(crate) use source::{EventLog, register, tell, unregister};
