//! Writes that wait together are made durable together: one transaction and one wait for the disk, each write in a
//! savepoint of its own. Each comes whole or not at all, sees what came before it, and is answered only once all are durable.

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::oneshot;

use super::RepositoryError;
use super::observer::{Fate, Moment, WriteObserver};

/// A write and the answer that its caller waits for.
pub(super) trait Write: Send {
    /// Does the work, and keeps what came of it. False: it failed, and what it changed is to be undone.
    fn run(&mut self, transaction: &Transaction<'_>) -> bool;

    /// Why it failed, where it did.
    fn error(&self) -> Option<&RepositoryError>;

    /// Tells the caller; `lost` says why nothing took effect, where nothing did.
    fn answer(self: Box<Self>, lost: Option<&RepositoryError>);
}

/// One caller's write.
pub(super) struct OneWrite<T, F> {
    pub(super) work: Option<F>,
    pub(super) result: Option<Result<T, RepositoryError>>,
    pub(super) answer: oneshot::Sender<Result<T, RepositoryError>>,
}

impl<T, F> Write for OneWrite<T, F>
where
    T: Send,
    F: FnOnce(&Transaction<'_>) -> Result<T, RepositoryError> + Send,
{
    fn run(&mut self, transaction: &Transaction<'_>) -> bool {
        self.result = self.work.take().map(|work| work(transaction));
        matches!(self.result, Some(Ok(_)))
    }

    fn error(&self) -> Option<&RepositoryError> {
        self.result
            .as_ref()
            .and_then(|result| result.as_ref().err())
    }

    fn answer(self: Box<Self>, lost: Option<&RepositoryError>) {
        let answer = match (self.result, lost) {
            (Some(Err(error)), _) => Err(error),
            (_, Some(lost)) => Err(lost.again()),
            (Some(Ok(value)), None) => Ok(value),
            (None, None) => Err(RepositoryError::Closed),
        };
        // Nobody waits any more where the caller was cancelled; the work is done all the same.
        let _ = self.answer.send(answer);
    }
}

/// Carries the writes out and answers each. `false`: `observer` wants no more of this repository, and nobody is answered.
pub(super) fn write(
    connection: &mut Connection,
    mut batch: Vec<Box<dyn Write>>,
    observer: Option<&dyn WriteObserver>,
) -> bool {
    let lost = match transact(connection, &mut batch, observer) {
        Ok(()) => None,
        Err(Lost::Died) => return false,
        Err(Lost::Failed(error)) => Some(error),
    };
    for write in batch {
        write.answer(lost.as_ref());
    }
    true
}

/// Why nothing took effect, or nobody is to know that it did.
enum Lost {
    Failed(RepositoryError),
    Died,
}

impl<E: Into<RepositoryError>> From<E> for Lost {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

fn transact(
    connection: &mut Connection,
    batch: &mut [Box<dyn Write>],
    observer: Option<&dyn WriteObserver>,
) -> Result<(), Lost> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if let [only] = batch {
        return match only.run(&transaction) {
            true => commit(transaction, observer),
            false => Ok(()),
        };
    }
    for write in batch {
        transaction.execute_batch("SAVEPOINT one_write")?;
        let done = write.run(&transaction);
        // Some failures, such as a full disk, end the whole transaction.
        if transaction.is_autocommit() {
            return Err(Lost::Failed(
                write
                    .error()
                    .map_or(RepositoryError::Full, |error| error.again()),
            ));
        }
        transaction.execute_batch(match done {
            true => "RELEASE one_write",
            false => "ROLLBACK TO one_write; RELEASE one_write",
        })?;
    }
    commit(transaction, observer)
}

fn commit(transaction: Transaction<'_>, observer: Option<&dyn WriteObserver>) -> Result<(), Lost> {
    let fate = |moment| observer.map_or(Fate::GoOn, |observer| observer.at(moment));
    match fate(Moment::BeforeCommit) {
        Fate::GoOn => {}
        Fate::Full => return Err(Lost::Failed(RepositoryError::Full)),
        Fate::Die => return Err(Lost::Died),
    }
    transaction.commit()?;
    match fate(Moment::AfterCommit) {
        Fate::Die => Err(Lost::Died),
        Fate::GoOn | Fate::Full => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Answer = oneshot::Receiver<Result<i64, RepositoryError>>;

    fn one(
        work: impl FnOnce(&Transaction<'_>) -> Result<i64, RepositoryError> + Send + 'static,
    ) -> (Box<dyn Write>, Answer) {
        let (answer, told) = oneshot::channel();
        let write = OneWrite {
            work: Some(work),
            result: None,
            answer,
        };
        (Box::new(write), told)
    }

    fn insert(value: i64, then: Result<i64, RepositoryError>) -> (Box<dyn Write>, Answer) {
        one(move |transaction| {
            transaction.execute("INSERT INTO t VALUES (?1)", [value])?;
            then
        })
    }

    fn table() -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE t (v)").unwrap();
        connection
    }

    fn stored(connection: &Connection) -> Vec<i64> {
        let mut statement = connection.prepare("SELECT v FROM t ORDER BY v").unwrap();
        let rows = statement.query_map([], |row| row.get(0)).unwrap();
        rows.map(Result::unwrap).collect()
    }

    #[test]
    fn one_that_fails_takes_no_other_with_it_and_sees_what_came_before() {
        let mut connection = table();
        let (a, told_a) = insert(1, Ok(1));
        let (b, told_b) = insert(2, Err(RepositoryError::Busy));
        let (c, told_c) = one(|transaction| {
            Ok(transaction.query_row("SELECT count(*) FROM t", [], |row| row.get(0))?)
        });
        write(&mut connection, vec![a, b, c], None);
        assert_eq!(told_a.blocking_recv().unwrap().unwrap(), 1);
        assert!(matches!(
            told_b.blocking_recv().unwrap(),
            Err(RepositoryError::Busy)
        ));
        assert_eq!(told_c.blocking_recv().unwrap().unwrap(), 1);
        assert_eq!(stored(&connection), [1]);
    }

    #[test]
    fn where_the_whole_is_lost_every_caller_is_told() {
        let mut connection = table();
        let (a, told_a) = insert(1, Ok(1));
        let (b, told_b) = one(|transaction| {
            transaction.execute_batch("ROLLBACK")?;
            Err(RepositoryError::Full)
        });
        let (c, told_c) = insert(3, Ok(3));
        write(&mut connection, vec![a, b, c], None);
        for told in [told_a, told_b, told_c] {
            assert!(matches!(
                told.blocking_recv().unwrap(),
                Err(RepositoryError::Full)
            ));
        }
        assert!(stored(&connection).is_empty());
        let (again, told) = insert(4, Ok(4));
        write(&mut connection, vec![again], None);
        assert_eq!(told.blocking_recv().unwrap().unwrap(), 4);
    }
}
