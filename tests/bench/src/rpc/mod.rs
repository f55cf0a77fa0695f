//! Whole calls: from the server's fleet through one link to a gateway's connector and back, beside
//! unary tonic.

mod line;
pub(crate) mod measure;
mod report;
mod site;

use std::time::Duration;

use tokio::runtime::Handle;

pub use line::{LineError, Subject};
pub use measure::MeasureError;
pub use report::{Measure, Report};

pub(crate) use line::Line;

/// What to measure, and how much.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Who is measured.
    pub subjects: Vec<Subject>,
    /// Which calls: payload in bytes, and how many are in flight. Empty: all, and the streams.
    pub calls: Vec<(usize, usize)>,
    /// Runs the end that answers.
    pub far: Handle,
    /// Rounds; each visits every subject in turn.
    pub rounds: usize,
    /// How long one figure of one round is measured.
    pub slice: Duration,
}

/// Payload sizes in bytes.
pub const PAYLOADS: [usize; 3] = [256, 1024, 16 * 1024];
/// Calls in flight at once, on one link.
pub const IN_FLIGHT: [usize; 3] = [1, 16, 256];

/// Why a run broke off.
#[derive(Debug, thiserror::Error)]
#[error("{subject}: {error}", subject = .subject.name())]
pub struct RunError {
    subject: Subject,
    error: MeasureError,
}

/// Measures everything, telling `progress` what it is at.
///
/// # Errors
/// [`RunError`] at the first failed call, link or check.
pub async fn run(plan: &Plan, progress: impl Fn(&str)) -> Result<Report, RunError> {
    let mut report = Report::default();
    for round in 1..=plan.rounds {
        // Each round begins with another subject, so that none always runs first.
        let skip = round % plan.subjects.len().max(1);
        for &subject in plan
            .subjects
            .iter()
            .cycle()
            .skip(skip)
            .take(plan.subjects.len())
        {
            let name = subject.name();
            progress(&format!("round {round} of {}: {name}", plan.rounds));
            one_round(plan, subject, &mut report)
                .await
                .map_err(|error| RunError { subject, error })?;
        }
    }
    Ok(report)
}

async fn one_round(plan: &Plan, subject: Subject, report: &mut Report) -> Result<(), MeasureError> {
    let line = Line::new(subject, &plan.far).await?;
    // Buffers and windows grow to their working size first.
    measure::calls(&line, 16 * 1024, 16, plan.slice / 5).await?;
    for payload in PAYLOADS {
        for in_flight in IN_FLIGHT {
            if !plan.calls.is_empty() && !plan.calls.contains(&(payload, in_flight)) {
                continue;
            }
            let calls = measure::calls(&line, payload, in_flight, plan.slice).await?;
            for (measure, value) in [
                (Measure::Calls { payload, in_flight }, calls.per_second),
                (Measure::P50 { payload, in_flight }, calls.p50_us),
                (Measure::P99 { payload, in_flight }, calls.p99_us),
                (
                    Measure::ProcessorTime { payload, in_flight },
                    calls.processor_us,
                ),
            ] {
                report.add(measure, subject, value);
            }
        }
    }
    if !plan.calls.is_empty() {
        line.close().await;
        return Ok(());
    }
    let bulk = measure::bulk(&line, plan.slice * 2).await?;
    report.add(Measure::BulkStream, subject, bulk.megabytes_per_second);
    let search = measure::search(&line, plan.slice * 2).await?;
    report.add(Measure::Search, subject, search);
    line.close().await;
    Ok(())
}
