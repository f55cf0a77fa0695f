//! This gateway dials the server, and serves on the socket that it opened.

use std::sync::Arc;
use std::time::Duration;
use std::{io, iter};

use portcullis_common::handshake::{HandshakeError, Preamble};
use portcullis_common::rotation::Identity;
use portcullis_common::stream::ChannelError;
use portcullis_host::backoff::Backoff;
use portcullis_tls::{TlsError, Transport};
use rand::seq::SliceRandom as _;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::{info, warn};

use super::agent::Agent;
use super::dial_in::NO_KEY;
use super::keys::Standing;
use super::links::{Link, Order, Scope};
use super::proxy::{self, ProxyError};
use crate::config::Proxy;
use crate::key_store::KeyStoreError;

/// The longest wait after the first failure to reach the server, and after many.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// How long a server may take to ask for its grant.
const GRANT_PATIENCE: Duration = Duration::from_secs(10);
/// What is said of one that does not.
const NO_GRANT: &str = "has not asked for the link within 10 s, as servers of its id do since one of them has: bring it to the version of the others";

/// The server to dial.
#[derive(Clone, Debug)]
pub struct Target {
    /// HOST:PORT.
    pub server: String,
    /// The same of further ones on the same repository: any will do.
    pub others: Vec<String>,
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
    #[error(
        "handshake with {server}: {source}. Or the server demands TLS of this gateway (`portcullis gateway show NAME` there), which has no [tls] section: give it one"
    )]
    RefusedWithoutTls {
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
            Self::Handshake { .. } | Self::RefusedWithoutTls { .. } => "failed",
        }
    }
}

/// The servers, in an order of this gateway's own: a fleet is not to come to one of them.
fn shuffled(target: &Target) -> Vec<&str> {
    let others = target.others.iter().map(String::as_str);
    let mut servers: Vec<_> = iter::once(target.server.as_str()).chain(others).collect();
    servers.shuffle(&mut rand::rng());
    servers
}

/// Keeps a session with a server, for ever: with the one that works, and where it does not, or
/// the session ends, with the next one at once; only after all of them have failed there is a
/// pause.
pub async fn dial(agent: &Arc<Agent>, target: &Target) {
    let mut servers = shuffled(target);
    let mut failed = 0;
    let mut backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
    let mut last_error = String::new();
    let mut keys = agent.run.keys.changes();
    loop {
        keys.mark_unchanged();
        let server = servers.first().copied().unwrap_or_default();
        // A key that was installed before this handshake is proved by it.
        let opened = Box::pin(open(agent, target, server)).await;
        match opened {
            Ok((mut session, link)) => {
                agent.measured.done();
                last_error.clear();
                tokio::select! {
                    // A new key is proved by a fresh handshake, and the server may ask for one;
                    // the old session carries its calls meanwhile.
                    () = agent.run.until_installed() => continue,
                    () = link.until_redial() => continue,
                    () = ungranted(&link) => {
                        link.tell(Order::Drain);
                        let why = format!("no session: the server at {server} {NO_GRANT}");
                        warn!("{why}");
                        agent.run.status.failed(&why);
                    }
                    _ = &mut session => {}
                }
                // The server was well enough to shake hands, and has the link: whatever failed
                // before is over. It may have gone since, so that another one comes first now.
                if link.is_settled() {
                    backoff.reset();
                    failed = usize::from(servers.len() > 1);
                } else {
                    failed += 1;
                }
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
                failed += 1;
            }
        }
        if failed > 0 {
            servers.rotate_left(1);
            if failed < servers.len() {
                continue;
            }
            failed = 0;
        }
        let server = servers.first().copied().unwrap_or_default();
        let wait = backoff.next_wait();
        info!("dialling {server} again in {:.1} s", wait.as_secs_f32());
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
    server: &str,
) -> Result<(JoinHandle<()>, Arc<Link>), DialError> {
    let identity = agent.run.keys.begin().await?;
    let preamble = preamble(&identity, target)?;
    let stream = connect(agent, target.proxy.as_ref(), server).await?;
    let deadline = Instant::now() + agent.limits.handshake;
    let stream = around(agent, server, stream, deadline).await?;
    let limits = agent.limits.until(deadline);
    let is_tls = stream.is_tls();
    let (stream, open) = agent
        .shake_hands(stream, Some(&preamble), identity, server, &limits)
        .await
        .map_err(|source| failed(server.to_owned(), source, is_tls))?;
    let (agent, link) = (Arc::clone(agent), Arc::clone(open.link()));
    let session = tokio::spawn(async move { agent.serve(stream, open).await });
    Ok((session, link))
}

/// A server that demands TLS refuses as it does strangers: nobody is to learn of whom.
fn failed(server: String, source: ChannelError, is_tls: bool) -> DialError {
    match source {
        ChannelError::Handshake(HandshakeError::Refused) if !is_tls => {
            DialError::RefusedWithoutTls { server, source }
        }
        source => DialError::Handshake { server, source },
    }
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

async fn connect(
    agent: &Agent,
    proxy: Option<&Proxy>,
    server: &str,
) -> Result<TcpStream, DialError> {
    let after = agent.limits.handshake;
    if let Some(proxy) = proxy {
        return connect_through(proxy, server, after).await;
    }
    let stream = timeout(after, TcpStream::connect(server))
        .await
        .map_err(|_| DialError::Timeout {
            server: server.to_owned(),
            after,
        })?
        .map_err(|source| DialError::Connect {
            server: server.to_owned(),
            source,
        })?;
    hurry(&stream);
    Ok(stream)
}

/// Puts TLS around it, where there is any.
async fn around(
    agent: &Agent,
    server: &str,
    stream: TcpStream,
    deadline: Instant,
) -> Result<Transport, DialError> {
    if !agent.tls.is_set_up() {
        return Ok(Transport::Plain(stream));
    }
    let host = server.rsplit_once(':').map_or(server, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let dialling = agent.tls.dial_server(stream, host);
    match timeout_at(deadline, dialling).await {
        Ok(dialled) => dialled.map_err(|source| DialError::Tls {
            server: server.to_owned(),
            source,
        }),
        Err(_) => Err(DialError::TlsTimeout {
            server: server.to_owned(),
            after: agent.limits.handshake,
        }),
    }
}

async fn connect_through(
    proxy: &Proxy,
    server: &str,
    after: Duration,
) -> Result<TcpStream, DialError> {
    let stream = timeout(after, proxy::connect(proxy, server))
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

/// Ends where a server that is to be granted the link does not ask for it in time.
async fn ungranted(link: &Link) {
    let granted = timeout(GRANT_PATIENCE, link.until_settled()).await;
    if link.scope == Scope::Enrolment || granted.is_ok() {
        std::future::pending().await
    }
}

async fn changed(keys: &mut watch::Receiver<Standing>) {
    if keys.changed().await.is_err() {
        // The gateway is stopping.
        std::future::pending().await
    }
}
