//! `portcullis gateway alarms|acknowledge`

use std::time::SystemTime;

use portcullis_proto::admin::v1::gateways_client::GatewaysClient;
use portcullis_proto::admin::v1::{AcknowledgeAlarmsRequest, Alarm, ListAlarmsRequest};
use serde_json::{Value, json};

use crate::context::Context;
use crate::error::CliError;
use crate::time::{age, rfc3339};
use crate::view::{Listed, View, printable, some};

pub(super) async fn list(
    context: &Context,
    gateway: Option<String>,
    all: bool,
) -> Result<(), CliError> {
    let mut gateways = context.client(GatewaysClient::new).await?;
    let request = ListAlarmsRequest {
        gateway: gateway.unwrap_or_default(),
        all,
    };
    context.print(&gateways.list_alarms(request).await?.into_inner().alarms)
}

pub(super) async fn acknowledge(
    context: &Context,
    gateway: String,
    reason: String,
    alarm: Option<i64>,
) -> Result<(), CliError> {
    let mut gateways = context.client(GatewaysClient::new).await?;
    let request = AcknowledgeAlarmsRequest {
        gateway: gateway.clone(),
        reason,
        alarm: alarm.unwrap_or_default(),
    };
    let answer = gateways.acknowledge_alarms(request).await?.into_inner();
    let sentence = match answer.acknowledged {
        0 => format!("gateway {} has no open alarm", printable(&gateway)),
        1 => format!("1 alarm of gateway {} is closed", printable(&gateway)),
        many => format!(
            "{many} alarms of gateway {} are closed",
            printable(&gateway)
        ),
    };
    let json = json!({ "gateway": gateway, "acknowledged": answer.acknowledged });
    context.say(&sentence, &json)
}

impl View for Alarm {
    fn table(&self, now: SystemTime) -> String {
        vec![self.clone()].table(now)
    }

    fn json(&self) -> Value {
        json!({
            "id": self.id,
            "gateway": self.gateway,
            "kind": self.kind,
            "text": self.text,
            "first": rfc3339(self.first_unix_ms),
            "last": rfc3339(self.last_unix_ms),
            "count": self.count,
            "closed": rfc3339(self.closed_unix_ms),
            "closed_by": some(&self.closed_by),
            "reason": some(&self.reason),
        })
    }
}

impl Listed for Alarm {
    const NONE: &'static str = "no alarm is open";
    const HEADING: &'static [&'static str] =
        &["no", "gateway", "times", "first", "last", "state", "what"];

    fn row(&self, now: SystemTime) -> Vec<String> {
        vec![
            self.id.to_string(),
            self.gateway.clone(),
            self.count.to_string(),
            age(self.first_unix_ms, now).unwrap_or_default(),
            age(self.last_unix_ms, now).unwrap_or_default(),
            if self.closed_unix_ms == 0 {
                "open"
            } else {
                "closed"
            }
            .to_owned(),
            self.what(),
        ]
    }
}

trait What {
    fn what(&self) -> String;
}

impl What for Alarm {
    fn what(&self) -> String {
        match (self.closed_unix_ms, self.closed_by.as_str()) {
            (0, _) => self.text.clone(),
            (_, "") => format!("{} (closed: {})", self.text, self.reason),
            (_, by) => format!("{} (closed by {by}: {})", self.text, self.reason),
        }
    }
}
