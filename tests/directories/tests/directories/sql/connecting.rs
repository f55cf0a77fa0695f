//! What keeps a connection from being made is told apart.

use portcullis_directories::Authority;
use portcullis_gateway::connector::Inspecting;
use portcullis_gateway::model::FailureKind;
use portcullis_tests::harness::eventually;

use super::*;

const EVERYTHING: Inspecting<'static> = Inspecting {
    changes: true,
    owner_of: None,
};

#[tokio::test]
#[ignore = "needs PostgreSQL: tests/run directories"]
async fn test_tells_what_keeps_it_from_connecting() {
    let hr = Hr::start("ledger = \"portcullis_calls\"").await;
    let report = hr.connector().test(&cx("t")).await.unwrap();
    assert!(
        report.contains("PostgreSQL ") && report.contains("statements are sound"),
        "{report}"
    );

    let (postgres, ca) = (&hr.postgres, trusted(&hr.postgres));
    let (address, port) = (postgres.address(), postgres.port());
    let other_ca = postgres.site().path().join("other.pem");
    let other = rcgen::generate_simple_self_signed(vec!["other".to_owned()]).unwrap();
    std::fs::write(&other_ca, other.cert.pem()).unwrap();
    let pin = "00".repeat(32);
    for (keys, part) in [
        (format!("{ca}\ndatabase = \"none\""), "mend `database`"),
        (
            format!("{ca}\npostgresql = \"localhost:1\"\naddress = \"{address}\""),
            "refused",
        ),
        (
            format!("{ca}\npostgresql = \"no-such-host.invalid\""),
            "lookup",
        ),
        (
            format!("{ca}\npostgresql = \"wrong.example.test:{port}\"\naddress = \"{address}\""),
            "not valid for name",
        ),
        (
            format!("ca_file = \"{}\"", other_ca.display()),
            "UnknownIssuer",
        ),
        (
            format!("certificate_sha256 = [\"{pin}\"]"),
            "invalid peer certificate",
        ),
    ] {
        let broken = connectors(postgres, &keys);
        let failed = failure(broken.find("hr").unwrap().connector.test(&cx("t")).await);
        assert_eq!(failed.kind, FailureKind::Unavailable, "{}", failed.message);
        assert!(failed.message.contains(part), "{part}: {}", failed.message);
    }
    let mut wrong = cx("t");
    let password = Password::new(b"not-the-secret".to_vec()).unwrap();
    wrong
        .secret_settings
        .insert("password".to_owned(), password);
    let failed = failure(hr.connector().test(&wrong).await);
    assert!(
        failed.message.contains("`password_file`"),
        "{}",
        failed.message
    );
    assert!(!failed.message.contains("not-the-secret"));
    // One that is in the pool already serves nobody with another password.
    hr.connector().test(&cx("t")).await.unwrap();
    failure(hr.connector().test(&wrong).await);

    postgres.query("REVOKE SELECT ON people FROM portcullis");
    let failed = failure(hr.connector().test(&cx("t")).await);
    assert!(
        failed.message.contains("permission denied"),
        "{}",
        failed.message
    );
    assert!(
        failed.message.contains("[connectors.hr.account] read"),
        "{}",
        failed.message
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: tests/run directories"]
async fn a_wrong_password_of_the_gateways_own_is_tried_once_and_a_right_one_at_once() {
    let hr = Hr::start("").await;
    let mut wrong = cx("t");
    let password = Password::new(b"not-the-secret".to_vec()).unwrap();
    wrong
        .secret_settings
        .insert("password".to_owned(), password);
    let at_once = (0..12).map(|_| hr.connector().test(&wrong));
    for tested in futures_util::future::join_all(at_once).await {
        let failed = failure(tested);
        let part = "the password of the gateway's own user is wrong";
        assert!(failed.message.contains(part), "{}", failed.message);
    }
    let tried = || {
        hr.postgres
            .log()
            .matches("password authentication failed")
            .count()
    };
    eventually("the try to be in the log", async || {
        (tried() > 0).then_some(())
    })
    .await;
    hr.connector().test(&cx("t")).await.unwrap();
    assert_eq!(tried(), 1);
    assert!(hr.connector().inspect(EVERYTHING).faults.is_empty());

    // One that was right, and was changed at the database.
    hr.connector().stop().await;
    hr.postgres
        .query("ALTER ROLE portcullis PASSWORD 'changed-there'");
    let right = cx("t");
    let at_once = (0..12).map(|_| hr.connector().test(&right));
    for tested in futures_util::future::join_all(at_once).await {
        failure(tested);
    }
    eventually("the try to be in the log", async || {
        (tried() > 1).then_some(())
    })
    .await;
    assert_eq!(tried(), 2);
}

#[tokio::test]
#[ignore = "needs PostgreSQL: tests/run directories"]
async fn an_expired_certificate_is_told_from_others() {
    let hr = Hr::start("").await;
    hr.connector().test(&cx("t")).await.unwrap();
    let address = hr.postgres.address().to_string();
    let names = [Postgres::NAME, "localhost", &address];
    hr.postgres.show(&Authority::ours().expired(&names));
    let failed = eventually("the server to show it", async || {
        hr.connector().stop().await;
        hr.connector().test(&cx("t")).await.err()
    })
    .await;
    let failed = failure::<()>(Err(failed));
    assert_eq!(failed.kind, FailureKind::Unavailable, "{}", failed.message);
    assert!(failed.message.contains("expired"), "{}", failed.message);
}

#[tokio::test]
#[ignore = "needs PostgreSQL: tests/run directories"]
async fn a_password_is_given_to_a_bound_channel_alone() {
    let hr = Hr::start("").await;
    hr.connector().test(&cx("t")).await.unwrap();
    // A server that wants the password itself, as one that stands in between would.
    let rules = hr.postgres.site().path().join("data/pg_hba.conf");
    std::fs::write(rules, "hostssl all all 127.0.0.0/8 password\n").unwrap();
    hr.postgres.query("SELECT pg_reload_conf()");
    let failed = eventually("the server to want the password itself", async || {
        hr.connector().stop().await;
        hr.connector().test(&cx("t")).await.err()
    })
    .await;
    let CallError::Failed(failed) = failed else {
        panic!("{failed:?}");
    };
    assert!(
        failed.message.contains("channel binding"),
        "{}",
        failed.message
    );
}

#[tokio::test]
#[ignore = "needs PostgreSQL: tests/run directories"]
async fn many_calls_share_few_connections_and_outlive_a_restart() {
    let mut hr = Hr::start("connections = 3").await;
    let creating = (0..40).map(|number| {
        let hr = &hr;
        async move {
            hr.create(&format!("c{number}"), &format!("user{number}"))
                .await
        }
    });
    for made in futures_util::future::join_all(creating).await {
        made.unwrap();
    }
    let count = "SELECT count(*) <= 3 FROM pg_stat_activity WHERE usename = 'portcullis'";
    assert_eq!(hr.postgres.query(count), "t\n");
    hr.postgres.shut_down();
    let failed = failure(hr.create("down", "late").await);
    assert_eq!(failed.kind, FailureKind::Unavailable, "{}", failed.message);
    hr.postgres.restart().await;
    hr.create("up", "late").await.unwrap();
    let (all, _) = hr.search(None, 100, Cookie::default()).await;
    assert_eq!(all.len(), 41);
}

#[tokio::test]
#[ignore = "needs PostgreSQL: tests/run directories"]
async fn what_was_begun_ahead_for_the_next_call_is_its_own_and_left_open_by_nobody() {
    for ledger in ["", "ledger = \"portcullis_calls\""] {
        let hr = Hr::start(&format!("connections = 1\n{ledger}")).await;
        // Each name twice: of two calls that come one after the other, the second is refused.
        let creating = (0..40).map(|number| {
            let hr = &hr;
            let name = format!("user{}", number / 2);
            async move { hr.create(&format!("c{number}"), &name).await }
        });
        let made = futures_util::future::join_all(creating).await;
        for two in made.chunks(2) {
            assert_eq!(two.iter().filter(|made| made.is_ok()).count(), 1);
        }
        let count = "SELECT count(*) FROM people";
        assert_eq!(hr.postgres.query(count), "20\n");
        let open = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'portcullis' AND state <> 'idle'";
        assert_eq!(hr.postgres.query(open), "0\n");
        // A read does not find itself within the transaction of a change.
        let reading = (0..10).map(|number| {
            let hr = &hr;
            async move {
                let (call, name) = (format!("d{number}"), format!("late{number}"));
                let reading = hr.search(None, 100, Cookie::default());
                let (made, _) = tokio::join!(hr.create(&call, &name), reading);
                made.unwrap();
            }
        });
        futures_util::future::join_all(reading).await;
        assert_eq!(hr.postgres.query(count), "30\n");
        assert_eq!(hr.postgres.query(open), "0\n");
    }
}
