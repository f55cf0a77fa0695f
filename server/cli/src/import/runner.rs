//! Takes rows to workers, several at a time, and their results to the results file.

use std::collections::HashMap;
use std::io::{self, Write};
use std::pin::pin;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use tokio::task::JoinSet;

use super::results::{Earlier, LineResult, LineStatus, Results, Summary};
use super::row::{Row, RowError, Rows};
use super::worker::{MAX_JOBS, Task, Worked, Worker};
use crate::context::Context;
use crate::error::CliError;
use crate::view::printable;

/// Rows in a row that find the resource out of reach before the rest is spared the attempt.
const MAX_UNAVAILABLE: u32 = 10;

/// Interrupts that follow each other this closely are one.
const SAME_INTERRUPT: Duration = Duration::from_millis(300);

/// One run of an import.
pub(crate) struct Runner {
    pub(crate) worker: Worker,
    pub(crate) results: Results,
    pub(crate) earlier: Earlier,
    pub(crate) jobs: u16,
    pub(crate) stop_on_error: bool,
    pub(crate) progress: Progress,
}

/// What changes while it runs.
#[derive(Default)]
struct State {
    summary: Summary,
    /// On which line each name stood first.
    names: HashMap<String, u64>,
    /// Lines beyond the last result of an earlier run that it may have begun all the same.
    beyond: u16,
    /// It was said that such lines are looked at.
    told: bool,
    unavailable: u32,
    stop: bool,
    fatal: Option<CliError>,
}

impl Runner {
    /// Works through the rows, to the end or until it has to stop; what was begun is brought to its
    /// end in any case.
    pub(crate) async fn run(mut self, rows: &mut Rows<'_>) -> Result<Summary, CliError> {
        let mut state = State::default();
        let mut working = JoinSet::new();
        let mut interrupt = pin!(tokio::signal::ctrl_c());
        let mut interrupted = None;
        let mut exhausted = false;
        loop {
            while !exhausted && !state.stop && working.len() < usize::from(self.jobs) {
                match rows.next_row() {
                    None => exhausted = true,
                    Some(row) => self.begin(&mut state, row, &mut working)?,
                }
            }
            let joined = tokio::select! {
                biased;
                joined = working.join_next() => joined,
                _ = &mut interrupt => {
                    // One keystroke can arrive as two signals: at the process, and at its group.
                    if interrupted.is_some_and(|at: Instant| at.elapsed() < SAME_INTERRUPT) {
                        interrupt.set(tokio::signal::ctrl_c());
                        continue;
                    }
                    if state.stop {
                        // Asked a second time: what is on its way is looked at by the next run.
                        return Err(CliError::ImportStopped);
                    }
                    state.stop = true;
                    interrupted = Some(Instant::now());
                    interrupt.set(tokio::signal::ctrl_c());
                    self.progress.note(&format!(
                        "interrupted: waiting for the {} calls on their way; interrupt again to leave them",
                        working.len()
                    ));
                    continue;
                }
            };
            match joined {
                None if exhausted || state.stop => break,
                None => {}
                Some(Ok(worked)) => self.finish(&mut state, worked)?,
                Some(Err(error)) => return Err(CliError::Runtime(error.into())),
            }
            self.progress.advance(
                rows.position(),
                state.summary.done,
                state.summary.failed + state.summary.indeterminate,
            );
        }
        self.results.sync()?;
        self.progress.finish();
        state.summary.stopped = state.stop && rows.next_row().is_some();
        match state.fatal {
            // What is not known of single lines comes first: the exit code has to say so.
            Some(error) if state.summary.indeterminate == 0 => Err(error),
            _ => Ok(state.summary),
        }
    }

