//! `portcullis key sync-gateways`

use std::time::Duration;

use clap::Args;
use portcullis_proto::admin::v1::SyncGatewaysRequest;

use crate::admin_cli::context::Context;
use crate::admin_cli::error::CliError;

use super::{follow, wait_ms};

#[derive(Debug, Args)]
pub(in crate::admin_cli) struct SyncGatewaysArgs {
    /// How long to wait for connected gateways to prove the current key; 0s does not wait
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = humantime::parse_duration)]
    wait: Duration,
}

impl SyncGatewaysArgs {
    pub(in crate::admin_cli) async fn run(self, context: &Context) -> Result<(), CliError> {
        let wait_ms = wait_ms(self.wait)?;
        let stream = context
            .keys()
            .await?
            .sync_gateways(SyncGatewaysRequest { wait_ms })
            .await?
            .into_inner();
        follow(context, stream).await
    }
}
