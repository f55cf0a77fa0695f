//! What is to be done about each row, by what earlier runs left; and a run that does none of it.

use std::collections::HashMap;

use serde::Serialize;
use serde_json::Value;

use super::results::{Earlier, LineStatus};
use super::row::{Row, RowError, Rows};
use super::runner::about;
use super::worker::Task;
use crate::bulk::{MOST_IN_FLIGHT, Progress};
use crate::error::CliError;
use crate::input::typing::Typing;
use crate::view::{View, facts};

/// What is to be done about one row.
pub(crate) enum Step {
    /// Nothing: something is wrong with it.
    Broken(RowError),
    /// Nothing: an earlier run did it.
    Skip,
    /// A call, the n-th that this account is tried by.
    Work {
        row: Row,
        task: Task,
        attempt: u32,
        why: Why,
    },
}

/// Why an account is looked at first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// It is not.
    NotLooked,
    /// An earlier run does not know what came of it.
    Unknown,
    /// An earlier run may have begun it.
    Begun,
}

/// Decides about row after row.
pub(crate) struct Plan {
    earlier: Earlier,
    /// On which line each name stood first.
    names: HashMap<String, u64>,
    /// Lines beyond the last result of an earlier run that it may have begun all the same.
    beyond: u16,
}

impl Plan {
    pub(crate) fn new(earlier: Earlier) -> Self {
        Self {
            earlier,
            names: HashMap::new(),
            beyond: 0,
        }
    }

    pub(crate) fn step(&mut self, row: Result<Row, RowError>) -> Step {
        let row = match row {
            Ok(row) => row,
            Err(error) => return Step::Broken(error),
        };
        if let Some(first) = self.names.get(&row.name) {
            return Step::Broken(RowError {
                line: row.line,
                place: String::new(),
                problem: format!("this account stands on line {first} already"),
                name: Some(row.name),
            });
        }
        self.names.insert(row.name.clone(), row.line);
        let attempt = self.earlier.attempts(&row.name) + 1;
        let (task, why, attempt) = match self.earlier.status(&row.name) {
            Some(LineStatus::Done) => return Step::Skip,
            Some(LineStatus::Failed) => (Task::Create, Why::NotLooked, attempt),
            Some(LineStatus::Indeterminate) => (Task::LookFirst, Why::Unknown, attempt),
            // The one without a result counts too: no call id is ever used for two calls.
            None if self.may_have_begun(row.line) => (Task::LookFirst, Why::Begun, attempt + 1),
            None => (Task::Create, Why::NotLooked, attempt),
        };
        Step::Work {
            row,
            task,
            attempt,
            why,
        }
    }

    /// Lines are begun in order, at most [`MOST_IN_FLIGHT`] at once: none further beyond the last
    /// result can have been begun.
    fn may_have_begun(&mut self, line: u64) -> bool {
        if !self.earlier.resumed() {
            return false;
        }
        if line < self.earlier.last_line() {
            return true;
        }
        if self.beyond < MOST_IN_FLIGHT {
            self.beyond += 1;
            return true;
        }
        false
    }
}

/// What an import would do, in counts of lines.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Forecast {
    dry_run: bool,
    create: u64,
    look_first: u64,
    skip: u64,
    broken: u64,
}

/// Reads the whole file, holds it against the schema and against what earlier runs left, says what
/// is wrong, and changes nothing.
pub(crate) fn forecast(
    rows: &mut dyn Rows,
    earlier: Earlier,
    typing: &Typing,
    progress: &Progress,
) -> Forecast {
    let mut plan = Plan::new(earlier);
    let mut forecast = Forecast {
        dry_run: true,
        ..Forecast::default()
    };
    while let Some(row) = rows.next_row() {
        let checked = row.and_then(|row| {
            let unfit = typing.check_create(&row.attributes).err();
            let problem = unfit.map(|error| error.to_string());
            match problem.or_else(|| row.refusal()) {
                None => Ok(row),
                Some(problem) => Err(RowError {
                    line: row.line,
                    place: String::new(),
                    name: Some(row.name),
                    problem,
                }),
            }
        });
        match plan.step(checked) {
            Step::Skip => forecast.skip += 1,
            Step::Work {
                task: Task::Create, ..
            } => forecast.create += 1,
            Step::Work {
                task: Task::LookFirst,
                ..
            } => forecast.look_first += 1,
            Step::Broken(error) => {
                forecast.broken += 1;
                let said = about(error.line, error.name.as_deref(), &error.to_string());
                progress.note(&said);
            }
        }
    }
    progress.finish();
    forecast
}

impl Forecast {
    /// Whether all rows are sound.
    pub(crate) fn verdict(&self) -> Result<(), CliError> {
        match self.broken {
            0 => Ok(()),
            failed => Err(CliError::ImportFailed {
                failed,
                total: failed + self.create + self.look_first + self.skip,
            }),
        }
    }
}

impl View for Forecast {
    fn table(&self, _: std::time::SystemTime) -> String {
        let some = |n: u64| (n > 0).then(|| n.to_string());
        let counts = facts([
            ("would be created", Some(self.create.to_string())),
            ("would be looked at first", some(self.look_first)),
            ("done earlier, would be skipped", some(self.skip)),
            ("broken", Some(self.broken.to_string())),
        ]);
        format!(
            "{counts}\nnothing was sent but the question for the schema, and nothing was changed"
        )
    }

    fn json(&self) -> Value {
        // Numbers alone: this cannot fail.
        serde_json::to_value(self).unwrap_or_default()
    }
}
