//! Names, and addresses to dial, as administrators give them.

use std::net::{IpAddr, Ipv6Addr};

/// The longest name.
pub const MAX_NAME: usize = 64;

/// What stands before a gateway's name in a URI of its TLS certificate's subjectAltName. A name
/// that is a host's may stand there as one (dNSName) in its place.
pub const GATEWAY_URI: &str = "portcullis:gateway:";

/// Whether a text is a name that every file and log can hold: 1 to 64 of `A-Z a-z 0-9 . _ -`,
/// beginning with a letter or a digit.
pub fn is_name(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    text.len() <= MAX_NAME
        && text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text.bytes().all(allowed)
}

/// Why a text is no address to dial.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// `[` without `]`.
    #[error("the bracket is not closed")]
    OpenBracket,
    /// Something else stands in the brackets.
    #[error("no IPv6 address stands in the brackets")]
    NotIpv6,
    /// Something else follows the brackets.
    #[error("only :PORT may follow the bracket")]
    AfterBracket,
    /// The host.
    #[error("the host is neither a name nor an IP address")]
    Host,
    /// The port.
    #[error("the port is no number from 1 to 65535")]
    Port,
    /// There is none, and none holds without.
    #[error("the port is missing")]
    NoPort,
}

/// HOST:PORT, HOST, `[IPv6]:PORT`, `[IPv6]` or IPv6, as HOST:PORT: with `default_port` where none
/// is given.
///
/// # Errors
/// [`AddressError`].
pub fn host_port(text: &str, default_port: Option<u16>) -> Result<String, AddressError> {
    let (host, port) = split(text)?;
    let port = match port {
        None => default_port.ok_or(AddressError::NoPort)?,
        Some(port) => port
            .parse()
            .ok()
            .filter(|port| *port > 0)
            .ok_or(AddressError::Port)?,
    };
    Ok(format!("{host}:{port}"))
}

/// The host, an IPv6 address in brackets, and the text of the port.
fn split(text: &str) -> Result<(String, Option<&str>), AddressError> {
    if text.parse::<Ipv6Addr>().is_ok() {
        return Ok((format!("[{text}]"), None));
    }
    if let Some(rest) = text.strip_prefix('[') {
        let (host, after) = rest.split_once(']').ok_or(AddressError::OpenBracket)?;
        host.parse::<Ipv6Addr>()
            .map_err(|_| AddressError::NotIpv6)?;
        let port = match after {
            "" => None,
            after => Some(after.strip_prefix(':').ok_or(AddressError::AfterBracket)?),
        };
        return Ok((format!("[{host}]"), port));
    }
    let (host, port) = match text.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (text, None),
    };
    if is_host(host) {
        Ok((host.to_owned(), port))
    } else {
        Err(AddressError::Host)
    }
}

fn is_host(host: &str) -> bool {
    if host.parse::<IpAddr>().is_ok() {
        return true;
    }
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
    };
    // A dot at the end says that the name is complete.
    let name = host.strip_suffix('.').unwrap_or(host);
    // What ends in a number is an IPv4 address or a mistake (RFC 1123, 2.1).
    let numeric = name
        .rsplit('.')
        .next()
        .is_some_and(|last| last.chars().all(|c| c.is_ascii_digit()));
    host.len() <= 253 && !numeric && name.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_get_the_default_port_where_they_have_none() {
        for (text, expected) in [
            ("host1", "host1:9278"),
            ("host1.example.com:9000", "host1.example.com:9000"),
            ("host1.example.com.:9000", "host1.example.com.:9000"),
            ("10.0.0.1", "10.0.0.1:9278"),
            ("[2001:db8::1]:80", "[2001:db8::1]:80"),
            ("[::1]", "[::1]:9278"),
            ("::1", "[::1]:9278"),
        ] {
            assert_eq!(host_port(text, Some(9278)).as_deref(), Ok(expected));
            let has_port = expected == text;
            assert_eq!(host_port(text, None).is_ok(), has_port, "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_told_why() {
        for (text, why) in [
            ("", AddressError::Host),
            (".", AddressError::Host),
            (":9278", AddressError::Host),
            ("a..b:1", AddressError::Host),
            ("host:", AddressError::Port),
            ("host:65536", AddressError::Port),
            ("host:1:2", AddressError::Port),
            ("[::1", AddressError::OpenBracket),
            ("[host]:1", AddressError::NotIpv6),
            ("[::1]9278", AddressError::AfterBracket),
            ("999.1.1.1", AddressError::Host),
            ("-host", AddressError::Host),
        ] {
            assert_eq!(host_port(text, Some(9278)), Err(why), "{text}");
        }
    }

    #[test]
    fn names_are_short_and_plain() {
        for good in ["a", "web-1.example_x", &"a".repeat(64), "0"] {
            assert!(is_name(good), "{good}");
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
            "a\0",
        ] {
            assert!(!is_name(bad), "{bad}");
        }
    }
}
