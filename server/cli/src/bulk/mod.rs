//! What all verbs share that make many calls: how many of them are in flight, what is done where a
//! gateway has no room for one, and the bar that shows how far the work has come.

mod patience;
mod progress;

use clap::Args;

pub(crate) use patience::patiently;
pub(crate) use progress::Progress;

/// Calls in flight at once, at most: as many requests as the server takes of one connection.
pub(crate) const MOST_IN_FLIGHT: u16 = 256;

/// Half of what a gateway carries out at once by default (`limits.calls`), and several times the
/// connections that its connectors keep by default: those never wait for the next call, and other
/// callers find room.
const IN_FLIGHT: u16 = 32;

/// How many calls are under way at once.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct InFlight {
    /// How many calls are under way at once. More than the gateway carries out at once
    /// (`limits.calls`) only wait for room
    #[arg(
        long,
        alias = "jobs",
        value_name = "N",
        default_value_t = IN_FLIGHT,
        value_parser = clap::value_parser!(u16).range(1..=i64::from(MOST_IN_FLIGHT))
    )]
    in_flight: u16,
}

impl Default for InFlight {
    fn default() -> Self {
        let in_flight = IN_FLIGHT;
        Self { in_flight }
    }
}

impl InFlight {
    pub(crate) fn get(self) -> usize {
        usize::from(self.in_flight)
    }
}
