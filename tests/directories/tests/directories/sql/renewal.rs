//! The password of the gateway's own user, changed by itself.

use portcullis_gateway::model::{FailureKind, Look, Request, Rotation};

use super::*;

const OLD: &str = "gateway-secret";
const NEW: &str = "a-long-and-random-new-Passw0rd";

fn given(secret: &str) -> Context {
    Context {
        secret_settings: [("password".to_owned(), password(secret))].into(),
        ..cx("rotate")
    }
}

fn password(text: &str) -> Password {
    Password::new(text.as_bytes().to_vec()).unwrap()
}

fn to(secret: &str) -> Rotation {
    Rotation {
        setting: "password".to_owned(),
        password: password(secret),
    }
}

async fn look(connector: &dyn Connector, from: &str, secret: &str) -> Look {
    let change = Request::RotatePassword(to(secret));
    let (cx, nothing) = (given(from), Default::default());
    let seen = connector.look(&cx, &change, &nothing).await;
    seen.unwrap()
}

#[tokio::test]
#[ignore = "needs PostgreSQL: tests/run directories"]
async fn the_database_never_sees_the_new_password_and_every_connection_is_made_by_it() {
    let hr = Hr::start("").await;
    hr.postgres
        .query("ALTER SYSTEM SET log_statement = 'all'; SELECT pg_reload_conf()");
    let connector = hr.connector();
    hr.create("1", "ada").await.unwrap();
    assert_eq!(look(connector, OLD, NEW).await, Look::NotBegun);
    connector
        .rotate_password(&given(OLD), to(NEW))
        .await
        .unwrap();
    let left = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'portcullis'";
    portcullis_tests::harness::eventually("the old connections to end", async || {
        (hr.postgres.query(left) == "0\n").then_some(())
    })
    .await;
    for secret in [OLD, NEW] {
        connector.test(&given(secret)).await.unwrap();
    }
    // As after a restart of the gateway.
    let again = connectors(&hr.postgres, &trusted(&hr.postgres));
    let again = &*again.find("hr").unwrap().connector;
    let wrong = failure(again.test(&given(OLD)).await);
    assert_eq!(wrong.native.unwrap().code(), "28P01");
    let seen = look(again, OLD, NEW).await;
    assert!(matches!(seen, Look::Done(_)), "{seen:?}");
    let seen = look(again, "neither", "nor").await;
    assert!(matches!(seen, Look::Unclear(_)), "{seen:?}");
    let log = hr.postgres.log();
    assert!(
        log.contains("SCRAM-SHA-256$") && !log.contains(NEW),
        "{log}"
    );
}

#[tokio::test]
#[ignore = "needs PostgreSQL: tests/run directories"]
async fn passwords_that_lie_elsewhere_are_left_alone() {
    let hr = Hr::start("").await;
    let file = hr.postgres.site().file("password", 0o600, OLD);
    for (keys, says) in [
        ("pgbouncer = true".to_owned(), "pooler"),
        (format!("password_file = {file:?}"), "password_file"),
    ] {
        let keys = format!("{}\n{keys}", trusted(&hr.postgres));
        let other = connectors(&hr.postgres, &keys);
        let connector = &other.find("hr").unwrap().connector;
        let refused = failure(connector.rotate_password(&given(OLD), to(NEW)).await);
        assert_eq!(refused.kind, FailureKind::Unsupported, "{refused:?}");
        assert!(refused.message.contains(says), "{refused:?}");
    }
    hr.connector().test(&given(OLD)).await.unwrap();
}
