//! How far a task is: a bar on a terminal, lines elsewhere, nothing for a program that asked for JSON.

use std::io::{self, IsTerminal, Write};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use portcullis_proto::admin::v1::Task;

use crate::view::printable;

/// Parts of the whole after each of which a line is written where there is no terminal.
const LINES: u64 = 10;

pub(super) enum Progress {
    Silent,
    Lines { last: Option<(String, u64)> },
    Bar(ProgressBar),
}

impl Progress {
    pub(super) fn new(json: bool) -> Self {
        if json {
            return Self::Silent;
        }
        if !io::stderr().is_terminal() {
            return Self::Lines { last: None };
        }
        let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template(
            "{bar:30} {pos} of {len} values  {msg}  {elapsed} gone, {eta} to go",
        ) {
            bar.set_style(style);
        }
        Self::Bar(bar)
    }

    pub(super) fn show(&mut self, task: &Task) {
        let step = task.steps.iter().find(|step| step.state == "running");
        let step = step.map_or_else(
            || task.kind.clone(),
            |step| match step.note.as_str() {
                "" => step.name.clone(),
                note => format!("{}: {note}", step.name),
            },
        );
        let step = printable(&step);
        match self {
            Self::Silent => {}
            Self::Bar(bar) => {
                bar.set_length(task.total);
                bar.set_position(task.done);
                bar.set_message(step);
            }
            Self::Lines { last } => {
                let part = task.done.saturating_mul(LINES) / task.total.max(1);
                let now = (step, part);
                if last.as_ref() != Some(&now) {
                    let (id, step) = (task.id, &now.0);
                    // A courtesy: a closed standard error does not stop the task.
                    let _ = writeln!(
                        io::stderr(),
                        "task {id}, {step}: {} of {} values",
                        task.done,
                        task.total
                    );
                    *last = Some(now);
                }
            }
        }
    }

    pub(super) fn finish(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}
