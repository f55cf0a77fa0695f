//! What `portcullis key status` shows: which server key seals what, who holds which gateway key.

use std::time::SystemTime;

use portcullis_proto::admin::v1::{
    GatewayKeyHolders, GatewayKeyHolding, GatewayKeyStatus, KeyStatusResponse, ServerKeyStatus,
    TypeCount,
};
use serde_json::{Map, Value, json};

use super::view::{state, warning};
use crate::time::{age, rfc3339};
use crate::view::{View, list, printable, some};

impl View for KeyStatusResponse {
    fn table(&self, now: SystemTime) -> String {
        let server = self.server_keys.as_ref();
        let gateways = self.gateway_keys.as_ref();
        let parts = [
            server.map(|status| server_keys(status, now)),
            gateways.map(|status| gateway_keys(status, now)),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join("\n\n")
    }

    fn json(&self) -> Value {
        json!({
            "server_keys": self.server_keys.as_ref().map(server_keys_json),
            "gateway_keys": self.gateway_keys.as_ref().map(gateway_keys_json),
        })
    }
}

/// Leaves out the gateways that have proved the current gateway key, and are not ahead of it.
pub(super) fn only_behind(status: &mut KeyStatusResponse) {
    let Some(status) = &mut status.gateway_keys else {
        return;
    };
    let keys = status
        .keys
        .iter()
        .filter_map(|holders| holders.key.as_ref());
    let current = keys.filter(|key| key.current).map(|key| key.key_id.clone());
    let current: Vec<_> = current.collect();
    status
        .gateways
        .retain(|holding| holding.ahead || !current.contains(&holding.proved_key_id));
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
        "ahead": status.ahead,
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
        "ahead": holding.ahead,
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
        (false, _) if holding.ahead => "ahead",
        (false, true) => "must enrol",
        (false, false) => "down",
    }
}

/// The keys, numbered, and under each number its values by type.
fn server_keys(status: &ServerKeyStatus, now: SystemTime) -> String {
    let held = status.keys.iter().map(|held| {
        let key = held.key.clone().unwrap_or_default();
        [
            key.key_id.clone(),
            state(&key).to_owned(),
            age(key.created_unix_ms, now).unwrap_or_default(),
            age(key.retired_unix_ms, now).unwrap_or_default(),
            key.in_use_by.to_string(),
        ]
    });
    let absent = status.absent.iter().map(|absent| {
        let values: u64 = absent.values.iter().map(|kind| kind.count).sum();
        [
            absent.key_id.clone(),
            "not here".to_owned(),
            String::new(),
            String::new(),
            values.to_string(),
        ]
    });
    let rows = held.chain(absent).enumerate().map(|(index, row)| {
        let mut numbered = vec![number(index)];
        numbered.extend(row);
        numbered
    });
    let keys = list(&["no", "key", "state", "made", "retired", "values"], rows);
    let mut parts = vec![protection(status), keys, matrix(status)];
    let absent = status.absent.iter().flat_map(|absent| &absent.values);
    let undecryptable: u64 = absent.map(|kind| kind.count).sum();
    if undecryptable > 0 {
        parts.push(format!(
            "{undecryptable} values cannot be opened, as their key is not here: `portcullis key import` it"
        ));
    }
    if status.malformed > 0 {
        parts.push(format!(
            "{} values are malformed: `portcullis key verify` lists them",
            status.malformed
        ));
    }
    parts.join("\n\n")
}

fn server_keys_json(status: &ServerKeyStatus) -> Value {
    let keys = status.keys.iter().map(|held| {
        let key = held.key.clone().unwrap_or_default();
        json!({
            "key_id": key.key_id,
            "kind": key.kind,
            "current": key.current,
            "created": rfc3339(key.created_unix_ms),
            "retired": rfc3339(key.retired_unix_ms),
            "values": counts_json(&held.values),
        })
    });
    let absent = status
        .absent
        .iter()
        .map(|absent| json!({ "key_id": absent.key_id, "values": counts_json(&absent.values) }));
    let protection = status.protection.clone().unwrap_or_default();
    json!({
        "keys": keys.collect::<Vec<_>>(),
        "absent": absent.collect::<Vec<_>>(),
        "malformed": status.malformed,
        "totals": counts_json(&status.totals),
        "protection": {
            "scheme": protection.scheme,
            "derivation": some(&protection.derivation),
            "generation": protection.generation,
            "changed": rfc3339(protection.changed_unix_ms),
            "warning": warning(&protection),
        },
    })
}

