//! Being one of several servers on a repository.
//!
//! ```text
//!   open ── wait until nobody is in the way ── row put in ── beats ── leave: row removed
//!           (a beat that stands for 10 s:                    │
//!            its row is deleted)                             ├─ acknowledged: Fence is renewed
//!                                                            └─ row gone: the instance has ended
//! ```
//!
//! Only that its row is deleted ends an instance, and nothing revives it. No clock of two hosts is
//! compared: each server goes by how long it has seen a beat stand itself, and [`Fence`] by when
//! this one sent its last acknowledged renewal. In a file a server is alone: it has a row, and no
//! beats.

mod barrier;
mod beats;
mod fence;
mod joining;
mod watcher;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use portcullis_host::clock;
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;
use tokio::time::timeout;

use crate::config::Config;
use crate::repository::{
    Beat, Database, InstanceId, Load, NewServer, NotDrained, RepositoryError, ServerRow,
    ServerRows, Store, WriteObserver,
};
pub use barrier::{Barrier, Standing};
pub use fence::{Fence, MAY_DISPATCH, MUST_CLOSE};
pub use joining::Waiting;
pub use watcher::{ENDED_AFTER, Watcher};

/// How often a withdrawal looks whether the servers have seen it.
const BARRIER_LOOK: Duration = Duration::from_millis(100);

/// A server that comes.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// Its name among the servers of its repository.
    pub name: String,
    /// Where other servers reach it; empty: nowhere.
    pub advertised: String,
    /// Tells the lock file that it holds from any other; `None`: it holds none.
    pub lock_file: Option<Vec<u8>>,
}

impl Arrival {
    /// The server of a configuration, which holds this lock file.
    pub fn of(config: &Config, lock_file: Option<Vec<u8>>) -> Self {
        let host = || {
            let host = rustix::system::uname();
            host.nodename().to_string_lossy().into_owned()
        };
        Self {
            name: config.server.name.clone().unwrap_or_else(host),
            advertised: config
                .peers
                .as_ref()
                .map(|peers| peers.advertise.clone())
                .unwrap_or_default(),
            lock_file,
        }
    }

    /// What has the repository of a configuration to itself: whatever is no running server.
    pub fn alone(config: &Config, lock_file: Option<Vec<u8>>) -> Self {
        Self {
            advertised: String::new(),
            ..Self::of(config, lock_file)
        }
    }
}

/// Another server, as this one saw it last.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Its row.
    pub row: ServerRow,
    /// For how long its beat is known to stand.
    pub age: Duration,
}

/// What this server is among those that serve its repository. Cheap to clone.
#[derive(Clone)]
pub struct Member {
    inner: Arc<Inner>,
}

struct Inner {
    rows: ServerRows,
    fence: Fence,
    own: NewServer,
    /// What it says of itself with each beat.
    load: Mutex<Option<Box<dyn Fn() -> Load + Send + Sync>>>,
    /// What went wrong last.
    last_error: Mutex<Option<String>>,
    /// Since when no beat is acknowledged; `None`: the last one was.
    away: Mutex<Option<Instant>>,
    seen: Mutex<Vec<Seen>>,
    gone: watch::Sender<bool>,
    /// A beat is wanted at once.
    wanted: Arc<Notify>,
    /// Changes with each beat that is acknowledged.
    acknowledged: watch::Sender<()>,
    beating: Mutex<Option<AbortHandle>>,
    /// It is about to end.
    ends: AtomicBool,
    /// An administrator drained it, as its row said with the last beat.
    drained: AtomicBool,
}

