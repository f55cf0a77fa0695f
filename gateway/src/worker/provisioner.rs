//! Takes a call from its arrival to its outcome.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use portcullis_common::id::ServerId;
use portcullis_host::nearest::nearest_first;
use portcullis_proto::gateway::v1 as wire;
use portcullis_watch::traces::{Key, Kind, Span, Tracer};
use portcullis_watch::{CallMeter, DONE, INDETERMINATE, failure_name};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{Instant, timeout};

use super::admitted::{Admitted, Ids, InFlight};
use super::call_stream::Events;
use super::guarded::{Guarded, at_length};
use super::lanes::Lanes;
use super::pages::Pages;
use super::tries::WrongTries;
use crate::connector::{Connector, Snapshots};
use crate::connectors::Connectors;
use crate::journal::Journal;
use crate::model::{Call, Failure, FailureKind, ModelError, ObjectClass, Outcome, parse_call};
use crate::moment::NotAfter;

/// Bytes of long calls that are read and carried out at the same time. What becomes of an empty
/// value takes some thirty times its bytes in memory: a quarter of a GiB at the most.
pub(super) const ROOM: usize = 8 << 20;

/// Faults of a connector that a server is told, and characters of each.
const MAX_FAULTS: usize = 8;
const MAX_FAULT: usize = 500;

/// How long connectors may take to get ready before the gateway serves without them.
const START_PATIENCE: Duration = Duration::from_secs(10);

/// How often a connector that has left the configuration is asked whether a call still uses it.
const UNUSED_INTERVAL: Duration = Duration::from_millis(500);

/// How long they may take to let go.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// Carries out calls: parses them, checks them against the guard rails, and has a connector do the
/// work.
///
/// A call that changes something and is not done at once goes on in a task of its own: where its
/// caller goes away, it is carried to its end and its outcome is logged. Cheap to clone; all clones
/// share their limits.
#[derive(Clone, Debug)]
pub struct Provisioner {
    shared: Arc<Shared>,
}

/// Connectors behind their guard rails, by name.
type GuardedByName = BTreeMap<String, Arc<Guarded>>;

#[derive(Debug)]
struct Shared {
    connectors: RwLock<GuardedByName>,
    lanes: Arc<Lanes>,
    tries: Arc<WrongTries>,
    calls: Arc<Semaphore>,
    most_calls: u32,
    call_timeout: Duration,
    in_flight: Arc<Ids>,
    journal: Journal,
    pages: Pages,
    ended: CallMeter,
    snapshots: OnceLock<Snapshots>,
    tracer: OnceLock<Tracer>,
    /// Bytes that calls may have which take long to read, all of them together.
    room: Arc<Semaphore>,
}

impl Provisioner {
    /// With these connectors, at most `calls` calls at once, each of at most `call_timeout`, and a
    /// journal that is gone with it.
    pub fn new(connectors: &Connectors, calls: usize, call_timeout: Duration) -> Self {
        Self::with_journal(connectors, calls, call_timeout, Journal::in_memory())
    }

    /// The same, with this journal.
    pub fn with_journal(
        connectors: &Connectors,
        calls: usize,
        call_timeout: Duration,
        journal: Journal,
    ) -> Self {
        let most_calls = u32::try_from(calls).unwrap_or(u32::MAX).clamp(1, 1 << 20);
        let lanes = Arc::<Lanes>::default();
        let tries = Arc::<WrongTries>::default();
        let guarded = connectors.iter().map(|(name, configured)| {
            let (lanes, tries) = (Arc::clone(&lanes), Arc::clone(&tries));
            let guarded = Guarded::new(name, configured.clone(), lanes, tries);
            (name.to_owned(), Arc::new(guarded))
        });
        let guarded = guarded.collect();
        Self {
            shared: Arc::new(Shared {
                connectors: RwLock::new(guarded),
                lanes,
                tries,
                calls: Arc::new(Semaphore::new(most_calls as usize)),
                most_calls,
                call_timeout,
                in_flight: Arc::default(),
                journal,
                pages: Pages::new(),
                ended: CallMeter::default(),
                snapshots: OnceLock::new(),
                tracer: OnceLock::new(),
                room: Arc::new(Semaphore::new(ROOM)),
            }),
        }
    }

