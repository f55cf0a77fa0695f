//! A gateway in processes: this one faces the servers, and hands their calls on to workers.
//!
//! ```text
//! servers ══ sealed channel ══▶ front ──▶ privileged: guard rails, journal, `unix`, scripts
//!                                 └─────▶ networked: guard rails, journal, directories, databases
//! ```
//!
//! An order is a call, or a question about calls: never a command, and never a path. Whoever
//! breaks this process can call what a server can, and passes no guard rail with it. Each order
//! has a connection of its own, which ends with the answer; where it ends before, the worker
//! ended, and nobody knows what became of a call that changes something until the worker is asked
//! again.

mod frame;
mod journals;
mod serving;

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use portcullis_common::calls::MAX_ANSWER;
use portcullis_common::id::ServerId;
use portcullis_proto::gateway::v1 as wire;
use portcullis_proto::worker::v1::answer::What as Answered;
use portcullis_proto::worker::v1::order::What;
use portcullis_proto::worker::v1::{
    Answer, Describe, Description, JournalMark, Order, Reload, Reloaded,
};
use portcullis_watch::{CallMeter, failure_name, outcome_name};
use tokio::net::UnixStream;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout, timeout_at};
use wire::call::Verb;
use wire::search_item::Kind as Item;

use self::journals::Journals;
pub use self::serving::{Asked, Serving, SocketError, serve};
use super::change::not_looked;
use super::door::Described;
use super::provisioner::ROOM;
use crate::config::{Config, ConnectorsConfig, WorkerConfig, WorkerKind};
use crate::model::{Evidence, Failure, Outcome};
use crate::state_dir::StateDir;

/// How long a worker may take to answer what needs no resource.
const PATIENCE: Duration = Duration::from_secs(5);
/// How much longer than a call may take a worker is waited for: it may look at the resource first,
/// and a server waits a little longer still.
const SLACK: Duration = Duration::from_secs(9);
/// Items that wait for a slow server before the worker waits, too.
const BUFFER: usize = 64;
/// Bytes of an answer beside the message of the gateway's own protocol that it holds.
const AROUND: usize = 1 << 10;

/// The workers of this gateway, as the process that faces the servers has them. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Workers {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    instance: String,
    sockets: BTreeMap<WorkerKind, Socket>,
    /// Of each connector the worker and the type.
    connectors: RwLock<BTreeMap<String, (WorkerKind, String)>>,
    journals: Arc<Mutex<Journals>>,
    /// Servers that say which outcomes they have.
    acknowledging: Mutex<HashSet<ServerId>>,
    calls: Arc<Semaphore>,
    most_calls: u32,
    call_timeout: Duration,
    room: Arc<Semaphore>,
    ended: CallMeter,
    changed: Notify,
}

#[derive(Debug)]
struct Socket {
    config: WorkerConfig,
    /// What it said last of its connectors.
    said: Mutex<Vec<wire::ConnectorInfo>>,
    /// One description at a time: what is said first is taken first.
    describing: tokio::sync::Mutex<()>,
}

/// Why there is no answer of a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Lost {
    /// The call cannot be carried out here.
    Refused(Failure),
    /// Nothing of the order was begun: the worker is away, or refused it.
    Away(String),
    /// The same, since its journal is not the one that is known.
    OtherJournal(String),
    /// It took the order, and did not answer.
    Silent(String),
}

impl Workers {
    /// As `config` has them; `None`: this gateway is one process.
    pub fn new(config: &Config) -> Option<Self> {
        let workers = config.workers.as_ref()?;
        let most_calls = u32::try_from(config.limits.calls).unwrap_or(u32::MAX);
        let most_calls = most_calls.clamp(1, 1 << 20);
        let socket = |kind| Socket {
            config: workers.of(kind).clone(),
            said: Mutex::default(),
            describing: tokio::sync::Mutex::default(),
        };
        let sockets = WorkerKind::ALL.map(|kind| (kind, socket(kind)));
        let journals = Journals::load(StateDir::of(config));
        Some(Self {
            shared: Arc::new(Shared {
                instance: config.instance.clone(),
                sockets: sockets.into(),
                connectors: RwLock::new(placed(&config.connectors)),
                journals: Arc::new(Mutex::new(journals)),
                acknowledging: Mutex::default(),
                calls: Arc::new(Semaphore::new(most_calls as usize)),
                most_calls,
                call_timeout: config.limits.call_timeout,
                room: Arc::new(Semaphore::new(ROOM)),
                ended: CallMeter::default(),
                changed: Notify::new(),
            }),
        })
    }

