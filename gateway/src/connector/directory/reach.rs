//! The keys that say how a directory is reached, and whose certificates are believed.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::server::{Server, Servers};
use super::tls::{Trust, parse_pin};
use crate::config::Section;

/// Reads them; what is wrong becomes a problem of the section.
pub(super) fn servers(section: &mut Section<'_>) -> Option<Servers> {
    let start_tls = section.boolean("starttls").unwrap_or(false);
    let list = section.list("servers", |text| Server::parse(text, start_tls));
    if !section.has("servers") {
        section.problem(
            "servers",
            "missing: give the directory's servers, such as [\"ldaps://ldap.example.org\"]",
        );
    }
    if list.as_ref().is_some_and(Vec::is_empty) {
        section.problem("servers", "empty: at least one is needed");
    }
    let verify = section.text("server_name").map(str::to_owned);
    let trust = trust(section);
    let duration = |section: &mut Section<'_>, key, most: u64, default: u64| {
        let range = Duration::from_secs(1)..=Duration::from_secs(most);
        section
            .duration(key, range)
            .unwrap_or(Duration::from_secs(default))
    };
    let connect_timeout = duration(section, "connect_timeout", 60, 5);
    let answer_timeout = duration(section, "answer_timeout", 600, 30);
    let idle = duration(section, "idle_timeout", 3600, 300);
    let age = duration(section, "max_age", 86_400, 3600);
    let max_message = section.integer("max_message", 65_536..=64 << 20);
    let connections = section.integer("connections", 1..=64);
    let size = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    Some(Servers {
        list: list.filter(|list| !list.is_empty())?,
        verify,
        trust: trust?,
        connect_timeout,
        answer_timeout,
        max_message: size(max_message.unwrap_or(4 << 20)),
        connections: size(connections.unwrap_or(8)),
        idle,
        age,
    })
}

/// Certificates that are named one by one, those that a file's authorities vouch for, or those that
/// the host's own do.
fn trust(section: &mut Section<'_>) -> Option<Trust> {
    let file = section.text("ca_file").map(PathBuf::from);
    let pins = section.list("certificate_sha256", |text| {
        parse_pin(text).ok_or_else(|| "64 hexadecimal digits are allowed, as `sha256sum` or `openssl x509 -fingerprint -sha256` print them".to_owned())
    });
    if section.has("certificate_sha256") {
        if section.has("ca_file") {
            section.problem(
                "ca_file",
                "either `ca_file` or `certificate_sha256` is allowed, not both",
            );
            return None;
        }
        let pins = pins?;
        if pins.is_empty() {
            section.problem("certificate_sha256", "empty: at least one is needed");
            return None;
        }
        return Some(Trust::Pins(pins));
    }
    let Some(file) = file else {
        return host_authorities(section);
    };
    match authorities(&file) {
        Ok(roots) => Some(Trust::Authorities {
            source: format!(
                "`ca_file` ({}, {} certificates)",
                file.display(),
                roots.len()
            ),
            roots: Arc::new(roots),
        }),
        Err(error) => {
            section.problem("ca_file", error);
            None
        }
    }
}

fn host_authorities(section: &Section<'_>) -> Option<Trust> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        section.problem("ca_file", "missing, and this host has no certificates of authorities of its own: give the file with that of the directory's");
        return None;
    }
    Some(Trust::Authorities {
        roots: Arc::new(roots),
        source: format!("the {added} authorities that this host trusts"),
    })
}

fn authorities(file: &Path) -> Result<RootCertStore, String> {
    let shown = file.display();
    let mut roots = RootCertStore::empty();
    let found = CertificateDer::pem_file_iter(file)
        .map_err(|error| format!("{shown} cannot be read: {error}"))?;
    for certificate in found {
        let certificate =
            certificate.map_err(|error| format!("{shown} is no PEM file: {error}"))?;
        roots
            .add(certificate)
            .map_err(|error| format!("{shown}: a certificate in it is of no use: {error}"))?;
    }
    if roots.is_empty() {
        return Err(format!("{shown} holds no certificate"));
    }
    Ok(roots)
}
