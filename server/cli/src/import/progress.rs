//! The progress bar, where there is a terminal to show it on.

use std::io::{self, IsTerminal, Write};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::view::printable;

/// How far the file has been worked through.
#[derive(Debug)]
pub(super) struct Progress {
    bar: ProgressBar,
    silent: bool,
}

impl Progress {
    /// For a file of `size` bytes. A program that asked for JSON gets no lines about single rows: it has the results file.
    pub(super) fn new(size: u64, json: bool) -> Self {
        let shown = !json && io::stderr().is_terminal();
        let bar = if shown {
            ProgressBar::with_draw_target(Some(size), ProgressDrawTarget::stderr())
        } else {
            ProgressBar::hidden()
        };
        if let Ok(style) = ProgressStyle::with_template(
            "{bar:30} {percent:>3}%  {msg}  {elapsed} gone, {eta} to go",
        ) {
            bar.set_style(style);
        }
        Self { bar, silent: json }
    }

    pub(super) fn advance(&self, position: u64, done: u64, failed: u64) {
        self.bar.set_position(position);
        self.bar
            .set_message(format!("{done} done, {failed} failed"));
    }

    /// Says something about one line of the file.
    pub(super) fn say(&self, line: u64, name: Option<&str>, text: &str) {
        let of = name
            .map(|name| format!(" ({})", printable(name)))
            .unwrap_or_default();
        self.note(&format!("line {line}{of}: {}", printable(text)));
    }

    /// Says something about the import as a whole.
    pub(super) fn note(&self, text: &str) {
        if self.silent {
            return;
        }
        self.bar.suspend(|| {
            // A closed terminal does not stop the import; the results file has it all.
            let _ = writeln!(io::stderr(), "{text}");
        });
    }

    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