/// Opens a repository to serve it: waits until nobody is in the way, puts in the row of this
/// instance, and keeps it. Whatever decides is read afterwards. `waiting` is told for whom it
/// waits; without it, a server that is at work is not waited for.
///
/// # Errors
/// Those of [`Database::serve`].
pub async fn open(
    store: &Store,
    arrival: Arrival,
    waiting: Option<Waiting<'_>>,
    observer: Option<Arc<dyn WriteObserver>>,
) -> Result<(Database, Member), RepositoryError> {
    let Some(rows) = ServerRows::open(store)? else {
        let fence = Fence::alone();
        let database = Database::serve(store, Arc::new(fence.clone()), observer).await?;
        let member = Member::new(ServerRows::in_file(&database), fence, arrival, &database);
        member.put_in_file().await;
        return Ok((database, member));
    };
    let fence = Fence::shared();
    let own = joining::Own {
        advertised: &arrival.advertised,
        lock_file: arrival.lock_file.as_deref(),
    };
    joining::wait(&rows, store, own, waiting).await?;
    let database = Database::serve(store, Arc::new(fence.clone()), observer).await?;
    let member = Member::new(rows, fence, arrival, &database);
    match member.join(store, waiting).await {
        Ok(()) => Ok((database, member)),
        Err(error) => {
            database.close().await;
            Err(error)
        }
    }
}

impl Member {
    fn new(rows: ServerRows, fence: Fence, arrival: Arrival, database: &Database) -> Self {
        let Arrival {
            name,
            advertised,
            lock_file,
        } = arrival;
        Self {
            inner: Arc::new(Inner {
                rows,
                fence,
                own: NewServer {
                    instance: database.instance(),
                    beat: Beat::random(),
                    name,
                    version: env!("CARGO_PKG_VERSION").to_owned(),
                    advertised,
                    lock_file,
                    started: clock::now(),
                },
                load: Mutex::default(),
                last_error: Mutex::default(),
                away: Mutex::default(),
                seen: Mutex::default(),
                gone: watch::Sender::new(false),
                wanted: Arc::default(),
                acknowledged: watch::Sender::new(()),
                beating: Mutex::default(),
                ends: AtomicBool::new(false),
                drained: AtomicBool::new(false),
            }),
        }
    }

    /// Which instance this server is.
    pub fn instance(&self) -> InstanceId {
        self.inner.own.instance
    }

    /// Its name among the servers of the repository.
    pub fn name(&self) -> &str {
        &self.inner.own.name
    }

    /// What it may do.
    pub fn fence(&self) -> &Fence {
        &self.inner.fence
    }

    /// With each beat it says of itself what `load` tells.
    pub fn tells(&self, load: impl Fn() -> Load + Send + Sync + 'static) {
        *lock(&self.inner.load) = Some(Box::new(load));
    }

    /// The other servers, as they were seen with the last beat.
    pub fn others(&self) -> Vec<Seen> {
        lock(&self.inner.seen).clone()
    }

    /// Its own row, as it is now.
    pub fn row(&self) -> ServerRow {
        let own = &self.inner.own;
        ServerRow {
            instance: own.instance,
            name: own.name.clone(),
            version: own.version.clone(),
            advertised: own.advertised.clone(),
            beat: own.beat,
            lock_file: own.lock_file.clone(),
            started: own.started,
            load: self.inner.load(),
            drained: self.leaves(),
            seen: 0,
        }
    }

    /// It has seen an authority version: nothing that it let through under an earlier one is
    /// unsent.
    ///
    /// # Errors
    /// [`RepositoryError`]: the others go on waiting for it.
    pub async fn has_seen(&self, version: u64) -> Result<(), RepositoryError> {
        if !self.inner.fence.has_beats() {
            return Ok(());
        }
        self.inner.rows.set_seen(self.instance(), version).await
    }

    /// It holds the secret of the protection that was offered under this id.
    ///
    /// # Errors
    /// [`RepositoryError`]: whoever offered it goes by that this server does not.
    pub async fn holds(&self, offer: [u8; 16]) -> Result<(), RepositoryError> {
        self.inner.rows.set_holds(self.instance(), offer).await
    }

