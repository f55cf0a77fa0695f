//! Measures the sealed channel beside its peers: `cargo run --release -p portcullis-tests --bin bench -- rpc`.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Parser, Subcommand};
use portcullis_tests::bench::cipher;
use portcullis_tests::bench::peer::Peer;
use portcullis_tests::bench::report::Report;
use portcullis_tests::bench::{Plan, memory, reencrypt, run};
use serde_json::json;

/// Measures the sealed channel beside plaintext and mutual TLS.
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Calls, a bulk stream, handshakes and memory, for every peer in interleaved rounds.
    Rpc {
        /// One JSON object a line, the last a summary.
        #[arg(long)]
        json: bool,
        /// Rounds over all peers.
        #[arg(long, default_value_t = 5)]
        rounds: usize,
        /// Milliseconds that each figure is measured in each round.
        #[arg(long, default_value_t = 400)]
        slice_ms: u64,
        /// Worker threads, both ends together; the same for every peer.
        #[arg(long, default_value_t = 2)]
        threads: usize,
        /// Links held open to measure their memory.
        #[arg(long, default_value_t = 200)]
        idle_links: usize,
    },
    /// The cipher on one core, by every backend that this machine has, beside OpenSSL and the `des` crate.
    Cipher {
        /// One JSON object a line, the last a summary.
        #[arg(long)]
        json: bool,
        /// Rounds over all peers.
        #[arg(long, default_value_t = 11)]
        rounds: usize,
        /// Milliseconds that each figure is measured in each round.
        #[arg(long, default_value_t = 30)]
        slice_ms: u64,
    },
    /// Values re-encrypted in a second, for each kind of server key, beside a bare read and write-back of the same rows.
    Reencrypt {
        /// One JSON object a line, the last a summary.
        #[arg(long)]
        json: bool,
        /// Values in the repository.
        #[arg(long, default_value_t = 50_000)]
        values: usize,
        /// Rounds, each of which measures all four.
        #[arg(long, default_value_t = 7)]
        rounds: usize,
    },
    /// Holds idle links of one peer and prints the bytes of each (started by `rpc`).
    #[command(name = memory::SUBCOMMAND, hide = true)]
    IdleLinks {
        /// The peer's name.
        peer: String,
        /// How many.
        links: usize,
    },
}

fn main() -> ExitCode {
    match measure(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(command: Command) -> Result<(), Box<dyn std::error::Error>> {
    match command {
        Command::IdleLinks { peer, links } => {
            let peer = Peer::from_name(&peer).ok_or("no peer of that name")?;
            println!("{}", runtime(2)?.block_on(memory::hold(peer, links))?);
        }
        Command::Cipher {
            json,
            rounds,
            slice_ms,
        } => {
            let report = cipher::run(rounds.max(1), Duration::from_millis(slice_ms))?;
            print_cipher(&report, json, rounds.max(1), slice_ms);
        }
        Command::Reencrypt {
            json,
            values,
            rounds,
        } => {
            let (values, rounds) = (values.max(1), rounds.max(1));
            let began = Instant::now();
            let threads = std::thread::available_parallelism()?.get();
            let rows = runtime(threads)?
                .block_on(reencrypt::run(values, rounds, |at| eprintln!("{at}")))?;
            if json {
                for line in reencrypt::json_lines(&rows) {
                    println!("{line}");
                }
                println!(
                    "{}",
                    json!({
                        "summary": "reencrypt", "rounds": rounds, "values": values, "threads": threads,
                        "seconds": began.elapsed().as_secs_f64(), "optimized": !cfg!(debug_assertions),
                    })
                );
            } else {
                print!("{}", reencrypt::markdown(&rows));
                println!(
                    "\nMedians of {rounds} interleaved rounds over {values} values of 64 bytes, in brackets their range; \
                     {threads} processors, {:.0} s in all.",
                    began.elapsed().as_secs_f64()
                );
            }
        }
        Command::Rpc {
            json,
            rounds,
            slice_ms,
            threads,
            idle_links,
        } => {
            let plan = Plan {
                rounds: rounds.max(1),
                slice: Duration::from_millis(slice_ms),
                idle_links: idle_links.max(1),
            };
            let began = Instant::now();
            let report = runtime(threads)?.block_on(run::run(&plan, |at| eprintln!("{at}")))?;
            print(&report, json, &plan, threads, began.elapsed());
        }
    }
    Ok(())
}

fn runtime(threads: usize) -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads.max(1))
        .enable_all()
        .build()
}

fn print(report: &Report, json: bool, plan: &Plan, threads: usize, took: Duration) {
    if json {
        for line in report.json_lines() {
            println!("{line}");
        }
        println!(
            "{}",
            json!({
                "summary": "rpc", "rounds": plan.rounds, "slice_ms": plan.slice.as_millis() as u64, "threads": threads,
                "idle_links": plan.idle_links, "seconds": took.as_secs_f64(), "optimized": !cfg!(debug_assertions),
            })
        );
        return;
    }
    print!("{}", report.markdown());
    println!(
        "\nMedians of {} interleaved rounds, in brackets their range; the other columns are multiples of mutual TLS's median. \
         {threads} worker threads for both ends together, loopback TCP, one link, {:.0} s in all.",
        plan.rounds,
        took.as_secs_f64()
    );
}

fn print_cipher(report: &cipher::Report, json: bool, rounds: usize, slice_ms: u64) {
    if json {
        for line in report.json_lines() {
            println!("{line}");
        }
        println!(
            "{}",
            json!({"summary": "cipher", "rounds": rounds, "slice_ms": slice_ms, "optimized": !cfg!(debug_assertions)})
        );
        return;
    }
    print!("{}", report.markdown());
    println!(
        "\nMedians of {rounds} interleaved rounds of {slice_ms} ms, in brackets their range; a multiple is taken within its round. \
         Processor time of one thread, \
         one continuous keystream: the time to make it is counted in at every size."
    );
}
