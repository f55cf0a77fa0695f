//! Whatever happens to servers, networks and the database while calls are made: each call has one
//! outcome, none is carried out twice, and what is withdrawn stays withdrawn.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use portcullis_proto::admin::v1::{
    ExecuteRequest, ListAuditRequest, ListGatewaysRequest, ListQueuedRequest, QueuedState,
    RevokeGatewayRequest, ShowQueuedRequest,
};
use portcullis_proto::gateway::v1::outcome::Result as OutcomeResult;
use portcullis_tests::harness::{Admin, PATIENCE, Process, Scripts, eventually};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use rustix::process::Signal;
use tokio::time::{sleep, timeout};
use tonic::Code;

use crate::hosts::{Hosts, Network, SERVERS, Wire};
use crate::several::Calling;

const GATEWAYS: usize = 10;
/// The one that is revoked meanwhile: it is dialled, as the even ones are.
const REVOKED: usize = 8;
/// Nothing begins so long after a withdrawal is done; the time that a script takes is added.
const WITHDRAWN: Duration = Duration::from_secs(7 + 2);
/// Who call at the same time.
const CALLERS: usize = 9;
/// As long does a caller wait for an answer before it asks elsewhere.
const ANSWER: Duration = Duration::from_secs(15);

/// How long it goes on, and how many calls are made meanwhile.
fn scale() -> (Duration, usize) {
    match std::env::var("PORTCULLIS_TEST_DEEP").as_deref() {
        Ok("1") => (Duration::from_secs(600), 5_000),
        _ => (Duration::from_secs(60), 300),
    }
}

/// What goes wrong for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    Killed(usize),
    Stands(usize),
    Cut(Wire),
    GatewayKilled(usize),
}

impl Trouble {
    fn any(rng: &mut StdRng) -> Self {
        let server = rng.random_range(0..SERVERS.len());
        let gateway = rng.random_range(0..GATEWAYS);
        match rng.random_range(0..7) {
            0 => Self::Killed(server),
            1 => Self::Stands(server),
            2 => Self::Cut(Wire::Server(server, Network::Databases)),
            3 => Self::Cut(Wire::Server(server, Network::Peers)),
            4 => Self::Cut(Wire::Server(server, Network::Gateways)),
            5 => Self::Cut(Wire::Gateway(gateway)),
            _ => Self::GatewayKilled(gateway),
        }
    }

    fn begin(self, hosts: &mut Hosts) {
        match self {
            Self::Killed(number) => hosts.servers[number].kill(),
            Self::Stands(number) => hosts.signal(number, Signal::STOP),
            Self::Cut(wire) => hosts.wire(wire, false),
            Self::GatewayKilled(number) => hosts.gateways[number].0.kill(),
        }
    }

    fn end(self, hosts: &mut Hosts) {
        match self {
            Self::Killed(number) => {
                hosts.servers[number].start();
            }
            Self::Stands(number) => hosts.signal(number, Signal::CONT),
            Self::Cut(wire) => hosts.wire(wire, true),
            Self::GatewayKilled(number) => {
                hosts.gateways[number].0.start();
            }
        }
    }
}

impl Hosts {
    fn signal(&self, number: usize, signal: Signal) {
        if let Some(process) = &self.servers[number].process
            && !process.has_ended()
        {
            process.signal(signal);
        }
    }

    /// Starts again what was ended by the others, as a service manager does.
    fn start_again(&mut self) {
        for server in &mut self.servers {
            if server.process.as_ref().is_none_or(|it| it.has_ended()) {
                server.start();
            }
        }
    }

