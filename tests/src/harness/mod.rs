//! Real servers and gateways as processes, each under a temporary folder on loopback, all of them
//! killed when dropped.
//!
//! A [`Site`] is the folder; [`Server`] and [`Gateway`] are set up in it, started, stopped, killed
//! and started again. What cannot be done panics, with the log of the process that was to do it: no
//! test has anything else to do then.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "it is code of tests, which are to fail where something is amiss"
)]

mod gateway;
mod process;
mod programs;
mod proxy;
mod scripts;
mod server;
mod site;
pub mod usage;
mod wine;

use std::fmt::Display;
use std::panic::Location;
use std::time::{Duration, Instant};

pub use gateway::{Dial, Gateway, damaged};
pub use process::{Finished, Process, run, run_to_end, words};
pub use programs::Programs;
pub use proxy::{Proxy, Recording};
pub use scripts::Scripts;
pub use server::{Admin, Server};
pub use site::{Site, free_port};
pub use wine::{WindowsGateway, Wine, drive_z};

/// How long anything may take that is awaited, before it counts as lost.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// What a run cannot do without.
pub trait OrFail {
    /// What there is where nothing failed.
    type Value;

    /// The value, or a panic that says what failed, and why.
    fn or_fail(self, what: impl Display) -> Self::Value;
}

impl<T, E: Display> OrFail for Result<T, E> {
    type Value = T;

    #[track_caller]
    fn or_fail(self, what: impl Display) -> T {
        self.unwrap_or_else(|error| panic!("{what}: {error}"))
    }
}

impl<T> OrFail for Option<T> {
    type Value = T;

    #[track_caller]
    fn or_fail(self, what: impl Display) -> T {
        self.unwrap_or_else(|| panic!("there is no {what}"))
    }
}

/// What was asked for at this place of a test failed.
fn fail(at: &Location<'_>, what: &str) -> ! {
    panic!("{what}\nat {at}")
}

/// What was awaited at this place of a test did not come; `log` is the log of whoever was to do it.
pub fn in_vain(at: &Location<'_>, what: &str, waited: Duration, log: &str) -> ! {
    fail(at, &format!("waited {waited:?} in vain for {what}\n{log}"))
}

/// Asks again and again until `probe` gives something, for [`PATIENCE`]: for state that can be
/// asked for, and does not announce itself.
#[track_caller]
pub fn eventually<T, F, Fut>(what: &str, probe: F) -> impl Future<Output = T>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Option<T>>,
{
    eventually_at(Location::caller(), what, probe, String::new)
}

async fn eventually_at<T, F, Fut>(
    at: &Location<'_>,
    what: &str,
    mut probe: F,
    log: impl FnOnce() -> String,
) -> T
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Option<T>>,
{
    let began = Instant::now();
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    loop {
        ticks.tick().await;
        if let Some(found) = probe().await {
            return found;
        }
        if began.elapsed() > PATIENCE {
            in_vain(at, what, began.elapsed(), &log());
        }
    }
}
