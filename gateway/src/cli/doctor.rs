//! `doctor`

use std::process::ExitCode;

use clap::ValueEnum;
use portcullis_host::output;

use super::CliError;
use crate::config::Config;
use crate::doctor;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// How to print it
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Output {
    /// For people: the worst first
    #[default]
    Table,
    /// One JSON object
    Json,
}

/// Looks at this gateway and its host; the exit code says how bad it is.
pub(super) fn doctor(config: &Config, arguments: &Arguments) -> Result<ExitCode, CliError> {
    let diagnosis = doctor::examine(config);
    let text = match arguments.output {
        Output::Table => diagnosis.text(),
        Output::Json => diagnosis.json(),
    };
    output::print(&text).map_err(CliError::Output)?;
    Ok(ExitCode::from(diagnosis.exit_code()))
}
