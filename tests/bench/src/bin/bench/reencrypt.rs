//! `bench reencrypt`.

use std::time::Instant;

use clap::Args;
use portcullis_bench::reencrypt;
use serde_json::json;

use super::Failure;

#[derive(Args)]
pub(super) struct Options {
    /// One JSON object a line, the last a summary.
    #[arg(long)]
    json: bool,
    /// Values in the repository.
    #[arg(long, default_value_t = 50_000)]
    values: usize,
    /// Rounds, each of which measures all four.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
}

pub(super) fn run(options: &Options) -> Result<(), Failure> {
    let (values, rounds) = (options.values.max(1), options.rounds.max(1));
    let began = Instant::now();
    let threads = std::thread::available_parallelism()?.get();
    let runtime = super::runtime(threads)?;
    let rows = runtime.block_on(reencrypt::run(values, rounds, |at| eprintln!("{at}")))?;
    let seconds = began.elapsed().as_secs_f64();
    if options.json {
        for line in reencrypt::json_lines(&rows) {
            println!("{line}");
        }
        println!(
            "{}",
            json!({
                "summary": "reencrypt", "rounds": rounds, "values": values, "threads": threads,
                "seconds": seconds, "optimized": !cfg!(debug_assertions),
            })
        );
        return Ok(());
    }
    print!("{}", reencrypt::markdown(&rows));
    println!(
        "\nMedians of {rounds} interleaved rounds over {values} values of 64 bytes, in brackets their range; \
         {threads} processors, {seconds:.0} s in all."
    );
    Ok(())
}
