//! Calls on real directories, databases and account files, through real servers and gateways, while
//! all of them are killed and every link is cut: each has one outcome, and it is true.
//!
//! ```text
//! seed ─→ schedule: calls on each object ─→ caller: makes them, keeps what it is told ─┐
//!   └───→ world: blows on server, gateways, links, targets                             ├─→ judge
//!                                  targets: what is there in the end, by their own tools ┘
//! ```

mod caller;
mod judge;
mod model;
mod recorded;
mod resources;
mod schedule;
mod targets;
mod world;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use portcullis_tests::harness::OrFail as _;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha12Rng;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;

use caller::{Caller, Lane};
use judge::Findings;
pub use judge::Unclear;
pub use resources::Kind;
use resources::Resource;
use schedule::Schedule;
use world::World;

/// Calls from one blow to the next, at the most.
const BETWEEN_BLOWS: usize = 30;

/// What to run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Calls to make.
    pub calls: usize,
    /// Decides which calls are made, and what is killed.
    pub seed: u64,
    /// Only on these; empty: on all that are installed.
    pub only: Vec<Kind>,
    /// What is broken, to see that it is noticed.
    pub fault: Option<Fault>,
}

/// A fault that is planted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Fault {
    /// The ledger of the database forgets at once: whoever looks finds that nothing was begun.
    Ledger,
    /// A gateway that is killed loses its journal.
    Journal,
    /// A target loses an account that was there.
    Target,
}

/// How often something was killed or cut.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Kills {
    /// The server.
    pub server: u32,
    /// A gateway.
    pub gateways: u32,
    /// A directory or database.
    pub targets: u32,
    /// The link between server and gateway, cut.
    pub links: u32,
    /// The connections from gateway to target, cut.
    pub wires: u32,
}

/// What came of it.
#[derive(Debug, Default, Serialize)]
pub struct Summary {
    /// `calls`
    pub summary: &'static str,
    /// Gives the same calls and the same blows again; when these fall depends on the machine.
    pub seed: u64,
    /// Calls made.
    pub calls: usize,
    /// Of these, on each resource.
    pub resources: BTreeMap<&'static str, usize>,
    /// Targets that are not installed, each with the reason.
    pub left_out: Vec<String>,
    /// What was killed.
    pub kills: Kills,
    /// Calls by verb and outcome.
    pub outcomes: BTreeMap<String, usize>,
    /// Calls of which even a look does not tell what came.
    pub unclear: Vec<Unclear>,
    /// How long it all took, in seconds.
    pub seconds: f64,
    /// Promises that were broken.
    pub broken: Vec<String>,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for why in &self.left_out {
            writeln!(f, "left out: {why}")?;
        }
        let Kills {
            server,
            gateways,
            targets,
            links,
            wires,
        } = self.kills;
        writeln!(
            f,
            "{} calls on {}; killed: the server {server} times, a gateway {gateways}, a target {targets}; cut: links {links}, \
             connections to a target {wires}; {:.0} s\n{}",
            self.calls,
            json!(self.resources),
            self.seconds,
            json!(self.outcomes)
        )?;
        for unclear in &self.unclear {
            writeln!(f, "indeterminate: {unclear}")?;
        }
        for broken in &self.broken {
            writeln!(f, "BROKEN: {broken}")?;
        }
        match self.broken.is_empty() {
            true => write!(
                f,
                "each call has one outcome; what is done is there once, and what failed is not"
            ),
            false => write!(
                f,
                "again: chaos calls --calls {} --seed {}",
                self.calls, self.seed
            ),
        }
    }
}

/// Runs it, telling `line` of every blow.
pub async fn run(plan: &Plan, line: impl Fn(&Value)) -> Summary {
    let began = Instant::now();
    let mut rng = ChaCha12Rng::seed_from_u64(plan.seed);
    let mut world = World::start(plan).await;
    let mut summary = Summary {
        summary: "calls",
        seed: plan.seed,
        left_out: world.targets.left_out.clone(),
        ..Summary::default()
    };
    line(
        &json!({"event": "ready", "left_out": summary.left_out, "seconds": began.elapsed().as_secs_f64()}),
    );
    let (progress, mut made) = watch::channel(0);
    let caller = Caller {
        admin: world.admin.clone(),
        progress: Arc::new(progress),
    };
    let mut lanes = JoinSet::new();
    for schedule in schedules(&world.targets.resources, plan, &mut rng) {
        let count = schedule.steps.len();
        summary.calls += count;
        *summary.resources.entry(schedule.resource.name).or_default() += count;
        lanes.spawn(caller.clone().make_all(schedule));
    }
    let mut next = 0;
    loop {
        next += rng.random_range(1..BETWEEN_BLOWS);
        // The last calls come to their ends in peace.
        if next >= summary.calls.saturating_sub(lanes.len()) {
            break;
        }
        let count = *made
            .wait_for(|count| *count >= next)
            .await
            .or_fail("follow the calls");
        let what = world.blow(&mut rng, &mut summary.kills).await;
        line(
            &json!({"event": "blow", "calls": count, "of": summary.calls, "on": what, "seconds": began.elapsed().as_secs_f64()}),
        );
        next = next.max(*made.borrow());
    }
    let lanes: Vec<Lane> = lanes.join_all().await;
    line(&json!({"event": "made", "seconds": began.elapsed().as_secs_f64()}));
    world.all_back().await;
    look(&world, &lanes, plan, &mut summary).await;
    summary.seconds = began.elapsed().as_secs_f64();
    summary
}

/// The calls on each object of each resource.
fn schedules(resources: &[Resource], plan: &Plan, rng: &mut ChaCha12Rng) -> Vec<Schedule> {
    let shares: usize = resources.iter().map(|resource| resource.share).sum();
    let mut all = Vec::new();
    for resource in resources {
        let of_it = plan.calls * resource.share / shares.max(1);
        for number in 0..resource.objects {
            let more = usize::from(number < of_it % resource.objects);
            let count = of_it / resource.objects + more;
            all.push(Schedule::new(*resource, number, count, rng.random()));
        }
    }
    all
}

/// Everything is looked at in the end.
async fn look(world: &World, lanes: &[Lane], plan: &Plan, summary: &mut Summary) {
    let mut findings = Findings::default();
    if plan.fault == Some(Fault::Target) {
        world.targets.forget_one();
    }
    let records = recorded::records(&world.admin, &mut findings.broken).await;
    recorded::check_audit(&world.admin, &records, &mut findings.broken).await;
    for resource in &world.targets.resources {
        let seen = world.targets.seen(resource);
        for lane in lanes
            .iter()
            .filter(|it| it.schedule.resource.name == resource.name)
        {
            if let Some(states) = findings.judge(lane, &records, &seen) {
                findings.compare(lane, &states, &seen, &world.targets);
            }
        }
        findings.strangers(resource, lanes, &seen);
    }
    for linked in &world.gateways {
        let name = &linked.gateway.name;
        let alarms = world.admin.gateway(name).await.alarms;
        findings.broken.extend(
            alarms
                .into_iter()
                .map(|alarm| format!("{name} raised an alarm: {alarm:?}")),
        );
        findings
            .broken
            .extend(panics(name, &linked.gateway.whole_log()));
    }
    findings
        .broken
        .extend(panics("the server", &world.server.whole_log()));
    summary.broken = findings.broken;
    summary.unclear = findings.unclear;
    summary.outcomes = findings.outcomes;
}

fn panics(who: &str, log: &str) -> Option<String> {
    let line = log.lines().find(|line| line.contains("panicked at"))?;
    Some(format!("{who} panicked: {line}"))
}
