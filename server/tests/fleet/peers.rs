//! Two servers on one repository: what is asked of the one that does not hold a gateway's link is
//! carried out by the one that does.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use hyper_util::rt::TokioIo;
use portcullis_common::id::PeerId;
use portcullis_common::stream::ChannelLimits;
use portcullis_host::clock;
use portcullis_proto::admin::v1::calls_client::CallsClient;
use portcullis_proto::admin::v1::gateways_client::GatewaysClient;
use portcullis_proto::admin::v1::{ExecuteRequest, PingGatewayRequest, ShowGatewayRequest};
use portcullis_proto::gateway::v1::call::Verb;
use portcullis_proto::gateway::v1::search_item::Kind;
use portcullis_proto::gateway::v1::{
    Call, Create, FailureKind, ObjectClass, Outcome, Search, SearchEnd, SearchItem,
};
use portcullis_proto::grpc::Messages;
use portcullis_server::config::Config;
use portcullis_server::fleet::{Fleet, Settings};
use portcullis_server::fronts::grpc::{self, AdminSocket, ForwardedRequests};
use portcullis_server::peers::{self, Other, Peers, Servers};
use portcullis_server::repository::{RepositoryError, Resource};
use portcullis_server::services::Services;
use tokio::net::{TcpListener, UnixStream};
use tokio::time::timeout;
use tonic::Status;
use tonic::transport::{Channel, Endpoint};

use crate::support::gateway::{ANSWERS, FakeGateway, STALLS, WAITS};
use crate::support::{PATIENCE, Server};
use crate::{enrolled, is_done};

/// Who is there, and who holds every link.
#[derive(Debug, Default)]
struct Rows {
    others: Vec<Other>,
    holder: Option<PeerId>,
}

#[derive(Debug)]
struct Known {
    own: PeerId,
    rows: Arc<Mutex<Rows>>,
}

impl Servers for Known {
    fn own(&self) -> PeerId {
        self.own
    }

    fn others(&self) -> BoxFuture<'_, Result<Vec<Other>, RepositoryError>> {
        let mut others = self.rows.lock().unwrap().others.clone();
        others.retain(|other| other.instance != self.own);
        Box::pin(std::future::ready(Ok(others)))
    }

    fn holder<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Option<PeerId>, RepositoryError>> {
        let holder = self.rows.lock().unwrap().holder;
        Box::pin(std::future::ready(Ok(holder)))
    }
}

/// A server that holds the link to `host1`, and one that is asked.
struct Two {
    holder: Server,
    gateway: FakeGateway,
    rows: Arc<Mutex<Rows>>,
    /// Of the holder, towards the other one.
    links: Peers,
    asked: Channel,
    /// Of the server that is asked.
    fleet: Fleet,
    folder: tempfile::TempDir,
}

impl Two {
    async fn start() -> Self {
        let rows = Arc::<Mutex<Rows>>::default();
        let mut holder = Server::start().await;
        let gateway = enrolled(&holder, "host1").await;
        for connector in [ANSWERS, WAITS, STALLS] {
            let resources = holder.repository.resources();
            resources.add(resource(connector)).await.unwrap();
        }
        let links = peers(&holder.services, &rows, "holder").await;
        holder.services.peers = links.clone();
        let folder = tempfile::tempdir().unwrap();
        let other = other(&holder, &rows).await;
        let fleet = other.fleet.clone();
        Self {
            asked: serve(&folder, "asked", other).await,
            holder,
            gateway,
            rows,
            links,
            fleet,
            folder,
        }
    }

    async fn execute(&self, resource: &str, call: Call) -> Result<Outcome, Status> {
        execute(self.asked.clone(), resource, call).await
    }

    /// The holder's own API.
    async fn holders(&self) -> Channel {
        serve(&self.folder, "holder", self.holder.services.clone()).await
    }

