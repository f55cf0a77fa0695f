//! A file of the first schema, and reads beside one another.

use rusqlite::{Connection, StatementStatus};

use super::*;
use crate::repository::MIGRATIONS;
use crate::repository::readers::READERS;
use crate::repository::sql::params;

#[test]
fn sealed_values_of_the_first_schema_move_into_their_table() {
    let mut connection = Connection::open_in_memory().unwrap();
    connection.execute_batch(MIGRATIONS[0]).unwrap();
    connection.pragma_update(None, "user_version", 1).unwrap();
    connection
        .execute_batch(
            "INSERT INTO server_keys (id, generation, wrapped, created_ms) VALUES (zeroblob(17), 1, x'01', 1);
             INSERT INTO gateway_keys (id, generation, sealed_key, created_ms) VALUES (zeroblob(17), 1, x'AA', 1);
             INSERT INTO gateways (name, created_ms, gateway_id, standing, token_key_id, token_sealed_key, token_expires_ms, sent)
                 VALUES ('host1', 1, zeroblob(16), 0, zeroblob(17), x'BB', 1, x'');",
        )
        .unwrap();
    migrate(&mut connection).unwrap();
    let value = |kind: &str| -> (Vec<u8>, String, Vec<u8>) {
        connection
            .query_row(
                "SELECT owner, field, sealed FROM sealed_values WHERE type = ?1",
                [kind],
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
            )
            .unwrap()
    };
    assert_eq!(
        value("gateway-key"),
        (vec![0; 17], "key".into(), vec![0xAA])
    );
    assert_eq!(
        value("enrolment-key"),
        (vec![0; 16], "enrolment key".into(), vec![0xBB])
    );
    let current: i64 = connection
        .query_row(
            "SELECT count(*) FROM server_keys WHERE current = 1",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(current, 1);
}

/// Work that stands still until the sender is dropped; told when it does.
fn stand_still() -> (Work, mpsc::Receiver<()>, mpsc::Sender<()>) {
    let (begun, has_begun) = mpsc::channel();
    let (go_on, may_go_on) = mpsc::channel::<()>();
    let work = Work::new(move |_| {
        begun.send(()).unwrap();
        // An error says that the test is over.
        let _ = may_go_on.recv();
        Ok(())
    });
    (work, has_begun, go_on)
}

fn count() -> Work {
    Work::new(|tx| tx.query_one("SELECT count(*) FROM tasks", &[], |row| row.get::<i64>(0)))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_goes_on_while_others_stand_still_and_all_are_done_before_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("test.db");
    Sqlite::create(&path).unwrap();
    let engine = Arc::new(Sqlite::open(path, None).await.unwrap());
    let mut standing = Vec::new();
    for _ in 1..READERS {
        let (work, has_begun, go_on) = stand_still();
        let reading = Arc::clone(&engine);
        let ended = tokio::spawn(async move { reading.read(work).await.map(drop) });
        has_begun.recv().unwrap();
        standing.push((go_on, ended));
    }
    for _ in 0..3 {
        let counted = engine.read(count()).await.unwrap();
        assert_eq!(super::super::sql::answer::<i64>(counted).unwrap(), 0);
    }
    let closing = Arc::clone(&engine);
    let mut closed = tokio::spawn(async move { closing.close().await });
    let early = tokio::time::timeout(Duration::from_millis(50), &mut closed).await;
    early.unwrap_err();
    for (go_on, ended) in standing {
        drop(go_on);
        ended.await.unwrap().unwrap();
    }
    closed.await.unwrap();
    let after = engine.read(count()).await.map(drop);
    assert!(matches!(after, Err(RepositoryError::Closed)), "{after:?}");
}

#[tokio::test]
async fn a_read_that_panics_takes_no_other_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("test.db");
    Sqlite::create(&path).unwrap();
    let engine = Sqlite::open(path, None).await.unwrap();
    for _ in 0..2 * READERS {
        let broken = Work::new(|_| -> Result<(), RepositoryError> { panic!("on purpose") });
        let told = engine.read(broken).await.map(drop);
        assert!(matches!(told, Err(RepositoryError::Closed)), "{told:?}");
    }
    engine.read(count()).await.unwrap();
    // Neither do many that panic at once take those that wait.
    let reads = (0..10 * READERS).map(|n| {
        let work = match n % 5 {
            0 => Work::new(|_| -> Result<i64, RepositoryError> { panic!("on purpose") }),
            _ => count(),
        };
        engine.read(work)
    });
    let told = futures_util::future::join_all(reads).await;
    let lost = told.iter().filter(|told| told.is_err()).count();
    assert_eq!(lost, 2 * READERS);
    engine.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_look_sees_what_was_committed_before_it_whoever_it_shares_its_transaction_with() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("test.db");
    Sqlite::create(&path).unwrap();
    let engine = Arc::new(Sqlite::open(path, None).await.unwrap());
    let table = Work::new(|tx| tx.batch("CREATE TABLE seen (number INTEGER PRIMARY KEY)"));
    engine.write(table).await.unwrap();
    let writing = (0..200_i64).map(|number| {
        let engine = Arc::clone(&engine);
        tokio::spawn(async move {
            let insert = "INSERT INTO seen VALUES (?1)";
            let work = Work::new(move |tx| tx.execute(insert, &params![number]));
            engine.write(work).await.unwrap();
            let work = Work::new(move |tx| {
                let seen = tx.exists("SELECT 1 FROM seen WHERE number = ?1", &params![number])?;
                assert!(number % 5 > 0, "on purpose");
                Ok(seen)
            });
            let seen = engine.look(work).await.ok()?;
            super::super::sql::answer::<bool>(seen).ok()
        })
    });
    for (number, seen) in futures_util::future::join_all(writing)
        .await
        .into_iter()
        .enumerate()
    {
        // Those that panic take no other with them.
        assert_eq!(seen.unwrap(), (number % 5 > 0).then_some(true));
    }
    engine.close().await;
}

#[test]
fn a_statement_is_planned_once_whatever_its_parameters_are() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("test.db");
    Sqlite::create(&path).unwrap();
    let mut connection = connect(&path).unwrap();
    migrate(&mut connection).unwrap();
    // Each has a condition whose value could tell the planner something.
    for sql in [
        "SELECT field FROM sealed_values WHERE type = ?1 AND owner = ?2 ORDER BY id",
        "SELECT 1 FROM queued_calls o JOIN queued_calls q ON q.resource = o.resource
         WHERE q.call_id = ?1 AND o.state = 0 AND o.lane IN (q.lane, ?2)",
    ] {
        let mut statement = connection.prepare(sql).unwrap();
        for number in 0..20 {
            assert!(!statement.exists((number, "other")).unwrap());
        }
        assert_eq!(statement.get_status(StatementStatus::RePrepare), 0, "{sql}");
    }
}
