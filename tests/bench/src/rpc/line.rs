//! What is measured: one connection with something that calls at one end and something that answers
//! at the other.

use futures_util::stream::{BoxStream, StreamExt};
use portcullis_common::crypto::suites::Suite;
use portcullis_proto::gateway::v1 as pb;
use tokio::runtime::Handle;
use tonic::transport::Channel;

use super::site::{Site, SiteError};
use crate::echo::{self, EchoClient};
use crate::links::{Wired, WiredError};
use crate::peer::{Joiner, LinkError, Peer};

/// Who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Unary tonic over TCP alone.
    Plaintext,
    /// Unary tonic over TLS 1.3, both sides with certificates: the peer.
    MutualTls,
    /// The server's fleet, a link under this suite, a gateway.
    Portcullis(Suite),
    /// The same, with TLS around the link.
    PortcullisInTls(Suite),
}

impl Subject {
    /// Those that are measured beside mutual TLS, in the order of the report.
    pub const ALL: [Self; 4] = [
        Self::Plaintext,
        Self::MutualTls,
        Self::Portcullis(Suite::TdesCtrHmacSha256),
        Self::Portcullis(Suite::Aes256Gcm),
    ];

    /// The subject of this name.
    ///
    /// # Errors
    /// A message that names all of them.
    pub fn from_name(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|subject| subject.name() == name);
        found.ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|subject| subject.name()).collect();
            format!("there are: {}", names.join(", "))
        })
    }

    /// Its name in reports.
    pub const fn name(self) -> &'static str {
        self.layer().name()
    }

    /// What carries its bytes.
    const fn layer(self) -> Peer {
        match self {
            Self::Plaintext => Peer::Plaintext,
            Self::MutualTls => Peer::MutualTls,
            Self::Portcullis(suite) => Peer::Sealed(suite),
            Self::PortcullisInTls(suite) => Peer::SealedInTls(suite),
        }
    }
}

/// Why there is nothing to measure.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// No connection, or no HTTP/2 on it.
    #[error(transparent)]
    Wired(#[from] WiredError),
    /// No keys or certificates.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// No server, or no gateway.
    #[error(transparent)]
    Site(#[from] SiteError),
}

/// One connection of a subject, and beside it one that carries plain tonic in the same layer.
pub(crate) struct Line {
    wired: Wired,
    site: Option<Site>,
}

impl Line {
    /// The end that answers runs on `far`.
    pub(crate) async fn new(subject: Subject, far: &Handle) -> Result<Self, LineError> {
        Ok(Self {
            wired: Wired::new(&Joiner::new(subject.layer())?, far).await?,
            site: match subject {
                Subject::Portcullis(suite) => Some(Site::new(suite, false, far).await?),
                Subject::PortcullisInTls(suite) => Some(Site::new(suite, true, far).await?),
                Subject::Plaintext | Subject::MutualTls => None,
            },
        })
    }

    /// Something that makes calls, one at a time.
    pub(super) fn caller(&self) -> Caller {
        match &self.site {
            Some(site) => Caller::Portcullis(site.clone()),
            None => Caller::Unary(self.wired.echo()),
        }
    }

    /// Objects without end, as a stream of tonic in this layer.
    pub(super) async fn bulk(&self) -> Result<Items, String> {
        let items = self.wired.echo().bulk().await;
        let items = items.map_err(|status| status.to_string())?;
        Ok(items
            .map(|item| item.map_err(|status| status.to_string()))
            .boxed())
    }

    /// The objects of a search, or where there is none the same stream.
    pub(super) async fn search(&self) -> Result<Items, String> {
        match &self.site {
            Some(site) => site.search().await,
            None => self.bulk().await,
        }
    }

    pub(crate) async fn close(self) {
        if let Some(site) = self.site {
            site.close().await;
        }
    }
}

/// What a stream yields.
pub(super) type Items = BoxStream<'static, Result<pb::SearchItem, String>>;

/// Makes calls, one at a time.
pub(super) enum Caller {
    Unary(EchoClient<Channel>),
    Portcullis(Site),
}

impl Caller {
    /// Sends `payload` and gives the outcome.
    pub(super) async fn call(
        &mut self,
        call_id: String,
        payload: &str,
    ) -> Result<pb::Outcome, String> {
        match self {
            Self::Unary(client) => client
                .call(echo::call(call_id, "echo", payload))
                .await
                .map_err(|status| status.to_string()),
            Self::Portcullis(site) => site.call(call_id, payload).await,
        }
    }
}
