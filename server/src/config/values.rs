//! How single values are read; each message says what is allowed.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use portcullis_common::crypto::suites::Suite;
use portcullis_host::config::Section;

const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_hours(10 * 365 * 24);

/// From 100 ms to 10 years.
pub(super) fn duration(section: &mut Section<'_>, key: &str) -> Option<Duration> {
    let allowed = "a time from `100ms` to `3650d`, like `20s`, `10m` or `24h`";
    bounded(section, key, SHORTEST..=LONGEST, allowed)
}

/// From an hour to 10 years. With less, one rotation would lock out the gateways that are
/// connected.
pub(super) fn grace(section: &mut Section<'_>, key: &str) -> Option<Duration> {
    let allowed = "a time from `1h` to `3650d`, like `90d`";
    bounded(section, key, Duration::from_hours(1)..=LONGEST, allowed)
}

/// From 100 ms to 5 minutes.
pub(super) fn short_duration(section: &mut Section<'_>, key: &str) -> Option<Duration> {
    let allowed = "a time from `100ms` to `5m`, like `10s`";
    bounded(section, key, SHORTEST..=Duration::from_mins(5), allowed)
}

pub(super) fn absolute_path(section: &mut Section<'_>, key: &str) -> Option<PathBuf> {
    let path = PathBuf::from(section.text(key)?);
    if path.is_absolute() {
        return Some(path);
    }
    section.problem(key, "not an absolute path: give one that begins with `/`");
    None
}

/// A name in `$CREDENTIALS_DIRECTORY`; empty: none.
pub(super) fn credential(section: &mut Section<'_>, key: &str) -> Option<String> {
    let name = section.text(key)?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.starts_with('.') || !name.chars().all(allowed) {
        section.problem(
            key,
            "not a credential's name: give the name from LoadCredential=NAME:…, of letters, digits, `.`, `_` and `-`, or `\"\"` for none",
        );
        return None;
    }
    Some(name.to_owned()).filter(|name| !name.is_empty())
}

/// A name among the servers of a repository; `None`: none is given.
pub(super) fn server_name(section: &mut Section<'_>, key: &str) -> Option<String> {
    let name = section.text(key).filter(|name| !name.is_empty())?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.starts_with('-') || name.len() > 253 || !name.chars().all(allowed) {
        section.problem(
            key,
            "not a server's name: give up to 253 letters, digits, `.`, `_` and `-`, or `\"\"` for the host's name",
        );
        return None;
    }
    Some(name.to_owned())
}

/// Where to listen; `Some(None)`: nowhere.
pub(super) fn optional_address(section: &mut Section<'_>, key: &str) -> Option<Option<SocketAddr>> {
    let text = section.text(key)?;
    if text.is_empty() {
        return Some(None);
    }
    // With port 0 the system would choose another one at each start.
    let address = text.parse().ok();
    let address = address.filter(|address: &SocketAddr| address.port() != 0);
    if address.is_none() {
        section.problem(
            key,
            "not an address to listen on: give ADDRESS:PORT, like `0.0.0.0:9279` or `[::]:9279`, or `\"\"` for none",
        );
    }
    address.map(Some)
}

pub(super) fn suites(section: &mut Section<'_>, key: &str) -> Option<Vec<Suite>> {
    let suites = section.list(key, |text| {
        text.parse::<Suite>().map_err(|error| error.to_string())
    })?;
    if suites.is_empty() {
        section.problem(
            key,
            "no suite: give at least one of `TDES-CTR-HMAC-SHA256` and `AES-256-GCM`",
        );
        return None;
    }
    for (index, suite) in suites.iter().enumerate() {
        if suites[..index].contains(suite) {
            section.problem(key, format!("`{suite}` stands twice: give each suite once"));
            return None;
        }
    }
    Some(suites)
}

fn bounded(
    section: &mut Section<'_>,
    key: &str,
    range: RangeInclusive<Duration>,
    allowed: &str,
) -> Option<Duration> {
    let refusal = format!("not allowed here: give {allowed}");
    // A number without a unit would be read as anybody's guess.
    let text = section.text_or(key, &refusal)?;
    let time = humantime::parse_duration(text).ok();
    let time = time.filter(|time| range.contains(time));
    if time.is_none() {
        section.problem(key, refusal);
    }
    time
}
