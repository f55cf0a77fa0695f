//! The server dials this gateway.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use portcullis_common::rotation::Identity;
use portcullis_common::stream::{self, ChannelError, Dropped, HalfOpen, Permit, SealedStream};
use portcullis_host::limit::Seldom;
use portcullis_tls::{TlsError, Transport};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tracing::warn;

use super::agent::Agent;
use super::links::OpenLink;
use crate::key_store::KeyStoreError;

/// After the system refused a connection, for want of file handles perhaps.
const PAUSE: Duration = Duration::from_millis(100);

/// Accepts connections for ever, and keeps within `half_open` those that have not shaken hands.
pub async fn listen(agent: &Arc<Agent>, listener: &TcpListener, half_open: &HalfOpen) {
    let mut failures = Seldom::default();
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                if let Some(permit) = half_open.admit(peer.ip()).await {
                    tokio::spawn(connected(Arc::clone(agent), stream, peer, permit));
                }
            }
            Err(error) if stream::is_of_one_connection(&error) => {}
            Err(error) => {
                if let Some(untold) = failures.admit() {
                    warn!(untold, "cannot accept a connection: {error}");
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn connected(agent: Arc<Agent>, stream: TcpStream, peer: SocketAddr, permit: Permit) {
    let peer = peer.to_string();
    let shaking = shake_hands(&agent, stream, &peer, permit.deadline());
    let shaken = permit.guard(shaking).await;
    match shaken.map_err(DialInError::from).flatten() {
        Ok((stream, open)) => {
            agent.measured.done();
            agent.serve(stream, open).await;
        }
        Err(error) => {
            agent.measured.failed(error.label());
            let text = error.to_string();
            // Each is a file written and synchronized: strangers get as many as they get lines of
            // the log.
            if agent.refusals.log(&peer, &text) {
                agent
                    .run
                    .status
                    .failed(&format!("connection from {peer}: {text}"));
            }
        }
    }
}

async fn shake_hands(
    agent: &Agent,
    stream: TcpStream,
    peer: &str,
    deadline: Instant,
) -> Result<(SealedStream<Transport>, OpenLink), DialInError> {
    if let Err(error) = stream.set_nodelay(true) {
        warn!(peer, "the connection is slower than it could be: {error}");
    }
    let mut stream = agent.tls.receive(stream, deadline).await?;
    let identity = match agent.run.keys.begin().await {
        Ok(Identity::None) => Err(DialInError::NoKey),
        begun => begun.map_err(DialInError::from),
    };
    match identity {
        Ok(identity) => {
            let limits = agent.limits.until(deadline);
            let shaking = agent.shake_hands(stream, None, identity, peer, &limits);
            Ok(shaking.await?)
        }
        Err(error) => {
            stream::refuse(&mut stream).await;
            Err(error)
        }
    }
}

/// Why there is no session.
#[derive(Debug, thiserror::Error)]
enum DialInError {
    #[error(transparent)]
    KeyStore(#[from] KeyStoreError),
    #[error("{NO_KEY}")]
    NoKey,
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(transparent)]
    Channel(#[from] ChannelError),
    #[error(transparent)]
    Dropped(#[from] Dropped),
}

impl DialInError {
    const fn label(&self) -> &'static str {
        match self {
            Self::KeyStore(_) => "key_store",
            Self::NoKey => "no_key",
            Self::Tls(TlsError::Silent { .. }) => "silent",
            Self::Tls(_) => "tls",
            Self::Channel(_) => "failed",
            Self::Dropped(_) => "dropped",
        }
    }
}

/// Why a gateway without a key refuses every session.
pub(super) const NO_KEY: &str = "this gateway holds no key and pairing is closed: run `portcullis-gateway enroll` with the token that \
     `portcullis gateway add` printed on the server";
