//! Whose certificates are believed: those of the other side's authority, for the other side's
//! purpose, at this time, for the name that is due, and not revoked.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use portcullis_host::names::GATEWAY_URI;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, TrustAnchor, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, PeerIncompatible, SignatureScheme,
};
use webpki::{
    CertRevocationList, EndEntityCert, ExpirationPolicy, ExtendedKeyUsageValidator,
    KeyPurposeIdIter, KeyUsage, RevocationCheckDepth, RevocationOptionsBuilder,
    UnknownStatusPolicy,
};

use crate::Side;

/// Names of a certificate that are kept, for messages.
const MAX_NAMES: usize = 16;

// id-kp-serverAuth and id-kp-clientAuth: 1.3.6.1.5.5.7.3.1 and .2.
const SERVER_AUTH: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 1];
const CLIENT_AUTH: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 2];

/// What one side believes of the other.
pub(crate) struct Trust {
    /// The other side.
    pub(crate) peer: Side,
    /// Its authority.
    pub(crate) anchors: Vec<TrustAnchor<'static>>,
    /// What that has revoked; `None`: that is not looked at.
    pub(crate) revoked: Option<Vec<CertRevocationList<'static>>>,
}

/// Whose certificate it has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    /// Anybody's of the authority: it is found out later who it is.
    Anybody,
    /// This gateway's.
    Gateway(String),
    /// That of the server at this host.
    Server(String),
}

impl Expected {
    /// A host that has a name.
    pub(crate) fn is_host_name(&self) -> bool {
        self.host()
            .is_some_and(|host| matches!(host, ServerName::DnsName(_)))
    }

    /// The host that it names.
    pub(crate) fn host(&self) -> Option<ServerName<'static>> {
        match self {
            Self::Server(name) => ServerName::try_from(name.clone()).ok(),
            Self::Anybody | Self::Gateway(_) => None,
        }
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anybody => f.write_str("anybody"),
            Self::Gateway(name) | Self::Server(name) => write!(f, "`{name}`"),
        }
    }
}

/// Checks certificates, as a client and as a server.
pub(crate) struct Verifier {
    trust: Arc<Trust>,
    expected: Expected,
    provider: Arc<CryptoProvider>,
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier")
            .field("expected", &self.expected)
            .finish_non_exhaustive()
    }
}

impl Verifier {
    pub(crate) fn new(
        trust: Arc<Trust>,
        expected: Expected,
        provider: Arc<CryptoProvider>,
    ) -> Self {
        Self {
            trust,
            expected,
            provider,
        }
    }

    /// Whether a certificate is believed at this time, whoever shows it.
    pub(crate) fn verify(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), CertificateError> {
        let certificate = EndEntityCert::try_from(end_entity).map_err(certificate_error)?;
        let lists: Vec<&CertRevocationList<'_>> = self.trust.revoked.iter().flatten().collect();
        let revocation = RevocationOptionsBuilder::new(&lists).ok().map(|options| {
            options
                .with_depth(RevocationCheckDepth::EndEntity)
                .with_status_policy(UnknownStatusPolicy::Deny)
                .with_expiration_policy(ExpirationPolicy::Enforce)
                .build()
        });
        let purpose = Purpose {
            oid: match self.trust.peer {
                Side::Server => SERVER_AUTH,
                Side::Gateway => CLIENT_AUTH,
            },
            seen_leaf: AtomicBool::new(false),
        };
        certificate
            .verify_for_usage(
                self.provider.signature_verification_algorithms.all,
                &self.trust.anchors,
                intermediates,
                now,
                purpose,
                revocation,
                None,
            )
            .map_err(certificate_error)?;
        self.check_name(&certificate, end_entity)
    }

    fn check_name(
        &self,
        certificate: &EndEntityCert<'_>,
        der: &CertificateDer<'_>,
    ) -> Result<(), CertificateError> {
        let is_it = match (&self.expected, self.expected.host()) {
            (Expected::Anybody, _) => true,
            (Expected::Gateway(name), _) => is_gateway(der, name),
            (Expected::Server(_), Some(host)) => {
                certificate.verify_is_valid_for_subject_name(&host).is_ok()
            }
            (Expected::Server(_), None) => false,
        };
        if is_it {
            return Ok(());
        }
        Err(CertificateError::NotValidForNameContext {
            // Whom it should have been for is told by who expected it.
            expected: ServerName::IpAddress(std::net::Ipv4Addr::UNSPECIFIED.into()),
            presented: names(der),
        })
    }

    fn verify_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// The names that a certificate bears: hosts and gateways.
pub(crate) fn names(der: &CertificateDer<'_>) -> Vec<String> {
    let Ok(certificate) = EndEntityCert::try_from(der) else {
        return Vec::new();
    };
    let gateways = certificate
        .valid_uri_names()
        .filter_map(|uri| uri.strip_prefix(GATEWAY_URI));
    let mut names: Vec<String> = Vec::new();
    for name in certificate.valid_dns_names().chain(gateways) {
        if names.len() < MAX_NAMES && !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    names
}

/// Whether a certificate is that of the gateway of this name.
pub(crate) fn is_gateway(der: &CertificateDer<'_>, name: &str) -> bool {
    let Ok(certificate) = EndEntityCert::try_from(der) else {
        return false;
    };
    let mut uris = certificate.valid_uri_names();
    certificate.valid_dns_names().any(|host| host == name)
        || uris.any(|uri| uri.strip_prefix(GATEWAY_URI) == Some(name))
}

/// The extended key usage that the certificate itself has to have, and those above it where they
/// have any.
struct Purpose {
    oid: &'static [u8],
    seen_leaf: AtomicBool,
}

impl ExtendedKeyUsageValidator for Purpose {
    fn validate(&self, iter: KeyPurposeIdIter<'_, '_>) -> Result<(), webpki::Error> {
        // The chain is built upwards from it.
        if self.seen_leaf.swap(true, Ordering::Relaxed) {
            KeyUsage::required_if_present(self.oid).validate(iter)
        } else {
            KeyUsage::required(self.oid).validate(iter)
        }
    }
}

/// The error whose alert tells the peer what is wrong.
fn certificate_error(error: webpki::Error) -> CertificateError {
    use webpki::Error;
    match error {
        Error::BadDer | Error::BadDerTime | Error::TrailingData(_) => CertificateError::BadEncoding,
        Error::CertNotValidYet { time, not_before } => {
            CertificateError::NotValidYetContext { time, not_before }
        }
        Error::CertExpired { time, not_after } => {
            CertificateError::ExpiredContext { time, not_after }
        }
        Error::UnknownIssuer => CertificateError::UnknownIssuer,
        Error::CertRevoked => CertificateError::Revoked,
        Error::UnknownRevocationStatus => CertificateError::UnknownRevocationStatus,
        Error::CrlExpired { time, next_update } => {
            CertificateError::ExpiredRevocationListContext { time, next_update }
        }
        Error::RequiredEkuNotFoundContext(_) => CertificateError::InvalidPurpose,
        Error::InvalidSignatureForPublicKey => CertificateError::BadSignature,
        other => CertificateError::Other(rustls::OtherError(Arc::new(other))),
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.verify(end_entity, intermediates, now)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(PeerIncompatible::ServerDoesNotSupportTls12Or13.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verify_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes()
    }
}

impl ClientCertVerifier for Verifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        self.verify(end_entity, intermediates, now)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(PeerIncompatible::ServerDoesNotSupportTls12Or13.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verify_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes()
    }
}
