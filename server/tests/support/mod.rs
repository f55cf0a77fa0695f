//! A server's fleet over a repository in a temporary folder, and a gateway in this very process.

pub(crate) mod gateway;
pub(crate) mod proxy;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use portcullis_common::id::{GatewayId, KeyId, KeyKind};
use portcullis_common::rotation::{EnrolmentToken, Registration};
use portcullis_host::clock;
use portcullis_proto::gateway::v1::{Call, Test, call};
use portcullis_server::audit::AuditLog;
use portcullis_server::config::Config;
use portcullis_server::fleet::{
    Fleet, Progress, ProgressStream, Push, Renewals, Rotation, Settings, Siblings,
};
use portcullis_server::repository::{Reach, Repository};
use portcullis_server::serve::Unlocked;
use portcullis_server::serve::init::{self, InitProtection};
use portcullis_server::services::Services;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_stream::StreamExt;

/// Longer than anything here takes: what takes so long does not come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A server that runs, but for its queue of calls.
pub(crate) struct Server {
    pub(crate) services: Services,
    pub(crate) repository: Repository,
    pub(crate) fleet: Fleet,
    pub(crate) dial_out: SocketAddr,
    _folder: TempDir,
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| ()).await
    }

    pub(crate) async fn start_with(adjust: impl FnOnce(&mut Config)) -> Self {
        Self::start_as(adjust, |_| ()).await
    }

    /// One that shares its repository, and is seen alive by these.
    pub(crate) async fn start_sharing(renewals: Arc<dyn Renewals>) -> Self {
        let shared = |settings: &mut Settings| settings.renewals = Some(renewals);
        Self::start_as(|_| (), shared).await
    }

    /// One that shares its repository with these.
    pub(crate) async fn start_among(siblings: Arc<dyn Siblings>) -> Self {
        let shared = |settings: &mut Settings| settings.siblings = Some(siblings);
        Self::start_as(|_| (), shared).await
    }

    async fn start_as(
        adjust: impl FnOnce(&mut Config),
        settle: impl FnOnce(&mut Settings),
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let text = format!(
            "data_dir = {:?}\n[links]\nbackoff_min = \"100ms\"\nbackoff_max = \"200ms\"\n",
            folder.path().join("data")
        );
        let mut config = Config::parse(&text, "test.toml".as_ref()).unwrap();
        adjust(&mut config);
        // Without a secret: to derive a key from it takes time.
        let made = init::init_protected(&config, InitProtection::Default).await;
        made.unwrap();
        let Unlocked {
            server_id,
            repository,
            keys,
            ..
        } = Unlocked::open(&config).await.unwrap();
        let audit = AuditLog::open(&repository, server_id, &config.audit).await;
        let mut settings = Settings::new(server_id, &config);
        settle(&mut settings);
        let fleet = Fleet::new(repository.clone(), settings);
        let services = Services::new(
            &config,
            server_id,
            repository.clone(),
            keys,
            audit.unwrap(),
            fleet.clone(),
        );
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let dial_out = listener.local_addr().unwrap();
        fleet.start(Some(listener)).await.unwrap();
        Self {
            services,
            repository,
            fleet,
            dial_out,
            _folder: folder,
        }
    }

    /// Registers a gateway, and gives its token.
    pub(crate) async fn add(&self, name: &str, reach: Reach, pairing: bool) -> EnrolmentToken {
        let now = clock::now();
        let mut rng = rand::rng();
        let token = EnrolmentToken::random(GatewayId::random(&mut rng), KeyKind::Tdes, &mut rng);
        let until = now.plus(3_600_000);
        let registration = Registration::new(&token, until, pairing.then_some(until));
        self.repository
            .gateways()
            .add(name, reach, &registration, now)
            .await
            .unwrap();
        self.fleet.wake(name);
        token
    }

    /// Registers a gateway at an address where nothing listens yet.
    pub(crate) async fn add_at_free_port(&self, name: &str) -> (SocketAddr, EnrolmentToken) {
        // At an address of its own: a port of the one that all share may be another test's by the
        // time it is bound again.
        static NEXT: AtomicU8 = AtomicU8::new(1);
        let host = Ipv4Addr::new(127, 1, 1, NEXT.fetch_add(1, Ordering::Relaxed));
        let reserved = TcpListener::bind((host, 0)).await.unwrap();
        let address = reserved.local_addr().unwrap();
        drop(reserved);
        let reach = Reach::Address(address.to_string());
        (address, self.add(name, reach, false).await)
    }

    pub(crate) async fn current_key(&self) -> KeyId {
        let current = self.repository.gateway_keys().current().await;
        current.unwrap().unwrap()
    }

    /// Makes a new gateway key and pushes it to the end: the last report.
    pub(crate) async fn rotate(&self, rotation: Rotation) -> Progress {
        self.fleet.rotate(rotation).await.unwrap();
        self.synchronize(Push::default()).await
    }

    /// Pushes the current key to the end: the last report.
    pub(crate) async fn synchronize(&self, push: Push) -> Progress {
        last(self.fleet.synchronize(push, PATIENCE).await.unwrap()).await
    }

    /// Waits for a live link under the current key.
    pub(crate) async fn until_connected(&self, name: &str) {
        let current = self.current_key().await;
        self.until(&format!("{name} to connect under {current}"), || {
            let status = self.fleet.status(name);
            std::future::ready(status.is_some_and(|link| link.session.key_id == current))
        })
        .await;
    }

    /// The session of the live link, which may be just being replaced.
    pub(crate) async fn session_id(&self, name: &str) -> [u8; 8] {
        loop {
            let changed = self.fleet.changed();
            if let Some(link) = self.fleet.status(name) {
                return link.session.session_id;
            }
            timeout(PATIENCE, changed).await.unwrap();
        }
    }

    /// Waits for something that a change of a link brings about.
    pub(crate) async fn until<F: Future<Output = bool>>(&self, what: &str, holds: impl Fn() -> F) {
        let wait = async {
            loop {
                let changed = self.fleet.changed();
                if holds().await {
                    return;
                }
                // What is stored beside a link changes without notice.
                let _ = timeout(Duration::from_millis(50), changed).await;
            }
        };
        if timeout(PATIENCE, wait).await.is_err() {
            let rows = self.repository.gateways().list().await.unwrap();
            panic!("waited in vain for {what}: {rows:#?}");
        }
    }
}

/// The last report of a push, with the last word on every gateway.
pub(crate) async fn last(mut progress: ProgressStream) -> Progress {
    let wait = async {
        let mut results = BTreeMap::new();
        loop {
            let mut report = progress.next().await.unwrap().unwrap();
            for result in report.results.drain(..) {
                results.insert(result.gateway.clone(), result);
            }
            if report.last {
                report.results = results.into_values().collect();
                return report;
            }
        }
    };
    timeout(PATIENCE, wait).await.unwrap()
}

/// A call of the verb `test`; the connector's name tells the gateway what to do with it.
pub(crate) fn call(id: &str, connector: &str) -> Call {
    Call {
        call_id: id.to_owned(),
        connector: connector.to_owned(),
        verb: Some(call::Verb::Test(Test {})),
        ..Call::default()
    }
}
