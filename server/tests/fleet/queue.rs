//! Queued calls over real links.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use portcullis_host::clock;
use portcullis_proto::gateway::v1::call::Verb;
use portcullis_proto::gateway::v1::{
    Attribute, Call, Create, ObjectClass, Outcome, Run, Value, value,
};
use portcullis_server::config::Calls;
use portcullis_server::keys::Keyring;
use portcullis_server::keys::protection::Protection;
use portcullis_server::provisioning::queue::QueueError;
use portcullis_server::repository::{
    Database, EndOf, ProtectedType, QueuedCall, QueuedState, Repository, Resource,
};
use prost::Message as _;
use tokio::time::timeout;

use crate::enrolled;
use crate::support::gateway::{ANSWERS, CUTS, FakeGateway};
use crate::support::{PATIENCE, Server, call};

pub(crate) struct Fixture {
    pub(crate) server: Server,
    pub(crate) gateway: FakeGateway,
    address: SocketAddr,
}

impl Fixture {
    /// A server with one gateway, which is away, and resources named after what their connector
    /// does.
    pub(crate) async fn start() -> Self {
        Self::start_with(Duration::from_hours(1)).await
    }

    /// A call waits so long.
    async fn start_with(queue_lifetime: Duration) -> Self {
        let calls = Calls {
            queue_limit: 4,
            queue_lifetime,
            results_kept: Duration::from_hours(1),
        };
        let server = Server::start_with(|config| config.calls = calls).await;
        let (address, token) = server.add_at_free_port("host1").await;
        let fixture = Self {
            server,
            gateway: FakeGateway::with_token(&token),
            address,
        };
        for connector in [ANSWERS, CUTS] {
            fixture.add_resource(connector, "host1", connector).await;
        }
        fixture
    }

    async fn add_resource(&self, name: &str, gateway: &str, connector: &str) {
        let resource = Resource {
            name: name.to_owned(),
            gateway: gateway.to_owned(),
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
        };
        let resources = self.server.repository.resources();
        resources.add(resource).await.unwrap();
    }

    /// As an administrator does it.
    async fn rename(&self, old: &str, new: &str) {
        let gateways = self.server.repository.gateways();
        gateways.rename(old, new).await.unwrap();
        self.server.fleet.rename(old, new);
    }

    pub(crate) fn run(&self) {
        tokio::spawn(self.server.services.queue.clone().run());
    }

    pub(crate) async fn bring_up(&self) {
        self.gateway.listen(self.address).await;
        self.server.fleet.wake("host1");
    }

    async fn enqueue(&self, id: &str, resource: &str) -> Result<QueuedCall, QueueError> {
        self.enqueue_call(call(id, ""), resource).await
    }

    /// One that may change something.
    pub(crate) async fn enqueue_change(
        &self,
        id: &str,
        resource: &str,
    ) -> Result<QueuedCall, QueueError> {
        let run = Verb::Run(Run::default());
        let call = Call {
            verb: Some(run),
            ..call(id, "")
        };
        self.enqueue_call(call, resource).await
    }

    pub(crate) async fn enqueue_call(
        &self,
        call: Call,
        resource: &str,
    ) -> Result<QueuedCall, QueueError> {
        let summary = "test".to_owned();
        let queue = &self.server.services.queue;
        queue.enqueue(resource, call, None, summary).await
    }

    async fn state(&self, id: &str) -> QueuedState {
        let queued = self.server.repository.queued_calls();
        queued.find(id).await.unwrap().unwrap().state
    }

