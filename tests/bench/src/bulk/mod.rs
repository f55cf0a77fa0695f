//! Many accounts through one link into a real database and a real directory, beside a loop of
//! single calls, and beside the same inserts made by a bare client on as many connections.
//!
//! ```text
//! portcullis account import ─▶ server ─▶ one link ─▶ gateway ─▶ its connections ─▶ the target
//! one call after the other  ─▶ server ─▶ one link ─▶ gateway ─▶ …
//! psql, ldapadd: one process a connection  ──────────────────────────────────────▶ …
//! ```
//!
//! All programs are processes of their own, and speak TLS with the target. Every statement of the
//! bare client is committed by itself, as every call is.

mod bare;
mod report;
mod site;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use portcullis_proto::gateway::v1::call::Verb;
use portcullis_proto::gateway::v1::{Call, Create, ObjectClass, outcome};
use portcullis_tests::harness::OrFail as _;

pub use self::report::{Report, Row};
use self::site::{Site, names};

/// What to run.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Accounts that are imported into each target in each round, by one command.
    pub accounts: usize,
    /// Single calls in each round.
    pub singles: usize,
    /// Rounds; a multiple is taken within one.
    pub rounds: usize,
    /// Calls in flight.
    pub in_flight: usize,
    /// Connections to the target.
    pub connections: usize,
    /// Whether each change of the database has its entry in a ledger there.
    pub ledger: bool,
}

/// Where the accounts go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Rows of PostgreSQL.
    Sql,
    /// Entries of OpenLDAP.
    Ldap,
}

impl Target {
    /// Each of them.
    pub const ALL: [Self; 2] = [Self::Sql, Self::Ldap];

    /// Its name, which is also that of its connector and resource.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sql => "sql",
            Self::Ldap => "ldap",
        }
    }
}

/// Runs it, telling `progress` what it is at.
pub async fn run(plan: &Plan, targets: &[Target], progress: impl Fn(&str)) -> Report {
    let began = Instant::now();
    let site = Site::start(plan.connections, plan.ledger).await;
    let mut rows = Vec::new();
    for &target in targets {
        let mut rounds = Vec::new();
        for round in 0..plan.rounds.max(1) {
            let measured = measure(&site, plan, target, round).await;
            progress(&format!("{} round {round}: {measured}", target.name()));
            rounds.push(measured);
        }
        rows.push(Row::of(target, &rounds));
    }
    Report {
        rows,
        seconds: began.elapsed().as_secs_f64(),
    }
}

/// Accounts a second, each way, in one round.
#[derive(Clone, Copy, Debug)]
struct Measured {
    bulk: f64,
    single: f64,
    bare: f64,
    /// Processor time of an imported account at the command, the server, the gateway and the
    /// target, in microseconds.
    processor: [f64; 4],
    /// The same of a bare insert at the client and the target.
    of_bare: [f64; 2],
}

impl std::fmt::Display for Measured {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            bulk,
            single,
            bare,
            processor: [command, server, gateway, target],
            of_bare: [client, alone],
        } = self;
        write!(
            f,
            "{bulk:.0}/s; single {single:.0}/s; bare {bare:.0}/s; processor time {command:.0} + {server:.0} + {gateway:.0} + {target:.0} µs, bare {client:.0} + {alone:.0} µs"
        )
    }
}

async fn measure(site: &Site, plan: &Plan, target: Target, round: usize) -> Measured {
    let before = site.count(target);
    let accounts = plan.accounts.max(1);
    let idle = site.processor_time(target);
    let bulk = {
        let names = names(&format!("bulk{round}"), accounts);
        let took = site.import(target, &names, plan.in_flight);
        rate(accounts, took)
    };
    let imported = site.processor_time(target);
    let bare = {
        let names = names(&format!("bare{round}"), accounts);
        rate(
            accounts,
            bare::insert(site, target, &names, plan.connections),
        )
    };
    let inserted = site.processor_time(target);
    let single = {
        let names = names(&format!("single{round}"), plan.singles);
        rate(plan.singles, one_by_one(site, target, &names).await)
    };
    let made = site.count(target) - before;
    assert_eq!(made, 2 * accounts + plan.singles, "accounts that are there");
    let micros = |from: Duration, to: Duration| {
        to.saturating_sub(from).as_secs_f64() * 1e6 / accounts as f64
    };
    Measured {
        bulk,
        single,
        bare,
        processor: [0, 1, 2, 3].map(|place| micros(idle[place], imported[place])),
        of_bare: [0, 3].map(|place| micros(imported[place], inserted[place])),
    }
}

async fn one_by_one(site: &Site, target: Target, names: &[String]) -> Duration {
    let mut calls = site.admin.calls();
    let began = Instant::now();
    for name in names {
        let create = Create {
            object_class: ObjectClass::Account.into(),
            name: name.clone(),
            attributes: site::attributes(target, name),
            ..Create::default()
        };
        let request = portcullis_proto::admin::v1::ExecuteRequest {
            resource: target.name().to_owned(),
            call: Some(Call {
                call_id: format!("single-{}-{name}", target.name()),
                verb: Some(Verb::Create(create)),
                ..Call::default()
            }),
            ..Default::default()
        };
        let outcome = calls.execute(request).await.or_fail("a call").into_inner();
        let done = matches!(outcome.result, Some(outcome::Result::Done(_)));
        assert!(done, "{outcome:?}");
    }
    began.elapsed()
}

fn rate(count: usize, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64().max(0.000_001)
}
