//! A connection beside the writer's, for what may not wait behind a batch: the beats of servers.
//! Each piece of work is a transaction of its own at READ COMMITTED, in which a statement that
//! finds a row locked waits for it, and goes by what stands there then.

use std::fmt;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;

use super::connect::Target;
use super::fault::Fault;
use super::link::Link;
use super::tx::PostgresTx;
use crate::repository::RepositoryError;
use crate::repository::one_write::OneWrite;
use crate::repository::sql::{Answer, Tx, Work, params};

/// How long an answer may take: less than a server may go without one.
const ANSWER: Duration = Duration::from_secs(4);

const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";

/// A thread with a connection, made when it is needed, and anew after it was lost. The thread ends
/// when the last clone is dropped.
#[derive(Clone)]
pub(in crate::repository) struct Apart {
    jobs: mpsc::Sender<OneWrite>,
    target: Arc<Target>,
}

impl Apart {
    /// To the repository of a database, which nobody need have opened.
    pub(in crate::repository) fn open(target: Target) -> Result<Self, RepositoryError> {
        let target = Arc::new(target);
        let (jobs, queue) = mpsc::channel::<OneWrite>();
        let to = Arc::clone(&target);
        let spawned = thread::Builder::new()
            .name("repository-apart".to_owned())
            .spawn(move || {
                let mut connection = Connection {
                    target: to,
                    link: None,
                    checked: false,
                };
                while let Ok(mut write) = queue.recv() {
                    let lost = connection.transact(&mut write).err();
                    write.tell(lost.as_ref());
                }
            });
        spawned.map_err(|error| RepositoryError::Open {
            path: target.place(),
            reason: error.to_string(),
        })?;
        Ok(Self { jobs, target })
    }

    /// Does `work` in a transaction, durable when this returns. After an error nobody knows whether
    /// it took effect: it is such that it may be done again.
    pub(in crate::repository) async fn write(&self, work: Work) -> Result<Answer, RepositoryError> {
        let (answer, told) = oneshot::channel();
        let job = OneWrite::new(work, answer);
        self.jobs.send(job).map_err(|_| RepositoryError::Closed)?;
        told.await.map_err(|_| RepositoryError::Closed)?
    }
}

impl fmt::Debug for Apart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Apart").field(&self.target.place()).finish()
    }
}

/// Whether there is a table: an earlier version made none.
///
/// # Errors
/// [`RepositoryError`].
pub(in crate::repository) fn has_table(
    tx: &mut Tx<'_>,
    table: &str,
) -> Result<bool, RepositoryError> {
    tx.exists(
        "SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE n.nspname = current_schema() AND c.relname = ?1 AND c.relkind = 'r'",
        &params![table],
    )
}

/// Nobody else changes a table until the transaction ends.
///
/// # Errors
/// [`RepositoryError`].
pub(in crate::repository) fn lock_table(
    tx: &mut Tx<'_>,
    table: &str,
) -> Result<(), RepositoryError> {
    tx.batch(&format!("LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE"))
}

/// What the thread works with.
struct Connection {
    target: Arc<Target>,
    link: Option<Link>,
    /// No pooler was found on the way.
    checked: bool,
}

impl Connection {
    fn transact(&mut self, write: &mut OneWrite) -> Result<(), RepositoryError> {
        let mut link = self.begun()?;
        let warnings = link.warnings();
        let mut tx = PostgresTx::new(&mut link);
        let done = write.run(&mut tx);
        let failed = tx.has_failed();
        let ended = match tx.broken() {
            Some(Fault::Lost(reason)) => return Err(self.target.away(&reason)),
            Some(_) => Err(RepositoryError::Busy),
            None if done && !failed => return self.commit(link, warnings),
            None => Ok(()),
        };
        if ended.is_ok() {
            write.must_have_failed();
        }
        if link.batch("ROLLBACK").is_ok() {
            self.link = Some(link);
        }
        ended
    }

    fn commit(&mut self, link: Link, warnings: u32) -> Result<(), RepositoryError> {
        match link.batch("COMMIT") {
            // A warning says that the database has stopped waiting for its standby.
            Ok(()) if link.warnings() == warnings => {
                self.link = Some(link);
                Ok(())
            }
            Ok(()) => Err(self.target.away(&"it did not wait for its standby")),
            Err(Fault::Refused(error)) => Err(error),
            Err(fault) => Err(self.target.away(&fault)),
        }
    }

    /// A connection with a transaction that has begun.
    fn begun(&mut self) -> Result<Link, RepositoryError> {
        // A database that was restarted, or has another primary now, has closed the one there was.
        if let Some(link) = self.link.take()
            && self.target.is_current(&link)
            && link.batch(BEGIN).is_ok()
        {
            return Ok(link);
        }
        let mut link = self.target.connect()?.with_patience(ANSWER);
        if !self.checked {
            self.target.must_not_be_pooled(&mut link)?;
            self.checked = true;
        }
        match link.batch(BEGIN) {
            Ok(()) => Ok(link),
            Err(Fault::Refused(error)) => Err(error),
            Err(fault) => Err(self.target.away(&fault)),
        }
    }
}
