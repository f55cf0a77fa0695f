//! The layers that are compared, each as a pair of connected streams.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use portcullis_common::crypto::suites::Suite;
use portcullis_common::handshake::{InitiatorConfig, ResponderConfig};
use portcullis_common::id::{GatewayId, KeyId, KeyKind, ServerId};
use portcullis_common::rotation::{HeldKey, Identity};
use portcullis_common::secret::MasterKey;
use portcullis_common::stream::{self, ChannelError, ChannelLimits};
use portcullis_tls::{Around, Side, TlsError, Transport};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::task::JoinError;
use tokio::time::Instant;
use tokio_rustls::rustls::client::Resumption;
use tokio_rustls::rustls::pki_types::{PrivatePkcs8KeyDer, ServerName};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::certificates::{Certificates, CertificatesError, GATEWAY};

/// How long the answering end waits for TLS around the channel.
const PATIENCE: Duration = Duration::from_secs(30);

/// What carries the calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// TCP alone.
    Plaintext,
    /// TLS 1.3, both sides with certificates, no resumption.
    MutualTls,
    /// The sealed channel.
    Sealed(Suite),
    /// The sealed channel with TLS 1.3 around it, as a site has it.
    SealedInTls(Suite),
}

impl Peer {
    /// Those that are compared with mutual TLS, in the order of the report.
    pub const ALL: [Self; 4] = [
        Self::Plaintext,
        Self::MutualTls,
        Self::Sealed(Suite::TdesCtrHmacSha256),
        Self::Sealed(Suite::Aes256Gcm),
    ];

    /// Its name in reports and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plaintext => "plaintext",
            Self::MutualTls => "mutual TLS",
            Self::Sealed(suite) => suite.name(),
            Self::SealedInTls(Suite::TdesCtrHmacSha256) => "TDES-CTR-HMAC-SHA256 in TLS",
            Self::SealedInTls(Suite::Aes256Gcm) => "AES-256-GCM in TLS",
        }
    }

    /// The peer with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|peer| peer.name() == name)
    }
}

