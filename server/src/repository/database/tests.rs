//! The number that tells one state of a repository from the next.

use std::collections::BTreeSet;
use std::sync::mpsc;

use super::*;
use crate::repository::on_postgres;

struct Site {
    database: Database,
    _folder: tempfile::TempDir,
}

impl Site {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::create(&folder.path().join("test.db")).await;
        let database = database.unwrap();
        database.change("CREATE TABLE t (n INTEGER)").await;
        Self {
            database,
            _folder: folder,
        }
    }
}

impl Database {
    async fn change(&self, sql: &'static str) {
        let changed = self.write(move |tx| tx.execute(sql, &[]));
        changed.await.unwrap();
    }
}

#[tokio::test]
async fn every_commit_of_whichever_handle_gives_another_state_and_nothing_else_does() {
    // There, nobody else commits while the repository is served.
    if on_postgres() {
        return;
    }
    let site = Site::new().await;
    let other = Database::open(site.database.path()).await.unwrap();
    let mut states = BTreeSet::new();
    for _ in 0..20 {
        for committing in [&site.database, &other] {
            committing.change("INSERT INTO t VALUES (1)").await;
            let state = site.database.state().unwrap();
            assert!(states.insert(state), "{state} twice");

            let read = site
                .database
                .read(|tx| tx.query_one("SELECT count(*) FROM t", &[], |row| row.get::<i64>(0)));
            let _: i64 = read.await.unwrap();
            let undone: Result<(), _> = other
                .write(|tx| {
                    tx.execute("INSERT INTO t VALUES (2)", &[])?;
                    Err(RepositoryError::Closed)
                })
                .await;
            undone.unwrap_err();
            assert_eq!(site.database.state(), Some(state));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_state_waits_for_no_transaction_and_counts_none_before_its_commit() {
    let site = Site::new().await;
    let before = site.database.state().unwrap();
    let (go_on, may_go_on) = mpsc::channel::<()>();
    let (begun, has_begun) = mpsc::channel();
    let database = site.database.clone();
    let writing = tokio::spawn(async move {
        let write = database.write(move |tx| {
            tx.execute("INSERT INTO t VALUES (1)", &[])?;
            begun.send(()).unwrap();
            may_go_on.recv().unwrap();
            Ok(())
        });
        write.await
    });
    has_begun.recv().unwrap();
    assert_eq!(site.database.state(), Some(before));
    go_on.send(()).unwrap();
    writing.await.unwrap().unwrap();
    assert_ne!(site.database.state(), Some(before));
}

#[tokio::test]
async fn a_closed_repository_has_no_state() {
    let site = Site::new().await;
    let other = Database::open(site.database.path()).await.unwrap();
    site.database.close().await;
    assert_eq!(site.database.state(), None);
    assert!(other.state().is_some());
}
