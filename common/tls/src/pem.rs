//! Reads certificates and lists of what is revoked from PEM, and says what is wrong with a file.

use std::io;
use std::path::{Path, PathBuf};

use portcullis_host::text;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};
use zeroize::Zeroizing;

/// Bytes of a file of certificates.
const MAX_CERTIFICATES: u64 = 1 << 20;
/// Bytes of a list of what is revoked.
const MAX_REVOKED: u64 = 16 << 20;

/// Why TLS cannot be set up. What held before holds on.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// A file cannot be read.
    #[error("[tls]: cannot read {}: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The private key's file cannot be used.
    #[error("[tls] key: {0}")]
    Key(String),
    /// There is nothing of what should be in it.
    #[error("[tls]: {} holds no {what} in PEM", path.display())]
    Nothing {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
    },
    /// What is in it cannot be used.
    #[error("[tls]: {} cannot be used: {reason}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The key is another one than that of the certificate.
    #[error("[tls]: the key in {} does not belong to the certificate in {}: {reason}", key.display(), certificate.display())]
    Apart {
        /// The file of the certificate.
        certificate: PathBuf,
        /// The file of the key.
        key: PathBuf,
        /// What was found.
        reason: String,
    },
}

pub(crate) fn lists(path: &Path) -> Result<Vec<CertificateRevocationListDer<'static>>, FilesError> {
    items(path, MAX_REVOKED, "list of revoked certificates")
}

pub(crate) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, FilesError> {
    items(path, MAX_CERTIFICATES, "certificate")
}

/// All that is of one kind, `what`, in a file of at most so many bytes; at least one.
fn items<T: PemObject>(
    path: &Path,
    longest: u64,
    what: &'static str,
) -> Result<Vec<T>, FilesError> {
    let pem = read(path, longest)?;
    let found = T::pem_slice_iter(pem.as_bytes()).collect::<Result<Vec<_>, _>>();
    let found = found.map_err(|error| FilesError::Unusable {
        path: path.to_owned(),
        reason: error.to_string(),
    })?;
    if found.is_empty() {
        let path = path.to_owned();
        return Err(FilesError::Nothing { path, what });
    }
    Ok(found)
}

fn read(path: &Path, longest: u64) -> Result<Zeroizing<String>, FilesError> {
    let unreadable = |reason: String| FilesError::Unreadable {
        path: path.to_owned(),
        reason,
    };
    let metadata =
        std::fs::metadata(path).map_err(|error: io::Error| unreadable(error.to_string()))?;
    if !metadata.is_file() {
        return Err(unreadable("it is no regular file".to_owned()));
    }
    text::read_file(path, longest).map_err(|error| unreadable(error.to_string()))
}
