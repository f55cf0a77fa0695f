//! One whole run: every figure of every peer, in interleaved rounds.

use super::links::Wired;
use super::measure::{self, MeasureError};
use super::memory::{self, MemoryError};
use super::peer::{Joiner, Peer};
use super::report::{Measure, Report};
use super::{IN_FLIGHT, PAYLOADS, Plan};

/// Why a run broke off.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Calls, stream or handshakes.
    #[error("{peer}: {error}", peer = .0.name(), error = .1)]
    Measure(Peer, MeasureError),
    /// Memory.
    #[error("{peer}: {error}", peer = .0.name(), error = .1)]
    Memory(Peer, MemoryError),
}

/// Measures everything, telling `progress` what it is at.
///
/// # Errors
/// [`RunError`] at the first failed call, link or check.
pub async fn run(plan: &Plan, progress: impl Fn(&str)) -> Result<Report, RunError> {
    let mut report = Report::default();
    for round in 1..=plan.rounds {
        // Each round begins with another peer, so that none always runs first.
        for offset in 0..Peer::ALL.len() {
            let Some(&peer) = Peer::ALL.get((round + offset) % Peer::ALL.len()) else {
                continue;
            };
            progress(&format!(
                "round {round} of {}: {}",
                plan.rounds,
                peer.name()
            ));
            one_round(plan, peer, &mut report)
                .await
                .map_err(|error| RunError::Measure(peer, error))?;
        }
    }
    for _ in 0..plan.rounds {
        for peer in Peer::ALL {
            progress(&format!("idle links: {}", peer.name()));
            let bytes = memory::idle_link(peer, plan.idle_links)
                .await
                .map_err(|error| RunError::Memory(peer, error))?;
            report.add(Measure::IdleLink, peer, bytes);
        }
    }
    Ok(report)
}

async fn one_round(plan: &Plan, peer: Peer, report: &mut Report) -> Result<(), MeasureError> {
    let joiner = Joiner::new(peer)?;
    let wired = Wired::new(&joiner).await?;
    // Buffers and windows grow to their working size first.
    measure::calls(&wired, 16 * 1024, 16, plan.slice / 5).await?;
    for payload in PAYLOADS {
        for in_flight in IN_FLIGHT {
            let calls = measure::calls(&wired, payload, in_flight, plan.slice).await?;
            report.add(
                Measure::CallsPerSecond { payload, in_flight },
                peer,
                calls.per_second,
            );
            report.add(Measure::P50 { payload, in_flight }, peer, calls.p50_us);
            report.add(Measure::P99 { payload, in_flight }, peer, calls.p99_us);
        }
    }
    report.add(
        Measure::BulkStream,
        peer,
        measure::bulk(&wired, plan.slice * 2).await?,
    );
    let handshakes = measure::handshakes(&joiner, 8, plan.slice * 2).await?;
    report.add(Measure::HandshakesPerSecond, peer, handshakes);
    Ok(())
}
