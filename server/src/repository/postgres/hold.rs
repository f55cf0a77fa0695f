//! One server at a time: whoever serves a repository holds it.
//!
//! Two things together see to that. A lock of a session, on a connection that is watched, keeps a
//! second server from starting while the first one lives. And each start writes its own number into
//! the repository, which every change of this server looks at and keeps from changing until it is
//! committed: so a server that has lost the lock without noticing, and another one that has got it,
//! never both change something.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::connect::Target;
use super::fault::Fault;
use super::link::{Link, pause};
use super::schema::lock_number;
use super::tx::PostgresTx;
use crate::repository::RepositoryError;
use crate::repository::sql::{Tx, params};

/// How often the connection of the lock is asked whether it is there.
const BEAT: Duration = Duration::from_secs(1);
/// How long that answer may take: with [`BEAT`], less than the database takes to give the lock of a
/// connection away that it hears nothing of.
const ANSWER: Duration = Duration::from_millis(2_500);
/// How long a start waits for the lock of a server that has just ended.
const PATIENCE: Duration = Duration::from_secs(2);

const FREE: u8 = 0;
const HELD: u8 = 1;
const DOUBTFUL: u8 = 2;
const LOST: u8 = 3;

/// The number of one start, which stands in the repository while that is at work.
pub(super) type Holder = [u8; 16];

/// Whether this program holds the repository. Cheap to clone.
#[derive(Clone)]
pub(super) struct Hold {
    shared: Arc<Shared>,
}

struct Shared {
    holder: Holder,
    state: AtomicU8,
    watch: Mutex<Option<Watch>>,
}

/// The thread that watches the lock: it ends when the sender is dropped.
struct Watch {
    stop: mpsc::Sender<()>,
    thread: JoinHandle<()>,
}

impl Hold {
    /// Nobody's yet.
    pub(super) fn new() -> Self {
        Self {
            shared: Arc::new(Shared {
                holder: rand::random(),
                state: AtomicU8::new(FREE),
                watch: Mutex::new(None),
            }),
        }
    }

    /// The number that has to stand in the repository for a change; `None`: this program changes
    /// what nobody serves.
    pub(super) fn holder(&self) -> Option<&Holder> {
        (self.state() != FREE).then_some(&self.shared.holder)
    }

    /// Whether nobody else can have changed anything meanwhile.
    pub(super) fn is_sure(&self) -> bool {
        matches!(self.state(), FREE | HELD)
    }

    /// # Errors
    /// [`RepositoryError::TakenOver`].
    pub(super) fn must_not_be_lost(&self) -> Result<(), RepositoryError> {
        match self.state() {
            LOST => Err(RepositoryError::TakenOver),
            _ => Ok(()),
        }
    }

    /// Another one's number stands in the repository.
    pub(super) fn lost(&self) {
        if self.shared.state.swap(LOST, Ordering::AcqRel) != LOST {
            tracing::error!("{}", RepositoryError::TakenOver);
        }
    }

    /// Takes the repository, and watches from now on that it is held. Blocks.
    ///
    /// # Errors
    /// [`RepositoryError::Taken`], `Away`.
    pub(super) fn take(&self, target: &Target) -> Result<(), RepositoryError> {
        let mut link = target.connect()?;
        let until = Instant::now() + PATIENCE;
        while !lock(&mut link, target)? {
            if Instant::now() >= until {
                let by = holder(&mut link, target)?.1;
                return Err(RepositoryError::Taken {
                    place: target.place(),
                    by: by.unwrap_or_else(|| "another host".to_owned()),
                });
            }
            pause(Duration::from_millis(50));
        }
        // Whoever held it before may have a change under way: this waits for that.
        let name = rustix::system::uname();
        let host = name.nodename().to_string_lossy().into_owned();
        let id = self.shared.holder;
        alone(&mut link, target, |tx| {
            let sql = "UPDATE engine SET holder = ?1, holder_host = ?2";
            tx.execute(sql, &params![id, host])?;
            // Nobody asks any more what became of those of before.
            tx.execute("DELETE FROM engine_changes", &[])
        })?;
        self.shared.state.store(HELD, Ordering::Release);
        self.watch(link, target)
    }

