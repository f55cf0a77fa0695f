//! The threads that read. Each has a connection of its own, and sees what is stored as it was when
//! its transaction began: so a read that takes long holds up no other. The first thread starts with
//! the repository, the others when one is wanted.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use tokio::sync::oneshot;

use super::RepositoryError;
use super::sql::{Answer, Driver, Tx, Work};

/// Threads that read at most.
pub(super) const READERS: usize = 4;
/// Brief reads that one transaction serves at most.
const TOGETHER: usize = 16;

/// How long a read takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Length {
    /// As long as few rows take: others that wait may share its transaction.
    Brief,
    /// Nobody knows.
    Any,
}

/// What an engine reads through.
pub(super) trait Source: Send + Sync + 'static {
    /// What each thread has for itself.
    type Connection: Send;

    /// For one more thread.
    ///
    /// # Errors
    /// [`RepositoryError`].
    fn connect(&self) -> Result<Self::Connection, RepositoryError>;

    /// Carries the reads out in one transaction, and answers each.
    fn read(&self, connection: &mut Self::Connection, reads: Vec<Read>);

    /// Where the repository is, for messages.
    fn place(&self) -> String;
}

/// The threads, and what waits for them. When it is dropped they end.
pub(super) struct Readers<S: Source> {
    shared: Arc<Shared<S>>,
}

struct Shared<S> {
    source: S,
    state: Mutex<State>,
    woken: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Read>,
    threads: usize,
    /// Of these threads, those that have nothing to do.
    idle: usize,
    closed: bool,
    /// Wait until all threads have ended.
    closing: Vec<oneshot::Sender<()>>,
}

/// One caller's read.
pub(super) struct Read {
    work: Work,
    length: Length,
    answer: oneshot::Sender<Result<Answer, RepositoryError>>,
}

impl<S: Source> Readers<S> {
    /// Opens `source` for the first of them.
    pub(super) fn start(source: S) -> Result<Self, RepositoryError> {
        let connection = source.connect()?;
        let state = State {
            threads: 1,
            ..State::default()
        };
        let shared = Arc::new(Shared {
            source,
            state: Mutex::new(state),
            woken: Condvar::new(),
        });
        shared.spawn(Some(connection))?;
        Ok(Self { shared })
    }

    /// Does `work` in a transaction that sees one state of the file.
    pub(super) async fn read(&self, work: Work, length: Length) -> Result<Answer, RepositoryError> {
        let (answer, told) = oneshot::channel();
        self.submit(work, length, answer)?;
        told.await.map_err(|_| RepositoryError::Closed)?
    }

    /// Ends the threads when the reads asked for before are done, and waits for that.
    pub(super) async fn close(&self) {
        let closed = {
            let mut state = self.shared.state();
            state.closed = true;
            (state.threads > 0).then(|| {
                let (done, closed) = oneshot::channel();
                state.closing.push(done);
                closed
            })
        };
        self.shared.woken.notify_all();
        if let Some(closed) = closed {
            // The error says that the last one has ended.
            let _ = closed.await;
        }
    }

    /// Has `work` done as soon as a thread is free, and what it comes to told through `answer`.
    fn submit(
        &self,
        work: Work,
        length: Length,
        answer: oneshot::Sender<Result<Answer, RepositoryError>>,
    ) -> Result<(), RepositoryError> {
        let mut state = self.shared.state();
        if state.closed {
            return Err(RepositoryError::Closed);
        }
        state.waiting.push_back(Read {
            work,
            length,
            answer,
        });
        if state.waiting.len() <= state.idle {
            self.shared.woken.notify_one();
        } else if state.threads < READERS {
            state.threads += 1;
            drop(state);
            // Where the system gives no other thread, those there are do the work; the last one's
            // end is told.
            if let Err(error) = self.shared.spawn(None) {
                tracing::warn!(%error, "the repository gets no further thread to read");
            }
        }
        Ok(())
    }
}

impl<S: Source> Drop for Readers<S> {
    fn drop(&mut self) {
        self.shared.state().closed = true;
        self.shared.woken.notify_all();
    }
}

impl<S: Source> Shared<S> {
    /// Starts a thread that was counted already.
    fn spawn(self: &Arc<Self>, connection: Option<S::Connection>) -> Result<(), RepositoryError> {
        let counted = Counted(Arc::clone(self));
        let spawned = thread::Builder::new()
            .name("repository-read".to_owned())
            .spawn(move || {
                let shared = &counted.0;
                match connection.map_or_else(|| shared.source.connect(), Ok) {
                    Ok(mut connection) => shared.serve(&mut connection),
                    Err(error) => {
                        tracing::warn!(%error, "the repository is not opened once more to read");
                    }
                }
                // The connection was dropped: now this thread counts no more.
            });
        spawned.map(drop).map_err(|error| RepositoryError::Open {
            path: self.source.place(),
            reason: error.to_string(),
        })
    }

    fn serve(&self, connection: &mut S::Connection) {
        while let Some(reads) = self.next() {
            self.source.read(connection, reads);
        }
    }

    /// A read, and if that is brief, the brief ones that wait next: all of them were asked for
    /// before their transaction begins. `None`: it is closed, and nothing is left to do.
    fn next(&self) -> Option<Vec<Read>> {
        let mut state = self.state();
        loop {
            if let Some(first) = state.waiting.pop_front() {
                let waiting = state.waiting.iter().take(TOGETHER - 1);
                let more = match first.length {
                    Length::Brief => waiting
                        .take_while(|read| read.length == Length::Brief)
                        .count(),
                    Length::Any => 0,
                };
                let mut reads = vec![first];
                reads.extend(state.waiting.drain(..more));
                return Some(reads);
            }
            if state.closed {
                return None;
            }
            state.idle += 1;
            state = self
                .woken
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
            state.idle -= 1;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Whole at every moment, whoever panicked meanwhile.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A thread, for as long as it counts.
struct Counted<S: Source>(Arc<Shared<S>>);

impl<S: Source> Drop for Counted<S> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.threads -= 1;
        if state.threads == 0 {
            // Nobody is left who could read: those who wait are told by that.
            state.waiting.clear();
            state.closing.clear();
        }
    }
}

impl Read {
    /// Does the work in this transaction, and answers; where there is none, with why.
    pub(super) fn answer(self, driver: Result<&mut dyn Driver, RepositoryError>) {
        let Self { work, answer, .. } = self;
        // Work that panics loses its answer, and takes neither this thread nor what waits with it.
        let told = catch_unwind(AssertUnwindSafe(|| match driver {
            Ok(driver) => work.run(&mut Tx::new(driver)),
            Err(error) => Err(error),
        }));
        if let Ok(told) = told {
            // Nobody waits any more where the caller was cancelled.
            let _ = answer.send(told);
        }
    }
}

#[cfg(test)]
impl<S: Source> Readers<S> {
    /// Occupies every thread, until the answer is dropped.
    pub(super) fn stop(&self) -> Vec<std::sync::mpsc::Sender<()>> {
        let mut stopped = Vec::new();
        for _ in 0..READERS {
            let (begun, has_begun) = std::sync::mpsc::channel();
            let (go_on, may_go_on) = std::sync::mpsc::channel::<()>();
            let work = Work::new(move |_| {
                // Errors say that the test is over.
                let _ = begun.send(());
                let _ = may_go_on.recv();
                Ok(())
            });
            let answer = oneshot::channel().0;
            self.submit(work, Length::Any, answer).unwrap();
            has_begun.recv().unwrap();
            stopped.push(go_on);
        }
        stopped
    }
}
