//! A server and a gateway in this process: the real fleet over its repository, the real agent with
//! its key store, and between them a real link. Only the connector is made for this: it answers
//! with what it was given.

use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use portcullis_common::crypto::suites::Suite;
use portcullis_common::id::{GatewayId, KeyKind, ServerId};
use portcullis_common::rotation::{EnrolmentToken, Registration, RunId};
use portcullis_common::stream::{ChannelLimits, HalfOpen, HalfOpenLimits};
use portcullis_gateway::config::{Config, ConnectorsConfig, Dial, JournalSettings, Limits, Watch};
use portcullis_gateway::connector::{Connector, Context, Found};
use portcullis_gateway::connectors::{Configured, Connectors};
use portcullis_gateway::guard::GuardRails;
use portcullis_gateway::key_store::{FileStore, KeyStore, KeyStoreError};
use portcullis_gateway::listener::agent::Agent;
use portcullis_gateway::listener::dial_in;
use portcullis_gateway::listener::keys::Keys;
use portcullis_gateway::listener::status::StatusBoard;
use portcullis_gateway::model::{
    Attribute, AttributeName, CallError, Cookie, Failure, Get, GuardDefaults, Identity, Object,
    ObjectClass, ObjectId, ObjectName, Roles, Schema, Search, Value, Verb,
};
use portcullis_host::clock;
use portcullis_host::log::Log;
use portcullis_proto::gateway::v1 as pb;
use portcullis_server::fleet::{Fleet, Settings};
use portcullis_server::keys::protection::Protection;
use portcullis_server::keys::{Keyring, authority, gateway_keys};
use portcullis_server::repository::{Database, Reach, Replaced, Repository};
use portcullis_tls::Side;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tokio::time::timeout;

use super::line::Items;
use crate::certificates::{Certificates, GATEWAY};
use crate::echo::{self, BULK_ITEM, OBJECT, PAYLOAD};

const CONNECTOR: &str = "echo";
/// Longer than enrolment and the handshake after it take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Calls that the gateway carries out at once: more than are in flight.
const CALLS: usize = 1024;

/// Why there is no server, or no gateway.
#[derive(Debug, thiserror::Error)]
#[error("cannot set up a server and a gateway: {0}")]
pub struct SiteError(#[from] Box<dyn std::error::Error + Send + Sync>);

/// Both, joined by one link. Clones share them.
#[derive(Clone)]
pub(super) struct Site {
    fleet: Fleet,
    gateway: AbortHandle,
    _folder: Arc<TempDir>,
}

impl Site {
    /// The gateway runs on `far`; with `tls` around the link where so said.
    pub(super) async fn new(suite: Suite, tls: bool, far: &Handle) -> Result<Self, SiteError> {
        Self::start(suite, tls, far).await.map_err(SiteError)
    }

    async fn start(
        suite: Suite,
        tls: bool,
        far: &Handle,
    ) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let folder = tempfile::tempdir()?;
        let repository = repository(folder.path()).await?;
        let mut config = portcullis_server::config::Config::default();
        config.channel.suites = vec![suite];
        let settings = Settings::new(ServerId::random(&mut rand::rng()), &config);
        let certificates = tls.then(Certificates::new).transpose()?;
        if let Some(certificates) = &certificates {
            certificates.load(&settings.tls, Side::Server)?;
        }
        let fleet = Fleet::new(repository.clone(), settings);
        fleet.start(None).await?;

        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let token = EnrolmentToken::random(
            GatewayId::random(&mut rand::rng()),
            KeyKind::Tdes,
            &mut rand::rng(),
        );
        let now = clock::now();
        let registration = Registration::new(&token, now.plus(3_600_000), None);
        let reach = Reach::Address(listener.local_addr()?.to_string());
        let gateways = repository.gateways();
        gateways.add(GATEWAY, reach, &registration, now).await?;
        let agent = agent(&folder.path().join("gateway"), suite, &token)?;
        if let Some(certificates) = &certificates {
            certificates.load(&agent.tls, Side::Gateway)?;
        }
        let half_open = HalfOpen::new(HalfOpenLimits::GATEWAY);
        let listener = {
            // Its runtime is the one that it is made in.
            let _far = far.enter();
            TcpListener::from_std(listener)?
        };
        let gateway =
            far.spawn(async move { dial_in::listen(&agent, &listener, &half_open).await });
        let site = Self {
            fleet,
            gateway: gateway.abort_handle(),
            _folder: Arc::new(folder),
        };
        site.fleet.wake(GATEWAY);
        timeout(PATIENCE, site.connected(&repository)).await??;
        Ok(site)
    }

    /// Waits for a link under the gateway key, after that under the token.
    async fn connected(
        &self,
        repository: &Repository,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let current = repository.gateway_keys().current().await?;
        loop {
            let changed = self.fleet.changed();
            let status = self.fleet.status(GATEWAY);
            if status.is_some_and(|link| Some(link.session.key_id) == current) {
                return Ok(());
            }
            changed.await;
        }
    }

    pub(super) async fn call(&self, call_id: String, payload: &str) -> Result<pb::Outcome, String> {
        let call = echo::call(call_id, CONNECTOR, payload);
        let outcome = self.fleet.execute(GATEWAY, call).await;
        outcome.map_err(|error| error.to_string())
    }

    pub(super) async fn search(&self) -> Result<Items, String> {
        let search = pb::Search {
            object_class: pb::ObjectClass::Account.into(),
            page_size: u32::MAX,
            ..pb::Search::default()
        };
        let call = pb::Call {
            call_id: format!("search.{:016x}", rand::random::<u64>()),
            connector: CONNECTOR.to_owned(),
            verb: Some(pb::call::Verb::Search(search)),
            ..pb::Call::default()
        };
        let items = self.fleet.search(GATEWAY, call).await;
        let items = items.map_err(|error| error.to_string())?;
        Ok(items.map(Ok).boxed())
    }

    pub(super) async fn close(self) {
        self.fleet.stop().await;
        self.gateway.abort();
    }
}

