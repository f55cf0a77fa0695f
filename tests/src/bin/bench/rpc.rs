//! `bench rpc`.

use std::time::{Duration, Instant};

use clap::Args;
use portcullis_tests::bench::rpc::{self, Plan};
use serde_json::json;

use super::Failure;

#[derive(Args)]
pub(super) struct Options {
    /// One JSON object a line, the last a summary.
    #[arg(long)]
    json: bool,
    /// Rounds over all subjects.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Milliseconds that each figure is measured in each round.
    #[arg(long, default_value_t = 400)]
    slice_ms: u64,
    /// Worker threads, both ends together; the same for every subject.
    #[arg(long, default_value_t = 2)]
    threads: usize,
}

pub(super) fn run(options: &Options) -> Result<(), Failure> {
    let plan = Plan {
        rounds: options.rounds.max(1),
        slice: Duration::from_millis(options.slice_ms),
    };
    let began = Instant::now();
    let runtime = super::runtime(options.threads)?;
    let report = runtime.block_on(rpc::run(&plan, |at| eprintln!("{at}")))?;
    let seconds = began.elapsed().as_secs_f64();
    if options.json {
        for line in report.json_lines() {
            println!("{line}");
        }
        println!(
            "{}",
            json!({
                "summary": "rpc", "rounds": plan.rounds, "slice_ms": options.slice_ms, "threads": options.threads,
                "seconds": seconds, "optimized": !cfg!(debug_assertions),
            })
        );
        return Ok(());
    }
    print!("{}", report.markdown());
    println!(
        "\nMedians of {} interleaved rounds, in brackets their range; the other columns are multiples of mutual TLS's median. \
         {} worker threads for both ends together, loopback TCP, one link, {seconds:.0} s in all.",
        plan.rounds, options.threads
    );
    Ok(())
}