    /// Waits until the journal of a worker was found to be another one, or behind: what sessions
    /// were told of it before does not hold.
    pub async fn journal_lost(&self) {
        self.shared.changed.notified().await;
    }

    /// Room for a long call, as [`super::Provisioner::room_for`] has it.
    pub(super) fn room_for(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let room = Arc::clone(&self.shared.room);
        room.try_acquire_many_owned(u32::try_from(bytes).ok()?).ok()
    }

    /// Calls that ended, counted.
    pub(super) fn ended(&self) -> &CallMeter {
        &self.shared.ended
    }

    /// Waits until no call is under way.
    pub(super) async fn idle(&self) {
        // Fails only where the semaphore is closed, which never happens.
        let _ = self.shared.calls.acquire_many(self.shared.most_calls).await;
    }

    /// Notes whether a server says which outcomes it has.
    pub(super) fn set_acknowledging(&self, server: ServerId, acknowledges: bool) {
        let mut servers = lock(&self.shared.acknowledging);
        if acknowledges {
            servers.insert(server);
        } else {
            servers.remove(&server);
        }
    }

    /// What the workers say of themselves.
    pub(super) async fn describe(&self) -> Described {
        let used = self.used();
        let asked = used.iter().map(|kind| self.description(*kind));
        let answers = futures_util::future::join_all(asked).await;
        let told = lock(&self.shared.journals).told();
        let mut described = Described {
            journal: wire::JournalInfo {
                incarnation: told.incarnation,
                sequence: told.sequence,
                fault: String::new(),
            },
            asked: used.clone(),
            ..Described::default()
        };
        let mut faults = Vec::new();
        for (kind, answer) in used.into_iter().zip(answers) {
            match answer {
                Ok(description) => {
                    let journal = description.journal.unwrap_or_default();
                    if !journal.fault.is_empty() {
                        faults.push(format!("worker `{kind}`: {}", journal.fault));
                    }
                    let bytes = described.journal_bytes.unwrap_or_default();
                    described.journal_bytes = Some(bytes.max(description.journal_bytes));
                    described.connectors.extend(description.connectors);
                }
                Err(why) => {
                    described.connectors.extend(self.away(kind, &why));
                    described.away.push((kind, why));
                }
            }
        }
        described.journal.fault = faults.join("; ");
        described.connectors.sort_by(|a, b| a.name.cmp(&b.name));
        described
    }

    /// The workers that have connectors.
    fn used(&self) -> Vec<WorkerKind> {
        let connectors = self.shared.connectors.read();
        let connectors = connectors.unwrap_or_else(PoisonError::into_inner);
        let used = |kind: &WorkerKind| connectors.values().any(|(at, _)| at == kind);
        WorkerKind::ALL.into_iter().filter(used).collect()
    }

    /// The connectors of a worker that does not answer, as far as they are known.
    fn away(&self, kind: WorkerKind, why: &str) -> Vec<wire::ConnectorInfo> {
        let connectors = self.shared.connectors.read();
        let connectors = connectors.unwrap_or_else(PoisonError::into_inner);
        let said = self.socket(kind).map(|socket| lock(&socket.said).clone());
        let said = said.unwrap_or_default();
        let own = connectors.iter().filter(|(_, (at, _))| *at == kind);
        own.map(|(name, (_, kind))| {
            let before = said.iter().find(|info| info.name == *name);
            wire::ConnectorInfo {
                name: name.clone(),
                r#type: kind.clone(),
                allowed_verbs: before.map_or_else(Vec::new, |info| info.allowed_verbs.clone()),
                faults: vec![why.to_owned()],
            }
        })
        .collect()
    }

