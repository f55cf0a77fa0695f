//! The gate against a repository that somebody else changes meanwhile.

use std::task::Waker;
use std::time::Duration;

use portcullis_common::crypto::suites::Suite;
use portcullis_common::handshake::{InitiatorConfig, ResponderConfig};
use portcullis_common::id::{KeyKind, ServerId};
use portcullis_common::rotation::{EnrolmentToken, HeldKey, Identity, Registration, UnixMillis};
use portcullis_common::stream::{self, ChannelLimits, SealedStream};
use portcullis_host::clock;
use tempfile::TempDir;
use tokio::io::DuplexStream;
use tokio::time::timeout;

use super::*;
use crate::keys::protection::Protection;
use crate::keys::{Keyring, authority, gateway_keys};
use crate::repository::{AlarmKind, Database, NewAlarm, Reach, Replaced, on_postgres};

const GATEWAY: &str = "host1";
/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// A repository with an enrolled gateway, and a session with it.
struct Site {
    repository: Repository,
    credentials: Credentials,
    protection: Protection,
    _folder: TempDir,
    _ends: [SealedStream<DuplexStream>; 2],
}

impl Site {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::create(&folder.path().join("test.db")).await;
        let (database, protection) = (database.unwrap(), Protection::random());
        let keyring = Keyring::create(&database, &protection, clock::now()).await;
        let repository = Repository::new(database, Arc::new(keyring.unwrap()));
        authority::create(&repository).await.unwrap();
        let mut rng = rand::rng();
        let token = EnrolmentToken::random(GatewayId::random(&mut rng), KeyKind::Tdes, &mut rng);
        let registration = Registration::new(&token, UnixMillis(u64::MAX), None);
        let gateways = repository.gateways();
        let added = gateways.add(GATEWAY, Reach::DialOut, &registration, clock::now());
        added.await.unwrap();
        let (server, gateway) = session(&token).await;
        let mut site = Self {
            credentials: Credentials {
                gateway_id: token.gateway_id(),
                scope: Scope::Full,
                key: token.key_id(),
                session: Arc::clone(server.session()),
            },
            repository,
            protection,
            _folder: folder,
            _ends: [server, gateway],
        };
        site.credentials.key = site.rotate().await;
        site
    }

    fn gate(&self) -> Gate {
        Gate::new(self.repository.clone(), self.credentials.clone())
    }

    /// A new gateway key, which the gateway proves at once.
    async fn rotate(&self) -> KeyId {
        let new = gateway_keys::generate(KeyKind::Tdes, clock::now());
        let id = new.id;
        let keys = self.repository.gateway_keys();
        let rotated = keys.rotate(new, None, Replaced::Retired).await;
        rotated.unwrap().unwrap();
        self.change(move |registration| registration.last_proved = Some(id))
            .await;
        id
    }

    async fn change(&self, change: impl Fn(&mut Registration) + Send + 'static) {
        let gateways = self.repository.gateways();
        let changed = gateways.update(GATEWAY, move |registration, _| change(registration));
        changed.await.unwrap();
    }

    /// Commits something that changes nothing for the gateway.
    async fn commit(&self) {
        let gateways = self.repository.gateways();
        let alarm = NewAlarm {
            kind: AlarmKind::TwoHosts,
            alike: String::new(),
            text: "two hosts".to_owned(),
        };
        let raised = gateways.raise_alarm(GATEWAY, alarm, clock::now());
        raised.await.unwrap();
    }

    /// A second handle on the same file, as another server has it.
    async fn another(&self) -> Repository {
        let database = Database::open(self.repository.database().path()).await;
        let database = database.unwrap();
        let keyring = Keyring::unlock(&database, &self.protection).await;
        let repository = Repository::new(database, Arc::new(keyring.unwrap()));
        repository.open_authority().await.unwrap();
        repository
    }

    /// Keeps the repository from reading, until the answer is dropped.
    fn stop_reading(&self) -> impl Sized + use<> {
        self.repository.database().stop_reading()
    }

    /// Waits until everything that was to be read before is read.
    fn read_to_the_end(&self) {
        drop(self.stop_reading());
    }
}

