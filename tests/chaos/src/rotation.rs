//! A fleet of simulated gateways through rotations of the gateway key: some away, some dying
//! between install and proof, a key rolled back in the middle of its push, and a push held to a
//! rate.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis_common::id::KeyId;
use portcullis_proto::admin::v1::{
    PushEnd, PushOptions, RotateGatewayRequest, SyncGatewaysRequest, SyncProgress, SyncState,
};
use portcullis_proto::grpc::Messages;
use portcullis_tests::fleet::{CrashAt, Fuse, Host, SimulatedFleet};
use portcullis_tests::harness::OrFail as _;
use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha12Rng;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;

/// Of a hundred gateways, so many are away during the rotation …
const AWAY_PERCENT: usize = 10;
/// … and so many die in the middle of it.
const CRASHING_PERCENT: usize = 1;
/// How long the push that is rolled back in its middle would take.
const SLOW_PUSH: Duration = Duration::from_secs(12);
/// How long the push at a rate is to take.
const PACED_PUSH: Duration = Duration::from_secs(10);

/// What to run.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// How many; every second one dials out.
    pub gateways: usize,
    /// Decides who is away, who dies and when.
    pub seed: u64,
}

/// What came of it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Summary {
    /// `rotation`
    pub summary: &'static str,
    /// Gives the same choices again.
    pub seed: u64,
    /// How many gateways.
    pub gateways: usize,
    /// Away during the first rotation.
    pub away: usize,
    /// Died in the middle of it.
    pub crashed: usize,
    /// From the start of all gateways until each had enrolled and was connected, in milliseconds.
    pub enrolled_ms: u64,
    /// From the command until the last gateway that stayed reachable had proved the new key.
    pub rotation_ms: u64,
    /// From the command until those that died had, too.
    pub rotation_with_crashed_ms: u64,
    /// From the return of those that were away until each had proved the key.
    pub caught_up_ms: u64,
    /// Gateways that held the key when it was rolled back.
    pub withdrawn_holders: u32,
    /// From the command to roll back until each of them had proved the fresh key.
    pub roll_back_ms: u64,
    /// Gateways a minute that the last push was held to, and how long it took.
    pub per_minute: u32,
    /// How long it took.
    pub paced_ms: u64,
    /// The server's memory before the first link, with all links, and after everything, in KiB.
    pub server_kib: [u64; 3],
    /// What a link added to it.
    pub kib_per_link: f64,
    /// Seconds in all.
    pub seconds: f64,
    /// Promises broken; empty in a good run.
    pub broken: Vec<String>,
}

/// Runs it, telling `line` of every event.
pub async fn run(plan: &Plan, line: impl Fn(&Value)) -> Summary {
    let began = Instant::now();
    let count = plan.gateways.max(2);
    let fleet = SimulatedFleet::new(count).await;
    line(&json!({"event": "registered", "gateways": count, "ms": ms(began.elapsed())}));
    let mut rng = ChaCha12Rng::seed_from_u64(plan.seed);
    let mut numbers: Vec<_> = (0..count).collect();
    numbers.shuffle(&mut rng);
    let crashing = numbers.split_off(count - (count * CRASHING_PERCENT / 100).max(1));
    let away = numbers.split_off(numbers.len() - (count * AWAY_PERCENT / 100).max(1));
    let mut run = Run {
        patience: Duration::from_secs(60) + Duration::from_millis(50) * count as u32,
        summary: Summary {
            summary: "rotation",
            seed: plan.seed,
            gateways: count,
            away: away.len(),
            ..Summary::default()
        },
        fleet,
        rng,
    };

    let started = Instant::now();
    let _steady = run.fleet.start(numbers.iter().copied());
    let away_host = run.fleet.start(away.iter().copied());
    let mut alone = BTreeMap::new();
    for number in &crashing {
        alone.insert(*number, run.fleet.start_alone(*number));
    }
    run.fleet.proved(count, run.patience).await;
    run.fleet.connected(count, run.patience).await;
    run.summary.enrolled_ms = ms(started.elapsed());
    let linked = run.fleet.server_memory();
    line(&json!({"event": "enrolled", "ms": run.summary.enrolled_ms, "server_kib": linked / 1024}));

    let _crashed = run.rotate_through_trouble(&away, away_host, alone).await;
    line(
        &json!({"event": "rotated", "ms": run.summary.rotation_ms, "with_crashed_ms": run.summary.rotation_with_crashed_ms}),
    );
    let _returned = run.return_from_away(&away).await;
    line(&json!({"event": "caught up", "ms": run.summary.caught_up_ms}));
    run.roll_back().await;
    line(
        &json!({"event": "rolled back", "holders": run.summary.withdrawn_holders, "ms": run.summary.roll_back_ms}),
    );
    run.keep_to_a_rate().await;
    line(
        &json!({"event": "paced", "per_minute": run.summary.per_minute, "ms": run.summary.paced_ms}),
    );

    run.look_back().await;
    let after = run.fleet.server_memory();
    let empty = run.fleet.server_empty;
    run.summary.server_kib = [empty / 1024, linked / 1024, after / 1024];
    run.summary.kib_per_link = linked.saturating_sub(empty) as f64 / 1024.0 / count as f64;
    run.summary.seconds = began.elapsed().as_secs_f64();
    run.summary
}

