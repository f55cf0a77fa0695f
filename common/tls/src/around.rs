//! TLS as a program holds it: read again while it runs, and put around a connection, whoever
//! dialled.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use portcullis_common::stream;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

use crate::files::Loaded;
use crate::verifier::Expected;
use crate::{Expiry, FilesError, ReadKey, Settings, Side, TlsError, Transport};

/// The first byte of a connection with TLS: a record of its handshake (RFC 8446, section 5.1). No
/// frame of the channel begins with it.
const HANDSHAKE: u8 = 22;
/// A fatal alert `handshake_failure`, for a peer that speaks TLS where there is none, or none where
/// there has to be.
const ALERT: [u8; 7] = [21, 3, 3, 0, 2, 2, 40];
/// How long a peer that is refused may take to be told, and how much of what it still says is
/// taken: a connection that is closed before is reset, and the alert may be lost with it.
const LAST_WORD: Duration = Duration::from_millis(250);
const LAST_BYTES: u64 = 64 * 1024;

/// TLS around the channel, as this program's configuration has it now. Cheap to clone; all clones
/// see a reload.
#[derive(Clone, Debug)]
pub struct Around {
    side: Side,
    read_key: ReadKey,
    held: Arc<Mutex<Option<Arc<Loaded>>>>,
}

impl Around {
    /// No TLS, until a reload; `read_key` reads the file of the private key.
    pub fn none(side: Side, read_key: ReadKey) -> Self {
        Self {
            side,
            read_key,
            held: Arc::default(),
        }
    }

    /// As `settings` have it. From the next handshake on that holds; sessions that live stay.
    ///
    /// # Errors
    /// [`FilesError`]: what held before holds on.
    pub fn load(&self, settings: Option<&Settings>) -> Result<(), FilesError> {
        let load = |settings| Loaded::load(self.side, settings, self.read_key).map(Arc::new);
        let loaded = settings.map(load).transpose()?;
        *self.lock() = loaded;
        Ok(())
    }

    /// Whether there is any.
    pub fn is_set_up(&self) -> bool {
        self.lock().is_some()
    }

    /// Until when the files that were loaded are valid; without TLS, nothing.
    pub fn expiries(&self) -> Vec<Expiry> {
        let loaded = self.lock();
        loaded
            .as_ref()
            .map_or_else(Vec::new, |loaded| loaded.expiries.clone())
    }

    /// Whether there has to be TLS around every connection.
    pub fn requires(&self) -> bool {
        self.lock()
            .as_ref()
            .is_some_and(|loaded| loaded.settings.require)
    }

    /// The server's side: puts TLS around a connection to the gateway of this name, that was
    /// dialled. The caller bounds the time.
    ///
    /// # Errors
    /// [`TlsError`].
    pub async fn dial_gateway(&self, io: TcpStream, name: &str) -> Result<Transport, TlsError> {
        self.dial(io, |_| Expected::Gateway(name.to_owned())).await
    }

    /// The gateway's side: puts TLS around a connection to the server at `host`, that was dialled.
    /// The caller bounds the time.
    ///
    /// # Errors
    /// [`TlsError`].
    pub async fn dial_server(&self, io: TcpStream, host: &str) -> Result<Transport, TlsError> {
        self.dial(io, |settings| {
            let name = settings.server_name.as_deref().unwrap_or(host);
            Expected::Server(name.to_owned())
        })
        .await
    }

    async fn dial(
        &self,
        io: TcpStream,
        expected: impl FnOnce(&Settings) -> Expected,
    ) -> Result<Transport, TlsError> {
        let peer = self.side.peer();
        let loaded = self.current().ok_or(TlsError::Missing { peer })?;
        let expected = expected(&loaded.settings);
        let config = loaded
            .client(expected.clone())
            .map_err(TlsError::Protocol)?;
        let host = expected.host();
        // A name is asked for, and goes nowhere where it is none of a host.
        let host =
            host.unwrap_or_else(|| ServerName::IpAddress(std::net::Ipv4Addr::UNSPECIFIED.into()));
        let connecting = TlsConnector::from(Arc::new(config)).connect(host, io);
        match connecting.into_fallible().await {
            Ok(io) => Ok(Transport::tls(TlsStream::Client(io), peer)),
            Err((error, io)) => {
                linger(io, &[]).await;
                Err(TlsError::of(error, peer, &expected))
            }
        }
    }

    /// Takes a connection that was accepted: with TLS where the peer speaks TLS, and without where
    /// it does not and need not. It is found out and, with TLS, agreed upon by `deadline`.
    ///
    /// # Errors
    /// [`TlsError`]; the peer was told, where there was a way to.
    pub async fn receive(
        &self,
        mut io: TcpStream,
        deadline: Instant,
    ) -> Result<Transport, TlsError> {
        let peer = self.side.peer();
        let silent = TlsError::Silent { peer };
        let mut first = [0];
        match timeout_at(deadline, io.peek(&mut first)).await {
            Ok(Ok(0)) => return Err(TlsError::HungUp { peer }),
            Ok(said) => said.map_err(TlsError::Io)?,
            Err(_) => {
                // It may speak with TLS or without; it is told as without.
                stream::refuse(&mut io).await;
                return Err(silent);
            }
        };
        match (first == [HANDSHAKE], self.current()) {
            (true, Some(loaded)) => timeout_at(deadline, self.accept(io, &loaded))
                .await
                .unwrap_or(Err(silent)),
            (true, None) => {
                linger(io, &ALERT).await;
                Err(TlsError::NotSetUp { peer })
            }
            (false, Some(loaded)) if loaded.settings.require => {
                linger(io, &ALERT).await;
                Err(TlsError::Plain { peer })
            }
            (false, _) => Ok(Transport::Plain(io)),
        }
    }

    async fn accept(&self, io: TcpStream, loaded: &Loaded) -> Result<Transport, TlsError> {
        let peer = self.side.peer();
        let accepting = TlsAcceptor::from(Arc::clone(&loaded.server)).accept(io);
        match accepting.into_fallible().await {
            Ok(io) => Ok(Transport::tls(TlsStream::Server(io), peer)),
            Err((error, io)) => {
                linger(io, &[]).await;
                let expected = match &loaded.settings.server_name {
                    Some(name) => Expected::Server(name.clone()),
                    None => Expected::Anybody,
                };
                Err(TlsError::of(error, peer, &expected))
            }
        }
    }

    fn current(&self) -> Option<Arc<Loaded>> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<Loaded>>> {
        // Whole at every moment, whoever panicked meanwhile.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Says the last word, and closes once the peer has had a moment to hear it.
async fn linger(mut io: TcpStream, word: &[u8]) {
    let ending = async {
        io.write_all(word).await?;
        io.shutdown().await?;
        let mut rest = (&mut io).take(LAST_BYTES);
        tokio::io::copy(&mut rest, &mut tokio::io::sink()).await
    };
    // The peer may be gone already; there is nobody to tell then.
    let _ = timeout(LAST_WORD, ending).await;
}
