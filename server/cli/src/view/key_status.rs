//! Who holds which key.

use std::time::SystemTime;

use portcullis_proto::admin::v1::{
    GatewayKeyHolders, GatewayKeyHolding, GatewayKeyStatus, KeyStatusResponse,
};
use serde_json::{Value, json};

use super::View;
use super::key::state;
use super::list;
use super::server_key_status::{server_keys, server_keys_json};
use crate::time::{age, rfc3339};

/// Who holds which key.
pub(crate) struct KeyStatus(pub(crate) KeyStatusResponse);

impl View for KeyStatus {
    fn table(&self, now: SystemTime) -> String {
        let server = self.0.server_keys.as_ref();
        let gateways = self.0.gateway_keys.as_ref();
        let parts = [
            server.map(|status| server_keys(status, now)),
            gateways.map(|status| gateway_keys(status, now)),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join("\n\n")
    }

    fn json(&self) -> Value {
        json!({
            "server_keys": self.0.server_keys.as_ref().map(server_keys_json),
            "gateway_keys": self.0.gateway_keys.as_ref().map(gateway_keys_json),
        })
    }
}

fn gateway_keys(status: &GatewayKeyStatus, now: SystemTime) -> String {
    let head = format!(
        "gateway keys: {} enrolled gateways, {} of them away",
        status.enrolled, status.away
    );
    let rows = status.keys.iter().map(|holders| {
        let key = holders.key.clone().unwrap_or_default();
        vec![
            key.key_id.clone(),
            state(&key).to_owned(),
            age(key.created_unix_ms, now).unwrap_or_default(),
            count(holders.proved, holders.proved_away),
            count(holders.sent, holders.sent_away),
        ]
    });
    let keys = list(
        &["key", "state", "made", "proved by", "sent, not proved"],
        rows,
    );
    if status.gateways.is_empty() {
        return format!("{head}\n\n{keys}");
    }
    let rows = status.gateways.iter().map(|holding| {
        vec![
            holding.gateway.clone(),
            link(holding).to_owned(),
            some(&holding.proved_key_id).unwrap_or("none").to_owned(),
            age(holding.proved_unix_ms, now).unwrap_or_default(),
            holding.sent_key_ids.join(" "),
            age(holding.last_seen_unix_ms, now).unwrap_or_else(|| "never".to_owned()),
        ]
    });
    let heading = [
        "gateway",
        "link",
        "proved",
        "since",
        "sent, not proved",
        "seen",
    ];
    format!("{head}\n\n{keys}\n\n{}", list(&heading, rows))
}

fn gateway_keys_json(status: &GatewayKeyStatus) -> Value {
    let keys = status.keys.iter().map(holders_json).collect::<Vec<_>>();
    let gateways = status.gateways.iter().map(holding_json).collect::<Vec<_>>();
    json!({
        "enrolled": status.enrolled,
        "away": status.away,
        "keys": keys,
        "gateways": gateways,
    })
}

fn holders_json(holders: &GatewayKeyHolders) -> Value {
    let key = holders.key.clone().unwrap_or_default();
    json!({
        "key_id": key.key_id,
        "state": state(&key),
        "created": rfc3339(key.created_unix_ms),
        "retired": rfc3339(key.retired_unix_ms),
        "proved": holders.proved,
        "proved_away": holders.proved_away,
        "sent": holders.sent,
        "sent_away": holders.sent_away,
    })
}

fn holding_json(holding: &GatewayKeyHolding) -> Value {
    json!({
        "gateway": holding.gateway,
        "proved_key_id": some(&holding.proved_key_id),
        "proved": rfc3339(holding.proved_unix_ms),
        "sent_key_ids": holding.sent_key_ids,
        "connected": holding.connected,
        "last_seen": rfc3339(holding.last_seen_unix_ms),
        "groups": holding.groups,
        "must_enrol": holding.must_enrol,
    })
}

fn count(all: u32, away: u32) -> String {
    match away {
        0 => all.to_string(),
        away => format!("{all} ({away} away)"),
    }
}

fn link(holding: &GatewayKeyHolding) -> &'static str {
    match (holding.connected, holding.must_enrol) {
        (true, _) => "up",
        (false, true) => "must enrol",
        (false, false) => "down",
    }
}

fn some(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}
