//! Writes that wait together are made durable together: one transaction and one wait for the disk,
//! each write in a savepoint of its own. Each comes whole or not at all, sees what came before it,
//! and is answered only once all are durable.

use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::tx::SqliteTx;
use crate::repository::one_write::OneWrite;
use crate::repository::{Fate, Moment, RepositoryError, WriteObserver};

/// Carries the writes out and answers each. `false`: `observer` wants no more of this repository,
/// and nobody is answered.
pub(super) fn write(
    connection: &mut Connection,
    mut batch: Vec<OneWrite>,
    observer: Option<&dyn WriteObserver>,
) -> bool {
    let lost = loop {
        match transact(connection, &mut batch, observer) {
            Ok(()) => break None,
            Err(Lost::Again) => {}
            Err(Lost::Died) => return false,
            Err(Lost::Failed(error)) => break Some(error),
        }
    };
    for write in batch {
        write.tell(lost.as_ref());
    }
    true
}

/// Why nothing took effect, or nobody is to know that it did.
enum Lost {
    Failed(RepositoryError),
    Died,
    /// All of it is to be done once more.
    Again,
}

impl<E: Into<RepositoryError>> From<E> for Lost {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

fn transact(
    connection: &mut Connection,
    batch: &mut [OneWrite],
    observer: Option<&dyn WriteObserver>,
) -> Result<(), Lost> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if let [only] = batch {
        return match only.run(&mut SqliteTx(&transaction)) {
            true => commit(transaction, observer),
            false => Ok(()),
        };
    }
    for write in batch {
        transaction
            .prepare_cached("SAVEPOINT one_write")?
            .execute([])?;
        let done = write.run(&mut SqliteTx(&transaction));
        // Some failures, such as a full disk, end the whole transaction.
        if transaction.is_autocommit() {
            return Err(Lost::Failed(
                write
                    .error()
                    .map_or(RepositoryError::Full, |error| error.again()),
            ));
        }
        if !done {
            transaction.execute_batch("ROLLBACK TO one_write")?;
        }
        transaction
            .prepare_cached("RELEASE one_write")?
            .execute([])?;
    }
    commit(transaction, observer)
}

fn commit(transaction: Transaction<'_>, observer: Option<&dyn WriteObserver>) -> Result<(), Lost> {
    let fate = |moment| observer.map_or(Fate::GoOn, |observer| observer.at(moment));
    match fate(Moment::BeforeCommit) {
        Fate::GoOn => {}
        Fate::Full => return Err(Lost::Failed(RepositoryError::Full)),
        Fate::Die => return Err(Lost::Died),
        Fate::Again => return Err(Lost::Again),
    }
    transaction.commit()?;
    match fate(Moment::AfterCommit) {
        Fate::Die => Err(Lost::Died),
        Fate::GoOn | Fate::Full | Fate::Again => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::sync::oneshot;

    use super::*;
    use crate::repository::sql::{self, Answer, Tx, Work, params};

    type Told = oneshot::Receiver<Result<Answer, RepositoryError>>;

    fn one(
        work: impl Fn(&mut Tx<'_>) -> Result<i64, RepositoryError> + Send + 'static,
    ) -> (OneWrite, Told) {
        let (answer, told) = oneshot::channel();
        (OneWrite::new(Work::new(work), answer), told)
    }

    fn insert(value: i64, then: Result<i64, RepositoryError>) -> (OneWrite, Told) {
        one(move |tx| {
            tx.execute("INSERT INTO t VALUES (?1)", &params![value])?;
            match &then {
                Ok(value) => Ok(*value),
                Err(error) => Err(error.again()),
            }
        })
    }

    fn told(answer: Told) -> Result<i64, RepositoryError> {
        answer.blocking_recv().unwrap().and_then(sql::answer)
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
        let (c, told_c) = one(|tx| tx.query_one("SELECT count(*) FROM t", &[], |row| row.get(0)));
        write(&mut connection, vec![a, b, c], None);
        assert_eq!(told(told_a).unwrap(), 1);
        assert!(matches!(told(told_b), Err(RepositoryError::Busy)));
        assert_eq!(told(told_c).unwrap(), 1);
        assert_eq!(stored(&connection), [1]);
    }

    #[test]
    fn where_the_whole_is_lost_every_caller_is_told() {
        let mut connection = table();
        let (a, told_a) = insert(1, Ok(1));
        let (b, told_b) = one(|tx| {
            tx.batch("ROLLBACK")?;
            Err(RepositoryError::Full)
        });
        let (c, told_c) = insert(3, Ok(3));
        write(&mut connection, vec![a, b, c], None);
        for answer in [told_a, told_b, told_c] {
            assert!(matches!(told(answer), Err(RepositoryError::Full)));
        }
        assert!(stored(&connection).is_empty());
        let (again, told_again) = insert(4, Ok(4));
        write(&mut connection, vec![again], None);
        assert_eq!(told(told_again).unwrap(), 4);
    }

    /// Has the first `times` transactions made once more.
    struct Again(AtomicU32);

    impl WriteObserver for Again {
        fn at(&self, moment: Moment) -> Fate {
            let again = moment == Moment::BeforeCommit
                && self
                    .0
                    .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                        left.checked_sub(1)
                    })
                    .is_ok();
            if again { Fate::Again } else { Fate::GoOn }
        }
    }

    #[test]
    fn what_is_made_again_begins_where_nothing_of_it_was_done() {
        for alone in [true, false] {
            let mut connection = table();
            let runs = Arc::new(AtomicU32::new(0));
            let counted = Arc::clone(&runs);
            let (a, told_a) = one(move |tx| {
                counted.fetch_add(1, Ordering::Relaxed);
                tx.execute("INSERT INTO t VALUES (1)", &[])?;
                tx.query_one("SELECT count(*) FROM t", &[], |row| row.get(0))
            });
            let (b, told_b) = insert(2, Err(RepositoryError::Busy));
            let mut batch = vec![a, b];
            batch.truncate(if alone { 1 } else { 2 });
            write(&mut connection, batch, Some(&Again(AtomicU32::new(3))));
            assert_eq!(told(told_a).unwrap(), 1);
            assert_eq!(alone, told_b.blocking_recv().is_err());
            assert_eq!(stored(&connection), [1]);
            assert_eq!(runs.load(Ordering::Relaxed), 4);
        }
    }
}