    /// Gives it back. Blocks until that is done.
    pub(super) fn release(&self) {
        if let Some(thread) = self.stop() {
            // It panics nowhere, and there would be nothing left to do.
            let _ = thread.join();
        }
    }

    /// Has the watch give it back, and does not wait for that.
    pub(super) fn stop(&self) -> Option<JoinHandle<()>> {
        let watch = self.shared.watch.lock();
        let watch = watch.unwrap_or_else(PoisonError::into_inner).take();
        watch.map(|Watch { stop, thread }| {
            drop(stop);
            thread
        })
    }

    fn state(&self) -> u8 {
        self.shared.state.load(Ordering::Acquire)
    }

    fn watch(&self, link: Link, target: &Target) -> Result<(), RepositoryError> {
        let (stop, stopped) = mpsc::channel();
        let (hold, target) = (self.clone(), target.clone());
        let place = target.place();
        let spawned = thread::Builder::new()
            .name("repository-hold".to_owned())
            .spawn(move || hold.beat(link, &target, &stopped));
        let thread = spawned.map_err(|error| RepositoryError::Open {
            path: place,
            reason: error.to_string(),
        })?;
        let mut watch = self
            .shared
            .watch
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *watch = Some(Watch { stop, thread });
        Ok(())
    }

    fn beat(&self, link: Link, target: &Target, stopped: &mpsc::Receiver<()>) {
        let mut link = Some(link);
        while stopped.recv_timeout(BEAT) == Err(RecvTimeoutError::Timeout) {
            let answers = link.as_ref().is_some_and(|link| {
                let asked = link.client().simple_query("SELECT 1");
                link.wait_at_most(ANSWER, asked).is_ok()
            });
            if answers {
                continue;
            }
            link = None;
            let doubt = self.shared.state.compare_exchange(
                HELD,
                DOUBTFUL,
                Ordering::AcqRel,
                Ordering::Acquire,
            );
            if doubt.is_ok() {
                tracing::warn!(
                    "the connection that holds the repository is lost: nothing is taken for granted until there is another one"
                );
            }
            match self.again(target) {
                Ok(found) => link = Some(found),
                Err(RepositoryError::TakenOver) => return self.lost(),
                Err(_) => {}
            }
        }
        if let Some(link) = link {
            // Where this fails, the database notices by itself that nobody is there.
            let _ = link.batch("SELECT pg_advisory_unlock_all()");
        }
    }

    /// Takes the lock once more, where nobody else has taken over meanwhile.
    fn again(&self, target: &Target) -> Result<Link, RepositoryError> {
        let mut link = target.connect()?;
        let locked = lock(&mut link, target)?;
        if holder(&mut link, target)?.0.as_deref() != Some(&self.shared.holder) {
            return Err(RepositoryError::TakenOver);
        }
        if !locked {
            // The database has not noticed yet that the connection of before is gone.
            return Err(RepositoryError::Busy);
        }
        let held =
            self.shared
                .state
                .compare_exchange(DOUBTFUL, HELD, Ordering::AcqRel, Ordering::Acquire);
        if held.is_ok() {
            tracing::info!("the repository is held again");
        }
        Ok(link)
    }
}

fn lock(link: &mut Link, target: &Target) -> Result<bool, RepositoryError> {
    let number = lock_number(&target.schema, "hold");
    alone(link, target, |tx| {
        let sql = "SELECT pg_try_advisory_lock(?1)";
        tx.query_one(sql, &params![number], |row| row.get(0))
    })
}

/// Whose number stands in the repository, and on which host that is.
fn holder(
    link: &mut Link,
    target: &Target,
) -> Result<(Option<Vec<u8>>, Option<String>), RepositoryError> {
    alone(link, target, |tx| {
        tx.query_one("SELECT holder, holder_host FROM engine", &[], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
    })
}

/// Does `work` outside of a transaction, each statement by itself.
fn alone<T>(
    link: &mut Link,
    target: &Target,
    work: impl Fn(&mut Tx<'_>) -> Result<T, RepositoryError>,
) -> Result<T, RepositoryError> {
    let mut tx = PostgresTx::new(link);
    let done = work(&mut Tx::new(&mut tx));
    match tx.broken() {
        Some(Fault::Lost(reason)) => Err(target.away(&reason)),
        Some(Fault::Again | Fault::Refused(_)) | None => done,
    }
}
