//! Both ends of enrolment, pairing and key rotation under a fake clock and a hostile network,
//! replayable from a seed.
//!
//! The world drives the very state machines that the programs run ([`portcullis_common::rotation`]
//! and [`portcullis_common::handshake`]): up to four gateways, two servers on one repository, links
//! that delay, lose and cut, processes that crash before and after each store and each send,
//! administrators who rotate, roll back, evict, revoke and renew tokens, thieves who use retired
//! keys and used tokens, one who writes into the repository's file without the server's secret, and
//! one who asks to be paired under another's name. What must hold is checked after every event, and
//! again when the network is healed and all that is owed was done.
//!
//! [`Fault`] breaks one rule of the drive contract, to show that the simulation would notice.

mod administrator;
pub(crate) mod channel;
mod editor;
mod gateway;
mod invariants;
mod link;
mod repository;
mod server;
#[cfg(test)]
mod tests;
mod thief;
mod world;

use std::convert::Infallible;
use std::ops::Range;
use std::time::Duration;

use serde::Serialize;

use crate::seeds::{self, Failure, Life, Options, Tally};

/// A rule broken on purpose, in the world's driver and never in the product.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// The gateway makes an installed key active at once, and erases the old.
    PromoteBeforeProof,
    /// The server accepts every key of the repository, whatever was proved.
    AcceptOlder,
    /// The gateway takes an install without looking at which key it replaces.
    InstallUnmatched,
    /// The server sends an install without having stored that it does.
    ForgetSent,
    /// The gateway sends message 4 before it stored what message 3 proved.
    FinishBeforeStore,
    /// The server gives an install to any session under a bound token, whatever nonce that session
    /// showed.
    ForgetNonce,
    /// The server does not look at which registration a session was authenticated for.
    ForgetRegistration,
    /// The gateway makes a new nonce each time it uses its token.
    FreshNonce,
    /// Pairing that was in use goes on after a restart of the gateway.
    ReopenPairing,
    /// A push under way goes on sending the key that was withdrawn meanwhile.
    SendWithdrawn,
    /// The server goes on calling through sessions whose key is older than the newest one proved.
    CallUnderOutdated,
    /// The server takes every row as it stands, whatever its MAC says.
    NoMac,
    /// The server pairs where pairing is open, whatever was proved.
    PairProved,
}

impl Fault {
    /// Every one.
    pub const ALL: [Self; 13] = [
        Self::PromoteBeforeProof,
        Self::AcceptOlder,
        Self::InstallUnmatched,
        Self::ForgetSent,
        Self::FinishBeforeStore,
        Self::ForgetNonce,
        Self::ForgetRegistration,
        Self::FreshNonce,
        Self::ReopenPairing,
        Self::SendWithdrawn,
        Self::CallUnderOutdated,
        Self::NoMac,
        Self::PairProved,
    ];
}

/// What happened in all runs together: that nothing failed means little where nothing was tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Events carried out.
    pub events: u64,
    /// Handshakes begun.
    pub handshakes: u64,
    /// Handshakes that a server saw proved.
    pub proofs: u64,
    /// Master keys that gateways took.
    pub installs: u64,
    /// Gateways that took their first key in default mode.
    pub pairings: u64,
    /// Gateway keys replaced, those declared compromised among them.
    pub rotations: u64,
    /// Gateway keys declared compromised.
    pub compromised: u64,
    /// Gateway keys rolled back.
    pub rolled_back: u64,
    /// Processes killed.
    pub crashes: u64,
    /// Connections cut.
    pub cuts: u64,
    /// Handshakes that a thief of a retired key or of a used token tried.
    pub thefts: u64,
    /// Rows of the repository that somebody without its secret wrote.
    pub edits: u64,
    /// Handshakes of somebody who holds nothing and asked to be paired.
    pub intrusions: u64,
    /// Calls that a gateway received.
    pub calls: u64,
    /// Gateways that had to enrol again, for a reason that an administrator gave.
    pub enrolled_again: u64,
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

impl Tally for Counts {
    fn add(&mut self, other: &Self) {
        self.events += other.events;
        self.handshakes += other.handshakes;
        self.proofs += other.proofs;
        self.installs += other.installs;
        self.pairings += other.pairings;
        self.rotations += other.rotations;
        self.compromised += other.compromised;
        self.rolled_back += other.rolled_back;
        self.crashes += other.crashes;
        self.cuts += other.cuts;
        self.thefts += other.thefts;
        self.edits += other.edits;
        self.intrusions += other.intrusions;
        self.calls += other.calls;
        self.enrolled_again += other.enrolled_again;
    }
}
