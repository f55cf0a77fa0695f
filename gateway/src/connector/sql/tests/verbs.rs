//! What the verbs do beside what the conformance suite asks of every connector.

use std::time::Duration;

use tokio::time::Instant;

use super::*;
use crate::connector::Inspecting;
use crate::model::FailureKind;

#[tokio::test]
async fn values_of_every_type_come_back_as_they_were() {
    let hr = Hr::new("");
    let name = "o'Brien; DROP TABLE people --\" \\ ";
    let photo = Value::Binary((0..=255).cycle().take(200_000).collect());
    let made = account(
        name,
        &[
            ("full_name", text("  Zoë \u{1f600} = + , < > # \" ' % _ ")),
            ("age", Value::Integer(41)),
            ("height", Value::Real(1.75)),
            ("photo", photo.clone()),
        ],
    );
    let object = hr.create(&cx("1"), made).await.unwrap();
    assert_eq!(object.identity.name.as_str(), name);
    assert_eq!(
        object.values("full_name"),
        [text("  Zoë \u{1f600} = + , < > # \" ' % _ ")]
    );
    assert_eq!(object.values("age"), [Value::Integer(41)]);
    assert_eq!(object.values("height"), [Value::Real(1.75)]);
    assert_eq!(object.values("photo"), [photo]);
    assert_eq!(object.enabled, Some(true));
}

#[tokio::test]
async fn an_update_is_all_or_nothing_and_lists_change_by_their_differences() {
    let hr = Hr::new("");
    hr.create(&cx("1"), account("ada", &[("mails", text("a@x"))]))
        .await
        .unwrap();
    let both: &[Value] = &[text("a@x"), text("b@x")];
    let add = update("ada", &[(Operation::Add, "mails", both)]);
    let object = hr.connector().update(&cx("2"), add).await.unwrap();
    assert_eq!(object.values("mails"), both);
    let half = update(
        "ada",
        &[
            (Operation::Replace, "mails", &[text("c@x")]),
            (Operation::Replace, "full_name", &[text("Ada")]),
            (Operation::Replace, "age", &[Value::Integer(-1)]),
        ],
    );
    let failed = failure(hr.connector().update(&cx("3"), half).await);
    assert_eq!(failed.kind, FailureKind::Invalid, "{}", failed.message);
    let (all, _) = hr.search(None, 10, Cookie::default()).await;
    assert_eq!(all[0].values("mails"), both);
    assert!(all[0].values("full_name").is_empty());
    for (values, kind) in [
        (vec![text("old")], FailureKind::Invalid),
        (
            vec![Value::Integer(1), Value::Integer(2)],
            FailureKind::Invalid,
        ),
    ] {
        let wrong = update("ada", &[(Operation::Replace, "age", &values)]);
        let failed = failure(hr.connector().update(&cx("4"), wrong).await);
        assert_eq!(failed.kind, kind, "{}", failed.message);
        assert!(failed.message.contains("`age`"), "{}", failed.message);
    }
}

/// The statement for `age` forgets to name one object where another account is active.
#[tokio::test]
async fn a_statement_that_meets_more_than_one_row_changes_none() {
    let hr = Hr::new("");
    for name in ["ada", "bob"] {
        hr.create(&cx(name), account(name, &[])).await.unwrap();
    }
    let wide = update("ada", &[(Operation::Replace, "age", &[Value::Integer(9)])]);
    let failed = failure(hr.connector().update(&cx("3"), wide).await);
    assert_eq!(failed.kind, FailureKind::Rejected);
    assert!(failed.message.contains("2 rows"), "{}", failed.message);
    assert_eq!(
        hr.number("SELECT count(*) FROM people WHERE age IS NOT NULL"),
        0
    );
    let none = update("ada", &[(Operation::Remove, "mails", &[text("no@x")])]);
    assert!(hr.connector().update(&cx("4"), none).await.is_ok());
}

#[tokio::test]
async fn a_violated_constraint_is_named() {
    let hr = Hr::new("");
    hr.create(&cx("1"), account("ada", &[])).await.unwrap();
    let failed = failure(hr.create(&cx("2"), account("ada", &[])).await);
    assert_eq!(failed.kind, FailureKind::AlreadyExists);
    assert!(
        failed.message.contains("people.login"),
        "{}",
        failed.message
    );
}

#[tokio::test]
async fn of_many_callers_one_creates_the_account() {
    let hr = Hr::new("");
    let (first, second) = (cx("1"), cx("2"));
    let creating = tokio::join!(
        hr.create(&first, account("ada", &[])),
        hr.create(&second, account("ada", &[])),
    );
    let made = [creating.0, creating.1]
        .into_iter()
        .filter(Result::is_ok)
        .count();
    assert_eq!((made, hr.number("SELECT count(*) FROM people")), (1, 1));
}

#[tokio::test]
async fn another_program_that_writes_is_waited_for_and_then_named() {
    let hr = Hr::new("lock_timeout = \"100ms\"");
    hr.create(&cx("1"), account("ada", &[])).await.unwrap();
    let other = hr.database();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let failed = failure(hr.create(&cx("2"), account("bob", &[])).await);
    assert_eq!(failed.kind, FailureKind::Busy, "{}", failed.message);
    assert!(
        failed.message.contains("`lock_timeout`"),
        "{}",
        failed.message
    );
    // Who reads does not wait.
    assert_eq!(hr.search(None, 10, Cookie::default()).await.0.len(), 1);
    other.execute_batch("ROLLBACK").unwrap();
    hr.create(&cx("2"), account("bob", &[])).await.unwrap();
}

#[tokio::test]
async fn a_statement_without_end_is_ended_with_its_call() {
    let keys = "statement_timeout = \"200ms\"";
    let hr = Hr::new(keys);
    hr.create(&cx("1"), account("ada", &[])).await.unwrap();
    let endless = "CREATE TRIGGER t BEFORE DELETE ON people BEGIN
        SELECT count(*) FROM (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n);
        END";
    hr.database().execute_batch(endless).unwrap();
    let began = Instant::now();
    let failed = failure(hr.connector().delete(&cx("2"), named("ada")).await);
    assert_eq!(failed.kind, FailureKind::Busy, "{}", failed.message);
    assert!(began.elapsed() < Duration::from_secs(20));
    assert_eq!(hr.number("SELECT count(*) FROM people"), 1);
    // The connection serves on.
    hr.create(&cx("3"), account("bob", &[])).await.unwrap();
}

#[tokio::test]
async fn a_database_that_is_not_there_is_not_made() {
    let hr = Hr::new("");
    std::fs::remove_file(&hr.path).unwrap();
    let failed = failure(hr.connector().test(&cx("1")).await);
    assert_eq!(failed.kind, FailureKind::Unavailable, "{}", failed.message);
    assert!(!hr.path.exists());
    let faults = hr.connector().inspect(Inspecting::default()).faults;
    assert!(faults[0].contains("people.db"), "{faults:?}");
}

#[tokio::test]
async fn test_names_the_statement_that_the_database_does_not_understand() {
    let hr = Hr::new("ledger = \"calls\"");
    let report = hr.connector().test(&cx("1")).await.unwrap();
    assert!(
        report.contains("SQLite 3") && report.contains("12 statements"),
        "{report}"
    );
    hr.database()
        .execute_batch("ALTER TABLE mails RENAME TO letters")
        .unwrap();
    let failed = failure(hr.connector().test(&cx("1")).await);
    assert!(
        failed.message.contains("[connectors.hr.account] "),
        "{}",
        failed.message
    );
    assert!(failed.message.contains("mails"), "{}", failed.message);
}
