//! The one door to all that carries out calls: it is in this process, or in workers.

use std::sync::{Arc, Mutex, PoisonError};

use portcullis_common::id::ServerId;
use portcullis_host::log::Line;
use portcullis_proto::gateway::v1 as wire;
use portcullis_watch::CallMeter;
use portcullis_watch::traces::Tracer;
use tokio::sync::OwnedSemaphorePermit;

use super::Provisioner;
use super::call_stream::Events;
use super::processes::Workers;
use crate::config::WorkerKind;
use crate::connectors::Connectors;
use crate::journal::Share;
use crate::moment::NotAfter;

/// Calls that one request asks for: the answer stays within the limit of a control message.
pub const MAX_ASKED: usize = 64;
/// Calls that one request acknowledges: the request does.
pub const MAX_ACKNOWLEDGED: usize = 512;

/// Where calls are carried out. Cheap to clone.
#[derive(Clone, Debug)]
pub enum Door {
    /// In this process.
    Here(Provisioner),
    /// In workers.
    Workers(Workers),
}

/// What a gateway offers, and how far its journal is.
#[derive(Clone, Debug, Default)]
pub struct Described {
    /// Its connectors, as the host now is.
    pub connectors: Vec<wire::ConnectorInfo>,
    /// The journal, as a server is told of it.
    pub journal: wire::JournalInfo,
    /// Bytes of the largest journal of a worker; `None`: the journal is this process's own.
    pub journal_bytes: Option<u64>,
    /// What each server has of the journal, or of the journals of the workers.
    pub shares: Vec<Share>,
    /// Workers that were asked.
    pub asked: Vec<WorkerKind>,
    /// Those of them that do not answer, and why.
    pub away: Vec<(WorkerKind, String)>,
}

impl Described {
    /// Why calls that change something are refused.
    pub fn journal_fault(&self) -> Option<String> {
        let fault = &self.journal.fault;
        (!fault.is_empty()).then(|| fault.clone())
    }
}

impl From<Provisioner> for Door {
    fn from(provisioner: Provisioner) -> Self {
        Self::Here(provisioner)
    }
}

impl Door {
    /// Lets the connectors of this process get ready.
    pub async fn start(&self) {
        if let Self::Here(provisioner) = self {
            provisioner.start().await;
        }
    }

    /// Lets the connectors of this process let go of what they have, and flushes its journal.
    pub async fn stop(&self) {
        if let Self::Here(provisioner) = self {
            provisioner.stop().await;
            provisioner.journal().close().await;
        }
    }

    /// Waits until no call is under way here.
    pub async fn idle(&self) {
        match self {
            Self::Here(provisioner) => provisioner.idle().await,
            Self::Workers(workers) => workers.idle().await,
        }
    }

    /// Has new calls go to these connectors of this process.
    pub async fn replace(&self, connectors: &Connectors) {
        if let Self::Here(provisioner) = self {
            provisioner.replace(connectors).await;
        }
    }

    /// Calls that ended, counted.
    pub fn ended(&self) -> &CallMeter {
        match self {
            Self::Here(provisioner) => provisioner.ended(),
            Self::Workers(workers) => workers.ended(),
        }
    }

    /// From now on calls that belong to a trace have spans.
    pub fn trace(&self, tracer: Tracer) {
        match self {
            Self::Here(provisioner) => provisioner.trace(tracer),
            Self::Workers(workers) => workers.trace(tracer),
        }
    }

    /// What makes spans; it is off by default.
    pub fn tracer(&self) -> Tracer {
        match self {
            Self::Here(provisioner) => provisioner.tracer().cloned().unwrap_or_default(),
            Self::Workers(workers) => workers.tracer(),
        }
    }

    /// Has the spans of other processes sent, for ever.
    pub async fn send_spans(&self) {
        match self {
            Self::Here(_) => std::future::pending().await,
            Self::Workers(workers) => Box::pin(workers.send_spans()).await,
        }
    }

    /// Logs when other processes end and when they are back, for ever.
    pub async fn watch(&self) {
        match self {
            Self::Here(_) => std::future::pending().await,
            Self::Workers(workers) => Box::pin(workers.watch()).await,
        }
    }

    /// What is offered, as the host now is.
    pub async fn describe(&self) -> Described {
        match self {
            Self::Here(provisioner) => Described {
                connectors: provisioner.describe().await,
                journal: provisioner.journal().info().into(),
                shares: provisioner.journal().shares().await,
                ..Described::default()
            },
            Self::Workers(workers) => workers.describe().await,
        }
    }

