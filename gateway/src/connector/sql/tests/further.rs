//! Classes beside accounts and groups: read, searched and followed, and never changed.

use super::*;
use crate::connector::Changes;
use crate::model::{
    Change, Comparison, FailureKind, FilterOperation, Get, Search, SyncToken, Verb,
};

const FURTHER: &str = r#"
[connectors.hr.organizational_unit]
read = "SELECT id, name, parent FROM units"
[connectors.hr.computer]
read = "SELECT id, host AS name, room FROM computers"
changes = "SELECT seen AS change, id, FALSE AS deleted FROM computers UNION ALL SELECT seen, id, TRUE FROM gone"
overlap = 0
"#;

const ROWS: &str = "
    CREATE TABLE units (id integer PRIMARY KEY, name text UNIQUE, parent text);
    CREATE TABLE computers (id integer PRIMARY KEY, host text UNIQUE, room integer, seen integer);
    INSERT INTO units VALUES (1, 'staff', NULL), (2, 'crew', 'staff');
    INSERT INTO computers VALUES (7, 'pc1', 42, 1), (8, 'pc2', 43, 2);";

fn with_further() -> Hr {
    let hr = Hr::new("");
    hr.database().execute_batch(ROWS).unwrap();
    let keys = format!("sqlite = \"{}\"\n{ACCOUNT}{FURTHER}", hr.path.display());
    Hr {
        connectors: connectors(&keys).unwrap(),
        ..hr
    }
}

async fn found(hr: &Hr, class: ObjectClass, filter: Option<Filter>) -> Vec<Object> {
    let search = Search {
        class,
        filter,
        attributes: Vec::new(),
        page_size: Some(100),
        cookie: Cookie::default(),
    };
    let (sender, mut objects) = mpsc::channel(100);
    let mut found = Found::new(sender, 100);
    let cx = cx("f");
    let searched = hr.connector().search(&cx, &search, &mut found).await;
    assert!(searched.unwrap().is_empty());
    drop(found);
    let mut all = Vec::new();
    while let Some(object) = objects.recv().await {
        all.push(object);
    }
    all
}

#[tokio::test]
async fn units_and_computers_are_read_searched_and_followed() {
    let hr = with_further();
    let (units, computers) = (ObjectClass::ORGANIZATIONAL_UNIT, ObjectClass::COMPUTER);
    assert_eq!(hr.connector().further_classes(), [units, computers]);
    let all = found(&hr, units, None).await;
    let names: Vec<_> = all.iter().map(|unit| unit.identity.name.as_str()).collect();
    assert_eq!(names, ["staff", "crew"]);
    let room = Filter::Comparison(Comparison {
        operation: FilterOperation::Equals,
        attribute: AttributeName::new("room").unwrap(),
        value: Some(Value::Integer(43)),
    });
    let all = found(&hr, computers, Some(room)).await;
    let [computer] = &all[..] else {
        panic!("{all:?}");
    };
    let get = Get {
        object: ObjectRef {
            class: computers,
            by: Selector::Id(computer.identity.id.clone()),
        },
        attributes: Vec::new(),
    };
    let read = hr.connector().get(&cx("g"), &get).await.unwrap();
    assert_eq!((read.identity.name.as_str(), read.enabled), ("pc2", None));

    let follow = async |token: &SyncToken| {
        let (sender, mut receiver) = mpsc::channel(100);
        let mut changes = Changes::new(sender);
        let cx = cx("s");
        let synced = hr.connector().sync(&cx, computers, token, &mut changes);
        let next = synced.await.unwrap();
        drop(changes);
        let mut all = Vec::new();
        while let Some(change) = receiver.recv().await {
            all.push(change);
        }
        (all, next)
    };
    let (_, token) = follow(&SyncToken::default()).await;
    let change = "DELETE FROM computers WHERE id = 7; INSERT INTO gone VALUES (7, 3);
        UPDATE computers SET room = 1, seen = 4 WHERE id = 8;";
    hr.database().execute_batch(change).unwrap();
    let (changes, _) = follow(&token).await;
    let seen = |id: &str, there: bool| {
        changes.iter().any(|change| match change {
            Change::Present(object) => there && object.identity.id.as_str() == id,
            Change::Gone {
                class, id: gone, ..
            } => !there && *class == computers && gone.as_str() == id,
        })
    };
    assert!(seen("7", false) && seen("8", true), "{changes:?}");
}

#[tokio::test]
async fn nothing_changes_them() {
    let hr = with_further();
    let schema = hr.connector().schema(&cx("s")).await.unwrap();
    for class in hr.connector().further_classes() {
        let mut shown = schema.classes.iter();
        let shown = shown.find(|shown| shown.class == class).unwrap();
        assert!(shown.verbs.contains(&Verb::Search));
        assert!(shown.verbs.iter().all(|verb| !verb.changes()));
        let mut attributes = shown.attributes.iter();
        assert!(attributes.all(|one| !one.creatable && !one.updatable));
        let create = Create {
            class,
            ..account("pc3", &[])
        };
        let refused = failure(hr.create(&cx("c"), create).await);
        assert_eq!(refused.kind, FailureKind::Unsupported, "{refused:?}");
    }
    for key in [
        "create = \"INSERT INTO units (name) VALUES (:name)\"",
        "names_accounts = [\"x\"]",
    ] {
        let keys = format!(
            "sqlite = \"/x\"\n[connectors.hr.organizational_unit]\nread = \"SELECT 1 AS id\"\n{key}\n"
        );
        let found = connectors(&keys).unwrap_err();
        assert!(found[0].contains("unknown key"), "{found:?}");
    }
}
