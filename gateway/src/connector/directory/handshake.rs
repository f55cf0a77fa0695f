//! How TLS begins on a connection.

use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::fault::{Fault, FaultKind, code, code_name};
use super::link::{Input, closed, silent};
use super::message::{self, Body, Operation};
use super::server::{Server, Servers};
use super::tls::{Pin, Verifier};

/// RFC 4511, section 4.14.1.
const START_TLS: &str = "1.3.6.1.4.1.1466.20037";

/// Asks for TLS. Nothing else has left before, and nothing may have come beside the answer: it
/// could be from anybody.
pub(super) async fn start_tls<S: AsyncRead + AsyncWrite + Unpin>(
    servers: &Servers,
    server: &Server,
    stream: &mut S,
    deadline: Instant,
) -> Result<(), Fault> {
    let shown = server.shown();
    let request = Operation::Extended {
        oid: START_TLS,
        value: None,
    };
    let bytes = message::encode(1, &request, &[]);
    let mut input = Input::new(servers);
    let written = timeout_at(deadline, stream.write_all(&bytes)).await;
    written
        .map_err(|_| silent(&shown))?
        .map_err(|error| closed(&shown, &error))?;
    let message = input.receive(stream, &shown, deadline).await?;
    let tls = |text| Err(Fault::new(FaultKind::Tls, text));
    let Body::Answer(answer) = message.body else {
        return tls(format!("{shown} answers something else to StartTLS"));
    };
    if message.id != 1 || answer.code != code::SUCCESS {
        let name = code_name(answer.code);
        let said = super::words(&answer.text);
        return tls(format!(
            "{shown} does not begin TLS: {} {name} {said}. Use ldaps:// if it has that",
            answer.code
        ));
    }
    if !input.buffer.is_empty() {
        return tls(format!(
            "{shown}: something stands between the answer to StartTLS and TLS, which only an attacker puts there"
        ));
    }
    Ok(())
}

/// Begins TLS, and says which certificate was shown.
pub(super) async fn shake_hands(
    servers: &Servers,
    server: &Server,
    stream: TcpStream,
    deadline: Instant,
) -> Result<(TlsStream<TcpStream>, Pin), Fault> {
    let shown = server.shown();
    let name = server.server_name(servers)?;
    let (config, verifier) = Verifier::configuration(&servers.trust)
        .map_err(|error| Fault::new(FaultKind::Tls, error))?;
    let connector = TlsConnector::from(Arc::clone(&config));
    let shaken = timeout_at(deadline, connector.connect(name, stream)).await;
    let error = match shaken.map_err(|_| silent(&shown))? {
        Ok(stream) => return Ok((stream, verifier.shown().copied().unwrap_or_default())),
        Err(error) => error,
    };
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    Err(match inner {
        Some(rustls::Error::InvalidCertificate(fault)) => {
            let text = verifier.explain(fault, server.name(servers));
            Fault::new(FaultKind::Certificate, format!("{shown}: {text}"))
        }
        _ => Fault::new(FaultKind::Tls, format!("{shown}: no TLS: {error}")),
    })
}
