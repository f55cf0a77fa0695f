//! `bench tls`.

use std::time::Duration;

use clap::Args;
use portcullis_bench::tls;
use serde_json::json;

use super::Failure;

#[derive(Args)]
pub(super) struct Options {
    /// One JSON object a line, the last a summary.
    #[arg(long)]
    json: bool,
    /// Rounds; each measures both suites, with TLS and without.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Milliseconds that each figure is measured in each round.
    #[arg(long, default_value_t = 400)]
    slice_ms: u64,
    /// Worker threads, both ends together.
    #[arg(long, default_value_t = 2)]
    threads: usize,
}

pub(super) fn run(options: &Options) -> Result<(), Failure> {
    let Options {
        slice_ms, threads, ..
    } = *options;
    let rounds = options.rounds.max(1);
    let plan = tls::Plan {
        rounds,
        slice: Duration::from_millis(slice_ms),
    };
    let measured = tls::run(&plan, |at| eprintln!("{at}"));
    let report = super::runtime(threads)?.block_on(measured)?;
    if options.json {
        for line in report.json_lines() {
            println!("{line}");
        }
        println!(
            "{}",
            json!({
                "summary": "tls", "rounds": rounds, "slice_ms": slice_ms, "threads": threads,
                "optimized": !cfg!(debug_assertions),
            })
        );
        return Ok(());
    }
    print!("{}", report.markdown());
    println!(
        "\nMedians of {rounds} rounds of {slice_ms} ms, in brackets their range; a multiple is taken within its round. \
         {threads} worker threads for both ends together, loopback TCP, certificates with P-256."
    );
    Ok(())
}
