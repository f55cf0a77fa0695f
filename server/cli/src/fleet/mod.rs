//! `portcullis fleet …`: the versions that the gateways run, and how others take their place.

mod view;
mod waves;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use portcullis_proto::admin::v1::fleet_client::FleetClient;
use portcullis_proto::admin::v1::gateways_client::GatewaysClient;
use portcullis_proto::admin::v1::{
    ResumeUpgradeRequest, ShowGatewayRequest, StopUpgradeRequest, UpgradeCheckRequest,
    UpgradeRequest, UpgradeStatusRequest, UpgradeStatusResponse,
};
use serde_json::json;
use tonic::Code;

use crate::context::Context;
use crate::error::{CliError, code};
use crate::task::follow::{Where, go_on, started};
use crate::view::printable;

const EXAMPLES: &str = "\
The file has a line for each wave, in their order: its name, and its members.

  first:  host1 @canary     # a gateway, and those of a group
  berlin: @berlin
  rest:   *                 # whoever is in no wave yet

The server sends no program. What sets the hosts up asks `portcullis fleet upgrade released --gateway NAME` (exit 0: now), and installs.";

#[derive(Debug, Subcommand)]
pub(crate) enum FleetCommand {
    /// Tell which gateways go on with a server of this version; ends with 1 where one does not. Of
    /// those that were never connected nobody knows
    UpgradeCheck {
        /// MAJOR.MINOR.PATCH
        version: String,
    },
    /// Release the gateways to be upgraded, one wave after the other, and see that each wave is
    /// back before the next
    Upgrade(UpgradeArgs),
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, after_help = EXAMPLES)]
pub(crate) struct UpgradeArgs {
    #[command(subcommand)]
    verb: Option<UpgradeVerb>,
    /// The waves, in this file
    #[arg(long, value_name = "FILE", requires = "to")]
    waves: Option<PathBuf>,
    /// The version that the gateways are to come back in
    #[arg(long, value_name = "VERSION", requires = "waves")]
    to: Option<String>,
    /// How long each wave has until all of it is back; then no further one is released
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = humantime::parse_duration)]
    within: Duration,
    /// How long all of a wave has to stay well before the next one is released
    #[arg(long, value_name = "TIME", default_value = "1m", value_parser = humantime::parse_duration)]
    settle: Duration,
    /// Say only who would be in which wave
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    place: Where,
}

#[derive(Debug, Subcommand)]
enum UpgradeVerb {
    /// Show the upgrade that was started last, wave by wave
    Status,
    /// List the gateways that may be upgraded now, a line each; with --gateway, say it of one
    Released {
        /// Only this one: exit 0 where it may be upgraded now, 1 where it may not, 2 where there is
        /// no such gateway
        #[arg(long, value_name = "NAME")]
        gateway: Option<String>,
    },
    /// Release no further wave, and nothing of the one that is under way any more
    Stop,
    /// Go on with the wave at which the upgrade stopped
    Resume {
        #[command(flatten)]
        place: Where,
    },
}

impl FleetCommand {
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        match self {
            Self::UpgradeCheck { version } => check(context, version).await,
            Self::Upgrade(args) => args.run(context).await,
        }
    }
}

async fn check(context: &Context, version: String) -> Result<(), CliError> {
    let mut fleet = context.client(FleetClient::new).await?;
    let request = UpgradeCheckRequest { version };
    let checked = fleet.upgrade_check(request).await?.into_inner();
    context.print(&checked)?;
    let misfits = checked
        .gateways
        .iter()
        .filter(|one| view::is_misfit(one))
        .count();
    match (checked.server_fits, misfits) {
        (true, 0) => Ok(()),
        (server_fits, gateways) => Err(CliError::VersionsUnfit {
            server: !server_fits,
            gateways,
        }),
    }
}

impl UpgradeArgs {
    async fn run(self, context: &Context) -> Result<(), CliError> {
        let mut fleet = context.client(FleetClient::new).await?;
        match self.verb {
            None => {}
            Some(UpgradeVerb::Status) => {
                let status = fleet.upgrade_status(UpgradeStatusRequest {}).await?;
                return context.print(&status.into_inner());
            }
            Some(UpgradeVerb::Released { gateway }) => {
                let status = fleet.upgrade_status(UpgradeStatusRequest {}).await?;
                return released(context, &status.into_inner(), gateway).await;
            }
            Some(UpgradeVerb::Stop) => {
                let stopped = fleet.stop_upgrade(StopUpgradeRequest {}).await?;
                return context.print(&stopped.into_inner());
            }
            Some(UpgradeVerb::Resume { place }) => {
                let task = fleet.resume_upgrade(ResumeUpgradeRequest {}).await?;
                return go_on(context, &task.into_inner(), place).await;
            }
        }
        let (Some(file), Some(version)) = (self.waves, self.to) else {
            return Err(CliError::usage(
                "give --waves FILE --to VERSION, or one of: status, released, stop, resume",
            ));
        };
        let request = UpgradeRequest {
            version,
            waves: waves::read(&file)?,
            within_ms: millis(self.within),
            settle_ms: millis(self.settle),
            dry_run: self.dry_run,
        };
        let begun = fleet.upgrade(request).await?.into_inner();
        started(context, begun, self.place).await
    }
}

/// Those that may be upgraded now.
async fn released(
    context: &Context,
    status: &UpgradeStatusResponse,
    gateway: Option<String>,
) -> Result<(), CliError> {
    let waves = status.waves.iter().filter(|wave| wave.released);
    let names: Vec<_> = waves.flat_map(|wave| &wave.gateways).collect();
    match gateway {
        Some(name) if names.contains(&&name) => context.say(
            &format!(
                "gateway {} may be upgraded to {} now",
                printable(&name),
                printable(&status.version)
            ),
            &json!({ "gateway": name, "version": status.version, "released": true }),
        ),
        Some(name) => {
            exists(context, &name).await?;
            Err(CliError::NotReleased { gateway: name })
        }
        None => {
            let lines: Vec<_> = names.iter().map(|name| printable(name)).collect();
            let text = match lines.is_empty() {
                true => String::new(),
                false => lines.join("\n") + "\n",
            };
            match context.json() {
                true => {
                    context.print_json(&json!({ "version": status.version, "gateways": names }))
                }
                false => context.write(&text),
            }
        }
    }
}

/// Whoever waits for a gateway that there is not would wait for ever.
async fn exists(context: &Context, name: &str) -> Result<(), CliError> {
    let mut gateways = context.client(GatewaysClient::new).await?;
    let name = name.to_owned();
    match gateways
        .show(ShowGatewayRequest { name: name.clone() })
        .await
    {
        Err(status) if code(&status) == Code::NotFound => Err(CliError::Usage(format!(
            "there is no gateway `{}`: `portcullis gateway list` shows those there are",
            printable(&name)
        ))),
        shown => Ok(shown.map(|_| ())?),
    }
}

/// As milliseconds; what is longer than can be is refused by the server.
fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
