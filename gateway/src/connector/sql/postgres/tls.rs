//! TLS to the database: by a CA of the configuration, or by pinned certificates.

use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use sha2::{Digest as _, Sha256};
use tokio_postgres_rustls::MakeRustlsConnect;

/// Bytes of a SHA-256 digest.
const DIGEST_LEN: usize = 32;

/// SHA-256 of a certificate as it is sent.
pub(in super::super) type Pin = [u8; DIGEST_LEN];

/// Reads a pin: 64 hexadecimal digits, with colons or without.
///
/// # Errors
/// What is allowed.
pub(in super::super) fn parse_pin(text: &str) -> Result<Pin, String> {
    let digits = text.replace(':', "").to_ascii_lowercase();
    let bytes = data_encoding::HEXLOWER.decode(digits.as_bytes());
    bytes
        .ok()
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| {
            "the SHA-256 of a certificate is allowed: 64 hexadecimal digits, as `openssl x509 -noout -fingerprint -sha256` prints them".to_owned()
        })
}

/// Trusts the certificates that the CAs of this file have signed, where their names are right.
///
/// # Errors
/// What is wrong with the file.
pub(in super::super) fn by_authority(file: &Path) -> Result<MakeRustlsConnect, String> {
    let unreadable =
        |error: &dyn std::fmt::Display| format!("cannot read {}: {error}", file.display());
    let certificates = CertificateDer::pem_file_iter(file).map_err(|error| unreadable(&error))?;
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        let certificate = certificate.map_err(|error| unreadable(&error))?;
        roots.add(certificate).map_err(|error| unreadable(&error))?;
    }
    if roots.is_empty() {
        return Err(format!(
            "there is no certificate in {}: a PEM file with that of the CA is allowed",
            file.display()
        ));
    }
    let config = builder()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

/// Trusts these certificates, whatever their names, dates and issuers are.
///
/// # Errors
/// What the TLS library lacks.
pub(in super::super) fn by_pins(pins: Vec<Pin>) -> Result<MakeRustlsConnect, String> {
    let verifier = Arc::new(Pinned {
        pins,
        provider: Arc::new(ring::default_provider()),
    });
    let config = builder()?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

fn builder() -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, String> {
    ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())
}

/// Takes a certificate by its digest alone. That the server has its key, is proved as always.
#[derive(Debug)]
struct Pinned {
    pins: Vec<Pin>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let digest: Pin = Sha256::digest(certificate).into();
        if self.pins.contains(&digest) {
            return Ok(ServerCertVerified::assertion());
        }
        tracing::warn!(
            certificate_sha256 = data_encoding::HEXLOWER.encode(&digest),
            "the database shows a certificate that is not among those pinned"
        );
        Err(Error::InvalidCertificate(
            CertificateError::ApplicationVerificationFailure,
        ))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let schemes = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, schemes)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let schemes = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, schemes)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let schemes = &self.provider.signature_verification_algorithms;
        schemes.supported_schemes()
    }
}
