//! How far the work on many things has come: a bar for people on a terminal, and what there is to
//! say about single ones.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};

use indicatif::ProgressBar;

use crate::context::Context;
use crate::view::printable;

/// How far it has come. The bar is there on a terminal alone, and nothing is said to a program that
/// asked for JSON.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
    silent: bool,
    done: AtomicU64,
    failed: AtomicU64,
}

impl Progress {
    /// Of something that has come to its end at `total`, in whatever unit.
    pub(crate) fn new(context: &Context, total: u64) -> Self {
        let template = "{bar:30} {percent:>3}%  {msg}  {elapsed} gone, {eta} to go";
        Self {
            bar: context.bar(Some(total), template),
            silent: context.json(),
            done: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        }
    }

    /// One of them was done, or failed.
    pub(crate) fn count(&self, done: bool) {
        let of = if done { &self.done } else { &self.failed };
        of.fetch_add(1, Ordering::Relaxed);
    }

    /// It has come to this place.
    pub(crate) fn at(&self, position: u64) {
        if self.bar.is_hidden() {
            return;
        }
        let (done, failed) = (
            self.done.load(Ordering::Relaxed),
            self.failed.load(Ordering::Relaxed),
        );
        self.bar.set_position(position);
        let seconds = self.bar.elapsed().as_secs_f64();
        self.bar.set_message(counts(done, failed, seconds));
    }

    /// Says something about it as a whole.
    pub(crate) fn note(&self, text: &str) {
        if self.silent {
            return;
        }
        self.bar.suspend(|| {
            // A closed terminal stops nothing.
            let _ = writeln!(io::stderr(), "{}", printable(text));
        });
    }

    /// Takes the bar away.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

fn counts(done: u64, failed: u64, seconds: f64) -> String {
    // Counts of calls: a 64-bit float has them exactly.
    let rate = (done + failed) as f64 / seconds.max(0.001);
    format!("{done} done, {failed} failed, {rate:.0}/s")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_all_that_came_to_an_end() {
        assert_eq!(counts(90, 10, 0.5), "90 done, 10 failed, 200/s");
        assert!(counts(0, 0, 0.0).ends_with("0/s"));
    }
}
