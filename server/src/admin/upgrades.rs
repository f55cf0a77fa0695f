//! Which versions fit, and upgrades of the fleet in waves.

use std::collections::{BTreeSet, HashSet};

use portcullis_host::version::Version;
use portcullis_proto::admin::v1 as proto;
use portcullis_proto::admin::v1::started_task::Kind;

use super::LOOK;
use super::context::Context;
use super::error::AdminError;
use super::names;
use super::request::{About, Front, Method, Request, change, read};
use super::tasks::{message, steps};
use crate::config::Capability::Administrator;
use crate::repository::{Gateway, TaskState};
use crate::services::Services;
use crate::tasks::{Job, StepState, Upgrade, Wave};

/// What this server is.
const OWN: &str = env!("CARGO_PKG_VERSION");
/// Waves of one upgrade at most.
const MAX_WAVES: usize = 1_000;
/// The longest time that a wave may be given: 30 days, in milliseconds.
const MAX_TIME_MS: u64 = 30 * 24 * 3_600_000;

pub(super) fn offer(front: &mut impl Front) {
    front.offer::<proto::UpgradeCheckRequest>();
    front.offer::<proto::UpgradeRequest>();
    front.offer::<proto::UpgradeStatusRequest>();
    front.offer::<proto::StopUpgradeRequest>();
    front.offer::<proto::ResumeUpgradeRequest>();
}

impl Request for proto::UpgradeCheckRequest {
    type Answer = proto::UpgradeCheckResponse;

    const METHOD: Method = read("Fleet/UpgradeCheck", LOOK);

    fn about(&self) -> About {
        About::server("")
    }

    async fn run(self, context: &Context) -> Result<proto::UpgradeCheckResponse, AdminError> {
        let wanted = version(&self.version)?;
        let gateways = context.services.repository.gateways().list().await?;
        let fits = |gateway: Gateway| fit(&context.services, gateway, wanted);
        Ok(proto::UpgradeCheckResponse {
            server_version: OWN.to_owned(),
            server_fits: version(OWN)?.fits(wanted),
            gateways: gateways.into_iter().map(fits).collect(),
        })
    }
}

impl Request for proto::UpgradeRequest {
    type Answer = proto::StartedTask;

    const METHOD: Method = change("Fleet/Upgrade", &[Administrator]);

    fn about(&self) -> About {
        let waves: Vec<_> = self.waves.iter().map(|wave| wave.name.clone()).collect();
        let about = About::server(format!("gateways to {}", self.version));
        let about = about.shown_with(&names::listed(", in waves", &waves));
        about.shown_with(names::dry_run(self.dry_run))
    }

    async fn run(self, context: &Context) -> Result<proto::StartedTask, AdminError> {
        let services = &context.services;
        let wanted = version(&self.version)?;
        let own = version(OWN)?;
        if !own.fits(wanted) {
            return Err(AdminError::Precondition(format!(
                "gateways of version {wanted} do not fit this server of version {OWN}: {}",
                match own.step_towards(wanted) {
                    Some(step) => format!("upgrade by way of {step}, the server first"),
                    None => other_major(wanted),
                }
            )));
        }
        if self.within_ms == 0 || self.within_ms.max(self.settle_ms) > MAX_TIME_MS {
            return Err(AdminError::malformed(
                "a wave has up to 30 days to come back, and at least a moment",
            ));
        }
        let gateways = services.repository.gateways().list().await?;
        let upgrade = Upgrade {
            version: self.version,
            within_ms: self.within_ms,
            settle_ms: self.settle_ms,
            waves: waves(self.waves, &gateways)?,
        };
        if self.dry_run {
            let planned = upgrade.steps().into_iter().zip(&upgrade.waves);
            let planned = planned.map(|(mut step, wave)| {
                step.note = format!("{}: {}", step.note, wave.gateways.join(" "));
                step
            });
            return Ok(answer(Kind::Plan(proto::TaskPlan {
                types: Vec::new(),
                steps: steps(planned.collect()),
            })));
        }
        let subject = context.caller.subject.to_string();
        let task = services
            .tasks
            .start(Job::Upgrade(upgrade), &subject)
            .await?;
        Ok(answer(Kind::Task(message(task))))
    }
}

impl Request for proto::UpgradeStatusRequest {
    type Answer = proto::UpgradeStatusResponse;

    const METHOD: Method = read("Fleet/UpgradeStatus", LOOK);

    fn about(&self) -> About {
        About::server("")
    }

    async fn run(self, context: &Context) -> Result<proto::UpgradeStatusResponse, AdminError> {
        let Some((task, upgrade)) = context.services.tasks.last_upgrade().await? else {
            return Ok(proto::UpgradeStatusResponse::default());
        };
        let runs = task.state == TaskState::Running;
        let known = match task.progress.steps.len() == upgrade.waves.len() {
            true => task.progress.steps.clone(),
            // It has not begun yet.
            false => upgrade.steps(),
        };
        let begun: Vec<_> = known
            .iter()
            .map(|step| matches!(step.state, StepState::Running | StepState::Done))
            .collect();
        let told = upgrade.waves.into_iter().zip(steps(known)).zip(begun);
        let waves = told.map(|((wave, step), begun)| proto::UpgradeWaveStatus {
            name: wave.name,
            state: step.state,
            note: step.note,
            gateways: wave.gateways,
            released: runs && begun,
        });
        Ok(proto::UpgradeStatusResponse {
            waves: waves.collect(),
            task: Some(message(task)),
            version: upgrade.version,
        })
    }
}

