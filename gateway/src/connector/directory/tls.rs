//! TLS to a directory: whose certificates are believed, and what is said of one that is not.

use std::sync::{Arc, OnceLock};

use data_encoding::HEXLOWER;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use sha2::{Digest as _, Sha256};

/// The SHA-256 of a certificate.
pub(crate) type Pin = [u8; 32];

/// Whose certificates are believed.
#[derive(Clone, Debug)]
pub(crate) enum Trust {
    /// Those that these authorities vouch for, for the name that is asked for and at this time.
    Authorities {
        /// The authorities.
        roots: Arc<RootCertStore>,
        /// Where they are from, in words.
        source: String,
    },
    /// These certificates alone, whatever names and dates stand in them.
    Pins(Vec<Pin>),
}

/// Checks one server's certificate, and remembers which it was.
#[derive(Debug)]
pub(crate) struct Verifier {
    trust: Trust,
    provider: Arc<CryptoProvider>,
    by_authority: Option<Arc<WebPkiServerVerifier>>,
    seen: OnceLock<Pin>,
}

impl Verifier {
    /// The configuration of one connection, and what checks its certificate.
    ///
    /// # Errors
    /// Where the authorities cannot be used, in words.
    pub(crate) fn configuration(trust: &Trust) -> Result<(Arc<ClientConfig>, Arc<Self>), String> {
        let provider = Arc::new(ring::default_provider());
        let by_authority = match trust {
            Trust::Authorities { roots, source } => {
                let roots = Arc::clone(roots);
                let with = Arc::clone(&provider);
                let built = WebPkiServerVerifier::builder_with_provider(roots, with).build();
                Some(built.map_err(|error| format!("{source}: {error}"))?)
            }
            Trust::Pins(_) => None,
        };
        let verifier = Arc::new(Self {
            trust: trust.clone(),
            provider: Arc::clone(&provider),
            by_authority,
            seen: OnceLock::new(),
        });
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?;
        let config = builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::<Self>::clone(&verifier))
            .with_no_client_auth();
        Ok((Arc::new(config), verifier))
    }

    /// The certificate that the server showed.
    pub(crate) fn shown(&self) -> Option<&Pin> {
        self.seen.get()
    }

    /// What is wrong with the certificate, and what to do.
    pub(crate) fn explain(&self, error: &CertificateError, name: &str) -> String {
        use CertificateError::{
            ApplicationVerificationFailure, Expired, ExpiredContext, InvalidPurpose,
            InvalidPurposeContext, NotValidForName, NotValidForNameContext, NotValidYet,
            NotValidYetContext, UnknownIssuer,
        };
        let source = match &self.trust {
            Trust::Authorities { source, .. } => source.as_str(),
            Trust::Pins(_) => "`certificate_sha256`",
        };
        let fault = match error {
            UnknownIssuer => format!(
                "the server's certificate is from an authority that is not known (UnknownIssuer); looked at: {source}. Put the certificate of its authority into `ca_file`"
            ),
            NotValidForNameContext { presented, .. } if presented.is_empty() => format!(
                "the server's certificate names no host at all (it has no subjectAltName), and so not `{name}`"
            ),
            NotValidForNameContext { presented, .. } => format!(
                "the server's certificate is not valid for `{name}`, but for {}; connect to one of these, or give it as `server_name`",
                presented.join(", ")
            ),
            NotValidForName => format!("the server's certificate is not valid for `{name}`"),
            Expired | ExpiredContext { .. } => {
                "the server's certificate has expired, or this host's clock is wrong".to_owned()
            }
            NotValidYet | NotValidYetContext { .. } => {
                "the server's certificate is not valid yet, or this host's clock is wrong"
                    .to_owned()
            }
            InvalidPurpose | InvalidPurposeContext { .. } => {
                "the server's certificate is not meant for a server".to_owned()
            }
            ApplicationVerificationFailure => {
                "the server's certificate is none of those in `certificate_sha256`".to_owned()
            }
            other => format!("the server's certificate is not accepted: {other}"),
        };
        match self.shown() {
            Some(pin) => format!("{fault}. Its SHA-256 is {}", HEXLOWER.encode(pin)),
            None => fault,
        }
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let shown: Pin = Sha256::digest(end_entity).into();
        // It is seen once: renegotiation is not offered.
        let _ = self.seen.set(shown);
        match (&self.trust, &self.by_authority) {
            (Trust::Pins(pins), _) if pins.contains(&shown) => Ok(ServerCertVerified::assertion()),
            (Trust::Authorities { .. }, Some(verifier)) => verifier.verify_server_cert(
                end_entity,
                intermediates,
                server_name,
                ocsp_response,
                now,
            ),
            _ => Err(CertificateError::ApplicationVerificationFailure.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// A pin as it is written: 64 hexadecimal digits, with or without colons.
pub(crate) fn parse_pin(text: &str) -> Option<Pin> {
    let digits: String = text.chars().filter(|c| *c != ':').collect();
    let bytes = HEXLOWER
        .decode(digits.to_ascii_lowercase().as_bytes())
        .ok()?;
    bytes.try_into().ok()
}
