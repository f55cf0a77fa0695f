//! Releases gateways to be upgraded, one wave after the other. The hosts' own tools install the
//! programs; here it is watched that each gateway of a wave comes back in the new version and
//! answers calls, before the next wave is released.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use portcullis_common::rotation::UnixMillis;
use portcullis_proto::gateway::v1::call::Verb;
use portcullis_proto::gateway::v1::{Call, Test, outcome};
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::{Finding, JobError, Progress, Reporter, Step, StepState, Why, Work};
use crate::audit::{Outcome, Subject};
use crate::provisioning::{self, Prepared};
use crate::repository::Resource;

/// What gateways are called where things are counted by type.
const GATEWAY: &str = "gateway";
/// How often the gateways of a wave are looked at where nothing tells of a change.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// How long a gateway has for each call that tries it.
const TEST_TIMEOUT: Duration = Duration::from_secs(20);
/// Gateways that are tried at the same time.
const TRIED_AT_ONCE: usize = 32;
/// Resources of a gateway that are tried.
const MAX_TESTS: usize = 8;
/// Of a gateway that no call has tried.
const NOT_TRIED: &str = "not tried yet";
/// Names that a reason has; the others are counted.
const NAMED: usize = 10;

/// Which gateways are upgraded, and in which order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upgrade {
    /// The version that each is to say that it is.
    pub version: String,
    /// How long each wave has until all of it is back, in milliseconds.
    pub within_ms: u64,
    /// How long all of a wave has to stay well before the next one is released, in milliseconds.
    pub settle_ms: u64,
    /// In their order.
    pub waves: Vec<Wave>,
}

/// Gateways that are upgraded together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wave {
    /// What it is called.
    pub name: String,
    /// Its gateways, by name.
    pub gateways: Vec<String>,
}

impl Upgrade {
    /// The waves as steps, none begun.
    pub fn steps(&self) -> Vec<Step> {
        let steps = self.waves.iter().map(|wave| Step {
            name: wave.name.clone(),
            state: StepState::Waiting,
            note: counted(wave.gateways.len()),
        });
        steps.collect()
    }
}

pub(super) async fn run(
    work: &Work,
    job: &Upgrade,
    reporter: &mut Reporter,
) -> Result<(), JobError> {
    let total = job
        .waves
        .iter()
        .map(|wave| wave.gateways.len() as u64)
        .sum();
    if reporter.progress().steps.len() != job.waves.len() {
        reporter
            .store(|progress| progress.steps = job.steps())
            .await?;
    }
    for (index, wave) in job.waves.iter().enumerate() {
        let steps = reporter.progress().steps;
        if steps
            .get(index)
            .is_some_and(|step| step.state == StepState::Done)
        {
            continue;
        }
        let object = format!(
            "wave {}, to {}: {}",
            wave.name,
            job.version,
            wave.gateways.join(" ")
        );
        let subject = Subject::written(&reporter.subject());
        let begun = work.audit.begin(subject, "Fleet/Wave", &object).await?;
        let came = release(work, job, (index, wave), total, reporter).await;
        match &came {
            Ok(()) => {
                begun
                    .end(Outcome::Done, &counted(wave.gateways.len()))
                    .await
            }
            Err(error) if error.resumes_by_itself() => {
                begun.end(Outcome::Unknown, &error.to_string()).await;
            }
            Err(error) => {
                begun.end(Outcome::Failed, &error.to_string()).await;
                let note = format!("{}; released no more", counted(wave.gateways.len()));
                let state = match error {
                    JobError::WaveLate { .. } => StepState::Failed,
                    _ => StepState::Waiting,
                };
                let marked = |progress: &mut Progress| mark(progress, index, state, note);
                // Why the wave ended is what is told.
                let _ = reporter.update(marked).await;
            }
        }
        came?;
    }
    Ok(())
}

/// Releases a wave, and ends when all of it is back; after a restart of the server the wave has its
/// time anew.
async fn release(
    work: &Work,
    job: &Upgrade,
    (index, wave): (usize, &Wave),
    total: u64,
    reporter: &mut Reporter,
) -> Result<(), JobError> {
    let deadline = Instant::now() + Duration::from_millis(job.within_ms);
    let settle = Duration::from_millis(job.settle_ms);
    let resources: Arc<[Resource]> = work.repository.resources().list().await?.into();
    let mut tried = BTreeMap::new();
    let mut well_since: Option<Instant> = None;
    let before: u64 = (job.waves.iter().take(index))
        .map(|wave| wave.gateways.len() as u64)
        .sum();
    // Durable before anybody can read it: what is released stays so after a crash.
    reporter
        .store(|progress| mark(progress, index, StepState::Running, released(wave, 0)))
        .await?;
    loop {
        let changed = work.fleet.changed();
        // Once all were back they are only watched, and looked at to the end.
        let until = well_since.is_none().then_some(deadline);
        let looked = look(work, job, wave, &resources, &mut tried, until);
        let missing = tokio::select! {
            missing = looked => missing,
            error = reporter.interrupted() => return Err(error),
        };
        let back = wave.gateways.len() - missing.len();
        let told = missing.clone();
        reporter
            .update(|progress| {
                mark(progress, index, StepState::Running, released(wave, back));
                let gateways = progress.named(GATEWAY);
                (gateways.total, gateways.done) = (total, before + back as u64);
                progress.clear_findings();
                progress.add_findings(told);
            })
            .await?;
        if missing.is_empty() {
            let since = *well_since.get_or_insert_with(Instant::now);
            if since.elapsed() >= settle {
                break;
            }
        } else if Instant::now() >= deadline {
            return Err(late(wave, &missing));
        } else {
            well_since = None;
        }
        tokio::select! {
            () = changed => {}
            () = sleep(LOOK_AGAIN) => {}
            error = reporter.interrupted() => return Err(error),
        }
    }
    let note = format!("{} back, in {}", counted(wave.gateways.len()), job.version);
    reporter
        .store(|progress| mark(progress, index, StepState::Done, note))
        .await
}