    fn begin(
        &mut self,
        state: &mut State,
        row: Result<Row, RowError>,
        working: &mut JoinSet<Worked>,
    ) -> Result<(), CliError> {
        let row = match row {
            Ok(row) => row,
            Err(error) => return self.broken(state, &error),
        };
        if let Some(first) = state.names.get(&row.name) {
            let error = RowError {
                line: row.line,
                place: String::new(),
                problem: format!("this account stands on line {first} already"),
                name: Some(row.name),
            };
            return self.broken(state, &error);
        }
        state.names.insert(row.name.clone(), row.line);
        let earlier = self.earlier.status(&row.name);
        let mut attempt = self.earlier.attempts(&row.name) + 1;
        let task = match earlier {
            Some(LineStatus::Done) => {
                state.summary.skipped += 1;
                return Ok(());
            }
            Some(LineStatus::Failed) => Task::Create,
            Some(LineStatus::Indeterminate) => {
                self.progress.say(
                    row.line,
                    Some(&row.name),
                    "what came of it is not known: looking whether the account is there before sending anything",
                );
                Task::LookFirst
            }
            None if self.may_have_begun(state, row.line) => {
                if !std::mem::replace(&mut state.told, true) {
                    self.progress.note(&format!(
                        "from line {} on, an earlier run may have begun lines without writing down what came of them: \
                         looking whether the account is there before sending anything",
                        row.line
                    ));
                }
                // The one without a result counts too: no call id is ever used for two calls.
                attempt += 1;
                Task::LookFirst
            }
            None => Task::Create,
        };
        if task == Task::LookFirst {
            state.summary.looked_at += 1;
        }
        working.spawn(self.worker.clone().work(row, task, attempt));
        Ok(())
    }

    /// Lines are begun in order, at most [`MAX_JOBS`] at once: none further beyond the last result
    /// can have been begun.
    fn may_have_begun(&self, state: &mut State, line: u64) -> bool {
        if !self.earlier.resumed() {
            return false;
        }
        if line < self.earlier.last_line() {
            return true;
        }
        if state.beyond < MAX_JOBS {
            state.beyond += 1;
            return true;
        }
        false
    }

    fn broken(&mut self, state: &mut State, error: &RowError) -> Result<(), CliError> {
        let result = LineResult {
            kind: Some("broken-row".to_owned()),
            message: Some(error.to_string()),
            ..LineResult::new(error.line, error.name.clone(), LineStatus::Failed)
        };
        self.record(state, &result)
    }

    fn finish(&mut self, state: &mut State, worked: Worked) -> Result<(), CliError> {
        let unavailable = worked.result.kind.as_deref() == Some("unavailable");
        state.unavailable = if unavailable {
            state.unavailable + 1
        } else {
            0
        };
        if state.unavailable >= MAX_UNAVAILABLE {
            state.stop = true;
        }
        if let Some(error) = worked.fatal {
            state.stop = true;
            state.fatal.get_or_insert(error);
        }
        self.record(state, &worked.result)
    }

    fn record(&mut self, state: &mut State, result: &LineResult) -> Result<(), CliError> {
        self.results.append(result)?;
        state.summary.count(result.status);
        if result.status != LineStatus::Done {
            state.stop |= self.stop_on_error;
            let message = result.message.as_deref().unwrap_or_default();
            self.progress
                .say(result.line, result.name.as_deref(), message);
        }
        Ok(())
    }
}

/// How far the file has been worked through.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
    silent: bool,
}

impl Progress {
    /// For a file of `size` bytes. A program that asked for JSON gets no lines about single rows:
    /// it has the results file.
    pub(crate) fn new(context: &Context, size: u64) -> Self {
        let template = "{bar:30} {percent:>3}%  {msg}  {elapsed} gone, {eta} to go";
        Self {
            bar: context.bar(size, template),
            silent: context.json(),
        }
    }

    fn advance(&self, position: u64, done: u64, failed: u64) {
        self.bar.set_position(position);
        self.bar
            .set_message(format!("{done} done, {failed} failed"));
    }

    /// Says something about one line of the file.
    fn say(&self, line: u64, name: Option<&str>, text: &str) {
        let of = name
            .map(|name| format!(" ({})", printable(name)))
            .unwrap_or_default();
        self.note(&format!("line {line}{of}: {}", printable(text)));
    }

    /// Says something about the import as a whole.
    fn note(&self, text: &str) {
        if self.silent {
            return;
        }
        self.bar.suspend(|| {
            // A closed terminal does not stop the import; the results file has it all.
            let _ = writeln!(io::stderr(), "{text}");
        });
    }

    fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