struct Run {
    fleet: SimulatedFleet,
    rng: ChaCha12Rng,
    patience: Duration,
    summary: Summary,
}

/// What a push told.
#[derive(Default)]
struct Told {
    last: SyncProgress,
    states: BTreeMap<String, SyncState>,
    /// When the count of synchronized gateways last grew.
    last_proof: Duration,
}

impl Told {
    fn take(&mut self, report: SyncProgress, since: Instant) {
        if report.synchronized > self.last.synchronized {
            self.last_proof = since.elapsed();
        }
        for result in &report.results {
            self.states.insert(result.gateway.clone(), result.state());
        }
        self.last = report;
    }

    fn of(&self, state: SyncState) -> BTreeSet<&str> {
        let wanted = self.states.iter().filter(|(_, found)| **found == state);
        wanted.map(|(name, _)| name.as_str()).collect()
    }
}

/// Gateways that are to die in the middle of a rotation, each on a host of its own.
struct Dying {
    alone: BTreeMap<usize, Host>,
    fuses: BTreeMap<usize, Arc<Fuse>>,
    /// Whose fuse has blown.
    blown: mpsc::UnboundedReceiver<usize>,
    died: usize,
}

impl Run {
    /// A rotation at full speed with gateways away and dying; ends with every reachable one on the
    /// new key. Gives the hosts of those that died.
    async fn rotate_through_trouble(
        &mut self,
        away: &[usize],
        away_host: Host,
        alone: BTreeMap<usize, Host>,
    ) -> BTreeMap<usize, Host> {
        away_host.cut();
        let here = self.fleet.gateways.len() - away.len();
        self.fleet.connected(here, self.patience).await;
        let mut dying = self.arm(alone);
        self.fleet.connected(here, self.patience).await;

        let began = Instant::now();
        let mut reports = self.rotate(false, Some(0)).await;
        let mut told = Told::default();
        while !told.last.last {
            tokio::select! {
                report = next(&mut reports) => told.take(report, began),
                Some(number) = dying.blown.recv() => self.power_cut(number, &mut dying).await,
            }
        }
        self.summary.rotation_ms = ms(told.last_proof);
        let late = Duration::from_millis(100);
        while let Ok(Some(number)) = tokio::time::timeout(late, dying.blown.recv()).await {
            self.power_cut(number, &mut dying).await;
        }
        self.fleet.proved(here, self.patience).await;
        self.summary.rotation_with_crashed_ms = ms(began.elapsed());
        self.summary.crashed = dying.died;
        self.check_rotation(&told, away, &dying);
        dying.alone
    }

    /// Has each of these die at a moment of the next rotation. Its store is made when a gateway
    /// starts: only a start arms it.
    fn arm(&mut self, alone: BTreeMap<usize, Host>) -> Dying {
        let (blows, blown) = mpsc::unbounded_channel();
        let mut dying = Dying {
            alone: BTreeMap::new(),
            fuses: BTreeMap::new(),
            blown,
            died: 0,
        };
        for (number, host) in alone {
            let at = CrashAt::ALL[self.rng.random_range(0..CrashAt::ALL.len())];
            let fuse = Arc::new(Fuse::new(at, number, blows.clone()));
            host.cut();
            self.fleet.gateways[number].arm(Some(Arc::clone(&fuse)));
            dying.fuses.insert(number, fuse);
            dying.alone.insert(number, self.fleet.start_alone(number));
        }
        dying
    }

    /// The host of a gateway whose fuse has blown dies, and comes back a little later.
    async fn power_cut(&mut self, number: usize, dying: &mut Dying) {
        dying.died += 1;
        if let Some(host) = dying.alone.remove(&number) {
            host.cut();
        }
        if let Some(fuse) = dying.fuses.get(&number) {
            fuse.host_is_gone();
        }
        self.fleet.gateways[number].arm(None);
        let pause = Duration::from_millis(self.rng.random_range(0..300));
        tokio::time::sleep(pause).await;
        dying.alone.insert(number, self.fleet.start_alone(number));
    }

