//! Reads the files that `[tls]` names, and checks that they go together.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, TrustAnchor};
use rustls::server::NoServerSessionStorage;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::TLS13;
use rustls::{ClientConfig, ServerConfig};
use webpki::{CertRevocationList, OwnedCertRevocationList};
use zeroize::Zeroizing;

use crate::expiry::{Expiry, expiries};
use crate::pem::{FilesError, certificates, lists};
use crate::verifier::{Expected, Trust, Verifier};
use crate::{Settings, Side};

/// Bytes of a private key's file.
pub(crate) const MAX_KEY: usize = 64 * 1024;

/// Reads a private file of at most so many bytes, and says in words what is wrong with it: how a
/// file is private differs between systems.
pub type ReadKey = fn(&Path, usize) -> Result<Zeroizing<Vec<u8>>, String>;

/// Whether the files that `settings` name can be read and go together, as a load needs it;
/// `read_key` reads that of the private key.
///
/// # Errors
/// [`FilesError`].
pub fn check(
    side: Side,
    settings: &Settings,
    read_key: impl Fn(&Path, usize) -> Result<Zeroizing<Vec<u8>>, String>,
) -> Result<(), FilesError> {
    Loaded::load(side, settings, read_key).map(drop)
}

/// What one side shows and believes, from a load to the next.
pub(crate) struct Loaded {
    pub(crate) settings: Settings,
    pub(crate) server: Arc<ServerConfig>,
    pub(crate) provider: Arc<CryptoProvider>,
    pub(crate) trust: Arc<Trust>,
    pub(crate) expiries: Vec<Expiry>,
    own: Arc<SingleCertAndKey>,
}

impl fmt::Debug for Loaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loaded")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl Loaded {
    pub(crate) fn load(
        side: Side,
        settings: &Settings,
        read_key: impl Fn(&Path, usize) -> Result<Zeroizing<Vec<u8>>, String>,
    ) -> Result<Self, FilesError> {
        let provider = Arc::new(ring::default_provider());
        let own = Arc::new(own(settings, read_key, &provider)?);
        let trust = Arc::new(Trust {
            peer: side.peer(),
            anchors: anchors(&settings.peer_ca)?,
            revoked: settings.revoked.as_deref().map(revoked).transpose()?,
        });
        let expected = match &settings.server_name {
            Some(name) => Expected::Server(name.clone()),
            None => Expected::Anybody,
        };
        let verifier = Verifier::new(Arc::clone(&trust), expected, Arc::clone(&provider));
        let unusable = |error: rustls::Error| FilesError::Unusable {
            path: settings.certificate.clone(),
            reason: error.to_string(),
        };
        let mut server = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&TLS13])
            .map_err(unusable)?
            .with_client_cert_verifier(Arc::new(verifier))
            .with_cert_resolver(own.clone());
        // A link is one handshake: nothing is kept to shorten the next.
        server.send_tls13_tickets = 0;
        server.session_storage = Arc::new(NoServerSessionStorage {});
        Ok(Self {
            settings: settings.clone(),
            server: Arc::new(server),
            provider,
            trust,
            expiries: expiries(settings)?,
            own,
        })
    }

    /// What one connection is dialled with.
    pub(crate) fn client(&self, expected: Expected) -> Result<ClientConfig, rustls::Error> {
        let sni = expected.is_host_name();
        let provider = Arc::clone(&self.provider);
        let verifier = Verifier::new(Arc::clone(&self.trust), expected, Arc::clone(&provider));
        let mut client = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_client_cert_resolver(self.own.clone());
        client.resumption = Resumption::disabled();
        // A gateway's name is nobody's business on the way.
        client.enable_sni = sni;
        Ok(client)
    }
}

/// What this side shows: its certificate, and the key that belongs to it.
pub(crate) fn own(
    settings: &Settings,
    read_key: impl Fn(&Path, usize) -> Result<Zeroizing<Vec<u8>>, String>,
    provider: &CryptoProvider,
) -> Result<SingleCertAndKey, FilesError> {
    let chain = certificates(&settings.certificate)?;
    let pem = read_key(&settings.key, MAX_KEY).map_err(FilesError::Key)?;
    let key = PrivateKeyDer::from_pem_slice(&pem).map_err(|_| FilesError::Nothing {
        path: settings.key.clone(),
        what: "private key",
    })?;
    drop(pem);
    let certified =
        CertifiedKey::from_der(chain, key, provider).map_err(|error| FilesError::Apart {
            certificate: settings.certificate.clone(),
            key: settings.key.clone(),
            reason: error.to_string(),
        })?;
    Ok(SingleCertAndKey::from(certified))
}

/// The authorities in a file.
pub(crate) fn anchors(path: &Path) -> Result<Vec<TrustAnchor<'static>>, FilesError> {
    let anchor = |certificate: &CertificateDer<'_>| {
        webpki::anchor_from_trusted_cert(certificate)
            .map(|anchor| anchor.to_owned())
            .map_err(|error| FilesError::Unusable {
                path: path.to_owned(),
                reason: error.to_string(),
            })
    };
    certificates(path)?.iter().map(anchor).collect()
}

/// The lists of what is revoked in a file.
pub(crate) fn revoked(path: &Path) -> Result<Vec<CertRevocationList<'static>>, FilesError> {
    let unusable = |error: webpki::Error| FilesError::Unusable {
        path: path.to_owned(),
        reason: error.to_string(),
    };
    let list = |list: &CertificateRevocationListDer<'_>| {
        let list = OwnedCertRevocationList::from_der(list);
        list.map(Into::into).map_err(unusable)
    };
    lists(path)?.iter().map(list).collect()
}