/// Why two ends could not be joined.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The sockets, or TLS.
    #[error("cannot join the two ends: {0}")]
    Io(#[from] io::Error),
    /// The sealed channel.
    #[error("the sealed channel's handshake failed: {0}")]
    Channel(#[from] ChannelError),
    /// The certificates.
    #[error("cannot make the certificates: {0}")]
    Certificate(#[from] rcgen::Error),
    /// The settings of TLS.
    #[error("cannot set up TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// The check of the client's certificate.
    #[error("cannot set up the check of certificates: {0}")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
    /// The files of TLS around the channel.
    #[error(transparent)]
    Certificates(#[from] CertificatesError),
    /// TLS around the channel.
    #[error(transparent)]
    Around(#[from] TlsError),
    /// The runtime of the answering end.
    #[error("the answering end was lost: {0}")]
    Lost(#[from] JoinError),
}

/// A byte stream, whatever it runs through.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// One end of a link.
pub struct Link(Box<dyn Io>);

impl AsyncRead for Link {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Link {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

impl tonic::transport::server::Connected for Link {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

/// Makes links of one peer, each with a full handshake of its own.
pub struct Joiner {
    layer: Layer,
}

enum Layer {
    Plaintext,
    MutualTls(TlsConnector, TlsAcceptor),
    Sealed(Box<(InitiatorConfig, ResponderConfig)>, Option<InTls>),
}

/// TLS around the channel, at the server's end and at the gateway's.
struct InTls {
    server: Around,
    gateway: Around,
}

impl Joiner {
    /// Makes the keys, or the certificates.
    ///
    /// # Errors
    /// [`LinkError`] where a certificate cannot be made.
    pub fn new(peer: Peer) -> Result<Self, LinkError> {
        Ok(Self {
            layer: match peer {
                Peer::Plaintext => Layer::Plaintext,
                Peer::MutualTls => mutual_tls()?,
                Peer::Sealed(suite) => Layer::Sealed(Box::new(sealed(suite)), None),
                Peer::SealedInTls(suite) => Layer::Sealed(Box::new(sealed(suite)), Some(in_tls()?)),
            },
        })
    }

    /// Joins two ends: the one that calls, which is the caller's, and the one that answers, which
    /// is `far`'s. Both have finished their handshake.
    ///
    /// # Errors
    /// [`LinkError`] where either end fails.
    pub async fn join(&self, far: &Handle) -> Result<(Link, Link), LinkError> {
        // Through a listener of its own, so that pairs made at the same time are not mixed up.
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let answering = far.spawn(accept(listener, self.answering()));
        let near = TcpStream::connect(address).await?;
        near.set_nodelay(true)?;
        match self.call(near).await {
            Ok(near) => Ok((near, answering.await??)),
            Err(error) => {
                // The other end may know more.
                answering.await??;
                Err(error)
            }
        }
    }

    async fn call(&self, near: TcpStream) -> Result<Link, LinkError> {
        Ok(match &self.layer {
            Layer::Plaintext => link(near),
            Layer::MutualTls(connector, _) => {
                let name = ServerName::from(std::net::IpAddr::from([127, 0, 0, 1]));
                link(connector.connect(name, near).await?)
            }
            Layer::Sealed(configs, tls) => {
                let near = match tls {
                    Some(tls) => tls.server.dial_gateway(near, GATEWAY).await?,
                    None => Transport::Plain(near),
                };
                let initiator = configs.0.clone();
                link(stream::connect(near, None, initiator, &ChannelLimits::default()).await?)
            }
        })
    }

    fn answering(&self) -> Answering {
        match &self.layer {
            Layer::Plaintext => Answering::Plaintext,
            Layer::MutualTls(_, acceptor) => Answering::MutualTls(acceptor.clone()),
            Layer::Sealed(configs, tls) => Answering::Sealed(
                Box::new(configs.1.clone()),
                tls.as_ref().map(|tls| tls.gateway.clone()),
            ),
        }
    }
}

/// What the answering end needs for its handshake.
enum Answering {
    Plaintext,
    MutualTls(TlsAcceptor),
    Sealed(Box<ResponderConfig>, Option<Around>),
}

async fn accept(listener: std::net::TcpListener, answering: Answering) -> Result<Link, LinkError> {
    let (far, _) = TcpListener::from_std(listener)?.accept().await?;
    far.set_nodelay(true)?;
    Ok(match answering {
        Answering::Plaintext => link(far),
        Answering::MutualTls(acceptor) => link(acceptor.accept(far).await?),
        Answering::Sealed(config, tls) => {
            let far = match tls {
                Some(tls) => tls.receive(far, Instant::now() + PATIENCE).await?,
                None => Transport::Plain(far),
            };
            let limits = ChannelLimits::default();
            link(stream::accept(far, None, *config, &limits, |_| async { Ok(()) }).await?)
        }
    })
}

fn link(io: impl Io + 'static) -> Link {
    Link(Box::new(io))
}

fn mutual_tls() -> Result<Layer, LinkError> {
    let one = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()])?;
    let key = || PrivatePkcs8KeyDer::from(one.signing_key.serialize_der()).into();
    let chain = vec![one.cert.der().clone()];
    let mut roots = RootCertStore::empty();
    roots.add(one.cert.der().clone())?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions = &[&rustls::version::TLS13];

    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots.clone()), Arc::clone(&provider))
            .build()?;
    let mut server = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain.clone(), key())?;
    server.send_tls13_tickets = 0;

    let mut client = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key())?;
    client.resumption = Resumption::disabled();
    Ok(Layer::MutualTls(
        TlsConnector::from(Arc::new(client)),
        TlsAcceptor::from(Arc::new(server)),
    ))
}

fn in_tls() -> Result<InTls, LinkError> {
    let tls = InTls {
        server: portcullis_server::fleet::around(),
        gateway: portcullis_gateway::listener::agent::around(),
    };
    let certificates = Certificates::new()?;
    certificates.load(&tls.server, Side::Server)?;
    certificates.load(&tls.gateway, Side::Gateway)?;
    Ok(tls)
}

fn sealed(suite: Suite) -> (InitiatorConfig, ResponderConfig) {
    let rng = &mut rand::rng();
    let kind = match suite {
        Suite::TdesCtrHmacSha256 => KeyKind::Tdes,
        Suite::Aes256Gcm => KeyKind::Aes256,
    };
    let gateway_id = GatewayId::random(rng);
    let keys = vec![HeldKey {
        id: KeyId::random(kind, rng),
        key: MasterKey::random(kind, rng),
    }];
    (
        InitiatorConfig {
            server_id: ServerId::random(rng),
            suites: vec![suite],
            gateway_id,
            keys: keys.clone(),
            pairing: None,
        },
        ResponderConfig {
            suites: vec![suite],
            identity: Identity::Keyed { gateway_id, keys },
        },
    )
}
