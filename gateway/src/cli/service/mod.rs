//! `service`: the service of Windows that runs this gateway.
#![cfg_attr(
    unix,
    allow(
        dead_code,
        reason = "there are no services of Windows here, but help is the same"
    )
)]

#[cfg(windows)]
mod install;
#[cfg(unix)]
#[path = "unix.rs"]
mod platform;
#[cfg(windows)]
#[path = "windows.rs"]
mod platform;
#[cfg(windows)]
mod remove;
#[cfg(windows)]
mod upgrade;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::CliError;
#[cfg(windows)]
pub(super) use platform::ServiceError;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// Set this gateway up as a service, from nothing where nothing is there: write its settings,
    /// take its token, install the service. What is there already is kept as it is; what fails
    /// leaves nothing behind
    Install(Install),
    /// Stop the service and remove it; settings, keys and journal stay
    Uninstall(Uninstall),
    /// Start the service, and wait until it runs
    Start(Which),
    /// Stop the service: calls under way are carried to their end
    Stop(Which),
    /// How the service is. Exit codes: 0 it runs, 1 it does not
    Status(Which),
    /// What the manager of services starts
    #[command(hide = true)]
    Run,
    /// Stop the services that run, for an installer that is about to replace the program
    #[command(hide = true)]
    Hold,
    /// Remove the services, for an installer that removes the program, and remember them
    #[command(hide = true)]
    Retire,
    /// Have again what was stopped or removed so
    #[command(hide = true)]
    Resume,
}

/// Of several gateways on one host.
#[derive(Debug, clap::Args)]
pub(super) struct Which {
    /// The gateway's name among others on this host (`instance` of its configuration)
    #[arg(
        long,
        value_name = "NAME",
        default_value = "",
        hide_default_value = true
    )]
    instance: String,
    /// Every gateway of this host that this program runs
    #[arg(long, conflicts_with = "instance")]
    all: bool,
}

/// An option that is given empty is as one that is not given: installers give all of them.
#[derive(Debug, clap::Args)]
#[cfg_attr(
    unix,
    allow(dead_code, reason = "there are no services of Windows here")
)]
pub(super) struct Install {
    /// The gateway's name among others on this host. Its configuration is then gateway-NAME.toml,
    /// its service PortcullisGateway-NAME
    #[arg(
        long,
        value_name = "NAME",
        default_value = "",
        hide_default_value = true
    )]
    instance: String,
    /// The server that this gateway dials; written into new settings
    #[arg(
        long,
        value_name = "HOST:PORT",
        default_value = "",
        hide_default_value = true
    )]
    server: String,
    /// Where the server dials this gateway, an address or a port alone [default: 0.0.0.0:9278];
    /// written into new settings
    #[arg(
        long,
        value_name = "IP:PORT",
        default_value = "",
        hide_default_value = true
    )]
    listen: String,
    /// A folder of scripts for the accounts and groups of this host (deploy/windows/accounts), as
    /// the connector `local` of new settings
    #[arg(
        long,
        value_name = "FOLDER",
        default_value = "",
        hide_default_value = true
    )]
    local_accounts: String,
    /// The enrolment token, in a file that only its owner, SYSTEM and Administrators can read
    #[arg(
        long,
        value_name = "FILE",
        default_value = "",
        hide_default_value = true
    )]
    token_file: String,
    /// Start the service as well, where the gateway is enrolled
    #[arg(long)]
    start: bool,
    /// Append what is said to this file, too: an installer shows nobody what its programs say
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
#[cfg_attr(
    unix,
    allow(dead_code, reason = "there are no services of Windows here")
)]
pub(super) struct Uninstall {
    #[command(flatten)]
    which: Which,
    /// Remove settings, keys, journal and log as well, for good: the gateway then has to be
    /// enrolled again, with a new token
    #[arg(long)]
    purge: bool,
}

/// Carries out a verb of `service`.
pub(super) fn service(config: Option<&Path>, verb: &Verb) -> Result<ExitCode, CliError> {
    platform::service(config, verb)
}
