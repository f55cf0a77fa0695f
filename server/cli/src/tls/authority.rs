//! An authority in its folder: its key, what it issues, and the list of what it has revoked.

use std::fs::File;
use std::io::{self, Write as _};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use data_encoding::HEXLOWER;
use portcullis_host::names::{GATEWAY_URI, host_port};
use portcullis_host::private_files;
use rand::Rng as _;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose,
    RevokedCertParams, SanType, SerialNumber, date_time_ymd,
};
use zeroize::Zeroizing;

use super::SideArg;
use super::record::{self, Issued};
use crate::error::CliError;
use crate::time::now;

/// How long an authority, and a list of what it has revoked, are valid.
const AUTHORITY_DAYS: u32 = 3_650;
/// Clocks may differ by so much.
const EARLIER: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);
/// Bytes of a file of an authority.
const LONGEST: usize = 64 * 1024;
const SERIAL_LEN: usize = 16;

/// The files of one authority.
#[derive(Debug)]
pub(super) struct Files {
    /// Its certificate, which the other side believes.
    pub(super) certificate: PathBuf,
    /// Its private key.
    pub(super) key: PathBuf,
    /// What it has revoked, signed.
    pub(super) revoked: PathBuf,
    /// What it has issued.
    pub(super) record: PathBuf,
}

impl Files {
    pub(super) fn new(dir: &Path, side: SideArg) -> Self {
        let file = |rest: &str| dir.join(format!("{}s-{rest}", side.word()));
        Self {
            certificate: file("ca.pem"),
            key: file("ca.key"),
            revoked: file("revoked.pem"),
            record: file("issued"),
        }
    }

    /// Nothing of an authority that is there is ever overwritten.
    pub(super) fn must_be_free(&self) -> Result<(), CliError> {
        must_be_free(&[&self.certificate, &self.key, &self.revoked, &self.record])
    }
}

/// One of the two authorities.
pub(super) struct Authority {
    files: Files,
    side: SideArg,
    issuer: Issuer<'static, KeyPair>,
}

/// The files of what is issued for one holder.
#[derive(Debug)]
pub(super) struct Holder {
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
}

impl Holder {
    /// Of whoever has this name, in the folder `out`.
    pub(super) fn new(name: &str, out: &Path) -> Self {
        let file = |rest: &str| out.join(format!("{}.{rest}", name.replace(':', "_")));
        Self {
            certificate: file("pem"),
            key: file("key"),
        }
    }

    /// A key that is there is never overwritten, nor is a certificate put beside another's key.
    pub(super) fn must_be_free(&self) -> Result<(), CliError> {
        must_be_free(&[&self.certificate, &self.key])
    }
}

/// What was issued.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) files: Holder,
    pub(super) until: SystemTime,
}

impl Authority {
    /// Makes one, its key first: never over another.
    pub(super) fn make(dir: &Path, side: SideArg) -> Result<(), CliError> {
        let files = Files::new(dir, side);
        let key = KeyPair::generate().map_err(failed)?;
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.extended_key_usages = vec![purpose(side)];
        let name = format!("Portcullis authority for {}s", side.word());
        params.distinguished_name.push(DnType::CommonName, name);
        params.serial_number = Some(serial());
        let _ = validity(&mut params, AUTHORITY_DAYS);
        let pem = Zeroizing::new(key.serialize_pem());
        create_private(&files.key, pem.as_bytes())?;
        let certificate = params.self_signed(&key).map_err(failed)?;
        create(&files.certificate, &certificate.pem())?;
        create_private(&files.record, b"")?;
        let authority = Self {
            files,
            side,
            issuer: Issuer::new(params, key),
        };
        let list = authority.list(&[])?;
        create(&authority.files.revoked, &list)
    }

    /// Opens the one that is there.
    pub(super) fn open(dir: &Path, side: SideArg) -> Result<Self, CliError> {
        let files = Files::new(dir, side);
        private_files::check_private(&files.key).map_err(|error| match error {
            private_files::PermissionError::Unreadable { path, source } => {
                cannot("read", &path, source)
            }
            loose => CliError::Usage(loose.to_string()),
        })?;
        let read = |path: &Path| {
            let content = private_files::read_bounded(path, LONGEST)
                .map_err(|source| cannot("read", path, source))?;
            let text = std::str::from_utf8(&content).map(|text| Zeroizing::new(text.to_owned()));
            text.map_err(|error| cannot("read", path, io::Error::other(error)))
        };
        let key = KeyPair::from_pem(&read(&files.key)?).map_err(failed)?;
        let issuer = Issuer::from_ca_cert_pem(&read(&files.certificate)?, key).map_err(failed)?;
        Ok(Self {
            files,
            side,
            issuer,
        })
    }

    /// Issues a certificate and a key for whoever has these names, in two new files in `out`.
    pub(super) fn issue(&self, names: &[String], days: u32, out: &Path) -> Result<Made, CliError> {
        let name = names.first().map(String::as_str).unwrap_or_default();
        let files = Holder::new(name, out);
        files.must_be_free()?;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        for name in names {
            params.subject_alt_names.extend(self.alternatives(name)?);
        }
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![purpose(self.side)];
        params.use_authority_key_identifier_extension = true;
        let serial = serial();
        let number = HEXLOWER.encode(serial.as_ref());
        params.serial_number = Some(serial);
        let until = validity(&mut params, days);
        let key = KeyPair::generate().map_err(failed)?;
        let signed = params.signed_by(&key, &self.issuer).map_err(failed)?;
        // What is not in the record cannot be revoked: it comes first.
        let line = format!("issued {number} {} {name}", seconds(until));
        record::add(&self.files.record, &line)?;
        let pem = Zeroizing::new(key.serialize_pem());
        create_private(&files.key, pem.as_bytes())?;
        create(&files.certificate, &signed.pem())?;
        Ok(Made { files, until })
    }

