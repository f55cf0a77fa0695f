//! `doctor`

use std::process::ExitCode;

use portcullis_host::doctor::Arguments;

use super::CliError;
use crate::config::Config;
use crate::doctor;

/// Looks at this gateway and its host; the exit code says how bad it is.
pub(super) fn doctor(config: &Config, arguments: Arguments) -> Result<ExitCode, CliError> {
    let diagnosis = doctor::examine(config);
    arguments.print(&diagnosis).map_err(CliError::Output)
}
