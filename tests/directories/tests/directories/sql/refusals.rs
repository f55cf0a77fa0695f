//! What the database says no to: SQLSTATE becomes a kind, its words and names reach the caller.

use portcullis_gateway::model::FailureKind;
use portcullis_tests::harness::eventually;

use super::*;

#[tokio::test]
#[ignore = "needs PostgreSQL: tests/run directories"]
async fn each_refusal_has_its_kind_and_names_what_it_is_about() {
    let hr = Hr::start("lock_timeout = \"200ms\"\nstatement_timeout = \"1s\"").await;
    hr.create("1", "ada").await.unwrap();
    let rules = "
        CREATE FUNCTION rule() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF NEW.full_name = 'raise' THEN RAISE EXCEPTION 'no such names here'; END IF;
            IF NEW.full_name = 'sleep' THEN PERFORM pg_sleep(60); END IF;
            RETURN NEW; END $$;
        CREATE TRIGGER rule BEFORE INSERT OR UPDATE ON people FOR EACH ROW EXECUTE FUNCTION rule()";
    hr.postgres.query(rules);
    for (name, attributes, kind, part) in [
        (
            "ada",
            vec![],
            FailureKind::AlreadyExists,
            "constraint people_login_key, table people",
        ),
        (
            "b",
            vec![("age", Value::Integer(-1))],
            FailureKind::Invalid,
            "constraint people_age_check",
        ),
        (
            "b",
            vec![("age", Value::Integer(70_000))],
            FailureKind::Invalid,
            "smallint",
        ),
        (
            "b",
            vec![("age", text("old"))],
            FailureKind::Invalid,
            "`age`",
        ),
        (
            "b",
            vec![("grade", text("none"))],
            FailureKind::Invalid,
            "grade",
        ),
        (
            "b",
            vec![("full_name", text(&"x".repeat(41)))],
            FailureKind::Invalid,
            "too long",
        ),
        (
            "b",
            vec![("full_name", text("raise"))],
            FailureKind::Rejected,
            "no such names here",
        ),
        (
            "b",
            vec![("full_name", text("sleep"))],
            FailureKind::Busy,
            "statement timeout",
        ),
        (
            "b",
            vec![("colour", text("x"))],
            FailureKind::Unsupported,
            "`colour`",
        ),
    ] {
        let made = hr
            .connector()
            .create(&cx("2"), account(name, &attributes))
            .await;
        let failed = failure(made);
        assert_eq!(failed.kind, kind, "{}", failed.message);
        assert!(failed.message.contains(part), "{part}: {}", failed.message);
    }
    hr.postgres.query("REVOKE DELETE ON people FROM portcullis");
    let failed = failure(hr.connector().delete(&cx("3"), named("ada")).await);
    assert_eq!(failed.kind, FailureKind::Denied, "{}", failed.message);
    assert_eq!(failed.native.unwrap().code(), "42501");
    assert_eq!(
        hr.postgres
            .query("SELECT string_agg(login, ',') FROM people"),
        "ada\n"
    );
}

#[tokio::test]
#[ignore = "needs PostgreSQL: tests/run directories"]
async fn a_database_that_is_full_or_open_for_reading_alone_says_so_and_is_read_on() {
    let hr = Hr::start("").await;
    hr.create("1", "ada").await.unwrap();
    let full = "
        CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$;
        CREATE TRIGGER full_disk BEFORE INSERT ON people FOR EACH ROW EXECUTE FUNCTION full_disk()";
    hr.postgres.query(full);
    let failed = failure(hr.create("2", "eve").await);
    assert_eq!(failed.kind, FailureKind::Busy, "{}", failed.message);
    assert!(failed.message.contains("No space left"), "{failed:?}");
    hr.postgres
        .query("ALTER ROLE portcullis SET default_transaction_read_only = on");
    hr.connector().stop().await;
    for failed in [
        failure(hr.create("3", "eve").await),
        failure(hr.connector().delete(&cx("4"), named("ada")).await),
    ] {
        assert_eq!(failed.kind, FailureKind::Rejected, "{}", failed.message);
        assert!(failed.message.contains("read-only"), "{failed:?}");
    }
    let (all, _) = hr.search(None, 10, Cookie::default()).await;
    assert_eq!(all.len(), 1);
}

