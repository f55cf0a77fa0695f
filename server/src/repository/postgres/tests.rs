//! What of the engine no aggregate shows. Each test returns at once where there is no database.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use portcullis_common::rotation::UnixMillis;

use super::*;
use crate::repository::sql::{self, Bind, Value, params};
use crate::repository::{Fate, Fencing, InstanceId, Moment, Store};

/// A schema of its own; `None`: there is no database to test with.
async fn schema() -> Option<(Settings, String)> {
    let path = format!("/engine/{:032x}", rand::random::<u128>());
    let Store::Postgres(schema) = testing::in_file(Path::new(&path)) else {
        return None;
    };
    let (settings, name) = (schema.settings.clone(), schema.name.clone());
    let made = Postgres::create(settings.clone(), name.clone()).await;
    made.unwrap();
    Some((settings, name))
}

/// Whether a server may act, as its test says.
#[derive(Debug, Default)]
struct Fences {
    gone: AtomicBool,
}

impl Fencing for Fences {
    fn may_act(&self) -> bool {
        !self.is_gone()
    }

    fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Relaxed)
    }

    fn set_gone(&self) {
        self.gone.store(true, Ordering::Relaxed);
    }
}

async fn served(settings: &Settings, schema: &str) -> Result<Postgres, RepositoryError> {
    served_under(settings, schema, None).await
}

/// Opens it as a server whose row stands.
async fn served_under(
    settings: &Settings,
    schema: &str,
    observer: Option<Arc<dyn WriteObserver>>,
) -> Result<Postgres, RepositoryError> {
    let instance = InstanceId::random();
    let served = Purpose::Serve(Served {
        instance,
        fencing: Arc::new(Fences::default()),
    });
    let target = Target::new(settings.clone(), schema.to_owned());
    let engine = Postgres::open(target, served, observer).await?;
    testing::run(
        settings.clone(),
        schema,
        &format!(
            "INSERT INTO servers (instance, name, version, advertised, beat, started_ms)
             VALUES ('\\x{instance}', 'host', '1', '', '\\x{instance}', 1)"
        ),
    );
    Ok(engine)
}

fn insert(name: impl Into<String>) -> Work {
    let name = name.into();
    Work::new(move |tx| {
        let sql = "INSERT INTO users (name, created_ms) VALUES (?1, 1)";
        tx.execute(sql, &params![name])
    })
}

async fn count(engine: &Postgres) -> Result<i64, RepositoryError> {
    let sql = "SELECT count(*) FROM users";
    let work = Work::new(move |tx| tx.query_one(sql, &[], |row| row.get::<i64>(0)));
    sql::answer(engine.read(work).await?)
}

