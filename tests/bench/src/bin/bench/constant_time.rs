//! `bench constant-time`.

use clap::Args;
use portcullis_bench::constant_time;

use super::Failure;

#[derive(Args)]
pub(super) struct Options {
    /// One JSON object a line, the last a summary.
    #[arg(long)]
    json: bool,
    /// Measurements of each target, both classes together.
    #[arg(long, default_value_t = 10_000_000)]
    measurements: usize,
    /// What the inputs come of; random where none is given.
    #[arg(long)]
    seed: Option<u64>,
    /// Only the targets whose names contain this, and the controls.
    #[arg(long, default_value = "")]
    only: String,
}

pub(super) fn run(options: &Options) -> Result<(), Failure> {
    let seed = options.seed.unwrap_or_else(rand::random);
    let report = constant_time::run(options.measurements, seed, &options.only, |at| {
        eprintln!("{at}")
    });
    if options.json {
        for line in report.json_lines() {
            println!("{line}");
        }
    } else {
        print!("{}", report.markdown());
    }
    Ok(report.verdict()?)
}
