//! `portcullis gateway log|log-level`

use std::time::Duration;

use clap::Args;
use portcullis_proto::admin::v1::gateways_client::GatewaysClient;
use portcullis_proto::admin::v1::{GatewayLog, LogMoreOfGatewayRequest, ShowGatewayLogRequest};
use serde_json::json;

use crate::context::Context;
use crate::error::CliError;
use crate::time::rough;
use crate::view::{printable, some};

#[derive(Debug, Args)]
pub(crate) struct LevelArgs {
    /// The gateway's name
    name: String,
    /// `info`, `debug` or `trace`, or `portcullis_…=LEVEL` for a part of the program; several
    /// between commas
    #[arg(required_unless_present = "reset")]
    level: Option<String>,
    /// For how long (`10m`): at most an hour, after which it ends by itself
    #[arg(long = "for", value_name = "TIME", default_value = "10m", value_parser = humantime::parse_duration)]
    lasting: Duration,
    /// Back to what the gateway's configuration says, at once
    #[arg(long, conflicts_with_all = ["level", "lasting"])]
    reset: bool,
}

pub(super) async fn show(context: &Context, name: String, lines: u32) -> Result<(), CliError> {
    let mut gateways = context.client(GatewaysClient::new).await?;
    let request = ShowGatewayLogRequest { name, lines };
    let log = gateways.show_log(request).await?.into_inner();
    if context.json() {
        return context.print_json(&json!({
            "gateway": log.gateway,
            "version": log.version,
            "lines": log.lines,
            "more": some(&log.more),
            "more_left_ms": log.more_left_ms,
            "faults": log.faults,
        }));
    }
    if !log.more.is_empty() {
        context.note(&more(&log));
    }
    note_faults(context, &log);
    let lines = log.lines.iter().map(|line| printable(line));
    context.line(&lines.collect::<Vec<_>>().join("\n"))
}

pub(super) async fn level(context: &Context, args: LevelArgs) -> Result<(), CliError> {
    let LevelArgs {
        name,
        level,
        lasting,
        reset,
    } = args;
    let mut gateways = context.client(GatewaysClient::new).await?;
    let lasting = if reset { Duration::ZERO } else { lasting };
    let request = LogMoreOfGatewayRequest {
        name,
        filter: level.unwrap_or_default(),
        for_ms: lasting.as_millis().try_into().unwrap_or(u32::MAX),
    };
    let log = gateways.log_more(request).await?.into_inner();
    note_faults(context, &log);
    let sentence = if log.more.is_empty() {
        let name = printable(&log.gateway);
        format!("gateway {name} logs what its configuration says")
    } else {
        more(&log)
    };
    context.say(
        &sentence,
        &json!({
            "gateway": log.gateway,
            "version": log.version,
            "more": some(&log.more),
            "more_left_ms": log.more_left_ms,
            "faults": log.faults,
        }),
    )
}

/// Which processes of the gateway what is told does not hold for.
fn note_faults(context: &Context, log: &GatewayLog) {
    for fault in &log.faults {
        context.note(&printable(fault));
    }
}

fn more(log: &GatewayLog) -> String {
    format!(
        "gateway {} logs {} besides what its configuration says, for {} yet",
        printable(&log.gateway),
        printable(&log.more),
        rough(Duration::from_millis(log.more_left_ms.into())),
    )
}
