//! Takes rows to workers, several at a time, and their results to the results file.

use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::plan::{Plan, Step, Why};
use super::results::{HeldUp, LineResult, LineStatus, Results, Summary};
use super::row::{Row, RowError, Rows};
use super::worker::{Task, Worked, Worker};
use crate::bulk::{InFlight, Progress};
use crate::error::CliError;
use crate::pending::Interrupts;
use crate::view::printable;

/// Rows in a row that find the resource out of reach before the rest is spared the attempt.
const MAX_UNAVAILABLE: u32 = 10;
/// The same of rows for which there is no room, such as in a gateway's journal that is full: each
/// of them was tried for a good while.
const MAX_BUSY: u32 = 3;

/// Interrupts that follow each other this closely are one.
const SAME_INTERRUPT: Duration = Duration::from_millis(300);

/// One run of an import.
pub(crate) struct Runner {
    pub(crate) worker: Worker,
    pub(crate) results: Results,
    pub(crate) plan: Plan,
    pub(crate) interrupts: Interrupts,
    pub(crate) in_flight: InFlight,
    pub(crate) stop_on_error: bool,
    pub(crate) progress: Progress,
}

/// What changes while it runs.
#[derive(Default)]
struct State {
    summary: Summary,
    /// It was said that such lines are looked at.
    told: bool,
    in_vain: InVain,
    stop: bool,
    fatal: Option<CliError>,
}

/// Rows that follow one another and find that nothing can be done there now.
#[derive(Default)]
struct InVain {
    rows: u32,
    /// Why nothing more is tried.
    because: Option<String>,
}

impl InVain {
    /// Counts a row; whether it is one too many.
    fn count(&mut self, result: &LineResult) -> bool {
        let most = match result.kind.as_deref() {
            Some("unavailable") => MAX_UNAVAILABLE,
            Some("busy") => MAX_BUSY,
            _ => {
                self.rows = 0;
                return false;
            }
        };
        self.rows += 1;
        if self.rows < most {
            return false;
        }
        self.because.clone_from(&result.message);
        true
    }
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
            while !exhausted && !state.stop && working.len() < self.in_flight.get() {
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
            self.progress.at(rows.position());
        }
        self.results.sync()?;
        self.progress.finish();
        let left = rows.next_row().filter(|_| state.stop);
        state.summary.stopped = left.is_some();
        let line = left.map(|left| left.map_or_else(|broken| broken.line, |row| row.line));
        state.summary.held_up = line.zip(state.in_vain.because).map(HeldUp::new);
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
            Why::Unknown => self.progress.note(&about(
                row.line,
                Some(&row.name),
                "what came of it is not known: looking whether the account is there before sending anything",
            )),
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
        state.stop |= state.in_vain.count(&worked.result);
        if let Some(error) = worked.fatal {
            state.stop = true;
            state.fatal.get_or_insert(error);
        }
        self.record(state, &worked.result)
    }

    fn record(&mut self, state: &mut State, result: &LineResult) -> Result<(), CliError> {
        self.results.append(result)?;
        state.summary.count(result.status);
        self.progress.count(result.status == LineStatus::Done);
        if result.status != LineStatus::Done {
            state.stop |= self.stop_on_error;
            let message = result.message.as_deref().unwrap_or_default();
            let name = result.name.as_deref();
            self.progress.note(&about(result.line, name, message));
        }
        Ok(())
    }
}

/// What is said about one line of the file.
pub(crate) fn about(line: u64, name: Option<&str>, text: &str) -> String {
    let of = name
        .map(|name| format!(" ({})", printable(name)))
        .unwrap_or_default();
    format!("line {line}{of}: {}", printable(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_room_for_a_few_rows_is_spared_the_others() {
        let result = |kind: &str| LineResult {
            kind: Some(kind.to_owned()),
            message: Some(format!("it is {kind}")),
            ..LineResult::new(1, None, LineStatus::Failed)
        };
        for (kind, most) in [("busy", 3), ("unavailable", 10)] {
            let mut in_vain = InVain::default();
            let until_now: Vec<_> = (1..most).map(|_| in_vain.count(&result(kind))).collect();
            assert!(until_now.iter().all(|too_many| !too_many), "{kind}");
            // One that is refused for a reason of its own shows that others may go through.
            assert!(!in_vain.count(&result("rejected")));
            for _ in 1..most {
                assert!(!in_vain.count(&result(kind)) && in_vain.because.is_none());
            }
            assert!(in_vain.count(&result(kind)));
            assert_eq!(in_vain.because, Some(format!("it is {kind}")));
        }
    }
}
