//! Everything that HTTP/2 does for one connection, in one task.
//!
//! hyper hands the connection, and the body of every request, to an executor, and expects a task
//! for each. They wake one another for every message, and tokio takes a few such turns in a row for
//! a reason to wake another thread. In one task they are polled in turn. A panic in one of them
//! ends all, and with them the connection.

use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::Stream;
use futures_util::stream::FuturesUnordered;
use futures_util::task::AtomicWaker;

use super::lock;

/// How often the futures are polled anew because one of them woke another, before other tasks have
/// their turn.
const TURNS: usize = 8;

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// An executor whose futures run in the task that polls its [`Together`].
#[derive(Clone)]
pub(super) struct OneTask(Arc<Shared>);

struct Shared {
    /// Handed over, and not polled yet; `None`: nobody will poll them. They hold this in turn.
    new: Mutex<Option<Vec<Work>>>,
    turn: AtomicU8,
    task: AtomicWaker,
}

/// Nobody polls the futures: who wakes one wakes the task.
const WAITS: u8 = 0;
/// They are being polled.
const POLLED: u8 = 1;
/// They are being polled, and one of them was woken meanwhile.
const WOKEN: u8 = 2;

/// Runs the futures of a [`OneTask`], until there is none left.
pub(super) struct Together {
    shared: Arc<Shared>,
    waker: Waker,
    running: FuturesUnordered<Work>,
}

/// An executor, and what runs its futures.
pub(super) fn pair() -> (OneTask, Together) {
    let shared = Arc::new(Shared {
        new: Mutex::new(Some(Vec::new())),
        turn: AtomicU8::new(WAITS),
        task: AtomicWaker::new(),
    });
    let together = Together {
        shared: Arc::clone(&shared),
        waker: Waker::from(Arc::clone(&shared)),
        running: FuturesUnordered::new(),
    };
    (OneTask(shared), together)
}

impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for OneTask {
    fn execute(&self, future: F) {
        let work: Work = Box::pin(future);
        // Where nobody polls it, it is dropped without the lock.
        let refused = match &mut *lock(&self.0.new) {
            Some(new) => {
                new.push(work);
                None
            }
            None => Some(work),
        };
        drop(refused);
        self.0.note();
    }
}

impl fmt::Debug for OneTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OneTask").finish_non_exhaustive()
    }
}

impl Wake for Shared {
    fn wake(self: Arc<Self>) {
        self.note();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.note();
    }
}

impl Shared {
    fn note(&self) {
        // Whoever polls them sees the mark before it waits.
        let marked = self
            .turn
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |turn| {
                (turn != WAITS).then_some(WOKEN)
            });
        if marked.is_err() {
            self.task.wake();
        }
    }
}

impl Future for Together {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        this.shared.task.register(cx.waker());
        for _ in 0..TURNS {
            this.shared.turn.store(POLLED, Ordering::Release);
            let ended = this.turn();
            let last = this.shared.turn.swap(WAITS, Ordering::AcqRel);
            if ended {
                return Poll::Ready(());
            }
            if last == POLLED {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Together {
    /// Polls whatever was woken. True: there is nothing left.
    fn turn(&mut self) -> bool {
        let new = lock(&self.shared.new).as_mut().map(std::mem::take);
        self.running.extend(new.unwrap_or_default());
        let mut cx = Context::from_waker(&self.waker);
        while let Poll::Ready(ended) = Pin::new(&mut self.running).poll_next(&mut cx) {
            if ended.is_none() {
                return lock(&self.shared.new).as_ref().is_none_or(Vec::is_empty);
            }
        }
        false
    }
}

impl Drop for Together {
    fn drop(&mut self) {
        let left = lock(&self.shared.new).take();
        drop(left);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::time::Duration;

    use hyper::rt::Executor as _;
    use tokio::sync::{Notify, oneshot};
    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn futures_that_wake_one_another_run_in_one_poll_of_the_task() {
        let (executor, together) = pair();
        let (ping, pong) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (near, far) = (Arc::clone(&ping), Arc::clone(&pong));
        executor.execute(async move {
            near.notify_one();
            far.notified().await;
        });
        executor.execute(async move {
            ping.notified().await;
            pong.notify_one();
        });
        let polls = Arc::new(AtomicUsize::new(0));
        let mut together = together;
        let counted = std::future::poll_fn(|cx| {
            polls.fetch_add(1, Ordering::Relaxed);
            Pin::new(&mut together).poll(cx)
        });
        timeout(Duration::from_secs(10), counted).await.unwrap();
        assert_eq!(polls.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn whoever_waits_for_a_future_that_nobody_will_poll_learns_it() {
        let (executor, together) = pair();
        let (sender, before) = oneshot::channel::<()>();
        let held = executor.clone();
        executor.execute(async move {
            let _held = held;
            let _ = sender.send(());
        });
        drop(together);
        assert!(before.await.is_err());
        let (sender, after) = oneshot::channel::<()>();
        executor.execute(async move {
            let _ = sender.send(());
        });
        assert!(after.await.is_err());
    }

    #[tokio::test]
    async fn a_panic_drops_all_of_them() {
        let (executor, together) = pair();
        let (sender, other) = oneshot::channel::<()>();
        let inner = executor.clone();
        executor.execute(async move {
            let held = inner.clone();
            inner.execute(async move {
                let _held = held;
                std::future::pending::<()>().await;
                let _ = sender.send(());
            });
            panic!("as a request's body might");
        });
        drop(executor);
        assert!(tokio::spawn(together).await.is_err());
        assert!(other.await.is_err());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn wakes_from_other_threads_are_not_lost() {
        for _ in 0..200 {
            let (executor, together) = pair();
            let (first, began) = oneshot::channel();
            let inner = executor.clone();
            executor.execute(async move {
                began.await.unwrap();
                for _ in 0..10 {
                    let (sender, receiver) = oneshot::channel();
                    tokio::spawn(async move { sender.send(()) });
                    receiver.await.unwrap();
                }
                // One that is handed over late runs, too.
                inner.execute(async { tokio::task::yield_now().await });
            });
            drop(executor);
            let running = tokio::spawn(together);
            first.send(()).unwrap();
            timeout(Duration::from_secs(10), running)
                .await
                .expect("all of them end")
                .unwrap();
        }
    }
}
