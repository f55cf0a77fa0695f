//! With a ledger every change is certain.

use super::*;
use crate::model::{Done, FailureKind, Look, Request};

async fn look(hr: &Hr, call: &str, change: &Request) -> Look {
    let (connector, cx) = (hr.connector(), cx(call));
    let before = connector.evidence(&cx, change).await.unwrap();
    connector.look(&cx, change, &before).await.unwrap()
}

#[tokio::test]
async fn a_call_that_comes_again_is_answered_and_not_carried_out_again() {
    let hr = Hr::new("ledger = \"calls\"");
    let first = hr.create(&cx("1"), account("ada", &[])).await.unwrap();
    let again = hr.create(&cx("1"), account("ada", &[])).await.unwrap();
    assert_eq!(first, again);
    hr.connector().delete(&cx("2"), named("ada")).await.unwrap();
    hr.create(&cx("3"), account("ada", &[])).await.unwrap();
    hr.connector().delete(&cx("2"), named("ada")).await.unwrap();
    assert_eq!(hr.number("SELECT count(*) FROM people"), 1);
    let failed = failure(hr.connector().delete(&cx("1"), named("ada")).await);
    assert_eq!(failed.kind, FailureKind::Rejected);
    assert!(failed.message.contains("another one"), "{}", failed.message);
}

#[tokio::test]
async fn a_call_that_failed_leaves_nothing_in_the_ledger() {
    let hr = Hr::new("ledger = \"calls\"");
    hr.create(&cx("1"), account("ada", &[])).await.unwrap();
    failure(hr.create(&cx("2"), account("ada", &[])).await);
    assert_eq!(hr.number("SELECT count(*) FROM calls"), 1);
    let change = Request::Create(account("ada", &[]));
    assert_eq!(look(&hr, "2", &change).await, Look::NotBegun);
}

#[tokio::test]
async fn a_look_finds_what_was_done_and_leaves_no_trace() {
    let hr = Hr::new("ledger = \"calls\"");
    let change = Request::Create(account("ada", &[]));
    assert_eq!(look(&hr, "1", &change).await, Look::NotBegun);
    assert_eq!(hr.number("SELECT count(*) FROM calls"), 0);
    let made = hr.create(&cx("1"), account("ada", &[])).await.unwrap();
    let done = Look::Done(Box::new(Done::Object(Box::new(made))));
    assert_eq!(look(&hr, "1", &change).await, done);
    let delete = Request::Delete(named("ada"));
    hr.connector().delete(&cx("2"), named("ada")).await.unwrap();
    let done = Look::Done(Box::new(Done::Nothing));
    assert_eq!(look(&hr, "2", &delete).await, done);
    // The object is gone, and yet the call that made it was carried out.
    assert_eq!(look(&hr, "1", &change).await, done);
}

#[tokio::test]
async fn a_ledger_that_was_configured_later_says_nothing_of_calls_before() {
    let hr = Hr::new("");
    let change = Request::Create(account("ada", &[]));
    let before = hr.connector().evidence(&cx("1"), &change).await.unwrap();
    hr.create(&cx("1"), account("ada", &[])).await.unwrap();
    let keys = format!(
        "sqlite = \"{}\"\nledger = \"calls\"\n{ACCOUNT}",
        hr.path.display()
    );
    let now = connectors(&keys).unwrap();
    let connector = &now.find("hr").unwrap().connector;
    let looked = connector.look(&cx("1"), &change, &before).await.unwrap();
    assert!(matches!(looked, Look::Done(_)), "{looked:?}");
    let noted = connector.evidence(&cx("2"), &change).await.unwrap();
    let looked = hr
        .connector()
        .look(&cx("2"), &change, &noted)
        .await
        .unwrap();
    assert!(matches!(looked, Look::Unclear(_)), "{looked:?}");
}
