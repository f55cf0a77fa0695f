//! On Linux systemd runs the gateway.

use std::path::Path;
use std::process::ExitCode;

use super::{CliError, Verb};

pub(super) fn service(_config: Option<&Path>, _verb: &Verb) -> Result<ExitCode, CliError> {
    Err(CliError::NoServices)
}
