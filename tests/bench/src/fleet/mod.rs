//! A fleet of simulated gateways on one server, over real sockets: how fast all are up, what a link
//! costs the server, and how long a rotation takes.
//!
//! The server is the program itself, in a process of its own; the gateways are in the process that
//! measures.

mod callers;
mod database;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use portcullis_host::hardening::allow_open_files;
use portcullis_proto::admin::v1::{PushOptions, RotateGatewayRequest};
use portcullis_tests::fleet::SimulatedFleet;
use portcullis_tests::harness::OrFail as _;
use serde::Serialize;

use self::callers::Callers;
pub use self::callers::Tally;
use self::database::Database;
pub use self::database::Engine;

/// How the server keeps up links: a gateway that was away is dialled again within 5 s, others as
/// the defaults have it.
const LINKS: &str = "backoff_min = \"500ms\"\nbackoff_max = \"5s\"";
/// Longer than a keep-alive and its answer take: what is measured then is an idle link.
const SETTLE: Duration = Duration::from_secs(22);

/// What to run.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// How many gateways; every second one dials out.
    pub gateways: usize,
    /// Callers, each of which makes one call after the other while the keys rotate.
    pub callers: usize,
    /// How long links are left alone before their memory is measured.
    pub settle: Duration,
    /// What stores the repository.
    pub engine: Engine,
}

impl Plan {
    /// So many gateways, 16 callers, measured once every link was kept alive.
    pub const fn new(gateways: usize) -> Self {
        Self {
            gateways,
            callers: 16,
            settle: SETTLE,
            engine: Engine::Sqlite,
        }
    }
}

/// What came of it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Summary {
    /// `fleet`
    pub summary: &'static str,
    /// How many gateways.
    pub gateways: usize,
    /// What stored the repository.
    pub engine: Engine,
    /// To register all of them, in milliseconds.
    pub registered_ms: u64,
    /// From the start of all gateways with their tokens until each had enrolled and was connected.
    pub enrolled_ms: u64,
    /// From the start of all gateways, the server running, until each was connected.
    pub up_ms: u64,
    /// From the start of the server, all gateways running, until each was connected.
    pub storm_ms: u64,
    /// From the command to rotate until the last gateway had proved the new key.
    pub rotation_ms: u64,
    /// The calls made meanwhile, and the time that the slowest took.
    pub calls: Tally,
    /// The server's memory before the first link, with all links idle, and at the end, in KiB.
    pub server_kib: [u64; 3],
    /// What an idle link added to it, in KiB.
    pub kib_per_link: f64,
    /// Of that locked, in KiB; of no meaning where the limit for locked memory was reached.
    pub locked_kib_per_link: f64,
    /// Processor time of the server until all were up again after its start, in milliseconds.
    pub storm_cpu_ms: u64,
    /// Processor time of the server for the rotation, in milliseconds.
    pub rotation_cpu_ms: u64,
    /// Of the database for the same; 0: there is none.
    pub rotation_database_cpu_ms: u64,
    /// Processor time of the server while idle with all links, a minute, in milliseconds.
    pub idle_cpu_ms_per_minute: u64,
    /// Seconds in all.
    pub seconds: f64,
    /// Promises broken; empty in a good run.
    pub broken: Vec<String>,
}

impl Summary {
    /// As a Markdown table.
    pub fn markdown(&self) -> String {
        let seconds = |ms: u64| format!("{:.1} s", ms as f64 / 1000.0);
        let rows = [
            ("all enrolled and connected", seconds(self.enrolled_ms)),
            ("all up, the server running", seconds(self.up_ms)),
            ("all up after the server's start", seconds(self.storm_ms)),
            ("its processor time for that", seconds(self.storm_cpu_ms)),
            (
                "memory of an idle link on the server",
                format!(
                    "{:.1} KiB, of which locked {:.1}",
                    self.kib_per_link, self.locked_kib_per_link
                ),
            ),
            (
                "processor time of the idle server, a minute",
                seconds(self.idle_cpu_ms_per_minute),
            ),
            ("rotation, to the last proof", seconds(self.rotation_ms)),
            ("its processor time for that", seconds(self.rotation_cpu_ms)),
            (
                "the database's, where there is one",
                seconds(self.rotation_database_cpu_ms),
            ),
            (
                "calls meanwhile: done, failed, slowest",
                format!(
                    "{}, {}, {} ms",
                    self.calls.done, self.calls.failed, self.calls.slowest_ms
                ),
            ),
        ];
        let rows = rows.map(|(what, value)| format!("| {what} | {value} |\n"));
        format!(
            "| {} gateways, {:?} | |\n|---|---:|\n{}",
            self.gateways,
            self.engine,
            rows.concat()
        )
    }
}

