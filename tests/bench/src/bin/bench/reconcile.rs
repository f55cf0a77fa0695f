//! `bench reconcile`.

use clap::{Args, ValueEnum};
use portcullis_bench::reconcile;

use super::Failure;

/// Threads for the bare client and its connection.
const THREADS: usize = 2;

#[derive(Args)]
pub(super) struct Options {
    /// One JSON object, the summary.
    #[arg(long)]
    json: bool,
    /// What the accounts lie in; it has to be installed.
    #[arg(long, value_enum, default_value_t = Target::Postgres)]
    target: Target,
    /// How many there are.
    #[arg(long, default_value_t = 1_000_000)]
    accounts: usize,
    /// How many of them the command asks for at a time (its `--page-size`).
    #[arg(long)]
    page_size: Option<u32>,
    /// Rounds, each of which measures the command and the bare client.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
}

#[derive(Clone, Copy, ValueEnum)]
enum Target {
    Postgres,
    Slapd,
}

pub(super) fn run(options: &Options) -> Result<(), Failure> {
    let plan = reconcile::Plan {
        kind: match options.target {
            Target::Postgres => reconcile::Kind::Postgres,
            Target::Slapd => reconcile::Kind::Slapd,
        },
        accounts: options.accounts.max(1),
        page_size: options.page_size,
        rounds: options.rounds,
    };
    let measuring = reconcile::run(&plan, |at| eprintln!("{at}"));
    let summary = super::runtime(THREADS)?.block_on(measuring)?;
    if options.json {
        println!("{}", serde_json::to_string(&summary)?);
    } else {
        print!("{}", summary.markdown());
    }
    Ok(())
}
