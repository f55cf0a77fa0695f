//! `[forward.NAME]`: where entries of the audit log are sent as well.

use std::net::SocketAddr;
use std::path::PathBuf;

use http::Uri;
use portcullis_host::config::{Problems, Section};
use portcullis_host::names::{host_port, is_name};

use super::values;

/// Places that the log may be sent to.
const MOST: usize = 16;

/// One place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forward {
    /// Its name in the configuration.
    pub name: String,
    /// Which entries go there.
    pub what: What,
    /// How.
    pub to: ForwardTo,
}

/// Which entries are sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum What {
    /// All of them.
    #[default]
    Everything,
    /// Those that are alarms.
    Alarms,
}

/// How entries are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ForwardTo {
    /// As messages of syslog (RFC 5424).
    Syslog(SyslogAt),
    /// As lines of JSON at the end of a file.
    File(PathBuf),
    /// As the JSON body of HTTP requests.
    Webhook {
        /// `https`, or `http` to this host.
        url: Uri,
        /// The file of the secret that signs them.
        secret_file: PathBuf,
        /// The certificates that are believed; `None`: those that the system believes.
        ca_file: Option<PathBuf>,
    },
}

/// Where syslog listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SyslogAt {
    /// HOST:PORT over UDP (RFC 5426).
    Udp(String),
    /// HOST:PORT over TCP (RFC 6587, octet counting).
    Tcp(String),
    /// A Unix socket of datagrams.
    Unix(PathBuf),
}

/// Reads `[forward]`.
pub(super) fn read(section: &mut Section<'_>, problems: &Problems) -> Vec<Forward> {
    let tables = section.named_tables();
    if tables.len() > MOST {
        section.problem("", format!("more than {MOST} places: leave some out"));
    }
    let mut found = Vec::new();
    for (name, table) in tables {
        if !is_name(name) {
            section.problem(
                name,
                "1 to 64 of the characters A-Z a-z 0-9 . _ - are allowed, the first of them a letter or a digit",
            );
        }
        let mut own = Section::new(format!("forward.{name}"), table, problems);
        let what = what(&mut own);
        if let Some(to) = to(&mut own) {
            let name = name.to_owned();
            found.push(Forward { name, what, to });
        }
        super::read::finish(own);
    }
    found
}

fn what(section: &mut Section<'_>) -> What {
    match section.text("what") {
        None | Some("everything") => What::Everything,
        Some("alarms") => What::Alarms,
        Some(_) => {
            section.problem("what", "unknown: give `everything` or `alarms`");
            What::Everything
        }
    }
}

fn to(section: &mut Section<'_>) -> Option<ForwardTo> {
    match section.text("type") {
        Some("syslog") => Some(ForwardTo::Syslog(syslog(section)?)),
        Some("file") => {
            let path = values::absolute_path(section, "path");
            missing(section, "path");
            Some(ForwardTo::File(path?))
        }
        Some("webhook") => webhook(section),
        _ => {
            section.problem(
                "type",
                "missing or unknown: give `syslog`, `file` or `webhook`",
            );
            None
        }
    }
}

fn missing(section: &Section<'_>, key: &str) {
    if !section.has(key) {
        section.problem(key, "missing: it says where to");
    }
}

fn syslog(section: &mut Section<'_>) -> Option<SyslogAt> {
    let text = section.text("to").unwrap_or("unix:///dev/log");
    let at = match text.split_once("://") {
        Some(("udp", at)) if host_port(at, None).is_ok() => Some(SyslogAt::Udp(at.to_owned())),
        Some(("tcp", at)) if host_port(at, None).is_ok() => Some(SyslogAt::Tcp(at.to_owned())),
        Some(("unix", path)) if path.starts_with('/') => Some(SyslogAt::Unix(path.into())),
        _ => None,
    };
    if at.is_none() {
        section.problem(
            "to",
            "not a place: give `unix:///dev/log`, `udp://HOST:PORT` or `tcp://HOST:PORT`",
        );
    }
    at
}

