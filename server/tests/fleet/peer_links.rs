//! Two servers over real connections, one of which may stall, flood, or be gone.

use std::future::pending;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use futures_util::{StreamExt as _, stream};
use portcullis_common::handshake::Preamble;
use portcullis_common::id::{GatewayId, PeerId};
use portcullis_common::stream::ChannelLimits;
use portcullis_common::wire::ALERT;
use portcullis_proto::grpc::{Bytes, Replies};
use portcullis_proto::peer::v1::Subject;
use portcullis_server::peers::{
    Answered, Answers, ForwardError, Forwarded, Other, Peers, Servers, Settings,
};
use portcullis_server::repository::RepositoryError;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use tonic::Status;
use zeroize::Zeroizing;

use crate::support::{PATIENCE, Server as Fixture};

/// What all servers of one repository know.
#[derive(Debug, Default)]
struct Rows(Mutex<Vec<Other>>);

#[derive(Debug)]
struct Known {
    own: PeerId,
    rows: Arc<Rows>,
}

impl Servers for Known {
    fn own(&self) -> PeerId {
        self.own
    }

    fn others(&self) -> BoxFuture<'_, Result<Vec<Other>, RepositoryError>> {
        let mut others = lock(&self.rows.0).clone();
        others.retain(|other| other.instance != self.own);
        Box::pin(std::future::ready(Ok(others)))
    }

    fn holder<'a>(
        &'a self,
        gateway: &'a str,
    ) -> BoxFuture<'a, Result<Option<PeerId>, RepositoryError>> {
        let rows = lock(&self.rows.0);
        let holder = rows.iter().find(|row| row.name == gateway);
        Box::pin(std::future::ready(Ok(holder.map(|row| row.instance))))
    }
}

/// Answers by what the method is.
#[derive(Default)]
struct Echo {
    asked: Mutex<Vec<Forwarded>>,
    /// Of answers without an end: those that were dropped.
    dropped: Arc<AtomicUsize>,
    woken: Arc<Notify>,
}

/// Tells that it was dropped.
struct Told(Arc<AtomicUsize>, Arc<Notify>);

impl Drop for Told {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
        self.1.notify_one();
    }
}

impl Answers for Echo {
    fn answer(&self, forwarded: Forwarded) -> BoxFuture<'static, Result<Replies<Bytes>, Status>> {
        let message = Bytes::copy_from_slice(&forwarded.message);
        let method = forwarded.method.clone();
        lock(&self.asked).push(forwarded);
        let told = Told(Arc::clone(&self.dropped), Arc::clone(&self.woken));
        Box::pin(async move {
            let first = Ok(message.clone());
            let answers: Replies<Bytes> = match &*method {
                "One" => Box::pin(stream::iter([first])),
                "Many" => Box::pin(stream::iter(
                    (0..1_000_u32).map(|n| Ok(Bytes::copy_from_slice(&n.to_be_bytes()))),
                )),
                "Refuse" => {
                    let mut status = Status::permission_denied("not you");
                    let kind = "permission-denied".parse().unwrap();
                    status.metadata_mut().insert("portcullis-kind", kind);
                    return Err(status);
                }
                "First" => Box::pin(stream::iter([first]).chain(stream::once(async move {
                    let _told = told;
                    pending().await
                }))),
                "Flood" => Box::pin(stream::repeat_with(move || {
                    let _told = &told;
                    Ok(Bytes::from(vec![7; 1 << 20]))
                })),
                _ => {
                    let _told = told;
                    pending().await
                }
            };
            Ok(answers)
        })
    }
}

/// A repository, and its servers.
struct Site {
    fixture: Fixture,
    rows: Arc<Rows>,
}

impl Site {
    async fn new() -> Self {
        Self {
            fixture: Fixture::start().await,
            rows: Arc::default(),
        }
    }

    /// One that asks, and is awaited nowhere.
    fn silent(&self, name: &str) -> (PeerId, Peers) {
        let own = PeerId::random(&mut rand::rng());
        self.add(own, name, String::new());
        (own, self.peers(own, &self.rows, Duration::from_secs(3600)))
    }