    /// The gateway's link goes from the holder to the server that is asked.
    async fn move_link(&self) {
        self.fleet.wake("host1");
        loop {
            let changed = self.fleet.changed();
            if self.fleet.status("host1").is_some() {
                break;
            }
            timeout(PATIENCE, changed).await.unwrap();
        }
        {
            let mut rows = self.rows.lock().unwrap();
            let other = rows.others.iter().find(|other| other.name == "other");
            rows.holder = other.map(|other| other.instance);
        }
        self.holder.fleet.close("host1").await;
        self.holder.fleet.forget("host1");
    }
}

async fn begin_search(asked: Channel, resource: &str) -> Messages<SearchItem> {
    let call = Call {
        verb: Some(Verb::Search(Search::default())),
        ..Call::default()
    };
    let mut client = CallsClient::new(asked);
    let begun = timeout(PATIENCE, client.search(request(resource, call))).await;
    begun.unwrap().unwrap().into_inner()
}

/// What is found, and the end.
async fn search(asked: Channel, resource: &str) -> (Vec<SearchItem>, SearchEnd) {
    rest(&mut begin_search(asked, resource).await).await
}

async fn rest(items: &mut Messages<SearchItem>) -> (Vec<SearchItem>, SearchEnd) {
    let mut all = Vec::new();
    while let Some(item) = timeout(PATIENCE, items.message()).await.unwrap().unwrap() {
        all.push(item);
    }
    let Some(Kind::End(end)) = all.pop().and_then(|last| last.kind) else {
        panic!("a search ends with its end");
    };
    (all, end)
}

async fn execute(asked: Channel, resource: &str, call: Call) -> Result<Outcome, Status> {
    let mut client = CallsClient::new(asked);
    let executed = timeout(PATIENCE, client.execute(request(resource, call))).await;
    Ok(executed.unwrap()?.into_inner())
}

fn request(resource: &str, call: Call) -> ExecuteRequest {
    ExecuteRequest {
        resource: resource.to_owned(),
        call: Some(call),
        ..ExecuteRequest::default()
    }
}

/// The links of a server that is awaited at a port of its own.
async fn peers(services: &Services, rows: &Arc<Mutex<Rows>>, name: &str) -> Peers {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let own = PeerId::random(&mut rand::rng());
    {
        let mut rows = rows.lock().unwrap();
        rows.others.push(Other {
            instance: own,
            name: name.to_owned(),
            address: listener.local_addr().unwrap().to_string(),
        });
        // The first one.
        rows.holder.get_or_insert(own);
    }
    let known = Known {
        own,
        rows: Arc::clone(rows),
    };
    let settings = peers::Settings {
        server_id: services.server_id,
        limits: ChannelLimits::default(),
        backoff_min: Duration::from_millis(50),
        backoff_max: Duration::from_millis(100),
        keep_alive: Duration::from_secs(1),
        max_age: Duration::from_secs(3600),
    };
    let peers = Peers::new(services.repository.clone(), Arc::new(known), settings);
    let mut services = services.clone();
    services.peers = peers.clone();
    let answers = ForwardedRequests::new(&services);
    peers.start(listener, Arc::new(answers));
    peers
}

/// Another server on the same repository, without a link to any gateway.
async fn other(holder: &Server, rows: &Arc<Mutex<Rows>>) -> Services {
    let config = Config::parse("", "test.toml".as_ref()).unwrap();
    let of = &holder.services;
    let fleet = Fleet::new(
        holder.repository.clone(),
        Settings::new(of.server_id, &config),
    );
    let mut services = Services::new(
        &config,
        of.server_id,
        of.repository.clone(),
        of.keys.clone(),
        of.audit.clone(),
        fleet,
    );
    services.peers = peers(&services, rows, "other").await;
    services
}

/// Its administrators' API, as root has it.
async fn serve(folder: &tempfile::TempDir, name: &str, services: Services) -> Channel {
    let path = folder.path().join(name).join("admin.sock");
    let socket = AdminSocket::bind(&path, None).unwrap();
    tokio::spawn(grpc::serve(socket, services, std::future::pending()));
    Endpoint::from_static("http://test.invalid")
        .connect_with_connector(tower::service_fn(move |_| {
            let path = path.clone();
            async move { UnixStream::connect(path).await.map(TokioIo::new) }
        }))
        .await
        .unwrap()
}

