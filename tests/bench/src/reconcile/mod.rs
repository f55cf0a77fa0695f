//! A reconciliation of many accounts, beside a bare client that reads the same rows and hashes
//! each.
//!
//! Target, server, gateway and command are processes of their own on one machine; the bare client
//! is in the process that measures. One account of a thousand differs from the file.

mod command;
mod people;
mod postgres;
mod report;
mod slapd;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use portcullis_common::listing::{Content, ListingKey};
use portcullis_directories::{Postgres, Slapd};
use portcullis_tests::harness::{Dial, Gateway, OrFail as _, Process, Server, Site};
use serde::Serialize;

use self::command::{reconcile, taken};
pub use self::people::Counts;
use crate::Failure;
use crate::figure::Figure;

const CONNECTOR: &str = "people";
const GATEWAY: &str = "host1";
const MIB: f64 = 1024.0 * 1024.0;

/// Of what the bare client reads in a second, so much is to be reconciled.
pub const TARGET: f64 = 0.5;
/// MiB that each process may have in memory.
pub const MOST_MIB: f64 = 150.0;

/// What the accounts lie in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// PostgreSQL, by the connector `sql`.
    Postgres,
    /// OpenLDAP, by the connector `ldap`.
    Slapd,
}

/// What to run.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// What the accounts lie in.
    pub kind: Kind,
    /// How many there are.
    pub accounts: usize,
    /// How many of them the command asks for at a time; `None`: as it does by itself.
    pub page_size: Option<u32>,
    /// Rounds, each of which measures the command and the bare client.
    pub rounds: usize,
}

/// A process of the product, over all rounds.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Taken {
    /// MiB in memory at the most.
    pub peak_mib: f64,
    /// Processor time, in seconds for each round.
    pub busy: f64,
}

/// What came of it.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// `reconcile`
    pub summary: &'static str,
    /// What the accounts lie in.
    pub kind: Kind,
    /// How many there are.
    pub accounts: usize,
    /// How many of them the command asks for at a time; absent: as it does by itself.
    pub page_size: Option<u32>,
    /// Accounts that the bare client reads and hashes in a second.
    pub bare_per_second: Figure,
    /// Accounts that are reconciled in a second.
    pub reconciled_per_second: Figure,
    /// The second by the first, within their round.
    pub of_bare: Figure,
    /// The server.
    pub server: Taken,
    /// The gateway.
    pub gateway: Taken,
    /// The command.
    pub command: Taken,
    /// What the command has found.
    pub found: Counts,
    /// Whether the programs are those that are installed.
    pub optimized: bool,
}

/// How many rows a bare client has read, and a value that nothing can be left out of.
#[derive(Debug)]
pub(crate) struct Hashed {
    key: ListingKey,
    rows: u64,
    sum: u8,
}

impl Hashed {
    fn new() -> Self {
        Self {
            key: ListingKey::new(&[7; 32]),
            rows: 0,
            sum: 0,
        }
    }

    /// Hashes a row as the product does.
    fn add(&mut self, row: &Content) {
        let digest = self.key.digest(row);
        self.rows += 1;
        self.sum = digest.iter().fold(self.sum, |sum, byte| sum ^ byte);
    }
}

enum Target {
    Postgres(Postgres),
    Slapd(Slapd),
}

impl Target {
    async fn filled(plan: &Plan) -> Self {
        match plan.kind {
            Kind::Postgres => Self::Postgres(postgres::filled(plan.accounts).await),
            Kind::Slapd => Self::Slapd(slapd::filled(plan.accounts).await),
        }
    }

    fn config(&self, site: &Site) -> String {
        let password = match self {
            Self::Postgres(_) => postgres::password(),
            Self::Slapd(_) => slapd::password(),
        };
        let password = site.file("password", 0o600, password);
        let connector = match self {
            Self::Postgres(target) => postgres::config(target, &password),
            Self::Slapd(target) => slapd::config(target, &password),
        };
        format!("{connector}[connectors.{CONNECTOR}.guard_rails]\nmax_search_results = 1000000\n")
    }

    async fn bare(&self) -> Result<Hashed, Failure> {
        match self {
            Self::Postgres(target) => postgres::bare(target).await,
            Self::Slapd(target) => slapd::bare(target).await,
        }
    }
}