/// Runs it, telling `progress` what it is at.
pub async fn run(plan: &Plan, progress: impl Fn(&str)) -> Summary {
    let began = Instant::now();
    let count = plan.gateways.max(2);
    allow_open_files().or_fail("lift the limit on open files");
    let database = Database::start(plan.engine).await;
    let more = database.as_ref().map_or("", |database| &database.config);
    let fleet = SimulatedFleet::with(count, LINKS, more).await;
    let mut run = Run {
        patience: Duration::from_secs(60) + Duration::from_millis(50) * count as u32,
        summary: Summary {
            summary: "fleet",
            gateways: count,
            engine: plan.engine,
            ..Summary::default()
        },
        fleet,
        database,
    };
    run.summary.registered_ms = ms(began.elapsed());
    progress(&format!("registered in {} ms", run.summary.registered_ms));
    run.enrol().await;
    progress(&format!("enrolled in {} ms", run.summary.enrolled_ms));
    run.come_up(plan, &progress).await;
    run.summary.seconds = began.elapsed().as_secs_f64();
    run.summary
}

struct Run {
    fleet: SimulatedFleet,
    database: Option<Database>,
    patience: Duration,
    summary: Summary,
}

impl Run {
    /// Every gateway gets its first key, and goes.
    async fn enrol(&mut self) {
        let count = self.summary.gateways;
        let started = Instant::now();
        let host = self.fleet.start(0..count);
        self.fleet.proved(count, self.patience).await;
        self.fleet.connected(count, self.patience).await;
        self.summary.enrolled_ms = ms(started.elapsed());
        host.cut();
        self.fleet.connected(0, self.patience).await;
    }

    async fn come_up(&mut self, plan: &Plan, progress: &impl Fn(&str)) {
        let count = self.summary.gateways;
        // A fresh process: what enrolment left in its heap is not to be counted, nor to hide what
        // links cost.
        self.fleet.stop_server();
        self.fleet.server.serve().await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        let empty = self.fleet.server_memory();
        let locked = self.fleet.server_locked();
        let started = Instant::now();
        let _host = self.fleet.start(0..count);
        self.fleet.connected(count, self.patience).await;
        self.summary.up_ms = ms(started.elapsed());
        progress(&format!("all up in {} ms", self.summary.up_ms));

        let cpu = self.fleet.server_cpu();
        tokio::time::sleep(plan.settle).await;
        let idle = self.fleet.server_cpu().saturating_sub(cpu);
        self.summary.idle_cpu_ms_per_minute =
            (idle.as_secs_f64() * 60_000.0 / plan.settle.as_secs_f64().max(1.0)) as u64;
        let linked = self.fleet.server_memory();
        self.summary.kib_per_link = linked.saturating_sub(empty) as f64 / 1024.0 / count as f64;
        let locked = self.fleet.server_locked().saturating_sub(locked);
        self.summary.locked_kib_per_link = locked as f64 / 1024.0 / count as f64;
        progress(&format!("{:.1} KiB a link", self.summary.kib_per_link));

        self.rotate(plan).await;
        progress(&format!("rotated in {} ms", self.summary.rotation_ms));

        self.fleet.stop_server();
        let started = Instant::now();
        self.fleet.server.serve().await;
        self.fleet.connected(count, self.patience).await;
        self.summary.storm_ms = ms(started.elapsed());
        self.summary.storm_cpu_ms = ms(self.fleet.server_cpu());
        progress(&format!(
            "all back in {} ms after the server's restart",
            self.summary.storm_ms
        ));
        let after = self.fleet.server_memory();
        self.summary.server_kib = [empty, linked, after].map(|bytes| bytes / 1024);
        let log = self.fleet.server.whole_log();
        let panics = log.lines().filter(|line| line.contains("panicked at"));
        self.summary
            .broken
            .extend(panics.map(|line| format!("the server panicked: {line}")));
    }

    fn database_cpu(&self) -> Duration {
        let database = self.database.as_ref();
        database.map_or(Duration::ZERO, |it| it.postgres.processor_time())
    }

    /// At full speed, with calls on the way.
    async fn rotate(&mut self, plan: &Plan) {
        let count = self.summary.gateways;
        let callers = Callers::start(&self.fleet, plan.callers).await;
        let cpu = self.fleet.server_cpu();
        let database = self.database_cpu();
        let began = Instant::now();
        let request = RotateGatewayRequest {
            wait_ms: u32::MAX,
            push: Some(PushOptions {
                per_minute: Some(0),
                ..PushOptions::default()
            }),
            ..RotateGatewayRequest::default()
        };
        let mut keys = self.fleet.admin.keys();
        let reports = keys.rotate_gateway(request).await;
        let mut reports = reports.or_fail("rotate the gateway key").into_inner();
        let mut proved = 0;
        while let Some(report) = reports.message().await.or_fail("a report") {
            if report.synchronized > proved {
                proved = report.synchronized;
                self.summary.rotation_ms = ms(began.elapsed());
            }
        }
        self.summary.rotation_cpu_ms = ms(self.fleet.server_cpu().saturating_sub(cpu));
        self.summary.rotation_database_cpu_ms = ms(self.database_cpu().saturating_sub(database));
        self.summary.calls = callers.stop().await;
        if proved as usize != count {
            let broken = format!("{proved} of {count} gateways proved the new key");
            self.summary.broken.push(broken);
        }
        let tally = &self.summary.calls;
        if tally.failed > 0 || tally.done == 0 {
            self.summary.broken.push(format!("of the calls: {tally:?}"));
        }
    }
}

/// How much longer the rotation of `other` took than that of `first`.
pub fn rotation_ratio(first: &Summary, other: &Summary) -> f64 {
    other.rotation_ms as f64 / first.rotation_ms.max(1) as f64
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
