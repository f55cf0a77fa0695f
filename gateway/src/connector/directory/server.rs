//! The servers of a directory: where each is, which name its certificate has to have, and the way
//! to it.

use std::net::IpAddr;
use std::time::Duration;

use rustls::pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout_at};

use super::fault::{Fault, FaultKind};
use super::tls::Trust;

/// Seconds of silence after which the operating system asks whether the other side is still there.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// How TLS begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// At once: LDAPS.
    AtOnce,
    /// After a request for it (RFC 4511, section 4.14), and nothing before that.
    OnRequest,
}

/// One server of a directory.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    /// Its name or address.
    pub(crate) host: String,
    /// Its port.
    pub(crate) port: u16,
    /// How TLS begins.
    pub(crate) start: Start,
}

/// What holds for every server of a directory.
#[derive(Clone, Debug)]
pub(crate) struct Servers {
    /// In the order in which they are tried; at least one.
    pub(crate) list: Vec<Server>,
    /// The name that certificates have to have where it is not the host's.
    pub(crate) verify: Option<String>,
    /// Whose certificates are believed.
    pub(crate) trust: Trust,
    /// How long it may take until a connection stands, TLS included.
    pub(crate) connect_timeout: Duration,
    /// How long a server may be silent when an answer is due.
    pub(crate) answer_timeout: Duration,
    /// Bytes of one message of a server at the most.
    pub(crate) max_message: usize,
    /// Connections at the most.
    pub(crate) connections: usize,
    /// How long a connection may be unused.
    pub(crate) idle: Duration,
    /// How old a connection may grow.
    pub(crate) age: Duration,
}

impl Server {
    /// Reads `ldaps://HOST[:PORT]`, or `ldap://HOST[:PORT]` where TLS begins on request.
    ///
    /// # Errors
    /// What is allowed.
    pub(crate) fn parse(text: &str, start_tls: bool) -> Result<Self, String> {
        const RULE: &str =
            "ldaps://HOST or ldaps://HOST:PORT is allowed, and ldap:// with `starttls = true`";
        let (start, rest, port) = match text.split_once("://") {
            Some(("ldaps", rest)) => (Start::AtOnce, rest, 636),
            Some(("ldap", rest)) if start_tls => (Start::OnRequest, rest, 389),
            Some(("ldap", _)) => {
                return Err("passwords would cross the network in the clear: use ldaps://, or ldap:// with `starttls = true`".to_owned());
            }
            _ => return Err(RULE.to_owned()),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let address = portcullis_host::names::host_port(rest, Some(port))
            .map_err(|error| format!("{error}; {RULE}"))?;
        let (host, port) = address.rsplit_once(':').ok_or(RULE)?;
        Ok(Self {
            host: host.trim_matches(['[', ']']).to_owned(),
            port: port.parse().map_err(|_| RULE.to_owned())?,
            start,
        })
    }

    /// As it is shown to people.
    pub(crate) fn shown(&self) -> String {
        let scheme = match self.start {
            Start::AtOnce => "ldaps",
            Start::OnRequest => "ldap",
        };
        match self.host.parse() {
            Ok(IpAddr::V6(address)) => format!("{scheme}://[{address}]:{}", self.port),
            _ => format!("{scheme}://{}:{}", self.host, self.port),
        }
    }

    /// The name that its certificate has to have.
    pub(crate) fn name<'a>(&'a self, servers: &'a Servers) -> &'a str {
        servers.verify.as_deref().unwrap_or(&self.host)
    }

    /// The same as rustls has it.
    pub(crate) fn server_name(&self, servers: &Servers) -> Result<ServerName<'static>, Fault> {
        let name = self.name(servers);
        ServerName::try_from(name.to_owned()).map_err(|_| {
            let text = format!(
                "`{name}` can be in no certificate: give the server's name as `server_name`"
            );
            Fault::new(FaultKind::Name, text)
        })
    }

    /// Opens a connection, to the first of its addresses that answers.
    pub(crate) async fn dial(&self, deadline: Instant) -> Result<TcpStream, Fault> {
        let shown = self.shown();
        let silent = || {
            Fault::new(
                FaultKind::Silent,
                format!("{shown} does not answer: no connection in `connect_timeout`"),
            )
        };
        let found = timeout_at(deadline, lookup_host((self.host.as_str(), self.port))).await;
        let found = found.map_err(|_| silent())?.map_err(|error| {
            let text = format!("{shown}: the host's name has no address: {error}");
            Fault::new(FaultKind::Name, text)
        })?;
        let mut last = None;
        for address in found {
            match timeout_at(deadline, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    prepare(&stream);
                    return Ok(stream);
                }
                Ok(Err(error)) => last = Some(error),
                Err(_) => return Err(silent()),
            }
        }
        Err(match last {
            Some(error) => Fault::new(
                FaultKind::Refused,
                format!("{shown} takes no connection: {error}"),
            ),
            None => Fault::new(
                FaultKind::Name,
                format!("{shown}: the host's name has no address"),
            ),
        })
    }
}

/// Small requests leave at once; a connection that a firewall dropped is noticed. Where the system
/// has no such option, it is done without.
fn prepare(stream: &TcpStream) {
    let _ = stream.set_nodelay(true);
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE);
    let _ = SockRef::from(stream).set_tcp_keepalive(&keepalive);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_tls_is_configured() {
        let parse = |text, start_tls| Server::parse(text, start_tls).map(|found| found.shown());
        for (text, shown) in [
            ("ldaps://a.example", "ldaps://a.example:636"),
            ("ldaps://a.example:1636/", "ldaps://a.example:1636"),
            ("ldaps://[::1]", "ldaps://[::1]:636"),
            ("ldaps://127.0.15.1:99", "ldaps://127.0.15.1:99"),
            ("ldap://a.example", "ldap://a.example:389"),
        ] {
            assert_eq!(parse(text, true).as_deref(), Ok(shown), "{text}");
        }
        let refused = parse("ldap://a.example", false).unwrap_err();
        assert!(refused.contains("in the clear"), "{refused}");
        for text in [
            "a.example",
            "http://a",
            "ldaps://",
            "ldaps://a:0x",
            "ldapi://a",
        ] {
            assert!(parse(text, true).is_err(), "{text}");
        }
    }
}
