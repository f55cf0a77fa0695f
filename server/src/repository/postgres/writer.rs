//! The thread that writes. What waits together is made durable together: one transaction and one
//! wait for the disk, each write in a savepoint of its own.
//!
//! Every transaction begins by inserting its own random id. Where the answer to COMMIT is lost,
//! that id is inserted once more, in a transaction of its own: this waits for a transaction that is
//! still under way, finds one that was committed, and keeps one that has not arrived yet from being
//! committed at all. Only then are its callers answered, or is it made again. Whoever inserts an id
//! so leaves a mark beside it: where that answer is lost as well, the next look does not take its
//! own id for the transaction's.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::connect::Target;
use super::fault::Fault;
use super::link::{Link, pause};
use super::tx::PostgresTx;
use crate::repository::meta;
use crate::repository::one_write::OneWrite;
use crate::repository::sql::{Bind as _, Driver as _, Tx, Value};
use crate::repository::{Fate, Moment, RepositoryError, Served, WriteObserver};

/// Writes made durable together at most.
const MAX_BATCH: usize = 256;
/// How long a write is tried, where the database is away or others are in its way.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(100);

/// In which way writes are kept from one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Isolation {
    /// A statement goes by what was committed before it: for work that first locks the one row that
    /// all of its kind lock, and so comes after whatever had it. As the other kind, whoever waits
    /// for that row would be made again.
    ReadCommitted,
    /// As if one came after the other: what read something that another changed is made again.
    Serializable,
    /// The same, while nobody else makes a change as if one came after the other: for what many
    /// servers do all the time, and each goes on from what the one before it left.
    Alone,
}

impl Isolation {
    /// Whether writes of both kinds may be one transaction, which is then of the later kind.
    fn joins(self, other: Self) -> bool {
        (self == Self::ReadCommitted) == (other == Self::ReadCommitted)
    }
}

/// What the thread is asked for.
pub(super) enum Job {
    Write(OneWrite, Isolation),
    /// To give back the room of what was deleted.
    Vacuum(oneshot::Sender<Result<(), RepositoryError>>),
    Close(oneshot::Sender<()>),
}

type ChangeId = [u8; 16];

/// What the thread works with.
pub(super) struct Writer {
    target: Arc<Target>,
    /// `None`: this program changes what nobody serves.
    served: Option<Served>,
    observer: Option<Arc<dyn WriteObserver>>,
    /// Grows with every commit.
    commits: Arc<AtomicI64>,
    link: Option<Link>,
    /// The id of a transaction of which all is known, and the mark of who looked for it: the next
    /// one removes them.
    settled: [Option<ChangeId>; 2],
}

/// Why nothing took effect, or nobody is to know that it did.
enum Lost {
    /// For this reason, and no other attempt is made.
    Failed(RepositoryError),
    /// For this reason; another attempt may come to more.
    ForNow(RepositoryError),
    /// The observer wants another attempt.
    Again,
    /// The observer wants no more of this repository, or it was closed meanwhile.
    Died,
}

impl Writer {
    /// Of the database that `link` is connected to.
    pub(super) const fn new(
        target: Arc<Target>,
        served: Option<Served>,
        observer: Option<Arc<dyn WriteObserver>>,
        commits: Arc<AtomicI64>,
        link: Link,
    ) -> Self {
        Self {
            target,
            served,
            observer,
            commits,
            link: Some(link),
            settled: [None; 2],
        }
    }

    /// What the thread does until the repository is closed.
    pub(super) fn serve(mut self, queue: &mpsc::Receiver<Job>) {
        let mut next = None;
        while let Some(job) = next.take().or_else(|| queue.recv().ok()) {
            match job {
                Job::Write(first, mut isolation) => {
                    let mut batch = vec![first];
                    while batch.len() < MAX_BATCH && next.is_none() {
                        match queue.try_recv() {
                            Ok(Job::Write(write, other)) if isolation.joins(other) => {
                                isolation = isolation.max(other);
                                batch.push(write);
                            }
                            Ok(other) => next = Some(other),
                            Err(_) => break,
                        }
                    }
                    if !self.write(batch, isolation, queue) {
                        return;
                    }
                }
                Job::Vacuum(answer) => {
                    // Nobody waits any more where the caller was cancelled.
                    let _ = answer.send(self.vacuum());
                }
                Job::Close(done) => {
                    self.forget_settled();
                    drop(self);
                    // Nobody waits any more.
                    let _ = done.send(());
                    return;
                }
            }
        }
    }

