//! `portcullis key rotate-gateway`

use std::io::{self, IsTerminal, Write};

use clap::Args;
use portcullis_common::id::KeyId;
use portcullis_proto::admin::v1::keys_client::KeysClient;
use portcullis_proto::admin::v1::{ListKeysRequest, RotateGatewayRequest};

use crate::context::Context;
use crate::error::CliError;

use super::kind::{self, Kind};
use super::push::{PushArgs, follow};

/// What has to be typed before every gateway is made to enrol again.
const CONFIRMATION: &str = "compromised";

#[derive(Debug, Args)]
pub(crate) struct RotateGatewayArgs {
    /// The kind of the new key; that of the current one where none is given
    #[arg(long, value_enum)]
    kind: Option<Kind>,
    /// The current key may have been stolen: refuse it at once, and have the gateways enrol again by token
    #[arg(long)]
    compromised: bool,
    /// Do not ask to confirm --compromised
    #[arg(long, requires = "compromised")]
    yes: bool,
    /// Take the current key back: end its push, never send it again, and move the gateways that may hold it, and no others,
    /// forward to the new key
    #[arg(long, conflicts_with_all = ["compromised", "groups"])]
    roll_back: bool,
    /// Refuse unless this is the current key; otherwise the one that is current when the command begins. So two who rotate
    /// at once make one new key, not two
    #[arg(long, value_name = "ID")]
    expected_current: Option<KeyId>,
    #[command(flatten)]
    push: PushArgs,
}

impl RotateGatewayArgs {
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        let wait_ms = self.push.wait_ms()?;
        let mut keys = context.client(KeysClient::new).await?;
        if self.compromised && !self.yes {
            confirm()?;
        }
        let expected_current = match self.expected_current {
            Some(id) => id.to_string(),
            None => {
                let listed = keys.list(ListKeysRequest {}).await?.into_inner().keys;
                let current = listed
                    .into_iter()
                    .find(|key| key.purpose == "gateway" && key.current);
                current.map(|key| key.key_id).unwrap_or_default()
            }
        };
        let stream = keys
            .rotate_gateway(RotateGatewayRequest {
                kind: kind::wire(self.kind).into(),
                expected_current,
                compromised: self.compromised,
                roll_back: self.roll_back,
                wait_ms,
                push: Some(self.push.options()),
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