    /// As [`Self::describe`]; of this process's own connectors nothing is said, which would read
    /// files.
    pub async fn standing(&self) -> Described {
        match self {
            Self::Here(provisioner) => Described {
                journal: provisioner.journal().tried().await.into(),
                ..Described::default()
            },
            Self::Workers(workers) => workers.describe().await,
        }
    }
}

/// The calls of one session. Cheap to clone.
#[derive(Clone, Debug)]
pub struct SessionCalls {
    door: Door,
    server: ServerId,
    /// The incarnation of the journal that the session was told of last.
    told: Arc<Mutex<Option<Vec<u8>>>>,
}

impl SessionCalls {
    /// Of a session with this server.
    pub fn new(door: Door, server: ServerId) -> Self {
        Self {
            door,
            server,
            told: Arc::default(),
        }
    }

    /// Notes whether the server says which outcomes it has.
    pub(crate) fn set_acknowledging(&self, acknowledges: bool) {
        match &self.door {
            Door::Here(provisioner) => provisioner
                .journal()
                .set_acknowledging(self.server, acknowledges),
            Door::Workers(workers) => workers.set_acknowledging(self.server, acknowledges),
        }
    }

    /// What the session is told.
    pub(crate) async fn describe(&self) -> Described {
        let described = self.door.describe().await;
        *self.told.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(described.journal.incarnation.clone());
        described
    }

    fn told(&self) -> Option<Vec<u8>> {
        let told = self.told.lock();
        told.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Room for a long call of so many bytes, which it takes until what comes back is dropped.
    /// `None`: others have it all.
    pub(super) fn room_for(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        match &self.door {
            Door::Here(provisioner) => provisioner.room_for(bytes),
            Door::Workers(workers) => workers.room_for(bytes),
        }
    }

    /// Carries out a call of any verb but search and sync, which is begun at this moment at the
    /// latest.
    pub(super) async fn execute(&self, call: wire::Call, not_after: NotAfter) -> wire::Outcome {
        match &self.door {
            Door::Here(provisioner) => {
                let id = call.call_id.clone();
                let carrying = provisioner.execute_counted(self.server, call, not_after);
                carrying.await.into_wire(id)
            }
            Door::Workers(workers) => {
                let told = self.told();
                let told = told.as_deref();
                workers.execute(self.server, call, told, not_after).await
            }
        }
    }

    /// What a search or a sync finds.
    pub(super) fn events(&self, call: wire::Call) -> Events {
        match &self.door {
            Door::Here(provisioner) => provisioner.events(call),
            Door::Workers(workers) => Events::Told(workers.items(self.server, call)),
        }
    }

    /// What the journal has of these calls of the server.
    pub(crate) async fn finished(&self, call_ids: Vec<String>) -> Vec<wire::FinishedCall> {
        match &self.door {
            Door::Here(provisioner) => provisioner.finished(self.server, &call_ids),
            Door::Workers(workers) => workers.finished(self.server, call_ids).await,
        }
    }

    /// The last lines of the gateway's log, `most` at the most, of which this process's are `own`;
    /// and what is wrong with that of other processes.
    pub(crate) async fn log(&self, own: Vec<Line>, most: u32) -> (Vec<String>, Vec<String>) {
        match &self.door {
            Door::Here(_) => {
                let lines = own.into_iter().map(|line| line.text);
                (lines.collect(), Vec::new())
            }
            Door::Workers(workers) => workers.log(self.server, own, most).await,
        }
    }

    /// Has other processes log more, or no longer; and says which do not, and why.
    pub(crate) async fn log_more(&self, request: &wire::LogMoreRequest) -> Vec<String> {
        match &self.door {
            Door::Here(_) => Vec::new(),
            Door::Workers(workers) => workers.log_more(self.server, request).await,
        }
    }

    /// The server has these outcomes.
    ///
    /// # Errors
    /// Who was not told.
    pub(crate) async fn acknowledge(&self, call_ids: Vec<String>) -> Result<(), String> {
        match &self.door {
            Door::Here(provisioner) => {
                provisioner.journal().acknowledge(self.server, call_ids);
                Ok(())
            }
            Door::Workers(workers) => workers.acknowledge(self.server, call_ids).await,
        }
    }
}