fn resource(connector: &str) -> Resource {
    Resource {
        name: connector.to_owned(),
        gateway: "host1".to_owned(),
        connector: connector.to_owned(),
        settings: BTreeMap::new(),
        secret_settings: BTreeSet::new(),
        mapping: BTreeMap::new(),
        groups: BTreeSet::new(),
        lost_settings: BTreeSet::new(),
        pending: BTreeMap::new(),
        common: BTreeMap::new(),
        fault: None,
        created: clock::now(),
    }
}

/// A call that changes something.
fn create(id: &str, account: &str) -> Call {
    Call {
        call_id: id.to_owned(),
        verb: Some(Verb::Create(Create {
            object_class: ObjectClass::Account.into(),
            name: account.to_owned(),
            ..Create::default()
        })),
        ..Call::default()
    }
}

#[tokio::test]
async fn what_needs_a_link_is_carried_out_by_the_server_that_holds_it() {
    let two = Two::start().await;
    let outcome = two.execute(ANSWERS, create("pc-1", "ada")).await.unwrap();
    assert!(is_done(&outcome), "{outcome:?}");
    assert_eq!(two.gateway.carried_out(), ["pc-1"]);
    // The same again is the same call, whichever server is asked.
    let again = two.execute(ANSWERS, create("pc-1", "ada")).await.unwrap();
    assert_eq!(again, outcome);
    assert_eq!(two.gateway.carried_out(), ["pc-1"]);
    let (objects, end) = search(two.asked.clone(), ANSWERS).await;
    assert!(end.failure.is_none(), "{end:?}");
    assert!(!objects.is_empty());
    let mut gateways = GatewaysClient::new(two.asked.clone());
    let name = "host1".to_owned();
    let pinged = gateways.ping(PingGatewayRequest { name: name.clone() });
    let pinged = timeout(PATIENCE, pinged).await.unwrap().unwrap();
    assert!(pinged.into_inner().gateway.unwrap().connected);
    let shown = gateways.show(ShowGatewayRequest { name }).await.unwrap();
    assert!(shown.into_inner().connected, "as the holder sees it");
    // In the audit log it is whoever asked, and each call once.
    let entries = two.holder.repository.audit_entries();
    let entries = entries.scan(0, 1_000).await.unwrap();
    let of_call = |entry: &&portcullis_server::repository::AuditEntry| {
        entry.action.starts_with("call create") && entry.outcome == "begun"
    };
    let begun: Vec<_> = entries.iter().filter(of_call).collect();
    assert_eq!(begun.len(), 1, "{entries:#?}");
    assert!(begun[0].subject.contains("root"), "{begun:#?}");
}

#[tokio::test]
async fn a_link_between_servers_that_is_lost_within_a_call_ends_nothing() {
    let two = Two::start().await;
    let call = tokio::spawn(execute(two.asked.clone(), WAITS, create("pc-2", "bob")));
    timeout(PATIENCE, two.gateway.begun()).await.unwrap();
    two.links.close().await;
    // It is asked for again by its id, and joins the call that is under way.
    tokio::time::sleep(Duration::from_millis(500)).await;
    two.gateway.release();
    let outcome = call.await.unwrap().unwrap();
    assert!(is_done(&outcome), "{outcome:?}");
    assert_eq!(two.gateway.carried_out(), ["pc-2"]);
}

