//! Alarms of gateways: what an administrator has to look into, and that somebody did.

use portcullis_host::clock;
use portcullis_proto::admin::v1 as proto;

use super::LOOK;
use super::context::Context;
use super::convert;
use super::error::AdminError;
use super::request::{About, Front, Method, Request, change, read};
use crate::config::Capability::{Administrator, SecurityAdministrator};
use crate::repository::Acknowledgement;

/// Letters of a reason.
const MAX_REASON: usize = 500;

pub(super) fn offer(front: &mut impl Front) {
    front.offer::<proto::ListAlarmsRequest>();
    front.offer::<proto::AcknowledgeAlarmsRequest>();
}

impl Request for proto::ListAlarmsRequest {
    type Answer = proto::ListAlarmsResponse;

    const METHOD: Method = read("Gateways/ListAlarms", LOOK);

    fn about(&self) -> About {
        match self.gateway.as_str() {
            "" => About::server(""),
            name => About::gateway(name),
        }
    }

    async fn run(self, context: &Context) -> Result<proto::ListAlarmsResponse, AdminError> {
        let gateways = context.services.repository.gateways();
        let gateway = Some(self.gateway.as_str()).filter(|name| !name.is_empty());
        let alarms = gateways.alarms(gateway, self.all).await?;
        Ok(proto::ListAlarmsResponse {
            alarms: alarms.into_iter().map(convert::alarm).collect(),
        })
    }
}

impl Request for proto::AcknowledgeAlarmsRequest {
    type Answer = proto::AcknowledgeAlarmsResponse;

    const METHOD: Method = change(
        "Gateways/AcknowledgeAlarms",
        &[SecurityAdministrator, Administrator],
    );

    fn about(&self) -> About {
        About::gateway(&self.gateway)
    }

    async fn run(self, context: &Context) -> Result<proto::AcknowledgeAlarmsResponse, AdminError> {
        let reason = self.reason.trim();
        if reason.is_empty() || reason.chars().count() > MAX_REASON {
            return Err(AdminError::Malformed(format!(
                "give a reason of 1 to {MAX_REASON} letters: it stands in the audit log and beside the alarm"
            )));
        }
        context.note.add(reason);
        let acknowledgement = Acknowledgement {
            alarm: Some(self.alarm).filter(|id| *id != 0),
            by: context.caller.subject.to_string(),
            reason: reason.to_owned(),
        };
        let gateways = context.services.repository.gateways();
        let now = clock::now();
        let closed = gateways.acknowledge(&self.gateway, acknowledgement, now);
        let closed = closed.await?;
        if self.alarm != 0 && closed.is_empty() {
            return Err(AdminError::NotFound(format!(
                "gateway `{0}` has no open alarm {1}: `portcullis gateway alarms {0}` shows those there are",
                self.gateway, self.alarm
            )));
        }
        context.note.add(format!("{} alarms", closed.len()));
        Ok(proto::AcknowledgeAlarmsResponse {
            acknowledged: u32::try_from(closed.len()).unwrap_or(u32::MAX),
        })
    }
}
