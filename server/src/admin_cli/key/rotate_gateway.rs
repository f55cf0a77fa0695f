//! `portcullis key rotate-gateway`

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use clap::Args;
use portcullis_common::id::KeyId;
use portcullis_proto::admin::v1::RotateGatewayRequest;

use crate::admin_cli::context::Context;
use crate::admin_cli::error::CliError;

use super::kind::{self, Kind};
use super::{follow, wait_ms};

/// What has to be typed before every gateway is made to enrol again.
const CONFIRMATION: &str = "compromised";

#[derive(Debug, Args)]
pub(in crate::admin_cli) struct RotateGatewayArgs {
    /// The kind of the new key; that of the current one where none is given
    #[arg(long, value_enum)]
    kind: Option<Kind>,
    /// The current key may have been stolen: refuse it at once, and have the gateways enrol again by token
    #[arg(long)]
    compromised: bool,
    /// Do not ask to confirm --compromised
    #[arg(long, requires = "compromised")]
    yes: bool,
    /// How long to wait for connected gateways to prove the new key; 0s does not wait
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = humantime::parse_duration)]
    wait: Duration,
    /// Refuse unless this is the current key: two who rotate at once then make one new key, not two
    #[arg(long, value_name = "ID")]
    expected_current: Option<KeyId>,
}

impl RotateGatewayArgs {
    pub(in crate::admin_cli) async fn run(self, context: &Context) -> Result<(), CliError> {
        let wait_ms = wait_ms(self.wait)?;
        let mut keys = context.keys().await?;
        if self.compromised && !self.yes {
            confirm()?;
        }
        let stream = keys
            .rotate_gateway(RotateGatewayRequest {
                kind: kind::wire(self.kind).into(),
                expected_current: self
                    .expected_current
                    .map(|id| id.to_string())
                    .unwrap_or_default(),
                compromised: self.compromised,
                wait_ms,
            })
            .await?
            .into_inner();
        follow(context, stream).await
    }
}

fn confirm() -> Result<(), CliError> {
    let input = io::stdin();
    if !input.is_terminal() {
        return Err(CliError::usage(
            "--compromised cuts off every gateway until it enrols again by token: confirm with --yes",
        ));
    }
    // Shown on standard error: standard output is for the result.
    let _ = write!(
        io::stderr(),
        "Every gateway that holds the current key, or an older one, is refused from now on\n\
         and has to enrol again with a new token. Type \"{CONFIRMATION}\" to go on: "
    );
    let mut line = String::new();
    input.read_line(&mut line).map_err(CliError::Input)?;
    if line.trim() == CONFIRMATION {
        Ok(())
    } else {
        Err(CliError::usage("not confirmed: nothing has changed"))
    }
}