/// The server's and the gateway's end of a session under the key of a token.
async fn session(
    token: &EnrolmentToken,
) -> (SealedStream<DuplexStream>, SealedStream<DuplexStream>) {
    let keys = vec![HeldKey {
        id: token.key_id(),
        key: token.key().clone(),
    }];
    let initiator = InitiatorConfig {
        server_id: ServerId::random(&mut rand::rng()),
        suites: Suite::ALL.to_vec(),
        gateway_id: token.gateway_id(),
        keys: keys.clone(),
        pairing: None,
    };
    let responder = ResponderConfig {
        suites: Suite::ALL.to_vec(),
        identity: Identity::Keyed {
            gateway_id: token.gateway_id(),
            keys,
        },
    };
    let (near, far) = tokio::io::duplex(1 << 16);
    let limits = ChannelLimits::default();
    let (server, gateway) = tokio::join!(
        stream::connect(near, None, initiator, &limits),
        stream::accept(far, None, responder, &limits, |_| async { Ok(()) }),
    );
    (server.unwrap(), gateway.unwrap())
}

async fn ask(gate: &mut Gate, last: u64) -> Verdict {
    let asking = std::future::poll_fn(|cx| gate.poll(last, cx));
    timeout(PATIENCE, asking).await.unwrap()
}

/// The answer that needs no waiting.
fn at_once(gate: &mut Gate, last: u64) -> Poll<Verdict> {
    gate.poll(last, &mut Context::from_waker(Waker::noop()))
}

#[tokio::test]
async fn it_opens_when_the_repository_has_said_so_and_then_stays_open() {
    let site = Site::new().await;
    let mut gate = site.gate();
    let reading = site.stop_reading();
    assert_eq!(at_once(&mut gate, 1), Poll::Pending);
    drop(reading);
    assert_eq!(ask(&mut gate, 1).await, Verdict::UpTo(1));
    // Nothing was committed since: nothing has to be read again.
    let _reading = site.stop_reading();
    for last in [1, 2, 9] {
        assert_eq!(at_once(&mut gate, last), Poll::Ready(Verdict::UpTo(last)));
    }
}

#[tokio::test]
async fn it_looks_anew_after_every_commit_of_whichever_server() {
    let site = Site::new().await;
    let other = site.another().await;
    let mut gate = site.gate();
    assert_eq!(ask(&mut gate, 1).await, Verdict::UpTo(1));
    site.commit().await;
    let reading = site.stop_reading();
    assert_eq!(at_once(&mut gate, 2), Poll::Pending);
    drop(reading);
    assert_eq!(ask(&mut gate, 2).await, Verdict::UpTo(2));

    let gateways = other.gateways();
    let revoked = gateways.update(GATEWAY, |registration, _| registration.revoke());
    revoked.await.unwrap();
    assert_eq!(ask(&mut gate, 3).await, Verdict::None);
    // A refusal is not kept.
    let reading = site.stop_reading();
    assert_eq!(at_once(&mut gate, 3), Poll::Pending);
    drop(reading);
    assert_eq!(ask(&mut gate, 3).await, Verdict::None);
}

#[tokio::test]
async fn a_commit_that_lands_before_the_look_reads_is_heeded() {
    let site = Site::new().await;
    let mut gate = site.gate();
    let reading = site.stop_reading();
    assert_eq!(at_once(&mut gate, 1), Poll::Pending);
    site.change(Registration::revoke).await;
    drop(reading);
    assert_eq!(ask(&mut gate, 1).await, Verdict::None);
}

#[tokio::test]
async fn what_a_look_found_holds_for_no_later_call_and_no_later_commit() {
    let site = Site::new().await;
    let mut gate = site.gate();
    let reading = site.stop_reading();
    assert_eq!(at_once(&mut gate, 5), Poll::Pending);
    drop(reading);
    site.read_to_the_end();
    // It has read; the gateway is revoked, and two more calls are submitted, before anybody hears
    // of it.
    site.change(Registration::revoke).await;
    assert_eq!(ask(&mut gate, 7).await, Verdict::UpTo(5));
    assert_eq!(ask(&mut gate, 7).await, Verdict::None);
}

