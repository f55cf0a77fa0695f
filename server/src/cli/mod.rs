//! The command line of `portcullis-server`: one verb per file.

mod init;
mod serve;
mod validate;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::{Config, DEFAULT_FILE};

/// The central server of Portcullis: pushes provisioning calls to gateways through the sealed
/// channel.
#[derive(Debug, Parser)]
#[command(name = "portcullis-server", version, max_term_width = 100)]
struct Arguments {
    /// The configuration file; without it /etc/portcullis/server.toml, and where that is missing,
    /// the defaults.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Makes the repository, its secret and the first keys.
    Init(init::InitArgs),
    /// Runs the server until SIGTERM or SIGINT.
    Serve,
    /// Checks the configuration, the permissions and that the secret opens the repository.
    Validate,
}

/// Runs what the command line asks for. 0: done; 1: failed, and standard error says what to do; 2:
/// wrong usage.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("portcullis-server: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn std::error::Error>> {
    portcullis_host::hardening::forbid_core_dumps()?;
    let config = || Config::load(arguments.config.as_deref());
    match &arguments.verb {
        Verb::Init(arguments) => init::run(&config()?, arguments)?,
        Verb::Serve => serve::run(config()?)?,
        Verb::Validate => {
            let file = arguments.config.clone();
            validate::run(&config()?, &file.unwrap_or_else(|| DEFAULT_FILE.into()))?;
        }
    }
    Ok(())
}
