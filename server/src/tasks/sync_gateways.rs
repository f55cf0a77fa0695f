//! Pushes the current gateway key to the gateways that have not proved it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::{Finding, JobError, Reporter, Step, StepState, Why, Work};
use crate::fleet::{Pace, Progress, Push, SyncResult, SyncState};

/// What gateways are called where things are counted by type.
const GATEWAY: &str = "gateway";
/// After a restart the gateways come back first, and get the key by that.
const RETURN: Duration = Duration::from_secs(30);

/// Whom [`Job::SyncGateways`](super::Job::SyncGateways) reaches, and how fast.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncGateways {
    /// Only gateways in one of these groups; none: all.
    pub groups: Vec<String>,
    /// Gateways asked in a minute; 0: as fast as they answer; `None`: the usual pace.
    pub per_minute: Option<u32>,
    /// Also those that refused the key a moment ago, and those that wait to be dialled again.
    pub force: bool,
}

impl SyncGateways {
    /// As the fleet takes it.
    pub fn push(&self) -> Push {
        Push {
            groups: self.groups.iter().cloned().collect(),
            holders_of: None,
            pace: match self.per_minute {
                None => Pace::default(),
                Some(0) => Pace::FullSpeed,
                Some(number) => Pace::PerMinute(number),
            },
            force: self.force,
        }
    }
}

pub(super) async fn run(
    work: &Work,
    job: &SyncGateways,
    reporter: &mut Reporter,
) -> Result<(), JobError> {
    if !reporter.progress().steps.is_empty() {
        tokio::select! {
            () = sleep(RETURN) => {}
            error = reporter.interrupted() => return Err(error),
        }
    }
    let (reports, mut told) = mpsc::channel(16);
    let mut gateways = BTreeMap::new();
    let mut push = Box::pin(work.fleet.push(job.push(), reports));
    let last = loop {
        tokio::select! {
            ended = &mut push => break ended?,
            Some(report) = told.recv() => {
                tell(report?, StepState::Running, &mut gateways, reporter).await?;
            }
            // Dropping the push stops it.
            error = reporter.interrupted() => return Err(error),
        }
    };
    // Reports that it sent and that were not read before its end.
    while let Ok(report) = told.try_recv() {
        tell(report?, StepState::Running, &mut gateways, reporter).await?;
    }
    tell(last, StepState::Done, &mut gateways, reporter).await
}

/// Tells how far the push is, and of each gateway that has not proved the key, why.
async fn tell(
    report: Progress,
    state: StepState,
    gateways: &mut BTreeMap<String, SyncResult>,
    reporter: &mut Reporter,
) -> Result<(), JobError> {
    for result in report.results {
        gateways.insert(result.gateway.clone(), result);
    }
    let (key, counts) = (report.current.to_string(), report.counts);
    let late: Vec<_> = gateways
        .values()
        .filter_map(|gateway| finding(gateway, &key))
        .collect();
    reporter
        .update(|progress| {
            let proved = progress.named(GATEWAY);
            proved.total = counts.total.into();
            proved.done = counts.synchronized.into();
            progress.steps = vec![Step {
                name: "sync-gateways".to_owned(),
                state,
                note: format!(
                    "{} of {} have proved {key}; {} pending, {} away, {} refused, {} must enrol again, {} ahead, {} not in scope",
                    counts.synchronized, counts.total, counts.pending, counts.away, counts.refused,
                    counts.must_enrol, counts.ahead, counts.not_in_scope
                ),
            }];
            progress.clear_findings();
            progress.add_findings(late);
        })
        .await
}

fn finding(gateway: &SyncResult, key: &str) -> Option<Finding> {
    let why = match gateway.state {
        SyncState::Away => Why::Away,
        SyncState::Refused => Why::Refused,
        SyncState::MustEnrol | SyncState::Ahead => Why::MustEnrol,
        SyncState::Synchronized | SyncState::Pending | SyncState::NotInScope => return None,
    };
    Some(Finding {
        kind: GATEWAY.to_owned(),
        owner: gateway.gateway.clone(),
        field: gateway.detail.clone(),
        key: key.to_owned(),
        why,
    })
}
