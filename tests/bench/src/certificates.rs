//! TLS around the channel as a site has it: two authorities, and a certificate under each.

use std::path::PathBuf;
use std::sync::Arc;

use portcullis_host::names::GATEWAY_URI;
use portcullis_host::private_files::create_private_file;
use portcullis_tls::{Around, FilesError, Settings, Side};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use tempfile::TempDir;

/// The gateway that is dialled, by its name.
pub const GATEWAY: &str = "echo";

/// Why there is no TLS to be put around anything.
#[derive(Debug, thiserror::Error)]
pub enum CertificatesError {
    /// No folder, or no file in it.
    #[error("cannot write the certificates: {0}")]
    Io(#[from] std::io::Error),
    /// No certificate.
    #[error("cannot make the certificates: {0}")]
    Certificate(#[from] rcgen::Error),
    /// The files do not go together.
    #[error(transparent)]
    Files(#[from] FilesError),
}

/// What `[tls]` of a server and of the gateway [`GATEWAY`] names; the files are gone with the last
/// clone.
#[derive(Clone, Debug)]
pub struct Certificates {
    folder: Arc<TempDir>,
}

impl Certificates {
    /// Makes them.
    ///
    /// # Errors
    /// [`CertificatesError`].
    pub fn new() -> Result<Self, CertificatesError> {
        let made = Self {
            folder: Arc::new(tempfile::tempdir()?),
        };
        let address = SanType::IpAddress([127, 0, 0, 1].into());
        made.under_an_authority(Side::Server, address, ExtendedKeyUsagePurpose::ServerAuth)?;
        let name = SanType::URI(format!("{GATEWAY_URI}{GATEWAY}").as_str().try_into()?);
        made.under_an_authority(Side::Gateway, name, ExtendedKeyUsagePurpose::ClientAuth)?;
        Ok(made)
    }

    /// Has `around` ask for TLS and show this side's certificate.
    ///
    /// # Errors
    /// [`CertificatesError::Files`].
    pub fn load(&self, around: &Around, side: Side) -> Result<(), CertificatesError> {
        let settings = Settings {
            certificate: self.file(side, "pem"),
            key: self.file(side, "key"),
            peer_ca: self.file(side.peer(), "ca.pem"),
            revoked: None,
            require: true,
            server_name: None,
        };
        Ok(around.load(Some(&settings))?)
    }

    fn under_an_authority(
        &self,
        side: Side,
        name: SanType,
        purpose: ExtendedKeyUsagePurpose,
    ) -> Result<(), CertificatesError> {
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let title = format!("authority of a {side}");
        authority.distinguished_name.push(DnType::CommonName, title);
        let key = KeyPair::generate()?;
        let own = authority.self_signed(&key)?;
        std::fs::write(self.file(side, "ca.pem"), own.pem())?;

        let mut wanted = CertificateParams::default();
        wanted.subject_alt_names = vec![name];
        wanted.extended_key_usages = vec![purpose];
        let authority = Issuer::new(authority, key);
        let key = KeyPair::generate()?;
        let certificate = wanted.signed_by(&key, &authority)?;
        std::fs::write(self.file(side, "pem"), certificate.pem())?;
        create_private_file(&self.file(side, "key"), key.serialize_pem().as_bytes())?;
        Ok(())
    }

    fn file(&self, side: Side, end: &str) -> PathBuf {
        self.folder.path().join(format!("{side}.{end}"))
    }
}
