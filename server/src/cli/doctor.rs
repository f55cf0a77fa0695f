//! `portcullis-server doctor`: what of this installation is not as it should be.

use std::path::Path;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use portcullis_host::output;

use crate::config::Config;
use crate::doctor;
use crate::serve::ServeError;

#[derive(Debug, Args)]
pub(super) struct DoctorArgs {
    /// How to print it
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Output {
    /// For people: the worst first.
    #[default]
    Table,
    /// One JSON object.
    Json,
}

/// `portcullis-server doctor`
pub(super) fn run(
    config: &Config,
    file: &Path,
    arguments: &DoctorArgs,
) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let diagnosis = super::serve::runtime(1)
        .map_err(ServeError::Runtime)?
        .block_on(doctor::examine(config, file));
    output::print(&match arguments.output {
        Output::Table => diagnosis.text(),
        Output::Json => diagnosis.json(),
    })?;
    Ok(ExitCode::from(diagnosis.exit_code()))
}
