//! `portcullis gateway …`: the agents on the resource hosts.

mod add;
mod alarms;
mod at_once;
mod bundle;
mod connectors;
mod install;
mod life;
mod list;
mod log;
mod made;
mod many;
mod roster;
mod token;
mod tokens;
mod view;

use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use portcullis_proto::admin::v1::gateways_client::GatewaysClient;
use portcullis_proto::admin::v1::{
    EvictGatewayRequest, PingGatewayRequest, PingGatewayResponse, RestoreGatewayRequest,
    RevokeGatewayRequest, SetGatewayRequest, ShowGatewayRequest,
};
use serde_json::json;
use tonic::Code;

use crate::context::Context;
use crate::error::{CliError, code};
use crate::view::printable;
pub(crate) use list::sentence as counts_sentence;
use token::TokenOutput;

/// How often a gateway that is away is pinged.
const AGAIN: Duration = Duration::from_millis(200);

#[derive(Debug, Subcommand)]
pub(crate) enum GatewayCommand {
    /// Register a gateway and print its enrolment token, this once; or many, with a bundle each:
    /// --count, --from
    Add(Box<add::AddArgs>),
    /// Make a new enrolment token: lost, expired, or the gateway was evicted. For many: --out
    Token(tokens::TokenArgs),
    /// Change how a gateway is reached, and which groups it is in
    Set {
        /// The gateway's name
        name: String,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// List the gateways: all, or those to be looked after (--down --behind --ahead --alarms)
    List(list::ListArgs),
    /// Show one gateway: its link, its key, its connectors, its last error
    Show {
        /// The gateway's name
        name: String,
    },
    /// Send a gateway a few bytes through the sealed channel and back; where there is no link and
    /// the server dials it, it dials at once
    Ping {
        /// The gateway's name
        name: String,
        /// Try again until it answers, for so long at most (`10s`, `2m`)
        #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
        wait: Option<Duration>,
    },
    /// Print the last lines of a gateway's log
    Log {
        /// The gateway's name
        name: String,
        /// How many: it keeps 1,000, and sends at most 96 KiB
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
        lines: u32,
    },
    /// Have a gateway log more for a limited time, or stop that
    LogLevel(log::LevelArgs),
    /// End a gateway's session and forget its key: it may enrol again, with a new token
    Evict {
        /// The gateway's name
        name: String,
    },
    /// Refuse a gateway, end its session and forget its key; `restore` lets it enrol again
    Revoke {
        /// The gateway's name
        name: String,
    },
    /// Let a revoked gateway enrol again: prints a new token, which has to be given to its host
    Restore {
        /// The gateway's name
        name: String,
        #[command(flatten)]
        output: TokenOutput,
    },
    /// List what has to be looked into: those open, raised last first
    Alarms {
        /// Only this gateway's
        name: Option<String>,
        /// Also those that were acknowledged, or that ended since the gateway enrolled anew
        #[arg(long)]
        all: bool,
    },
    /// Close a gateway's alarms, once you have looked into them
    Acknowledge {
        /// The gateway's name
        name: String,
        /// What was found; it stands in the audit log
        #[arg(long)]
        reason: String,
        /// Only this one; `gateway alarms` shows the numbers
        #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(i64).range(1..))]
        alarm: Option<i64>,
    },
    /// Forget a gateway, and end its session: its name may be given again. Nothing on its host is
    /// touched
    Remove {
        /// The gateway's name
        name: String,
        /// Also remove the resources that lie on it, and cancel what is queued for them
        #[arg(long)]
        force: bool,
    },
    /// Give a gateway another name: its key stays, its resources and queued calls follow
    Rename {
        /// The gateway's name
        name: String,
        /// The name that it is to have
        new_name: String,
    },
}

#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub(crate) struct ChangeArgs {
    /// The server dials the gateway there; the port is 9278 where none is given
    #[arg(long, value_name = "HOST:PORT", conflicts_with = "dial_out")]
    address: Option<String>,
    /// The gateway dials the server
    #[arg(long)]
    dial_out: bool,
    /// Put it into this group; repeat for several
    #[arg(long = "add-group", value_name = "G")]
    add_groups: Vec<String>,
    /// Take it out of this group; repeat for several
    #[arg(long = "remove-group", value_name = "G")]
    remove_groups: Vec<String>,
    /// Whether it is reached through TLS alone; a link without TLS is cut
    #[arg(long, value_name = "BOOL")]
    require_tls: Option<bool>,
}

