//! Processor time.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Of all threads of this process so far, in which both ends of every link are.
pub(crate) fn time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(
        time.tv_sec.try_into().unwrap_or(0),
        time.tv_nsec.try_into().unwrap_or(0),
    )
}
