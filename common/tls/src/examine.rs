//! What the `doctor` of a program says of its `[tls]`: of each file whether it can be used, whether
//! they go together, and until when they are valid.

use std::path::Path;
use std::sync::Arc;

use portcullis_common::rotation::UnixMillis;
use portcullis_host::clock;
use portcullis_host::doctor::Diagnosis;
use rustls::CertificateError;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, UnixTime};
use zeroize::Zeroizing;

use crate::expiry::{Expiry, of_authority, of_certificates, of_lists};
use crate::files::{anchors, own, revoked};
use crate::pem::{self, FilesError};
use crate::verifier::{Expected, Trust, Verifier};
use crate::{Settings, Side};

/// Days before the end from which on somebody has to see to it.
const SOON_DAYS: u64 = 30;
const DAY_MS: u64 = 86_400_000;
/// What the findings are called.
const CHECK: &str = "TLS";
/// Below it systemd lays the credentials of a service, while that runs and for it alone.
const CREDENTIALS: &str = "/run/credentials";

/// Looks at the files of `settings`, of a program on this side; `read_key` reads the private key as
/// the program itself does.
pub fn examine(
    side: Side,
    settings: Option<&Settings>,
    read_key: impl Fn(&Path, usize) -> Result<Zeroizing<Vec<u8>>, String>,
    diagnosis: &mut Diagnosis,
) {
    let Some(settings) = settings else {
        return diagnosis.fine(CHECK, "there is none around the channel, which needs none");
    };
    let issue = format!(
        "issue it anew (`portcullis tls {side}`), put certificate and key where [tls] names them, and reload"
    );
    let fetch = format!(
        "put the certificate of the {}s' authority there (`portcullis tls init` made it), and reload",
        side.peer()
    );
    match pem::certificates(&settings.certificate) {
        Ok(chain) => {
            let end = of_certificates("certificate", &settings.certificate, &chain);
            told(end, &issue, diagnosis);
            key(settings, read_key, &issue, diagnosis);
            purpose(side, settings, &chain, &issue, diagnosis);
        }
        Err(error) => diagnosis.critical(CHECK, error.to_string(), &issue),
    }
    match anchors(&settings.peer_ca).and_then(|_| of_authority(&settings.peer_ca)) {
        Ok(end) => told(
            end,
            "make another authority, have both sides believe the old and the new one (one file may hold both), then issue anew under it",
            diagnosis,
        ),
        Err(error) => diagnosis.critical(CHECK, error.to_string(), &fetch),
    }
    if let Some(path) = &settings.revoked {
        let bring = "bring the present list of the authority here (`portcullis tls revoke` writes it), and reload";
        match revoked(path).and_then(|_| of_lists(path)) {
            Ok(end) => told(end, bring, diagnosis),
            Err(error) => diagnosis.critical(CHECK, error.to_string(), bring),
        }
    }
}

/// Whether the private key can be read, and is that of the certificate.
fn key(
    settings: &Settings,
    read_key: impl Fn(&Path, usize) -> Result<Zeroizing<Vec<u8>>, String>,
    issue: &str,
    diagnosis: &mut Diagnosis,
) {
    let path = settings.key.display();
    if settings.key.starts_with(CREDENTIALS) && !settings.key.exists() {
        return diagnosis.note(
            CHECK,
            format!("{path} is a credential of the service, and was not looked at"),
            "the service's log says where it does not fit",
        );
    }
    match own(settings, read_key, &ring::default_provider()) {
        Ok(_) => diagnosis.fine(CHECK, format!("the key in {path} is the certificate's")),
        // What is wrong with a private file is told together with what to do.
        Err(error @ FilesError::Key(_)) => diagnosis.critical(CHECK, error.to_string(), ""),
        Err(error) => diagnosis.critical(CHECK, error.to_string(), issue),
    }
}

/// Whether the certificate is one of this side, and the authority that of the other.
fn purpose(
    side: Side,
    settings: &Settings,
    chain: &[CertificateDer<'static>],
    issue: &str,
    diagnosis: &mut Diagnosis,
) {
    let (Ok(anchors), Some((leaf, others))) = (anchors(&settings.peer_ca), chain.split_first())
    else {
        // It is told where the file is looked at.
        return;
    };
    // This side's own certificate as a peer would look at it that believed the other side's
    // authority. Purpose and time are looked at before the issuer is.
    let trust = Trust {
        peer: side,
        anchors,
        revoked: None,
    };
    let provider = Arc::new(ring::default_provider());
    let verifier = Verifier::new(Arc::new(trust), Expected::Anybody, provider);
    let (certificate, authority) = (settings.certificate.display(), settings.peer_ca.display());
    match verifier.verify(leaf, others, UnixTime::now()) {
        Ok(()) => diagnosis.warning(
            CHECK,
            format!(
                "the authority in {authority} has issued the certificate of this {side}, too: where {}s have another one, no link comes up",
                side.peer()
            ),
            &format!(
                "put the certificate of the {}s' authority there: each side has its own (`portcullis tls init` makes both)",
                side.peer()
            ),
        ),
        Err(CertificateError::InvalidPurpose) => diagnosis.critical(
            CHECK,
            format!("the certificate in {certificate} is not one of a {side}: the other side refuses it"),
            issue,
        ),
        Err(CertificateError::NotValidYetContext { .. }) => diagnosis.critical(
            CHECK,
            format!("the certificate in {certificate} is not valid yet, by the clock of this host"),
            "set the clock right, or wait",
        ),
        // Another authority is as it should be; when it ends is told already.
        Err(_) => {}
    }
}

/// Says until when something is valid; of what has no end, nothing.
fn told(expiry: Option<Expiry>, remedy: &str, diagnosis: &mut Diagnosis) {
    let Some(Expiry { what, path, until }) = expiry else {
        return;
    };
    let now: UnixMillis = clock::now();
    let (path, end) = (path.display(), clock::text(until));
    let days = until.0.saturating_sub(now.0) / DAY_MS;
    match (until.0 <= now.0, days < SOON_DAYS) {
        (true, _) => diagnosis.critical(
            CHECK,
            format!("the {what} in {path} has expired, on {end}"),
            remedy,
        ),
        (false, true) => diagnosis.warning(
            CHECK,
            format!("the {what} in {path} expires in {days} days, on {end}"),
            remedy,
        ),
        (false, false) => diagnosis.fine(
            CHECK,
            format!("the {what} in {path} is valid for {days} days, until {end}"),
        ),
    }
}
