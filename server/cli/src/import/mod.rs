//! `portcullis account import`: the accounts of a file, one call each, resumable.
//!
//! A row is one record of a CSV file or one line of JSON Lines. Each row's result is written to the
//! results file, durably in order of completion, before the next row takes its place. A row that is
//! done is skipped when the command is given again; one whose result is missing or indeterminate is
//! looked at (`get`) before anything is sent.

pub(crate) mod csv;
mod json_lines;
mod plan;
mod results;
pub(crate) mod row;
mod runner;
mod worker;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};
use data_encoding::HEXLOWER;
use portcullis_host::text::{self, TextError};
use portcullis_proto::gateway::v1::ObjectClass;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::bulk::{InFlight, Progress};
use crate::call::{CallArgs, Caller};
use crate::context::Context;
use crate::error::CliError;
use crate::input::typing::Typing;
use crate::view::printable;
use csv::Csv;
use json_lines::JsonLines;
use plan::{Plan, forecast};
use results::{Earlier, Report, Results};
use row::{FileFault, Rows};
use runner::Runner;
use worker::Worker;

/// Larger files are to be split: the whole file, which holds passwords, is kept in memory while it
/// is worked on.
const MAX_FILE: u64 = 512 << 20;

const AFTER_HELP: &str = "\
CSV (RFC 4180): the first line names the columns: `name`, and as needed `password`, `enabled` and attributes, as NAME or
NAME:TYPE. Columns are separated by comma, semicolon or tab, as the heading or a line `sep=;` before it shows. A value with a separator, a quote or a
line break in it stands in quotes, and a quote in it is doubled. An empty field is an attribute that is not set; several
values of an attribute that takes them are separated by `;`. True or false may be written as yes or no, 1 or 0, or as
spreadsheets write them in German, French, Spanish, Italian, Dutch and Portuguese, in any case.
JSON Lines: one object a line, {\"name\": …, \"password\": …, \"enabled\": …, \"attributes\": {NAME: VALUE or [VALUE, …]}}.
A file in which a quote is out of place, or a JSON value goes over several lines, is refused as a whole.

The results file gets one JSON object a row: line, name, call_id (of the call, where one was made), status (done, failed,
indeterminate), and with it id, or kind and message. Give the same command again to go on after an interruption, or after mending broken rows.
Exit codes: 0 all done; 1 some failed, or stopped before the end; 2 the file cannot be read, or makes no sense, and nothing of
it was sent; 3 nobody knows what came of some.

Examples:
  portcullis account import host1-accounts people.csv --dry-run
  portcullis account import host1-accounts people.csv --in-flight 64 --stop-on-error";

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct ImportArgs {
    /// The resource
    resource: String,
    /// The file with the accounts, readable by as few as possible where it holds passwords
    file: PathBuf,
    /// The file's format; by its name (.csv, .jsonl, .ndjson) where none is given
    #[arg(long, value_enum)]
    format: Option<FileFormat>,
    /// What separates the columns of a CSV file: a character, or `tab`; as its heading shows where
    /// none is given
    #[arg(long, value_name = "CHARACTER", value_parser = csv::separator)]
    separator: Option<u8>,
    /// Read the whole file, hold it against the resource's schema and against what every gateway
    /// refuses, say what would be done, and change nothing. The guard rails of a gateway are its
    /// own: what only they refuse shows when the calls are made
    #[arg(long)]
    dry_run: bool,
    /// Where each row's result goes; FILE.results.jsonl where nothing is given
    #[arg(long, value_name = "FILE")]
    results: Option<PathBuf>,
    #[command(flatten)]
    in_flight: InFlight,
    /// Begin no further row after the first that fails
    #[arg(long)]
    stop_on_error: bool,
    /// How long the gateway may take for one row; its own limit is never exceeded
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    timeout: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FileFormat {
    /// Comma-separated values with a heading line
    Csv,
    /// One JSON object a line
    Jsonl,
}

impl ImportArgs {
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        let source = SourceFile::read(self.file, self.format, self.separator)?;
        let mut caller = Caller::new(context, self.resource.clone()).await?;
        let call = CallArgs::with_timeout(self.timeout);
        let typing = caller.typing(ObjectClass::Account, &call).await?;
        let mut rows = source.rows(&typing)?;
        let file = &source.path;
        let results_path = self.results.unwrap_or_else(|| results_path(file));
        let progress = Progress::new(context, source.content.len() as u64);
        if self.dry_run {
            let earlier = Earlier::look(&results_path)?;
            let forecast = forecast(rows.as_mut(), earlier, &typing, &progress);
            context.print(&forecast)?;
            return forecast.verdict();
        }
        let (results, earlier) = Results::open(&results_path)?;
        let worker = Worker::new(caller, call, &self.resource, file);
        let summary = Runner {
            worker,
            results,
            plan: Plan::new(earlier),
            interrupts: context.pending().interrupts().map_err(CliError::Runtime)?,
            in_flight: self.in_flight,
            stop_on_error: self.stop_on_error,
            progress,
        }
        .run(rows.as_mut())
        .await?;
        context.print(&Report {
            summary: &summary,
            results: results_path.to_string_lossy(),
        })?;
        summary.verdict()
    }
}

/// A file with accounts.
pub(crate) struct SourceFile {
    path: PathBuf,
    format: FileFormat,
    separator: Option<u8>,
    content: Zeroizing<Vec<u8>>,
}

impl SourceFile {
    /// Reads a file; its format by its name where none is given.
    pub(crate) fn read(
        path: PathBuf,
        format: Option<FileFormat>,
        separator: Option<u8>,
    ) -> Result<Self, CliError> {
        Ok(Self {
            format: format.map_or_else(|| format_of(&path), Ok)?,
            content: read(&path)?,
            separator,
            path,
        })
    }

    /// What tells it from the same file after a change.
    pub(crate) fn digest(&self) -> String {
        HEXLOWER.encode(&Sha256::digest(&*self.content))
    }

    /// Its rows, from the first.
    pub(crate) fn rows<'a>(&'a self, typing: &'a Typing) -> Result<Box<dyn Rows + 'a>, CliError> {
        let checked = match self.format {
            FileFormat::Csv => csv::check(&self.content, self.separator),
            FileFormat::Jsonl => json_lines::check(&self.content),
        };
        checked.map_err(|fault| self.refused(&fault))?;
        self.rows_again(typing)
    }

    /// The same, of a file that [`rows`](Self::rows) were read of before.
    pub(crate) fn rows_again<'a>(
        &'a self,
        typing: &'a Typing,
    ) -> Result<Box<dyn Rows + 'a>, CliError> {
        Ok(match self.format {
            FileFormat::Csv => {
                let rows = Csv::new(&self.content, self.separator, typing);
                Box::new(rows.map_err(|fault| self.refused(&fault))?)
            }
            FileFormat::Jsonl => Box::new(JsonLines::new(&self.content, typing)),
        })
    }

    fn refused(&self, fault: &FileFault) -> CliError {
        CliError::Usage(format!(
            "{}, line {}: {}; nothing of the file was sent",
            self.path.display(),
            fault.line,
            printable(&fault.problem)
        ))
    }
}

fn format_of(path: &Path) -> Result<FileFormat, CliError> {
    let extension = path.extension().and_then(|it| it.to_str());
    match extension.unwrap_or_default().to_ascii_lowercase().as_str() {
        "csv" => Ok(FileFormat::Csv),
        "jsonl" | "ndjson" => Ok(FileFormat::Jsonl),
        _ => Err(CliError::Usage(format!(
            "{} ends in neither .csv nor .jsonl: say what it is with --format csv or --format jsonl",
            path.display()
        ))),
    }
}

fn results_path(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".results.jsonl");
    PathBuf::from(name)
}

/// The whole file, whose rows are decoded one by one.
fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, CliError> {
    text::read_file_bytes(path, MAX_FILE).map_err(|error| match error {
        TextError::TooLong(_) => CliError::Usage(format!(
            "{} is larger than {} MiB: split it",
            path.display(),
            MAX_FILE >> 20
        )),
        other => CliError::text(path)(other),
    })
}