#[tokio::test]
async fn what_a_look_found_before_another_server_withdrew_something_lets_nothing_through() {
    if !on_postgres() {
        return;
    }
    let site = Site::new().await;
    let other = site.another().await;
    let mut gate = site.gate();
    let reading = site.stop_reading();
    assert_eq!(at_once(&mut gate, 5), Poll::Pending);
    drop(reading);
    site.read_to_the_end();
    let gateways = other.gateways();
    let revoked = gateways.update(GATEWAY, |registration, _| registration.revoke());
    revoked.await.unwrap();
    // From here on this server says that it has seen that.
    site.repository.database().changed_elsewhere();
    assert_eq!(ask(&mut gate, 5).await, Verdict::None);
}

#[tokio::test]
async fn commits_without_end_hold_up_no_call() {
    let site = Site::new().await;
    let mut gate = site.gate();
    for last in 1..=50 {
        site.commit().await;
        let reading = site.stop_reading();
        assert_eq!(at_once(&mut gate, last), Poll::Pending);
        // Another one while it looks.
        site.commit().await;
        drop(reading);
        assert_eq!(ask(&mut gate, last).await, Verdict::UpTo(last));
    }
}

#[tokio::test]
async fn it_closes_for_whoever_may_not_call() {
    type Change = fn(&mut Registration);
    let changes: [(&str, Change, MayCall); 3] = [
        ("revoked", Registration::revoke, MayCall::No(REVOKED)),
        ("evicted", Registration::evict, MayCall::No(EVICTED)),
        (
            "not proved",
            |registration| registration.last_proved = None,
            MayCall::ThroughSuccessor,
        ),
    ];
    for (what, change, expected) in changes {
        let site = Site::new().await;
        let mut gate = site.gate();
        assert_eq!(ask(&mut gate, 1).await, Verdict::UpTo(1), "{what}");
        site.change(change).await;
        assert_eq!(ask(&mut gate, 2).await, Verdict::None, "{what}");
        let looked = site.credentials.look(&site.repository).await;
        assert_eq!(looked.unwrap(), expected, "{what}");
    }
}

#[tokio::test]
async fn it_closes_for_a_session_that_is_over() {
    let site = Site::new().await;
    let mut gate = site.gate();
    assert_eq!(ask(&mut gate, 1).await, Verdict::UpTo(1));

    // Another server proved a newer key.
    let newer = site.rotate().await;
    assert_eq!(ask(&mut gate, 2).await, Verdict::None);
    let looked = site.credentials.look(&site.repository).await;
    assert_eq!(looked.unwrap(), MayCall::ThroughSuccessor);

    let successor = Credentials {
        key: newer,
        ..site.credentials.clone()
    };
    let mut gate = Gate::new(site.repository.clone(), successor.clone());
    assert_eq!(ask(&mut gate, 1).await, Verdict::UpTo(1));
    site.credentials.session.close();
    let looked = successor.look(&site.repository).await;
    assert_eq!(looked.unwrap(), MayCall::ThroughSuccessor);
}

#[tokio::test]
async fn it_closes_for_a_session_that_may_only_enrol_and_for_another_registration() {
    let site = Site::new().await;
    let enrolling = Credentials {
        scope: Scope::Enrolment,
        ..site.credentials.clone()
    };
    let mut gate = Gate::new(site.repository.clone(), enrolling);
    assert_eq!(ask(&mut gate, 1).await, Verdict::None);

    let mut gate = site.gate();
    assert_eq!(ask(&mut gate, 1).await, Verdict::UpTo(1));
    let mut rng = rand::rng();
    let token = EnrolmentToken::random(GatewayId::random(&mut rng), KeyKind::Tdes, &mut rng);
    let anew = Registration::new(&token, UnixMillis(u64::MAX), None);
    site.change(move |registration| registration.clone_from(&anew))
        .await;
    assert_eq!(ask(&mut gate, 2).await, Verdict::None);
    let looked = site.credentials.look(&site.repository).await.unwrap();
    assert!(matches!(looked, MayCall::No(reason) if reason.contains("anew")));
}

#[tokio::test]
async fn it_closes_where_the_repository_cannot_be_asked() {
    let site = Site::new().await;
    let mut gate = site.gate();
    assert_eq!(ask(&mut gate, 1).await, Verdict::UpTo(1));
    site.repository.database().close().await;
    assert_eq!(ask(&mut gate, 2).await, Verdict::None);
    let looked = site.credentials.look(&site.repository).await;
    assert!(matches!(looked, Err(RepositoryError::Closed)), "{looked:?}");
}
