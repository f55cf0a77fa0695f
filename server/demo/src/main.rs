//! `cargo run --release -- demo`: the main job, end to end, on this machine, in plain words.
//!
//! Two real processes, the server and a gateway, talk over loopback; everything they keep lies in
//! one temporary folder, and the accounts are made in a scratch root below it, so nothing of the
//! host changes. Each step is the command that an administrator would type.

#![forbid(unsafe_code)]

mod children;
mod host;
mod narrator;
mod programs;
mod steps;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

/// Shows the main job, end to end, on this machine: a server, a gateway, real accounts in a scratch
/// folder.
#[derive(Clone, Debug, Parser)]
#[command(name = "portcullis-demo", version, max_term_width = 100)]
struct DemoArgs {
    /// So that `cargo run -- demo` says what it does.
    #[arg(hide = true, value_parser = ["demo"])]
    demo: Option<String>,
    /// Leave everything running, and say what to type next; Ctrl-C ends it.
    #[arg(long)]
    keep: bool,
    /// Work in this folder, which must be empty or not exist, and leave it there [default: a
    /// temporary one, removed at the end].
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = DemoArgs::parse();
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("portcullis-demo: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: DemoArgs) -> Result<(), DemoError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| DemoError::Host(format!("cannot start the demonstration: {source}")))?
        .block_on(steps::run(arguments))
}

/// Why the demonstration did not end well.
#[derive(Debug, thiserror::Error)]
enum DemoError {
    /// A program of ours is missing and cannot be built.
    #[error(
        "cannot find the program {name} beside {beside}: run the demonstration with `cargo run --release -- demo`, or install it beside the three programs, in one folder"
    )]
    ProgramMissing {
        /// Its name.
        name: &'static str,
        /// Where it was looked for.
        beside: PathBuf,
    },
    /// Cargo did not build it.
    #[error("cargo could not build the programs: its messages stand above")]
    Build,
    /// The host lacks what the demonstration needs.
    #[error("{0}")]
    Host(String),
    /// A folder or file.
    #[error("{what} {path}: {source}", path = path.display())]
    File {
        /// What was being done.
        what: &'static str,
        /// To which file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The folder to work in holds something already.
    #[error("{path} is not empty: give --dir a folder that is empty or does not exist", path = .0.display())]
    FolderInUse(PathBuf),
    /// A command of the demonstration failed.
    #[error("`{command}` failed ({status}):\n{output}")]
    Command {
        /// As it would be typed.
        command: String,
        /// Its exit status.
        status: String,
        /// What it printed.
        output: String,
    },
    /// A process ended that should have gone on.
    #[error("the {name} ended unexpectedly ({status}); the end of its log:\n{log}")]
    Ended {
        /// Which.
        name: &'static str,
        /// Its exit status.
        status: String,
        /// The last lines of its log.
        log: String,
    },
    /// Something that should have happened did not.
    #[error("waited {seconds} s for {what}, in vain; see the logs in {logs}", logs = logs.display())]
    Late {
        /// What.
        what: &'static str,
        /// How long.
        seconds: u64,
        /// Where the logs are.
        logs: PathBuf,
    },
    /// The user pressed Ctrl-C.
    #[error("interrupted")]
    Interrupted,
}

impl DemoError {
    fn file(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { what, path, source }
    }
}
