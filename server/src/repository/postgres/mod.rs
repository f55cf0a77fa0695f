//! The engine of PostgreSQL: a schema in a database, a thread that writes and a few that read, each
//! with a connection of its own. What a server writes begins by locking the row of its instance
//! (`writer`), which it keeps by beats on a connection beside (`apart`). Nothing else names the
//! driver.

mod apart;
mod connect;
mod dialect;
mod fault;
mod link;
mod numbers;
mod schema;
mod standby;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod tx;
mod writer;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;

use tokio::sync::oneshot;

use super::one_write::OneWrite;
use super::readers::{Length, Read, Readers, Source};
use super::sql::{Answer, Work};
use super::{RepositoryError, Served, WriteObserver};
use crate::config::Postgres as Settings;
pub(super) use connect::Target;
use fault::Fault;
use link::Link;
use tx::PostgresTx;
use writer::{Isolation, Job, Writer, must_not_be_gone};

/// The schema that holds the repository of a database.
pub(super) const SCHEMA: &str = "portcullis";
pub(super) use apart::{Apart, has_table, lock_table};
pub(super) use numbers::{last_number, set_last_number, take_time};
pub(super) use schema::UNFINISHED;
pub(super) use standby::is_alone;

/// A database that is open.
pub(super) struct Postgres {
    target: Arc<Target>,
    writer: mpsc::Sender<Job>,
    readers: Readers<Connections>,
    served: Option<Served>,
    /// Grows with every commit of this program: no other one commits while it serves.
    commits: Arc<AtomicI64>,
    /// Grows with what other servers withdraw.
    withdrawals: AtomicU64,
    closed: AtomicBool,
}

/// What an opening is for.
#[derive(Clone, Debug)]
pub(super) enum Purpose {
    /// To serve it: every change goes by the row of this instance.
    Serve(Served),
    /// To look at it, beside one that serves.
    Look,
}

impl Postgres {
    /// Opens the repository of a database and brings its tables up to date; `observer`
    /// decides on every write from then on.
    pub(super) async fn open(
        target: Target,
        purpose: Purpose,
        observer: Option<Arc<dyn WriteObserver>>,
    ) -> Result<Self, RepositoryError> {
        let opened = tokio::task::spawn_blocking(move || Self::start(target, purpose, observer));
        opened.await.map_err(|_| RepositoryError::Closed)?
    }

    /// Makes an empty repository in `schema`, which may not be there.
    pub(super) async fn create(settings: Settings, schema: String) -> Result<(), RepositoryError> {
        let target = Target::new(settings, schema);
        on_a_link(target, schema::create).await
    }

    /// # Errors
    /// [`RepositoryError::Occupied`] where the database has a repository.
    pub(super) async fn must_be_free(settings: Settings) -> Result<(), RepositoryError> {
        let target = Target::new(settings, SCHEMA.to_owned());
        on_a_link(target, |link, target| {
            match schema::must_be_there(link, target) {
                Err(RepositoryError::Missing { .. }) => Ok(()),
                Ok(()) => Err(RepositoryError::Occupied {
                    place: target.place(),
                }),
                Err(error) => Err(error),
            }
        })
        .await
    }

    /// Makes what was filled in `from` the repository of the database.
    pub(super) async fn publish(settings: Settings, from: String) -> Result<(), RepositoryError> {
        let target = Target::new(settings, from);
        on_a_link(target, |link, target| schema::publish(link, target, SCHEMA)).await
    }

    /// Removes what an earlier `init` left unfinished.
    pub(super) async fn remove_unfinished(settings: Settings) -> Result<(), RepositoryError> {
        let target = Target::new(settings, UNFINISHED.to_owned());
        on_a_link(target, schema::remove_unfinished).await
    }

    /// Where it is, for people.
    pub(super) fn place(&self) -> String {
        self.target.place()
    }

    /// See [`Database::state`](super::Database::state).
    pub(super) fn state(&self) -> Option<i64> {
        let may_act = |served: &Served| served.fencing.may_act();
        let known =
            self.served.as_ref().is_none_or(may_act) && !self.closed.load(Ordering::Acquire);
        known.then(|| self.commits.load(Ordering::Acquire))
    }

    /// How often [`Self::changed_elsewhere`] was told.
    pub(super) fn withdrawals(&self) -> u64 {
        self.withdrawals.load(Ordering::SeqCst)
    }

    /// Another server has changed something: [`Self::state`] is another one from now on.
    pub(super) fn changed_elsewhere(&self) {
        self.withdrawals.fetch_add(1, Ordering::SeqCst);
        self.commits.fetch_add(1, Ordering::AcqRel);
    }

    /// Does `work` in a transaction that sees one state of the database and changes nothing.
    pub(super) async fn read(&self, work: Work) -> Result<Answer, RepositoryError> {
        must_not_be_gone(self.served.as_ref())?;
        self.readers.read(work, Length::Any).await
    }

    /// The same of work that reads few rows: others may share its transaction.
    pub(super) async fn look(&self, work: Work) -> Result<Answer, RepositoryError> {
        must_not_be_gone(self.served.as_ref())?;
        self.readers.read(work, Length::Brief).await
    }

    /// Does `work` in a transaction, durable when this returns; an error undoes it whole.
    pub(super) async fn write(&self, work: Work) -> Result<Answer, RepositoryError> {
        self.write_at(work, Isolation::Serializable).await
    }

