//! `bench rpc`.

use std::time::{Duration, Instant};

use clap::Args;
use portcullis_bench::rpc::{self, Plan, Subject};
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
    /// Gives each end so many threads of its own instead.
    #[arg(long)]
    apart: bool,
    /// Only this subject, and without --json mutual TLS beside it (may be given several times).
    #[arg(long, value_name = "NAME", value_parser = Subject::from_name)]
    subject: Vec<Subject>,
    /// Only these calls, and no streams (may be given several times).
    #[arg(long, value_name = "BYTESxIN_FLIGHT", value_parser = calls)]
    calls: Vec<(usize, usize)>,
}

pub(super) fn run(options: &Options) -> Result<(), Failure> {
    let near = super::runtime(options.threads)?;
    let far = match options.apart {
        true => Some(super::runtime(options.threads)?),
        false => None,
    };
    let mut subjects = Subject::ALL.to_vec();
    if !options.subject.is_empty() {
        let beside = |subject: &Subject| !options.json && *subject == Subject::MutualTls;
        subjects.retain(|subject| options.subject.contains(subject) || beside(subject));
    }
    let plan = Plan {
        rounds: options.rounds.max(1),
        slice: Duration::from_millis(options.slice_ms),
        subjects,
        calls: options.calls.clone(),
        far: far.as_ref().unwrap_or(&near).handle().clone(),
    };
    let began = Instant::now();
    let report = near.block_on(rpc::run(&plan, |at| eprintln!("{at}")))?;
    let seconds = began.elapsed().as_secs_f64();
    if options.json {
        for line in report.json_lines() {
            println!("{line}");
        }
        println!(
            "{}",
            json!({
                "summary": "rpc", "rounds": plan.rounds, "slice_ms": options.slice_ms, "threads": options.threads, "apart": options.apart,
                "seconds": seconds, "optimized": !cfg!(debug_assertions),
            })
        );
        return Ok(());
    }
    print!("{}", report.markdown());
    println!(
        "\nMedians of {} interleaved rounds, in brackets their range; the other columns are multiples of mutual TLS's median. \
         {} worker threads for {}, loopback TCP, one link, {seconds:.0} s in all.",
        plan.rounds,
        options.threads,
        if options.apart {
            "each end"
        } else {
            "both ends together"
        }
    );
    Ok(())
}

fn calls(text: &str) -> Result<(usize, usize), String> {
    let parsed = text.split_once('x').and_then(|(payload, in_flight)| {
        let pair = (payload.parse().ok()?, in_flight.parse().ok()?);
        (rpc::PAYLOADS.contains(&pair.0) && rpc::IN_FLIGHT.contains(&pair.1)).then_some(pair)
    });
    parsed.ok_or_else(|| {
        format!(
            "payloads are {:?} bytes, and {:?} in flight: as `256x1`",
            rpc::PAYLOADS,
            rpc::IN_FLIGHT
        )
    })
}
