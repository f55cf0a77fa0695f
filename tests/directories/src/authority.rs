//! A certification authority, and the certificates of the servers.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use portcullis_tests::harness::{OrFail as _, Site};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};

/// A certification authority.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// A server's certificate with its key, and that of its authority, all in PEM.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// The authority's certificate.
    pub authority: String,
    /// The certificate.
    pub certificate: String,
    /// Its private key.
    pub key: String,
    /// The certificate in DER, such as for a fingerprint.
    pub der: Vec<u8>,
}

/// The files that a server reads.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    pub(crate) authority: PathBuf,
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl Authority {
    /// Makes an authority that nobody trusts yet.
    #[allow(clippy::new_without_default, reason = "it makes a key")]
    pub fn new() -> Self {
        let key = KeyPair::generate().or_fail("make a key");
        let mut params = CertificateParams::new(Vec::new()).or_fail("an authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let name = format!("test authority {:08x}", rand::random::<u32>());
        params.distinguished_name.push(DnType::CommonName, name);
        let pem = params.self_signed(&key).or_fail("an authority").pem();
        Self {
            issuer: Issuer::new(params, key),
            pem,
        }
    }

    /// The one that issues the certificates of all servers here, unless a test asks for another.
    pub fn ours() -> &'static Self {
        static OURS: OnceLock<Authority> = OnceLock::new();
        OURS.get_or_init(Self::new)
    }

    /// Its certificate in PEM.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Writes its certificate into the site's folder.
    pub fn file(&self, site: &Site) -> PathBuf {
        site.file("authority.pem", 0o644, &self.pem)
    }

    /// A server's certificate for these names and addresses.
    pub fn certificate(&self, names: &[&str]) -> Certificate {
        self.issue(names, 2100)
    }

    /// One that was good until the end of 2020.
    pub fn expired(&self, names: &[&str]) -> Certificate {
        self.issue(names, 2021)
    }

    fn issue(&self, names: &[&str], until: i32) -> Certificate {
        let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
        let common_name = names.first().cloned().unwrap_or_default();
        let key = KeyPair::generate().or_fail("make a key");
        let mut params = CertificateParams::new(names).or_fail("the names of a certificate");
        params
            .distinguished_name
            .push(DnType::CommonName, common_name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        let issued = params
            .signed_by(&key, &self.issuer)
            .or_fail("issue a certificate");
        Certificate {
            authority: self.pem.clone(),
            certificate: issued.pem(),
            key: key.serialize_pem(),
            der: issued.der().to_vec(),
        }
    }
}

impl Certificate {
    /// Writes the files into a folder that is there.
    pub(crate) fn write(&self, folder: &Path) -> Files {
        let write = |name: &str, mode, text: &str| {
            let path = folder.join(name);
            fs::write(&path, text)
                .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(mode)))
                .or_fail(path.display());
            path
        };
        Files {
            authority: write("authority.pem", 0o644, &self.authority),
            certificate: write("server.pem", 0o644, &self.certificate),
            key: write("server.key", 0o600, &self.key),
        }
    }
}
