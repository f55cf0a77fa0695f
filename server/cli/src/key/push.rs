//! Whom a push of the gateway key reaches, how fast, and how it is followed.

use std::time::Duration;

use clap::Args;
use portcullis_proto::admin::v1::{PushEnd, PushOptions, SyncProgress};
use portcullis_proto::grpc::Messages;

use crate::context::Context;
use crate::error::CliError;
use crate::view::{SyncSummary, sync_line};

#[derive(Debug, Args)]
pub(crate) struct PushArgs {
    /// Push to the gateways in this group only; repeat for several. One that reconnects by itself gets the key in any case
    #[arg(long = "group", value_name = "G")]
    pub(super) groups: Vec<String>,
    /// Have so many gateways a minute reconnect, at moments left to chance; 0: as fast as they answer [default: 6000]
    #[arg(long, value_name = "N")]
    per_minute: Option<u32>,
    /// Ask again at once those that refused the key within the last minute, and dial those whose next attempt is due later
    #[arg(long)]
    force: bool,
    /// Follow the push for so long at most; it goes on in any case. 0s: one report. Otherwise until it has ended
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    wait: Option<Duration>,
}

impl PushArgs {
    pub(super) fn wait_ms(&self) -> Result<u32, CliError> {
        self.wait.map_or(Ok(u32::MAX), |wait| {
            u32::try_from(wait.as_millis())
                .map_err(|_| CliError::usage("--wait is too long: give at most 49d"))
        })
    }

    pub(super) fn options(self) -> PushOptions {
        PushOptions {
            groups: self.groups,
            per_minute: self.per_minute,
            force: self.force,
        }
    }
}

/// Follows a push to its end, tells what happens as it happens, and prints the summary.
pub(super) async fn follow(
    context: &Context,
    mut stream: Messages<SyncProgress>,
) -> Result<(), CliError> {
    let mut summary = SyncSummary::default();
    loop {
        let progress = stream
            .message()
            .await?
            .ok_or(CliError::BadAnswer("the report breaks off"))?;
        for result in &progress.results {
            context.note(&sync_line(result));
        }
        let (last, end) = (progress.last, progress.end());
        let key = progress.current_key_id.clone();
        summary.take(progress);
        if last {
            context.print(&summary)?;
            return match end {
                PushEnd::Superseded => Err(CliError::Superseded { key }),
                PushEnd::Complete | PushEnd::UnderWay | PushEnd::Unspecified => Ok(()),
            };
        }
    }
}
