//! Through PgBouncer, which gives each transaction another connection.

use portcullis_directories::{PgBouncer, Postgres};
use portcullis_gateway::model::{Cookie, ObjectClass, Operation, SyncToken};

use super::{Hr, TABLES, connectors, cx, failure, named, text, update};

async fn through(keys: &str) -> (Hr, PgBouncer) {
    let postgres = Postgres::start().await;
    postgres.query(TABLES);
    let pooler = PgBouncer::before(&postgres, "portcullis", "gateway-secret").await;
    let keys = format!(
        "postgresql = \"localhost:{}\"\naddress = \"{}\"\nca_file = \"{}\"\n{keys}",
        pooler.port(),
        pooler.address(),
        pooler.authority().display()
    );
    let connectors = connectors(&postgres, &keys);
    let hr = Hr {
        postgres,
        connectors,
    };
    (hr, pooler)
}

#[tokio::test]
#[ignore = "needs PgBouncer and PostgreSQL: tests/run directories"]
async fn where_a_pooler_gives_each_transaction_another_connection_all_verbs_work() {
    let (hr, _pooler) = through("pgbouncer = true\nledger = \"portcullis_calls\"").await;
    let creating = (0..24).map(|number| {
        let hr = &hr;
        async move {
            hr.create(&format!("c{number}"), &format!("user{number:02}"))
                .await
        }
    });
    for made in futures_util::future::join_all(creating).await {
        made.unwrap();
    }
    let first = SyncToken::default();
    let (sender, mut told) = tokio::sync::mpsc::channel(100);
    let mut changes = portcullis_gateway::connector::Changes::new(sender);
    let class = ObjectClass::Account;
    let context = cx("s");
    let synced = hr.connector().sync(&context, class, &first, &mut changes);
    synced.await.unwrap();
    drop(changes);
    assert!(told.recv().await.is_none());
    let changing = (0..24).map(|number| {
        let name = format!("user{number:02}");
        let change = update(&name, "full_name", Operation::Replace, &[text("changed")]);
        let hr = &hr;
        async move {
            hr.connector()
                .update(&cx(&format!("u{number}")), change)
                .await
        }
    });
    for changed in futures_util::future::join_all(changing).await {
        changed.unwrap();
    }
    let mut cookie = Cookie::default();
    let mut count = 0;
    loop {
        let (found, next) = hr.search(None, 5, cookie).await;
        count += found.len();
        assert!(
            found
                .iter()
                .all(|one| one.values("full_name") == [text("changed")])
        );
        cookie = next;
        if cookie.is_empty() {
            break;
        }
    }
    assert_eq!(count, 24);
    let deleted = hr.connector().delete(&cx("d"), named("user00")).await;
    deleted.unwrap();
    failure(hr.create("t", "user01").await);
    assert_eq!(hr.postgres.query("SELECT count(*) FROM people"), "23\n");
}

#[tokio::test]
#[ignore = "needs PgBouncer and PostgreSQL: tests/run directories"]
async fn a_pooler_that_nobody_expects_gets_no_password() {
    let (hr, _pooler) = through("").await;
    let failed = hr.connector().test(&cx("t")).await;
    let failed = failure(failed);
    assert!(
        failed.message.contains("channel binding"),
        "{}",
        failed.message
    );
}
