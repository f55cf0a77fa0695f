//! `[tls]` of either program's configuration.

use std::path::PathBuf;

use portcullis_host::config::Section;
use rustls::pki_types::ServerName;

use crate::Side;

/// `[tls]`: where certificates and keys are, and whether there has to be TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// This side's certificate, and those between it and its authority (PEM).
    pub certificate: PathBuf,
    /// Its private key (PEM), a private file.
    pub key: PathBuf,
    /// The authority of the other side (PEM).
    pub peer_ca: PathBuf,
    /// What that authority has revoked (PEM).
    pub revoked: Option<PathBuf>,
    /// Whether a connection without TLS is refused.
    pub require: bool,
    /// Of a gateway: the name that the server's certificate has to bear. `None`: where the gateway
    /// dials, that of the host which it dials; where it listens, any.
    pub server_name: Option<String>,
}

impl Settings {
    /// Reads the keys of `[tls]`; the caller finishes the section. `None` where one that is needed
    /// is missing or wrong.
    pub fn read(section: &mut Section<'_>, side: Side) -> Option<Self> {
        let ca = match side {
            Side::Server => "gateway_ca",
            Side::Gateway => "server_ca",
        };
        let certificate = needed(section, "certificate");
        let key = needed(section, "key");
        let peer_ca = needed(section, ca);
        let revoked = path(section, "revoked");
        let require = section.boolean("require").unwrap_or(true);
        let server_name = match side {
            Side::Server => None,
            Side::Gateway => section.text("server_name").map(str::to_owned),
        };
        if let Some(name) = &server_name
            && ServerName::try_from(name.as_str()).is_err()
        {
            section.problem(
                "server_name",
                "a host's name or an IP address is allowed, as it stands in the server's certificate",
            );
        }
        Some(Self {
            certificate: certificate?,
            key: key?,
            peer_ca: peer_ca?,
            revoked,
            require,
            server_name,
        })
    }
}

fn needed(section: &mut Section<'_>, key: &str) -> Option<PathBuf> {
    if !section.has(key) {
        section.problem(
            key,
            "missing: give the file's absolute path (`portcullis tls` makes it)",
        );
    }
    path(section, key)
}

fn path(section: &mut Section<'_>, key: &str) -> Option<PathBuf> {
    let path = PathBuf::from(section.text(key)?);
    if path.is_absolute() {
        return Some(path);
    }
    section.problem(key, "an absolute path is allowed");
    None
}