    /// The names of the other servers, each with whether it holds that secret.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn holding(&self, offer: [u8; 16]) -> Result<Vec<(String, bool)>, RepositoryError> {
        self.inner.rows.holding(self.instance(), offer).await
    }

    /// Waits until every server has seen an authority version, or is gone; for so long at most.
    /// Within it are the names of those that were waited for in vain.
    ///
    /// # Errors
    /// [`RepositoryError`]: nobody knows.
    pub async fn until_seen(
        &self,
        version: u64,
        patience: Duration,
    ) -> Result<Result<(), Vec<String>>, RepositoryError> {
        if !self.inner.fence.has_beats() {
            return Ok(Ok(()));
        }
        let (barrier, began) = (Barrier::new(version), Instant::now());
        loop {
            let rows = self.inner.rows.list().await?.into_iter();
            let standing = rows.map(|row| Standing {
                instance: row.instance,
                name: row.name,
                seen: row.seen,
            });
            let standing: Vec<_> = standing.collect();
            let late = barrier.waits_for(&standing);
            if late.is_empty() {
                return Ok(Ok(()));
            }
            if began.elapsed() >= patience {
                return Ok(Err(late.into_iter().map(|one| one.name.clone()).collect()));
            }
            tokio::time::sleep(BARRIER_LOOK).await;
        }
    }

    /// Whether it takes no new links, and others are to take those that it has: it is about to end,
    /// or was drained.
    pub fn leaves(&self) -> bool {
        self.inner.ends() || self.inner.drained.load(Ordering::Acquire)
    }

    /// Drains the server of this name or instance, or with `undo` puts it to work again: others
    /// know by their next beat, this one at once. Gives its row as it is then. A server that starts
    /// again is not drained any more.
    ///
    /// # Errors
    /// [`RepositoryError`]; within it [`NotDrained`].
    pub async fn drain(
        &self,
        server: &str,
        undo: bool,
        force: bool,
    ) -> Result<Result<ServerRow, NotDrained>, RepositoryError> {
        let changed = self.inner.rows.drain(server.to_owned(), undo, force);
        let row = match changed.await? {
            Ok(row) => row,
            Err(why) => return Ok(Err(why)),
        };
        self.renew().await;
        Ok(Ok(ServerRow {
            drained: !undo,
            ..row
        }))
    }

    /// It is about to end, and takes no new links: its row says so, and the others take those that
    /// it has.
    pub async fn hand_over(&self) {
        self.inner.ends.store(true, Ordering::Release);
        if self.inner.fence.has_beats() && !self.inner.fence.is_gone() {
            match self.inner.rows.hands_over(self.instance()).await {
                // One that came since the last beat is to be known as well.
                Ok(()) => {
                    self.renew().await;
                }
                Err(error) => {
                    tracing::warn!(%error, "the other servers do not know that this one is about to end");
                }
            }
        }
    }

    /// Resolves when its row is gone: another server has ended it. It does nothing any more then.
    pub async fn gone(&self) {
        let mut gone = self.inner.gone.subscribe();
        // The sender lives as long as this.
        let _ = gone.wait_for(|gone| *gone).await;
    }

    /// Beats at once. `true`: a beat that was sent after this was asked for is acknowledged; one
    /// serves all that wait. `false`: there was none in time.
    pub async fn renew(&self) -> bool {
        let renewed = timeout(MAY_DISPATCH, self.renewed_after(Instant::now()));
        renewed.await.unwrap_or(false)
    }

    async fn renewed_after(&self, asked: Instant) -> bool {
        let mut acknowledged = self.inner.acknowledged.subscribe();
        self.inner.wanted.notify_one();
        loop {
            let last = self.inner.fence.last_renewal();
            if self.inner.fence.is_gone() {
                return false;
            }
            if last.is_some_and(|sent| sent >= asked) {
                return true;
            }
            // The sender lives as long as this.
            let _ = acknowledged.changed().await;
        }
    }

    /// It is about to end, and writes nothing any more: whoever waits comes in its place.
    pub async fn leave(&self) {
        if let Some(beating) = lock(&self.inner.beating).take() {
            beating.abort();
        }
        if self.inner.fence.has_beats() && !self.inner.fence.is_gone() {
            let removed = self.inner.rows.remove(self.instance()).await;
            if let Err(error) = removed {
                tracing::warn!(%error, "the row of this server stays: others find that it is gone");
            }
        }
    }

    /// In a file: in the place of whatever row is there. A full disk keeps no server from running.
    async fn put_in_file(&self) {
        let own = self.inner.own.clone();
        if let Err(error) = self.inner.rows.join(own, |_| false).await {
            tracing::warn!(%error, "this start is not written down in the repository");
        }
    }

    /// In a database: puts the row in, and beats from then on.
    async fn join(
        &self,
        store: &Store,
        waiting: Option<Waiting<'_>>,
    ) -> Result<(), RepositoryError> {
        let inner = &self.inner;
        loop {
            let sent = Instant::now();
            let bars = joining::bars(&inner.own.advertised);
            let joined = inner.rows.join(inner.own.clone(), bars).await?;
            if joined.is_none() {
                inner.fence.renewed(sent);
                break;
            }
            // Another one was faster.
            let lock_file = inner.own.lock_file.as_deref();
            let own = joining::Own {
                advertised: &inner.own.advertised,
                lock_file,
            };
            joining::wait(&inner.rows, store, own, waiting).await?;
        }
        // Those that are there from before its first beat on.
        let mut others = inner.rows.list().await?;
        others.retain(|row| row.instance != inner.own.instance);
        let seen = others.into_iter().map(|row| Seen {
            row,
            age: Duration::ZERO,
        });
        *lock(&inner.seen) = seen.collect();
        let beating = tokio::spawn(beats::keep(Arc::downgrade(inner)));
        *lock(&inner.beating) = Some(beating.abort_handle());
        Ok(())
    }
}