    fn peers(&self, own: PeerId, rows: &Arc<Rows>, max_age: Duration) -> Peers {
        let known = Known {
            own,
            rows: Arc::clone(rows),
        };
        let settings = Settings {
            server_id: self.fixture.services.server_id,
            limits: ChannelLimits {
                handshake: Duration::from_secs(2),
                ..ChannelLimits::default()
            },
            backoff_min: Duration::from_secs(30),
            backoff_max: Duration::from_secs(60),
            keep_alive: Duration::from_secs(1),
            max_age,
        };
        let repository = self.fixture.repository.clone();
        Peers::new(repository, Arc::new(known), settings)
    }

    async fn server(&self, name: &str) -> Server {
        let (own, peers) = self.silent(name);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        self.at(own, &address.to_string());
        let echo = Arc::new(Echo::default());
        peers.start(listener, Arc::<Echo>::clone(&echo));
        Server {
            own,
            peers,
            address,
            echo,
        }
    }

    fn add(&self, instance: PeerId, name: &str, address: String) {
        let name = name.to_owned();
        lock(&self.rows.0).push(Other {
            instance,
            name,
            address,
        });
    }

    fn at(&self, instance: PeerId, address: &str) {
        let mut rows = lock(&self.rows.0);
        let rows = rows.iter_mut().filter(|row| row.instance == instance);
        rows.for_each(|row| row.address = address.to_owned());
    }

    fn remove(&self, instance: PeerId) {
        lock(&self.rows.0).retain(|row| row.instance != instance);
    }
}

struct Server {
    own: PeerId,
    peers: Peers,
    address: SocketAddr,
    echo: Arc<Echo>,
}

impl Server {
    fn links(&self) -> usize {
        self.peers.incoming()
    }
}

fn request(method: &str) -> Forwarded {
    Forwarded {
        method: method.to_owned(),
        subject: Subject {
            name: "alice (1001)".to_owned(),
            uid: Some(1001),
        },
        message: Zeroizing::new(b"a password".to_vec()),
        traceparent: String::new(),
    }
}

async fn ask(peers: &Peers, to: PeerId, method: &str) -> Result<Answered, ForwardError> {
    let asked = peers.forward(to, request(method));
    timeout(PATIENCE, asked).await.unwrap()
}

