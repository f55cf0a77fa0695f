//! `key show`, `key reset`

use std::io::{self, IsTerminal as _, Write as _};

use portcullis_host::clock;

use super::{CliError, say};
use crate::config::Config;
use crate::key_store;
use crate::listener::keys::Standing;

/// What confirms a reset.
const WORD: &str = "reset";

#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// Show the ids and states of the keys that this gateway holds, never the keys
    Show,
    /// Forget every key for good: this gateway then has to be enrolled again, with a new token
    Reset(ResetArguments),
}

#[derive(Debug, clap::Args)]
pub(super) struct ResetArguments {
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

/// Carries out `key show` or `key reset`.
pub(super) fn key(config: &Config, verb: &Verb) -> Result<(), CliError> {
    match verb {
        Verb::Show => show(config),
        Verb::Reset(arguments) => reset(config, arguments),
    }
}

fn show(config: &Config) -> Result<(), CliError> {
    let store = key_store::open(config);
    let standing = Standing::from(&store.load()?);
    say(&format!("store        {}", store.location()))?;
    for line in describe(&standing) {
        say(&line)?;
    }
    Ok(())
}

/// What a record holds, a line each: states and ids.
pub(super) fn describe(standing: &Standing) -> Vec<String> {
    let ids = [
        ("gateway", standing.gateway_id.map(|id| id.to_string())),
        ("active", standing.active.map(|id| id.to_string())),
        ("pending", standing.pending.map(|id| id.to_string())),
        ("token", standing.enrolment.map(|id| id.to_string())),
        ("pairing", standing.pairing_until.map(open_until)),
    ];
    let lines: Vec<_> = ids
        .into_iter()
        .filter_map(|(what, id)| Some(format!("{what:<12} {}", id?)))
        .collect();
    if lines.is_empty() {
        return vec![
            "holds no key and pairing is closed: run `portcullis-gateway enroll`".to_owned(),
        ];
    }
    lines
}

fn open_until(until: portcullis_common::rotation::UnixMillis) -> String {
    if until > clock::now() {
        format!("open until {}", clock::text(until))
    } else {
        format!("was open until {}", clock::text(until))
    }
}

fn reset(config: &Config, arguments: &ResetArguments) -> Result<(), CliError> {
    let store = key_store::open(config);
    if !arguments.yes {
        confirm(&store.location())?;
    }
    store.reset()?;
    say(&format!("every key in {} is forgotten", store.location()))?;
    say(
        "next: `portcullis gateway token NAME` on the server makes a new token; give it to `portcullis-gateway enroll`",
    )
}

fn confirm(location: &str) -> Result<(), CliError> {
    if io::stdin().is_terminal() {
        eprint!(
            "this forgets every key in {location} for good, and ends this gateway's sessions.\ntype `{WORD}` to go on: "
        );
        io::stderr().flush().map_err(CliError::Output)?;
    }
    let mut answer = String::new();
    io::stdin()
        .read_line(&mut answer)
        .map_err(CliError::Input)?;
    if answer.trim() == WORD {
        Ok(())
    } else {
        Err(CliError::NotConfirmed("the reset"))
    }
}