/// Has the database end every connection that tests have to this schema.
fn end_connections(settings: &Settings, schema: &str) {
    let sql = format!(
        "SELECT pg_terminate_backend(l.pid) FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
         JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = '{schema}' AND l.pid <> pg_backend_pid()"
    );
    testing::run(settings.clone(), schema, &sql);
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_that_fail_take_no_other_with_them_and_texts_come_back_whole() {
    let Some((settings, schema)) = schema().await else {
        return;
    };
    let engine = Arc::new(served(&settings, &schema).await.unwrap());
    engine.write(insert("a\0b")).await.unwrap();
    let before = engine.state();
    let writes = (0..300).map(|number| {
        let engine = Arc::clone(&engine);
        let name = match number % 10 {
            3 => "a\0b".to_owned(),
            _ => format!("user{number}"),
        };
        tokio::spawn(async move { engine.write(insert(name)).await.is_ok() })
    });
    let told = futures_util::future::join_all(writes).await;
    let done = told.into_iter().filter(|told| *told.as_ref().unwrap());
    assert_eq!(done.count(), 270);
    assert_ne!(engine.state(), before);
    assert_eq!(count(&engine).await.unwrap(), 271);
    let many = Work::new(|tx| {
        let names: Vec<_> = (0..300).map(|number| format!("m{number}")).collect();
        let rows: Vec<_> = names
            .iter()
            .map(|name| [name.bind(), Value::Integer(1)])
            .collect();
        let sql = "INSERT INTO users (name, created_ms) VALUES (?1, ?2)";
        let inserted = tx.execute_many(sql, &rows)?;
        let first = "SELECT name FROM users ORDER BY name LIMIT 1";
        let first: String = tx.query_one(first, &[], |row| row.get(0))?;
        Ok((inserted, first))
    });
    let told: (u64, String) = sql::answer(engine.write(many).await.unwrap()).unwrap();
    assert_eq!(told, (300, "a\0b".to_owned()));
    engine.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn others_may_look_at_a_repository_that_is_served() {
    let Some((settings, schema)) = schema().await else {
        return;
    };
    let first = served(&settings, &schema).await.unwrap();
    let beside = Postgres::open(
        Target::new(settings.clone(), schema.clone()),
        Purpose::Look,
        None,
    );
    let beside = beside.await.unwrap();
    assert_eq!(count(&beside).await.unwrap(), 0);
    beside.close().await;
    first.close().await;
    assert_eq!(first.state(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_are_not_changed_under_a_server_that_is_at_work() {
    let Some((settings, schema)) = schema().await else {
        return;
    };
    let first = served(&settings, &schema).await.unwrap();
    let before = "UPDATE engine SET version = version - 1";
    testing::run(settings.clone(), &schema, before);
    let second = Postgres::open(
        Target::new(settings.clone(), schema.clone()),
        Purpose::Look,
        None,
    );
    let second = second.await.err();
    assert!(
        matches!(&second, Some(RepositoryError::Taken { by, .. }) if by == "host"),
        "{second:?}"
    );
    first.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn beats_hold_up_no_write_and_no_write_holds_up_a_beat() {
    let Some((settings, schema)) = schema().await else {
        return;
    };
    let engine = Arc::new(served(&settings, &schema).await.unwrap());
    let (go_on, may_go_on) = mpsc::channel::<()>();
    let (begun, has_begun) = mpsc::channel();
    let may_go_on = Mutex::new(may_go_on);
    let writing = Arc::clone(&engine);
    let writing = tokio::spawn(async move {
        let work = Work::new(move |tx| {
            begun.send(()).unwrap();
            may_go_on.lock().unwrap().recv().unwrap();
            let sql = "INSERT INTO users (name, created_ms) VALUES ('ada', 1)";
            tx.execute(sql, &[])
        });
        writing.write(work).await.map(drop)
    });
    tokio::task::spawn_blocking(move || has_begun.recv().unwrap())
        .await
        .unwrap();
    // Within the transaction that has the row locked, and has read an earlier state of it.
    let beat = "UPDATE servers SET beat = '\\x00000000000000000000000000000000', links = 7";
    testing::run(settings.clone(), &schema, beat);
    // Its end waits for that transaction.
    let (at, of) = (settings.clone(), schema.clone());
    let ending = tokio::task::spawn_blocking(move || {
        testing::run(at, &of, "DELETE FROM servers");
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!ending.is_finished());
    go_on.send(()).unwrap();
    writing.await.unwrap().unwrap();
    ending.await.unwrap();
    let told = engine.write(insert("eve")).await.map(drop);
    assert!(matches!(told, Err(RepositoryError::TakenOver)), "{told:?}");
    engine.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_a_row_in_turn_goes_by_what_stands_there_then_and_is_not_run_again() {
    let Some((settings, schema)) = schema().await else {
        return;
    };
    let engines = [
        Arc::new(served(&settings, &schema).await.unwrap()),
        Arc::new(served(&settings, &schema).await.unwrap()),
    ];
    let [first, _] = &engines;
    let row = "INSERT INTO meta (name, value) VALUES ('turns', ?1)";
    let none = Work::new(move |tx| tx.execute(row, &params![Vec::<u8>::new()]));
    first.write(none).await.unwrap();
    let runs = Arc::new(AtomicU32::new(0));
    let turns = (0..40).map(|turn| {
        let (engine, runs) = (Arc::clone(&engines[turn % 2]), Arc::clone(&runs));
        tokio::spawn(async move {
            let work = Work::new(move |tx| {
                runs.fetch_add(1, Ordering::Relaxed);
                let locked = "SELECT value FROM meta WHERE name = 'turns' FOR UPDATE";
                let mut value: Vec<u8> = tx.query_one(locked, &[], |row| row.get(0))?;
                value.push(0);
                let sql = "UPDATE meta SET value = ?1 WHERE name = 'turns'";
                tx.execute(sql, &params![value])
            });
            engine.write_in_turn(work).await.map(drop)
        })
    });
    for told in futures_util::future::join_all(turns).await {
        told.unwrap().unwrap();
    }
    assert_eq!(runs.load(Ordering::Relaxed), 40);
    let value = "SELECT value FROM meta WHERE name = 'turns'";
    let value = Work::new(move |tx| tx.query_one(value, &[], |row| row.get::<Vec<u8>>(0)));
    let value: Vec<u8> = sql::answer(first.read(value).await.unwrap()).unwrap();
    assert_eq!(value.len(), 40);
    for engine in engines {
        engine.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_time_of_a_transaction_is_that_of_the_database_and_stands_still_in_it() {
    let Some((settings, schema)) = schema().await else {
        return;
    };
    let engine = served(&settings, &schema).await.unwrap();
    let work = Work::new(|tx| {
        let first = tx.now()?;
        tx.query("SELECT pg_sleep(0.05)", &[], |_| Ok(()))?;
        Ok((first, tx.now()?))
    });
    let (first, again): (UnixMillis, UnixMillis) =
        sql::answer(engine.write(work).await.unwrap()).unwrap();
    assert_eq!(first, again);
    let apart = first.0.abs_diff(portcullis_host::clock::now().0);
    assert!(apart < 60_000, "{apart}");
    engine.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_row_is_gone_changes_and_tells_nothing() {
    let Some((settings, schema)) = schema().await else {
        return;
    };
    let engine = served(&settings, &schema).await.unwrap();
    engine.write(insert("ada")).await.unwrap();
    testing::run(settings.clone(), &schema, "DELETE FROM servers");
    let told = engine.write(insert("eve")).await.map(drop);
    assert!(matches!(told, Err(RepositoryError::TakenOver)), "{told:?}");
    let told = count(&engine).await;
    assert!(matches!(told, Err(RepositoryError::TakenOver)), "{told:?}");
    assert_eq!(engine.state(), None);
    engine.close().await;
    let next = served(&settings, &schema).await.unwrap();
    assert_eq!(count(&next).await.unwrap(), 1);
    next.close().await;
}

/// Has the database end the connection just before the first COMMITs.
struct Cut {
    settings: Settings,
    schema: String,
    left: AtomicU32,
}

impl WriteObserver for Cut {
    fn at(&self, moment: Moment) -> Fate {
        let cut = |left: u32| left.checked_sub(1);
        if moment == Moment::BeforeCommit
            && self
                .left
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, cut)
                .is_ok()
        {
            end_connections(&self.settings, &self.schema);
            link::pause(Duration::from_millis(50));
        }
        Fate::GoOn
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_whose_commit_got_no_answer_is_made_exactly_once() {
    let Some((settings, schema)) = schema().await else {
        return;
    };
    let observer = Arc::new(Cut {
        settings: settings.clone(),
        schema: schema.clone(),
        left: AtomicU32::new(2),
    });
    let engine = served_under(&settings, &schema, Some(observer.clone())).await;
    let engine = engine.unwrap();
    engine.write(insert("ada")).await.unwrap();
    assert_eq!(observer.left.load(Ordering::Relaxed), 0);
    assert_eq!(count(&engine).await.unwrap(), 1);
    engine.write(insert("eve")).await.unwrap();
    assert_eq!(count(&engine).await.unwrap(), 2);
    engine.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_that_were_changed_by_hand_are_not_worked_with() {
    let attacks = [
        "ALTER TABLE users ADD COLUMN planted TEXT",
        "ALTER TABLE users ALTER COLUMN created_ms DROP NOT NULL",
        "DROP INDEX queued_calls_open",
        "CREATE RULE planted AS ON DELETE TO users DO INSTEAD NOTHING",
        "CREATE FUNCTION planted() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
        "ALTER TABLE users ENABLE ROW LEVEL SECURITY",
    ];
    let Some((settings, schema)) = schema().await else {
        return;
    };
    served(&settings, &schema).await.unwrap().close().await;
    testing::run(settings.clone(), &schema, "CREATE TABLE of_others (n INT)");
    served(&settings, &schema).await.unwrap().close().await;
    for attack in attacks {
        let (settings, schema) = self::schema().await.unwrap();
        served(&settings, &schema).await.unwrap().close().await;
        testing::run(settings.clone(), &schema, attack);
        let told = served(&settings, &schema).await.err();
        assert!(
            matches!(told, Some(RepositoryError::SchemaChanged { .. })),
            "{attack}: {told:?}"
        );
    }
    testing::run(settings.clone(), &schema, "UPDATE engine SET version = 99");
    let told = served(&settings, &schema).await.err();
    assert!(
        matches!(told, Some(RepositoryError::NewerSchema { found: 99, .. })),
        "{told:?}"
    );
}
