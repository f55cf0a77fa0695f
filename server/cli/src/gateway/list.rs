//! `portcullis gateway list`

use clap::{Args, ValueEnum};
use portcullis_proto::admin::v1::gateways_client::GatewaysClient;
use portcullis_proto::admin::v1::{GatewayCounts, GatewayState, ListGatewaysRequest};

use crate::context::Context;
use crate::error::CliError;
use crate::time::now;
use crate::view::View;

/// Which gateways. Of --down, --behind, --ahead, --alarms and --never-enrolled any one is enough; a
/// group and a state narrow that.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Only gateways in this group; repeat for several
    #[arg(long = "group", value_name = "G")]
    groups: Vec<String>,
    /// Only gateways in this state; repeat for several
    #[arg(long = "state", value_enum, value_name = "S")]
    states: Vec<State>,
    /// Those that are enrolled and not connected
    #[arg(long)]
    down: bool,
    /// Those that have not proved the current gateway key
    #[arg(long)]
    behind: bool,
    /// Those that refuse the key that they proved last: they hold a newer one than a server that
    /// was restored from a backup
    #[arg(long)]
    ahead: bool,
    /// Those with open alarms
    #[arg(long)]
    alarms: bool,
    /// Those that are registered and never enrolled
    #[arg(long)]
    never_enrolled: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum State {
    Registered,
    Enrolled,
    Evicted,
    Revoked,
    /// Its record was changed by hand
    Changed,
}

impl ListArgs {
    pub(super) async fn run(self, context: &Context) -> Result<(), CliError> {
        let mut gateways = context.client(GatewaysClient::new).await?;
        let asked = !self.groups.is_empty() || !self.states.is_empty() || self.conditions();
        let listed = gateways.list(self.request()).await?.into_inner();
        if context.json() {
            return context.print(&listed.gateways);
        }
        let counts = listed.counts.unwrap_or_default();
        let text = match listed.gateways.is_empty() && counts.registered > 0 && asked {
            true => "no gateway is like that".to_owned(),
            false => listed.gateways.table(now()),
        };
        context.line(&format!("{text}{}", foot(&counts)))
    }

    const fn conditions(&self) -> bool {
        self.down || self.behind || self.ahead || self.alarms || self.never_enrolled
    }

    fn request(self) -> ListGatewaysRequest {
        let states = self.states.into_iter().map(|state| match state {
            State::Registered => GatewayState::Registered.into(),
            State::Enrolled => GatewayState::Enrolled.into(),
            State::Evicted => GatewayState::Evicted.into(),
            State::Revoked => GatewayState::Revoked.into(),
            State::Changed => GatewayState::Changed.into(),
        });
        ListGatewaysRequest {
            groups: self.groups,
            states: states.collect(),
            down: self.down,
            behind: self.behind,
            ahead: self.ahead,
            alarms: self.alarms,
            never_enrolled: self.never_enrolled,
        }
    }
}

fn foot(counts: &GatewayCounts) -> String {
    match counts.registered {
        0 => String::new(),
        _ => format!("\n\n{}", sentence(counts)),
    }
}

/// All of them in one line.
pub(crate) fn sentence(counts: &GatewayCounts) -> String {
    let mut parts = vec![
        format!("{} registered", counts.registered),
        format!("{} up", counts.up),
    ];
    let more = [
        (counts.down, "down"),
        (counts.never_enrolled, "never enrolled"),
        (counts.shut_out, "evicted or revoked"),
        (counts.behind, "behind"),
        (counts.ahead, "ahead"),
        (counts.with_alarms, "with alarms"),
    ];
    let more = more.into_iter().filter(|(count, _)| *count > 0);
    parts.extend(more.map(|(count, what)| format!("{count} {what}")));
    parts.join(", ")
}
