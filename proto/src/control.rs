//! What both ends of the control service hold to.

/// The version of `InstallRequest` that both ends speak.
pub const INSTALL_VERSION: u32 = 1;
/// Largest message of the control service, in bytes: a server keeps a gateway's description for as
/// long as its link lives.
pub const MAX_CONTROL_MESSAGE: usize = 128 * 1024;
