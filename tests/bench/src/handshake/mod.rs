//! New links per second: connection, full handshake, HTTP/2 and one call, for the sealed channel
//! and its peers.

mod report;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::task::{JoinError, JoinSet};

pub use self::report::Report;
use super::echo;
use super::links::{Wired, WiredError};
use super::peer::{Joiner, Peer};
use super::processor;

/// Bytes of the one call.
const PAYLOAD: usize = 32;
/// Links that are opened at once.
const AT_ONCE: usize = 8;

/// How much to measure.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Rounds; each visits every peer in turn.
    pub rounds: usize,
    /// How long each peer is measured in each round.
    pub slice: Duration,
}

/// Why a run broke off.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeBenchError {
    /// No link.
    #[error(transparent)]
    Wired(#[from] WiredError),
    /// The call failed.
    #[error("a call failed: {0}")]
    Call(#[from] Box<tonic::Status>),
    /// The answer was not what was asked for.
    #[error("a payload came back changed")]
    Changed,
    /// A task was lost.
    #[error("a measuring task was lost: {0}")]
    Task(#[from] JoinError),
}

/// What one peer did in one round.
#[derive(Clone, Copy, Debug)]
pub struct Round {
    /// Links opened and called through, in a second.
    pub per_second: f64,
    /// Processor time of both ends for each, in microseconds.
    pub cpu_us: f64,
}

/// Measures every peer, telling `progress` what it is at.
///
/// # Errors
/// [`HandshakeBenchError`] at the first link or call that fails.
pub async fn run(plan: &Plan, progress: impl Fn(&str)) -> Result<Report, HandshakeBenchError> {
    let mut joiners = Vec::new();
    for peer in Peer::ALL {
        let joiner = Arc::new(Joiner::new(peer).map_err(WiredError::from)?);
        // What is made once is made now.
        one_slice(&joiner, plan.slice / 4).await?;
        joiners.push((peer, joiner));
    }
    let mut report = Report::default();
    for round in 1..=plan.rounds {
        progress(&format!("round {round} of {}", plan.rounds));
        // Each round begins with another peer, so that none always runs first.
        joiners.rotate_left(1);
        for (peer, joiner) in &joiners {
            report.add(*peer, one_slice(joiner, plan.slice).await?);
        }
    }
    Ok(report)
}

/// Opens links through `joiner` for `slice`.
pub(crate) async fn one_slice(
    joiner: &Arc<Joiner>,
    slice: Duration,
) -> Result<Round, HandshakeBenchError> {
    let (began, cpu) = (Instant::now(), processor::time());
    let mut openers = JoinSet::new();
    for _ in 0..AT_ONCE {
        let joiner = Arc::clone(joiner);
        // On the workers, as is the end that answers.
        openers.spawn(async move {
            let mut count = 0_u32;
            while began.elapsed() < slice {
                one_link(&joiner).await?;
                count += 1;
            }
            Ok::<_, HandshakeBenchError>(count)
        });
    }
    let mut count = 0.0;
    while let Some(opened) = openers.join_next().await {
        count += f64::from(opened??);
    }
    Ok(Round {
        per_second: count / began.elapsed().as_secs_f64(),
        cpu_us: (processor::time() - cpu).as_secs_f64() * 1e6 / count,
    })
}

async fn one_link(joiner: &Joiner) -> Result<(), HandshakeBenchError> {
    let wired = Wired::new(joiner, &Handle::current()).await?;
    let sent = "e".repeat(PAYLOAD);
    let call = echo::call("1".to_owned(), "echo", &sent);
    let outcome = wired.echo().call(call).await.map_err(Box::new)?;
    if echo::payload(&outcome) == Some(sent.as_bytes()) {
        Ok(())
    } else {
        Err(HandshakeBenchError::Changed)
    }
}
