//! Whether a reader has made room, by `poll`.

use std::io::Write;
use std::os::fd::AsFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// What can tell whether it takes more.
pub(super) trait Room: Write {
    /// Whether it takes something at once, or within that time; also where a write would fail at
    /// once.
    fn has_room(&self, within: Duration) -> bool;
}

impl<W: Write + AsFd> Room for W {
    fn has_room(&self, within: Duration) -> bool {
        let within = Timespec::try_from(within).unwrap_or_default();
        loop {
            match poll(&mut [PollFd::new(self, PollFlags::OUT)], Some(&within)) {
                Err(Errno::INTR) => {}
                Ok(ready) => return ready > 0,
                // What cannot be asked is written to.
                Err(_) => return true,
            }
        }
    }
}