/// The gateways of the wave that are not back yet, with the reason. One that was tried by a call is
/// tried again once it has another link. From `until` on no further ones are tried: thousands whose
/// resources do not answer would hold up the end of the wave for hours.
async fn look(
    work: &Work,
    job: &Upgrade,
    wave: &Wave,
    resources: &Arc<[Resource]>,
    tried: &mut BTreeMap<String, UnixMillis>,
    until: Option<Instant>,
) -> Vec<Finding> {
    let mut missing = Vec::new();
    let mut to_try = Vec::new();
    for gateway in &wave.gateways {
        let Some(link) = work.fleet.status(gateway) else {
            missing.push(wanting(gateway, Why::NotBack, ""));
            continue;
        };
        let version = link.description.map(|told| told.version);
        if version.as_ref() != Some(&job.version) {
            let runs = version.map_or_else(String::new, |version| format!("runs {version}"));
            missing.push(wanting(gateway, Why::Outdated, &runs));
        } else if tried.get(gateway) != Some(&link.since) {
            to_try.push((gateway.clone(), link.since));
        }
    }
    let mut failed = BTreeMap::new();
    for some in to_try.chunks(TRIED_AT_ONCE) {
        if until.is_some_and(|until| Instant::now() >= until) {
            break;
        }
        let mut trials = JoinSet::new();
        for (gateway, since) in some.iter().cloned() {
            let (work, resources) = (work.clone(), Arc::clone(resources));
            trials.spawn(async move {
                let came = try_calls(&work, &gateway, &resources).await;
                (gateway, since, came)
            });
        }
        while let Some(trial) = trials.join_next().await {
            match trial {
                Ok((gateway, since, Ok(()))) => drop(tried.insert(gateway, since)),
                Ok((gateway, _, Err(why))) => drop(failed.insert(gateway, why)),
                // It stays among those that were not tried.
                Err(_) => {}
            }
        }
    }
    for (gateway, since) in &to_try {
        if tried.get(gateway) != Some(since) {
            let why = failed.get(gateway).map(String::as_str);
            missing.push(wanting(gateway, Why::TestFailed, why.unwrap_or(NOT_TRIED)));
        }
    }
    missing
}

fn wanting(gateway: &str, why: Why, detail: &str) -> Finding {
    Finding {
        kind: GATEWAY.to_owned(),
        owner: gateway.to_owned(),
        field: detail.to_owned(),
        key: String::new(),
        why,
    }
}

/// A ping, and the test of each of its resources: they change nothing.
async fn try_calls(work: &Work, gateway: &str, resources: &[Resource]) -> Result<(), String> {
    let pinged = work.fleet.ping(gateway).await;
    pinged.map_err(|error| error.to_string())?;
    let its = resources
        .iter()
        .filter(|resource| resource.gateway == gateway);
    for resource in its.take(MAX_TESTS) {
        let call = provisioning::with_id(Call {
            timeout_ms: TEST_TIMEOUT.as_millis() as u32,
            verb: Some(Verb::Test(Test {})),
            ..Call::default()
        });
        let tried = try_resource(work, &resource.name, call).await;
        tried.map_err(|why| format!("resource {}: {why}", resource.name))?;
    }
    Ok(())
}

async fn try_resource(work: &Work, resource: &str, call: Call) -> Result<(), String> {
    let prepared = provisioning::prepare(&work.provisioning, resource, call, None).await;
    let outcome = match prepared.map_err(|error| error.to_string())? {
        Prepared::Answered(outcome) => outcome,
        Prepared::Ready(ready) => {
            let sent = ready.send(&work.provisioning).await;
            sent.map_err(|error| error.to_string())?
        }
    };
    match outcome.result {
        Some(outcome::Result::Done(_)) => Ok(()),
        Some(outcome::Result::Failed(failure)) => Err(failure.message),
        Some(outcome::Result::Indeterminate(lost)) => Err(lost.message),
        None => Err("it answered nothing".to_owned()),
    }
}

fn mark(progress: &mut Progress, index: usize, state: StepState, note: String) {
    if let Some(step) = progress.steps.get_mut(index) {
        (step.state, step.note) = (state, note);
    }
}

fn released(wave: &Wave, back: usize) -> String {
    format!("released; {back} of {} back", counted(wave.gateways.len()))
}

fn counted(gateways: usize) -> String {
    match gateways {
        1 => "1 gateway".to_owned(),
        many => format!("{many} gateways"),
    }
}

fn late(wave: &Wave, missing: &[Finding]) -> JobError {
    let mut named: Vec<_> = missing
        .iter()
        .take(NAMED)
        .map(|one| match one.field.as_str() {
            "" => format!("{} ({})", one.owner, one.why.text()),
            detail => format!("{} ({}: {detail})", one.owner, one.why.text()),
        })
        .collect();
    if missing.len() > NAMED {
        named.push(format!("and {} more", missing.len() - NAMED));
    }
    JobError::WaveLate {
        wave: wave.name.clone(),
        gateways: named.join(", "),
    }
}
