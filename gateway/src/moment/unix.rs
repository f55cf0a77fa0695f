//! `CLOCK_BOOTTIME`.

use rustix::time::{ClockId, clock_gettime};

pub(super) fn running_ms() -> u64 {
    let time = clock_gettime(ClockId::Boottime);
    let (seconds, nanos) = (time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs());
    seconds * 1_000 + nanos / 1_000_000
}
