//! `[traces]` of a configuration.

use std::net::SocketAddr;

use http::Uri;
use portcullis_host::config::Section;

/// What a collector's path is where none is given.
const PATH: &str = "/v1/traces";

/// `[traces]`: where spans are sent, and of how many calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceSettings {
    /// Where a collector takes OTLP over HTTP; `None`: nothing is traced.
    pub endpoint: Option<Uri>,
    /// Of so many calls for which nobody asks for a trace, one has one.
    pub one_in: u32,
}

impl Default for TraceSettings {
    fn default() -> Self {
        Self {
            endpoint: None,
            one_in: 1,
        }
    }
}

impl TraceSettings {
    /// Reads the key `endpoint`; the caller finishes the section.
    pub fn read(section: &mut Section<'_>) -> Self {
        let text = section.text("endpoint").filter(|text| !text.is_empty());
        let endpoint = text.and_then(|text| {
            let found = endpoint(text);
            if found.is_none() {
                section.problem(
                    "endpoint",
                    "not allowed: give `http://127.0.0.1:4318`, with `localhost`, `127.0.0.1` or `[::1]`, without a name and password: a collector on this host takes spans, and sends them on as safely as they have to be",
                );
            }
            found
        });
        Self {
            endpoint,
            ..Self::default()
        }
    }

    /// Reads the key `one_in`, too.
    pub fn read_with_share(section: &mut Section<'_>) -> Self {
        let mut settings = Self::read(section);
        if let Some(one_in) = section.integer("one_in", 1..=1_000_000) {
            settings.one_in = u32::try_from(one_in).unwrap_or(u32::MAX);
        }
        settings
    }
}

/// Where spans go: to this host alone, for they are not encrypted.
fn endpoint(text: &str) -> Option<Uri> {
    let here = |host: &str| {
        host == "localhost"
            || format!("{host}:0")
                .parse()
                .is_ok_and(|address: SocketAddr| address.ip().is_loopback())
    };
    let url: Uri = text.parse().ok()?;
    let authority = url.authority()?;
    if url.scheme_str() != Some("http")
        || authority.as_str().contains('@')
        || !here(authority.host())
        || url.query().is_some()
    {
        return None;
    }
    if url.path() != "/" {
        return Some(url);
    }
    format!("http://{authority}{PATH}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_go_to_a_collector_on_this_host_and_nowhere_else() {
        for (text, found) in [
            ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/traces"),
            ("http://localhost:4318/", "http://localhost:4318/v1/traces"),
            ("http://[::1]:4318/otlp", "http://[::1]:4318/otlp"),
        ] {
            assert_eq!(endpoint(text).unwrap().to_string(), found);
        }
        for wrong in [
            "127.0.0.1:4318",
            "http://192.0.2.7:4318",
            "http://collector.example.com:4318",
            "https://127.0.0.1:4318",
            "http://ada:tiger@127.0.0.1:4318",
            "http://127.0.0.1:4318/x?token=y",
            "http:///v1/traces",
            "",
        ] {
            assert_eq!(endpoint(wrong), None, "{wrong}");
        }
    }
}
