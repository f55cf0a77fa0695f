//! One connection to PostgreSQL: where to, by which certificate, as whom.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
#[cfg(unix)]
use std::path::PathBuf;
use std::time::Duration;

use futures_util::future::poll_fn;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_postgres::config::{ChannelBinding, SslMode};
use tokio_postgres::{AsyncMessage, Client, Config, NoTls, Socket, Statement};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::super::engine::Fault;
use super::bounded::Bounded;
use super::fault;
use super::pool::Ahead;
use crate::model::Password;

/// How long a connection may take to be made.
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);

/// After how long without a word the other side is asked whether it is still there.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// Where the server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) enum Host {
    /// A name, whose certificate is checked; perhaps with the address to connect to.
    Name {
        host: String,
        port: u16,
        address: Option<IpAddr>,
    },
    /// A folder with the server's Unix socket.
    #[cfg(unix)]
    Socket { folder: PathBuf, port: u16 },
}

/// What a connection is made with, but for the password.
pub(in super::super) struct Target {
    pub(in super::super) host: Host,
    pub(in super::super) database: String,
    pub(in super::super) user: String,
    /// Whether a pooler stands between: it cannot bind the password to the channel.
    pub(in super::super) pooled: bool,
    /// `None` on a Unix socket.
    pub(in super::super) tls: Option<MakeRustlsConnect>,
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target")
            .field("host", &self.host)
            .field("database", &self.database)
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

impl Target {
    /// Whether a connection is one session of the database from its beginning to its end, in which
    /// statements and settings may be kept: no pooler can stand where the password is bound to the
    /// channel.
    pub(super) fn is_session(&self) -> bool {
        matches!(self.host, Host::Name { .. }) && !self.pooled
    }

    /// The name of it for people.
    pub(in super::super) fn place(&self) -> String {
        let database = &self.database;
        match &self.host {
            Host::Name { host, port, .. } => format!("postgresql://{host}:{port}/{database}"),
            #[cfg(unix)]
            Host::Socket { folder, port } => {
                format!("postgresql:{}:{port}/{database}", folder.display())
            }
        }
    }

    fn config(&self, password: Option<&Password>) -> Config {
        let mut config = Config::new();
        match &self.host {
            Host::Name {
                host,
                port,
                address,
            } => {
                config.host(host).port(*port).ssl_mode(SslMode::Require);
                if let Some(address) = address {
                    config.hostaddr(*address);
                }
                config.channel_binding(if self.pooled {
                    ChannelBinding::Prefer
                } else {
                    ChannelBinding::Require
                });
            }
            #[cfg(unix)]
            Host::Socket { folder, port } => {
                config
                    .host_path(folder)
                    .port(*port)
                    .ssl_mode(SslMode::Disable);
            }
        }
        config
            .user(&self.user)
            .dbname(&self.database)
            .application_name("portcullis")
            .connect_timeout(CONNECT_PATIENCE)
            .tcp_user_timeout(KEEPALIVE)
            .keepalives_idle(KEEPALIVE);
        if let Some(password) = password {
            config.password(password.expose());
        }
        config
    }

    /// Connects until `deadline`.
    pub(super) async fn connect(
        &self,
        password: Option<&Password>,
        deadline: Instant,
    ) -> Result<Connection, Fault> {
        let config = self.config(password);
        let deadline = deadline.min(Instant::now() + CONNECT_PATIENCE);
        let connecting = async {
            match &self.tls {
                Some(tls) => config
                    .connect(Bounded(tls.clone()))
                    .await
                    .map(|(client, connection)| Connection::new(client, connection, password)),
                None => config
                    .connect(NoTls)
                    .await
                    .map(|(client, connection)| Connection::new(client, connection, password)),
            }
        };
        match tokio::time::timeout_at(deadline, connecting).await {
            Ok(connected) => connected.map_err(|error| fault::of_connecting(&self.place(), &error)),
            Err(_) => Err(Fault::cut(format!(
                "cannot connect to {}: it did not answer in time",
                self.place()
            ))),
        }
    }
}

/// A connection. To drop it closes the socket, whatever the server is doing.
pub(super) struct Connection {
    pub(super) client: Client,
    driver: JoinHandle<()>,
    password: Option<Password>,
    pub(super) made: Instant,
    /// What was set for the session last.
    pub(super) session: String,
    /// The transaction that is open on it; `None`: none is.
    pub(super) ahead: Option<Ahead>,
    /// The statements of changes that the database has read already, by their text.
    pub(super) kept: HashMap<String, Statement>,
}

impl Connection {
    fn new<T>(
        client: Client,
        mut connection: tokio_postgres::Connection<Socket, T>,
        password: Option<&Password>,
    ) -> Self
    where
        T: tokio_postgres::tls::TlsStream + Unpin + Send + 'static,
    {
        // A notice of the server is dropped, and not logged: it may repeat values.
        let driver = tokio::spawn(async move {
            while let Some(Ok(message)) = poll_fn(|cx| connection.poll_message(cx)).await {
                if let AsyncMessage::Notice(_) = message {}
            }
        });
        Self {
            client,
            driver,
            password: password.cloned(),
            made: Instant::now(),
            session: String::new(),
            ahead: None,
            kept: HashMap::new(),
        }
    }

    /// Whether it was made with this password.
    pub(super) fn is_of(&self, password: Option<&Password>) -> bool {
        self.password.as_ref() == password
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}
