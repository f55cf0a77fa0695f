//! Several servers on one repository under clocks of their own, replayable from a seed.
//!
//! ```text
//!   administrators, callers
//!        │ submit, withdraw                 ┌─ beats, claims, outcomes, withdrawals: one
//!        ▼                                  │  transaction each, whose answer may be lost
//!   server 0 ═══ server 1 ═══ server 2 ─────┴──▶ database (fails over, goes back in time)
//!        ╲     ╳ sessions, grants  ╱
//!        gateway 0       gateway 1          a journal, a clock and the highest grant each
//! ```
//!
//! Servers are killed, stopped in the middle of a call, suspended with their machines; connections
//! are cut with what is on its way; what was sent comes late or after its sender is gone; the
//! database is away, fails over, and loses what it had acknowledged. What the product decides
//! without I/O, it decides here, too: [`Fence`](portcullis_server::servers::Fence),
//! [`Watcher`](portcullis_server::servers::Watcher),
//! [`Reckoning`](portcullis_server::fleet::Reckoning),
//! [`Sharing`](portcullis_server::fleet::Sharing). What must hold is checked as things happen,
//! and that all which was accepted has an end once nothing breaks any more.
//!
//! [`Fault`] breaks one rule, to show that the simulation would notice.

mod asking;
mod calls;
mod clock;
mod database;
mod gateway;
mod ghost;
mod hearing;
mod peers;
mod reading;
mod server;
mod session;
mod steps;
#[cfg(test)]
mod tests;
mod world;

use std::convert::Infallible;
use std::ops::Range;
use std::time::Duration;

use serde::Serialize;

use crate::seeds::{self, Failure, Life, Options, Tally};

/// A rule broken on purpose, in the world and never in the product.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// A row is deleted ten seconds after it was read first, whether its beat has changed or not.
    OneReading,
    /// A server that finds its row deleted puts it back, with the same instance, and goes on.
    Revived,
    /// A version is acknowledged as soon as it was read, whatever is let through and not sent.
    EarlyAcknowledgement,
    /// A gateway that is asked for a call answers that it was not begun, and does not bar it.
    LookDoesNotBar,
    /// A call whose acceptance was not answered is submitted again, as another one.
    RepeatWithoutLook,
    /// A database that failed over and lost what it had acknowledged is gone on with.
    LostTail,
    /// A gateway obeys the session that was opened last, whatever was granted.
    NewestHandshake,
    /// Whoever looks ends the entries of others as unknown, whether they are at work or not.
    EndsOthersEntries,
    /// A withdrawal returns when it is committed.
    BarrierDoesNotWait,
    /// Whoever looks for a change whose answer was lost only reads.
    PlainLook,
    /// Whoever looks for a change a second time takes the mark of the first look for the change.
    OwnMark,
    /// The moment after which nothing is begun is reckoned on the server's own clock.
    OwnClock,
    /// A write does not look whether the row of its instance stands.
    RowNotChecked,
    /// A server reads who may do what, and then puts its row in.
    ReadThenRow,
}

impl Fault {
    /// Every one.
    pub const ALL: [Self; 14] = [
        Self::OneReading,
        Self::Revived,
        Self::EarlyAcknowledgement,
        Self::LookDoesNotBar,
        Self::RepeatWithoutLook,
        Self::LostTail,
        Self::NewestHandshake,
        Self::EndsOthersEntries,
        Self::BarrierDoesNotWait,
        Self::PlainLook,
        Self::OwnMark,
        Self::OwnClock,
        Self::RowNotChecked,
        Self::ReadThenRow,
    ];
}

/// Declares [`Counts`], and how they are added up.
macro_rules! counts {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// What happened in all runs together: that nothing failed means little where nothing was
        /// tried.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
        pub struct Counts {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Tally for Counts {
            fn add(&mut self, other: &Self) {
                $(self.$name += other.$name;)*
            }
        }
    };
}

counts! {
    /// Events carried out.
    events,
    /// Calls accepted.
    accepted,
    /// Calls that a gateway began.
    begun,
    /// Calls whose outcome was written: done.
    done,
    /// Calls whose outcome was written: failed, so not begun.
    failed,
    /// Calls that a gateway refused because they came too late.
    late,
    /// Calls that a gateway refused because somebody had looked for them before.
    barred,
    /// Calls that went through another server's session.
    forwarded,
    /// Claims taken from an instance that is gone.
    taken_over,
    /// Outcomes written for a call that was taken over and had been begun.
    found_done,
    /// Instances that were ended because their beat stood.
    ended,
    /// Answers to a COMMIT that were lost.
    answers_lost,
    /// Changes whose answer was lost and which had been made.
    found_made,
    /// Times that a link changed hands.
    handed_over,
    /// Sessions closed because a higher grant was known.
    superseded,
    /// Servers that were drained.
    drained,
    /// Withdrawals that returned.
    withdrawals,
    /// Processes killed.
    kills,
    /// Processes or machines that were stopped for a while.
    stops,
    /// Connections cut.
    cuts,
    /// Failovers that lost nothing.
    failovers,
    /// Failovers that lost what was acknowledged.
    tails_lost,
    /// Repositories found behind what a server knew, and accepted.
    losses_accepted,
    /// Batches of tasks carried out.
    batches,
}

/// The result of a range of seeds.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Seeds run.
    pub seeds: u64,
    /// What was tried.
    pub counts: Counts,
    /// Seeds that broke a promise, each with its trace.
    pub failures: Vec<Failure>,
    /// How long it took.
    #[serde(skip)]
    pub took: Duration,
}

/// Runs each seed in a world of its own, on all processors.
pub fn run(seeds: Range<u64>, options: Options<Fault>) -> Report {
    let Ok(lives) = seeds::run(seeds, 1, options.stop_at_first, |seed| {
        let outcome = world::live(seed, options.fault, false);
        let broken = outcome.broken.is_some().then(|| {
            // Once more, this time with a trace: the same seed does the same.
            let outcome = world::live(seed, options.fault, true);
            (outcome.broken.unwrap_or_default(), outcome.trace)
        });
        Ok::<_, Infallible>(Life {
            tally: outcome.counts,
            broken,
        })
    });
    Report {
        seeds: lives.seeds,
        counts: lives.tally,
        failures: lives.failures,
        took: lives.took,
    }
}