    /// What a worker says of itself, noted before anybody is told.
    async fn description(&self, kind: WorkerKind) -> Result<Description, String> {
        let socket = self.socket(kind).ok_or("there is no such worker")?;
        let _one = socket.describing.lock().await;
        let order = self.order(None, None, What::Describe(Describe {}));
        let description = match self.ask(kind, order).await {
            Ok(Answered::Description(description)) => description,
            Ok(_) => return Err(nonsense(kind)),
            Err(lost) => return Err(lost.message()),
        };
        let journal = description.journal.clone().unwrap_or_default();
        let journals = Arc::clone(&self.shared.journals);
        let taking = spawn_blocking(move || {
            lock(&journals).take(kind, &journal.incarnation, journal.sequence)
        });
        match taking.await {
            Ok(Ok(false)) => {}
            Ok(Ok(true)) => {
                tracing::warn!(name: "journal_lost", worker = %kind, "the worker's journal is another one than before, or was put back to an earlier state: the servers are told");
                self.shared.changed.notify_one();
            }
            Ok(Err(error)) => {
                return Err(format!(
                    "what is known of the workers' journals cannot be kept: {error}"
                ));
            }
            Err(_) => return Err("what is known of the workers' journals is lost".to_owned()),
        }
        lock(&socket.said).clone_from(&description.connectors);
        Ok(description)
    }

    /// Carries out a call of any verb but search and sync. `told` is the incarnation of the
    /// journal that the session knows of.
    pub(super) async fn execute(
        &self,
        server: ServerId,
        call: wire::Call,
        told: Option<&[u8]>,
    ) -> wire::Outcome {
        let (verb, begun, id) = (call.verb_name(), Instant::now(), call.call_id.clone());
        let as_it_was = AsItWas::of(&call);
        let outcome = match self.execute_at(server, call, told).await {
            Ok(outcome) => outcome,
            Err(lost) => {
                if let Lost::Silent(message) = &lost {
                    tracing::warn!(verb, "a worker did not answer a call: {message}");
                }
                as_it_was.outcome(lost).into_wire(id)
            }
        };
        let ended = outcome_name(&outcome);
        self.shared.ended.ended(verb, ended, begun.elapsed());
        outcome
    }

    async fn execute_at(
        &self,
        server: ServerId,
        call: wire::Call,
        told: Option<&[u8]>,
    ) -> Result<wire::Outcome, Lost> {
        let kind = self.worker_of(&call)?;
        let _permit = self.permit()?;
        let deadline = self.deadline(&call);
        let mark = match call.changes() {
            true => Some(self.mark(kind, call.look, told).await?),
            false => None,
        };
        let order = self.order(Some(server), mark, What::Call(call));
        let mut stream = self.send(kind, order).await?;
        match self.answer(kind, &mut stream, deadline).await {
            Ok(Answered::Outcome(outcome)) => Ok(outcome),
            Ok(_) => Err(Lost::Silent(nonsense(kind))),
            Err(Lost::OtherJournal(message)) => {
                // Notes which one it is, and tells the sessions; what comes of it is told there.
                let _ = self.description(kind).await;
                Err(Lost::Away(message))
            }
            Err(lost) => Err(lost),
        }
    }

    /// Carries out a search or a sync: its items, of which the last is the end. To drop the
    /// receiver ends it.
    pub(super) fn items(&self, server: ServerId, call: wire::Call) -> mpsc::Receiver<Item> {
        let (items, receiver) = mpsc::channel(BUFFER);
        let workers = self.clone();
        tokio::spawn(async move {
            let (verb, begun) = (call.verb_name(), Instant::now());
            let forwarding = workers.forward(server, call, &items);
            let end = tokio::select! {
                end = forwarding => end,
                () = items.closed() => return,
            };
            let end = end.unwrap_or_else(|lost| wire::SearchEnd {
                failure: Some(lost.failure().into()),
                ..wire::SearchEnd::default()
            });
            let failure = end.failure.as_ref();
            let ended = failure.map_or(portcullis_watch::DONE, |why| failure_name(why.kind()));
            workers.shared.ended.ended(verb, ended, begun.elapsed());
            // Nobody listens any more: then nobody misses the end.
            let _ = items.send(Item::End(end)).await;
        });
        receiver
    }

