//! What both ends of the control service hold to.

use std::time::Duration;

/// The version of `InstallRequest` that both ends speak.
pub const INSTALL_VERSION: u32 = 1;
/// Largest message of the control service, in bytes: a server keeps a gateway's description for as
/// long as its link lives.
pub const MAX_CONTROL_MESSAGE: usize = 128 * 1024;
/// Largest sum of a log's lines in one answer, in bytes: with what stands around them it stays
/// within [`MAX_CONTROL_MESSAGE`].
pub const MAX_LOG: usize = 96 * 1024;
/// The longest that a gateway logs more because a server asks for it.
pub const MAX_MORE_LOG: Duration = Duration::from_hours(1);
