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

/// Texts grow by their bytes, whatever the column's own order; and what has no type keeps its own,
/// so that a number is none as a text.
#[tokio::test]
async fn neither_an_order_of_its_own_nor_a_missing_type_hides_a_change() {
    let hr = Hr::new("");
    let tables = "DROP TABLE gone; CREATE TABLE gone (id, seen text COLLATE NOCASE);
        ALTER TABLE people ADD COLUMN mark text COLLATE NOCASE;";
    hr.database().execute_batch(tables).unwrap();
    let changes = "SELECT mark AS change, +id AS id, FALSE AS deleted FROM people UNION ALL SELECT seen, id, TRUE FROM gone";
    let former = "SELECT seen AS change, id, FALSE AS deleted FROM people UNION ALL SELECT seen, id, TRUE FROM gone";
    let keys = format!(
        "sqlite = \"{}\"\n{}",
        hr.path.display(),
        ACCOUNT.replace(former, changes)
    );
    let hr = Hr {
        connectors: connectors(&keys).unwrap(),
        ..hr
    };
    let people = "INSERT INTO people (login, mark) VALUES ('ada', 'B')";
    hr.database().execute_batch(people).unwrap();
    let (_, mut token) = sync(&hr, &SyncToken::default()).await.unwrap();
    // To the column `a` comes before `B`; and more share a mark than a page has.
    let more = (2..=12)
        .map(|id| format!("INSERT INTO people (id, login, mark) VALUES ({id}, 'p{id}', 'a');"));
    let more: String = more.collect();
    hr.database().execute_batch(&more).unwrap();
    let mut all = Vec::new();
    for _ in 0..6 {
        let (changes, next) = page(&hr, &token, 2).await.unwrap();
        all.extend(told(&changes));
        token = next;
    }
    let expected: Vec<_> = (2..=12).map(|id| format!("p{id}")).collect();
    let all: Vec<_> = all.into_iter().filter(|name| name != "ada").collect();
    assert_eq!(all, expected);
}