    async fn forward(
        &self,
        server: ServerId,
        call: wire::Call,
        items: &mpsc::Sender<Item>,
    ) -> Result<wire::SearchEnd, Lost> {
        let kind = self.worker_of(&call)?;
        let _permit = self.permit()?;
        let patience = self.limit(&call) + SLACK;
        let order = self.order(Some(server), None, What::Call(call));
        let mut stream = self.send(kind, order).await?;
        loop {
            let deadline = Instant::now() + patience;
            let answer = self.answer(kind, &mut stream, deadline).await?;
            let Answered::Item(wire::SearchItem { kind: Some(item) }) = answer else {
                return Err(Lost::Silent(nonsense(kind)));
            };
            if let Item::End(end) = item {
                return Ok(end);
            }
            if items.send(item).await.is_err() {
                // Nobody listens any more.
                return Ok(wire::SearchEnd::default());
            }
        }
    }

    /// What the workers' journals have of these calls. An id that is missing says nothing, also
    /// where a worker is away.
    pub(super) async fn finished(
        &self,
        server: ServerId,
        call_ids: Vec<String>,
    ) -> Vec<wire::FinishedCall> {
        let mut all = Vec::new();
        for kind in self.used() {
            let request = wire::FinishedRequest {
                call_ids: call_ids.clone(),
            };
            let order = self.order(Some(server), None, What::Finished(request));
            match self.ask(kind, order).await {
                Ok(Answered::Finished(finished)) => all.extend(finished.calls),
                Ok(_) => tracing::warn!("{}", nonsense(kind)),
                Err(lost) => {
                    tracing::warn!(worker = %kind, "its journal was not asked: {}", lost.message());
                }
            }
        }
        all
    }

    /// Tells the workers that a server has these outcomes.
    ///
    /// # Errors
    /// Which of them was not told: the server has to say it again.
    pub(super) async fn acknowledge(
        &self,
        server: ServerId,
        call_ids: Vec<String>,
    ) -> Result<(), String> {
        for kind in self.used() {
            let request = wire::AcknowledgeRequest {
                call_ids: call_ids.clone(),
            };
            let order = self.order(Some(server), None, What::Acknowledge(request));
            match self.ask(kind, order).await {
                Ok(Answered::Acknowledged(_)) => {}
                Ok(_) => return Err(nonsense(kind)),
                Err(lost) => return Err(lost.message()),
            }
        }
        Ok(())
    }

    /// Has calls go to these connectors from now on, and the workers read their configuration
    /// again.
    pub async fn reload(&self, config: &ConnectorsConfig) -> Reloaded {
        let before = self.used();
        let placed = placed(config);
        *self
            .shared
            .connectors
            .write()
            .unwrap_or_else(PoisonError::into_inner) = placed;
        let mut all = Reloaded::default();
        let used = self.used();
        for kind in WorkerKind::ALL {
            if !before.contains(&kind) && !used.contains(&kind) {
                continue;
            }
            let order = self.order(None, None, What::Reload(Reload {}));
            match self.ask(kind, order).await {
                Ok(Answered::Reloaded(reloaded)) => {
                    let named = |line| format!("worker `{kind}`: {line}");
                    all.problems
                        .extend(reloaded.problems.into_iter().map(named));
                    all.changes.extend(reloaded.changes);
                    all.faults.extend(reloaded.faults);
                }
                Ok(_) => all.problems.push(nonsense(kind)),
                // It reads it when it starts.
                Err(lost) => all.faults.push(lost.message()),
            }
        }
        all
    }