#[tokio::test]
#[ignore = "needs PostgreSQL: tests/run directories"]
async fn no_password_reaches_a_message_or_the_log_of_the_server() {
    const SECRET: &str = "hun2ter";
    let hr = Hr::start("").await;
    // Its detail is the whole row otherwise.
    hr.postgres
        .query("ALTER SYSTEM SET log_error_verbosity = 'terse'");
    hr.postgres.query("SELECT pg_reload_conf()");
    eventually("the server to log no details", async || {
        (hr.postgres.query("SHOW log_error_verbosity") == "terse\n").then_some(())
    })
    .await;
    hr.create("1", "ada").await.unwrap();
    let secret = || Password::new(SECRET.as_bytes().to_vec()).unwrap();
    let tell = "
        CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF NEW.password LIKE '%hun%' THEN RAISE EXCEPTION 'the password % is too short', NEW.password; END IF;
            RETURN NEW; END $$;
        CREATE TRIGGER tell BEFORE UPDATE ON people FOR EACH ROW EXECUTE FUNCTION tell()";
    let failed = failure(
        hr.connector()
            .set_password(&cx("2"), named("ada"), secret())
            .await,
    );
    assert_eq!(failed.kind, FailureKind::Policy, "{}", failed.message);
    assert!(!hr.postgres.log().contains(SECRET), "{}", hr.postgres.log());
    hr.postgres.query(tell);
    let failed = failure(
        hr.connector()
            .set_password(&cx("3"), named("ada"), secret())
            .await,
    );
    assert_eq!(failed.kind, FailureKind::Policy, "{}", failed.message);
    assert!(
        failed.message.contains("is too short"),
        "{}",
        failed.message
    );
    assert!(!format!("{failed:?}").contains(SECRET), "{failed:?}");
}

/// The second of two transactions that wait for one another is given up, and begun again.
#[tokio::test]
#[ignore = "needs PostgreSQL: tests/run directories"]
async fn a_transaction_that_was_given_up_is_begun_again() {
    let hr = Hr::start("").await;
    hr.create("1", "ada").await.unwrap();
    let rare = "
        CREATE SEQUENCE tries; GRANT USAGE ON tries TO portcullis;
        CREATE FUNCTION rare() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF nextval('tries') < 3 THEN RAISE EXCEPTION 'again' USING ERRCODE = '40001'; END IF;
            RETURN NEW; END $$;
        CREATE TRIGGER rare BEFORE UPDATE ON people FOR EACH ROW EXECUTE FUNCTION rare()";
    hr.postgres.query(rare);
    let changed = update("ada", "full_name", Operation::Replace, &[text("Ada")]);
    let object = hr.connector().update(&cx("2"), changed).await.unwrap();
    assert_eq!(object.values("full_name"), [text("Ada")]);
    assert_eq!(hr.postgres.query("SELECT last_value FROM tries"), "3\n");
}

/// COMMIT of a transaction that has failed rolls back, and answers as any other.
#[tokio::test]
#[ignore = "needs PostgreSQL: tests/run directories"]
async fn a_change_that_was_rolled_back_is_not_told_as_done() {
    let hr = Hr::start("").await;
    hr.create("1", "ada").await.unwrap();
    // Once nobody is left it can no longer be read, which shows after the deletion.
    let view = "
        ALTER TABLE people RENAME TO everybody;
        CREATE VIEW people AS SELECT * FROM everybody WHERE 100 / (SELECT count(*) FROM everybody) >= 0;
        GRANT SELECT, DELETE ON people TO portcullis;";
    hr.postgres.query(view);
    failure(hr.connector().delete(&cx("2"), named("ada")).await);
    assert_eq!(hr.postgres.query("SELECT count(*) FROM everybody"), "1\n");
}

/// COMMIT is on its way before the ledger has answered.
#[tokio::test]
#[ignore = "needs PostgreSQL: tests/run directories"]
async fn a_change_that_the_ledger_does_not_take_is_not_made() {
    let hr = Hr::start("ledger = \"portcullis_calls\"\nconnections = 1").await;
    hr.create("1", "ada").await.unwrap();
    let noted = "
        ALTER TABLE portcullis_calls ADD CHECK (call <> '2');
        INSERT INTO portcullis_calls (call, outcome) VALUES ('3', 'of somebody else')";
    hr.postgres.query(noted);
    for call in ["2", "3"] {
        failure(hr.connector().create(&cx(call), account("bob", &[])).await);
        let there = hr.postgres.query("SELECT login FROM people");
        assert_eq!(there, "ada\n", "{call}");
    }
    // The connection is as good as before.
    hr.create("4", "bob").await.unwrap();
}
