//! Fault runs: `cargo run -p portcullis-chaos -- links --kills 100`, `… simulation --seeds 5000`,
//! `… rotation --gateways 1000`, `… keys --seeds 2000`, `… servers --seeds 2000`, `… calls --calls
//! 10000`.

use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use portcullis_chaos::seeds::Options;
use portcullis_chaos::{audit, durable, keys, links, rotation, servers, simulation};
use portcullis_directories::Postgres;
use serde_json::{Value, json};

/// Failures that are printed in full.
const SHOWN: usize = 5;

/// Breaks things at random and checks what has to hold nevertheless. Ends with 1 where a promise
/// was broken.
#[derive(Parser)]
struct Cli {
    /// One JSON object a line, the last a summary.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Kills server and gateways while calls run and keys rotate.
    Links {
        /// Processes to kill.
        #[arg(long, default_value_t = 100)]
        kills: u32,
        /// Gateways; every second one dials out.
        #[arg(long, default_value_t = 2)]
        gateways: usize,
        /// Who is killed and when; random where not given, and always printed.
        #[arg(long)]
        seed: Option<u64>,
    },
    /// Rotates the gateway key of a fleet of simulated gateways: some away, some dying, one key
    /// rolled back.
    Rotation {
        /// How many; every second one dials out.
        #[arg(long, default_value_t = 1000)]
        gateways: usize,
        /// Who is away, who dies and when; random where not given, and always printed.
        #[arg(long)]
        seed: Option<u64>,
    },
    /// Kills server and gateway under calls, and looks for each call in the audit log.
    Audit {
        /// Calls, half of them queued.
        #[arg(long, default_value_t = 1000)]
        calls: u32,
        /// Who is killed and when; random where not given, and always printed.
        #[arg(long)]
        seed: Option<u64>,
        /// What to break, to see that it is noticed.
        #[arg(long, hide = true)]
        fault: Option<audit::Fault>,
    },
    /// Makes calls on real directories, databases and account files, kills and cuts everything
    /// meanwhile, and looks what is there in the end.
    Calls {
        /// How many.
        #[arg(long, default_value_t = 10_000)]
        calls: usize,
        /// Which calls are made, and what is killed; random where not given, and always printed.
        #[arg(long)]
        seed: Option<u64>,
        /// Only on these; else on all that are installed.
        #[arg(long, value_enum)]
        only: Vec<durable::Kind>,
        /// What to break, to see that it is noticed.
        #[arg(long, hide = true)]
        fault: Option<durable::Fault>,
    },
    /// Both ends under a fake clock, one world for each seed.
    Simulation {
        /// How many.
        #[arg(long, default_value_t = 5000)]
        seeds: u64,
        /// The first; random where not given, and always printed.
        #[arg(long)]
        first: Option<u64>,
    },
    /// Several servers on one repository, under clocks of their own, one world for each seed.
    Servers {
        /// How many.
        #[arg(long, default_value_t = 2000)]
        seeds: u64,
        /// The first; random where not given, and always printed.
        #[arg(long)]
        first: Option<u64>,
        /// A rule to break, to see that it is noticed; its number.
        #[arg(long, hide = true)]
        fault: Option<usize>,
    },
    /// All that is done with keys, over a real repository, with a crash at any write and any
    /// message: one world for each seed.
    Keys {
        /// How many.
        #[arg(long, default_value_t = 2000)]
        seeds: u64,
        /// The first; random where not given, and always printed.
        #[arg(long)]
        first: Option<u64>,
        /// What stores the repositories: `postgres` starts one, with a database for each seed.
        #[arg(long, value_enum, default_value_t = EngineName::Sqlite)]
        engine: EngineName,
        /// A rule to break, to see that it is noticed; its number.
        #[arg(long, hide = true)]
        fault: Option<usize>,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum EngineName {
    Sqlite,
    Postgres,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let kept = match cli.command {
        Command::Links {
            kills,
            gateways,
            seed,
        } => links(kills, gateways, seed, cli.json),
        Command::Rotation { gateways, seed } => rotation(gateways, seed, cli.json),
        Command::Audit { calls, seed, fault } => audit(calls, seed, fault, cli.json),
        Command::Calls {
            calls,
            seed,
            only,
            fault,
        } => durable(
            &durable::Plan {
                calls,
                seed: seed.unwrap_or_else(rand::random),
                only,
                fault,
            },
            cli.json,
        ),
        Command::Simulation { seeds, first } => Ok(simulation(seeds, first, cli.json)),
        Command::Servers {
            seeds,
            first,
            fault,
        } => Ok(servers(seeds, first, fault, cli.json)),
        Command::Keys {
            seeds,
            first,
            engine,
            fault,
        } => keys(engine, seeds, first, fault, cli.json),
    };
    match kept {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("chaos: {error}");
            ExitCode::FAILURE
        }
    }
}

fn links(
    kills: u32,
    gateways: usize,
    seed: Option<u64>,
    json: bool,
) -> Result<bool, Box<dyn std::error::Error>> {
    let plan = links::Plan {
        kills,
        gateways,
        seed: seed.unwrap_or_else(rand::random),
    };
    eprintln!("seed {}", plan.seed);
    let runtime = tokio::runtime::Runtime::new()?;
    let summary = runtime.block_on(links::run(&plan, |event| tell(event, json)));
    let kept = summary.broken.is_empty();
    if json {
        println!("{}", serde_json::to_string(&summary)?);
    } else {
        println!(
            "{} kills ({} of the server), {} rotations, {} calls done, {} failed, {} indeterminate, {} without an answer; \
             links back after {} ms (median), {} ms (longest); {:.0} s",
            summary.kills,
            summary.server_kills,
            summary.rotations,
            summary.calls.done,
            summary.calls.failed,
            summary.calls.indeterminate,
            summary.calls.unanswered,
            summary.recovery_ms_median,
            summary.recovery_ms_max,
            summary.seconds
        );
        for broken in &summary.broken {
            println!("BROKEN: {broken}");
        }
        if kept {
            println!(
                "every link came back, every gateway ended on the current key, no call was carried out twice"
            );
        }
    }
    Ok(kept)
}

fn rotation(
    gateways: usize,
    seed: Option<u64>,
    json: bool,
) -> Result<bool, Box<dyn std::error::Error>> {
    let plan = rotation::Plan {
        gateways,
        seed: seed.unwrap_or_else(rand::random),
    };
    eprintln!("seed {}", plan.seed);
    let runtime = tokio::runtime::Runtime::new()?;
    let summary = runtime.block_on(rotation::run(&plan, |event| tell(event, json)));
    let kept = summary.broken.is_empty();
    if json {
        println!("{}", serde_json::to_string(&summary)?);
        return Ok(kept);
    }
    let [empty, linked, after] = summary.server_kib;
    println!(
        "{} gateways, {} away, {} died: enrolled in {} ms; rotation {} ms from the command to the last proof, {} ms with those \
         that died; those away caught up in {} ms; {} holders of a key rolled back moved on in {} ms; {} a minute took {} ms; \
         server {empty} KiB, {linked} KiB with all links ({:.1} KiB each), {after} KiB at the end; {:.0} s",
        summary.gateways,
        summary.away,
        summary.crashed,
        summary.enrolled_ms,
        summary.rotation_ms,
        summary.rotation_with_crashed_ms,
        summary.caught_up_ms,
        summary.withdrawn_holders,
        summary.roll_back_ms,
        summary.per_minute,
        summary.paced_ms,
        summary.kib_per_link,
        summary.seconds
    );
    for broken in &summary.broken {
        println!("BROKEN: {broken}");
    }
    if kept {
        println!(
            "every reachable gateway ended on the current key, the others were listed exactly and caught up, none went back"
        );
    }
    Ok(kept)
}

fn audit(
    calls: u32,
    seed: Option<u64>,
    fault: Option<audit::Fault>,
    json: bool,
) -> Result<bool, Box<dyn std::error::Error>> {
    let plan = audit::Plan {
        calls,
        seed: seed.unwrap_or_else(rand::random),
        fault,
    };
    eprintln!("seed {}", plan.seed);
    let runtime = tokio::runtime::Runtime::new()?;
    let summary = runtime.block_on(audit::run(&plan, |event| tell(event, json)));
    let kept = summary.broken.is_empty();
    if json {
        println!("{}", serde_json::to_string(&summary)?);
        return Ok(kept);
    }
    println!(
        "{} calls ({} queued), {} kills of the server, {} of the gateway; the audit log's last word: {}; {} told by the \
         gateway afterwards; {:.0} s",
        summary.calls,
        summary.queued,
        summary.server_kills,
        summary.gateway_kills,
        json!(summary.outcomes),
        summary.reported,
        summary.seconds
    );
    for broken in &summary.broken {
        println!("BROKEN: {broken}");
    }
    if kept {
        println!("every call has its entries, and the last of them says what was seen");
    }
    Ok(kept)
}

fn durable(plan: &durable::Plan, json: bool) -> Result<bool, Box<dyn std::error::Error>> {
    eprintln!("seed {}", plan.seed);
    // Servers are started and asked by programs that are waited for.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(8)
        .enable_all()
        .build()?;
    let summary = runtime.block_on(durable::run(plan, |event| tell(event, json)));
    match json {
        true => println!("{}", serde_json::to_string(&summary)?),
        false => println!("{summary}"),
    }
    Ok(summary.broken.is_empty())
}

fn tell(event: &Value, json: bool) {
    if json {
        println!("{event}");
    } else {
        eprintln!("{event}");
    }
}

fn simulation(seeds: u64, first: Option<u64>, json: bool) -> bool {
    let first = first.unwrap_or_else(|| u64::from(rand::random::<u32>()));
    eprintln!("seeds from {first}");
    let report = simulation::run(first..first.saturating_add(seeds), Options::default());
    for failure in &report.failures {
        if json {
            println!("{}", json!(failure));
        } else {
            println!("seed {}: BROKEN: {}", failure.seed, failure.promise);
        }
    }
    let seconds = report.took.as_secs_f64();
    if json {
        println!(
            "{}",
            json!({"summary": "simulation", "first": first, "seeds": report.seeds, "failures": report.failures.len(),
                "counts": report.counts, "seconds": seconds})
        );
    } else {
        println!(
            "{} seeds from {first}, {} broke a promise; {:.1} s\n{}",
            report.seeds,
            report.failures.len(),
            seconds,
            json!(report.counts)
        );
    }
    report.failures.is_empty() && report.seeds == seeds
}

fn servers(seeds: u64, first: Option<u64>, fault: Option<usize>, json: bool) -> bool {
    let first = first.unwrap_or_else(|| u64::from(rand::random::<u32>()));
    eprintln!("seeds from {first}");
    let fault = fault.and_then(|number| servers::Fault::ALL.get(number).copied());
    let options = fault.map_or_else(Options::default, Options::breaking);
    let report = servers::run(first..first.saturating_add(seeds), options);
    let seconds = report.took.as_secs_f64();
    if json {
        for failure in &report.failures {
            println!("{}", json!(failure));
        }
        println!(
            "{}",
            json!({"summary": "servers", "first": first, "seeds": report.seeds, "failures": report.failures.len(),
                "counts": report.counts, "seconds": seconds})
        );
    } else {
        for failure in report.failures.iter().take(SHOWN) {
            println!("seed {}: BROKEN: {}", failure.seed, failure.promise);
            println!(
                "again: chaos -- servers --first {} --seeds 1 --json",
                failure.seed
            );
        }
        println!(
            "{} seeds from {first}, {} broke a promise; {seconds:.1} s\n{}",
            report.seeds,
            report.failures.len(),
            json!(report.counts)
        );
    }
    report.failures.is_empty() && report.seeds == seeds
}

fn keys(
    engine: EngineName,
    seeds: u64,
    first: Option<u64>,
    fault: Option<usize>,
    json: bool,
) -> Result<bool, Box<dyn std::error::Error>> {
    let first = first.unwrap_or_else(|| u64::from(rand::random::<u32>()));
    eprintln!("seeds from {first}");
    let fault = fault.and_then(|number| keys::Fault::ALL.get(number).copied());
    let options = fault.map_or_else(Options::default, Options::breaking);
    let engine = match engine {
        EngineName::Sqlite => keys::Engine::Sqlite,
        EngineName::Postgres if !Postgres::is_installed() => {
            return Err("PostgreSQL is not installed".into());
        }
        EngineName::Postgres => tokio::runtime::Runtime::new()?.block_on(keys::Engine::postgres()),
    };
    let report = keys::run(&engine, first..first.saturating_add(seeds), options)?;
    let seconds = report.took.as_secs_f64();
    let (points, died) = report.covered();
    if json {
        for failure in &report.failures {
            println!("{}", json!(failure));
        }
        println!(
            "{}",
            json!({"summary": "keys", "first": first, "seeds": report.seeds, "failures": report.failures.len(),
                "counts": report.counts, "points": report.points, "seconds": seconds})
        );
    } else {
        for failure in report.failures.iter().take(SHOWN) {
            println!("seed {}: BROKEN: {}", failure.seed, failure.promise);
            for step in &failure.trace {
                println!("    {step}");
            }
            println!(
                "again, with the same --engine: chaos -- keys --first {} --seeds 1",
                failure.seed
            );
        }
        println!(
            "{} seeds from {first}, {} broke a promise; {seconds:.1} s\n{}\n{points} crash points (before or after a write of an \
             operation) reached, a crash at {died} of them",
            report.seeds,
            report.failures.len(),
            json!(report.counts)
        );
    }
    Ok(report.failures.is_empty() && report.seeds == seeds)
}
