//! A hop between two ends that records every byte, and can cut.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::OrFail as _;

/// What passed, each connection and direction in one piece.
#[derive(Clone, Debug, Default)]
pub struct Recording {
    streams: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Recording {
    /// Does any stream contain these bytes?
    pub fn contains(&self, bytes: &[u8]) -> bool {
        self.lock()
            .iter()
            .any(|stream| stream.windows(bytes.len()).any(|part| part == bytes))
    }

    fn open(&self) -> usize {
        let mut streams = self.lock();
        streams.push(Vec::new());
        streams.len() - 1
    }

    fn push(&self, stream: usize, bytes: &[u8]) {
        if let Some(stream) = self.lock().get_mut(stream) {
            stream.extend_from_slice(bytes);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Vec<u8>>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Listens on a loopback port and passes everything on to another place.
#[derive(Debug)]
pub struct Proxy {
    /// Where it listens.
    pub port: u16,
    /// What passed so far.
    pub recording: Recording,
    cut: watch::Sender<u64>,
    serving: JoinHandle<()>,
}

impl Proxy {
    /// Passes on to `target` of loopback.
    pub async fn new(target: u16) -> Self {
        Self::to((Ipv4Addr::LOCALHOST, target).into()).await
    }

    /// Passes on to this address.
    pub async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.or_fail("listen for the proxy");
        let port = listener.local_addr().or_fail("the proxy's port").port();
        let recording = Recording::default();
        let (cut, cuts) = watch::channel(0);
        let serving = tokio::spawn(serve(listener, target, recording.clone(), cuts));
        Self {
            port,
            recording,
            cut,
            serving,
        }
    }

    /// Cuts every connection that passes through now. New ones are let through.
    pub fn cut(&self) {
        self.cut.send_modify(|count| *count += 1);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(
    listener: TcpListener,
    target: SocketAddr,
    recording: Recording,
    cuts: watch::Receiver<u64>,
) {
    while let Ok((near, _)) = listener.accept().await {
        let recording = recording.clone();
        let mut cuts = cuts.clone();
        cuts.mark_unchanged();
        tokio::spawn(async move {
            let Ok(far) = TcpStream::connect(target).await else {
                return;
            };
            let (near_read, near_write) = near.into_split();
            let (far_read, far_write) = far.into_split();
            tokio::select! {
                _ = cuts.changed() => {}
                _ = async {
                    tokio::join!(
                        pass(near_read, far_write, &recording),
                        pass(far_read, near_write, &recording),
                    )
                } => {}
            }
        });
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, recording: &Recording) {
    let stream = recording.open();
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(len @ 1..) = from.read(&mut buffer).await {
        let bytes = buffer.get(..len).unwrap_or_default();
        recording.push(stream, bytes);
        if to.write_all(bytes).await.is_err() {
            return;
        }
    }
    // The other end may have gone first.
    let _ = to.shutdown().await;
}
