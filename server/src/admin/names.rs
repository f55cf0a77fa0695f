//! Names and addresses as administrators give them: parsed once, here.

use std::collections::{BTreeMap, HashMap};

use portcullis_common::id::KeyId;
use portcullis_host::names::{self, MAX_NAME, is_name};
use portcullis_proto::admin::v1 as proto;

use super::error::AdminError;
use crate::repository::Reach;

/// The port on which gateways listen.
const GATEWAY_PORT: u16 = 9278;

const MAX_USER_NAME: usize = 128;
const MAX_GROUPS: usize = 64;
/// Settings of a resource.
pub(super) const MAX_SETTINGS: usize = 64;
const MAX_SETTING_VALUE: usize = 4_096;

/// A name for a gateway, a resource or a connector: 1 to 64 of `A-Z a-z 0-9 . _ -`, beginning with
/// a letter or a digit.
pub(super) fn name<'a>(what: &str, text: &'a str) -> Result<&'a str, AdminError> {
    if is_name(text) {
        return Ok(text);
    }
    Err(AdminError::Malformed(format!(
        "`{}` is no name for a {what}: give 1 to {MAX_NAME} of A-Z a-z 0-9 . _ -, beginning with a letter or a digit",
        shortened(text)
    )))
}

/// Names of groups, in order, each once.
pub(super) fn groups(given: Vec<String>) -> Result<Vec<String>, AdminError> {
    if given.len() > MAX_GROUPS {
        return Err(AdminError::Malformed(format!(
            "at most {MAX_GROUPS} groups can be given at once"
        )));
    }
    for group in &given {
        name("group", group)?;
    }
    let ordered: std::collections::BTreeSet<_> = given.into_iter().collect();
    Ok(ordered.into_iter().collect())
}

/// For the audit log, whether a request only asks what it would do.
pub(super) const fn dry_run(dry: bool) -> &'static str {
    if dry { ", dry run" } else { "" }
}

/// Names for the audit log after `how`, as they were sent: nobody has looked at them yet.
pub(super) fn listed(how: &str, names: &[String]) -> String {
    match names {
        [] => String::new(),
        names => format!("{how} {}", names.join(" ")),
    }
}

/// A name for a user: 1 to 128 of `A-Z a-z 0-9 . _ @ + -`, beginning with a letter or a digit.
pub(super) fn user(text: &str) -> Result<&str, AdminError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '@' | '+' | '-');
    let sound = (1..=MAX_USER_NAME).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(allowed);
    if sound {
        return Ok(text);
    }
    Err(AdminError::Malformed(format!(
        "`{}` is no name for a user: give 1 to {MAX_USER_NAME} of A-Z a-z 0-9 . _ @ + -, beginning with a letter or a digit",
        shortened(text)
    )))
}

/// Who dials: exactly one of the two.
pub(super) fn reach(address: Option<&str>, dial_out: bool) -> Result<Reach, AdminError> {
    match (address, dial_out) {
        (Some(text), false) => Ok(Reach::Address(host_port(text)?)),
        (None, true) => Ok(Reach::DialOut),
        (Some(_), true) => Err(AdminError::malformed(
            "give an address or dial-out, not both: either the server dials or the gateway does",
        )),
        (None, false) => Err(AdminError::malformed(
            "give --address HOST:PORT, or --dial-out for a gateway that dials the server",
        )),
    }
}

/// Settings with those that are given merged in; an empty value removes one.
pub(super) fn merge_settings(
    settings: &mut BTreeMap<String, String>,
    given: HashMap<String, String>,
) {
    for (name, value) in given {
        if value.is_empty() {
            settings.remove(&name);
        } else {
            settings.insert(name, value);
        }
    }
}

/// Refuses settings out of bounds.
pub(super) fn check_settings(given: &HashMap<String, String>) -> Result<(), AdminError> {
    if given.len() > MAX_SETTINGS {
        return Err(AdminError::Malformed(format!(
            "a resource has at most {MAX_SETTINGS} settings"
        )));
    }
    for (setting, value) in given {
        name("setting", setting)?;
        if value.len() > MAX_SETTING_VALUE || value.chars().any(char::is_control) {
            return Err(AdminError::Malformed(format!(
                "setting `{setting}`: a value has at most {MAX_SETTING_VALUE} bytes, on one line"
            )));
        }
    }
    Ok(())
}

