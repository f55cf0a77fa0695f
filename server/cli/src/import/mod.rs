//! `portcullis account import`: the accounts of a file, one call each, resumable.
//!
//! A row is one line. Each line's result is written to the results file, durably in order of
//! completion, before the next line takes its place. A line that is done is skipped when the
//! command is given again; one whose result is missing or indeterminate is looked at (`get`) before
//! anything is sent.

mod csv;
mod json_lines;
mod results;
mod row;
mod runner;
mod worker;

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};
use portcullis_proto::gateway::v1::ObjectClass;
use zeroize::Zeroizing;

use crate::call::{CallArgs, Caller};
use crate::context::Context;
use crate::error::CliError;
use crate::view::printable;
use csv::Csv;
use json_lines::JsonLines;
use results::{Report, Results};
use row::{Lines, RowFormat, Rows};
use runner::{Progress, Runner};
use worker::{MAX_JOBS, Worker};

/// Larger files are to be split: the whole file, which holds passwords, is kept in memory while it
/// is worked on.
const MAX_FILE: u64 = 512 << 20;

const AFTER_HELP: &str = "\
CSV: the first line names the columns: `name`, and as needed `password`, `enabled` (true or false) and attributes, as
NAME or NAME:TYPE. A row is one line; an empty field is an attribute that is not set; several values of an attribute
that takes them are separated by `;`.
JSON Lines: one object a line, {\"name\": …, \"password\": …, \"enabled\": …, \"attributes\": {NAME: VALUE or [VALUE, …]}}.

The results file gets one JSON object a line: line, name, call_id, status (done, failed, indeterminate), and with it id,
or kind and message. Give the same command again to go on after an interruption, or after mending broken rows.
Exit codes: 0 all done; 1 some failed; 3 nobody knows what came of some.";

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
    /// Where each line's result goes; FILE.results.jsonl where nothing is given
    #[arg(long, value_name = "FILE")]
    results: Option<PathBuf>,
    /// How many calls are made at once
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=i64::from(MAX_JOBS)))]
    jobs: u16,
    /// Begin no further line after the first that fails
    #[arg(long)]
    stop_on_error: bool,
    /// How long the gateway may take for one line; its own limit is never exceeded
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    timeout: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FileFormat {
    /// Comma-separated values with a heading line
    Csv,
    /// One JSON object a line
    Jsonl,
}

impl ImportArgs {
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        let format = self.format.map_or_else(|| format_of(&self.file), Ok)?;
        let content = read(&self.file)?;
        let mut caller = Caller::new(context, self.resource.clone()).await?;
        let call = CallArgs::with_timeout(self.timeout);
        let typing = caller.typing(ObjectClass::Account, &call).await?;
        let mut lines = Lines::new(&content);
        let format: Box<dyn RowFormat> = match format {
            FileFormat::Csv => Box::new(Csv::new(&mut lines, &typing).map_err(|error| {
                CliError::Usage(format!(
                    "{}, line {}: {}",
                    self.file.display(),
                    error.line,
                    printable(&error.problem)
                ))
            })?),
            FileFormat::Jsonl => Box::new(JsonLines { typing: &typing }),
        };
        let mut rows = Rows { lines, format };
        let results_path = self.results.unwrap_or_else(|| results_path(&self.file));
        let (results, earlier) = Results::open(&results_path)?;
        let worker = Worker::new(caller, call, &self.resource, &self.file);
        let summary = Runner {
            worker,
            results,
            earlier,
            jobs: self.jobs,
            stop_on_error: self.stop_on_error,
            progress: Progress::new(context, content.len() as u64),
        }
        .run(&mut rows)
        .await?;
        context.print(&Report {
            summary: &summary,
            results: results_path.to_string_lossy(),
        })?;
        summary.verdict()
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

/// The whole file, without the mark that some editors put at its beginning.
fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, CliError> {
    let failed = CliError::file("read", path);
    let mut file = File::open(path).map_err(&failed)?;
    let size = file.metadata().map_err(&failed)?.len();
    let too_large = || {
        CliError::Usage(format!(
            "{} is larger than {} MiB: split it",
            path.display(),
            MAX_FILE >> 20
        ))
    };
    if size > MAX_FILE {
        return Err(too_large());
    }
    // Room for all of it at once: a buffer that grows leaves copies of passwords behind.
    let mut content = Zeroizing::new(Vec::with_capacity(size as usize + 1));
    file.by_ref()
        .take(MAX_FILE + 1)
        .read_to_end(&mut content)
        .map_err(failed)?;
    if content.len() as u64 > MAX_FILE {
        return Err(too_large());
    }
    if content.starts_with(b"\xef\xbb\xbf") {
        content.drain(..3);
    }
    Ok(content)
}
