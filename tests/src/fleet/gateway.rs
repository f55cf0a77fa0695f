//! One simulated gateway: its folder, whom it dials or where it listens, and the life of its agent.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use portcullis_common::crypto::suites::Suite;
use portcullis_common::rotation::{EnrolmentToken, GatewayRecord, RunId};
use portcullis_common::stream::{ChannelLimits, HalfOpen, HalfOpenLimits, WhenFull};
use portcullis_gateway::config::{Config, ConnectorsConfig, Dial, JournalSettings, Limits, Watch};
use portcullis_gateway::key_store::{KeyStore, KeyStoreError};
use portcullis_gateway::listener::agent::Agent;
use portcullis_gateway::listener::keys::Keys;
use portcullis_gateway::listener::status::StatusBoard;
use portcullis_gateway::listener::{dial_in, dial_out};
use portcullis_host::log::Log;
use tokio::net::TcpListener;

use super::echo;
use super::store::{Fuse, Held, WatchedStore};

/// After its address was still held by the run before.
const BIND_PAUSE: Duration = Duration::from_millis(20);

/// What of a gateway outlives its host.
#[derive(Debug)]
pub struct SimulatedGateway {
    /// The name that it is registered with.
    pub name: String,
    /// Who dials.
    pub dial: Dial,
    folder: PathBuf,
    history: Arc<Mutex<Vec<Held>>>,
    fuse: Mutex<Option<Arc<Fuse>>>,
}

impl SimulatedGateway {
    /// One that was never started, with its keys in `folder`.
    pub fn new(name: String, dial: Dial, folder: PathBuf) -> Self {
        Self {
            name,
            dial,
            folder,
            history: Arc::default(),
            fuse: Mutex::default(),
        }
    }

    /// Takes a token, as `portcullis-gateway enroll` does.
    ///
    /// # Errors
    /// [`KeyStoreError`].
    pub fn enroll(&self, token: &EnrolmentToken) -> Result<(), KeyStoreError> {
        let store: &dyn KeyStore = &self.store();
        store.update_or_create(|record| {
            let enrolled = record.enrol(token, true, &mut rand::rng());
            Ok((enrolled.unwrap_or(record), ()))
        })
    }

    /// Has its host die at a moment of its next rotation.
    pub fn arm(&self, fuse: Option<Arc<Fuse>>) {
        *self.fuse.lock().unwrap_or_else(PoisonError::into_inner) = fuse;
    }

    /// The record as it lies in the folder.
    ///
    /// # Errors
    /// [`KeyStoreError`].
    pub fn record(&self) -> Result<GatewayRecord, KeyStoreError> {
        let store: &dyn KeyStore = &self.store();
        store.load()
    }

    /// Every record that it stored, oldest first.
    pub fn history(&self) -> Vec<Held> {
        self.history
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Runs its agent for as long as the host lives.
    pub(super) async fn run(self: Arc<Self>) {
        if let Err(error) = self.live().await {
            eprintln!("simulated gateway {}: {error}", self.name);
        }
    }

    async fn live(&self) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let store: Arc<dyn KeyStore> = Arc::new(self.store());
        let record = store.load()?;
        let keys = Keys::new(store, RunId::random(&mut rand::rng()), &record);
        let config = self.config();
        let board = StatusBoard::new(matches!(self.dial, Dial::Out { .. }), String::new());
        let agent = Agent::new(&config, &echo::connectors(), keys, board, self.name.clone());
        let agent = Arc::new(agent);
        match &self.dial {
            Dial::Out {
                server,
                others,
                name,
                proxy,
            } => {
                let target = dial_out::Target {
                    server: server.clone(),
                    others: others.clone(),
                    name: name.clone(),
                    proxy: proxy.clone(),
                };
                dial_out::dial(&agent, &target).await;
            }
            Dial::Listen(address) => {
                let listener = bind(*address).await?;
                let half_open = HalfOpen::new(HalfOpenLimits {
                    total: config.limits.half_open,
                    per_address: config.limits.half_open_per_address,
                    lifetime: config.channel.handshake,
                    when_full: WhenFull::DropOne,
                });
                dial_in::listen(&agent, &listener, &half_open).await;
            }
        }
        Ok(())
    }

    fn store(&self) -> WatchedStore {
        let fuse = self.fuse.lock().unwrap_or_else(PoisonError::into_inner);
        WatchedStore::new(&self.folder, Arc::clone(&self.history), fuse.clone())
    }

    fn config(&self) -> Config {
        Config {
            instance: "default".to_owned(),
            state_dir: self.folder.clone(),
            dial: self.dial.clone(),
            tls: None,
            key_store: None,
            suites: Suite::ALL.to_vec(),
            channel: ChannelLimits::default(),
            limits: Limits::default(),
            journal: JournalSettings::default(),
            workers: None,
            watch: Watch::default(),
            log: Log::default(),
            traces: Default::default(),
            log_for_server: true,
            source: None,
            connectors: ConnectorsConfig::default(),
        }
    }
}

async fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    for _ in 0..500 {
        match TcpListener::bind(address).await {
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
                tokio::time::sleep(BIND_PAUSE).await;
            }
            bound => return bound,
        }
    }
    TcpListener::bind(address).await
}
