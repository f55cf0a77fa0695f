//! `journal show`, `journal accept`

use clap::ValueEnum;
use portcullis_common::rotation::UnixMillis;
use portcullis_host::clock;

use super::{CliError, say};
use crate::config::{Config, WorkerKind};
use crate::journal::{self, OpenCall, Shown};
use crate::key_store::{self, KeyStoreError};
use crate::state_dir::StateDir;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// Show what the journal holds, the calls without an end, and what is wrong with it
    Show(ShowArguments),
    /// Go on after damage: keep what can be read, and begin a new journal
    Accept(Which),
}

#[derive(Debug, clap::Args)]
pub(super) struct Which {
    /// Of a gateway in processes: the worker whose journal it is
    #[arg(long, value_enum)]
    worker: Option<WorkerKind>,
}

#[derive(Debug, clap::Args)]
pub(super) struct ShowArguments {
    /// How to print it
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
    #[command(flatten)]
    which: Which,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Output {
    /// For people
    Table,
    /// One JSON object
    Json,
}

/// Carries out `journal show` or `journal accept`.
pub(super) fn journal(config: &Config, verb: &Verb) -> Result<(), CliError> {
    match verb {
        Verb::Show(arguments) => show(&arguments.which.folder(config)?, arguments.output),
        Verb::Accept(which) => accept(config, &which.folder(config)?),
    }
}

impl Which {
    /// The folder of the journal. With several there is no telling which is meant.
    fn folder(&self, config: &Config) -> Result<StateDir, CliError> {
        let all = StateDir::with_journals(config);
        let names: Vec<_> = all.iter().filter_map(|(kind, _)| *kind).collect();
        let found = match (self.worker, all.len()) {
            (None, 1) => all.into_iter().next(),
            (wanted, _) => all
                .into_iter()
                .find(|(kind, _)| wanted.is_some() && *kind == wanted),
        };
        let found = found.map(|(_, folder)| folder);
        found.ok_or(CliError::WhichJournal(names))
    }
}

fn show(folder: &StateDir, output: Output) -> Result<(), CliError> {
    let shown = journal::show(folder)?;
    match (output, shown) {
        (Output::Json, shown) => {
            let text = serde_json::to_string_pretty(&shown)
                .map_err(|error| CliError::Output(error.into()))?;
            say(&text)
        }
        (Output::Table, Some(shown)) => table(&shown).iter().try_for_each(|line| say(line)),
        (Output::Table, None) => {
            say("there is no journal yet: the gateway makes it when it starts for the first time")
        }
    }
}

/// Under the lock of a running gateway, so that none writes meanwhile.
fn accept(config: &Config, folder: &StateDir) -> Result<(), CliError> {
    let _stopped = folder
        .lock_run()?
        .ok_or_else(|| KeyStoreError::NeverCreated {
            location: key_store::open(config).location(),
        })?;
    match journal::accept(folder)? {
        None => say("the journal is not damaged: nothing was changed"),
        Some(accepted) => {
            say(&format!(
                "began a new journal with the {} that could be read; at least {} lost; the former one is kept as `journal.damaged`",
                count(accepted.kept as u64, "call"),
                match accepted.lost {
                    1 => "1 record is".to_owned(),
                    lost => format!("{lost} records are"),
                }
            ))?;
            say(
                "next: start the gateway; the server looks at the resources for every call of which it does not know the end",
            )
        }
    }
}

/// The journal on one line, for `status`.
pub(super) fn summary(shown: &Shown) -> String {
    format!(
        "{:<12} {} in {}, {} without an end",
        "journal",
        count(shown.calls as u64, "call"),
        size(shown.bytes),
        shown.open.len()
    )
}

fn table(shown: &Shown) -> Vec<String> {
    let mut lines = vec![
        format!("{:<12} {}", "file", shown.location),
        summary(shown),
        format!("{:<12} {}", "incarnation", shown.incarnation),
        format!("{:<12} {}", "sequence", shown.sequence),
    ];
    if shown.forgotten_unix_ms > 0 {
        let until = clock::text(UnixMillis(shown.forgotten_unix_ms));
        lines.push(format!("{:<12} calls accepted up to {until}", "forgot"));
    }
    lines.extend(
        shown
            .fault
            .iter()
            .map(|fault| format!("{:<12} {fault}", "fault")),
    );
    lines.extend(shown.open.iter().flat_map(open_lines));
    lines
}

fn open_lines(call: &OpenCall) -> Vec<String> {
    let begun = clock::text(UnixMillis(call.begun_unix_ms));
    let mut lines = vec![format!(
        "{:<12} {}: {} {} through connector `{}`, begun {begun}",
        "no end", call.call_id, call.verb, call.object, call.connector
    )];
    let evidence = call.evidence.iter();
    lines.extend(evidence.map(|seen| format!("{:<12} {seen}", "")));
    lines
}

fn count(count: u64, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} bytes"),
        1024..1_048_576 => format!("{} KiB", bytes >> 10),
        _ => format!("{} MiB", bytes >> 20),
    }
}