/// Measures, telling `progress` what it is at.
///
/// # Errors
/// Where something was not read whole, or not found: a fast wrong answer is no result. What cannot
/// be set up panics.
pub async fn run(plan: &Plan, progress: impl Fn(&str)) -> Result<Summary, Failure> {
    progress(&format!("making {} accounts", plan.accounts));
    let target = Target::filled(plan).await;
    let world = World::new(plan, &target).await?;
    let mut rounds = Vec::new();
    for number in 0..plan.rounds.max(1) {
        progress(&format!("round {} of {}", number + 1, plan.rounds.max(1)));
        rounds.push(world.round(plan, &target, number % 2 == 1).await?);
    }
    world.summary(plan, &rounds).ok_or("no round".into())
}

/// One round: seconds, and the command's peak in bytes.
struct Round {
    bare: f64,
    reconciled: f64,
    peak: u64,
    busy: Duration,
}

struct World {
    server: Server,
    gateway: Gateway,
    file: PathBuf,
    expected: Counts,
    _site: Site,
}

impl World {
    async fn new(plan: &Plan, target: &Target) -> Result<Self, Failure> {
        let site = Site::new();
        let file = site.path().join("people.csv");
        let columns = match plan.kind {
            Kind::Postgres => postgres::COLUMNS,
            Kind::Slapd => slapd::COLUMNS,
        };
        people::write(&file, columns, plan.accounts)?;
        let mut server = Server::new(&site, "");
        let dial = Dial::inward();
        let mut gateway = Gateway::new(&site, GATEWAY, dial, &target.config(&site));
        for config in [&server.config, &gateway.config] {
            crate::log_as_installed(config);
        }
        let admin = server.serve().await;
        let token = admin.add_gateway(GATEWAY, &dial.address(), false).await;
        gateway.enroll(&token);
        gateway.start();
        admin.synchronized(GATEWAY).await;
        admin.add_resource(CONNECTOR, GATEWAY, CONNECTOR).await;
        Ok(Self {
            server,
            gateway,
            file,
            expected: Counts::expected(plan.accounts),
            _site: site,
        })
    }

    /// Both in turns, so that none always comes after the other.
    async fn round(&self, plan: &Plan, target: &Target, last: bool) -> Result<Round, Failure> {
        let before = match last {
            true => None,
            false => Some(self.bare(target).await?),
        };
        let run = reconcile(&self.server, CONNECTOR, plan.page_size, &self.file).await?;
        if run.found != self.expected {
            let (found, expected) = (run.found, self.expected);
            return Err(format!("found {found:?}, and there are {expected:?}").into());
        }
        let bare = match before {
            Some(bare) => bare,
            None => self.bare(target).await?,
        };
        let per_second = |took: Duration| plan.accounts as f64 / took.as_secs_f64();
        Ok(Round {
            bare: per_second(bare),
            reconciled: per_second(run.took),
            peak: run.peak,
            busy: run.busy,
        })
    }

    async fn bare(&self, target: &Target) -> Result<Duration, Failure> {
        let began = Instant::now();
        let hashed = target.bare().await?;
        let took = began.elapsed();
        let there = self.expected.there();
        if hashed.rows != there {
            return Err(format!("the bare client read {} of {there} rows", hashed.rows).into());
        }
        // Nothing of it is left out by a clever compiler.
        std::hint::black_box(hashed.sum);
        Ok(took)
    }

    fn summary(&self, plan: &Plan, rounds: &[Round]) -> Option<Summary> {
        let figure = |of: fn(&Round) -> f64| Figure::of(rounds.iter().map(of).collect());
        let each = |busy: Duration| busy.as_secs_f64() / rounds.len().max(1) as f64;
        let of = |process: &Option<Process>| {
            let (peak, busy) = taken(process.as_ref().or_fail("process that runs").id());
            Taken {
                peak_mib: peak as f64 / MIB,
                busy: each(busy),
            }
        };
        Some(Summary {
            summary: "reconcile",
            kind: plan.kind,
            accounts: plan.accounts,
            page_size: plan.page_size,
            bare_per_second: figure(|round| round.bare)?,
            reconciled_per_second: figure(|round| round.reconciled)?,
            of_bare: figure(|round| round.reconciled / round.bare)?,
            server: of(&self.server.process),
            gateway: of(&self.gateway.process),
            command: Taken {
                peak_mib: rounds.iter().map(|round| round.peak).max()? as f64 / MIB,
                busy: each(rounds.iter().map(|round| round.busy).sum()),
            },
            found: self.expected,
            optimized: !cfg!(debug_assertions),
        })
    }
}
