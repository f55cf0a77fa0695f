//! A thread that has one connection to SQLite, whose calls block.

use std::path::Path;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;

use rusqlite::{Connection, InterruptHandle, OpenFlags};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout, timeout_at};

use super::super::engine::Fault;
use super::fault;

/// How long after an interruption the next one comes.
const AGAIN: Duration = Duration::from_millis(50);

type Job = Box<dyn FnOnce(&Connection) + Send>;

/// One connection with its thread, which ends when this is dropped.
pub(super) struct Worker {
    jobs: Sender<Job>,
    interrupt: InterruptHandle,
}

impl Worker {
    /// Opens a database that is there; `setup` is run on it.
    pub(super) async fn start(path: &Path, setup: String) -> Result<Self, Fault> {
        let path = path.to_owned();
        let (ready, started) = oneshot::channel();
        let (jobs, queue) = channel::<Job>();
        let spawned = thread::Builder::new()
            .name("sqlite".to_owned())
            .spawn(move || {
                let connection = match open(&path, &setup) {
                    Ok(connection) => connection,
                    Err(error) => {
                        // Nobody waits any more: then nobody misses it.
                        let _ = ready.send(Err(error));
                        return;
                    }
                };
                let _ = ready.send(Ok(connection.get_interrupt_handle()));
                while let Ok(job) = queue.recv() {
                    job(&connection);
                }
            });
        spawned.map_err(|error| Fault::cut(format!("cannot start a thread: {error}")))?;
        let interrupt = started.await.map_err(|_| gone())??;
        Ok(Self { jobs, interrupt })
    }

    /// Does the work on the thread. It is interrupted when its time is over, and then ends with an
    /// error of its own.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        deadline: Instant,
        work: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let (done, mut answer) = oneshot::channel();
        self.begin(move |connection| {
            let _ = done.send(work(connection));
        })?;
        if let Ok(answer) = timeout_at(deadline, &mut answer).await {
            return answer.map_err(|_| gone())?;
        }
        // It interrupts what runs now, which may still be what came before.
        loop {
            self.interrupt.interrupt();
            if let Ok(answer) = timeout(AGAIN, &mut answer).await {
                return answer.map_err(|_| gone())?;
            }
        }
    }

    /// Has the thread do the work after what it has to do before.
    pub(super) fn begin(
        &self,
        work: impl FnOnce(&Connection) + Send + 'static,
    ) -> Result<(), Fault> {
        self.jobs.send(Box::new(work)).map_err(|_| gone())
    }
}

fn open(path: &Path, setup: &str) -> Result<Connection, Fault> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)
        .map_err(|error| fault::of_opening(path, &error))?;
    connection
        .execute_batch(setup)
        .map_err(|error| fault::of_opening(path, &error))?;
    Ok(connection)
}

fn gone() -> Fault {
    Fault::cut("the thread of the database has ended")
}
