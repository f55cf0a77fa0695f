//! Pushes of the gateway key: what starts one, whom it reaches, and how far it has got.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use clap::Args;
use portcullis_common::id::KeyId;
use portcullis_proto::admin::v1::keys_client::KeysClient;
use portcullis_proto::admin::v1::{
    ListKeysRequest, PushEnd, PushOptions, RotateGatewayRequest, SyncGatewaysRequest, SyncProgress,
    SyncResult, SyncState,
};
use portcullis_proto::grpc::Messages;
use serde_json::{Value, json};

use super::view::{Kind, kind_of};
use crate::context::Context;
use crate::error::CliError;
use crate::input::prompt::confirm_or;
use crate::task::follow::{Where, started};
use crate::time::{age, rfc3339};
use crate::view::{View, list, printable, some};

const EXAMPLES: &str = "\
Examples:
  portcullis key rotate-gateway
  portcullis key rotate-gateway --group canary --wait 10m
  portcullis key rotate-gateway --compromised";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct RotateGatewayArgs {
    /// The kind of the new key; that of the current one where none is given
    #[arg(long, value_enum)]
    kind: Option<Kind>,
    /// The current key may have been stolen: refuse it at once, and have the gateways enrol again
    /// by token
    #[arg(long)]
    compromised: bool,
    /// Do not ask to confirm --compromised
    #[arg(long, requires = "compromised")]
    yes: bool,
    /// Take the current key back: end its push, never send it again, and move the gateways that may
    /// hold it, and no others, forward to the new key
    #[arg(long, conflicts_with_all = ["compromised", "groups"])]
    roll_back: bool,
    /// Refuse unless this is the current key; otherwise the one that is current when the command
    /// begins. So two who rotate at once make one new key, not two
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
            confirm_or(
                "--compromised cuts off every gateway until it enrols again by token: confirm with --yes",
                "Every gateway that holds the current key, or an older one, is refused from now on\n\
                 and has to enrol again with a new token. ",
                "compromised",
            )?;
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
        let request = RotateGatewayRequest {
            kind: kind_of(self.kind).into(),
            expected_current,
            compromised: self.compromised,
            roll_back: self.roll_back,
            wait_ms,
            push: Some(self.push.options()),
        };
        let reports = keys.rotate_gateway(request).await?.into_inner();
        follow(context, reports).await
    }
}

#[derive(Debug, Args)]
pub(crate) struct SyncGatewaysArgs {
    #[command(flatten)]
    push: PushArgs,
    /// Push as a task, and print its number at once
    #[arg(long, conflicts_with = "wait")]
    background: bool,
}

impl SyncGatewaysArgs {
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        let request = SyncGatewaysRequest {
            wait_ms: self.push.wait_ms()?,
            push: Some(self.push.options()),
        };
        let mut keys = context.client(KeysClient::new).await?;
        if self.background {
            let answer = keys.start_sync(request).await?;
            return started(context, answer.into_inner(), Where::background()).await;
        }
        let reports = keys.sync_gateways(request).await?.into_inner();
        follow(context, reports).await
    }
}

/// Whom a push reaches, how fast, and how long it is followed.
#[derive(Debug, Args)]
struct PushArgs {
    /// Push to the gateways in this group only; repeat for several. One that reconnects by itself
    /// gets the key in any case
    #[arg(long = "group", value_name = "G")]
    groups: Vec<String>,
    /// Have so many gateways a minute reconnect, at moments left to chance; 0: as fast as they
    /// answer [default: 6000]
    #[arg(long, value_name = "N")]
    per_minute: Option<u32>,
    /// Ask again at once those that refused the key within the last minute, and dial those whose
    /// next attempt is due later
    #[arg(long)]
    force: bool,
    /// Follow the push for so long at most; it goes on in any case. 0s: one report. Otherwise until
    /// it has ended
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    wait: Option<Duration>,
}

impl PushArgs {
    fn wait_ms(&self) -> Result<u32, CliError> {
        self.wait.map_or(Ok(u32::MAX), |wait| {
            u32::try_from(wait.as_millis())
                .map_err(|_| CliError::usage("--wait is too long: give at most 49d"))
        })
    }

    fn options(self) -> PushOptions {
        PushOptions {
            groups: self.groups,
            per_minute: self.per_minute,
            force: self.force,
        }
    }
}

