//! Every change once or more, deletions too.

use super::*;
use crate::connector::Changes;
use crate::model::{Change, FailureKind, SyncToken};

async fn sync(hr: &Hr, token: &SyncToken) -> Result<(Vec<Change>, SyncToken), CallError> {
    page(hr, token, 100).await
}

async fn page(
    hr: &Hr,
    token: &SyncToken,
    most: usize,
) -> Result<(Vec<Change>, SyncToken), CallError> {
    let (sender, mut receiver) = mpsc::channel(100);
    let mut changes = Changes::new(sender).at_most(most, 100);
    let class = ObjectClass::Account;
    let next = hr
        .connector()
        .sync(&cx("s"), class, token, &mut changes)
        .await?;
    drop(changes);
    let mut all = Vec::new();
    while let Some(change) = receiver.recv().await {
        all.push(change);
    }
    Ok((all, next))
}

fn told(changes: &[Change]) -> Vec<String> {
    let told = changes.iter().map(|change| match change {
        Change::Present(object) => object.identity.name.to_string(),
        Change::Gone { id, .. } => format!("-{id}"),
    });
    told.collect()
}

#[tokio::test]
async fn changes_come_in_their_order_and_late_ones_are_met_too() {
    let hr = Hr::new("");
    let people = "INSERT INTO people (login, seen) VALUES ('ada', 10), ('bob', 11)";
    hr.database().execute_batch(people).unwrap();
    let (changes, token) = sync(&hr, &SyncToken::default()).await.unwrap();
    assert!(
        changes.is_empty(),
        "the first token comes without a full read"
    );
    // One that has got its number before, and is committed after.
    let late = "INSERT INTO people (login, seen) VALUES ('eve', 9), ('fay', 12);
        DELETE FROM people WHERE login = 'bob'; INSERT INTO gone VALUES (2, 13)";
    hr.database().execute_batch(late).unwrap();
    let (changes, token) = sync(&hr, &token).await.unwrap();
    assert_eq!(told(&changes), ["eve", "ada", "fay", "-2"]);
    let (changes, token) = sync(&hr, &token).await.unwrap();
    assert_eq!(told(&changes), ["fay", "-2"]);
    hr.database().execute_batch("DELETE FROM gone").unwrap();
    let failed = failure(sync(&hr, &token).await);
    assert_eq!(failed.kind, FailureKind::Forgotten, "{}", failed.message);
}

/// However long the caller takes between two pages.
#[tokio::test]
async fn what_is_committed_late_between_two_pages_is_met_too() {
    let hr = Hr::new("");
    let people = "INSERT INTO people (login, seen) VALUES ('ada', 10)";
    hr.database().execute_batch(people).unwrap();
    let (_, token) = sync(&hr, &SyncToken::default()).await.unwrap();
    let more = "INSERT INTO people (login, seen) VALUES ('bob', 11), ('cid', 12)";
    hr.database().execute_batch(more).unwrap();
    let (changes, token) = page(&hr, &token, 2).await.unwrap();
    assert_eq!(told(&changes), ["ada", "bob"]);
    let late = "INSERT INTO people (login, seen) VALUES ('eve', 10), ('fay', 100)";
    hr.database().execute_batch(late).unwrap();
    let (changes, token) = sync(&hr, &token).await.unwrap();
    assert_eq!(told(&changes), ["cid", "fay"]);
    let (changes, token) = sync(&hr, &token).await.unwrap();
    assert!(told(&changes).contains(&"eve".to_owned()), "{changes:?}");
    let (changes, _) = sync(&hr, &token).await.unwrap();
    assert_eq!(told(&changes), ["fay"]);
}

#[tokio::test]
async fn a_token_of_another_database_is_told() {
    let (hr, other) = (Hr::new(""), Hr::new(""));
    let (_, token) = sync(&other, &SyncToken::default()).await.unwrap();
    for token in [token, SyncToken::new(b"garbage".to_vec()).unwrap()] {
        let failed = failure(sync(&hr, &token).await);
        assert_eq!(failed.kind, FailureKind::Forgotten);
    }
}