    /// One thing after the other goes wrong, sometimes two at a time, and once in a while the
    /// database fails over.
    async fn trouble(&mut self, rng: &mut StdRng, end: Instant) {
        let began = Instant::now();
        let mut failover = began + (end - began) / 3;
        while Instant::now() < end {
            if Instant::now() > failover {
                println!("{:?}: the database fails over", began.elapsed());
                self.fail_over().await;
                failover = Instant::now() + Duration::from_secs(100);
            }
            let mut troubles = vec![Trouble::any(rng)];
            let other = Trouble::any(rng);
            if rng.random() && other != troubles[0] {
                troubles.push(other);
            }
            let lasts = Duration::from_millis(rng.random_range(500..9_000));
            println!("{:?}: {troubles:?} for {lasts:?}", began.elapsed());
            for trouble in &troubles {
                trouble.begin(self);
            }
            sleep(lasts).await;
            for trouble in &troubles {
                trouble.end(self);
            }
            sleep(Duration::from_millis(rng.random_range(200..3_000))).await;
            self.start_again();
        }
    }

    /// How often each call was carried out at a gateway.
    fn executed(&self, number: usize) -> BTreeMap<String, usize> {
        self.gateways[number].1.executed()
    }

    /// Waits until each server tells that all gateways have links, but for the one that was
    /// revoked.
    async fn all_linked(&mut self) {
        let end = Instant::now() + PATIENCE;
        loop {
            // One that was ended by the others finds that out only now.
            self.start_again();
            let mut told = Vec::new();
            for admin in self.admins() {
                let request = ListGatewaysRequest::default();
                let listed = admin.gateways().list(request).await;
                told.push(listed.map(|listed| {
                    let gateways = listed.into_inner().gateways.into_iter();
                    let down = gateways.filter(|it| !it.connected && it.name != name(REVOKED));
                    down.map(|it| it.name).collect::<Vec<_>>()
                }));
            }
            if told.iter().flatten().flatten().next().is_none() && told.iter().all(Result::is_ok) {
                return;
            }
            if Instant::now() >= end {
                for server in &self.servers {
                    let log = server.log();
                    let from = log.len().saturating_sub(6_000);
                    let ended = server.process.as_ref().map(Process::has_ended);
                    println!("-- ended: {ended:?}\n{}", log.get(from..).unwrap_or(&log));
                }
                panic!("not all gateways are linked: {told:?}");
            }
            sleep(Duration::from_millis(500)).await;
        }
    }
}

/// What was told of a call.
struct Told {
    id: String,
    gateway: usize,
    /// It only reads, and so leaves no record of its own.
    reads: bool,
    /// `None`: nothing that says what became of it.
    done: Option<bool>,
}

/// Calls through all servers until it is told to stop, or has made so many calls.
fn begin(admins: &[Admin], seed: u64, (lasts, calls): (Duration, usize)) -> Calling<Told> {
    let (ended, made) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let each = (0..CALLERS).map(|number| {
        let mut rng = StdRng::seed_from_u64(seed ^ (number as u64 + 1));
        let (ended, made) = (Arc::clone(&ended), Arc::clone(&made));
        let mut order = admins.to_vec();
        order.swap(0, number % admins.len());
        let pause = lasts * CALLERS as u32 / calls as u32;
        tokio::spawn(async move {
            let mut told = Vec::new();
            while !ended.load(Ordering::Acquire) && made.fetch_add(1, Ordering::AcqRel) < calls {
                let id = format!("call-{number}-{}", told.len());
                let gateway = rng.random_range(0..GATEWAYS);
                let asked = Instant::now();
                let kind = rng.random_range(0..4);
                let done = match kind {
                    0 => queue(&order, gateway, &id, &mut rng).await,
                    1 => call(&order[0], gateway, Scripts::recording_get(&id)).await,
                    _ => call(&order[0], gateway, Scripts::call("record", &id)).await,
                };
                let reads = kind == 1;
                told.push(Told {
                    id,
                    gateway,
                    reads,
                    done,
                });
                sleep(pause.saturating_sub(asked.elapsed())).await;
            }
            told
        })
    });
    Calling {
        each: each.collect(),
        ended,
    }
}

fn name(gateway: usize) -> String {
    format!("host{gateway}")
}