    /// Revokes all that was issued for a name and is still valid, and writes the list anew. How
    /// many that were.
    pub(super) fn revoke(&self, name: &str) -> Result<usize, CliError> {
        let at = seconds(now());
        let mut all = record::read(&self.files.record)?;
        let mut count = 0;
        for issued in &mut all {
            if issued.name == name && issued.revoked_s.is_none() && issued.until_s > at {
                let line = format!("revoked {} {at}", issued.serial);
                record::add(&self.files.record, &line)?;
                issued.revoked_s = Some(at);
                count += 1;
            }
        }
        // Also where none was: the record may know of some whose list was not written.
        let list = self.list(&all)?;
        replace(&self.files.revoked, &list)?;
        Ok(count)
    }

    /// The names in a certificate by which the other side knows its holder.
    fn alternatives(&self, name: &str) -> Result<Vec<SanType>, CliError> {
        let host = || name.try_into().map(SanType::DnsName).map_err(failed);
        Ok(match (self.side, name.parse::<IpAddr>()) {
            (SideArg::Server, Ok(address)) => vec![SanType::IpAddress(address)],
            (SideArg::Server, Err(_)) => vec![host()?],
            (SideArg::Gateway, address) => {
                let uri = format!("{GATEWAY_URI}{name}");
                let mut names = vec![uri.try_into().map(SanType::URI).map_err(failed)?];
                if address.is_err() && host_port(name, Some(1)).is_ok() {
                    names.push(host()?);
                }
                names
            }
        })
    }

    fn list(&self, all: &[Issued]) -> Result<String, CliError> {
        let revoked = all.iter().filter_map(|issued| {
            let serial = HEXLOWER.decode(issued.serial.as_bytes()).ok()?;
            Some(RevokedCertParams {
                serial_number: SerialNumber::from(serial),
                revocation_time: time(issued.revoked_s?),
                reason_code: None,
                invalidity_date: None,
            })
        });
        let at = seconds(now());
        let list = CertificateRevocationListParams {
            this_update: time(at.saturating_sub(EARLIER.as_secs())),
            next_update: time(at + DAY.as_secs() * u64::from(AUTHORITY_DAYS)),
            crl_number: SerialNumber::from(at),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let signed = list.signed_by(&self.issuer).map_err(failed)?;
        signed.pem().map_err(failed)
    }
}

/// What the certificates of one side are for: *serverAuth* or *clientAuth* (RFC 5280, section
/// 4.2.1.12), whoever dials.
const fn purpose(side: SideArg) -> ExtendedKeyUsagePurpose {
    match side {
        SideArg::Server => ExtendedKeyUsagePurpose::ServerAuth,
        SideArg::Gateway => ExtendedKeyUsagePurpose::ClientAuth,
    }
}

/// Valid from now on, for so many days: until when.
fn validity(params: &mut CertificateParams, days: u32) -> SystemTime {
    let at = now();
    let until = at + DAY * days;
    params.not_before = time(seconds(at).saturating_sub(EARLIER.as_secs()));
    params.not_after = time(seconds(until));
    until
}

fn serial() -> SerialNumber {
    let mut bytes = [0; SERIAL_LEN];
    rand::rng().fill_bytes(&mut bytes);
    // Positive, and as long as its digits say (RFC 5280, section 4.1.2.2).
    bytes[0] = bytes[0] & 0x7f | 0x40;
    SerialNumber::from(bytes.to_vec())
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .map_or(0, |time| time.as_secs())
}

fn time(seconds: u64) -> time::OffsetDateTime {
    date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds)
}

fn must_be_free(paths: &[&PathBuf]) -> Result<(), CliError> {
    for path in paths {
        if path.symlink_metadata().is_ok() {
            return Err(cannot("write", path, io::ErrorKind::AlreadyExists.into()));
        }
    }
    Ok(())
}

fn create_private(path: &Path, content: &[u8]) -> Result<(), CliError> {
    private_files::create_private_file(path, content)
        .map_err(|source| cannot("write", path, source))
}

fn create(path: &Path, content: &str) -> Result<(), CliError> {
    let written = File::create_new(path).and_then(|mut file| {
        file.write_all(content.as_bytes())?;
        file.sync_all()
    });
    written.map_err(|source| cannot("write", path, source))
}

/// Puts a file in the place of another: whoever reads it has the one or the other.
fn replace(path: &Path, content: &str) -> Result<(), CliError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let replaced = tempfile::NamedTempFile::new_in(folder).and_then(|mut file| {
        use std::os::unix::fs::PermissionsExt as _;
        file.write_all(content.as_bytes())?;
        let readable = std::fs::Permissions::from_mode(0o644);
        file.as_file().set_permissions(readable)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        private_files::sync_dir(folder)
    });
    replaced.map_err(|source| cannot("write", path, source))
}

fn cannot(action: &'static str, path: &Path, source: io::Error) -> CliError {
    CliError::File {
        action,
        path: path.to_owned(),
        source,
    }
}

fn failed(error: rcgen::Error) -> CliError {
    CliError::Usage(format!("no certificate can be made: {error}"))
}
