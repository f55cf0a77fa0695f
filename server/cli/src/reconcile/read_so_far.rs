//! How many objects have been read, for people who wait: a resource tells how many it has only by
//! its last page.

use indicatif::ProgressBar;

use crate::context::Context;

/// Objects that are counted before it is shown: many come in a moment.
const SHOWN_EVERY: u64 = 256;

/// Counts what is read, of both sides together.
pub(crate) struct ReadSoFar {
    bar: ProgressBar,
    count: u64,
}

impl ReadSoFar {
    /// Nothing yet.
    pub(crate) fn new(context: &Context) -> Self {
        let template = "{spinner} {human_pos} read, {per_sec}, {elapsed} gone";
        Self {
            bar: context.bar(None, template),
            count: 0,
        }
    }

    /// One more.
    pub(crate) fn count(&mut self) {
        self.count += 1;
        if self.count.is_multiple_of(SHOWN_EVERY) {
            self.bar.set_position(self.count);
        }
    }

    /// All of a page is read.
    pub(crate) fn page(&self) {
        self.bar.set_position(self.count);
    }

    /// Takes it from the terminal.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

impl Drop for ReadSoFar {
    /// Also where the reading breaks off: what is said then has the line for itself.
    fn drop(&mut self) {
        self.finish();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_shown_page_by_page_and_within_a_large_one() {
        let mut so_far = ReadSoFar {
            bar: ProgressBar::hidden(),
            count: 0,
        };
        for _ in 0..SHOWN_EVERY - 1 {
            so_far.count();
        }
        assert_eq!(so_far.bar.position(), 0);
        so_far.page();
        assert_eq!(so_far.bar.position(), SHOWN_EVERY - 1);
        for _ in 0..2 {
            so_far.count();
        }
        assert_eq!(so_far.bar.position(), SHOWN_EVERY);
        so_far.finish();
        assert!(so_far.bar.is_finished());
    }
}
