//! `bench fleet`.

use clap::Args;
use portcullis_bench::fleet;

use super::Failure;

/// Threads for those who ask the server; the gateways have their own.
const THREADS: usize = 2;

#[derive(Args)]
pub(super) struct Options {
    /// One JSON object, the summary.
    #[arg(long)]
    json: bool,
    /// How many; every second one dials out.
    #[arg(long, default_value_t = 10_000)]
    gateways: usize,
}

pub(super) fn run(options: &Options) -> Result<(), Failure> {
    let plan = fleet::Plan::new(options.gateways);
    let summary = super::runtime(THREADS)?.block_on(fleet::run(&plan, |at| eprintln!("{at}")));
    if options.json {
        println!("{}", serde_json::to_string(&summary)?);
    } else {
        print!("{}", summary.markdown());
    }
    if summary.broken.is_empty() {
        Ok(())
    } else {
        Err(summary.broken.join("; ").into())
    }
}