async fn call(
    admin: &Admin,
    gateway: usize,
    call: portcullis_proto::gateway::v1::Call,
) -> Option<bool> {
    let resource = name(gateway);
    let told = timeout(ANSWER, admin.try_call(&resource, call)).await;
    match told.ok()?.ok()?.result? {
        OutcomeResult::Done(_) => Some(true),
        OutcomeResult::Failed(_) => Some(false),
        _ => None,
    }
}

/// Puts a call into the queue of whichever server takes it: by its id it is one call.
async fn queue(admins: &[Admin], gateway: usize, id: &str, rng: &mut StdRng) -> Option<bool> {
    for _ in 0..6 {
        let admin = admins.choose(rng)?;
        let request = ExecuteRequest {
            resource: name(gateway),
            call: Some(Scripts::call("record", id)),
            ..ExecuteRequest::default()
        };
        match timeout(ANSWER, admin.calls().enqueue(request)).await {
            Ok(Ok(_)) => return None,
            _ => sleep(Duration::from_millis(300)).await,
        }
    }
    None
}

/// Asks one server after the other until one has done it.
async fn insist<F: Future<Output = Option<()>>>(
    what: &str,
    admins: Vec<Admin>,
    ask: impl Fn(Admin) -> F,
) -> Instant {
    let end = Instant::now() + Duration::from_secs(120);
    for admin in admins.iter().cycle() {
        if timeout(Duration::from_secs(40), ask(admin.clone()))
            .await
            .is_ok_and(|done| done.is_some())
        {
            break;
        }
        assert!(Instant::now() < end, "waited in vain for {what}");
        sleep(Duration::from_millis(300)).await;
    }
    Instant::now()
}

async fn revoke(admin: Admin) -> Option<()> {
    let name = name(REVOKED);
    let revoked = admin.gateways().revoke(RevokeGatewayRequest { name }).await;
    revoked.ok().map(drop)
}

async fn rotate(admin: Admin) -> Option<()> {
    admin.try_rotate(20_000).await.ok().map(drop)
}

/// What the server says of a call in the end.
async fn state(admin: &Admin, id: &str) -> Option<QueuedState> {
    let request = ShowQueuedRequest {
        call_id: id.to_owned(),
    };
    match admin.calls().show_queued(request).await {
        Ok(call) => Some(call.into_inner().state()),
        Err(status) if status.code() == Code::NotFound => None,
        Err(status) => panic!("{id}: {status}"),
    }
}

