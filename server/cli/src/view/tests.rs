//! Tables and JSON of what the server itself keeps, word for word, at a fixed time.

use std::time::{Duration, UNIX_EPOCH};

use portcullis_proto::admin::v1::{
    Gateway, GatewayState, Key, PushEnd, Resource, StatusResponse, SyncProgress, SyncResult,
    SyncState,
};
use portcullis_proto::gateway::v1::ConnectorInfo;
use serde_json::json;

use super::*;

const NOW_MS: i64 = 1_800_000_000_000;
const KEY: &str = "3des-00112233445566778899aabbccddeeff";

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(NOW_MS.unsigned_abs())
}

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
        version: "0.1.0".to_owned(),
        operating_system: "linux".to_owned(),
        connectors: vec![ConnectorInfo {
            name: "local".to_owned(),
            r#type: "unix".to_owned(),
            allowed_verbs: vec!["test".to_owned(), "get".to_owned()],
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
    let text = GatewayList(vec![troubled(), enrolled()]).table(now());
    assert_eq!(
        text,
        "NAME  STATE       LINK  KEY      ADDRESS                GROUPS  SEEN      NOTE\n\
         db1   registered  down  none     (dials out)                    never     1 alarm, error: see show\n\
         web1  enrolled    up    current  web1.example.com:9278  canary  just now"
    );
    assert!(text.lines().all(|line| line.chars().count() <= 100));
    let none = GatewayList(Vec::new());
    assert!(none.table(now()).contains("portcullis gateway add"));
    assert_eq!(none.json(), json!([]));
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
        GatewayList(vec![enrolled()]).json(),
        json!([{
            "name": "web1",
            "gateway_id": "gw-00112233445566778899aabbccddeeff",
            "state": "enrolled",
            "address": "web1.example.com:9278",
            "dial_out": false,
            "groups": ["canary"],
            "connected": true,
            "session": {
                "mode": "secure",
                "suite": "TDES-CTR-HMAC-SHA256",
                "key_id": KEY,
                "since": "2027-01-15T06:00:00Z",
                "remote_address": "192.0.2.7:9278",
            },
            "last_proved_key_id": KEY,
            "synchronized": true,
            "last_seen": "2027-01-15T08:00:00Z",
            "last_error": null,
            "token_expires": null,
            "pairing_until": null,
            "alarms": [],
            "version": "0.1.0",
            "operating_system": "linux",
            "connectors": [{ "name": "local", "type": "unix", "allowed_verbs": ["test", "get"] }],
        }])
    );
}

#[test]
fn keys_as_a_table() {
    let key = |current, compromised, retired_unix_ms| Key {
        key_id: KEY.to_owned(),
        purpose: "gateway".to_owned(),
        kind: "3des".to_owned(),
        current,
        created_unix_ms: NOW_MS - 10 * 86_400_000,
        retired_unix_ms,
        in_use_by: 1,
        compromised,
        withdrawn: false,
    };
    let text = KeyList(vec![
        key(true, false, 0),
        key(false, false, NOW_MS - 60_000),
        key(false, true, NOW_MS - 60_000),
        Key {
            withdrawn: true,
            ..key(false, false, NOW_MS - 60_000)
        },
    ])
    .table(now());
    assert_eq!(
        text,
        "KEY                                    PURPOSE  STATE        MADE         RETIRED    IN USE BY\n\
         3des-00112233445566778899aabbccddeeff  gateway  current      10 days ago             1 gateway\n\
         3des-00112233445566778899aabbccddeeff  gateway  retired      10 days ago  1 min ago  1 gateway\n\
         3des-00112233445566778899aabbccddeeff  gateway  compromised  10 days ago  1 min ago  1 gateway\n\
         3des-00112233445566778899aabbccddeeff  gateway  withdrawn    10 days ago  1 min ago  1 gateway"
    );
    assert!(text.lines().all(|line| line.chars().count() <= 100));
}

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

#[test]
fn resources_and_status_as_tables() {
    let resource = Resource {
        name: "payroll".to_owned(),
        gateway: "web1".to_owned(),
        connector: "local".to_owned(),
        settings: [("b", "2"), ("a", "1")]
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .into(),
        created_unix_ms: NOW_MS - 60_000,
        secret_settings: vec!["password".to_owned()],
        ..Resource::default()
    };
    assert_eq!(
        resource.table(now()),
        "resource   payroll\n\
         gateway    web1\n\
         connector  local\n\
         settings   a=1\n           b=2\n\
         secrets    password is set\n\
         made       2027-01-15T07:59:00Z (1 min ago)"
    );
    assert_eq!(
        ResourceList(vec![resource]).table(now()),
        "NAME     GATEWAY  CONNECTOR  SETTINGS\n\
         payroll  web1     local      a=1 b=2"
    );
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

#[test]
fn nothing_from_outside_steers_the_terminal() {
    assert_eq!(
        printable("a\x1b[2Jb\u{9b}c\nd\u{202e}e"),
        "a\\u{1b}[2Jb\\u{9b}c d\\u{202e}e"
    );
    assert_eq!(printable("Zoë 東京"), "Zoë 東京");
}
