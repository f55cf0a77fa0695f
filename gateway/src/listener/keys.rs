//! The key store as the running gateway uses it: every step reads the record afresh, stores what
//! changed, and only then acts.

use std::sync::Arc;

use portcullis_common::handshake::Proved;
use portcullis_common::id::{GatewayId, KeyId};
use portcullis_common::rotation::{
    EnrolmentNonce, GatewayRecord, HeldKey, Identity, InstallError, RunId, StaleProof, UnixMillis,
};
use portcullis_host::clock;
use tokio::sync::{Semaphore, watch};
use tokio::task;

use super::links::Scope;
use crate::key_store::{KeyStore, KeyStoreError};

/// The record of this run's gateway.
#[derive(Debug)]
pub struct Keys {
    store: Arc<dyn KeyStore>,
    run: RunId,
    standing: watch::Sender<Standing>,
    /// One use of the store at a time.
    turn: Arc<Semaphore>,
}

/// What a record says, without its keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Its id, once it has a token or a key.
    pub gateway_id: Option<GatewayId>,
    /// The enrolment key, while enrolling.
    pub enrolment: Option<KeyId>,
    /// The active master key.
    pub active: Option<KeyId>,
    /// The pending master key.
    pub pending: Option<KeyId>,
    /// Until when pairing is open.
    pub pairing_until: Option<UnixMillis>,
}

impl From<&GatewayRecord> for Standing {
    fn from(record: &GatewayRecord) -> Self {
        Self {
            gateway_id: record.gateway_id(),
            enrolment: record.enrolment().map(|(id, _)| id),
            active: record.active_key_id(),
            pending: record.pending_key_id(),
            pairing_until: record.pairing_until(),
        }
    }
}

impl Standing {
    /// Is this one of the keys held now?
    pub fn holds(&self, key_id: KeyId) -> bool {
        [self.enrolment, self.active, self.pending].contains(&Some(key_id))
    }

    /// May a session that was opened for `gateway_id` under `key_id` go on? Not once the record was
    /// reset or the gateway enrolled anew. A key that was merely replaced by a newer one lets its
    /// session carry its last calls.
    pub fn still_serves(&self, gateway_id: GatewayId, key_id: KeyId) -> bool {
        self.gateway_id == Some(gateway_id) && (self.enrolment.is_none() || self.holds(key_id))
    }
}