    fn check_rotation(&mut self, told: &Told, away: &[usize], dying: &Dying) {
        let names = |numbers: &mut dyn Iterator<Item = &usize>| -> BTreeSet<_> {
            numbers.map(|number| self.name(*number)).collect()
        };
        let crashing = names(&mut dying.alone.keys());
        let expected = names(&mut away.iter());
        let listed = told.of(SyncState::Away).into_iter().map(str::to_owned);
        let listed: BTreeSet<_> = listed.collect();
        if !listed.is_superset(&expected) || !listed.is_subset(&(&expected | &crashing)) {
            self.broken(format!("away were {expected:?}, and {listed:?} are listed"));
        }
        for (name, state) in &told.states {
            let settled = matches!(state, SyncState::Synchronized | SyncState::Away);
            if !settled && !crashing.contains(name) {
                self.broken(format!("{name} ended as {state:?}"));
            }
        }
        let count = self.fleet.gateways.len();
        if told.last.end() != PushEnd::Complete || told.last.total as usize != count {
            self.broken(format!("the last report is {:?}", told.last));
        }
        if dying.died != crashing.len() {
            let (died, of) = (dying.died, crashing.len());
            self.broken(format!("{died} of {of} gateways died"));
        }
    }

    /// Those that were away come back, and have to catch up by themselves.
    async fn return_from_away(&mut self, away: &[usize]) -> Host {
        let began = Instant::now();
        let host = self.fleet.start(away.iter().copied());
        let count = self.fleet.gateways.len();
        self.fleet.proved(count, self.patience).await;
        self.summary.caught_up_ms = ms(began.elapsed());
        self.fleet.connected(count, self.patience).await;
        host
    }

    /// A key is rolled back when a third of the fleet has proved it.
    async fn roll_back(&mut self) {
        let count = self.fleet.gateways.len();
        let mut reports = self.rotate(false, Some(rate(count, SLOW_PUSH))).await;
        let mut stopped = Told::default();
        let began = Instant::now();
        while (stopped.last.synchronized as usize) < count / 3 {
            stopped.take(next(&mut reports).await, began);
        }
        let began = Instant::now();
        let told = follow(self.rotate(true, Some(0)).await, began).await;
        self.summary.roll_back_ms = ms(told.last_proof);
        let ended = Instant::now();
        stopped.last.last = false;
        while !stopped.last.last {
            stopped.take(next(&mut reports).await, began);
        }
        if stopped.last.end() != PushEnd::Superseded {
            let end = stopped.last.end();
            self.broken(format!("the push rolled back ended {end:?}"));
        }
        self.summary.withdrawn_holders = told.last.synchronized;
        if told.last.synchronized + told.last.not_in_scope != told.last.total {
            self.broken(format!("after the roll-back: {:?}", told.last));
        }
        if told.last.not_in_scope == 0 {
            self.broken("the roll-back came too late to prove anything".to_owned());
        }
        let withdrawn = told.last.withdrawn_key_id;
        for holders in self.fleet.key_status(false).await.keys {
            let key = holders.key.unwrap_or_default();
            if key.key_id == withdrawn && (!key.withdrawn || holders.proved + holders.sent > 0) {
                self.broken(format!("the withdrawn key still has holders: {key:?}"));
            }
        }
        self.sync_away_from(&withdrawn, ended).await;
    }

    /// What a sync brings is the fresh key to all, and the withdrawn one to nobody since its
    /// roll-back.
    async fn sync_away_from(&mut self, withdrawn: &str, rolled_back: Instant) {
        let told = follow(self.sync(Some(0)).await, Instant::now()).await;
        if told.last.synchronized as usize != self.fleet.gateways.len() {
            self.broken(format!("after the sync: {:?}", told.last));
        }
        for gateway in &self.fleet.gateways {
            let is_withdrawn = |id: KeyId| id.to_string() == withdrawn;
            let late = gateway.history().into_iter().any(|held| {
                held.at > rolled_back && held.pending.or(held.active).is_some_and(is_withdrawn)
            });
            if late {
                let name = &gateway.name;
                let broken = format!("{name} was given the withdrawn key after its roll-back");
                self.summary.broken.push(broken);
            }
        }
    }

