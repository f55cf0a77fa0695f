//! Memory of idle links, measured in a process of its own for each peer, where nothing freed before is used again.

use std::io;
use std::process::Stdio;

use tokio::process::Command;

use super::links::Wired;
use super::measure::{MeasureError, calls};
use super::peer::{Joiner, Peer};

/// The subcommand of the bench that [`idle_link`] starts.
pub const SUBCOMMAND: &str = "idle-links";

/// Links made before counting begins, so that what is made once is not counted.
const WARM_UP: usize = 16;

/// Why there is no figure.
#[derive(Debug, thiserror::Error)]
pub enum MemoryError {
    /// The process that was to hold the links.
    #[error("cannot measure in a process of its own: {0}")]
    Io(#[from] io::Error),
    /// It failed.
    #[error("the measuring process failed ({0})")]
    Failed(std::process::ExitStatus),
    /// It said something else.
    #[error("the measuring process answered {0:?}, which is no number")]
    Answer(String),
    /// The links.
    #[error(transparent)]
    Measure(#[from] MeasureError),
}

/// Starts this program again to hold `links` idle links of `peer`: bytes resident for each, both ends together.
///
/// # Errors
/// [`MemoryError`] where the process fails.
pub async fn idle_link(peer: Peer, links: usize) -> Result<f64, MemoryError> {
    let output = Command::new(std::env::current_exe()?)
        .args([SUBCOMMAND, peer.name(), &links.to_string()])
        .stderr(Stdio::inherit())
        .output()
        .await?;
    if !output.status.success() {
        return Err(MemoryError::Failed(output.status));
    }
    let answer = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    answer.parse().map_err(|_| MemoryError::Answer(answer))
}

/// Opens the links, makes one call on each, and gives how many bytes each of them added to the resident set.
///
/// # Errors
/// [`MemoryError`] where a link fails or the resident set cannot be read.
pub async fn hold(peer: Peer, links: usize) -> Result<f64, MemoryError> {
    let joiner = Joiner::new(peer).map_err(MeasureError::from)?;
    let mut held = Vec::with_capacity(links + WARM_UP);
    let mut before = 0;
    for number in 0..links + WARM_UP {
        if number == WARM_UP {
            before = resident()?;
        }
        let wired = Wired::new(&joiner).await.map_err(MeasureError::from)?;
        calls(&wired, 256, 1, std::time::Duration::from_micros(1)).await?;
        held.push(wired);
    }
    let after = resident()?;
    Ok((after.saturating_sub(before)) as f64 / links as f64)
}

/// Bytes of this process in memory.
fn resident() -> io::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let kib = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"))
        .and_then(|number| number.parse::<u64>().ok());
    kib.map(|kib| kib * 1024)
        .ok_or_else(|| io::Error::other("no VmRSS in /proc/self/status"))
}
