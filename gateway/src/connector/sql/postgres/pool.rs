//! The connections to one database: those that are not in use, room for those that are, and how
//! many calls wait for one.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use super::connect::Connection;
use crate::model::Password;

/// How long a connection is used before it makes room for a new one: the server may have got
/// another address or certificate.
const AGE: Duration = Duration::from_secs(30 * 60);

/// Connections that are not in use, and room for those that are.
pub(super) struct Pool {
    idle: Mutex<Vec<Connection>>,
    room: Arc<Semaphore>,
    /// Calls that wait for room.
    waiting: AtomicUsize,
    /// Transactions that were begun ahead for such calls, and that none of them has taken yet.
    joining: Arc<AtomicUsize>,
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pool")
    }
}

/// The right to begin a transaction ahead for a call that waits, and for which no other was begun.
pub(super) struct Joining(Arc<AtomicUsize>);

/// A transaction that was begun ahead of its call.
pub(super) struct Ahead {
    pub(super) since: Instant,
    _joining: Joining,
}

impl Pool {
    /// With room for so many connections, and none yet.
    pub(super) fn new(connections: usize) -> Self {
        Self {
            idle: Mutex::default(),
            room: Arc::new(Semaphore::new(connections)),
            waiting: AtomicUsize::new(0),
            joining: Arc::default(),
        }
    }

    /// Room for a connection, or none until the end of time.
    pub(super) async fn wait(&self, deadline: Instant) -> Option<OwnedSemaphorePermit> {
        let room = Arc::clone(&self.room);
        if let Ok(room) = Arc::clone(&room).try_acquire_owned() {
            return Some(room);
        }
        let _waiting = Waiting::new(&self.waiting);
        timeout_at(deadline, room.acquire_owned()).await.ok()?.ok()
    }

    /// Where a call waits for whom no transaction was begun ahead: the right to begin one. Else a
    /// connection that nobody takes would hold it open.
    pub(super) fn join(&self) -> Option<Joining> {
        let waiting = self.waiting.load(Ordering::Relaxed);
        let one_more = |joining| (joining < waiting).then_some(joining + 1);
        let counted = self
            .joining
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more);
        counted.ok().map(|_| Joining(Arc::clone(&self.joining)))
    }

    /// An idle connection that was made with this password; one with a transaction begun ahead
    /// first.
    pub(super) fn take(&self, password: Option<&Password>) -> Option<Connection> {
        let mut idle = self.idle();
        idle.retain(|one| !one.client.is_closed() && one.made.elapsed() < AGE);
        let ahead = |one: &Connection| one.ahead.is_some() && one.is_of(password);
        let place = idle.iter().rposition(ahead);
        let place = place.or_else(|| idle.iter().rposition(|one| one.is_of(password)))?;
        Some(idle.swap_remove(place))
    }

    /// Takes one back.
    pub(super) fn put(&self, connection: Connection) {
        self.idle().push(connection);
    }

    /// Lets go of every connection that nobody has.
    pub(super) fn clear(&self) {
        self.idle().clear();
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Joining {
    /// It was begun now.
    pub(super) fn begun(self) -> Ahead {
        Ahead {
            since: Instant::now(),
            _joining: self,
        }
    }
}

impl Drop for Joining {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A call that waits for room, as long as it does.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn no_more_transactions_are_begun_ahead_than_calls_wait() {
        let pool = Pool::new(1);
        assert!(pool.join().is_none());
        let soon = Instant::now() + Duration::from_secs(5);
        let room = pool.wait(soon).await.unwrap();
        let waiting = async {
            let (one, two) = tokio::join!(async { drop(pool.wait(soon).await) }, async {
                drop(pool.wait(soon).await)
            });
            (one, two)
        };
        let ending = async {
            // Both wait from now on.
            tokio::task::yield_now().await;
            let first = pool.join().unwrap().begun();
            let second = pool.join();
            assert!(second.is_some());
            assert!(pool.join().is_none());
            drop(second);
            assert!(pool.join().is_some());
            drop((first, room));
        };
        tokio::join!(biased; waiting, ending);
        assert!(pool.join().is_none());
        assert_eq!(pool.joining.load(Ordering::Relaxed), 0);
    }
}
