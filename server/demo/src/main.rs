//! `portcullis-server demo`: the main job, end to end, on this machine, in plain words.
//!
//! Two real processes, the server and a gateway, talk over loopback; everything they keep lies in one temporary folder,
//! and the accounts are made in a scratch root below it, so nothing of the host changes. Each step is the command that an
//! administrator would type.

mod children;
mod host;
mod narrator;
mod programs;
mod steps;

use std::io;
use std::path::PathBuf;

pub use steps::run;

/// What `demo` takes.
#[derive(Clone, Debug, clap::Args)]
pub struct DemoArgs {
    /// Leave everything running, and say what to type next; Ctrl-C ends it.
    #[arg(long)]
    pub keep: bool,
    /// Work in this folder, which must be empty or not exist, and leave it there [default: a temporary one, removed at the end].
    #[arg(long, value_name = "FOLDER")]
    pub dir: Option<PathBuf>,
}

/// Why the demonstration did not end well.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// A program of ours is missing and cannot be built.
    #[error(
        "cannot find the program {name} beside {beside}: run the demonstration with `cargo run --release -- demo`, or install all three programs into one folder"
    )]
    ProgramMissing {
        /// Its name.
        name: &'static str,
        /// Where it was looked for.
        beside: PathBuf,
    },
    /// Cargo did not build it.
    #[error("cargo could not build {package}: its messages stand above")]
    Build {
        /// The package.
        package: &'static str,
    },
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