impl Request for proto::StopUpgradeRequest {
    type Answer = proto::Task;

    const METHOD: Method = change("Fleet/StopUpgrade", &[Administrator]);

    fn about(&self) -> About {
        About::server("gateways")
    }

    async fn run(self, context: &Context) -> Result<proto::Task, AdminError> {
        let id = last(context).await?;
        Ok(message(context.services.tasks.cancel(id).await?))
    }
}

impl Request for proto::ResumeUpgradeRequest {
    type Answer = proto::Task;

    const METHOD: Method = change("Fleet/ResumeUpgrade", &[Administrator]);

    fn about(&self) -> About {
        About::server("gateways")
    }

    async fn run(self, context: &Context) -> Result<proto::Task, AdminError> {
        let id = last(context).await?;
        Ok(message(context.services.tasks.resume(id).await?))
    }
}

/// The upgrade that was started last.
async fn last(context: &Context) -> Result<u64, AdminError> {
    let last = context.services.tasks.last_upgrade().await?;
    let (task, _) = last.ok_or_else(|| {
        AdminError::Precondition(
            "no upgrade was started: `portcullis fleet upgrade --waves FILE --to VERSION` does"
                .to_owned(),
        )
    })?;
    Ok(task.id)
}

const fn answer(kind: Kind) -> proto::StartedTask {
    proto::StartedTask { kind: Some(kind) }
}

fn version(text: &str) -> Result<Version, AdminError> {
    text.parse()
        .map_err(|error| AdminError::Malformed(format!("`{}`: {error}", names::shortened(text))))
}

/// What to do where the way to `wanted` is none of minor versions.
fn other_major(wanted: Version) -> String {
    format!("their major versions differ, and the notes of version {wanted} say how to get there")
}

/// Whether `gateway` goes on with a server of version `wanted`.
fn fit(services: &Services, gateway: Gateway, wanted: Version) -> proto::VersionFit {
    let now = services.fleet.status(&gateway.name);
    let now = now
        .and_then(|link| link.description)
        .map(|told| told.version);
    let told = now.or(gateway.version).unwrap_or_default();
    let (fits, detail) = match told.parse::<Version>() {
        Ok(version) if version.fits(wanted) => (true, String::new()),
        Ok(version) => (
            false,
            match version.step_towards(wanted) {
                Some(step) => format!("go by way of {step}"),
                None => other_major(wanted),
            },
        ),
        Err(_) if told.is_empty() => (
            false,
            "it has never been connected: install it in that version".to_owned(),
        ),
        Err(_) => (false, "nobody can tell from what it says".to_owned()),
    };
    proto::VersionFit {
        gateway: gateway.name,
        version: told,
        fits,
        detail,
    }
}

/// The waves with the names of their gateways: each in one wave, the first that has it.
fn waves(asked: Vec<proto::UpgradeWave>, all: &[Gateway]) -> Result<Vec<Wave>, AdminError> {
    if asked.is_empty() || asked.len() > MAX_WAVES {
        return Err(AdminError::Malformed(format!(
            "an upgrade has 1 to {MAX_WAVES} waves"
        )));
    }
    let mut of_rest = asked.iter().filter(|wave| wave.rest);
    if let (Some(first), Some(second)) = (of_rest.next(), of_rest.next()) {
        return Err(AdminError::Malformed(format!(
            "waves `{}` and `{}` both take whoever is in none yet (`*`): nobody would be left for the second",
            names::shortened(&first.name),
            names::shortened(&second.name)
        )));
    }
    let mut taken = HashSet::new();
    let mut titles = HashSet::new();
    let mut waves = Vec::new();
    for wave in asked {
        let title = names::name("wave", &wave.name)?.to_owned();
        if !titles.insert(title.clone()) {
            return Err(AdminError::Malformed(format!(
                "wave `{title}` is there twice"
            )));
        }
        let mut gateways = BTreeSet::new();
        for name in wave.gateways {
            if !all.iter().any(|gateway| gateway.name == name) {
                return Err(AdminError::Precondition(format!(
                    "wave `{title}`: there is no gateway `{}`",
                    names::shortened(&name)
                )));
            }
            if !taken.insert(name.clone()) {
                return Err(AdminError::Malformed(format!(
                    "wave `{title}`: gateway `{name}` is in a wave already"
                )));
            }
            gateways.insert(name);
        }
        let groups = names::groups(wave.groups)?;
        if let Some(none) = groups
            .iter()
            .find(|group| all.iter().all(|it| !it.groups.contains(*group)))
        {
            return Err(AdminError::Precondition(format!(
                "wave `{title}`: no gateway is in group `{none}`"
            )));
        }
        let more = all.iter().filter(|gateway| {
            let chosen = wave.rest || gateway.groups.iter().any(|group| groups.contains(group));
            chosen && gateway.registration.last_proved.is_some()
        });
        for gateway in more {
            if taken.insert(gateway.name.clone()) {
                gateways.insert(gateway.name.clone());
            }
        }
        if gateways.is_empty() && !wave.rest {
            return Err(AdminError::Precondition(format!(
                "wave `{title}` has no gateway that is enrolled and in no earlier wave"
            )));
        }
        waves.push(Wave {
            name: title,
            gateways: gateways.into_iter().collect(),
        });
    }
    Ok(waves)
}
