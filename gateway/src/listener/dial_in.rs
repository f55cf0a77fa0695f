//! The server dials this gateway.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use portcullis_common::rotation::Identity;
use tokio::net::{TcpListener, TcpStream};
use tracing::{error, warn};

use super::agent::Agent;

/// After the system refused a connection, for want of file handles perhaps.
const PAUSE: Duration = Duration::from_millis(100);

/// Accepts connections for ever.
pub async fn listen(agent: &Arc<Agent>, listener: &TcpListener) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                tokio::spawn(connected(Arc::clone(agent), stream, peer));
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                warn!("cannot accept a connection: {error}");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn connected(agent: Arc<Agent>, stream: TcpStream, peer: SocketAddr) {
    let peer = peer.to_string();
    if let Err(error) = stream.set_nodelay(true) {
        warn!(peer, "the connection is slower than it could be: {error}");
    }
    let identity = match agent.keys.begin().await {
        Ok(identity) => identity,
        Err(error) => {
            error!(peer, "no session: {error}");
            agent.status.failed(&error.to_string());
            return;
        }
    };
    if matches!(identity, Identity::None) {
        agent.refusals.log(&peer, NO_KEY);
        agent.status.failed(NO_KEY);
        return;
    }
    match agent.shake_hands(stream, None, identity, &peer).await {
        Ok((stream, open)) => agent.serve(stream, open).await,
        Err(error) => {
            agent.refusals.log(&peer, &error.to_string());
            agent
                .status
                .failed(&format!("handshake with {peer}: {error}"));
        }
    }
}

/// Why a gateway without a key refuses every session.
pub(super) const NO_KEY: &str = "this gateway holds no key and pairing is closed: run `portcullis-gateway enroll` with the token that \
     `portcullis gateway add` printed on the server";

/// The peer was gone before it was accepted: nothing is wrong on this side.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}