/// Why what message 3 proved was not taken.
#[derive(Debug, thiserror::Error)]
pub enum NotTaken {
    /// The record changed during the handshake.
    #[error(transparent)]
    Stale(#[from] StaleProof),
    /// It could not be stored.
    #[error("what the handshake proved could not be stored: {0}")]
    Store(#[from] KeyStoreError),
}

/// Why an install was not taken.
#[derive(Debug, thiserror::Error)]
pub enum InstallFailure {
    /// It does not fit the record.
    #[error(transparent)]
    Refused(#[from] InstallError),
    /// It could not be stored.
    #[error("the new key could not be stored: {0}")]
    Store(#[from] KeyStoreError),
}

impl Keys {
    /// The keys in `store`, for the run named `run`; `record` is what the store holds now.
    pub fn new(store: Arc<dyn KeyStore>, run: RunId, record: &GatewayRecord) -> Self {
        Self {
            store,
            run,
            standing: watch::Sender::new(record.into()),
            turn: Arc::new(Semaphore::new(1)),
        }
    }

    /// What the record said when it was last read.
    pub fn standing(&self) -> Standing {
        *self.standing.borrow()
    }

    /// Tells of every change of the record, by this process or another.
    pub fn changes(&self) -> watch::Receiver<Standing> {
        self.standing.subscribe()
    }

    /// What to bring to a handshake that begins now.
    ///
    /// # Errors
    /// [`KeyStoreError`]: there is no handshake then.
    pub async fn begin(&self) -> Result<Identity, KeyStoreError> {
        let run = self.run;
        self.update(move |record| {
            let begin = record.begin(run, clock::now());
            Ok((begin.store, begin.identity))
        })
        .await
    }

    /// Message 3 was verified: stores what changed, and says what the session may carry.
    ///
    /// # Errors
    /// [`NotTaken`]: the handshake fails then, before message 4.
    pub async fn proved(&self, proved: Proved) -> Result<Scope, NotTaken> {
        let run = self.run;
        self.update(move |record| {
            let new = record.proved(&proved, run, clock::now())?;
            let left = Standing::from(new.as_ref().unwrap_or(&record));
            let scope = if left.enrolment == Some(proved.key_id) {
                Scope::Enrolment
            } else {
                Scope::Full
            };
            Ok((new, scope))
        })
        .await
    }

    /// Takes an install that came through a session under `session_key`.
    ///
    /// # Errors
    /// [`InstallFailure`]; the record is unchanged then.
    pub async fn install(
        &self,
        session_key: KeyId,
        replaced: KeyId,
        new: HeldKey,
    ) -> Result<(), InstallFailure> {
        self.update(move |record| Ok((Some(record.install(session_key, replaced, new)?), ())))
            .await
    }

    /// The enrolment nonce, while enrolling under `session_key`.
    ///
    /// # Errors
    /// [`KeyStoreError`] where the record cannot be read.
    pub async fn nonce(&self, session_key: KeyId) -> Result<Option<EnrolmentNonce>, KeyStoreError> {
        let record = self.read().await?;
        Ok(record
            .enrolment()
            .filter(|(id, _)| *id == session_key)
            .map(|(_, nonce)| nonce))
    }

    /// Reads the record again, for a change that another process made.
    ///
    /// # Errors
    /// [`KeyStoreError`] where it cannot be read.
    pub async fn refresh(&self) -> Result<(), KeyStoreError> {
        self.read().await.map(drop)
    }

    async fn read(&self) -> Result<GatewayRecord, KeyStoreError> {
        let store = Arc::clone(&self.store);
        let record = self.on_disk(move || store.load()).await?;
        self.publish((&record).into());
        Ok(record)
    }

    async fn update<T, E>(
        &self,
        change: impl FnOnce(GatewayRecord) -> Result<(Option<GatewayRecord>, T), E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<KeyStoreError> + Send + 'static,
    {
        let store = Arc::clone(&self.store);
        let (standing, outcome) = self
            .on_disk(move || {
                store.update(|record| {
                    let before = Standing::from(&record);
                    let (new, outcome) = change(record)?;
                    let standing = new.as_ref().map_or(before, Standing::from);
                    Ok::<_, E>((new, (standing, outcome)))
                })
            })
            .await?;
        self.publish(standing);
        Ok(outcome)
    }

    fn publish(&self, standing: Standing) {
        self.standing.send_if_modified(|known| {
            let changed = *known != standing;
            *known = standing;
            changed
        });
    }

    /// Runs what blocks on the disk beside the workers that serve connections. It runs to its end
    /// also where the caller does not wait for it; a caller that goes away before its turn leaves
    /// nothing behind, so that a crowd of strangers cannot make work pile up.
    async fn on_disk<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let Ok(turn) = Arc::clone(&self.turn).acquire_owned().await else {
            // Never closed.
            return std::future::pending().await;
        };
        // Boxed: a task of its own type for each piece of work makes the program larger.
        let work: Box<dyn FnOnce() -> T + Send> = Box::new(move || {
            let _turn = turn;
            work()
        });
        match task::spawn_blocking(work).await {
            Ok(outcome) => outcome,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime is shutting down: nobody waits for the outcome any more.
                Err(_) => std::future::pending().await,
            },
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Mutex, PoisonError};
    use std::task::{Context, Waker};

    use zeroize::Zeroizing;

    use super::*;
    use crate::key_store::FileStore;
    use crate::state_dir::FileLock;

    /// A disk that answers only while the gate is open, and counts what it was asked.
    #[derive(Debug)]
    struct SlowStore {
        store: FileStore,
        gate: Mutex<()>,
        reads: AtomicUsize,
    }

    impl KeyStore for SlowStore {
        fn location(&self) -> String {
            self.store.location()
        }

        fn prepare(&self) -> Result<(), KeyStoreError> {
            self.store.prepare()
        }

        fn lock(&self) -> Result<FileLock, KeyStoreError> {
            self.store.lock()
        }

        fn read(&self) -> Result<Option<Zeroizing<Vec<u8>>>, KeyStoreError> {
            let _open = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
            self.reads.fetch_add(1, Ordering::SeqCst);
            self.store.read()
        }

        fn write(&self, bytes: &[u8], lock: &FileLock) -> Result<(), KeyStoreError> {
            self.store.write(bytes, lock)
        }
    }

    #[tokio::test]
    async fn connections_that_were_dropped_leave_no_work_for_the_disk() {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(SlowStore {
            store: FileStore::new(&folder.path().join("state")),
            gate: Mutex::new(()),
            reads: AtomicUsize::new(0),
        });
        (&*store as &dyn KeyStore).reset().unwrap();
        let run = RunId::random(&mut rand::rng());
        let keys = Keys::new(store.clone(), run, &GatewayRecord::empty());
        let closed = store.gate.lock().unwrap();
        for _ in 0..1_000 {
            let mut begun = Box::pin(keys.begin());
            let polled = begun.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            assert!(polled.is_pending());
        }
        drop(closed);
        assert!(matches!(keys.begin().await.unwrap(), Identity::None));
        // That of the first, which had its turn, and of the last.
        assert!(store.reads.load(Ordering::SeqCst) <= 2);
    }
}
