//! A TCP proxy that can stop carrying anything, without a word: a cable pulled out.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    frozen: Arc<watch::Sender<bool>>,
}

impl Proxy {
    pub(crate) async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let frozen = Arc::new(watch::Sender::new(false));
        let state = Arc::clone(&frozen);
        tokio::spawn(async move {
            loop {
                let (near, _) = listener.accept().await.unwrap();
                let Ok(far) = TcpStream::connect(target).await else {
                    continue;
                };
                let (near_read, near_write) = near.into_split();
                let (far_read, far_write) = far.into_split();
                tokio::spawn(carry(near_read, far_write, state.subscribe()));
                tokio::spawn(carry(far_read, near_write, state.subscribe()));
            }
        });
        Self { address, frozen }
    }

    /// Carries nothing from now on, and closes nothing.
    pub(crate) fn freeze(&self) {
        self.frozen.send_replace(true);
    }

    /// Carries again, as a network does that was mended.
    pub(crate) fn thaw(&self) {
        self.frozen.send_replace(false);
    }
}

async fn carry(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut frozen: watch::Receiver<bool>,
) {
    let mut buffer = [0; 4096];
    while let Ok(len @ 1..) = from.read(&mut buffer).await {
        if frozen.wait_for(|frozen| !frozen).await.is_err()
            || to.write_all(&buffer[..len]).await.is_err()
        {
            return;
        }
    }
}
