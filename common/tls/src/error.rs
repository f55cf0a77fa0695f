//! Why there is no TLS session, in sentences for the log of either end.

use std::io;

use rustls::{AlertDescription, CertificateError};

use crate::Side;
use crate::verifier::Expected;

/// Why there is no TLS session, or none any more.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The peer speaks without TLS, where there has to be TLS.
    #[error(
        "the {peer} speaks without TLS, and here TLS is compulsory ([tls] require): give the {peer} a [tls] section"
    )]
    Plain {
        /// The other side.
        peer: Side,
    },
    /// The peer answered without TLS.
    #[error(
        "what answers there does not speak TLS: give the {peer} a [tls] section, or look whether the address is right"
    )]
    PlainAnswer {
        /// The other side.
        peer: Side,
    },
    /// The peer wants TLS, and this side is not set up for it.
    #[error(
        "the {peer} speaks TLS, and this {own} has no [tls] section: give it one, or take it from the {peer}",
        own = .peer.peer()
    )]
    NotSetUp {
        /// The other side.
        peer: Side,
    },
    /// TLS is asked for, and this side is not set up for it.
    #[error(
        "TLS is asked for around the link to this {peer}, and this {own} has no [tls] section: give it one, or ask for none (`portcullis gateway set NAME --require-tls false`)",
        own = .peer.peer()
    )]
    Missing {
        /// The other side.
        peer: Side,
    },
    /// The peer did not say, in time, what it wants.
    #[error("the {peer} said nothing, or not enough for TLS, before the handshake's time was up")]
    Silent {
        /// The other side.
        peer: Side,
    },
    /// The peer's certificate is not accepted here.
    #[error("the {peer}'s TLS certificate is not accepted: {fault}")]
    Certificate {
        /// The other side.
        peer: Side,
        /// What is wrong with it, and what to do.
        fault: String,
    },
    /// The peer refused.
    #[error("the {peer} ended the TLS handshake: {reason}; its own log says more")]
    Refused {
        /// The other side.
        peer: Side,
        /// What its alert says.
        reason: String,
    },
    /// The peer went away.
    #[error("the {peer} closed the connection during the TLS handshake: its own log has the cause")]
    HungUp {
        /// The other side.
        peer: Side,
    },
    /// The two found no way to speak TLS.
    #[error("no TLS session: {0}")]
    Protocol(rustls::Error),
    /// The connection failed.
    #[error("the connection failed during the TLS handshake: {0}")]
    Io(io::Error),
}

impl TlsError {
    /// What an error of a handshake means, with a peer who should have been `expected`.
    pub(crate) fn of(error: io::Error, peer: Side, expected: &Expected) -> Self {
        let tls = error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<rustls::Error>());
        match tls {
            None if error.kind() == io::ErrorKind::UnexpectedEof => Self::HungUp { peer },
            None => Self::Io(error),
            Some(rustls::Error::InvalidCertificate(fault)) => Self::Certificate {
                peer,
                fault: certificate(fault, peer, expected),
            },
            Some(rustls::Error::NoCertificatesPresented) => Self::Certificate {
                peer,
                fault: "it showed none".to_owned(),
            },
            Some(rustls::Error::AlertReceived(alert)) => Self::refused(*alert, peer),
            Some(rustls::Error::InvalidMessage(_)) => Self::PlainAnswer { peer },
            Some(other) => Self::Protocol(other.clone()),
        }
    }

    fn refused(alert: AlertDescription, peer: Side) -> Self {
        Self::Refused {
            peer,
            reason: reason(alert, peer),
        }
    }

    /// What an error of an open stream says, where it is an alert: of TLS 1.3, who dialled learns
    /// so that its certificate was refused.
    pub(crate) fn explain(error: io::Error, peer: Side) -> io::Error {
        let tls = error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<rustls::Error>());
        match tls {
            Some(rustls::Error::AlertReceived(alert)) => {
                io::Error::new(error.kind(), Self::refused(*alert, peer))
            }
            _ => error,
        }
    }

    /// The peer's certificate is that of others.
    pub(crate) fn name(peer: Side, expected: &Expected, presented: &[String]) -> Self {
        Self::Certificate {
            peer,
            fault: wrong_name(peer, expected, presented),
        }
    }
}

fn certificate(fault: &CertificateError, peer: Side, expected: &Expected) -> String {
    use CertificateError as Fault;
    let ca = match peer {
        Side::Server => "server_ca",
        Side::Gateway => "gateway_ca",
    };
    let purpose = match peer {
        Side::Server => "serverAuth",
        Side::Gateway => "clientAuth",
    };
    match fault {
        Fault::UnknownIssuer => format!(
            "another authority issued it than that of [tls] {ca}; is it one for the other side, or was the authority replaced?"
        ),
        Fault::InvalidPurpose => format!(
            "it is not meant for a {peer}: its extended key usage has to name {purpose}, so that no {own} can pass for a {peer}",
            own = peer.peer()
        ),
        Fault::Expired | Fault::ExpiredContext { .. } => format!(
            "it has expired, or this host's clock is wrong; issue a new one (`portcullis tls {peer}`)"
        ),
        Fault::NotValidYet | Fault::NotValidYetContext { .. } => {
            "it is not valid yet, or this host's clock is wrong".to_owned()
        }
        Fault::Revoked => "it was revoked ([tls] revoked)".to_owned(),
        Fault::UnknownRevocationStatus => format!(
            "the list of [tls] revoked is not from its authority: give the list of the authority in {ca}"
        ),
        Fault::ExpiredRevocationList | Fault::ExpiredRevocationListContext { .. } => {
            "the list of [tls] revoked is out of date: fetch the present one from the authority"
                .to_owned()
        }
        Fault::NotValidForNameContext { presented, .. } => wrong_name(peer, expected, presented),
        other => other.to_string(),
    }
}

fn wrong_name(peer: Side, expected: &Expected, presented: &[String]) -> String {
    let presented = match presented {
        [] => "no host or gateway by name".to_owned(),
        names => names
            .iter()
            .map(|name| format!("`{name}`"))
            .collect::<Vec<_>>()
            .join(", "),
    };
    let remedy = match peer {
        Side::Server => {
            "give the name in it as [tls] server_name, or issue one for the name that is dialled"
        }
        Side::Gateway => "issue one for the name by which the gateway is registered",
    };
    format!("it is for {presented}, and not for {expected}; {remedy}")
}

fn reason(alert: AlertDescription, peer: Side) -> String {
    use AlertDescription as Alert;
    let own = peer.peer();
    match alert {
        Alert::BadCertificate => format!(
            "it does not accept this {own}'s certificate, which is damaged or for another name than the {peer} expects (bad_certificate)"
        ),
        Alert::CertificateExpired => format!(
            "this {own}'s certificate has expired, or is not valid yet, by the {peer}'s clock (certificate_expired)"
        ),
        Alert::CertificateRevoked => {
            format!("this {own}'s certificate was revoked (certificate_revoked)")
        }
        Alert::UnknownCA => format!(
            "this {own}'s certificate is of an authority that the {peer} does not know for {own}s (unknown_ca)"
        ),
        Alert::UnsupportedCertificate => format!(
            "this {own}'s certificate is not meant for a {own} (unsupported_certificate): its extended key usage names another purpose"
        ),
        Alert::CertificateRequired => {
            format!("it wants a certificate of this {own} (certificate_required)")
        }
        Alert::HandshakeFailure => {
            "it does not speak TLS there: it has no [tls] section (handshake_failure)".to_owned()
        }
        other => format!("{other:?}"),
    }
}
