//! One run of the command, watched from beside.

use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use portcullis_tests::harness::usage::{peak, processor_time};
use portcullis_tests::harness::{OrFail as _, Server};

use super::people::Counts;
use crate::Failure;

/// Between two looks at a process whose end takes its figures along.
const LOOK: Duration = Duration::from_millis(5);

/// What one run took.
pub(super) struct Run {
    pub(super) took: Duration,
    /// Bytes of the command in memory at the most.
    pub(super) peak: u64,
    /// Its processor time.
    pub(super) busy: Duration,
    /// What it has found.
    pub(super) found: Counts,
}

/// Runs it to its end.
pub(super) async fn reconcile(
    server: &Server,
    resource: &str,
    page_size: Option<u32>,
    file: &Path,
) -> Result<Run, Failure> {
    let size = page_size.map_or(String::new(), |size| format!("--page-size {size}"));
    let line = format!("--output json reconcile {resource} {size} --source");
    let mut command = server.admin_command(&line);
    command
        .arg(file)
        .stdout(Stdio::piped())
        .stdin(Stdio::null());
    let began = Instant::now();
    let mut child = command.spawn()?;
    let (highest, busy) = watch(&mut child).await?;
    let took = began.elapsed();
    let output = child.wait_with_output()?;
    if !output.status.success() {
        return Err(format!("`portcullis reconcile` ended with {}", output.status).into());
    }
    Ok(Run {
        took,
        peak: highest,
        busy,
        found: serde_json::from_slice(&output.stdout)?,
    })
}

/// Until it has ended.
async fn watch(child: &mut Child) -> Result<(u64, Duration), Failure> {
    let id = child.id();
    let (mut highest, mut busy) = (0, Duration::ZERO);
    // Its end is waited for below: until then `/proc` has it.
    while child.try_wait()?.is_none() {
        if let Some(now) = peak(id) {
            highest = highest.max(now);
            busy = processor_time(id);
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok((highest, busy))
}

/// What a server or gateway has taken since it was started: bytes in memory at the most, and
/// processor time.
pub(super) fn taken(pid: u32) -> (u64, Duration) {
    (peak(pid).or_fail("process that runs"), processor_time(pid))
}