    /// Has new calls go to these connectors. Calls under way go on with those that they began with,
    /// which let go of what they have after the last of them.
    pub async fn replace(&self, connectors: &Connectors) {
        let mut former = self.connectors();
        let mut next = GuardedByName::new();
        for (name, configured) in connectors.iter() {
            let same = former.get(name).filter(|there| there.holds(configured));
            let guarded = match same {
                Some(same) => Arc::clone(same),
                None => {
                    let lanes = Arc::clone(&self.shared.lanes);
                    let tries = Arc::clone(&self.shared.tries);
                    let guarded = Guarded::new(name, configured.clone(), lanes, tries);
                    let starting = start(name.to_owned(), Arc::clone(&configured.connector));
                    if timeout(START_PATIENCE, starting).await.is_err() {
                        tracing::warn!(
                            connector = name,
                            "did not get ready in time: its calls may fail"
                        );
                    }
                    Arc::new(guarded)
                }
            };
            next.insert(name.to_owned(), guarded);
        }
        former.retain(|name, guarded| {
            next.get(name)
                .is_none_or(|there| !there.shares_connector(guarded))
        });
        let connectors = &self.shared.connectors;
        *connectors.write().unwrap_or_else(PoisonError::into_inner) = next;
        for guarded in former.into_values() {
            tokio::spawn(stop_when_unused(guarded));
        }
    }