    /// Carries the writes out and answers each. `false`: nobody is answered, and no more is
    /// written.
    fn write(
        &mut self,
        mut batch: Vec<OneWrite>,
        isolation: Isolation,
        queue: &mpsc::Receiver<Job>,
    ) -> bool {
        let until = Instant::now() + PATIENCE;
        let lost = loop {
            match self.transact(&mut batch, isolation, queue) {
                Ok(()) => break None,
                Err(Lost::Again) => {}
                Err(Lost::ForNow(_)) if Instant::now() < until => pause(PAUSE),
                Err(Lost::ForNow(error) | Lost::Failed(error)) => break Some(error),
                Err(Lost::Died) => return false,
            }
        };
        for write in batch {
            write.tell(lost.as_ref());
        }
        true
    }

    fn transact(
        &mut self,
        batch: &mut [OneWrite],
        isolation: Isolation,
        queue: &mpsc::Receiver<Job>,
    ) -> Result<(), Lost> {
        must_not_be_gone(self.served.as_ref()).map_err(Lost::Failed)?;
        let id: ChangeId = rand::random();
        let worth = self.fill(id, batch, isolation)?;
        if !worth {
            return Ok(());
        }
        match self.fate(Moment::BeforeCommit) {
            Fate::GoOn => {}
            fate => {
                self.undo();
                return Err(match fate {
                    Fate::Full => Lost::Failed(RepositoryError::Full),
                    Fate::Again => Lost::Again,
                    Fate::Die | Fate::GoOn => Lost::Died,
                });
            }
        }
        self.commit(id, queue)?;
        self.commits.fetch_add(1, Ordering::AcqRel);
        match self.fate(Moment::AfterCommit) {
            Fate::Die => Err(Lost::Died),
            Fate::GoOn | Fate::Full | Fate::Again => Ok(()),
        }
    }

    /// Begins a transaction and does what is to be done in it. `false`: there is nothing to commit.
    fn fill(
        &mut self,
        id: ChangeId,
        batch: &mut [OneWrite],
        isolation: Isolation,
    ) -> Result<bool, Lost> {
        let mut link = self.connected()?;
        let mut tx = PostgresTx::new(&mut link);
        let filled = Self::begin(&mut tx, id, isolation, self.settled, self.served.as_ref())
            .and_then(|stands| {
                if stands {
                    fill(&mut tx, batch)
                } else {
                    Ok(None)
                }
            });
        let broken = tx.broken();
        if let Some(Fault::Lost(reason)) = &broken {
            return Err(Lost::ForNow(self.target.away(reason)));
        }
        self.link = Some(link);
        match (broken, filled) {
            (Some(_), _) => {
                self.undo();
                Err(Lost::ForNow(RepositoryError::Busy))
            }
            (None, Ok(Some(true))) => Ok(true),
            (None, Ok(Some(false))) => {
                self.undo();
                Ok(false)
            }
            (None, Ok(None)) => {
                self.undo();
                if let Some(served) = &self.served {
                    served.fencing.set_gone();
                }
                Err(Lost::Failed(RepositoryError::TakenOver))
            }
            (None, Err(error)) => {
                self.undo();
                Err(Lost::Failed(error))
            }
        }
    }

    /// The connection, or a new one. The first attempt after a loss, too, finds out whether the
    /// database is back.
    fn connected(&mut self) -> Result<Link, Lost> {
        if let Some(link) = self.link.take()
            && self.target.is_current(&link)
        {
            return Ok(link);
        }
        let mut link = self.target.connect().map_err(|error| match error {
            RepositoryError::Away { .. } => Lost::ForNow(error),
            error => Lost::Failed(error),
        })?;
        self.must_have_the_last(&mut link)?;
        Ok(link)
    }

