//! Gateways.

use std::time::SystemTime;

use portcullis_proto::admin::v1::{Gateway, GatewayState};
use serde_json::{Value, json};

use super::View;
use super::{facts, list};
use crate::time::{age, rfc3339, time_and_age};

/// All gateways.
pub(crate) struct GatewayList(pub(crate) Vec<Gateway>);

impl View for GatewayList {
    fn table(&self, now: SystemTime) -> String {
        if self.0.is_empty() {
            return "no gateway is registered: `portcullis gateway add NAME --address HOST:PORT` registers one"
                .to_owned();
        }
        let rows = self.0.iter().map(|gateway| {
            vec![
                gateway.name.clone(),
                state_word(gateway).to_owned(),
                link_word(gateway).to_owned(),
                key_word(gateway).to_owned(),
                way(gateway),
                gateway.groups.join(", "),
                seen(gateway, now),
                attention(gateway),
            ]
        });
        list(
            &[
                "name", "state", "link", "key", "address", "groups", "seen", "note",
            ],
            rows,
        )
    }

    fn json(&self) -> Value {
        self.0.iter().map(gateway_json).collect()
    }
}

impl View for Gateway {
    fn table(&self, now: SystemTime) -> String {
        let connectors = self
            .connectors
            .iter()
            .map(|c| format!("{} ({}): {}", c.name, c.r#type, c.allowed_verbs.join(", ")))
            .collect::<Vec<_>>()
            .join("\n");
        let link = if self.connected {
            let since = age(self.connected_since_unix_ms, now)
                .map(|age| format!(", opened {age}"))
                .unwrap_or_default();
            format!("connected{since}")
        } else {
            "not connected".to_owned()
        };
        let session = (self.connected).then(|| format!("{} mode, {}", self.mode, self.suite));
        let session_key = self.connected.then(|| self.session_key_id.clone());
        facts([
            ("gateway", Some(self.name.clone())),
            ("id", Some(self.gateway_id.clone())),
            ("state", Some(state_word(self).to_owned())),
            ("link", Some(link)),
            ("session", session),
            ("under key", session_key),
            ("remote address", Some(self.remote_address.clone())),
            ("address", Some(way(self))),
            ("groups", Some(self.groups.join(", "))),
            ("last proved key", Some(self.last_proved_key_id.clone())),
            ("key is", Some(key_word(self).to_owned())),
            ("last seen", time_and_age(self.last_seen_unix_ms, now)),
            (
                "token expires",
                time_and_age(self.token_expires_unix_ms, now),
            ),
            (
                "pairing until",
                time_and_age(self.pairing_until_unix_ms, now),
            ),
            ("version", Some(self.version.clone())),
            ("system", Some(self.operating_system.clone())),
            ("connectors", Some(connectors)),
            ("last error", Some(self.last_error.clone())),
            ("alarms", Some(self.alarms.join("\n"))),
            ("next", next_step(self)),
        ])
    }

    fn json(&self) -> Value {
        gateway_json(self)
    }
}

pub(crate) fn gateway_json(gateway: &Gateway) -> Value {
    let connectors: Vec<_> = gateway
        .connectors
        .iter()
        .map(|c| json!({ "name": c.name, "type": c.r#type, "allowed_verbs": c.allowed_verbs }))
        .collect();
    let session = gateway.connected.then(|| {
        json!({
            "mode": gateway.mode,
            "suite": gateway.suite,
            "key_id": gateway.session_key_id,
            "since": rfc3339(gateway.connected_since_unix_ms),
            "remote_address": gateway.remote_address,
        })
    });
    json!({
        "name": gateway.name,
        "gateway_id": gateway.gateway_id,
        "state": state_word(gateway),
        "address": some(&gateway.address),
        "dial_out": gateway.address.is_empty(),
        "groups": gateway.groups,
        "connected": gateway.connected,
        "session": session,
        "last_proved_key_id": some(&gateway.last_proved_key_id),
        "synchronized": gateway.synchronized,
        "last_seen": rfc3339(gateway.last_seen_unix_ms),
        "last_error": some(&gateway.last_error),
        "token_expires": rfc3339(gateway.token_expires_unix_ms),
        "pairing_until": rfc3339(gateway.pairing_until_unix_ms),
        "alarms": gateway.alarms,
        "version": some(&gateway.version),
        "operating_system": some(&gateway.operating_system),
        "connectors": connectors,
    })
}

fn some(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

fn state_word(gateway: &Gateway) -> &'static str {
    match gateway.state() {
        GatewayState::Registered => "registered",
        GatewayState::Enrolled => "enrolled",
        GatewayState::Evicted => "evicted",
        GatewayState::Revoked => "revoked",
        GatewayState::Unspecified => "unknown",
    }
}

fn link_word(gateway: &Gateway) -> &'static str {
    if gateway.connected { "up" } else { "down" }
}

fn key_word(gateway: &Gateway) -> &'static str {
    if gateway.last_proved_key_id.is_empty() {
        "none"
    } else if gateway.synchronized {
        "current"
    } else {
        "behind"
    }
}

/// What lets a gateway come back that an administrator has shut out.
fn next_step(gateway: &Gateway) -> Option<String> {
    let verb = match gateway.state() {
        GatewayState::Evicted => "token",
        GatewayState::Revoked => "restore",
        GatewayState::Registered | GatewayState::Enrolled | GatewayState::Unspecified => {
            return None;
        }
    };
    Some(format!(
        "`portcullis gateway {verb} {}` lets it enrol again",
        gateway.name
    ))
}

fn way(gateway: &Gateway) -> String {
    if gateway.address.is_empty() {
        "(dials out)".to_owned()
    } else {
        gateway.address.clone()
    }
}

fn seen(gateway: &Gateway, now: SystemTime) -> String {
    age(gateway.last_seen_unix_ms, now).unwrap_or_else(|| "never".to_owned())
}

fn attention(gateway: &Gateway) -> String {
    let alarms = match gateway.alarms.len() {
        0 => None,
        1 => Some("1 alarm".to_owned()),
        n => Some(format!("{n} alarms")),
    };
    let error = (!gateway.connected && !gateway.last_error.is_empty())
        .then(|| "error: see show".to_owned());
    [alarms, error]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join(", ")
}
