//! How single values are read; each error says what is allowed.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use portcullis_common::crypto::suites::Suite;
use serde::de::Error;
use serde::{Deserialize, Deserializer};

const SHORTEST: Duration = Duration::from_millis(100);

/// From 100 ms to 10 years.
pub(super) fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    bounded(
        deserializer,
        SHORTEST..=Duration::from_hours(10 * 365 * 24),
        "a time from `100ms` to `3650d`, like `20s`, `10m` or `24h`",
    )
}

/// From an hour to 10 years. With less, one rotation would lock out the gateways that are connected.
pub(super) fn grace<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    const ALLOWED: &str = "a time from `1h` to `3650d`, like `90d`";
    let longest = Duration::from_hours(10 * 365 * 24);
    bounded(deserializer, Duration::from_hours(1)..=longest, ALLOWED)
}

/// From 100 ms to 5 minutes.
pub(super) fn short_duration<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Duration, D::Error> {
    bounded(
        deserializer,
        SHORTEST..=Duration::from_mins(5),
        "a time from `100ms` to `5m`, like `10s`",
    )
}

pub(super) fn absolute_path<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<PathBuf, D::Error> {
    let path = PathBuf::deserialize(deserializer)?;
    if path.is_absolute() {
        Ok(path)
    } else {
        Err(Error::custom(
            "not an absolute path: give one that begins with `/`",
        ))
    }
}

pub(super) fn optional_path<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<PathBuf>, D::Error> {
    absolute_path(deserializer).map(Some)
}

/// A name in `$CREDENTIALS_DIRECTORY`; empty: none.
pub(super) fn optional_credential<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<String>, D::Error> {
    let name = String::deserialize(deserializer)?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.starts_with('.') || !name.chars().all(allowed) {
        return Err(Error::custom(
            "not a credential's name: give the name from LoadCredential=NAME:…, of letters, digits, `.`, `_` and `-`, or `\"\"` for none",
        ));
    }
    Ok(Some(name).filter(|name| !name.is_empty()))
}

pub(super) fn optional_address<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<SocketAddr>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| {
        Error::custom("not an address to listen on: give ADDRESS:PORT, like `0.0.0.0:9279` or `[::]:9279`, or `\"\"` for none")
    })
}

pub(super) fn suites<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Suite>, D::Error> {
    let mut suites = Vec::new();
    for name in Vec::<String>::deserialize(deserializer)? {
        let suite: Suite = name.parse().map_err(Error::custom)?;
        if suites.contains(&suite) {
            return Err(Error::custom(format_args!(
                "`{suite}` stands twice: give each suite once"
            )));
        }
        suites.push(suite);
    }
    if suites.is_empty() {
        return Err(Error::custom(
            "no suite: give at least one of `TDES-CTR-HMAC-SHA256` and `AES-256-GCM`",
        ));
    }
    Ok(suites)
}

fn bounded<'de, D: Deserializer<'de>>(
    deserializer: D,
    range: RangeInclusive<Duration>,
    allowed: &'static str,
) -> Result<Duration, D::Error> {
    let refuse = || Error::custom(format_args!("not allowed here: give {allowed}"));
    // A number without a unit would be read as anybody's guess.
    let text = toml::Value::deserialize(deserializer)?;
    text.as_str()
        .and_then(|text| humantime::parse_duration(text).ok())
        .filter(|time| range.contains(time))
        .ok_or_else(refuse)
}
