//! Keys: their ids, never their bytes.

use std::time::SystemTime;

use portcullis_proto::admin::v1::Key;
use serde_json::{Value, json};

use super::View;
use super::list;
use crate::time::{age, rfc3339};

/// All keys of the repository.
pub(crate) struct KeyList(pub(crate) Vec<Key>);

impl View for KeyList {
    fn table(&self, now: SystemTime) -> String {
        if self.0.is_empty() {
            return "the repository holds no key: `portcullis-server init` makes them".to_owned();
        }
        let rows = self.0.iter().map(|key| {
            vec![
                key.key_id.clone(),
                key.purpose.clone(),
                state(key).to_owned(),
                age(key.created_unix_ms, now).unwrap_or_default(),
                age(key.retired_unix_ms, now).unwrap_or_default(),
                used_by(key),
            ]
        });
        list(
            &["key", "purpose", "state", "made", "retired", "in use by"],
            rows,
        )
    }

    fn json(&self) -> Value {
        self.0
            .iter()
            .map(|key| {
                json!({
                    "key_id": key.key_id,
                    "purpose": key.purpose,
                    "kind": key.kind,
                    "current": key.current,
                    "compromised": key.compromised,
                    "withdrawn": key.withdrawn,
                    "created": rfc3339(key.created_unix_ms),
                    "retired": rfc3339(key.retired_unix_ms),
                    "in_use_by": key.in_use_by,
                })
            })
            .collect()
    }
}

pub(super) fn state(key: &Key) -> &'static str {
    match (key.compromised, key.withdrawn, key.current) {
        (true, _, _) => "compromised",
        (false, true, _) => "withdrawn",
        (false, false, true) => "current",
        (false, false, false) if key.retired_unix_ms == 0 => "not yet used",
        (false, false, false) => "retired",
    }
}

fn used_by(key: &Key) -> String {
    let (one, many) = match key.purpose.as_str() {
        "gateway" => ("gateway", "gateways"),
        _ => ("value", "values"),
    };
    match key.in_use_by {
        1 => format!("1 {one}"),
        n => format!("{n} {many}"),
    }
}
