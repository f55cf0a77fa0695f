//! `bench footprint`.

use clap::Args;
use portcullis_bench::footprint;

use super::Failure;

/// Threads for the measurement itself.
const THREADS: usize = 2;

#[derive(Args)]
pub(super) struct Options {
    /// One JSON object, the summary.
    #[arg(long)]
    json: bool,
    /// How often each gateway is started and measured.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
}

pub(super) fn run(options: &Options) -> Result<(), Failure> {
    let plan = footprint::Plan::new(options.rounds);
    let measured = footprint::run_all(&plan, |at| eprintln!("{at}"));
    let summary = super::runtime(THREADS)?.block_on(measured)?;
    if options.json {
        println!("{}", serde_json::to_string(&summary)?);
    } else {
        print!("{}", summary.markdown());
    }
    Ok(())
}
