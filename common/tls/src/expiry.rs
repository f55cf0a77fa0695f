//! Until when what `[tls]` names is valid: the certificates, the other side's authority, the list
//! of what that has revoked.

use std::path::{Path, PathBuf};

use der::asn1::{AnyRef, GeneralizedTime, UtcTime};
use der::{Decode as _, Reader as _, Tag, Tagged as _};
use portcullis_common::rotation::UnixMillis;
use rustls::pki_types::CertificateDer;

use crate::Settings;
use crate::pem::{self, FilesError};

/// One file of `[tls]`, and until when what is in it is valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expiry {
    /// What it is: `certificate`, `authority` or `revoked`.
    pub what: &'static str,
    /// The file.
    pub path: PathBuf,
    /// Until when all of it is valid.
    pub until: UnixMillis,
}

/// Until when the files of `settings` are valid; of a list that has no end, nothing. The private
/// key is not read.
///
/// # Errors
/// [`FilesError`].
pub fn expiries(settings: &Settings) -> Result<Vec<Expiry>, FilesError> {
    let chain = pem::certificates(&settings.certificate)?;
    let mut found = vec![
        of_certificates("certificate", &settings.certificate, &chain),
        of_authority(&settings.peer_ca)?,
    ];
    if let Some(path) = &settings.revoked {
        found.push(of_lists(path)?);
    }
    Ok(found.into_iter().flatten().collect())
}

/// Of certificates that were read from this file.
pub(crate) fn of_certificates(
    what: &'static str,
    path: &Path,
    certificates: &[CertificateDer<'_>],
) -> Option<Expiry> {
    // A chain holds no longer than the first of it that ends.
    let ends = certificates.iter().filter_map(|one| valid_until(one).ok());
    expiry(what, path, ends.min())
}

/// Of the other side's authority.
pub(crate) fn of_authority(path: &Path) -> Result<Option<Expiry>, FilesError> {
    Ok(of_certificates(
        "authority",
        path,
        &pem::certificates(path)?,
    ))
}

/// Of the lists of what is revoked; `None`: they have no end.
pub(crate) fn of_lists(path: &Path) -> Result<Option<Expiry>, FilesError> {
    let lists = pem::lists(path)?;
    let ends = lists.iter().filter_map(|one| listed_until(one).ok()?);
    Ok(expiry("revoked", path, ends.min()))
}

fn expiry(what: &'static str, path: &Path, until_s: Option<u64>) -> Option<Expiry> {
    Some(Expiry {
        what,
        path: path.to_owned(),
        until: UnixMillis(until_s?.saturating_mul(1_000)),
    })
}

/// notAfter of a certificate (RFC 5280, section 4.1), in seconds since 1970.
fn valid_until(certificate: &[u8]) -> der::Result<u64> {
    let body = body(certificate)?;
    let versioned = body
        .first()
        .is_some_and(|one| one.tag().is_context_specific());
    // Serial number, signature and issuer come before.
    let validity = part(&body, usize::from(versioned) + 3)?;
    time(part(&parts(validity)?, 1)?)
}

/// nextUpdate of a list of what is revoked (RFC 5280, section 5.1), in seconds since 1970; `None`:
/// it has none.
fn listed_until(list: &[u8]) -> der::Result<Option<u64>> {
    let body = body(list)?;
    let versioned = body.first().is_some_and(|one| one.tag() == Tag::Integer);
    // Signature, issuer and thisUpdate come before.
    let next = body.get(usize::from(versioned) + 3).copied();
    let next = next.filter(|next| matches!(next.tag(), Tag::UtcTime | Tag::GeneralizedTime));
    next.map(time).transpose()
}

/// The fields of what is signed.
fn body(signed: &[u8]) -> der::Result<Vec<AnyRef<'_>>> {
    let signed = parts(AnyRef::from_der(signed)?)?;
    parts(part(&signed, 0)?)
}

/// The fields of a SEQUENCE.
fn parts(sequence: AnyRef<'_>) -> der::Result<Vec<AnyRef<'_>>> {
    sequence.sequence(|reader| {
        let mut parts = Vec::new();
        while !reader.is_finished() {
            parts.push(AnyRef::decode(reader)?);
        }
        Ok(parts)
    })
}

fn part<'a>(parts: &[AnyRef<'a>], index: usize) -> der::Result<AnyRef<'a>> {
    let part = parts.get(index).copied();
    part.ok_or_else(|| der::ErrorKind::Failed.into())
}

fn time(time: AnyRef<'_>) -> der::Result<u64> {
    let since_1970 = match time.tag() {
        Tag::UtcTime => time.decode_as::<UtcTime>()?.to_unix_duration(),
        _ => time.decode_as::<GeneralizedTime>()?.to_unix_duration(),
    };
    Ok(since_1970.as_secs())
}
