//! The command line of a program's `doctor`.

use std::io;
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use super::Diagnosis;
use crate::output;

/// What `doctor` of either program takes.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct Arguments {
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

impl Arguments {
    /// Prints what was found. The exit code says how bad it is.
    ///
    /// # Errors
    /// What the system said of standard output.
    pub fn print(self, diagnosis: &Diagnosis) -> io::Result<ExitCode> {
        output::print(&match self.output {
            Output::Table => diagnosis.text(),
            Output::Json => diagnosis.json(),
        })?;
        Ok(ExitCode::from(diagnosis.exit_code()))
    }
}