async fn repository(folder: &Path) -> Result<Repository, Box<dyn std::error::Error + Send + Sync>> {
    let now = clock::now();
    let database = Database::create(&folder.join("server.db")).await?;
    let keyring = Keyring::create(&database, &Protection::random(), now).await?;
    let repository = Repository::new(database, Arc::new(keyring));
    authority::create(&repository).await?;
    let key = gateway_keys::generate(KeyKind::Tdes, now);
    repository
        .gateway_keys()
        .rotate(key, None, Replaced::Retired)
        .await??;
    Ok(repository)
}

fn agent(folder: &Path, suite: Suite, token: &EnrolmentToken) -> Result<Arc<Agent>, KeyStoreError> {
    let config = Config {
        instance: "default".to_owned(),
        state_dir: folder.to_owned(),
        dial: Dial::Listen((Ipv4Addr::LOCALHOST, 0).into()),
        tls: None,
        key_store: None,
        suites: vec![suite],
        channel: ChannelLimits::default(),
        limits: Limits {
            calls: CALLS,
            ..Limits::default()
        },
        journal: JournalSettings::default(),
        workers: None,
        watch: Watch::default(),
        log: Log::default(),
        traces: Default::default(),
        log_for_server: true,
        source: None,
        connectors: ConnectorsConfig::default(),
    };
    let store: Arc<dyn KeyStore> = Arc::new(FileStore::new(folder));
    store.update_or_create(|record| {
        let enrolled = record.enrol(token, true, &mut rand::rng());
        Ok::<_, KeyStoreError>((enrolled.unwrap_or(record), ()))
    })?;
    let record = store.load()?;
    let keys = Keys::new(store, RunId::random(&mut rand::rng()), &record);
    let configured = Configured {
        connector: Arc::new(EchoConnector),
        guard_rails: Arc::new(GuardRails::defaults(CONNECTOR, &GuardDefaults::NOTHING)),
    };
    let connectors = Connectors::default().with(CONNECTOR, configured);
    let board = StatusBoard::new(false, String::new());
    let agent = Agent::new(&config, &connectors, keys, board, "echo".to_owned());
    Ok(Arc::new(agent))
}

/// Answers a get with an object that holds the call's payload, and a search with as many objects as
/// may be.
#[derive(Debug)]
struct EchoConnector;

#[tonic::async_trait]
impl Connector for EchoConnector {
    fn kind(&self) -> &'static str {
        "echo"
    }

    fn verbs(&self, _: ObjectClass) -> Vec<Verb> {
        vec![Verb::Get, Verb::Search]
    }

    fn settings(&self) -> Vec<String> {
        echo::settings().collect()
    }

    fn roles(&self) -> Roles<'_> {
        Roles::NONE
    }

    async fn test(&self, _: &Context) -> Result<String, CallError> {
        Ok("ready".to_owned())
    }

    async fn schema(&self, _: &Context) -> Result<Schema, CallError> {
        Ok(Schema::default())
    }

    async fn get(&self, cx: &Context, _: &Get) -> Result<Object, CallError> {
        // In the order of their names, which is that of the parts.
        let payload: String = cx.settings.values().map(String::as_str).collect();
        object(vec![Value::Binary(payload.into_bytes())])
    }

    async fn search(
        &self,
        _: &Context,
        search: &Search,
        found: &mut Found,
    ) -> Result<Cookie, CallError> {
        let object = object(vec![Value::Binary(vec![0x5a; BULK_ITEM])])?;
        for _ in 0..search.page_size.unwrap_or(0) {
            found.push(object.clone()).await?;
        }
        Ok(Cookie::default())
    }
}

fn object(values: Vec<Value>) -> Result<Object, CallError> {
    let invalid = |error: &dyn std::fmt::Display| Failure::internal(error.to_string());
    Ok(Object {
        identity: Identity {
            class: ObjectClass::Account,
            id: ObjectId::new("1").map_err(|error| invalid(&error))?,
            name: ObjectName::new(OBJECT).map_err(|error| invalid(&error))?,
        },
        enabled: None,
        attributes: vec![Attribute {
            name: AttributeName::new(PAYLOAD).map_err(|error| invalid(&error))?,
            values,
        }],
    })
}