fn webhook(section: &mut Section<'_>) -> Option<ForwardTo> {
    let url = url(section);
    let secret_file = values::absolute_path(section, "secret_file");
    missing(section, "secret_file");
    let ca_file = values::absolute_path(section, "ca_file");
    Some(ForwardTo::Webhook {
        url: url?,
        secret_file: secret_file?,
        ca_file,
    })
}

/// Names of users and objects stand in it: it leaves this host under TLS alone.
fn url(section: &mut Section<'_>) -> Option<Uri> {
    missing(section, "url");
    let text = section.text("url")?;
    let url = text.parse::<Uri>().ok().filter(|url| url.host().is_some());
    let here = |host: &str| {
        host == "localhost"
            || format!("{host}:0")
                .parse()
                .is_ok_and(|address: SocketAddr| address.ip().is_loopback())
    };
    // A name and a password there would stand in the log; `secret_file` proves who sends.
    let url = url.filter(|url| {
        url.authority()
            .is_some_and(|host| !host.as_str().contains('@'))
    });
    let url = url.filter(|url| match url.scheme_str() {
        Some("https") => true,
        Some("http") => url.host().is_some_and(here),
        _ => false,
    });
    if url.is_none() {
        section.problem(
            "url",
            "not allowed: give `https://HOST/PATH`, or `http://` with `localhost`, `127.0.0.1` or `[::1]`, without a name and password",
        );
    }
    url
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::{Config, Forward};

    fn read(text: &str) -> Result<Vec<Forward>, String> {
        let text = format!("[forward.one]\n{text}\n");
        Config::parse(&text, Path::new("server.toml"))
            .map(|config| config.forward)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_place_that_would_show_names_to_the_network_or_is_none_is_refused() {
        let secret = "secret_file = \"/etc/portcullis/hook\"";
        for good in [
            "type = \"syslog\"".to_owned(),
            "type = \"syslog\"\nto = \"udp://siem.example.com:514\"\nwhat = \"alarms\"".to_owned(),
            "type = \"syslog\"\nto = \"tcp://[::1]:601\"".to_owned(),
            "type = \"file\"\npath = \"/var/log/audit.jsonl\"".to_owned(),
            format!("type = \"webhook\"\nurl = \"https://example.com/x?y=z\"\n{secret}"),
            format!("type = \"webhook\"\nurl = \"http://127.0.0.1:8080/x\"\n{secret}"),
            format!("type = \"webhook\"\nurl = \"http://[::1]:8080/x\"\n{secret}"),
        ] {
            assert_eq!(read(&good).map(|found| found.len()), Ok(1), "{good}");
        }
        for (wrong, said) in [
            ("", "type"),
            ("type = \"smoke\"", "type"),
            ("type = \"syslog\"\nto = \"siem:514\"", "not a place"),
            ("type = \"syslog\"\nto = \"unix://dev/log\"", "not a place"),
            ("type = \"file\"", "path"),
            ("type = \"file\"\npath = \"audit.jsonl\"", "absolute"),
            ("type = \"file\"\npath = \"/a\"\nwhat = \"some\"", "what"),
            ("type = \"file\"\npath = \"/a\"\nurl = \"x\"", "url"),
            (
                "type = \"webhook\"\nurl = \"https://example.com\"",
                "secret_file",
            ),
        ] {
            let error = read(wrong).unwrap_err();
            assert!(error.contains(said), "{wrong}: {error}");
        }
        for url in [
            "http://example.com/x",
            "ftp://localhost/x",
            "/x",
            "https://",
            "https://ada:tiger@example.com/x",
            "http://localhost@127.0.0.1/x",
        ] {
            let error = read(&format!("type = \"webhook\"\nurl = \"{url}\"\n{secret}"));
            assert!(error.unwrap_err().contains("not allowed"), "{url}");
        }
    }
}
