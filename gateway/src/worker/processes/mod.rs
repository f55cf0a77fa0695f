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

mod alive;
mod attendance;
mod calls;
mod frame;
#[cfg(feature = "fuzzing")]
pub mod fuzzed;
mod journals;
mod logs;
mod orders;
mod serving;
mod spans;

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use portcullis_common::id::ServerId;
use portcullis_proto::gateway::v1 as wire;
use portcullis_proto::worker::v1::answer::What as Answered;
use portcullis_proto::worker::v1::order::What;
use portcullis_proto::worker::v1::{Describe, Description, JournalShare, Reload, Reloaded};
use portcullis_watch::CallMeter;
use portcullis_watch::traces::Tracer;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;

pub use self::alive::silence;
use self::journals::Journals;
pub use self::serving::{Asked, Serving, SocketError, serve};
use super::door::Described;
use super::provisioner::ROOM;
use crate::config::{Config, ConnectorsConfig, WorkerConfig, WorkerKind};
use crate::journal::Share;
use crate::state_dir::StateDir;

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
    tracer: OnceLock<Tracer>,
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
                tracer: OnceLock::new(),
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
                    described.shares.extend(shares(description.journal_shares));
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

    fn socket(&self, kind: WorkerKind) -> Option<&Socket> {
        self.shared.sockets.get(&kind)
    }
}

fn placed(config: &ConnectorsConfig) -> BTreeMap<String, (WorkerKind, String)> {
    let connectors = config.connectors.iter();
    connectors
        .filter_map(|entry| Some((entry.name.clone(), (entry.worker?, entry.kind.clone()))))
        .collect()
}

/// What servers have of the journal of a worker.
fn shares(told: Vec<JournalShare>) -> impl Iterator<Item = Share> {
    told.into_iter().filter_map(|share| {
        Some(Share {
            server: ServerId::from_bytes(&share.server_id)?,
            bytes: share.bytes,
            writable: share.writable,
        })
    })
}

fn nonsense(kind: WorkerKind) -> String {
    format!("the worker `{kind}` answered something else than was asked")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Whole at every moment, whoever panicked meanwhile.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
