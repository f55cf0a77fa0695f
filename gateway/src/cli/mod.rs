//! The command line: one verb per file.

mod doctor;
mod enroll;
mod journal;
mod key;
mod pair;
mod reload;
mod run;
mod service;
mod status;
mod token_file;
mod validate;
#[cfg(unix)]
mod worker;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use portcullis_common::rotation::{EnrolError, PairingError, TokenError};
use portcullis_host::self_description::{Section, SelfDescription};
use portcullis_host::text::TextError;
use portcullis_host::{command_line, output};

use crate::config::{Config, ConfigProblem, WorkerKind};
use crate::connectors::Connectors;
use crate::key_store::KeyStoreError;
use crate::service::settings::SettingsError;
use crate::service::{self as running, RunError};
use crate::state_dir::StateDirError;

/// The gateway agent: carries out provisioning calls of the central server on this host.
#[derive(Debug, Parser)]
#[command(name = "portcullis-gateway", version)]
struct Arguments {
    /// The configuration [default: /etc/portcullis/gateway.toml, on Windows
    /// %ProgramData%\Portcullis\gateway.toml]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Take the enrolment token that `portcullis gateway add` printed on the server
    Enroll(enroll::Arguments),
    /// Open default mode once, for a limited time, for a gateway that was registered with
    /// --allow-pairing
    Pair(pair::Arguments),
    /// Run the gateway
    Run,
    /// Run one of the workers of a gateway in processes, where `[workers]` stands in the
    /// configuration: its unit does that
    #[cfg(unix)]
    Worker(worker::Arguments),
    /// Have the running gateway read its configuration again: connectors, guard rails, log level
    Reload,
    /// Check the configuration and everything that `run` and calls would need, and change nothing
    Validate(validate::Arguments),
    /// The keys that this gateway holds
    #[command(subcommand)]
    Key(key::Verb),
    /// The record of the calls that changed something
    #[command(subcommand)]
    Journal(journal::Verb),
    /// Look whether this gateway and its host are set up and kept as they should be, and say what
    /// to do where they are not; change nothing. Exit codes: 0 nothing needs a look, 1 something
    /// does, 2 something does not work
    Doctor(portcullis_host::doctor::Arguments),
    /// What this gateway is doing
    Status(status::Arguments),
    /// The service of Windows that runs this gateway: install, remove, start, stop it. On Linux
    /// systemd has that
    #[command(subcommand)]
    Service(service::Verb),
    /// Print what the connector of type `script` asks a script, and what it takes for an answer
    ScriptProtocol,
    #[command(flatten)]
    SelfDescription(SelfDescription),
}

/// What an administrator who writes scripts needs, wherever the program was installed from.
const SCRIPT_PROTOCOL: &str = include_str!("../connector/script/PROTOCOL.md");

/// Exit code where it was done, and what came of it could not be shown.
const UNSHOWN: u8 = 3;

/// Runs the program: 0 done, 1 failed, 2 wrong usage, 3 done, but standard output did not take the
/// answer; `status --check` has more.
pub fn main() -> ExitCode {
    let arguments: Arguments = match command_line::parse() {
        Ok(arguments) => arguments,
        Err(code) => return ExitCode::from(code),
    };
    if let Err(error) = running::forbid_core_dumps() {
        return failed(&error.into());
    }
    if let Verb::SelfDescription(verb) = &arguments.verb {
        return match verb.tell::<Arguments>(Section::Services) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => failed(&CliError::Output(error)),
        };
    }
    if matches!(arguments.verb, Verb::ScriptProtocol) {
        return match output::print(SCRIPT_PROTOCOL) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => failed(&CliError::Output(error)),
        };
    }
    if let Verb::Service(verb) = &arguments.verb {
        return match service::service(arguments.config.as_deref(), verb) {
            Ok(code) => code,
            Err(error) => failed(&error),
        };
    }
    let source = arguments.config.as_deref();
    let load = || Config::load(source, Connectors::problems).map_err(CliError::Config);
    match &arguments.verb {
        Verb::Run => return ended(run::run(load)),
        #[cfg(unix)]
        Verb::Worker(arguments) => return ended(worker::worker(load, arguments)),
        _ => {}
    }
    let config = match load() {
        Ok(config) => config,
        Err(error) => return failed(&error),
    };
    let changes = matches!(
        arguments.verb,
        Verb::Enroll(_)
            | Verb::Pair(_)
            | Verb::Key(key::Verb::Reset(_))
            | Verb::Journal(journal::Verb::Accept(_))
    );
    let outcome = match arguments.verb {
        Verb::Reload => reload::reload(&config),
        Verb::Validate(arguments) => validate::validate(&config, &arguments),
        Verb::Enroll(arguments) => enroll::enroll(&config, &arguments),
        Verb::Pair(arguments) => pair::pair(&config, &arguments),
        Verb::Key(verb) => key::key(&config, &verb),
        Verb::Journal(verb) => journal::journal(&config, &verb),
        Verb::Doctor(arguments) => match doctor::doctor(&config, arguments) {
            Ok(code) => return code,
            Err(error) => Err(error),
        },
        Verb::Status(arguments) => match status::status(&config, &arguments) {
            Ok(code) => return code,
            Err(error) => Err(error),
        },
        // They read no configuration, or when they are ready for it, and were told above.
        _ => Ok(()),
    };
    match outcome {
        Err(error @ CliError::Output(_)) if changes => {
            eprintln!("portcullis-gateway: it is done, but {error}");
            ExitCode::from(UNSHOWN)
        }
        outcome => ended(outcome),
    }
}