    /// The worker of a call's connector.
    fn worker_of(&self, call: &wire::Call) -> Result<WorkerKind, Lost> {
        let connectors = self.shared.connectors.read();
        let connectors = connectors.unwrap_or_else(PoisonError::into_inner);
        let found = connectors.get(&call.connector).map(|(kind, _)| *kind);
        found.ok_or_else(|| {
            let names = connectors.keys().map(String::as_str);
            Lost::Refused(super::provisioner::no_connector(&call.connector, names))
        })
    }

    fn permit(&self) -> Result<OwnedSemaphorePermit, Lost> {
        let permit = Arc::clone(&self.shared.calls).try_acquire_owned();
        permit.map_err(|_| Lost::Refused(super::provisioner::too_many(self.shared.most_calls)))
    }

    fn limit(&self, call: &wire::Call) -> Duration {
        let limit = self.shared.call_timeout;
        match call.timeout_ms {
            0 => limit,
            asked => limit.min(Duration::from_millis(asked.into())),
        }
    }

    fn deadline(&self, call: &wire::Call) -> Instant {
        Instant::now() + self.limit(call) + SLACK
    }

    /// The journal that a worker has to have for a change. A look whose session was told of
    /// another one would take what is missing in this one for not begun.
    async fn mark(
        &self,
        kind: WorkerKind,
        look: bool,
        told: Option<&[u8]>,
    ) -> Result<JournalMark, Lost> {
        let known = |journals: &Journals| (journals.mark(kind), journals.told().incarnation);
        let (mut mark, mut incarnation) = known(&lock(&self.shared.journals));
        if mark.is_none() {
            self.description(kind).await.map_err(Lost::Away)?;
            (mark, incarnation) = known(&lock(&self.shared.journals));
        }
        let same = told.map_or(!look, |told| told == incarnation);
        if !same {
            return Err(Lost::Away(
                "the journal of a worker was lost since this session was told of it: a new session knows more".to_owned(),
            ));
        }
        mark.ok_or_else(|| {
            Lost::Away(format!(
                "nothing is known of the journal of worker `{kind}`"
            ))
        })
    }

    fn socket(&self, kind: WorkerKind) -> Option<&Socket> {
        self.shared.sockets.get(&kind)
    }

    fn order(&self, server: Option<ServerId>, journal: Option<JournalMark>, what: What) -> Order {
        let acknowledges =
            server.is_some_and(|server| lock(&self.shared.acknowledging).contains(&server));
        Order {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            instance: self.shared.instance.clone(),
            server_id: server.map_or_else(Vec::new, |server| server.to_bytes().to_vec()),
            acknowledges,
            journal,
            what: Some(what),
        }
    }

    /// Asks what needs no resource.
    async fn ask(&self, kind: WorkerKind, order: Order) -> Result<Answered, Lost> {
        let mut stream = self.send(kind, order).await?;
        self.answer(kind, &mut stream, Instant::now() + PATIENCE)
            .await
    }

    /// Sends an order. A worker that has not had all of it has begun nothing.
    async fn send(&self, kind: WorkerKind, order: Order) -> Result<UnixStream, Lost> {
        let Some(socket) = self.socket(kind) else {
            return Err(Lost::Away(format!("there is no worker `{kind}`")));
        };
        let path = &socket.config.socket;
        let sending = async {
            let mut stream = UnixStream::connect(path).await?;
            frame::write(&mut stream, &order).await?;
            Ok::<_, io::Error>(stream)
        };
        let sent = timeout(PATIENCE, sending).await;
        let sent = sent.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        sent.map_err(|error| {
            Lost::Away(format!(
                "the worker `{kind}` cannot be reached at {} ({error}): nothing was begun; `systemctl status {}` says why",
                path.display(),
                kind.unit(&self.shared.instance)
            ))
        })
    }