    /// The database behind this connection has the last change that was acknowledged to this
    /// program, and so all before it. One that has not went back in time: it is told to all.
    fn must_have_the_last(&self, link: &mut Link) -> Result<(), Lost> {
        let [Some(last), _] = self.settled else {
            return Ok(());
        };
        let mut tx = PostgresTx::new(link);
        let sql = "SELECT 1 FROM engine_changes WHERE id = ?1";
        let found = Tx::new(&mut tx)
            .exists(sql, &[last.bind()])
            .and_then(|found| match found {
                true => Ok(()),
                false => {
                    meta::set_went_back(&mut Tx::new(&mut tx))?;
                    Err(RepositoryError::WentBack {
                        place: self.target.place(),
                    })
                }
            });
        match (tx.broken(), found) {
            (Some(Fault::Lost(reason)), _) => Err(Lost::ForNow(self.target.away(&reason))),
            (Some(_), _) => Err(Lost::ForNow(RepositoryError::Busy)),
            (None, found) => found.map_err(Lost::Failed),
        }
    }

    /// Begins. `false`: the row of this instance is gone.
    fn begin(
        tx: &mut PostgresTx<'_>,
        id: ChangeId,
        isolation: Isolation,
        settled: [Option<ChangeId>; 2],
        served: Option<&Served>,
    ) -> Result<bool, RepositoryError> {
        tx.step(match isolation {
            // Locked before the snapshot is taken: the one that is alone is not undone for what
            // came before it, nor is what comes after it.
            Isolation::Serializable => {
                "BEGIN ISOLATION LEVEL SERIALIZABLE; LOCK TABLE engine IN SHARE MODE"
            }
            Isolation::Alone => {
                "BEGIN ISOLATION LEVEL SERIALIZABLE; LOCK TABLE engine IN EXCLUSIVE MODE"
            }
            Isolation::ReadCommitted => "BEGIN ISOLATION LEVEL READ COMMITTED",
        })?;
        let settled = settled.each_ref();
        let [settled, mark] = settled.map(|id| id.as_ref().map_or(Value::Null, |id| id.bind()));
        let inserted = match served {
            // Locked, so that whoever ends this instance waits for this transaction. Its beats do
            // not change what this lock is on, and wait for nothing.
            Some(served) => tx.execute(
                "WITH own AS (SELECT 1 FROM servers WHERE instance = ?4 FOR KEY SHARE),
                      gone AS (DELETE FROM engine_changes WHERE id IN (?2, ?3))
                 INSERT INTO engine_changes (id) SELECT ?1 FROM own",
                &[id.bind(), settled, mark, served.instance.bind()],
            ),
            None => tx.execute(
                "WITH gone AS (DELETE FROM engine_changes WHERE id IN (?2, ?3))
                 INSERT INTO engine_changes (id) VALUES (?1)",
                &[id.bind(), settled, mark],
            ),
        };
        Ok(inserted? > 0)
    }

    fn commit(&mut self, id: ChangeId, queue: &mpsc::Receiver<Job>) -> Result<(), Lost> {
        let Some(link) = &self.link else {
            return Err(Lost::ForNow(RepositoryError::Busy));
        };
        let warnings = link.warnings();
        match link.batch("COMMIT") {
            // A warning says that the database has stopped waiting for its standby.
            Ok(()) if link.warnings() == warnings => {}
            Err(Fault::Again) => {
                self.undo();
                return Err(Lost::ForNow(RepositoryError::Busy));
            }
            Ok(()) | Err(_) => self.find_out(id, queue)?,
        }
        self.settled = [Some(id), None];
        Ok(())
    }

    /// Finds out whether a transaction was committed, however long that takes: `Ok` where it was.
    /// What is asked for meanwhile waits, as long as it would for a transaction.
    fn find_out(&mut self, id: ChangeId, queue: &mpsc::Receiver<Job>) -> Result<(), Lost> {
        tracing::warn!(
            "the database did not say whether a change was committed: it is asked for until it does"
        );
        self.link = None;
        let mark: ChangeId = rand::random();
        let until = Instant::now() + PATIENCE;
        loop {
            let away = match self.target.connect() {
                Ok(mut link) => {
                    let mut tx = PostgresTx::new(&mut link);
                    let committed = was_committed(&mut tx, id, mark);
                    match (tx.broken(), committed) {
                        (None, Ok(committed)) => {
                            if !committed {
                                self.must_have_the_last(&mut link)?;
                            }
                            self.link = Some(link);
                            self.settled = [Some(id), Some(mark)];
                            return match committed {
                                true => Ok(()),
                                false => Err(Lost::ForNow(RepositoryError::Busy)),
                            };
                        }
                        (Some(Fault::Lost(reason)), _) => self.target.away(&reason),
                        (_, Err(error)) => error,
                        (Some(_), Ok(_)) => RepositoryError::Busy,
                    }
                }
                Err(error) => error,
            };
            // Of what others ask nothing was begun.
            while Instant::now() >= until {
                match queue.try_recv() {
                    Ok(Job::Write(write, _)) => write.tell(Some(&away)),
                    Ok(Job::Vacuum(answer)) => drop(answer.send(Err(away.again()))),
                    Ok(Job::Close(done)) => {
                        let _ = done.send(());
                        return Err(Lost::Died);
                    }
                    Err(mpsc::TryRecvError::Empty) => break,
                    Err(mpsc::TryRecvError::Disconnected) => return Err(Lost::Died),
                }
            }
            pause(PAUSE);
        }
    }