/// How often a call that stands so may have been carried out.
fn times(state: Option<QueuedState>) -> Range<usize> {
    match state {
        Some(QueuedState::Done) => 1..2,
        Some(QueuedState::Indeterminate | QueuedState::Unknown) => 0..2,
        _ => 0..1,
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL and network namespaces: tests/run servers"]
async fn whatever_is_killed_stopped_or_cut_each_call_has_one_outcome() {
    let seed = std::env::var("PORTCULLIS_TEST_SEED").ok();
    let seed = seed.map_or_else(rand::random, |seed| seed.parse().unwrap());
    println!("PORTCULLIS_TEST_SEED={seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let mut hosts = Hosts::start(GATEWAYS).await;
    let (lasts, calls) = scale();
    let admins = hosts.admins();
    let callers = begin(&admins, seed, (lasts, calls));
    let (began, revoked) = (Instant::now(), hosts.gateways[REVOKED].1.clone());
    let rotating = tokio::spawn({
        let admins = admins.clone();
        async move {
            sleep(lasts / 4).await;
            insist("a rotation", admins, rotate).await
        }
    });
    let withdrawing = tokio::spawn({
        let admins = admins.clone();
        async move {
            sleep(lasts / 2).await;
            let done = insist("a gateway to be revoked", admins, revoke).await;
            sleep(WITHDRAWN.saturating_sub(done.elapsed())).await;
            revoked.executed()
        }
    });
    hosts.trouble(&mut rng, began + lasts).await;
    rotating.await.unwrap();
    let until_withdrawn = withdrawing.await.unwrap();
    let told = callers.end().await;

    // All is well again.
    hosts.start_again();
    hosts.all_linked().await;
    let admin = &admins[0];
    for number in (0..GATEWAYS).filter(|number| *number != REVOKED) {
        admin.synchronized(&name(number)).await;
    }
    let open = [
        QueuedState::Waiting,
        QueuedState::Dispatched,
        QueuedState::Unknown,
    ];
    eventually("every call to have an outcome", async || {
        let request = ListQueuedRequest {
            states: open.map(i32::from).to_vec(),
            ..ListQueuedRequest::default()
        };
        let listed = admin.calls().list_queued(request).await.ok()?.into_inner();
        let mut left = listed.calls.iter().map(|call| &call.resource);
        left.all(|resource| *resource == name(REVOKED))
            .then_some(())
    })
    .await;

    assert!(
        told.len() > calls / 4,
        "only {} calls were made",
        told.len()
    );
    assert_eq!(
        hosts.executed(REVOKED),
        until_withdrawn,
        "calls began at a gateway after it was revoked"
    );
    let mut states = BTreeMap::<String, usize>::new();
    for told in &told {
        let Told {
            id, gateway, done, ..
        } = told;
        let found = state(admin, id).await;
        let executed = hosts.executed(*gateway).get(id).copied().unwrap_or(0);
        let expected = match (found, done) {
            // One that only reads is made again where its answer is lost.
            (None, Some(true)) if told.reads => 1..usize::MAX,
            (None, _) if told.reads => 0..usize::MAX,
            _ => times(found),
        };
        assert!(
            expected.contains(&executed),
            "{id} at host{gateway} is {found:?} and was carried out {executed} times"
        );
        match (done, found) {
            (Some(true), Some(state)) => assert_eq!(state, QueuedState::Done, "{id}"),
            (Some(false), Some(state)) => assert_ne!(state, QueuedState::Done, "{id}"),
            _ => {}
        }
        *states.entry(format!("{found:?}")).or_default() += 1;
    }
    println!("{states:?}");
    let done = states.get("Some(Done)").copied().unwrap_or(0);
    assert!(
        done > told.len() / 3,
        "too few calls came through: {states:?}"
    );
    one_end_in_the_log(admin, &told).await;
    hosts.servers[0].portcullis("audit verify").ok();
}

/// The audit log says of no call twice that it is done, or both that and that nobody knows. Each
/// attempt that began nothing has an end of its own.
async fn one_end_in_the_log(admin: &Admin, told: &[Told]) {
    // What only reads is made again where its answer is lost.
    let changing = told.iter().filter(|told| !told.reads);
    let ids: BTreeSet<_> = changing.map(|told| told.id.as_str()).collect();
    let mut ends = BTreeMap::<String, Vec<String>>::new();
    let mut before = 0;
    loop {
        let request = ListAuditRequest {
            before,
            ..ListAuditRequest::default()
        };
        let listed = admin.audit().list(request).await.unwrap().into_inner();
        let Some(first) = listed.entries.iter().map(|entry| entry.seq).min() else {
            break;
        };
        before = first;
        for entry in listed.entries {
            let is_end = ["done", "indeterminate"].contains(&entry.outcome.as_str());
            if is_end && ids.contains(entry.call_id.as_str()) && entry.action.starts_with("call ") {
                let end = format!(
                    "{} (entry {} of {}, by {}: {})",
                    entry.outcome, entry.seq, entry.begun, entry.subject, entry.detail
                );
                ends.entry(entry.call_id).or_default().push(end);
            }
        }
        if before <= 1 {
            break;
        }
    }
    for (id, ends) in ends {
        assert_eq!(ends.len(), 1, "{id} ended as {ends:?}");
    }
}
