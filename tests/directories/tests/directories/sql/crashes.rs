//! What became of a change whose answer never came.

use portcullis_gateway::model::{Done, FailureKind, Look, Request};
use portcullis_tests::harness::eventually;

use super::*;

const LEDGER: &str = "ledger = \"portcullis_calls\"\nlock_timeout = \"20s\"";

/// COMMIT takes as long as the number of the new row says, in seconds.
const SLOW_COMMIT: &str = "
    CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        PERFORM pg_sleep(NEW.number); RETURN NULL; END $$;
    CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON people DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW WHEN (NEW.number IS NOT NULL) EXECUTE FUNCTION slow()";

fn slow(name: &str, seconds: i64) -> Create {
    account(name, &[("number", Value::Integer(seconds))])
}

async fn look(hr: &Hr, call: &str, change: &Request) -> Look {
    let (connector, cx) = (hr.connector(), cx(call));
    let before = connector.evidence(&cx, change).await.unwrap();
    connector.look(&cx, change, &before).await.unwrap()
}

#[tokio::test]
#[ignore = "needs PostgreSQL: tests/run directories"]
async fn a_commit_whose_answer_comes_too_late_is_waited_for_by_the_look() {
    let hr = Hr::start(LEDGER).await;
    hr.postgres.query(SLOW_COMMIT);
    let short = cx_until("1", Duration::from_secs(1));
    let made = hr.connector().create(&short, slow("ada", 4)).await;
    assert!(matches!(made, Err(CallError::Indeterminate(_))), "{made:?}");
    let change = Request::Create(slow("ada", 4));
    let Look::Done(done) = look(&hr, "1", &change).await else {
        panic!("it was committed");
    };
    assert!(matches!(&*done, Done::Object(object) if object.identity.name.as_str() == "ada"));
    // A second attempt of the same call finds that it was carried out.
    hr.connector()
        .create(&cx("1"), slow("ada", 4))
        .await
        .unwrap();
    assert_eq!(hr.postgres.query("SELECT count(*) FROM people"), "1\n");
}

#[tokio::test]
#[ignore = "needs PostgreSQL: tests/run directories"]
async fn without_a_ledger_a_new_password_is_tried() {
    let hr = Hr::start("").await;
    hr.create("1", "ada").await.unwrap();
    let password = || Password::new(b"correct horse".to_vec()).unwrap();
    let change = Request::SetPassword(named("ada"), password());
    assert_eq!(look(&hr, "2", &change).await, Look::NotBegun);
    let set = hr.connector();
    set.set_password(&cx("2"), named("ada"), password())
        .await
        .unwrap();
    let done = Look::Done(Box::new(Done::Nothing));
    assert_eq!(look(&hr, "2", &change).await, done);
    hr.postgres.query("UPDATE people SET active = false");
    assert_eq!(look(&hr, "2", &change).await, done);
    let before = set.evidence(&cx("2"), &change).await.unwrap();
    hr.postgres.query("DELETE FROM people");
    let seen = set.look(&cx("2"), &change, &before).await.unwrap();
    assert!(matches!(seen, Look::Unclear(_)), "{seen:?}");
    let before = set.evidence(&cx("3"), &change).await.unwrap();
    let seen = set.look(&cx("3"), &change, &before).await.unwrap();
    assert_eq!(seen, Look::NotBegun, "there was nobody to get one");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: tests/run directories"]
async fn a_commit_that_dies_with_the_server_was_not_done() {
    let mut hr = Hr::start(LEDGER).await;
    hr.postgres.query(SLOW_COMMIT);
    let connectors = hr.connectors.clone();
    let call = tokio::spawn(async move {
        let connector = &connectors.find("hr").unwrap().connector;
        connector.create(&cx("1"), slow("ada", 600)).await
    });
    let sleeps = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
    eventually("COMMIT to be under way", async || {
        (hr.postgres.query(sleeps) == "1\n").then_some(())
    })
    .await;
    hr.postgres.kill();
    let made = call.await.unwrap();
    assert!(matches!(made, Err(CallError::Indeterminate(_))), "{made:?}");
    hr.postgres.restart().await;
    let change = Request::Create(slow("ada", 600));
    assert_eq!(look(&hr, "1", &change).await, Look::NotBegun);
    hr.connector()
        .create(&cx("1"), account("ada", &[]))
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: tests/run directories"]
async fn a_cut_before_commit_changes_nothing() {
    let hr = Hr::start(LEDGER).await;
    hr.create("1", "ada").await.unwrap();
    let stuck = "
        CREATE FUNCTION stuck() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            PERFORM pg_sleep(600); RETURN NEW; END $$;
        CREATE TRIGGER stuck BEFORE UPDATE ON people FOR EACH ROW EXECUTE FUNCTION stuck()";
    hr.postgres.query(stuck);
    let connectors = hr.connectors.clone();
    let call = tokio::spawn(async move {
        let connector = &connectors.find("hr").unwrap().connector;
        let change = update("ada", "full_name", Operation::Replace, &[text("Ada")]);
        connector.update(&cx("2"), change).await
    });
    let cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
    eventually("the statement to be under way", async || {
        (hr.postgres.query(cut) == "1\n").then_some(())
    })
    .await;
    let failed = failure(call.await.unwrap());
    assert_eq!(failed.kind, FailureKind::Unavailable, "{}", failed.message);
    assert_eq!(
        hr.postgres.query("SELECT count(full_name) FROM people"),
        "0\n"
    );
}

#[tokio::test]
#[ignore = "needs PostgreSQL: tests/run directories"]
async fn a_server_that_stands_still_costs_a_call_its_time_and_no_more() {
    let hr = Hr::start(LEDGER).await;
    hr.create("1", "ada").await.unwrap();
    hr.postgres.suspend();
    let began = Instant::now();
    let short = cx_until("2", Duration::from_secs(1));
    let failed = failure(hr.connector().create(&short, account("bob", &[])).await);
    assert_eq!(failed.kind, FailureKind::Unavailable, "{}", failed.message);
    assert!(began.elapsed() < Duration::from_secs(10));
    hr.postgres.resume();
    hr.create("3", "bob").await.unwrap();
}
