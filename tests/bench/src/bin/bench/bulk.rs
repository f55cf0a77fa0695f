//! `bench bulk`.

use clap::{Args, ValueEnum};
use portcullis_bench::bulk::{self, Plan, Target};
use serde_json::json;

use super::Failure;

/// Threads for the single calls; all else is processes.
const THREADS: usize = 2;

#[derive(Args)]
pub(super) struct Options {
    /// One JSON object a line, the last a summary.
    #[arg(long)]
    json: bool,
    /// Accounts imported into each target in each round, by one command.
    #[arg(long, default_value_t = 10_000)]
    accounts: usize,
    /// Single calls in each round.
    #[arg(long, default_value_t = 200)]
    singles: usize,
    /// Rounds over all three ways.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Calls in flight.
    #[arg(long, default_value_t = 32)]
    in_flight: usize,
    /// Connections to the target: the gateway's, and the bare client's.
    #[arg(long, default_value_t = 8)]
    connections: usize,
    /// Have the database keep no ledger of calls, neither the gateway's nor the bare client's.
    #[arg(long)]
    without_ledger: bool,
    /// Only this target.
    #[arg(long, value_enum)]
    target: Option<Only>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Only {
    Sql,
    Ldap,
}

pub(super) fn run(options: &Options) -> Result<(), Failure> {
    let plan = Plan {
        accounts: options.accounts.max(1),
        singles: options.singles.max(1),
        rounds: options.rounds.max(1),
        in_flight: options.in_flight,
        connections: options.connections,
        ledger: !options.without_ledger,
    };
    let targets = match options.target {
        None => Target::ALL.to_vec(),
        Some(Only::Sql) => vec![Target::Sql],
        Some(Only::Ldap) => vec![Target::Ldap],
    };
    let measured = bulk::run(&plan, &targets, |at| eprintln!("{at}"));
    let report = super::runtime(THREADS)?.block_on(measured);
    let Plan {
        accounts,
        singles,
        rounds,
        in_flight,
        connections,
        ledger,
    } = plan;
    if options.json {
        for line in report.json_lines() {
            println!("{line}");
        }
        println!(
            "{}",
            json!({
                "summary": "bulk", "accounts": accounts, "singles": singles, "rounds": rounds, "in_flight": in_flight,
                "connections": connections, "ledger": ledger, "seconds": report.seconds, "optimized": !cfg!(debug_assertions),
            })
        );
        return Ok(());
    }
    print!("{}", report.markdown());
    println!(
        "\nMedians of {rounds} interleaved rounds, in brackets their range; multiples are taken within a round. \
         {accounts} accounts imported into each target in each round through one link, {in_flight} calls in flight, \
         {connections} connections to the target, {} ledger; {:.0} s in all.",
        if ledger { "with a" } else { "without a" },
        report.seconds
    );
    Ok(())
}