impl Inner {
    /// What it has to do now.
    fn load(&self) -> Load {
        let told = lock(&self.load).as_ref().map(|load| load());
        Load {
            last_error: lock(&self.last_error).clone(),
            ..told.unwrap_or_default()
        }
    }

    fn ends(&self) -> bool {
        self.ends.load(Ordering::Acquire)
    }

    /// So its row says.
    fn is_drained(&self, drained: bool) {
        let before = self.drained.swap(drained, Ordering::AcqRel);
        if self.ends() {
            return;
        }
        match (before, drained) {
            (false, true) => tracing::warn!(
                "this server was drained: others take its links, and it begins no queued call and no task, until `portcullis server drain NAME --undo` or its next start"
            ),
            (true, false) => tracing::info!("this server is not drained any more"),
            _ => {}
        }
    }

    /// A beat was not acknowledged.
    fn failed(&self, error: &RepositoryError) {
        // Once, for all that ask the repository meanwhile.
        let mut away = lock(&self.away);
        if away.is_none() {
            *away = Some(Instant::now());
            tracing::error!(%error, "the database of the repository is away, and a beat of this server is not acknowledged: after seven seconds no call leaves, after twenty links are closed; it is said when it is back");
        }
        *lock(&self.last_error) = Some(error.to_string());
    }

    /// A beat was acknowledged.
    fn went_well(&self) {
        if let Some(since) = lock(&self.away).take() {
            let seconds = since.elapsed().as_secs();
            tracing::warn!(
                seconds,
                "the database of the repository is back: the beats of this server are acknowledged again"
            );
        }
    }
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Member")
            .field("own", &self.inner.own)
            .field("fence", &self.inner.fence)
            .finish_non_exhaustive()
    }
}

/// Ends an instance, provided that its beat is still this one.
async fn end(rows: &ServerRows, instance: InstanceId, beat: Beat) -> Result<bool, RepositoryError> {
    let ended = rows.end(instance, beat).await?;
    if ended {
        tracing::warn!(%instance, "ended a server whose beat has stood for ten seconds");
    }
    Ok(ended)
}

/// What these locks guard is whole at every moment, whoever panicked meanwhile.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
pub(crate) mod tests;
