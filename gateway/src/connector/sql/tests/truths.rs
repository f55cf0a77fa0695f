//! Columns of truth values that come in another type.

use super::*;
use crate::connector::Changes;
use crate::model::{Comparison, FailureKind, FilterOperation, Get, SyncToken};

const ROWS: &str = "
    CREATE TABLE staff (id integer PRIMARY KEY, login text UNIQUE, state text, gone text, seen integer);
    INSERT INTO staff VALUES
        (1, 'ada', 'T', 'no', 1), (2, 'bob', 'true', 'f', 2), (3, 'cal', '1', '0', 3), (4, 'dan', 'Yes', 'off', 4),
        (5, 'eve', 'on ', 'n', 5), (6, 'fay', 'off', 'FALSE', 6), (7, 'gus', 'f', 'no', 7), (8, 'hal', '0', 'no', 8),
        (9, 'ivy', 'no', 'no', 9), (10, 'jan', NULL, NULL, 10);";

const STAFF: &str = r#"
[connectors.hr.account]
read = "SELECT id, login AS name, state AS enabled FROM staff"
changes = "SELECT seen AS change, id, gone AS deleted FROM staff"
overlap = 10
"#;

fn staff() -> Hr {
    let hr = Hr::new("");
    hr.database().execute_batch(ROWS).unwrap();
    let keys = format!("sqlite = \"{}\"\n{STAFF}", hr.path.display());
    Hr {
        connectors: connectors(&keys).unwrap(),
        ..hr
    }
}

async fn get(hr: &Hr, name: &str) -> Result<Object, CallError> {
    let get = Get {
        object: named(name),
        attributes: Vec::new(),
    };
    hr.connector().get(&cx("g"), &get).await
}

fn is_enabled(wanted: bool) -> Filter {
    Filter::Comparison(Comparison {
        operation: FilterOperation::Equals,
        attribute: AttributeName::new("__enabled__").unwrap(),
        value: Some(Value::Boolean(wanted)),
    })
}

#[tokio::test]
async fn a_text_is_a_truth_value_where_it_says_so_and_is_found_as_it_is_read() {
    let hr = staff();
    let names = |objects: Vec<Object>| -> Vec<String> {
        let names = objects
            .iter()
            .map(|object| object.identity.name.to_string());
        names.collect()
    };
    let (all, _) = hr.search(None, 100, Cookie::default()).await;
    let (enabled, disabled): (Vec<_>, Vec<_>) = all
        .into_iter()
        .partition(|object| object.enabled == Some(true));
    let (enabled, disabled) = (names(enabled), names(disabled));
    assert_eq!(enabled, ["ada", "bob", "cal", "dan", "eve"]);
    assert_eq!(disabled, ["fay", "gus", "hal", "ivy", "jan"]);
    let (found, _) = hr
        .search(Some(is_enabled(true)), 100, Cookie::default())
        .await;
    assert_eq!(names(found), enabled);
    let (found, _) = hr
        .search(Some(is_enabled(false)), 100, Cookie::default())
        .await;
    assert_eq!(names(found), disabled[..4]);
}

#[tokio::test]
async fn what_is_neither_true_nor_false_is_a_fault_and_no_disabled_account() {
    let hr = staff();
    for (set, part) in [
        ("state = 'active'", "type text in its column `enabled`"),
        ("state = ''", "type text in its column `enabled`"),
        ("state = x'01'", "type binary in its column `enabled`"),
    ] {
        let statement = format!("UPDATE staff SET {set} WHERE login = 'bob'");
        hr.database().execute_batch(&statement).unwrap();
        let failed = failure(get(&hr, "bob").await);
        assert_eq!(failed.kind, FailureKind::Rejected);
        assert!(failed.message.contains(part), "{}", failed.message);
        get(&hr, "ada").await.unwrap();
    }
    let (sender, _receiver) = mpsc::channel(100);
    let mut changes = Changes::new(sender).at_most(100, 100);
    let class = ObjectClass::Account;
    let begun = hr
        .connector()
        .sync(&cx("s"), class, &SyncToken::default(), &mut changes)
        .await
        .unwrap();
    let statement = "UPDATE staff SET gone = 'perhaps' WHERE login = 'ada'";
    hr.database().execute_batch(statement).unwrap();
    let failed = failure(
        hr.connector()
            .sync(&cx("s"), class, &begun, &mut changes)
            .await,
    );
    let part = "type text in its column `deleted`";
    assert!(failed.message.contains(part), "{}", failed.message);
}
