//! `portcullis-server doctor`: what of this installation is not as it should be.

use std::path::Path;
use std::process::ExitCode;

use portcullis_host::doctor::Arguments;

use crate::config::Config;
use crate::doctor;
use crate::serve::ServeError;

/// `portcullis-server doctor`
pub(super) fn run(
    config: &Config,
    file: &Path,
    arguments: Arguments,
) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let diagnosis = super::serve::runtime(1)
        .map_err(ServeError::Runtime)?
        .block_on(doctor::examine(config, file));
    Ok(arguments.print(&diagnosis)?)
}
