//! tonic over a pair of joined streams.

use std::io;
use std::sync::Mutex;

use futures_util::StreamExt;
use hyper_util::rt::TokioIo;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tonic::transport::{Channel, Endpoint, Server};

use super::echo::{Echo, EchoClient};
use super::peer::{Joiner, Link, LinkError};

/// A client and its server, joined through one connection.
pub struct Wired {
    channel: Channel,
    serving: JoinHandle<()>,
}

impl Drop for Wired {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Why a client is not ready.
#[derive(Debug, thiserror::Error)]
pub enum WiredError {
    /// No connection.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// No HTTP/2 on it.
    #[error("tonic did not start: {0}")]
    Transport(#[from] tonic::transport::Error),
}

impl Wired {
    /// Joins two ends and starts tonic on both; the one that answers runs on `far`.
    ///
    /// # Errors
    /// [`WiredError`] where the handshake or HTTP/2 fails.
    pub async fn new(joiner: &Joiner, far: &Handle) -> Result<Self, WiredError> {
        let (near, answering) = joiner.join(far).await?;
        let serving = far.spawn(serve(answering));
        let near = Mutex::new(Some(near));
        let channel = Endpoint::from_static("http://link")
            .connect_with_connector(tower::service_fn(move |_| {
                let link = near.lock().ok().and_then(|mut slot| slot.take());
                async {
                    link.map(TokioIo::new)
                        .ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected))
                }
            }))
            .await?;
        Ok(Self { channel, serving })
    }

    /// A client of the echo.
    pub fn echo(&self) -> EchoClient<Channel> {
        EchoClient::new(self.channel.clone())
    }
}

async fn serve(far: Link) {
    // The stream of connections stays open: its end would be taken for a shutdown.
    let incoming = futures_util::stream::once(async { Ok::<_, io::Error>(far) })
        .chain(futures_util::stream::pending());
    let served = Server::builder()
        .add_service(Echo)
        .serve_with_incoming(incoming)
        .await;
    if let Err(error) = served {
        eprintln!("bench: the answering side ended: {error}");
    }
}
