//! What came of an import as a whole.

use std::path::Path;
use std::time::SystemTime;

use serde_json::{Value, json};

use super::results::LineStatus;
use crate::error::CliError;
use crate::view::View;
use crate::view::facts;

/// Counts of lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Summary {
    pub(super) done: u64,
    pub(super) failed: u64,
    pub(super) indeterminate: u64,
    /// Done by an earlier run.
    pub(super) skipped: u64,
    /// Looked at first, because an earlier run left no result or an indeterminate one.
    pub(super) looked_at: u64,
    /// The end of the file was not reached.
    pub(super) stopped: bool,
}

impl Summary {
    pub(super) fn count(&mut self, status: LineStatus) {
        match status {
            LineStatus::Done => self.done += 1,
            LineStatus::Failed => self.failed += 1,
            LineStatus::Indeterminate => self.indeterminate += 1,
        }
    }

    pub(super) fn view<'a>(&self, results: &'a Path) -> SummaryView<'a> {
        SummaryView {
            summary: *self,
            results,
        }
    }

    /// Whether all went well. What nobody knows outweighs what failed.
    pub(super) fn verdict(&self) -> Result<(), CliError> {
        let total = self.done + self.failed + self.indeterminate + self.skipped;
        if self.indeterminate > 0 {
            return Err(CliError::ImportIndeterminate {
                indeterminate: self.indeterminate,
                total,
            });
        }
        if self.failed > 0 {
            return Err(CliError::ImportFailed {
                failed: self.failed,
                total,
            });
        }
        if self.stopped {
            return Err(CliError::ImportStopped);
        }
        Ok(())
    }
}

/// The counts, and where the results are.
pub(super) struct SummaryView<'a> {
    summary: Summary,
    results: &'a Path,
}

impl View for SummaryView<'_> {
    fn table(&self, _: SystemTime) -> String {
        let s = &self.summary;
        let some = |n: u64| (n > 0).then(|| n.to_string());
        facts([
            ("done", Some(s.done.to_string())),
            ("failed", Some(s.failed.to_string())),
            ("indeterminate", Some(s.indeterminate.to_string())),
            ("done earlier, skipped", some(s.skipped)),
            ("looked at first", some(s.looked_at)),
            (
                "stopped",
                s.stopped.then(|| "before the end of the file".to_owned()),
            ),
            ("results", Some(self.results.display().to_string())),
        ])
    }

    fn json(&self) -> Value {
        let s = &self.summary;
        json!({
            "done": s.done,
            "failed": s.failed,
            "indeterminate": s.indeterminate,
            "skipped": s.skipped,
            "looked_at": s.looked_at,
            "stopped": s.stopped,
            "results": self.results,
        })
    }
}