    /// The same of work that begins by locking the one row that all of its kind lock.
    pub(super) async fn write_in_turn(&self, work: Work) -> Result<Answer, RepositoryError> {
        self.write_at(work, Isolation::ReadCommitted).await
    }

    /// The same of work that no other change of any server runs beside.
    pub(super) async fn write_alone(&self, work: Work) -> Result<Answer, RepositoryError> {
        self.write_at(work, Isolation::Alone).await
    }

    /// Gives back the room of what was deleted. It is not overwritten: the database's log and its
    /// standbys keep it, as does whoever has an old copy.
    pub(super) async fn vacuum(&self) -> Result<(), RepositoryError> {
        let (answer, told) = oneshot::channel();
        self.submit(Job::Vacuum(answer))?;
        told.await.map_err(|_| RepositoryError::Closed)?
    }

    /// Keeps it from reading, until the answer is dropped.
    #[cfg(test)]
    pub(super) fn stop_reading(&self) -> Vec<mpsc::Sender<()>> {
        self.readers.stop()
    }

    /// Closes it when the work begun is done.
    pub(super) async fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.readers.close().await;
        let (done, closed) = oneshot::channel();
        if self.submit(Job::Close(done)).is_ok() {
            // An error says that it is closed already.
            let _ = closed.await;
        }
    }

    fn start(
        target: Target,
        purpose: Purpose,
        observer: Option<Arc<dyn WriteObserver>>,
    ) -> Result<Self, RepositoryError> {
        let target = Arc::new(target);
        let served = match purpose {
            Purpose::Serve(served) => Some(served),
            Purpose::Look => None,
        };
        let mut link = target.connect()?;
        target.must_not_be_pooled(&mut link)?;
        schema::must_be_there(&mut link, &target)?;
        schema::migrate(&mut link, &target)?;
        let readers = Readers::start(Connections(Arc::clone(&target)))?;
        let (jobs, queue) = mpsc::channel();
        let commits = Arc::new(AtomicI64::new(0));
        let (of, counted) = (served.clone(), Arc::clone(&commits));
        let writer = Writer::new(Arc::clone(&target), of, observer, counted, link);
        thread::Builder::new()
            .name("repository-write".to_owned())
            .spawn(move || writer.serve(&queue))
            .map_err(|error| RepositoryError::Open {
                path: target.place(),
                reason: error.to_string(),
            })?;
        Ok(Self {
            target,
            writer: jobs,
            readers,
            served,
            commits,
            withdrawals: AtomicU64::new(0),
            closed: AtomicBool::new(false),
        })
    }

    async fn write_at(&self, work: Work, isolation: Isolation) -> Result<Answer, RepositoryError> {
        let (answer, told) = oneshot::channel();
        self.submit(Job::Write(OneWrite::new(work, answer), isolation))?;
        told.await.map_err(|_| RepositoryError::Closed)?
    }

    fn submit(&self, job: Job) -> Result<(), RepositoryError> {
        self.writer.send(job).map_err(|_| RepositoryError::Closed)
    }
}

/// Does something on a connection of its own.
async fn on_a_link(
    target: Target,
    work: impl FnOnce(&mut Link, &Target) -> Result<(), RepositoryError> + Send + 'static,
) -> Result<(), RepositoryError> {
    let done = tokio::task::spawn_blocking(move || {
        let mut link = target.connect()?;
        work(&mut link, &target)
    });
    done.await.map_err(|_| RepositoryError::Closed)?
}

/// The database, for those who read.
struct Connections(Arc<Target>);

impl Source for Connections {
    /// Made when it is needed, and anew after it was lost.
    type Connection = Option<Link>;

    fn connect(&self) -> Result<Option<Link>, RepositoryError> {
        Ok(None)
    }

    fn read(&self, connection: &mut Option<Link>, reads: Vec<Read>) {
        let mut reads = reads.into_iter().peekable();
        while reads.peek().is_some() {
            // A database that was restarted, or has another primary now, has closed the connection.
            let begun = self.begun(connection.take()).or_else(|_| self.begun(None));
            let mut link = match begun {
                Ok(link) => link,
                Err(error) => {
                    reads.for_each(|read| read.answer(Err(error.again())));
                    return;
                }
            };
            let mut tx = PostgresTx::new(&mut link);
            // After a failure the transaction is of no use to the others.
            while !tx.has_failed()
                && let Some(read) = reads.next()
            {
                read.answer(Ok(&mut tx));
            }
            let lost = matches!(tx.broken(), Some(Fault::Lost(_)));
            if !lost && tx.step("ROLLBACK").is_ok() {
                *connection = Some(link);
            }
        }
    }

    fn place(&self) -> String {
        self.0.place()
    }
}

impl Connections {
    /// A connection with a transaction that has begun: this one, or where there is none, a new one.
    fn begun(&self, link: Option<Link>) -> Result<Link, RepositoryError> {
        let link = link.filter(|link| self.0.is_current(link));
        let link = link.map_or_else(|| self.0.connect(), Ok)?;
        match link.batch("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY") {
            Ok(()) => Ok(link),
            Err(Fault::Refused(error)) => Err(error),
            Err(Fault::Again) => Err(RepositoryError::Busy),
            Err(Fault::Lost(reason)) => Err(self.0.away(&reason)),
        }
    }
}
