//! `bench fleet`.

use clap::Args;
use portcullis_bench::fleet::{self, Engine};
use portcullis_directories::Postgres;

use super::Failure;

/// Threads for those who ask the server; the gateways have their own.
const THREADS: usize = 2;

#[derive(Args)]
pub(super) struct Options {
    /// One JSON object a run, its summary.
    #[arg(long)]
    json: bool,
    /// How many; every second one dials out.
    #[arg(long, default_value_t = 10_000)]
    gateways: usize,
    /// What stores the repository. Of `postgres` one is started, after a run with a file in the
    /// same place, and the rotation is compared with the one of that run.
    #[arg(long, value_enum, default_value_t)]
    engine: Engine,
}

pub(super) fn run(options: &Options) -> Result<(), Failure> {
    if options.engine == Engine::Postgres && !Postgres::is_installed() {
        return Err("PostgreSQL is not installed".into());
    }
    let file = measure(options, Engine::Sqlite)?;
    let mut broken = file.broken.clone();
    if options.engine == Engine::Postgres {
        let database = measure(options, Engine::Postgres)?;
        let ratio = fleet::rotation_ratio(&file, &database);
        match options.json {
            true => println!("{}", serde_json::json!({"rotation_ratio": ratio})),
            false => println!("\nrotation: {ratio:.2} times the time with a file"),
        }
        broken.extend(database.broken);
    }
    if broken.is_empty() {
        Ok(())
    } else {
        Err(broken.join("; ").into())
    }
}

fn measure(options: &Options, engine: Engine) -> Result<fleet::Summary, Failure> {
    let plan = fleet::Plan {
        engine,
        ..fleet::Plan::new(options.gateways)
    };
    let summary = super::runtime(THREADS)?.block_on(fleet::run(&plan, |at| eprintln!("{at}")));
    if options.json {
        println!("{}", serde_json::to_string(&summary)?);
    } else {
        print!("{}", summary.markdown());
    }
    Ok(summary)
}