impl GatewayCommand {
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        let connect = || context.client(GatewaysClient::new);
        let gateway = match self {
            Self::Add(args) => return args.run(context).await,
            Self::Token(args) => return args.run(context).await,
            Self::Restore { name, output } => {
                let sink = output.open()?;
                let request = RestoreGatewayRequest { name };
                let made = connect().await?.restore(request).await?.into_inner();
                return sink.hand_over(context, made.gateway, made.token);
            }
            Self::List(args) => return args.run(context).await,
            Self::Ping { name, wait } => {
                let answer = ping(context, name, wait.unwrap_or_default()).await?;
                return say_pong(context, answer);
            }
            Self::Log { name, lines } => return log::show(context, name, lines).await,
            Self::LogLevel(args) => return log::level(context, args).await,
            Self::Alarms { name, all } => return alarms::list(context, name, all).await,
            Self::Acknowledge {
                name,
                reason,
                alarm,
            } => return alarms::acknowledge(context, name, reason, alarm).await,
            Self::Remove { name, force } => return life::remove(context, name, force).await,
            Self::Rename { name, new_name } => return life::rename(context, name, new_name).await,
            Self::Set { name, change } => connect().await?.set(change.request(name)).await?,
            Self::Show { name } => connect().await?.show(ShowGatewayRequest { name }).await?,
            Self::Evict { name } => connect().await?.evict(EvictGatewayRequest { name }).await?,
            Self::Revoke { name } => {
                let request = RevokeGatewayRequest { name };
                connect().await?.revoke(request).await?
            }
        };
        context.print(&gateway.into_inner())
    }
}

impl ChangeArgs {
    fn request(self, name: String) -> SetGatewayRequest {
        SetGatewayRequest {
            name,
            address: self.address,
            dial_out: self.dial_out,
            add_groups: self.add_groups,
            remove_groups: self.remove_groups,
            require_tls: self.require_tls,
        }
    }
}

/// Pings, and again while the gateway is away, for `wait` at most.
async fn ping(
    context: &Context,
    name: String,
    wait: Duration,
) -> Result<PingGatewayResponse, CliError> {
    let begun = Instant::now();
    loop {
        let mut gateways = context.client(GatewaysClient::new).await?;
        let request = PingGatewayRequest { name: name.clone() };
        match gateways.ping(request).await {
            Ok(answer) => return Ok(answer.into_inner()),
            Err(status) if code(&status) == Code::Unavailable && begun.elapsed() < wait => {
                tokio::time::sleep(AGAIN).await;
            }
            Err(status) => return Err(status.into()),
        }
    }
}

fn say_pong(context: &Context, answer: PingGatewayResponse) -> Result<(), CliError> {
    let gateway = answer.gateway.ok_or(CliError::BadAnswer("no gateway"))?;
    let sentence = format!(
        "{} answered in {:?} ({} mode, {}, key {})",
        printable(&gateway.name),
        Duration::from_micros(answer.round_trip_us),
        printable(&gateway.mode),
        printable(&gateway.suite),
        printable(&gateway.session_key_id),
    );
    context.say(
        &sentence,
        &json!({
            "gateway": gateway.name,
            "round_trip_us": answer.round_trip_us,
            "mode": gateway.mode,
            "suite": gateway.suite,
            "key_id": gateway.session_key_id,
        }),
    )
}
