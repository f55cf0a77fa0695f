//! The command line of `portcullis-server`: one verb per file.

mod doctor;
mod init;
mod relay;
mod repository;
mod serve;
mod validate;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use portcullis_host::self_description::{Section, SelfDescription};
use portcullis_host::{command_line, output};

use crate::config::{Config, DEFAULT_FILE};

/// The central server of Portcullis: pushes provisioning calls to gateways through the sealed
/// channel.
#[derive(Debug, Parser)]
#[command(name = "portcullis-server", version, max_term_width = 100)]
struct Arguments {
    /// The configuration file; without it /etc/portcullis/server.toml, and where that is missing,
    /// the defaults. Of the relay: /etc/portcullis/relay.toml.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Makes the repository, its secret and the first keys.
    Init(init::InitArgs),
    /// Runs the server until SIGTERM or SIGINT; SIGHUP has it read its configuration again.
    Serve(serve::ServeArgs),
    /// Tries all that a start would need, and changes nothing: configuration, permissions, secret,
    /// repository, audit head file, port, socket.
    Validate,
    /// Copies, backs up and restores what the server stores, while it does not run (a backup: also
    /// while it does).
    #[command(subcommand)]
    Repository(repository::Verb),
    /// Carries connections between two networks, until SIGTERM or SIGINT: for a demilitarized zone.
    /// Holds no key, keeps no state, and has a configuration of its own.
    Relay(relay::RelayArgs),
    /// Looks whether this installation is set up and kept as it should be, and says what to do
    /// where it is not; changes nothing. Exit codes: 0 nothing needs a look, 1 something does, 2
    /// something does not work.
    Doctor(portcullis_host::doctor::Arguments),
    #[command(flatten)]
    SelfDescription(SelfDescription),
}

/// Exit code where it was done, and what came of it could not be shown.
const UNSHOWN: u8 = 3;

/// Runs what the command line asks for. 0: done; 1: failed, and standard error says what to do; 2:
/// wrong usage; 3: done, but standard output did not take the answer.
pub fn main() -> ExitCode {
    let arguments: Arguments = match command_line::parse() {
        Ok(arguments) => arguments,
        Err(code) => return ExitCode::from(code),
    };
    match run(&arguments) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("portcullis-server: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<ExitCode, Box<dyn std::error::Error>> {
    portcullis_host::hardening::forbid_core_dumps()?;
    let config = || Config::load(arguments.config.as_deref());
    match &arguments.verb {
        Verb::Init(arguments) => {
            let made = init::run(&config()?, arguments)?;
            if let Err(error) = output::print(&made) {
                eprintln!(
                    "portcullis-server: the repository is made, but standard output does not take the answer: {error}"
                );
                return Ok(ExitCode::from(UNSHOWN));
            }
        }
        Verb::Serve(verb) => serve::run(arguments.config.clone(), verb)?,
        Verb::Repository(verb) => output::print(&repository::run(&config()?, verb)?)?,
        Verb::Relay(verb) => relay::run(verb, arguments.config.as_deref())?,
        Verb::SelfDescription(verb) => verb.tell::<Arguments>(Section::Services)?,
        Verb::Doctor(verb) => {
            let file = arguments.config.clone();
            let file = file.unwrap_or_else(|| DEFAULT_FILE.into());
            return doctor::run(&config()?, &file, *verb);
        }
        Verb::Validate => {
            let file = arguments.config.clone();
            validate::run(&config()?, &file.unwrap_or_else(|| DEFAULT_FILE.into()))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
