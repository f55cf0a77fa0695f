//! `enroll`

use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};

use portcullis_common::rotation::{EnrolError, EnrolmentToken};
use portcullis_host::text;
use zeroize::Zeroizing;

use super::{CliError, say, token_file};
use crate::config::{Config, Dial};
use crate::key_store;
use crate::state_dir::StateDir;

/// Longer than any token with the spaces around it, in bytes.
const MAX_INPUT: u64 = 1024;

/// The token is read from standard input, or from a file; never from the command line, where other
/// users would see it.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Read the token from this file instead of standard input
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Forget the key or token that this gateway holds; its sessions end
    #[arg(long)]
    replace: bool,
}

/// Takes a token into the key store.
pub(super) fn enroll(config: &Config, arguments: &Arguments) -> Result<(), CliError> {
    let token = match &arguments.token_file {
        Some(path) => from_file(path)?,
        None => from_input()?.parse()?,
    };
    let taken = take(config, &token, arguments.replace)?;
    say(&taken.said)?;
    if taken.is_new {
        say(&next(config)?)?;
    }
    Ok(())
}

/// What came of a token.
pub(super) struct Taken {
    /// Whether the store holds it now; else it was taken before, and nothing was changed.
    pub(super) is_new: bool,
    /// In words.
    pub(super) said: String,
}

/// Takes a token into the key store.
pub(super) fn take(
    config: &Config,
    token: &EnrolmentToken,
    replace: bool,
) -> Result<Taken, CliError> {
    let store = key_store::open(config);
    let enrolled = store.update_or_create(|record| {
        let enrolled = record.enrol(token, replace, &mut rand::rng())?;
        Ok::<_, CliError>((enrolled, ()))
    });
    // What is run again and again, by a tool that sets hosts up, finds its work done.
    if let Err(CliError::Enrol(EnrolError::Spent(id))) = enrolled {
        return Ok(Taken {
            is_new: false,
            said: format!(
                "already enrolled: this gateway is {id} and holds the key that the token brought; nothing was changed"
            ),
        });
    }
    enrolled?;
    Ok(Taken {
        is_new: true,
        said: format!(
            "the token is stored in {}; this gateway is {}",
            store.location(),
            token.gateway_id()
        ),
    })
}

/// The token in a file that nobody else can read.
pub(super) fn from_file(path: &Path) -> Result<EnrolmentToken, CliError> {
    Ok(token_file::read(path, MAX_INPUT)?.parse()?)
}

/// What happens next, and what to do for it.
pub(super) fn next(config: &Config) -> Result<String, CliError> {
    let running = StateDir::of(config).is_running()?;
    Ok(match (running, &config.dial) {
        (true, Dial::Listen(address)) => {
            format!(
                "the gateway is running: the server connects to port {} of this host by itself",
                address.port()
            )
        }
        (true, Dial::Out { server, .. }) => {
            format!("the gateway is running: it connects to {server} by itself")
        }
        (false, Dial::Listen(address)) => format!(
            "next: `portcullis-gateway run` (or start its service); the server then connects to port {} of this host by itself",
            address.port()
        ),
        (false, Dial::Out { server, .. }) => format!(
            "next: `portcullis-gateway run` (or start its service); it then connects to {server} by itself"
        ),
    })
}

fn from_input() -> Result<Zeroizing<String>, CliError> {
    if io::stdin().is_terminal() {
        return rpassword::prompt_password("enrolment token: ")
            .map(Zeroizing::new)
            .map_err(CliError::Input);
    }
    text::read(io::stdin(), MAX_INPUT).map_err(CliError::TokenInput)
}