#[tokio::test]
async fn a_holder_that_is_gone_within_a_call_leaves_its_record_to_read() {
    let two = Two::start().await;
    let call = tokio::spawn(execute(two.asked.clone(), WAITS, create("pc-3", "eve")));
    timeout(PATIENCE, two.gateway.begun()).await.unwrap();
    // As the other sees it: no row, no link. What it claimed goes on all the same.
    {
        let mut rows = two.rows.lock().unwrap();
        rows.others.retain(|other| other.name != "holder");
        rows.holder = None;
    }
    two.links.close().await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    two.gateway.release();
    let outcome = call.await.unwrap().unwrap();
    assert!(is_done(&outcome), "{outcome:?}");
    assert_eq!(two.gateway.carried_out(), ["pc-3"]);
    // And nothing is forwarded to one that is not there.
    let outcome = two.execute(ANSWERS, create("pc-4", "joe")).await.unwrap();
    assert!(!is_done(&outcome));
    assert!(!two.gateway.carried_out().contains(&"pc-4".to_owned()));
}

#[tokio::test]
async fn a_server_that_does_not_hold_the_link_forwards_to_no_third() {
    let two = Two::start().await;
    // Each takes the other for the holder.
    two.gateway.cut();
    two.holder.fleet.close("host1").await;
    two.holder.fleet.forget("host1");
    let outcome = two.execute(ANSWERS, create("pc-5", "ann")).await.unwrap();
    assert!(!is_done(&outcome), "{outcome:?}");
}

#[tokio::test]
async fn a_search_is_made_again_where_its_server_was_lost_before_it_found_anything() {
    let two = Two::start().await;
    let searching = tokio::spawn(search(two.asked.clone(), WAITS));
    timeout(PATIENCE, two.gateway.begun()).await.unwrap();
    two.links.close().await;
    timeout(PATIENCE, two.gateway.begun()).await.unwrap();
    // The first one may still wait, too.
    two.gateway.release();
    two.gateway.release();
    let (objects, end) = searching.await.unwrap();
    assert!(end.failure.is_none(), "{end:?}");
    assert_eq!(objects.len(), 3, "each once");
}

#[tokio::test]
async fn a_search_whose_link_moves_before_it_found_anything_is_made_by_the_new_holder() {
    for by_the_former_holder in [false, true] {
        let two = Two::start().await;
        let asked = match by_the_former_holder {
            true => two.holders().await,
            false => two.asked.clone(),
        };
        let searching = tokio::spawn(search(asked.clone(), WAITS));
        timeout(PATIENCE, two.gateway.begun()).await.unwrap();
        two.move_link().await;
        timeout(PATIENCE, two.gateway.begun()).await.unwrap();
        two.gateway.release();
        two.gateway.release();
        let (objects, end) = searching.await.unwrap();
        assert!(end.failure.is_none(), "{end:?}");
        assert_eq!(objects.len(), 3, "each once");
        let (objects, end) = search(asked, ANSWERS).await;
        assert!(end.failure.is_none(), "{end:?}");
        assert_eq!(objects.len(), 3);
    }
}

#[tokio::test]
async fn a_search_that_has_found_something_is_not_made_again_and_says_so() {
    for lost_between_servers in [true, false] {
        let two = Two::start().await;
        let mut items = begin_search(two.asked.clone(), STALLS).await;
        let first = timeout(PATIENCE, items.message()).await.unwrap().unwrap();
        assert!(matches!(first.unwrap().kind, Some(Kind::Object(_))));
        match lost_between_servers {
            true => two.links.close().await,
            false => two.move_link().await,
        }
        let (more, end) = rest(&mut items).await;
        assert!(more.is_empty(), "{more:?}");
        let failure = end.failure.unwrap();
        assert_eq!(failure.kind(), FailureKind::Unavailable);
        let why = "the first of what was found had been given on";
        assert!(failure.message.contains(why), "{}", failure.message);
    }
}

#[tokio::test]
async fn a_search_of_a_gateway_that_no_server_has_ends_at_once() {
    let two = Two::start().await;
    two.gateway.cut();
    two.holder.fleet.close("host1").await;
    two.holder.fleet.forget("host1");
    two.rows.lock().unwrap().holder = None;
    let (objects, end) = search(two.asked.clone(), ANSWERS).await;
    assert!(objects.is_empty());
    assert_eq!(end.failure.unwrap().kind(), FailureKind::Unavailable);
}