    pub(crate) async fn until(&self, id: &str, state: QueuedState) {
        let wait = async {
            while self.state(id).await != state {
                // What is stored changes without notice.
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let waited = timeout(PATIENCE, wait).await;
        assert!(waited.is_ok(), "{id} is {:?}", self.state(id).await);
    }

    async fn payloads(&self) -> u64 {
        let values = self.server.repository.database().sealed_values();
        let counts = values.counts().await.unwrap();
        let queued = counts
            .iter()
            .filter(|it| it.kind == ProtectedType::QueuedCall);
        queued.map(|it| it.values).sum()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queued_call_waits_for_its_link_and_is_sent_once() {
    let fixture = Fixture::start().await;
    fixture.run();
    for id in ["1", "2", "1"] {
        fixture.enqueue(id, ANSWERS).await.unwrap();
    }
    assert_eq!(fixture.state("1").await, QueuedState::Waiting);
    assert_eq!(fixture.payloads().await, 2);
    fixture.bring_up().await;
    for id in ["1", "2"] {
        fixture.until(id, QueuedState::Done).await;
    }
    // With the link there, it is sent at once.
    fixture.enqueue("3", ANSWERS).await.unwrap();
    fixture.until("3", QueuedState::Done).await;
    let again = fixture.enqueue("3", ANSWERS).await.unwrap();
    assert_eq!(again.state, QueuedState::Done);
    assert_eq!(fixture.gateway.calls(), 3);
    assert_eq!(fixture.payloads().await, 0);
}

/// A second time, the mapping would find nothing of what it makes the name of.
#[tokio::test(flavor = "multi_thread")]
async fn a_queued_call_goes_through_the_mapping_once() {
    let fixture = Fixture::start().await;
    let resources = fixture.server.repository.resources();
    let mapped = resources.update(ANSWERS, |resource| {
        let rule = ("account.cn".to_owned(), "{given} {family}".to_owned());
        resource.mapping.extend([rule]);
    });
    assert_eq!(mapped.await.unwrap().mapping.len(), 1);
    let create = |names: &[&str]| Call {
        verb: Some(Verb::Create(Create {
            object_class: ObjectClass::Account.into(),
            name: "ada".to_owned(),
            attributes: names
                .iter()
                .map(|name| Attribute {
                    name: (*name).to_owned(),
                    values: vec![Value {
                        kind: Some(value::Kind::Text("x".to_owned())),
                    }],
                })
                .collect(),
            ..Create::default()
        })),
        ..call("1", "")
    };
    let refused = fixture.enqueue_call(create(&["given"]), ANSWERS).await;
    assert!(matches!(refused, Err(QueueError::Malformed(_))));
    let whole = create(&["given", "family"]);
    fixture.enqueue_call(whole, ANSWERS).await.unwrap();
    fixture.run();
    fixture.bring_up().await;
    fixture.until("1", QueuedState::Done).await;
}

/// A second handle on the repository, as another run of the server has it.
async fn another_run(fixture: &Fixture) -> Repository {
    let database = Database::look_at(fixture.server.repository.database().place()).await;
    let database = database.unwrap();
    let keyring = Keyring::unlock(&database, &Protection::public_default()).await;
    let repository = Repository::new(database, Arc::new(keyring.unwrap()));
    repository.open_authority().await.unwrap();
    repository
}

/// Marks a call as dispatched, as if it were sent.
async fn claim(repository: &Repository, id: &str) {
    let calls = repository.queued_calls();
    let found = calls.next("host1", clock::now(), 1).await.unwrap();
    assert_eq!(found[0].call.call_id, id);
    let claimed = calls.claim(&found[0].call, "host1", clock::now());
    let (work, told) = claimed.unwrap();
    repository.alone(work).await.unwrap();
    assert!(told.take().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_earlier_run_had_dispatched_is_not_sent_again_and_holds_up_its_object_until_it_is_known()
 {
    let fixture = Fixture::start().await;
    for id in ["lost", "next"] {
        fixture.enqueue_change(id, ANSWERS).await.unwrap();
    }
    let earlier = another_run(&fixture).await;
    claim(&earlier, "lost").await;
    fixture.run();
    fixture.until("lost", QueuedState::Unknown).await;
    let calls = fixture.server.repository.queued_calls();
    let next = calls.next("host1", clock::now(), 9).await.unwrap();
    assert!(next.is_empty(), "{next:?}");
    fixture.bring_up().await;
    fixture.until("next", QueuedState::Done).await;
    // This gateway keeps no journal, and has never heard of it.
    assert_eq!(fixture.state("lost").await, QueuedState::Indeterminate);
    assert_eq!(fixture.gateway.calls(), 1);
    let end = EndOf {
        state: QueuedState::Done,
        outcome: Vec::new(),
        keeps_payload: false,
        now: clock::now(),
    };
    let (work, told) = earlier.queued_calls().end("lost", end).unwrap();
    earlier.alone(work).await.unwrap();
    assert!(told.take().is_none());
    assert_eq!(fixture.state("lost").await, QueuedState::Indeterminate);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_earlier_run_had_sent_and_only_reads_is_read_again() {
    for keeps_journal in [true, false] {
        let fixture = Fixture::start().await;
        if keeps_journal {
            fixture.gateway.keep_journal(1, 1);
        }
        fixture.enqueue("read", ANSWERS).await.unwrap();
        let earlier = another_run(&fixture).await;
        claim(&earlier, "read").await;
        fixture.run();
        fixture.until("read", QueuedState::Unknown).await;
        fixture.bring_up().await;
        fixture.until("read", QueuedState::Done).await;
        assert!(fixture.gateway.looked().is_empty());
        assert_eq!(fixture.gateway.calls(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_lost_under_a_queued_call_leaves_it_indeterminate_and_the_next_one_goes() {
    let fixture = Fixture::start().await;
    fixture.run();
    fixture.enqueue_change("cut", CUTS).await.unwrap();
    fixture.bring_up().await;
    fixture.until("cut", QueuedState::Indeterminate).await;
    fixture.enqueue("next", ANSWERS).await.unwrap();
    fixture.until("next", QueuedState::Done).await;
    assert_eq!(fixture.gateway.calls(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_gateway_remembers_of_a_call_is_what_came_of_it() {
    let fixture = Fixture::start().await;
    fixture.gateway.remember("early", true, 3_600_000);
    fixture.gateway.remember("slow", false, 0);
    fixture.gateway.remember("cut", true, 0);
    fixture.run();
    for id in ["cut", "early", "slow", "unknown"] {
        let run = Verb::Run(Run {
            action: id.to_owned(),
            ..Run::default()
        });
        let call = Call {
            verb: Some(run),
            ..call(id, "")
        };
        fixture.enqueue_call(call, CUTS).await.unwrap();
    }
    fixture.bring_up().await;
    fixture.until("cut", QueuedState::Done).await;
    fixture.until("unknown", QueuedState::Indeterminate).await;
    assert_eq!(fixture.state("slow").await, QueuedState::Unknown);
    fixture.gateway.remember("slow", true, 10);
    fixture.until("slow", QueuedState::Done).await;
    // What it did an hour ago under that id is not this call.
    assert_eq!(fixture.state("early").await, QueuedState::Indeterminate);

    let log = fixture.server.repository.audit_entries();
    let entries = async {
        loop {
            let entries = log.scan(0, 1_000).await.unwrap();
            let last = |id| entries.iter().rfind(|entry| entry.fields.call_id == id);
            if ["cut", "slow"]
                .map(last)
                .iter()
                .flatten()
                .all(|entry| entry.outcome == "done")
            {
                return entries;
            }
            // It is written after the state.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let entries = timeout(PATIENCE, entries).await.unwrap();
    let told = |id: &str| {
        let of_call = entries.iter().filter(|entry| entry.fields.call_id == id);
        let told: Vec<_> = of_call.map(|entry| &*entry.outcome).collect();
        told.join(" ")
    };
    // What was begun on a link that was just going failed and waited on.
    for (id, ended) in [
        ("cut", "begun unknown done"),
        ("slow", "begun unknown done"),
        ("early", "begun unknown indeterminate"),
        ("unknown", "begun unknown indeterminate"),
    ] {
        let told = told(id);
        let before = told.strip_suffix(ended).expect(&told);
        assert_eq!(before.replace("begun failed ", ""), "");
    }
    let last = entries.iter().rfind(|entry| entry.fields.call_id == "cut");
    let last = last.unwrap();
    let begun = entries.iter().find(|entry| entry.seq == last.begun);
    assert_eq!(begun.unwrap().outcome, "begun");
    assert!(last.detail.contains("reported by the gateway"), "{last:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_who_was_sent_a_call_is_asked_of_it_whatever_the_names_are_now() {
    let fixture = Fixture::start().await;
    fixture.enqueue_change("lost", ANSWERS).await.unwrap();
    claim(&another_run(&fixture).await, "lost").await;
    let other = enrolled(&fixture.server, "host2").await;
    other.remember("lost", true, 0);
    other.remember("own", true, 0);
    fixture.rename("host1", "www1").await;
    fixture.rename("host2", "host1").await;
    fixture.run();
    fixture.until("lost", QueuedState::Unknown).await;
    fixture.add_resource("others", "host1", CUTS).await;
    fixture.enqueue_change("own", "others").await.unwrap();
    fixture.until("own", QueuedState::Done).await;
    assert_eq!(fixture.state("lost").await, QueuedState::Unknown);
    fixture.gateway.remember("lost", true, 0);
    fixture.gateway.listen(fixture.address).await;
    fixture.server.fleet.wake("www1");
    fixture.until("lost", QueuedState::Done).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_asked_of_the_calls_of_a_gateway_that_was_removed() {
    let fixture = Fixture::start().await;
    fixture.enqueue_change("lost", ANSWERS).await.unwrap();
    claim(&another_run(&fixture).await, "lost").await;
    fixture.run();
    fixture.until("lost", QueuedState::Unknown).await;
    let server = &fixture.server;
    let removed = server.repository.gateways().remove("host1", true).await;
    removed.unwrap().unwrap();
    server.fleet.forget("host1");
    let (address, token) = server.add_at_free_port("host1").await;
    let next = FakeGateway::with_token(&token);
    next.remember("lost", true, 0);
    next.listen(address).await;
    server.fleet.wake("host1");
    server.until_connected("host1").await;
    fixture.until("lost", QueuedState::Indeterminate).await;
    let lost = server.repository.queued_calls().find("lost").await;
    let outcome = lost.unwrap().unwrap().outcome.unwrap();
    let told = format!("{:?}", Outcome::decode(&*outcome).unwrap());
    assert!(told.contains("registered anew"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_call_of_the_same_id_and_one_too_many_are_refused() {
    let fixture = Fixture::start().await;
    for id in ["1", "2", "3", "4"] {
        fixture.enqueue(id, ANSWERS).await.unwrap();
    }
    for other in [
        fixture.enqueue("1", CUTS).await,
        fixture.enqueue_change("1", ANSWERS).await,
    ] {
        let other = other.unwrap_err();
        assert!(matches!(other, QueueError::Other(_)), "{other}");
    }
    assert!(fixture.enqueue("1", ANSWERS).await.is_ok());
    let full = fixture.enqueue("5", CUTS).await.unwrap_err();
    assert!(matches!(full, QueueError::Full { .. }), "{full}");
    let malformed = fixture.enqueue("a b", ANSWERS).await.unwrap_err();
    assert!(matches!(malformed, QueueError::Malformed(_)), "{malformed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_waited_beyond_its_time_leaves_an_entry_in_the_audit_log() {
    let fixture = Fixture::start_with(Duration::from_millis(50)).await;
    fixture.run();
    fixture.enqueue_change("1", ANSWERS).await.unwrap();
    let entries = fixture.server.repository.audit_entries();
    fixture.until("1", QueuedState::Expired).await;
    let told = async {
        loop {
            let all = entries.scan(0, 1000).await.unwrap().into_iter();
            let told: Vec<_> = all.filter(|entry| entry.fields.call_id == "1").collect();
            if !told.is_empty() {
                return told;
            }
            // It is written after the state.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let told = timeout(PATIENCE, told).await.unwrap();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].outcome, "failed");
    assert!(told[0].detail.contains("not sent"), "{}", told[0].detail);
}
