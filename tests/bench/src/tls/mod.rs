//! What TLS around the channel costs a call, a link and a byte: the same server, gateway and link
//! with it and without, in turns.

mod report;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use portcullis_common::crypto::suites::Suite;
use tokio::runtime::Handle;

use crate::handshake::{self, HandshakeBenchError};
use crate::links::WiredError;
use crate::peer::{Joiner, Peer};
use crate::rpc::{Line, LineError, MeasureError, Subject, measure};

pub use report::{Measure, Report};

/// Bytes that a call sends and gets back.
const PAYLOAD: usize = 256;
/// Calls in flight where there are many.
const MANY: usize = 256;

/// How much to measure.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Rounds; each visits the channel with TLS and without.
    pub rounds: usize,
    /// How long one figure of one round is measured.
    pub slice: Duration,
}

/// Why a run broke off.
#[derive(Debug, thiserror::Error)]
pub enum TlsBenchError {
    /// No server, no gateway, or no connection.
    #[error(transparent)]
    Line(#[from] LineError),
    /// A call or a stream failed.
    #[error(transparent)]
    Measure(#[from] MeasureError),
    /// A link failed.
    #[error(transparent)]
    Handshake(#[from] HandshakeBenchError),
}

/// The channel under one suite, with TLS around it or without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Channel {
    suite: Suite,
    tls: bool,
}

impl Channel {
    const fn subject(self) -> Subject {
        match self.tls {
            true => Subject::PortcullisInTls(self.suite),
            false => Subject::Portcullis(self.suite),
        }
    }

    const fn peer(self) -> Peer {
        match self.tls {
            true => Peer::SealedInTls(self.suite),
            false => Peer::Sealed(self.suite),
        }
    }
}

/// Measures each suite with TLS and without, telling `progress` what it is at. Both ends run on the
/// caller's runtime.
///
/// # Errors
/// [`TlsBenchError`] at the first failed call, link or check.
pub async fn run(plan: &Plan, progress: impl Fn(&str)) -> Result<Report, TlsBenchError> {
    let mut report = Report::default();
    for round in 1..=plan.rounds {
        for suite in Suite::ALL {
            progress(&format!(
                "round {round} of {}: {}",
                plan.rounds,
                suite.name()
            ));
            // Neither always runs first.
            let first = round % 2 == 0;
            for tls in [first, !first] {
                let channel = Channel { suite, tls };
                links(plan, channel, &mut report).await?;
                calls_and_bytes(plan, channel, &mut report).await?;
            }
        }
    }
    Ok(report)
}

async fn links(plan: &Plan, channel: Channel, report: &mut Report) -> Result<(), TlsBenchError> {
    let joiner = Joiner::new(channel.peer()).map_err(WiredError::from);
    let joiner = Arc::new(joiner.map_err(LineError::from)?);
    // What is made once is made now.
    handshake::one_slice(&joiner, plan.slice / 4).await?;
    let round = handshake::one_slice(&joiner, plan.slice).await?;
    report.add(Measure::Links, channel, round.per_second);
    report.add(Measure::LinkProcessor, channel, round.cpu_us);
    Ok(())
}

async fn calls_and_bytes(
    plan: &Plan,
    channel: Channel,
    report: &mut Report,
) -> Result<(), TlsBenchError> {
    let line = Line::new(channel.subject(), &Handle::current()).await?;
    // Buffers and windows grow to their working size first.
    measure::calls(&line, 16 * 1024, 16, plan.slice / 4).await?;
    let alone = measure::calls(&line, PAYLOAD, 1, plan.slice).await?;
    report.add(Measure::Latency, channel, alone.p50_us);
    report.add(Measure::LatencyProcessor, channel, alone.processor_us);
    let many = measure::calls(&line, PAYLOAD, MANY, plan.slice).await?;
    report.add(Measure::Calls, channel, many.per_second);
    report.add(Measure::CallProcessor, channel, many.processor_us);
    let bulk = measure::bulk(&line, plan.slice * 2).await?;
    report.add(Measure::Bytes, channel, bulk.megabytes_per_second);
    report.add(Measure::ByteProcessor, channel, bulk.processor_ns);
    line.close().await;
    Ok(())
}