/// Follows a push to its end, tells what happens as it happens, and prints the summary.
async fn follow(context: &Context, mut reports: Messages<SyncProgress>) -> Result<(), CliError> {
    let mut summary = SyncSummary::default();
    loop {
        let progress = reports
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

/// The last that was heard of each gateway.
#[derive(Debug, Default)]
struct SyncSummary {
    last: SyncProgress,
    gateways: BTreeMap<String, SyncResult>,
}

impl SyncSummary {
    /// Takes in one message of the stream.
    fn take(&mut self, mut progress: SyncProgress) {
        for result in std::mem::take(&mut progress.results) {
            self.gateways.insert(result.gateway.clone(), result);
        }
        self.last = progress;
    }

    fn counts(&self) -> [(u32, &'static str); 6] {
        [
            (self.last.pending, "pending"),
            (self.last.away, "away"),
            (self.last.refused, "refused"),
            (self.last.must_enrol, "must enrol again"),
            (self.last.ahead, "ahead of this server"),
            (self.last.not_in_scope, "not in scope"),
        ]
    }
}

/// One line about one gateway, as it happens.
fn sync_line(result: &SyncResult) -> String {
    let detail = if result.detail.is_empty() {
        String::new()
    } else {
        format!(": {}", printable(&result.detail))
    };
    let since = match (result.state(), rfc3339(result.last_seen_unix_ms)) {
        (SyncState::Away, Some(time)) => format!(" since {time}"),
        _ => String::new(),
    };
    format!(
        "{}: {}{since}{detail}",
        printable(&result.gateway),
        state_phrase(result.state())
    )
}

impl View for SyncSummary {
    fn table(&self, now: SystemTime) -> String {
        let mut head = format!(
            "gateway key: {}\n{} of {} enrolled gateways have proved it",
            printable(&self.last.current_key_id),
            self.last.synchronized,
            self.last.total
        );
        for (count, what) in self.counts().into_iter().filter(|(count, _)| *count > 0) {
            head.push_str(&format!(", {count} {what}"));
        }
        if !self.last.withdrawn_key_id.is_empty() {
            head.push_str(&format!(
                "\nwithdrawn: {}, never sent again",
                printable(&self.last.withdrawn_key_id)
            ));
        }
        if self.last.end() == PushEnd::UnderWay {
            head.push_str("\nthe push goes on");
        }
        let late: Vec<_> = self
            .gateways
            .values()
            .filter(|result| result.state() != SyncState::Synchronized)
            .map(|result| {
                vec![
                    result.gateway.clone(),
                    state_phrase(result.state()).to_owned(),
                    age(result.last_seen_unix_ms, now).unwrap_or_else(|| "never".to_owned()),
                    result.detail.clone(),
                ]
            })
            .collect();
        if late.is_empty() {
            return head;
        }
        format!(
            "{head}\n\n{}",
            list(&["gateway", "state", "seen", "detail"], late)
        )
    }

    fn json(&self) -> Value {
        let gateways: Vec<_> = self
            .gateways
            .values()
            .map(|result| {
                json!({
                    "gateway": result.gateway,
                    "state": state_word(result.state()),
                    "detail": result.detail,
                    "last_seen": rfc3339(result.last_seen_unix_ms),
                })
            })
            .collect();
        json!({
            "current_key_id": self.last.current_key_id,
            "withdrawn_key_id": some(&self.last.withdrawn_key_id),
            "end": end_word(self.last.end()),
            "synchronized": self.last.synchronized,
            "away": self.last.away,
            "pending": self.last.pending,
            "refused": self.last.refused,
            "must_enrol": self.last.must_enrol,
            "ahead": self.last.ahead,
            "not_in_scope": self.last.not_in_scope,
            "total": self.last.total,
            "gateways": gateways,
        })
    }
}

fn end_word(end: PushEnd) -> &'static str {
    match end {
        PushEnd::UnderWay => "under-way",
        PushEnd::Complete => "complete",
        PushEnd::Superseded => "superseded",
        PushEnd::Unspecified => "unknown",
    }
}

fn state_word(state: SyncState) -> &'static str {
    match state {
        SyncState::Synchronized => "synchronized",
        SyncState::Away => "away",
        SyncState::Pending => "pending",
        SyncState::Refused => "refused",
        SyncState::MustEnrol => "must-enrol",
        SyncState::Ahead => "ahead",
        SyncState::NotInScope => "not-in-scope",
        SyncState::Unspecified => "unknown",
    }
}

fn state_phrase(state: SyncState) -> &'static str {
    match state {
        SyncState::Synchronized => "has proved the current key",
        SyncState::Away => "away",
        SyncState::Pending => "pending",
        SyncState::Refused => "refused the key",
        SyncState::MustEnrol => "must enrol again by token",
        SyncState::Ahead => "ahead of this server",
        SyncState::NotInScope => "not in scope",
        SyncState::Unspecified => "unknown to this version",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::tests::{NOW_MS, now};

    const KEY: &str = "3des-00112233445566778899aabbccddeeff";

    #[test]
    fn a_push_tells_who_is_late_and_the_last_word_of_each_counts() {
        let result = |gateway: &str, state: SyncState| SyncResult {
            gateway: gateway.to_owned(),
            state: state.into(),
            detail: String::new(),
            last_seen_unix_ms: NOW_MS - 3_600_000,
        };
        let mut summary = SyncSummary::default();
        for (synchronized, results) in [
            (
                0,
                vec![
                    result("web1", SyncState::Pending),
                    result("db1", SyncState::Away),
                ],
            ),
            (1, vec![result("web1", SyncState::Synchronized)]),
        ] {
            summary.take(SyncProgress {
                current_key_id: KEY.to_owned(),
                synchronized,
                total: 2,
                away: 1,
                results,
                end: PushEnd::Complete.into(),
                withdrawn_key_id: "3des-ff".to_owned(),
                ..SyncProgress::default()
            });
        }
        assert_eq!(
            summary.table(now()),
            "gateway key: 3des-00112233445566778899aabbccddeeff\n\
             1 of 2 enrolled gateways have proved it, 1 away\n\
             withdrawn: 3des-ff, never sent again\n\
             \n\
             GATEWAY  STATE  SEEN     DETAIL\n\
             db1      away   1 h ago"
        );
        assert_eq!(
            summary.json(),
            json!({
                "current_key_id": KEY,
                "withdrawn_key_id": "3des-ff",
                "end": "complete",
                "synchronized": 1,
                "ahead": 0,
                "away": 1,
                "pending": 0,
                "refused": 0,
                "must_enrol": 0,
                "not_in_scope": 0,
                "total": 2,
                "gateways": [
                    { "gateway": "db1", "state": "away", "detail": "", "last_seen": "2027-01-15T07:00:00Z" },
                    { "gateway": "web1", "state": "synchronized", "detail": "", "last_seen": "2027-01-15T07:00:00Z" },
                ],
            })
        );
    }
}
