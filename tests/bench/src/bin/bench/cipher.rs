//! `bench cipher`.

use std::time::Duration;

use clap::Args;
use portcullis_bench::cipher;
use serde_json::json;

use super::Failure;

#[derive(Args)]
pub(super) struct Options {
    /// One JSON object a line, the last a summary.
    #[arg(long)]
    json: bool,
    /// Rounds over all peers.
    #[arg(long, default_value_t = 11)]
    rounds: usize,
    /// Milliseconds that each figure is measured in each round.
    #[arg(long, default_value_t = 30)]
    slice_ms: u64,
}

pub(super) fn run(options: &Options) -> Result<(), Failure> {
    let (rounds, slice_ms) = (options.rounds.max(1), options.slice_ms);
    let report = cipher::run(rounds, Duration::from_millis(slice_ms))?;
    if options.json {
        for line in report.json_lines() {
            println!("{line}");
        }
        println!(
            "{}",
            json!({"summary": "cipher", "rounds": rounds, "slice_ms": slice_ms, "optimized": !cfg!(debug_assertions)})
        );
        return Ok(());
    }
    print!("{}", report.markdown());
    println!(
        "\nMedians of {rounds} interleaved rounds of {slice_ms} ms, in brackets their range; a multiple is taken within its round. \
         Processor time of one thread, \
         one continuous keystream: the time to make it is counted in at every size."
    );
    Ok(())
}