/// The id of a key.
pub(super) fn key_id(text: &str) -> Result<KeyId, AdminError> {
    text.parse::<KeyId>().map_err(AdminError::malformed)
}

/// A kind of key, as it was asked for.
pub(super) fn key_kind(number: i32) -> Result<proto::KeyKind, AdminError> {
    proto::KeyKind::try_from(number).map_err(|_| {
        AdminError::Malformed(format!("{number} is no kind of key: give 3des or aes-256"))
    })
}

/// HOST:PORT, HOST, [IPv6]:PORT, [IPv6] or IPv6, with the port that gateways listen on where none
/// is given.
fn host_port(text: &str) -> Result<String, AdminError> {
    names::host_port(text, Some(GATEWAY_PORT)).map_err(|why| {
        AdminError::Malformed(format!(
            "`{}` is no address ({why}): give HOST:PORT, such as host1.example.com:{GATEWAY_PORT} or [2001:db8::1]:{GATEWAY_PORT}",
            shortened(text)
        ))
    })
}

/// Enough of a text to recognise it by, without control characters.
pub(super) fn shortened(text: &str) -> String {
    let mut out: String = text
        .chars()
        .take(MAX_NAME)
        .map(|c| if c.is_control() { '?' } else { c })
        .collect();
    if text.chars().count() > MAX_NAME {
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_get_the_port_of_gateways_where_they_have_none() {
        for (text, expected) in [
            ("host1", "host1:9278"),
            ("host1.example.com:9000", "host1.example.com:9000"),
            ("10.0.0.1", "10.0.0.1:9278"),
            ("[2001:db8::1]:80", "[2001:db8::1]:80"),
            ("[::1]", "[::1]:9278"),
            ("::1", "[::1]:9278"),
        ] {
            assert_eq!(host_port(text).unwrap(), expected);
        }
    }

    #[test]
    fn what_is_no_address_is_told_why() {
        for (text, why) in [
            ("", "neither a name"),
            (":9278", "neither a name"),
            ("host:", "the port"),
            ("host:0", "the port"),
            ("host:65536", "the port"),
            ("host:1:2", "the port"),
            ("[::1", "bracket is not closed"),
            ("[host]:1", "no IPv6"),
            ("[::1]9278", "only :PORT"),
            ("999.1.1.1", "neither a name"),
            ("10.0.0:80", "neither a name"),
            ("-host", "neither a name"),
            ("https://host/", "the port"),
            ("a b", "neither a name"),
        ] {
            match host_port(text) {
                Err(error) => assert!(error.to_string().contains(why), "{text}: {error}"),
                // `https` is a host, and `//host/` is no port.
                Ok(address) => panic!("{text} was taken as {address}"),
            }
        }
    }

    #[test]
    fn names_are_what_every_file_and_log_can_hold() {
        for good in ["a", "web-1.example_x", &"a".repeat(64), "0"] {
            assert!(name("gateway", good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "-a",
            ".a",
            "a/b",
            "a b",
            "ä",
            &"a".repeat(65),
            "a\n",
            "..",
            "a\0",
        ] {
            let message = name("gateway", bad).unwrap_err().to_string();
            assert!(message.contains("no name for a gateway"), "{message}");
            assert!(!message.contains(['\n', '\0']), "{message:?}");
        }
    }

    #[test]
    fn users_may_be_called_by_their_address() {
        for good in ["ada", "ada.lovelace+hr@example.com", &"a".repeat(128)] {
            assert!(user(good).is_ok(), "{good}");
        }
        for bad in ["", "@ada", "a/b", "a b", "a\n", &"a".repeat(129)] {
            let message = user(bad).unwrap_err().to_string();
            assert!(message.contains("no name for a user"), "{message}");
        }
    }

    #[test]
    fn an_empty_value_removes_a_setting() {
        let mut settings = BTreeMap::from([("a".to_owned(), "1".to_owned())]);
        merge_settings(
            &mut settings,
            HashMap::from([
                ("a".to_owned(), String::new()),
                ("b".to_owned(), "2".to_owned()),
            ]),
        );
        assert_eq!(settings, BTreeMap::from([("b".to_owned(), "2".to_owned())]));
    }
}
