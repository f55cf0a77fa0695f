//! This gateway dials the server, and serves on the socket that it opened.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use portcullis_common::handshake::Preamble;
use portcullis_common::rotation::Identity;
use portcullis_common::stream::ChannelError;
use portcullis_host::backoff::Backoff;
use portcullis_tls::{TlsError, Transport};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use tracing::{info, warn};

use super::agent::Agent;
use super::dial_in::NO_KEY;
use super::keys::Standing;
use super::links::Link;
use super::proxy::{self, ProxyError};
use crate::config::Proxy;
use crate::key_store::KeyStoreError;

/// The longest wait after the first failure to reach the server, and after many.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// The server to dial.
#[derive(Clone, Debug)]
pub struct Target {
    /// HOST:PORT.
    pub server: String,
    /// The name that this gateway was registered with, for pairing.
    pub name: Option<String>,
    /// The HTTP proxy on the way.
    pub proxy: Option<Proxy>,
}

/// Why there is no session.
#[derive(Debug, thiserror::Error)]
enum DialError {
    #[error(transparent)]
    KeyStore(#[from] KeyStoreError),
    #[error("{NO_KEY}")]
    NoKey,
    #[error(
        "pairing over [dial_out] needs dial_out.name: the name that the gateway was registered with by `portcullis gateway add NAME --dial-out`"
    )]
    NoName,
    #[error("cannot reach the server at {server}: {source}")]
    Connect { server: String, source: io::Error },
    #[error("cannot reach the server at {server}: no answer within {} s", .after.as_secs())]
    Timeout { server: String, after: Duration },
    #[error("cannot reach the server at {server}: {source}")]
    Proxy { server: String, source: ProxyError },
    #[error("cannot reach the server at {server} through the proxy at {proxy}: no answer within {} s; look whether the proxy runs, and whether it can reach the server", .after.as_secs())]
    ProxyTimeout {
        server: String,
        proxy: String,
        after: Duration,
    },
    #[error("TLS with {server}: {source}")]
    Tls { server: String, source: TlsError },
    #[error("TLS with {server}: no answer within {} s", .after.as_secs())]
    TlsTimeout { server: String, after: Duration },
    #[error("handshake with {server}: {source}")]
    Handshake {
        server: String,
        source: ChannelError,
    },
}

impl DialError {
    const fn label(&self) -> &'static str {
        match self {
            Self::KeyStore(_) => "key_store",
            Self::NoKey | Self::NoName => "no_key",
            Self::Connect { .. }
            | Self::Timeout { .. }
            | Self::Proxy { .. }
            | Self::ProxyTimeout { .. } => "unreachable",
            Self::Tls { .. } | Self::TlsTimeout { .. } => "tls",
            Self::Handshake { .. } => "failed",
        }
    }
}

/// Keeps a session with the server, for ever.
pub async fn dial(agent: &Arc<Agent>, target: &Target) {
    let mut backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
    let mut last_error = String::new();
    let mut keys = agent.run.keys.changes();
    loop {
        keys.mark_unchanged();
        // A key that was installed before this handshake is proved by it.
        let opened = Box::pin(open(agent, target)).await;
        match opened {
            Ok((mut session, link)) => {
                agent.measured.done();
                last_error.clear();
                tokio::select! {
                    // A new key is proved by a fresh handshake, and the server may ask for one;
                    // the old session carries its calls meanwhile.
                    () = agent.run.until_installed() => continue,
                    () = link.until_redial() => continue,
                    _ = &mut session => {}
                }
                // The server was well enough to shake hands: whatever failed before is over.
                backoff.reset();
            }
            Err(error) => {
                agent.measured.failed(error.label());
                let text = error.to_string();
                if text != last_error {
                    warn!("no session: {text}");
                    agent.run.status.failed(&text);
                    last_error = text;
                }
                if matches!(error, DialError::NoKey | DialError::NoName) {
                    changed(&mut keys).await;
                    continue;
                }
            }
        }
        let wait = backoff.next_wait();
        info!(
            "dialling {} again in {:.1} s",
            target.server,
            wait.as_secs_f32()
        );
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            // Enrolled anew, or reset: what kept it from connecting may be gone.
            () = changed(&mut keys) => backoff.reset(),
            () = agent.run.until_installed() => backoff.reset(),
        }
    }
}

