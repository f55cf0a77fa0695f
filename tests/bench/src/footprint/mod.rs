//! What a gateway takes of its host when nobody asks anything of it: memory, and room on the disk.
//!
//! Server and gateway are the programs themselves, with a link between them; what is measured is
//! what `/proc` tells of the gateway's process once the link was left alone.

mod connectors;
mod report;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use portcullis_tests::harness::usage::{Memory, threads};
use portcullis_tests::harness::{Admin, Dial, Gateway, Programs, Server, Site, run};
use serde::Serialize;

use self::connectors::Connectors;
use crate::Failure;
use crate::figure::Figure;

/// Longer than it takes a link to give back what its establishment needed.
const SETTLE: Duration = Duration::from_secs(12);

const MIB: f64 = 1024.0 * 1024.0;

/// What to run.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// How often each gateway is started and measured.
    pub rounds: usize,
    /// How long a link is left alone before that.
    pub settle: Duration,
}

impl Plan {
    /// So many rounds of links that were left alone.
    pub const fn new(rounds: usize) -> Self {
        Self {
            rounds,
            settle: SETTLE,
        }
    }
}

/// An idle gateway in memory: MiB, over the rounds.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Which connectors it has.
    pub connectors: &'static str,
    /// All that is in memory (RSS).
    pub resident: Figure,
    /// The same, where what it shares with other processes is shared out among them (PSS).
    pub proportional: Figure,
    /// Heap and stacks, which are its own.
    pub anonymous: Figure,
    /// What is locked in memory.
    pub locked: Figure,
    /// Threads.
    pub threads: Figure,
    /// What RSS is to be at the most.
    pub target: f64,
}

/// The program on the disk: MiB.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Program {
    /// As it was built.
    pub built: f64,
    /// Without symbols, as it is installed.
    pub stripped: f64,
    /// What that is to be at the most.
    pub target: f64,
}

/// What came of it.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// `footprint`
    pub summary: &'static str,
    /// Idle gateways.
    pub rows: Vec<Row>,
    /// The program.
    pub program: Program,
    /// Whether the programs are those that are installed.
    pub optimized: bool,
}

/// Measures, telling `progress` what it is at.
///
/// # Errors
/// Where there is nothing to be told; what cannot be set up panics.
pub async fn run_all(plan: &Plan, progress: impl Fn(&str)) -> Result<Summary, Failure> {
    let site = Site::new();
    let mut server = Server::new(&site, "");
    let admin = server.serve().await;
    let mut rows = Vec::new();
    for connectors in Connectors::ALL {
        let config = connectors.config(&site);
        let name = connectors.gateway();
        let dial = Dial::inward();
        let mut gateway = Gateway::new(&site, name, dial, &config);
        crate::log_as_installed(&gateway.config);
        let token = admin.add_gateway(name, &dial.address(), false).await;
        gateway.enroll(&token);
        let mut measured = Vec::new();
        for round in 0..plan.rounds.max(1) {
            progress(&format!("{}: round {}", connectors.words(), round + 1));
            measured.push(idle(&mut gateway, &admin, plan.settle).await);
        }
        rows.push(row(connectors, &measured).ok_or("nothing was measured")?);
    }
    Ok(Summary {
        summary: "footprint",
        rows,
        program: program(&site)?,
        optimized: !cfg!(debug_assertions),
    })
}

/// One life of a gateway with its link left alone.
async fn idle(gateway: &mut Gateway, admin: &Admin, settle: Duration) -> (Memory, u64) {
    let pid = gateway.start().id();
    admin.synchronized(&gateway.name).await;
    tokio::time::sleep(settle).await;
    let found = (Memory::of(pid), threads(pid));
    if let Some(mut process) = gateway.process.take() {
        process.stop();
    }
    found
}

fn row(connectors: Connectors, measured: &[(Memory, u64)]) -> Option<Row> {
    let figure = |of: fn(&Memory) -> u64| {
        let values = measured.iter();
        Figure::of(values.map(|(memory, _)| of(memory) as f64 / MIB).collect())
    };
    let count = measured.iter().map(|(_, threads)| *threads as f64);
    Some(Row {
        connectors: connectors.words(),
        resident: figure(|memory| memory.resident)?,
        proportional: figure(|memory| memory.proportional)?,
        anonymous: figure(|memory| memory.anonymous)?,
        locked: figure(|memory| memory.locked)?,
        threads: Figure::of(count.collect())?,
        target: connectors.target(),
    })
}

fn program(site: &Site) -> Result<Program, Failure> {
    let built = &Programs::built().gateway;
    let stripped = site.path().join("stripped");
    let mut strip = Command::new("strip");
    strip.arg("-o").arg(&stripped).arg(built);
    run(strip);
    let size = |path: &Path| std::fs::metadata(path).map(|found| found.len() as f64 / MIB);
    Ok(Program {
        built: size(built)?,
        stripped: size(&stripped)?,
        target: 12.0,
    })
}