    /// Ends a transaction that is not to be committed.
    fn undo(&mut self) {
        let undone = self.link.as_ref().map(|link| link.batch("ROLLBACK"));
        if !matches!(undone, Some(Ok(()))) {
            self.link = None;
        }
    }

    /// Removes the id of a transaction of which all is known. Where this fails, a few bytes stay.
    fn forget_settled(&mut self) {
        let settled = std::mem::take(&mut self.settled);
        let Some(link) = &mut self.link else {
            return;
        };
        for id in settled.into_iter().flatten() {
            let sql = "DELETE FROM engine_changes WHERE id = ?1";
            let _ = PostgresTx::new(link).execute(sql, &[id.bind()]);
        }
    }

    /// Gives back the room of deleted keys, which others may overwrite then.
    fn vacuum(&mut self) -> Result<(), RepositoryError> {
        let Some(link) = &self.link else {
            return Err(self.target.away(&"there is no connection"));
        };
        match link.batch_long("VACUUM server_keys, sealed_values") {
            Ok(()) => Ok(()),
            Err(Fault::Refused(error)) => Err(error),
            Err(Fault::Again) => Err(RepositoryError::Busy),
            Err(Fault::Lost(reason)) => {
                self.link = None;
                Err(self.target.away(&reason))
            }
        }
    }

    fn fate(&self, moment: Moment) -> Fate {
        let observer = self.observer.as_ref();
        observer.map_or(Fate::GoOn, |observer| observer.at(moment))
    }
}

/// # Errors
/// [`RepositoryError::TakenOver`].
pub(super) fn must_not_be_gone(served: Option<&Served>) -> Result<(), RepositoryError> {
    match served.is_some_and(|served| served.fencing.is_gone()) {
        true => Err(RepositoryError::TakenOver),
        false => Ok(()),
    }
}

/// Whether the transaction of this id was committed. Where it was not, it cannot be from now on,
/// and `mark` says so to whoever asks again.
fn was_committed(
    tx: &mut PostgresTx<'_>,
    id: ChangeId,
    mark: ChangeId,
) -> Result<bool, RepositoryError> {
    tx.execute(
        "WITH barred AS
            (INSERT INTO engine_changes (id) VALUES (?1) ON CONFLICT DO NOTHING RETURNING id)
         INSERT INTO engine_changes (id) SELECT ?2 FROM barred",
        &[id.bind(), mark.bind()],
    )?;
    let sql = "SELECT 1 FROM engine_changes WHERE id = ?1";
    Ok(!Tx::new(tx).exists(sql, &[mark.bind()])?)
}

/// Does each write in a savepoint of its own; one alone needs none. `Some(false)`: nothing is to be
/// committed.
fn fill(tx: &mut PostgresTx<'_>, batch: &mut [OneWrite]) -> Result<Option<bool>, RepositoryError> {
    if let [only] = batch {
        let done = only.run(tx);
        if tx.has_failed() {
            only.must_have_failed();
        }
        return Ok(Some(done && !tx.has_failed()));
    }
    for write in batch {
        tx.step("SAVEPOINT one_write")?;
        let done = write.run(tx);
        if tx.is_broken() {
            return Err(RepositoryError::Busy);
        }
        // A statement that failed is told to its caller, whatever came after it.
        if !done || tx.has_failed() {
            write.must_have_failed();
            tx.step("ROLLBACK TO one_write")?;
        }
        tx.step("RELEASE one_write")?;
    }
    Ok(Some(true))
}
