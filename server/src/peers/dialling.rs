//! Dials another server.

use portcullis_common::id::PeerEnds;
use portcullis_common::stream::{self, ChannelError, Session};
use std::io;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use super::{Inner, Other, deadline};
use crate::fleet::transport::{self, KeepAlive, Requests};
use crate::repository::RepositoryError;

/// Why another server was not reached.
#[derive(Debug, thiserror::Error)]
pub(super) enum DialError {
    #[error("it advertises no address: set [peers] advertise in its configuration")]
    NoAddress,
    #[error("cannot connect to {address}: {source}")]
    Connect { address: String, source: io::Error },
    #[error("cannot connect to {0}: no answer in time")]
    Timeout(String),
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    #[error("{address}: {source}")]
    Channel {
        address: String,
        source: ChannelError,
    },
    #[error("{address}: {source}")]
    Http {
        address: String,
        source: hyper::Error,
    },
}

/// A link that this server dialled.
#[derive(Clone, Debug)]
pub(super) struct Dialled {
    pub(super) requests: Requests,
    pub(super) session: Arc<Session>,
    pub(super) since: Instant,
}

/// Connects to another server, shakes hands and speaks HTTP/2.
pub(super) async fn dial(inner: &Inner, to: &Other) -> Result<Dialled, DialError> {
    let address = to.address.clone();
    if address.is_empty() {
        return Err(DialError::NoAddress);
    }
    let ends = PeerEnds {
        dialler: inner.servers.own(),
        dialled: to.instance,
    };
    let config = inner.config(ends).await?;
    let until = deadline(&inner.settings);
    let io = match timeout_at(until, TcpStream::connect(&address)).await {
        Ok(Ok(io)) => io,
        Ok(Err(source)) => return Err(DialError::Connect { address, source }),
        Err(_) => return Err(DialError::Timeout(address)),
    };
    crate::fleet::prepare(&io);
    let limits = inner.settings.limits.until(until);
    let sealed = match stream::dial_peer(io, config, &limits).await {
        Ok(sealed) => sealed,
        Err(source) => return Err(DialError::Channel { address, source }),
    };
    let session = Arc::clone(sealed.session());
    let keep_alive = KeepAlive {
        interval: inner.settings.keep_alive,
        timeout: inner.settings.keep_alive,
    };
    match transport::start(sealed, keep_alive).await {
        Ok((requests, _)) => Ok(Dialled {
            requests,
            session,
            since: Instant::now(),
        }),
        Err(source) => Err(DialError::Http { address, source }),
    }
}
