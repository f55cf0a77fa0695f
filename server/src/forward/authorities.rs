//! Whom a webhook's certificate may be from: read once, and anew when that may have changed.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

/// How long the system's authorities are believed before they are read again: hundreds of files.
const SYSTEM_KEPT: Duration = Duration::from_hours(1);

/// The authorities in a file, or those of the system.
#[derive(Clone, Debug)]
pub(super) struct Authorities {
    file: Option<PathBuf>,
    kept: Option<Kept>,
}

#[derive(Clone, Debug)]
struct Kept {
    config: Arc<ClientConfig>,
    version: Option<Version>,
    since: Instant,
}

/// A file as it was: one that is replaced or written to differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Version {
    device: u64,
    inode: u64,
    length: u64,
    changed: (i64, i64),
}

impl Authorities {
    pub(super) fn new(file: Option<PathBuf>) -> Self {
        Self { file, kept: None }
    }

    /// The settings of a connection. With the same ones a session is resumed, and what it trusts is
    /// not read each time.
    ///
    /// # Errors
    /// Why there are none, in words. To be called where blocking is allowed.
    pub(super) fn config(&mut self) -> Result<Arc<ClientConfig>, String> {
        let version = self.file.as_deref().map(version).transpose()?;
        let fresh = |kept: &&Kept| {
            kept.version == version && (version.is_some() || kept.since.elapsed() < SYSTEM_KEPT)
        };
        if let Some(kept) = self.kept.as_ref().filter(fresh) {
            return Ok(Arc::clone(&kept.config));
        }
        self.kept = None;
        let config = read(self.file.as_deref())?;
        self.kept = Some(Kept {
            config: Arc::clone(&config),
            version,
            since: Instant::now(),
        });
        Ok(config)
    }

    /// A connection failed: the system's authorities may be others by now.
    pub(super) fn forget(&mut self) {
        self.kept = None;
    }
}

fn version(file: &Path) -> Result<Version, String> {
    let metadata = fs::metadata(file).map_err(|error| format!("{}: {error}", file.display()))?;
    Ok(Version {
        device: metadata.dev(),
        inode: metadata.ino(),
        length: metadata.len(),
        changed: (metadata.ctime(), metadata.ctime_nsec()),
    })
}

fn read(file: Option<&Path>) -> Result<Arc<ClientConfig>, String> {
    let mut roots = RootCertStore::empty();
    match file {
        Some(file) => {
            let bad = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
            let found = CertificateDer::pem_file_iter(file).map_err(|error| bad(&error))?;
            for certificate in found {
                let certificate = certificate.map_err(|error| bad(&error))?;
                roots.add(certificate).map_err(|error| bad(&error))?;
            }
        }
        None => {
            let found = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(found.certs);
        }
    }
    if roots.is_empty() {
        return Err(
            "no authority is known that a certificate could be from: give ca_file".to_owned(),
        );
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}