async fn next(answers: &mut Answered) -> Option<Result<Bytes, ForwardError>> {
    timeout(PATIENCE, answers.next()).await.unwrap()
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..1_000 {
        if holds() {
            return;
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("waited in vain for {what}");
}

#[tokio::test]
async fn a_request_comes_to_the_other_server_as_it_was_asked_and_its_answers_come_back() {
    let site = Site::new().await;
    let (one, other) = (site.server("one").await, site.server("other").await);
    for _ in 0..3 {
        let mut answers = ask(&one.peers, other.own, "One").await.unwrap();
        let answer = next(&mut answers).await.unwrap().unwrap();
        assert_eq!(&*answer, b"a password");
        assert!(next(&mut answers).await.is_none());
    }
    // And the other way, over a link of its own.
    let answers = ask(&other.peers, one.own, "Many").await.unwrap();
    assert_eq!(answers.count().await, 1_000);
    assert_eq!((one.links(), other.links()), (1, 1));
    {
        let asked = lock(&other.echo.asked);
        assert_eq!(asked.len(), 3);
        assert_eq!(asked[0].subject, request("One").subject);
    }
    assert!(matches!(
        ask(&one.peers, other.own, "Refuse").await,
        Err(ForwardError::Refused(status)) if status.message() == "not you"
    ));
    assert_eq!(one.peers.holder("other").await.unwrap(), Some(other.own));
    assert_eq!(one.peers.holder("one").await.unwrap(), None, "itself");
}

#[tokio::test]
async fn only_instances_whose_rows_stand_are_spoken_to() {
    let site = Site::new().await;
    let (one, other) = (site.server("one").await, site.server("other").await);
    let (stranger, _) = site.silent("stranger");
    // One that the others do not know of, though it has the repository with its keys.
    let rows = Arc::new(Rows(Mutex::new(lock(&site.rows.0).clone())));
    let strange = site.peers(stranger, &rows, Duration::from_secs(3600));
    site.remove(stranger);
    assert!(matches!(
        ask(&strange, other.own, "One").await,
        Err(ForwardError::Unsent(_))
    ));
    assert!(lock(&other.echo.asked).is_empty());
    assert!(matches!(
        ask(&one.peers, stranger, "One").await,
        Err(ForwardError::Unsent(_))
    ));
    // Nor any longer than they stand, and what they asked is ended.
    let mut answers = ask(&one.peers, other.own, "First").await.unwrap();
    assert!(next(&mut answers).await.unwrap().is_ok());
    site.remove(one.own);
    assert!(matches!(
        next(&mut answers).await,
        Some(Err(ForwardError::Lost(_)))
    ));
    until("the link to be closed", || other.links() == 0).await;
    assert!(matches!(
        ask(&one.peers, other.own, "One").await,
        Err(ForwardError::Unsent(_))
    ));
}

#[tokio::test]
async fn a_server_that_is_started_anew_is_another_instance() {
    let site = Site::new().await;
    let (one, other) = (site.server("one").await, site.server("other").await);
    // What the repository still says of a former start: its address is that of the new one.
    let former = PeerId::random(&mut rand::rng());
    site.add(former, "former", other.address.to_string());
    assert!(matches!(
        ask(&one.peers, former, "One").await,
        Err(ForwardError::Unsent(_))
    ));
    assert!(ask(&one.peers, other.own, "One").await.is_ok());
}

#[tokio::test]
async fn a_server_that_stalls_or_speaks_something_else_is_given_up_and_left_for_a_while() {
    let site = Site::new().await;
    let one = site.server("one").await;
    let mute = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let (stalled, _) = site.silent("stalled");
    site.at(stalled, &mute.local_addr().unwrap().to_string());
    let begun = Instant::now();
    for _ in 0..3 {
        let Err(ForwardError::Unsent(why)) = ask(&one.peers, stalled, "One").await else {
            panic!("a mute listener answered");
        };
        assert!(why.contains("stalled"), "{why}");
    }
    assert!(begun.elapsed() < Duration::from_secs(5), "no back-off");
    let (nowhere, _) = site.silent("nowhere");
    let Err(ForwardError::Unsent(why)) = ask(&one.peers, nowhere, "One").await else {
        panic!("nobody answered");
    };
    assert!(why.contains("advertise"), "{why}");
}

/// It holds its connections open, and says nothing any more: as one that was stopped.
#[tokio::test]
async fn a_server_that_goes_silent_within_a_request_is_noticed() {
    let site = Site::new().await;
    let (one, other) = (site.server("one").await, site.server("other").await);
    let proxy = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    site.at(other.own, &proxy.local_addr().unwrap().to_string());
    let silence = Arc::new(Notify::new());
    let (told, address) = (Arc::clone(&silence), other.address);
    let relaying = tokio::spawn(async move {
        let (mut from, _) = proxy.accept().await.unwrap();
        let mut to = TcpStream::connect(address).await.unwrap();
        let relay = tokio::io::copy_bidirectional(&mut from, &mut to);
        tokio::select! {
            _ = relay => {}
            () = told.notified() => {}
        }
        pending::<()>().await;
    });
    let mut search = ask(&one.peers, other.own, "First").await.unwrap();
    assert!(next(&mut search).await.unwrap().is_ok());
    let call = tokio::spawn({
        let (peers, to) = (one.peers.clone(), other.own);
        async move { ask(&peers, to, "Never").await.map(|_| ()) }
    });
    until("both to be asked", || lock(&other.echo.asked).len() == 2).await;
    silence.notify_one();
    assert!(matches!(
        next(&mut search).await,
        Some(Err(ForwardError::Lost(_)))
    ));
    assert!(next(&mut search).await.is_none());
    let called = timeout(PATIENCE, call).await.unwrap().unwrap();
    assert!(matches!(called, Err(ForwardError::Lost(_))), "{called:?}");
    relaying.abort();
}

#[tokio::test]
async fn what_nobody_waits_for_any_more_is_ended_at_the_other_server() {
    let site = Site::new().await;
    let (one, other) = (site.server("one").await, site.server("other").await);
    let dropped = || other.echo.dropped.load(Ordering::SeqCst);
    let mut search = ask(&one.peers, other.own, "First").await.unwrap();
    assert!(next(&mut search).await.unwrap().is_ok());
    let before = dropped();
    drop(search);
    until("the search to end", || dropped() > before).await;
    // A flood of answers comes no faster than it is read.
    let before = dropped();
    let mut flood = ask(&one.peers, other.own, "Flood").await.unwrap();
    for _ in 0..20 {
        assert_eq!(next(&mut flood).await.unwrap().unwrap().len(), 1 << 20);
    }
    assert!(ask(&one.peers, other.own, "One").await.is_ok(), "beside it");
    drop(flood);
    until("the flood to end", || dropped() > before).await;
}

#[tokio::test]
async fn strangers_and_gateways_get_an_alert_and_hold_up_nobody() {
    let site = Site::new().await;
    let (one, other) = (site.server("one").await, site.server("other").await);
    let gateway = Preamble::Id(GatewayId::random(&mut rand::rng()));
    for opening in [
        gateway.encode().unwrap(),
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        vec![0x18, 0, 32],
        // An instance dials itself.
        [
            &[0x18, 0, 32][..],
            &other.own.to_bytes(),
            &other.own.to_bytes(),
        ]
        .concat(),
    ] {
        let mut io = TcpStream::connect(other.address).await.unwrap();
        io.write_all(&opening).await.unwrap();
        let mut answer = Vec::new();
        let read = timeout(PATIENCE, io.read_to_end(&mut answer))
            .await
            .unwrap();
        assert!(
            read.is_err() || answer == ALERT || answer.is_empty(),
            "{answer:?}"
        );
    }
    let mut crowd = Vec::new();
    for _ in 0..100 {
        crowd.push(TcpStream::connect(other.address).await.unwrap());
    }
    assert!(ask(&one.peers, other.own, "One").await.is_ok());
    assert_eq!(other.links(), 1);
}

#[tokio::test]
async fn a_newer_link_takes_the_place_of_the_older_which_ends_what_it_carries() {
    let site = Site::new().await;
    let (one, other) = (site.server("one").await, site.server("other").await);
    // Whose links are always too old.
    let one = site.peers(one.own, &site.rows, Duration::ZERO);
    let mut search = ask(&one, other.own, "First").await.unwrap();
    assert!(next(&mut search).await.unwrap().is_ok());
    let mut answers = ask(&one, other.own, "One").await.unwrap();
    assert!(next(&mut answers).await.unwrap().is_ok());
    assert_eq!(other.links(), 2);
    assert!(
        timeout(Duration::from_millis(50), search.next())
            .await
            .is_err()
    );
    drop((search, answers));
    until("the older link to end", || other.links() == 1).await;
}

#[tokio::test]
async fn a_server_that_stops_closes_its_links() {
    let site = Site::new().await;
    let (one, other) = (site.server("one").await, site.server("other").await);
    assert!(ask(&one.peers, other.own, "One").await.is_ok());
    timeout(PATIENCE, other.peers.stop()).await.unwrap();
    until("the links to be closed", || other.links() == 0).await;
    assert!(matches!(
        ask(&one.peers, other.own, "One").await,
        Err(ForwardError::Unsent(_))
    ));
    let none = Peers::default();
    assert!(!none.is_on());
    assert_eq!(none.holder("one").await.unwrap(), None);
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap()
}
