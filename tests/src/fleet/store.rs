//! A gateway's file store that remembers what was written, and that can stop its host in the middle
//! of a write.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use portcullis_common::id::KeyId;
use portcullis_common::rotation::GatewayRecord;
use portcullis_gateway::key_store::{FileStore, KeyStore, KeyStoreError};
use portcullis_gateway::state_dir::FileLock;
use tokio::sync::mpsc;
use zeroize::Zeroizing;

/// The keys that a gateway held from a moment on.
#[derive(Clone, Copy, Debug)]
pub struct Held {
    /// When it was stored.
    pub at: Instant,
    /// The active master key.
    pub active: Option<KeyId>,
    /// The one installed and not proved.
    pub pending: Option<KeyId>,
}

impl Held {
    fn now(record: &GatewayRecord) -> Self {
        Self {
            at: Instant::now(),
            active: record.active_key_id(),
            pending: record.pending_key_id(),
        }
    }
}

/// The moment at which a gateway's host dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrashAt {
    /// It was given a key and has not stored it.
    BeforeInstall,
    /// It stored the key and has not said so.
    AfterInstall,
    /// It saw the key proved by the server, and has not stored that.
    BeforeProof,
    /// It stored that, and message 4 is not sent.
    AfterProof,
}

impl CrashAt {
    /// Every one.
    pub const ALL: [Self; 4] = [
        Self::BeforeInstall,
        Self::AfterInstall,
        Self::BeforeProof,
        Self::AfterProof,
    ];

    fn is_of(self, record: &GatewayRecord) -> bool {
        match self {
            Self::BeforeInstall | Self::AfterInstall => record.pending_key_id().is_some(),
            Self::BeforeProof | Self::AfterProof => {
                record.pending_key_id().is_none() && record.active_key_id().is_some()
            }
        }
    }

    fn is_before(self) -> bool {
        matches!(self, Self::BeforeInstall | Self::BeforeProof)
    }
}

/// Stops one write at a moment, tells of it, and holds the writer until its host is gone.
#[derive(Debug)]
pub struct Fuse {
    at: CrashAt,
    gateway: usize,
    blown: mpsc::UnboundedSender<usize>,
    state: Mutex<FuseState>,
    gone: Condvar,
}

#[derive(Debug, Default)]
struct FuseState {
    blown: bool,
    host_gone: bool,
}

impl Fuse {
    /// For the gateway with this number; `blown` is told when its moment has come.
    pub fn new(at: CrashAt, gateway: usize, blown: mpsc::UnboundedSender<usize>) -> Self {
        Self {
            at,
            gateway,
            blown,
            state: Mutex::default(),
            gone: Condvar::new(),
        }
    }

    /// The host is gone: the writer need not be held any longer.
    pub fn host_is_gone(&self) {
        self.lock().host_gone = true;
        self.gone.notify_all();
    }

    /// True: the moment had come, and the host is gone now.
    fn burn(&self, at: CrashAt) -> bool {
        let mut state = self.lock();
        if self.at != at || state.blown {
            return false;
        }
        state.blown = true;
        // Nobody waits for it where the run has ended.
        let _ = self.blown.send(self.gateway);
        let held = self.gone.wait_while(state, |state| !state.host_gone);
        drop(held.unwrap_or_else(PoisonError::into_inner));
        true
    }

    fn lock(&self) -> MutexGuard<'_, FuseState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The file store of one simulated gateway.
pub(super) struct WatchedStore {
    file: FileStore,
    history: Arc<Mutex<Vec<Held>>>,
    fuse: Option<Arc<Fuse>>,
}

impl WatchedStore {
    pub(super) fn new(
        folder: &Path,
        history: Arc<Mutex<Vec<Held>>>,
        fuse: Option<Arc<Fuse>>,
    ) -> Self {
        Self {
            file: FileStore::new(folder),
            history,
            fuse,
        }
    }

    fn burns(&self, record: &GatewayRecord, before: bool) -> bool {
        let (Some(fuse), mut moments) = (&self.fuse, CrashAt::ALL.into_iter()) else {
            return false;
        };
        moments.any(|at| at.is_before() == before && at.is_of(record) && fuse.burn(at))
    }

    fn dead(&self) -> KeyStoreError {
        KeyStoreError::NeverCreated {
            location: self.location(),
        }
    }
}

impl fmt::Debug for WatchedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WatchedStore").field(&self.file).finish()
    }
}

impl KeyStore for WatchedStore {
    fn location(&self) -> String {
        self.file.location()
    }

    fn prepare(&self) -> Result<(), KeyStoreError> {
        self.file.prepare()
    }

    fn lock(&self) -> Result<FileLock, KeyStoreError> {
        self.file.lock()
    }

    fn read(&self) -> Result<Option<Zeroizing<Vec<u8>>>, KeyStoreError> {
        self.file.read()
    }

    fn write(&self, bytes: &[u8], lock: &FileLock) -> Result<(), KeyStoreError> {
        let record = GatewayRecord::decode(bytes).map_err(|source| KeyStoreError::Record {
            location: self.location(),
            source,
        })?;
        if self.burns(&record, true) {
            return Err(self.dead());
        }
        self.file.write(bytes, lock)?;
        let held = Held::now(&record);
        self.history
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(held);
        if self.burns(&record, false) {
            return Err(self.dead());
        }
        Ok(())
    }
}
