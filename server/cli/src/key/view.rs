//! What a key is and looks like: its kind, its state, the warnings that belong to keys.

use std::time::SystemTime;

use clap::ValueEnum;
use portcullis_proto::admin::v1::{Kdf as KdfMessage, Key, KeyKind, Protection};
use serde_json::{Value, json};

use crate::time::{age, rfc3339};
use crate::view::{Listed, View, list, printable};

/// A kind of key.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Kind {
    /// 168-bit 3DES
    #[value(name = "3des")]
    Tdes,
    /// 256-bit AES
    #[value(name = "aes-256")]
    Aes256,
}

/// How a key is derived from a passphrase.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub(crate) enum Kdf {
    /// PBKDF2-HMAC-SHA-256
    #[default]
    Pbkdf2,
    /// scrypt, which costs memory, too
    Scrypt,
}

/// The kind as a message says it; without one, that of the current key.
pub(crate) fn kind_of(kind: Option<Kind>) -> KeyKind {
    match kind {
        None => KeyKind::Unspecified,
        Some(Kind::Tdes) => KeyKind::Tdes,
        Some(Kind::Aes256) => KeyKind::Aes256,
    }
}

impl From<Kdf> for i32 {
    fn from(kdf: Kdf) -> Self {
        match kdf {
            Kdf::Pbkdf2 => KdfMessage::Pbkdf2,
            Kdf::Scrypt => KdfMessage::Scrypt,
        }
        .into()
    }
}

impl Listed for Key {
    const NONE: &'static str = "the repository holds no key: `portcullis-server init` makes them";
    const HEADING: &'static [&'static str] =
        &["key", "purpose", "state", "made", "retired", "in use by"];

    fn row(&self, now: SystemTime) -> Vec<String> {
        vec![
            self.key_id.clone(),
            self.purpose.clone(),
            state(self).to_owned(),
            age(self.created_unix_ms, now).unwrap_or_default(),
            age(self.retired_unix_ms, now).unwrap_or_default(),
            used_by(self),
        ]
    }
}

impl View for Key {
    fn table(&self, now: SystemTime) -> String {
        list(Self::HEADING, [self.row(now)])
    }

    fn json(&self) -> Value {
        json!({
            "key_id": self.key_id,
            "purpose": self.purpose,
            "kind": self.kind,
            "current": self.current,
            "compromised": self.compromised,
            "withdrawn": self.withdrawn,
            "created": rfc3339(self.created_unix_ms),
            "retired": rfc3339(self.retired_unix_ms),
            "in_use_by": self.in_use_by,
        })
    }
}

/// The state of a key, in a word or two.
pub(crate) fn state(key: &Key) -> &'static str {
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

/// The warning that belongs to a repository without protection; `None`: it is protected.
pub(crate) fn warning(protection: &Protection) -> Option<&'static str> {
    (protection.scheme == "default").then_some(
        "warning: the server keys are NOT protected: whoever gets hold of the repository has everything; `portcullis key protect pbe` protects them",
    )
}

/// The warning that old bytes of secrets are still in the repository's files.
pub(crate) fn not_scrubbed(reason: &str) -> Option<String> {
    (!reason.is_empty()).then(|| {
        format!(
            "warning: the old bytes could not be overwritten in the repository's files yet: {}",
            printable(reason)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::tests::{NOW_MS, now};

    const KEY: &str = "3des-00112233445566778899aabbccddeeff";

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
        let text = vec![
            key(true, false, 0),
            key(false, false, NOW_MS - 60_000),
            key(false, true, NOW_MS - 60_000),
            Key {
                withdrawn: true,
                ..key(false, false, NOW_MS - 60_000)
            },
        ]
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
}
