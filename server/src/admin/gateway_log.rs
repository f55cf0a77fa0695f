//! The log of a gateway.

use std::time::Duration;

use portcullis_host::log::{MAX_LINES, MoreLog, NoMoreLog};
use portcullis_proto::admin::v1 as proto;
use portcullis_proto::control::MAX_MORE_LOG;
use prost::Message as _;
use zeroize::Zeroizing;

use super::context::Context;
use super::elsewhere::{IfLost, ThroughLink};
use super::error::AdminError;
use super::gateways::shown;
use super::request::{About, Front, Method, Request, change};
use crate::access::Target;
use crate::config::Capability::Administrator;
use crate::fleet::{GatewayLog, LogError};

/// Lines where the request does not say how many.
const LINES: u32 = 100;
/// The shortest time for which more is logged.
const SHORTEST: Duration = Duration::from_secs(1);

pub(super) fn offer(front: &mut impl Front) {
    front.offer::<proto::ShowGatewayLogRequest>();
    front.offer::<proto::LogMoreOfGatewayRequest>();
}

impl Request for proto::ShowGatewayLogRequest {
    type Answer = proto::GatewayLog;

    /// Audited although it changes nothing: the lines name the accounts of others' calls.
    const METHOD: Method = change("Gateways/ShowLog", &[Administrator]);

    fn about(&self) -> About {
        About::gateway(&self.name)
    }

    fn through_link(&self) -> Option<ThroughLink> {
        Some(ThroughLink {
            target: Target::Gateway(self.name.clone()),
            message: Zeroizing::new(self.encode_to_vec()),
            if_lost: IfLost::Again,
        })
    }

    async fn run(self, context: &Context) -> Result<proto::GatewayLog, AdminError> {
        let (services, name) = (&context.services, self.name);
        let lines = match self.lines {
            0 => LINES,
            lines if usize::try_from(lines).is_ok_and(|lines| lines <= MAX_LINES) => lines,
            _ => {
                return Err(AdminError::Malformed(format!(
                    "a gateway keeps {MAX_LINES} lines at most: ask for no more"
                )));
            }
        };
        // A gateway that does not exist is told apart from one that is away.
        shown(services, &name).await?;
        let log = services.fleet.read_log(&name, lines).await?;
        context.note.add(format!("{} lines", log.lines.len()));
        Ok(answer(name, log))
    }
}

impl Request for proto::LogMoreOfGatewayRequest {
    type Answer = proto::GatewayLog;

    const METHOD: Method = change("Gateways/LogMore", &[Administrator]);

    fn about(&self) -> About {
        let about = About::gateway(&self.name);
        match wanted(self) {
            Ok(Some((filter, lasting))) => {
                about.shown_with(&format!(": {filter} for {} s", lasting.as_secs()))
            }
            Ok(None) => about.shown_with(": no longer"),
            Err(_) => about,
        }
    }

    fn through_link(&self) -> Option<ThroughLink> {
        Some(ThroughLink {
            target: Target::Gateway(self.name.clone()),
            message: Zeroizing::new(self.encode_to_vec()),
            if_lost: IfLost::Tell,
        })
    }

    async fn run(self, context: &Context) -> Result<proto::GatewayLog, AdminError> {
        let services = &context.services;
        let wanted = wanted(&self)?;
        shown(services, &self.name).await?;
        let wanted = wanted.as_ref().map(|(filter, lasting)| (filter, *lasting));
        let log = services.fleet.log_more(&self.name, wanted).await?;
        Ok(answer(self.name, log))
    }
}

/// What is to be logged besides, and for how long.
fn wanted(
    request: &proto::LogMoreOfGatewayRequest,
) -> Result<Option<(MoreLog, Duration)>, AdminError> {
    if request.for_ms == 0 {
        if !request.filter.is_empty() {
            return Err(AdminError::malformed(
                "say for how long more is to be logged; without a time, nothing more is, and there is no level to give",
            ));
        }
        return Ok(None);
    }
    let lasting = Duration::from_millis(request.for_ms.into());
    if !(SHORTEST..=MAX_MORE_LOG).contains(&lasting) {
        return Err(AdminError::malformed(
            "more is logged for a second to an hour: ask again when that is over",
        ));
    }
    let filter = request.filter.parse();
    let filter = filter.map_err(|error: NoMoreLog| AdminError::Malformed(error.to_string()))?;
    Ok(Some((filter, lasting)))
}

fn answer(gateway: String, log: GatewayLog) -> proto::GatewayLog {
    let (more, left) = log.more.unwrap_or_default();
    proto::GatewayLog {
        gateway,
        version: log.version,
        lines: log.lines,
        more,
        more_left_ms: left.as_millis().try_into().unwrap_or(u32::MAX),
        faults: log.faults,
    }
}

impl From<LogError> for AdminError {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Call(error) => error.into(),
            LogError::Old { .. } | LogError::Refused { .. } => {
                Self::Precondition(error.to_string())
            }
        }
    }
}
