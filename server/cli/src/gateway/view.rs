//! What a gateway looks like: a line, a page, JSON.

use std::time::{Duration, SystemTime};

use portcullis_host::text::printable;
use portcullis_proto::admin::v1::{Gateway, GatewayState};
use portcullis_proto::gateway::v1::ConnectorInfo;
use serde_json::{Value, json};

use crate::time::{age, rfc3339, rough, time_and_age};
use crate::view::{Listed, View, clipped, facts, some};

/// Letters of a cause in a list.
const MAX_CAUSE: usize = 40;
/// What is said of a gateway that knows no grants.
const FOR_ONE_SERVER: &str = "its version is too old for several servers on one repository: it gets calls only while a single one stands";

impl Listed for Gateway {
    const NONE: &'static str =
        "no gateway is registered: `portcullis gateway add NAME --address HOST:PORT` registers one";
    const HEADING: &'static [&'static str] = &[
        "name", "state", "link", "key", "address", "version", "groups", "seen", "note",
    ];

    fn row(&self, now: SystemTime) -> Vec<String> {
        let seen = age(self.last_seen_unix_ms, now);
        vec![
            self.name.clone(),
            state_word(self).to_owned(),
            link_word(self),
            key_word(self).to_owned(),
            way(self),
            self.version.clone(),
            self.groups.join(", "),
            seen.unwrap_or_else(|| "never".to_owned()),
            attention(self),
        ]
    }
}

impl View for Gateway {
    fn table(&self, now: SystemTime) -> String {
        let connectors = self
            .connectors
            .iter()
            .map(connector_line)
            .collect::<Vec<_>>()
            .join("\n");
        let link = if self.connected {
            let since = age(self.connected_since_unix_ms, now)
                .map(|age| format!(", opened {age}"))
                .unwrap_or_default();
            let server = match self.server.as_str() {
                "" => String::new(),
                server => format!(" to server {server}"),
            };
            format!("connected{server}{since}")
        } else {
            "not connected".to_owned()
        };
        let around = if self.tls { ", TLS 1.3 around it" } else { "" };
        // What another server has is known there.
        let session =
            (!self.mode.is_empty()).then(|| format!("{} mode, {}{around}", self.mode, self.suite));
        let tls = self.require_tls.then(|| "compulsory".to_owned());
        let next_attempt = time_and_age(self.next_attempt_unix_ms, now).map(|time| {
            format!(
                "{time}; `portcullis gateway ping {}` dials at once",
                self.name
            )
        });
        let session_key = Some(self.session_key_id.clone());
        facts([
            ("gateway", Some(self.name.clone())),
            ("id", Some(self.gateway_id.clone())),
            ("state", Some(state_word(self).to_owned())),
            ("link", Some(link)),
            ("session", session),
            ("under key", session_key),
            ("remote address", Some(self.remote_address.clone())),
            ("address", Some(way(self))),
            ("TLS", tls),
            ("shared with", Some(self.shares_address_with.join(", "))),
            ("next attempt", next_attempt),
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
            ("host", Some(self.hostname.clone())),
            ("version", Some(self.version.clone())),
            (
                "servers",
                self.for_one_server.then(|| FOR_ONE_SERVER.to_owned()),
            ),
            ("system", Some(self.operating_system.clone())),
            ("clock", self.clock_ahead_ms.map(clock)),
            ("connectors", Some(connectors)),
            ("last error", Some(self.last_error.clone())),
            ("alarms", Some(self.alarms.join("\n"))),
            ("next", next_step(self)),
        ])
    }