    fn connectors(&self) -> GuardedByName {
        let connectors = &self.shared.connectors;
        connectors
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Lets every connector get ready, all of them at once. One that fails is logged, and the
    /// others serve all the same.
    pub async fn start(&self) {
        let starting = self.connectors_at_once(start);
        if timeout(START_PATIENCE, starting).await.is_err() {
            tracing::warn!(
                "a connector did not get ready in time: it is cut off, and its calls may fail"
            );
        }
    }

    /// Lets every connector let go of what it has, once no call is under way.
    pub async fn stop(&self) {
        let stopping =
            self.connectors_at_once(|_, connector| async move { connector.stop().await });
        if timeout(STOP_PATIENCE, stopping).await.is_err() {
            tracing::warn!("a connector did not let go of its resource in time, and is cut off");
        }
    }

    /// Runs `work` on every connector, each in a task of its own, so that none holds up or takes
    /// down another.
    async fn connectors_at_once<F>(&self, work: impl Fn(String, Arc<dyn Connector>) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let connectors = self.connectors();
        let mut working: JoinSet<()> = connectors
            .iter()
            .map(|(name, guarded)| work(name.clone(), Arc::clone(&guarded.configured.connector)))
            .collect();
        while let Some(ended) = working.join_next().await {
            // What the panic held is not repeated: nobody knows what it is.
            if ended.is_err() {
                tracing::error!(
                    "a connector failed as it started or stopped, which is a fault in its program: please report it"
                );
            }
        }
    }

    /// Carries out a call of any verb but `search`, which nobody asks for afterwards.
    pub async fn execute(&self, call: wire::Call) -> Outcome {
        match self.admit(call).await {
            Ok(admitted) => admitted.carry_out(None).await,
            Err(failure) => Outcome::Failed(failure),
        }
    }

    /// As [`Self::execute_until`], and counts it.
    pub(super) async fn execute_counted(
        &self,
        server: ServerId,
        mut call: wire::Call,
        not_after: NotAfter,
    ) -> Outcome {
        let (verb, begun) = (call.verb_name(), Instant::now());
        let span = self.begin(&mut call);
        let outcome = self.execute_until(server, call, not_after).await;
        let ended = outcome_label(&outcome);
        self.ended().ended(verb, ended, begun.elapsed());
        span.end(ended);
        outcome
    }

    /// What a search or a sync finds.
    pub(super) fn events(&self, call: wire::Call) -> Events {
        match &call.verb {
            Some(wire::call::Verb::Sync(_)) => Events::Sync(self.sync(call)),
            _ => Events::Search(self.search(call)),
        }
    }

    /// What its connectors offer, as the host now is.
    pub async fn describe(&self) -> Vec<wire::ConnectorInfo> {
        let connectors = self.connectors();
        // It reads files.
        let described = spawn_blocking(move || describe(&connectors)).await;
        described.unwrap_or_default()
    }

    /// The pages of searches that go on.
    pub(super) fn pages(&self) -> &Pages {
        &self.shared.pages
    }

    /// The journal of its calls.
    pub fn journal(&self) -> &Journal {
        &self.shared.journal
    }

    /// Calls that ended, counted.
    pub fn ended(&self) -> &CallMeter {
        &self.shared.ended
    }

    /// From now on connectors that have no history of their own keep in this folder what they have
    /// seen at a sync.
    pub fn keep_snapshots(&self, folder: &Path) {
        // The first folder stays: nobody has a second one.
        let _ = self.shared.snapshots.set(Snapshots::new(folder));
    }

    /// Where connectors keep what they have seen, if anywhere.
    pub(super) fn snapshots(&self) -> Option<&Snapshots> {
        self.shared.snapshots.get()
    }

    /// From now on calls that belong to a trace have spans.
    pub fn trace(&self, tracer: Tracer) {
        // The first one stays, as above.
        let _ = self.shared.tracer.set(tracer);
    }

    /// What makes spans, where there is something.
    pub fn tracer(&self) -> Option<&Tracer> {
        self.shared.tracer.get()
    }

    /// A call has come: all that is done for it belongs to this span.
    pub(super) fn begin(&self, call: &mut wire::Call) -> Span {
        let tracer = self.tracer().cloned().unwrap_or_default();
        let trace = tracer.continued(&call.traceparent);
        let mut span = trace.begin(Kind::Server, "call");
        span.set(Key::Verb, call.verb_name());
        call.traceparent = span.trace().traceparent();
        span
    }

    /// A call as it came, checked; by this it also has its place in its trace.
    pub(super) fn parse_call(
        &self,
        call: wire::Call,
        further: &[ObjectClass],
    ) -> Result<Call, ModelError> {
        let tracer = self.tracer().cloned().unwrap_or_default();
        let trace = tracer.continued(&call.traceparent);
        let call = parse_call(call, further)?;
        Ok(Call { trace, ..call })
    }

    /// Room for a long call of so many bytes, which it takes until what comes back is dropped.
    /// `None`: others have it all.
    pub(super) fn room_for(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let room = Arc::clone(&self.shared.room);
        room.try_acquire_many_owned(u32::try_from(bytes).ok()?).ok()
    }

    /// Waits until no call is under way: what was begun has then ended.
    pub async fn idle(&self) {
        // Fails only where the semaphore is closed, which never happens.
        let _ = self.shared.calls.acquire_many(self.shared.most_calls).await;
    }

    pub(super) async fn admit(&self, call: wire::Call) -> Result<Admitted, Failure> {
        let arrived = Instant::now();
        let call = self.parse(call).await?;
        let in_flight = InFlight::new(&self.shared.in_flight, call.id.as_str())?;
        let admitted = self.admit_parsed(call, arrived)?;
        Ok(Admitted {
            in_flight: Some(in_flight),
            ..admitted
        })
    }

    /// A call that came at this time, where there is room for it. Nobody keeps its id from being
    /// used a second time.
    pub(super) fn admit_parsed(&self, call: Call, arrived: Instant) -> Result<Admitted, Failure> {
        let guarded = self.guarded(&call)?;
        let permit = Arc::clone(&self.shared.calls).try_acquire_owned();
        let Ok(permit) = permit else {
            return Err(too_many(self.shared.most_calls));
        };
        Ok(Admitted {
            deadline: self.deadline(&call, arrived),
            guarded,
            call,
            in_flight: None,
            permit,
        })
    }

    async fn parse(&self, call: wire::Call) -> Result<Call, Failure> {
        let further = self.further_classes(&call.connector);
        let weight = weight(&call);
        let provisioner = self.clone();
        let parsing = at_length(weight, move || provisioner.parse_call(call, &further));
        Ok(parsing.await??)
    }

    /// The classes that a connector has beside accounts and groups.
    pub(super) fn further_classes(&self, connector: &str) -> Vec<ObjectClass> {
        let connectors = self.connectors();
        let found = connectors.get(connector);
        found.map_or_else(Vec::new, |guarded| {
            guarded.configured.connector.further_classes()
        })
    }

    /// When a call that came at this time has to have ended.
    pub(super) fn deadline(&self, call: &Call, arrived: Instant) -> Instant {
        let limit = self.shared.call_timeout;
        arrived + call.timeout.map_or(limit, |asked| asked.min(limit))
    }

    /// The connector that a call is for, with the settings that it has.
    pub(super) fn guarded(&self, call: &Call) -> Result<Arc<Guarded>, Failure> {
        let connectors = self.connectors();
        let Some(guarded) = connectors.get(call.connector.as_str()) else {
            return Err(no_connector(
                call.connector.as_str(),
                connectors.keys().map(String::as_str),
            ));
        };
        let known = guarded.configured.connector.settings();
        let mut given = call.settings.keys().chain(call.secret_settings.keys());
        if let Some(unknown) = given.find(|name| !known.contains(name)) {
            return Err(Failure::invalid(format!(
                "connector `{}` has no setting `{unknown}`; it has {}",
                call.connector,
                nearest_first(unknown, known.iter().map(String::as_str)),
            )));
        }
        let names = guarded.configured.connector.logs_in_as(&call.settings);
        let rails = &guarded.configured.guard_rails;
        names.iter().try_for_each(|name| rails.check_log_in(name))?;
        Ok(Arc::clone(guarded))
    }
}

async fn start(name: String, connector: Arc<dyn Connector>) {
    if let Err(failure) = connector.start().await {
        tracing::warn!(connector = name, "does not start: {}", failure.message);
    }
}

/// Lets a connector that takes no new calls let go of what it has, after its last one.
async fn stop_when_unused(guarded: Arc<Guarded>) {
    while Arc::strong_count(&guarded) > 1 {
        tokio::time::sleep(UNUSED_INTERVAL).await;
    }
    let stopping = guarded.configured.connector.stop();
    if timeout(STOP_PATIENCE, stopping).await.is_err() {
        tracing::warn!("a connector did not let go of its resource in time, and is cut off");
    }
}

/// How many values a call holds.
pub(super) fn weight(call: &wire::Call) -> usize {
    use wire::call::Verb;
    let of = |attributes: &[wire::Attribute]| -> usize {
        attributes.iter().map(|given| given.values.len()).sum()
    };
    match &call.verb {
        Some(Verb::Create(create)) => of(&create.attributes),
        Some(Verb::Run(run)) => of(&run.arguments),
        Some(Verb::Update(update)) => {
            let changes = update.modifications.iter();
            changes.map(|change| change.values.len()).sum()
        }
        _ => 0,
    }
}

/// So many calls are carried out already.
pub(super) fn too_many(most: u32) -> Failure {
    Failure::new(
        FailureKind::Busy,
        format!(
            "this gateway carries out {most} calls already, which is its limit (`limits.calls`): try again later"
        ),
    )
}

/// There is no connector of this name, but `known` ones.
pub(super) fn no_connector<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Failure {
    Failure::not_found(format!(
        "this gateway has no connector `{name}`: give the resource one of those in the gateway's configuration ({})",
        nearest_first(name, known),
    ))
}

fn describe(connectors: &GuardedByName) -> Vec<wire::ConnectorInfo> {
    let short = |fault: String| fault.chars().take(MAX_FAULT).collect();
    let described = connectors.iter().map(|(name, guarded)| {
        let configured = &guarded.configured;
        let verbs = configured.open_verbs();
        let faults = configured.inspect().faults.into_iter().take(MAX_FAULTS);
        wire::ConnectorInfo {
            name: name.clone(),
            r#type: configured.connector.kind().to_owned(),
            allowed_verbs: verbs.iter().map(ToString::to_string).collect(),
            faults: faults.map(short).collect(),
        }
    });
    described.collect()
}

fn outcome_label(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Done(_) => DONE,
        Outcome::Failed(failure) => failure_label(Some(failure)),
        Outcome::Indeterminate(_) => INDETERMINATE,
    }
}

/// What came of a search or a sync.
pub(super) fn failure_label(failure: Option<&Failure>) -> &'static str {
    failure.map_or(DONE, |failure| failure_name(failure.kind.into()))
}

#[cfg(test)]
#[path = "provisioner_tests.rs"]
mod tests;