fn ended(outcome: Result<(), CliError>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

fn failed(error: &CliError) -> ExitCode {
    eprintln!("portcullis-gateway: {error}");
    ExitCode::FAILURE
}

/// Which journals there are.
struct Journals<'a>(&'a [WorkerKind]);

impl fmt::Display for Journals<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str(
                "this gateway has no worker with connectors, and no journal of that name",
            );
        }
        let names: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        write!(
            f,
            "name its worker: --worker {}",
            names.join(" or --worker ")
        )
    }
}

/// Why a verb failed.
#[derive(Debug, thiserror::Error)]
enum CliError {
    #[error("the configuration is wrong; nothing was started or changed\n{}", Lines(.0))]
    Config(Vec<ConfigProblem>),
    #[error("{} found\n{}", problems(.0.len()), Lines(.0))]
    Invalid(Vec<String>),
    #[error(transparent)]
    KeyStore(#[from] KeyStoreError),
    #[error(transparent)]
    StateDir(#[from] StateDirError),
    #[error(transparent)]
    Run(#[from] RunError),
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error(transparent)]
    Enrol(#[from] EnrolError),
    #[error(transparent)]
    Pairing(#[from] PairingError),
    #[error("cannot read the token file {}: {source}", path.display())]
    TokenFile { path: PathBuf, source: TextError },
    #[error(
        "{} {exposure}; where somebody may have read it, `portcullis gateway token NAME` on the server voids it and makes another. \
         Nothing was changed",
        path.display()
    )]
    TokenExposed { path: PathBuf, exposure: String },
    #[error("cannot read the token from standard input: {0}")]
    TokenInput(TextError),
    #[error("cannot read from the terminal or standard input: {0}")]
    Input(io::Error),
    #[error("cannot write to standard output: {0}")]
    Output(io::Error),
    #[error(
        "nothing was changed: a gateway that dials out has no id yet by which the server could know it; put `name = \"NAME\"`, as the server has it, into [dial_out] of its configuration, then pair"
    )]
    Nameless,
    #[error("nothing was changed: {0} was not confirmed")]
    NotConfirmed(&'static str),
    #[error("the status file {} cannot be read: {message}", path.display())]
    Status { path: PathBuf, message: String },
    #[error("which journal? {}", Journals(.0))]
    WhichJournal(Vec<WorkerKind>),
    #[error("the gateway is not running: it reads its configuration when it starts")]
    NotRunning,
    #[error("the configuration is wrong; what held before holds on\n{}", Lines(.0))]
    NotReloaded(Vec<String>),
    #[error(
        "the gateway has reloaded, but for what is named here, where what held before holds on; mend it and reload again\n{}",
        Lines(.0)
    )]
    PartlyReloaded(Vec<String>),
    #[error(
        "the gateway did not answer within {0} s; its log and `portcullis-gateway status` say what came of it"
    )]
    NoAnswer(u64),
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[cfg(unix)]
    #[error(
        "there are services of Windows on Windows alone: here systemd runs the gateway (`systemctl start portcullis-gateway`)"
    )]
    NoServices,
    #[cfg(windows)]
    #[error(transparent)]
    Service(#[from] service::ServiceError),
}

/// One item a line.
struct Lines<'a, T>(&'a [T]);

impl<T: fmt::Display> fmt::Display for Lines<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, item) in self.0.iter().enumerate() {
            let end = if index + 1 < self.0.len() { "\n" } else { "" };
            write!(f, "  {item}{end}")?;
        }
        Ok(())
    }
}

fn problems(count: usize) -> String {
    match count {
        1 => "1 problem".to_owned(),
        count => format!("{count} problems"),
    }
}

/// Prints a line to standard output; a reader that had enough is no error.
fn say(line: &str) -> Result<(), CliError> {
    output::print(&format!("{line}\n")).map_err(CliError::Output)
}