    /// A push held to a rate takes its time, and never asks many at once.
    async fn keep_to_a_rate(&mut self) {
        let count = self.fleet.gateways.len();
        let per_minute = rate(count, PACED_PUSH);
        let began = Instant::now();
        let told = follow(self.rotate(false, Some(per_minute)).await, began).await;
        self.summary.per_minute = per_minute;
        self.summary.paced_ms = ms(told.last_proof);
        if told.last.synchronized as usize != count {
            self.broken(format!("after the push at a rate: {:?}", told.last));
        }
        if told.last_proof < PACED_PUSH * 8 / 10 {
            self.broken(format!(
                "a push of {PACED_PUSH:?} took {:?}",
                told.last_proof
            ));
        }
        let mut taken: Vec<_> = self
            .fleet
            .gateways
            .iter()
            .filter_map(|gateway| {
                let history = gateway.history();
                let taken = history.iter().rfind(|held| held.pending.is_some());
                taken.map(|held| held.at)
            })
            .filter(|at| *at > began)
            .collect();
        taken.sort_unstable();
        let second = Duration::from_secs(1);
        let most = taken
            .iter()
            .enumerate()
            .map(|(first, at)| {
                taken[first..]
                    .iter()
                    .take_while(|next| **next < *at + second)
                    .count()
            })
            .max()
            .unwrap_or(0);
        // Twice, and some: an answer may be late by as much as a second.
        if most > 2 * per_minute as usize / 60 + 10 {
            self.broken(format!(
                "{most} gateways were asked within one second, {per_minute} a minute allowed"
            ));
        }
    }

    /// What every gateway stored, from its first key to its last: never an older one after a newer.
    async fn look_back(&mut self) {
        let status = self.fleet.key_status(true).await;
        let generations: BTreeMap<_, _> = status
            .keys
            .iter()
            .rev()
            .filter_map(|holders| holders.key.as_ref())
            .enumerate()
            .map(|(generation, key)| (key.key_id.clone(), generation))
            .collect();
        let newest = generations.len().saturating_sub(1);
        let mut broken = Vec::new();
        for gateway in &self.fleet.gateways {
            let active: Vec<_> = gateway
                .history()
                .iter()
                .filter_map(|held| generations.get(&held.active?.to_string()).copied())
                .collect();
            if !active.is_sorted() {
                broken.push(format!("{} went back: {active:?}", gateway.name));
            }
            if active.last() != Some(&newest) {
                broken.push(format!("{} ended on {active:?} of {newest}", gateway.name));
            }
        }
        for holding in &status.gateways {
            if !holding.connected || !holding.sent_key_ids.is_empty() {
                broken.push(format!("the server says at the end: {holding:?}"));
            }
        }
        let log = self.fleet.server.whole_log();
        broken.extend(
            log.lines()
                .filter(|line| line.contains("panicked at"))
                .map(|line| format!("the server panicked: {line}")),
        );
        self.summary.broken.append(&mut broken);
    }

    async fn rotate(&self, roll_back: bool, per_minute: Option<u32>) -> Messages<SyncProgress> {
        let request = RotateGatewayRequest {
            wait_ms: u32::MAX,
            roll_back,
            push: Some(PushOptions {
                per_minute,
                ..PushOptions::default()
            }),
            ..RotateGatewayRequest::default()
        };
        let reports = self.fleet.admin.keys().rotate_gateway(request).await;
        reports.or_fail("rotate the gateway key").into_inner()
    }

    async fn sync(&self, per_minute: Option<u32>) -> Messages<SyncProgress> {
        let request = SyncGatewaysRequest {
            wait_ms: u32::MAX,
            push: Some(PushOptions {
                per_minute,
                ..PushOptions::default()
            }),
        };
        let reports = self.fleet.admin.keys().sync_gateways(request).await;
        reports.or_fail("push the gateway key").into_inner()
    }

    fn name(&self, number: usize) -> String {
        self.fleet.gateways[number].name.clone()
    }

    fn broken(&mut self, what: String) {
        self.summary.broken.push(what);
    }
}

/// The next report of a push.
async fn next(reports: &mut Messages<SyncProgress>) -> SyncProgress {
    let report = reports.message().await;
    report.or_fail("follow a push").or_fail("last report")
}

async fn follow(mut reports: Messages<SyncProgress>, began: Instant) -> Told {
    let mut told = Told::default();
    while !told.last.last {
        told.take(next(&mut reports).await, began);
    }
    told
}

/// Gateways a minute for `count` of them to take so long.
fn rate(count: usize, long: Duration) -> u32 {
    let rate = count as f64 * 60.0 / long.as_secs_f64();
    (rate as u32).max(1)
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