    fn json(&self) -> Value {
        let connectors: Vec<_> = self
            .connectors
            .iter()
            .map(|c| json!({ "name": c.name, "type": c.r#type, "allowed_verbs": c.allowed_verbs, "faults": c.faults }))
            .collect();
        let session = self.connected.then(|| {
            json!({
                "mode": some(&self.mode),
                "suite": some(&self.suite),
                "key_id": some(&self.session_key_id),
                "since": rfc3339(self.connected_since_unix_ms),
                "remote_address": some(&self.remote_address),
                "tls": self.tls,
            })
        });
        json!({
            "name": self.name,
            "gateway_id": self.gateway_id,
            "state": state_word(self),
            "address": some(&self.address),
            "dial_out": self.address.is_empty(),
            "require_tls": self.require_tls,
            "groups": self.groups,
            "connected": self.connected,
            "server": some(&self.server),
            "session": session,
            "last_proved_key_id": some(&self.last_proved_key_id),
            "synchronized": self.synchronized,
            "last_seen": rfc3339(self.last_seen_unix_ms),
            "last_error": some(&self.last_error),
            "token_expires": rfc3339(self.token_expires_unix_ms),
            "pairing_until": rfc3339(self.pairing_until_unix_ms),
            "next_attempt": rfc3339(self.next_attempt_unix_ms),
            "ahead": self.ahead,
            "shares_address_with": self.shares_address_with,
            "alarms": self.alarms,
            "hostname": some(&self.hostname),
            "version": some(&self.version),
            "operating_system": some(&self.operating_system),
            "for_one_server": self.for_one_server,
            "clock_ahead_ms": self.clock_ahead_ms,
            "connectors": connectors,
        })
    }
}

/// What a connector offers, and below it what is wrong with it.
fn connector_line(connector: &ConnectorInfo) -> String {
    let ConnectorInfo {
        name,
        r#type,
        allowed_verbs,
        faults,
    } = connector;
    let mut line = format!("{name} ({type}): {}", allowed_verbs.join(", "));
    for fault in faults {
        line.push_str("\n  fault: ");
        line.push_str(&printable(fault));
    }
    line
}

fn state_word(gateway: &Gateway) -> &'static str {
    match gateway.state() {
        GatewayState::Registered => "registered",
        GatewayState::Enrolled => "enrolled",
        GatewayState::Evicted => "evicted",
        GatewayState::Revoked => "revoked",
        GatewayState::Changed => "changed",
        GatewayState::Unspecified => "unknown",
    }
}

fn key_word(gateway: &Gateway) -> &'static str {
    if gateway.last_proved_key_id.is_empty() {
        "none"
    } else if gateway.ahead {
        "ahead"
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
        GatewayState::Enrolled if gateway.ahead => {
            return Some(format!(
                "it refuses the key that it proved last, so it holds another: a newer one, if this server was restored from a backup; an export with that key (`portcullis key import`) brings it back, or `portcullis gateway token {} --evict` and a new enrolment",
                gateway.name
            ));
        }
        GatewayState::Changed => {
            return Some(format!(
                "find out who wrote to the repository, and restore it from a backup; or `portcullis gateway remove {0}` and `portcullis gateway add {0}`, with which it enrols again",
                gateway.name
            ));
        }
        GatewayState::Registered | GatewayState::Enrolled | GatewayState::Unspecified => {
            return None;
        }
    };
    Some(format!(
        "`portcullis gateway {verb} {}` makes a new token, with which it enrols again",
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

/// From so much on the clocks of gateway and server count as different, in milliseconds.
const APART_MS: u64 = 30_000;

fn is_apart(ahead_ms: i64) -> bool {
    ahead_ms.unsigned_abs() >= APART_MS
}

/// `2 min ahead`, `40 s behind`
fn difference(ahead_ms: i64) -> String {
    let by = Duration::from_millis(ahead_ms.unsigned_abs());
    let which = if ahead_ms < 0 { "behind" } else { "ahead" };
    format!("{} {which}", rough(by))
}

fn clock(ahead_ms: i64) -> String {
    if ahead_ms.unsigned_abs() < 1_000 {
        return "as the server's, within a second".to_owned();
    }
    let of = if ahead_ms < 0 { "" } else { " of" };
    let told = format!("{}{of} the server's", difference(ahead_ms));
    match is_apart(ahead_ms) {
        false => told,
        true => format!(
            "{told}: run an NTP client on both hosts; tokens, times of outcomes and TLS certificates go by it"
        ),
    }
}

/// Whether there is a link, and which of several servers has it.
fn link_word(gateway: &Gateway) -> String {
    match (gateway.connected, gateway.server.as_str()) {
        (false, _) => "down".to_owned(),
        (true, "") => "up".to_owned(),
        (true, server) => format!("up ({server})"),
    }
}

fn attention(gateway: &Gateway) -> String {
    let alarms = match gateway.alarms.len() {
        0 => None,
        1 => Some("1 alarm".to_owned()),
        n => Some(format!("{n} alarms")),
    };
    let error = match (gateway.last_error.as_str(), gateway.connected) {
        ("", _) => None,
        (error, false) => Some(short_cause(error)),
        // The link is to an address that it had before.
        (error, true) => Some(format!("at its new address: {}", short_cause(error))),
    };
    let apart = gateway.clock_ahead_ms.filter(|ahead| is_apart(*ahead));
    let too_old = gateway.for_one_server && !gateway.server.is_empty();
    [
        alarms,
        too_old.then(|| "too old for several servers".to_owned()),
        apart.map(|ahead| format!("clock {}", difference(ahead))),
        error,
    ]
    .into_iter()
    .flatten()
    .collect::<Vec<_>>()
    .join(", ")
}

/// The heart of an error: without what to do, and without where.
fn short_cause(error: &str) -> String {
    let cause = error.split([';', '(']).next().unwrap_or_default().trim();
    let cause = match cause.strip_prefix("cannot connect to ") {
        Some(rest) => rest.split_once(": ").map_or(rest, |(_, why)| why),
        None => cause
            .strip_prefix("the handshake failed: ")
            .unwrap_or(cause),
    };
    clipped(cause, MAX_CAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::tests::{NOW_MS, now};

    const KEY: &str = "3des-00112233445566778899aabbccddeeff";

    fn enrolled() -> Gateway {
        Gateway {
            name: "web1".to_owned(),
            gateway_id: "gw-00112233445566778899aabbccddeeff".to_owned(),
            state: GatewayState::Enrolled.into(),
            address: "web1.example.com:9278".to_owned(),
            connected: true,
            mode: "secure".to_owned(),
            suite: "TDES-CTR-HMAC-SHA256".to_owned(),
            session_key_id: KEY.to_owned(),
            connected_since_unix_ms: NOW_MS - 7_200_000,
            last_proved_key_id: KEY.to_owned(),
            synchronized: true,
            last_seen_unix_ms: NOW_MS,
            remote_address: "192.0.2.7:9278".to_owned(),
            groups: vec!["canary".to_owned()],
            hostname: "web1.example.com".to_owned(),
            version: "0.1.0".to_owned(),
            operating_system: "linux".to_owned(),
            connectors: vec![ConnectorInfo {
                name: "local".to_owned(),
                r#type: "unix".to_owned(),
                allowed_verbs: vec!["test".to_owned(), "get".to_owned()],
                faults: Vec::new(),
            }],
            ..Gateway::default()
        }
    }

    fn troubled() -> Gateway {
        Gateway {
            name: "db1".to_owned(),
            gateway_id: "gw-ffeeddccbbaa99887766554433221100".to_owned(),
            state: GatewayState::Registered.into(),
            token_expires_unix_ms: NOW_MS + 86_399_000,
            last_error: "the gateway refused the handshake\u{1b}[2J".to_owned(),
            alarms: vec!["a token was used twice".to_owned()],
            ..Gateway::default()
        }
    }

    #[test]
    fn gateways_as_a_table() {
        assert_eq!(
            troubled().row(now()).join("|"),
            "db1|registered|down|none|(dials out)|||never|1 alarm, the gateway refused the handshake\u{1b}[2J"
        );
        assert_eq!(
            enrolled().row(now()).join("|"),
            "web1|enrolled|up|current|web1.example.com:9278|0.1.0|canary|just now|"
        );
        let moved = Gateway {
            last_error: "cannot connect to web2:9278: Connection refused (os error 111)".to_owned(),
            ..enrolled()
        };
        let row = moved.row(now()).join("|");
        assert!(
            row.ends_with("at its new address: Connection refused"),
            "{row}"
        );
        let changed = Gateway {
            state: GatewayState::Changed.into(),
            ..troubled()
        };
        assert!(changed.row(now()).join("|").starts_with("db1|changed|down"));
        let next = next_step(&changed).unwrap();
        assert!(next.contains("`portcullis gateway remove db1`"), "{next}");
        let text = vec![troubled(), enrolled()].table(now());
        assert!(text.starts_with("NAME"), "{text}");
        let none = Vec::<Gateway>::new();
        assert!(none.table(now()).contains("portcullis gateway add"));
        assert_eq!(none.json(), json!([]));
    }

    #[test]
    fn a_clock_that_is_apart_is_told_in_the_list_and_with_a_remedy() {
        let with = |ahead| Gateway {
            clock_ahead_ms: Some(ahead),
            ..enrolled()
        };
        let note = |ahead| with(ahead).row(now()).pop().unwrap();
        assert_eq!((note(0), note(-29_999)), (String::new(), String::new()));
        assert_eq!(note(120_000), "clock 2 min ahead");
        assert_eq!(note(-40_000), "clock 40 s behind");
        let shown = |ahead| with(ahead).table(now());
        assert!(shown(10).contains("as the server's, within a second"));
        assert!(shown(-5_000).contains("5 s behind the server's"));
        assert!(shown(120_000).contains("NTP"));
    }

    #[test]
    fn a_cause_in_a_list_is_its_heart() {
        for (error, cause) in [
            (
                "cannot connect to db1.example.com:9278: Connection refused (os error 111); look whether the gateway runs there",
                "Connection refused",
            ),
            (
                "cannot connect to [::1]:9278: no answer within 10 s; look whether the host is up",
                "no answer within 10 s",
            ),
            (
                "the handshake failed: the peer refused the handshake: look at its log",
                "the peer refused the handshake: look at…",
            ),
            (
                "the gateway was evicted: `portcullis gateway",
                "the gateway was evicted: `portcullis gat…",
            ),
        ] {
            assert_eq!(short_cause(error), cause);
        }
    }

    #[test]
    fn one_gateway_as_a_table() {
        assert_eq!(
            enrolled().table(now()),
            "gateway          web1\n\
             id               gw-00112233445566778899aabbccddeeff\n\
             state            enrolled\n\
             link             connected, opened 2 h ago\n\
             session          secure mode, TDES-CTR-HMAC-SHA256\n\
             under key        3des-00112233445566778899aabbccddeeff\n\
             remote address   192.0.2.7:9278\n\
             address          web1.example.com:9278\n\
             groups           canary\n\
             last proved key  3des-00112233445566778899aabbccddeeff\n\
             key is           current\n\
             last seen        2027-01-15T08:00:00Z (just now)\n\
             host             web1.example.com\n\
             version          0.1.0\n\
             system           linux\n\
             connectors       local (unix): test, get"
        );
        assert_eq!(
            troubled().table(now()),
            "gateway        db1\n\
             id             gw-ffeeddccbbaa99887766554433221100\n\
             state          registered\n\
             link           not connected\n\
             address        (dials out)\n\
             key is         none\n\
             token expires  2027-01-16T07:59:59Z (in 24 h)\n\
             last error     the gateway refused the handshake\\u{1b}[2J\n\
             alarms         a token was used twice"
        );
    }

    #[test]
    fn gateways_as_json() {
        assert_eq!(
            vec![enrolled()].json(),
            json!([{
                "name": "web1",
                "gateway_id": "gw-00112233445566778899aabbccddeeff",
                "state": "enrolled",
                "address": "web1.example.com:9278",
                "dial_out": false,
                "groups": ["canary"],
                "connected": true,
                "server": null,
                "session": {
                    "mode": "secure",
                    "suite": "TDES-CTR-HMAC-SHA256",
                    "key_id": KEY,
                    "since": "2027-01-15T06:00:00Z",
                    "remote_address": "192.0.2.7:9278",
                    "tls": false,
                },
                "last_proved_key_id": KEY,
                "synchronized": true,
                "last_seen": "2027-01-15T08:00:00Z",
                "last_error": null,
                "token_expires": null,
                "pairing_until": null,
                "require_tls": false,
                "next_attempt": null,
                "ahead": false,
                "shares_address_with": [],
                "alarms": [],
                "hostname": "web1.example.com",
                "version": "0.1.0",
                "operating_system": "linux",
                "for_one_server": false,
                "clock_ahead_ms": null,
                "connectors": [{ "name": "local", "type": "unix", "allowed_verbs": ["test", "get"], "faults": [] }],
            }])
        );
    }
}
