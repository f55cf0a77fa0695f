//! The life of every key: random sequences of all that administrators do, over a real repository
//! file and with the product's own code, with a crash at any write of the repository and at any
//! message of a gateway.
//!
//! A crash copies the repository's files as they lie at that moment, drops whatever was in memory,
//! and starts the server again on the copy, as `serve` does; what is in a database stays there.
//! What has to be there is kept beside it (`model`) and compared after every operation and every
//! start. Everything that a seed decides is decided by the seed; the keys themselves are random.
//!
//! [`Fault`] breaks one rule, to show that it would be noticed.

mod checks;
mod engine;
mod gateways;
mod history;
mod lives;
mod long_work;
mod model;
mod operations;
mod points;
mod search;
mod server_keys;
#[cfg(test)]
mod tests;
mod transfer;
mod values;
mod world;

use std::ops::Range;
use std::time::Duration;

use serde::Serialize;

use crate::seeds::{self, Failure, Life, Options, Tally};
pub use engine::Engine;
use points::Coverage;

/// A rule broken on purpose, in the world's driver and never in the product.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// The server sends an install without having stored that it does.
    ForgetSent,
    /// The new secret takes the place of the old one before the repository is changed.
    SecretFirst,
    /// Re-encryption writes its values back without looking at what stands there by then.
    WriteBackBlindly,
    /// A server key is deleted whatever depends on it.
    DeleteBlindly,
}

impl Fault {
    /// Every one.
    pub const ALL: [Self; 4] = [
        Self::ForgetSent,
        Self::SecretFirst,
        Self::WriteBackBlindly,
        Self::DeleteBlindly,
    ];
}

/// What happened in all runs together: that nothing failed means little where nothing was tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Operations begun.
    pub operations: u64,
    /// Of these, those that came through.
    pub done: u64,
    /// Those that were refused, as they had to be.
    pub refused: u64,
    /// Operations repeated with a crash at each of their writes in turn.
    pub swept: u64,
    /// Crashes of the server.
    pub crashes: u64,
    /// Starts after a crash.
    pub starts: u64,
    /// Writes that found the disk full.
    pub full: u64,
    /// Crashes of gateways.
    pub gateway_crashes: u64,
    /// Crashes of the server right after it sent something.
    pub died_after_sending: u64,
    /// Messages sent.
    pub messages: u64,
    /// Messages lost.
    pub lost: u64,
    /// Keys proved by gateways.
    pub proofs: u64,
    /// Keys that gateways took.
    pub installs: u64,
    /// Gateway keys replaced.
    pub rotations: u64,
    /// Exports.
    pub exports: u64,
    /// Imports.
    pub imports: u64,
    /// Server keys deleted on which nothing depended.
    pub server_keys_deleted: u64,
    /// Server keys deleted although values depended on them.
    pub deleted_by_force: u64,
    /// Gateway keys deleted.
    pub gateway_keys_deleted: u64,
    /// Gateways that had to enrol again, for a reason that an administrator gave.
    pub enrolled_again: u64,
    /// Values stored, changed and deleted.
    pub changed: u64,
    /// Changes of the protection.
    pub protections: u64,
    /// Re-encryptions that came through.
    pub re_encrypted: u64,
    /// Verifications.
    pub verified: u64,
    /// Tasks that went on after an interruption.
    pub resumed: u64,
    /// Looks at everything.
    pub checks: u64,
    /// Values opened and compared.
    pub opened: u64,
    /// Values whose key was away, by force.
    pub sealed_for_now: u64,
    /// Searches of all files for secrets in the clear.
    pub searches: u64,
}

/// How often the server died at one write of an operation.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Point {
    /// The operation.
    pub operation: &'static str,
    /// Which of its writes, from 0.
    pub write: u32,
    /// How often it came that far.
    pub reached: u64,
    /// Crashes before the commit.
    pub died_before: u64,
    /// Crashes after it.
    pub died_after: u64,
}

/// The result of a range of seeds.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Seeds run.
    pub seeds: u64,
    /// What was tried.
    pub counts: Counts,
    /// Where the server could die, and did.
    pub points: Vec<Point>,
    /// Seeds that broke a promise, each with its trace.
    pub failures: Vec<Failure>,
    /// How long it took.
    #[serde(skip)]
    pub took: Duration,
}

impl Report {
    /// How many crash points were reached, and at how many of them the server died: two for each
    /// write of each operation.
    pub fn covered(&self) -> (usize, usize) {
        let died = self.points.iter();
        let died = died
            .map(|point| usize::from(point.died_before > 0) + usize::from(point.died_after > 0));
        (2 * self.points.len(), died.sum())
    }
}

/// The counts of a run, and where the server died.
#[derive(Default)]
struct Happened {
    counts: Counts,
    coverage: Coverage,
}

impl Tally for Happened {
    fn add(&mut self, other: &Self) {
        self.counts.add(&other.counts);
        self.coverage.add(&other.coverage);
    }
}

/// Runs each seed in a world of its own, on all processors.
///
/// # Errors
/// Where the world cannot be made: no runtime, or no folder.
pub fn run(
    engine: &Engine,
    seeds: Range<u64>,
    options: Options<Fault>,
) -> Result<Report, std::io::Error> {
    // Two a processor: a world waits for its repository's threads most of the time.
    let lives = seeds::run(seeds, 2, options.stop_at_first, |seed| {
        // A runtime of its own: nothing of one world reaches into the next.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let outcome = runtime.block_on(world::live(engine, seed, options.fault, true))?;
        let trace = outcome.trace;
        Ok::<_, std::io::Error>(Life {
            tally: Happened {
                counts: outcome.counts,
                coverage: outcome.coverage,
            },
            broken: outcome.broken.map(|promise| (promise, trace)),
        })
    })?;
    let coverage = lives.tally.coverage.0.iter();
    let points = coverage.map(|((operation, write), tally)| Point {
        operation,
        write: *write,
        reached: tally.reached,
        died_before: tally.died_before,
        died_after: tally.died_after,
    });
    Ok(Report {
        seeds: lives.seeds,
        counts: lives.tally.counts,
        points: points.collect(),
        failures: lives.failures,
        took: lives.took,
    })
}

impl Counts {
    fn add(&mut self, other: &Self) {
        self.operations += other.operations;
        self.done += other.done;
        self.refused += other.refused;
        self.swept += other.swept;
        self.crashes += other.crashes;
        self.starts += other.starts;
        self.full += other.full;
        self.gateway_crashes += other.gateway_crashes;
        self.died_after_sending += other.died_after_sending;
        self.messages += other.messages;
        self.lost += other.lost;
        self.proofs += other.proofs;
        self.installs += other.installs;
        self.rotations += other.rotations;
        self.exports += other.exports;
        self.imports += other.imports;
        self.server_keys_deleted += other.server_keys_deleted;
        self.deleted_by_force += other.deleted_by_force;
        self.gateway_keys_deleted += other.gateway_keys_deleted;
        self.enrolled_again += other.enrolled_again;
        self.changed += other.changed;
        self.protections += other.protections;
        self.re_encrypted += other.re_encrypted;
        self.verified += other.verified;
        self.resumed += other.resumed;
        self.checks += other.checks;
        self.opened += other.opened;
        self.sealed_for_now += other.sealed_for_now;
        self.searches += other.searches;
    }
}