fn protection(status: &ServerKeyStatus) -> String {
    let protection = status.protection.clone().unwrap_or_default();
    let scheme = printable(&protection.scheme);
    let derivation = some(&protection.derivation).map(|text| format!(" ({})", printable(text)));
    let derivation = derivation.unwrap_or_default();
    let mut text = format!("server keys: protected by `{scheme}`{derivation}");
    if let Some(warning) = warning(&protection) {
        text.push('\n');
        text.push_str(warning);
    }
    text
}

/// A line for each type of which there are values, a column for each key.
fn matrix(status: &ServerKeyStatus) -> String {
    let columns: Vec<&[TypeCount]> = status
        .keys
        .iter()
        .map(|held| held.values.as_slice())
        .chain(status.absent.iter().map(|absent| absent.values.as_slice()))
        .collect();
    let numbers: Vec<_> = (0..columns.len()).map(number).collect();
    let mut heading = vec!["type", "total"];
    heading.extend(numbers.iter().map(String::as_str));
    let totals = status.totals.iter().filter(|total| total.count > 0);
    let rows = totals.map(|total| {
        let mut row = vec![total.r#type.clone(), total.count.to_string()];
        row.extend(columns.iter().map(|values| {
            let of_type = values.iter().find(|kind| kind.r#type == total.r#type);
            of_type.map_or_else(|| "-".to_owned(), |kind| kind.count.to_string())
        }));
        row
    });
    list(&heading, rows)
}

fn counts_json(counts: &[TypeCount]) -> Value {
    let counts = counts
        .iter()
        .map(|kind| (kind.r#type.clone(), kind.count.into()));
    Value::Object(counts.collect::<Map<_, _>>())
}

fn number(index: usize) -> String {
    format!("#{}", index + 1)
}

#[cfg(test)]
mod tests {
    use portcullis_proto::admin::v1::{AbsentServerKey, Key, Protection, ServerKeyValues};

    use super::*;
    use crate::time::tests::{NOW_MS, now};

    const HELD: &str = "3des-00112233445566778899aabbccddeeff";
    const ABSENT: &str = "3des-ffeeddccbbaa99887766554433221100";

    fn count(name: &str, count: u64) -> TypeCount {
        TypeCount {
            r#type: name.to_owned(),
            count,
        }
    }

    fn status() -> ServerKeyStatus {
        ServerKeyStatus {
            keys: vec![ServerKeyValues {
                key: Some(Key {
                    key_id: HELD.to_owned(),
                    kind: "3des".to_owned(),
                    current: true,
                    created_unix_ms: NOW_MS - 10 * 86_400_000,
                    in_use_by: 7,
                    ..Key::default()
                }),
                values: vec![count("gateway-key", 0), count("user-password", 7)],
            }],
            absent: vec![AbsentServerKey {
                key_id: ABSENT.to_owned(),
                values: vec![count("user-password", 2)],
            }],
            malformed: 1,
            protection: Some(Protection {
                scheme: "default".to_owned(),
                ..Protection::default()
            }),
            totals: vec![
                count("gateway-key", 0),
                count("user-password", 10),
                count("server-key", 1),
            ],
        }
    }

    #[test]
    fn each_key_has_its_number_and_each_type_its_line() {
        let status = status();
        let text = server_keys(&status, now());
        let warning = warning(status.protection.as_ref().unwrap()).unwrap();
        let (head, rest) = text.split_once("\n\n").unwrap();
        assert_eq!(
            head,
            format!("server keys: protected by `default`\n{warning}")
        );
        assert_eq!(
            rest,
            "NO  KEY                                    STATE     MADE         RETIRED  VALUES\n\
             #1  3des-00112233445566778899aabbccddeeff  current   10 days ago           7\n\
             #2  3des-ffeeddccbbaa99887766554433221100  not here                        2\n\
             \n\
             TYPE           TOTAL  #1  #2\n\
             user-password  10     7   2\n\
             server-key     1      -   -\n\
             \n\
             2 values cannot be opened, as their key is not here: `portcullis key import` it\n\
             \n\
             1 values are malformed: `portcullis key verify` lists them"
        );
    }

    #[test]
    fn programs_get_the_counts_by_type() {
        let value = server_keys_json(&status());
        assert_eq!(
            value["keys"][0]["values"],
            json!({ "gateway-key": 0, "user-password": 7 })
        );
        assert_eq!(
            value["absent"],
            json!([{ "key_id": ABSENT, "values": { "user-password": 2 } }])
        );
        assert_eq!(value["malformed"], 1);
        assert_eq!(value["totals"]["server-key"], 1);
        assert_eq!(value["protection"]["scheme"], "default");
        assert!(value["protection"]["warning"].is_string());
    }
}
