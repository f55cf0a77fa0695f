//! `portcullis status`: the server's own state.

use std::time::SystemTime;

use portcullis_proto::admin::v1::system_client::SystemClient;
use portcullis_proto::admin::v1::{StatusRequest, StatusResponse};
use serde_json::{Value, json};

use crate::context::Context;
use crate::error::CliError;
use crate::time::{rfc3339, time_and_age};
use crate::view::{View, facts};

pub(crate) async fn run(context: &Context) -> Result<(), CliError> {
    let mut system = context.client(SystemClient::new).await?;
    context.print(&system.status(StatusRequest {}).await?.into_inner())
}

impl View for StatusResponse {
    fn table(&self, now: SystemTime) -> String {
        let gateways = format!(
            "{} registered, {} connected",
            self.gateways_registered, self.gateways_connected
        );
        let dial_out = if self.dial_out_listen.is_empty() {
            "closed".to_owned()
        } else {
            self.dial_out_listen.clone()
        };
        facts([
            ("server", Some(self.server_id.clone())),
            ("version", Some(self.version.clone())),
            ("started", time_and_age(self.started_unix_ms, now)),
            ("gateways", Some(gateways)),
            ("gateway key", Some(self.current_gateway_key_id.clone())),
            ("dial-out port", Some(dial_out)),
            ("audit log", Some(self.audit_error.clone())),
            ("you", Some(self.caller.clone())),
            ("you may act as", Some(self.capabilities.join(", "))),
        ])
    }

    fn json(&self) -> Value {
        json!({
            "server_id": self.server_id,
            "version": self.version,
            "started": rfc3339(self.started_unix_ms),
            "gateways_registered": self.gateways_registered,
            "gateways_connected": self.gateways_connected,
            "current_gateway_key_id": self.current_gateway_key_id,
            "dial_out_listen": self.dial_out_listen,
            "audit_error": self.audit_error,
            "caller": self.caller,
            "capabilities": self.capabilities,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::tests::{NOW_MS, now};

    const KEY: &str = "3des-00112233445566778899aabbccddeeff";

    #[test]
    fn the_status_as_a_table() {
        let status = StatusResponse {
            version: "0.1.0".to_owned(),
            server_id: "sv-1".to_owned(),
            started_unix_ms: NOW_MS - 1_000,
            gateways_registered: 2,
            gateways_connected: 1,
            current_gateway_key_id: KEY.to_owned(),
            dial_out_listen: String::new(),
            audit_error: String::new(),
            caller: "ada (1001)".to_owned(),
            capabilities: vec!["operator".to_owned(), "auditor".to_owned()],
        };
        assert_eq!(
            status.table(now()),
            "server          sv-1\n\
             version         0.1.0\n\
             started         2027-01-15T07:59:59Z (1 s ago)\n\
             gateways        2 registered, 1 connected\n\
             gateway key     3des-00112233445566778899aabbccddeeff\n\
             dial-out port   closed\n\
             you             ada (1001)\n\
             you may act as  operator, auditor"
        );
    }
}