async fn open(
    agent: &Arc<Agent>,
    target: &Target,
) -> Result<(JoinHandle<()>, Arc<Link>), DialError> {
    let identity = agent.run.keys.begin().await?;
    let preamble = preamble(&identity, target)?;
    let stream = connect(agent, target).await?;
    let deadline = Instant::now() + agent.limits.handshake;
    let stream = around(agent, target, stream, deadline).await?;
    let (server, limits) = (&target.server, agent.limits.until(deadline));
    let (stream, open) = agent
        .shake_hands(stream, Some(&preamble), identity, server, &limits)
        .await
        .map_err(|source| DialError::Handshake {
            server: server.clone(),
            source,
        })?;
    let (agent, link) = (Arc::clone(agent), Arc::clone(open.link()));
    let session = tokio::spawn(async move { agent.serve(stream, open).await });
    Ok((session, link))
}

fn preamble(identity: &Identity, target: &Target) -> Result<Preamble, DialError> {
    match identity {
        Identity::Keyed { gateway_id, .. } => Ok(Preamble::Id(*gateway_id)),
        Identity::Pairing => target
            .name
            .clone()
            .map(Preamble::Name)
            .ok_or(DialError::NoName),
        Identity::None => Err(DialError::NoKey),
    }
}

async fn connect(agent: &Agent, target: &Target) -> Result<TcpStream, DialError> {
    let server = &target.server;
    let after = agent.limits.handshake;
    if let Some(proxy) = &target.proxy {
        return connect_through(proxy, server, after).await;
    }
    let stream = tokio::time::timeout(after, TcpStream::connect(server))
        .await
        .map_err(|_| DialError::Timeout {
            server: server.clone(),
            after,
        })?
        .map_err(|source| DialError::Connect {
            server: server.clone(),
            source,
        })?;
    hurry(&stream);
    Ok(stream)
}

/// Puts TLS around it, where there is any.
async fn around(
    agent: &Agent,
    target: &Target,
    stream: TcpStream,
    deadline: Instant,
) -> Result<Transport, DialError> {
    if !agent.tls.is_set_up() {
        return Ok(Transport::Plain(stream));
    }
    let server = &target.server;
    let host = server
        .rsplit_once(':')
        .map_or(server.as_str(), |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let dialling = agent.tls.dial_server(stream, host);
    match timeout_at(deadline, dialling).await {
        Ok(dialled) => dialled.map_err(|source| DialError::Tls {
            server: server.clone(),
            source,
        }),
        Err(_) => Err(DialError::TlsTimeout {
            server: server.clone(),
            after: agent.limits.handshake,
        }),
    }
}

async fn connect_through(
    proxy: &Proxy,
    server: &str,
    after: Duration,
) -> Result<TcpStream, DialError> {
    let stream = tokio::time::timeout(after, proxy::connect(proxy, server))
        .await
        .map_err(|_| DialError::ProxyTimeout {
            server: server.to_owned(),
            proxy: proxy.address.clone(),
            after,
        })?
        .map_err(|source| DialError::Proxy {
            server: server.to_owned(),
            source,
        })?;
    hurry(&stream);
    Ok(stream)
}

fn hurry(stream: &TcpStream) {
    if let Err(error) = stream.set_nodelay(true) {
        warn!("the connection is slower than it could be: {error}");
    }
}

async fn changed(keys: &mut watch::Receiver<Standing>) {
    if keys.changed().await.is_err() {
        // The gateway is stopping.
        std::future::pending().await
    }
}
