//! Takes rows to workers, several at a time, and their results to the results file.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use tokio::task::JoinSet;

use super::plan::{Plan, Step, Why};
use super::results::{LineResult, LineStatus, Results, Summary};
use super::row::{Row, RowError, Rows};
use super::worker::{Task, Worked, Worker};
use crate::context::Context;
use crate::error::CliError;
use crate::pending::Interrupts;
use crate::view::printable;

/// Rows in a row that find the resource out of reach before the rest is spared the attempt.
const MAX_UNAVAILABLE: u32 = 10;

/// Interrupts that follow each other this closely are one.
const SAME_INTERRUPT: Duration = Duration::from_millis(300);

/// One run of an import.
pub(crate) struct Runner {
    pub(crate) worker: Worker,
    pub(crate) results: Results,
    pub(crate) plan: Plan,
    pub(crate) interrupts: Interrupts,
    pub(crate) jobs: u16,
    pub(crate) stop_on_error: bool,
    pub(crate) progress: Progress,
}

/// What changes while it runs.
#[derive(Default)]
struct State {
    summary: Summary,
    /// It was said that such lines are looked at.
    told: bool,
    unavailable: u32,
    stop: bool,
    fatal: Option<CliError>,
}

impl Runner {
    /// Works through the rows, to the end or until it has to stop; what was begun is brought to its
    /// end in any case.
    pub(crate) async fn run(mut self, rows: &mut dyn Rows) -> Result<Summary, CliError> {
        let mut state = State::default();
        let mut working = JoinSet::new();
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
                () = self.interrupts.next() => {
                    // One keystroke can arrive as two signals: at the process, and at its group.
                    if interrupted.is_some_and(|at: Instant| at.elapsed() < SAME_INTERRUPT) {
                        continue;
                    }
                    if state.stop {
                        // Asked a second time: what is on its way is looked at by the next run.
                        return Err(CliError::ImportLeft { under_way: working.len() });
                    }
                    state.stop = true;
                    interrupted = Some(Instant::now());
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
        let (row, task, attempt, why) = match self.plan.step(row) {
            Step::Broken(error) => return self.broken(state, &error),
            Step::Skip => {
                state.summary.skipped += 1;
                return Ok(());
            }
            Step::Work {
                row,
                task,
                attempt,
                why,
            } => (row, task, attempt, why),
        };
        match why {
            Why::NotLooked => {}
            Why::Unknown => self.progress.say(
                row.line,
                Some(&row.name),
                "what came of it is not known: looking whether the account is there before sending anything",
            ),
            Why::Begun => {
                if !std::mem::replace(&mut state.told, true) {
                    self.progress.note(&format!(
                        "from line {} on, an earlier run may have begun lines without writing down what came of them: \
                         looking whether the account is there before sending anything",
                        row.line
                    ));
                }
            }
        }
        if task == Task::LookFirst {
            state.summary.looked_at += 1;
        }
        working.spawn(self.worker.clone().work(row, task, attempt));
        Ok(())
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
    pub(crate) fn say(&self, line: u64, name: Option<&str>, text: &str) {
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

    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