    async fn answer(
        &self,
        kind: WorkerKind,
        stream: &mut UnixStream,
        deadline: Instant,
    ) -> Result<Answered, Lost> {
        let silent = |why: &dyn std::fmt::Display| {
            Lost::Silent(format!("the worker `{kind}` took the order, and {why}"))
        };
        let reading = async {
            let Some(length) = frame::length(stream, MAX_ANSWER as usize + AROUND).await? else {
                return Err(io::ErrorKind::UnexpectedEof.into());
            };
            frame::body::<Answer>(stream, length).await
        };
        let answer = match timeout_at(deadline, reading).await {
            Err(_) => return Err(silent(&"did not answer in time")),
            Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(silent(&"ended before it told what came of it"));
            }
            Ok(Err(error)) => {
                return Err(silent(&format_args!("its answer cannot be read: {error}")));
            }
            Ok(Ok(answer)) => answer,
        };
        match answer.what {
            Some(Answered::Refused(refusal)) => {
                let message = format!("worker `{kind}`: {}", refusal.message);
                match refusal.other_journal {
                    true => Err(Lost::OtherJournal(message)),
                    false => Err(Lost::Away(message)),
                }
            }
            Some(answered) => Ok(answered),
            None => Err(silent(&"its answer says nothing")),
        }
    }
}

impl Lost {
    fn message(self) -> String {
        match self {
            Self::Refused(failure) => failure.message,
            Self::Away(message) | Self::OtherJournal(message) | Self::Silent(message) => message,
        }
    }

    /// What came of a call that changes nothing.
    fn failure(self) -> Failure {
        match self {
            Self::Refused(failure) => failure,
            Self::Away(message) | Self::OtherJournal(message) | Self::Silent(message) => {
                Failure::unavailable(message)
            }
        }
    }
}

/// What has to be known of a call that is handed on, to say what came of it without an answer.
#[derive(Clone, Copy, Debug)]
struct AsItWas {
    changes: bool,
    look: bool,
    /// It tries a password, and whoever asks wants to know whether it was sent.
    tries: bool,
}

impl AsItWas {
    fn of(call: &wire::Call) -> Self {
        let tries = |verb: &Verb| matches!(verb, Verb::Authenticate(it) if it.tells_unknown);
        Self {
            changes: call.changes(),
            look: call.look,
            tries: call.verb.as_ref().is_some_and(tries),
        }
    }

    fn outcome(self, lost: Lost) -> Outcome {
        match lost {
            lost if self.look && self.changes => not_looked(&lost.message(), &Evidence::default()),
            Lost::Silent(message) if self.changes => not_looked(&message, &Evidence::default()),
            Lost::Silent(message) if self.tries => Outcome::Indeterminate(message.into()),
            lost => Outcome::Failed(lost.failure()),
        }
    }
}

fn placed(config: &ConnectorsConfig) -> BTreeMap<String, (WorkerKind, String)> {
    let connectors = config.connectors.iter();
    connectors
        .filter_map(|entry| Some((entry.name.clone(), (entry.worker?, entry.kind.clone()))))
        .collect()
}

fn nonsense(kind: WorkerKind) -> String {
    format!("the worker `{kind}` answered something else than was asked")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Whole at every moment, whoever panicked meanwhile.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::FailureKind;

    #[test]
    fn without_an_answer_a_call_is_told_as_after_a_crash() {
        let away = || Lost::Away("away".to_owned());
        let silent = || Lost::Silent("silent".to_owned());
        let call = |changes, look, tries| AsItWas {
            changes,
            look,
            tries,
        };
        for (call, lost, expected) in [
            (call(true, false, false), away(), "unavailable"),
            (call(true, false, false), silent(), "look again"),
            (call(true, true, false), away(), "look again"),
            (call(true, true, false), silent(), "look again"),
            (call(false, false, false), silent(), "unavailable"),
            (call(false, false, true), away(), "unavailable"),
            (call(false, false, true), silent(), "unknown"),
        ] {
            let came = match call.outcome(lost.clone()) {
                Outcome::Failed(failure) if failure.kind == FailureKind::Unavailable => {
                    "unavailable"
                }
                Outcome::Indeterminate(why) if why.look_again => "look again",
                Outcome::Indeterminate(_) => "unknown",
                other => panic!("{other:?}"),
            };
            assert_eq!(came, expected, "{call:?} {lost:?}");
        }
    }
}
