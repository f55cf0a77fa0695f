//! Values of every type, and filters and syncs on them.

use std::time::{Duration, SystemTime};

use portcullis_gateway::connector::Changes;
use portcullis_gateway::model::{
    Change, Comparison, FailureKind, FilterOperation, ObjectId, SyncToken,
};

use super::*;

fn all_types() -> Vec<(&'static str, Value)> {
    let time = SystemTime::UNIX_EPOCH + Duration::from_micros(1_800_000_000_123_456);
    vec![
        ("full_name", text(" Zoë \u{1f600} \\ ' \" % _ {a,b} ")),
        ("age", Value::Integer(41)),
        ("number", Value::Integer(-2_147_483_648)),
        ("wage", text("1234.50")),
        ("height", Value::Real(1.75)),
        ("grade", text("high")),
        (
            "photo",
            Value::Binary((0..=255).cycle().take(100_000).collect()),
        ),
        ("born", Value::Time(time)),
        ("left_at", Value::Time(time)),
        ("mails", text("{a, \"b\\' NULL")),
    ]
}

#[tokio::test]
#[ignore = "needs PostgreSQL: tests/run directories"]
async fn values_of_every_type_come_back_as_they_were() {
    let hr = Hr::start("").await;
    let attributes = all_types();
    let made = account("o'Brien; DROP TABLE people --", &attributes);
    let object = hr.connector().create(&cx("1"), made).await.unwrap();
    for (name, value) in &attributes {
        assert_eq!(object.values(name), std::slice::from_ref(value), "{name}");
    }
    for id in ["no uuid", "00000000-0000-0000-0000-000000000000"] {
        let by = Selector::Id(ObjectId::new(id).unwrap());
        let get = portcullis_gateway::model::Get {
            object: ObjectRef {
                class: ObjectClass::Account,
                by,
            },
            attributes: Vec::new(),
        };
        let failed = failure(hr.connector().get(&cx("2"), &get).await);
        assert_eq!(failed.kind, FailureKind::NotFound, "{}", failed.message);
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL: tests/run directories"]
async fn a_row_is_read_whatever_time_or_number_stands_in_it() {
    let hr = Hr::start("").await;
    hr.postgres.query(
        "ALTER ROLE portcullis SET datestyle = 'German'; ALTER ROLE portcullis SET timezone = 'Asia/Kolkata';
         INSERT INTO people (login, hired, born, left_at, height) VALUES
         ('ada', '2001-03-01', '1965-04-03 01:02:03.5+00', 'infinity', 'NaN');",
    );
    let (all, _) = hr.search(None, 10, Cookie::default()).await;
    for (name, value) in [
        ("hired", "2001-03-01"),
        ("born", "1965-04-03 01:02:03.500000+00"),
        ("left_at", "infinity"),
        ("height", "NaN"),
    ] {
        assert_eq!(all[0].values(name), [text(value)], "{name}");
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL: tests/run directories"]
async fn a_filter_finds_the_same_in_the_database_as_in_memory() {
    let hr = Hr::start("").await;
    hr.connector()
        .create(&cx("1"), account("ada", &all_types()))
        .await
        .unwrap();
    let mut disabled = account(
        "Bob",
        &[("age", Value::Integer(3)), ("full_name", text("b"))],
    );
    disabled.enabled = false;
    hr.connector().create(&cx("2"), disabled).await.unwrap();
    let (all, _) = hr.search(None, 10, Cookie::default()).await;
    let mut values: Vec<_> = all_types().into_iter().map(|(_, value)| value).collect();
    values.extend(["", " ", "a", "B", "Bob", "41", "_ "].map(text));
    values.extend([
        Value::Integer(3),
        Value::Boolean(true),
        Value::Boolean(false),
    ]);
    values.push(text(all[0].identity.id.as_str()));
    let names = all_types().into_iter().map(|(name, _)| name);
    for name in names.chain(["__id__", "__name__", "__enabled__"]) {
        // An id is compared as the uuid that it is: what is none is no id of anybody.
        let values = values.iter().filter(|value| {
            name != "__id__" || value.as_text().is_none_or(|text| text.len() == 36)
        });
        for (value, operation) in values.flat_map(|value| {
            use FilterOperation::{
                Contains, EndsWith, Equals, GreaterOrEqual, LessOrEqual, Present, StartsWith,
            };
            [
                Equals,
                StartsWith,
                EndsWith,
                Contains,
                Present,
                LessOrEqual,
                GreaterOrEqual,
            ]
            .map(|operation| (value, operation))
        }) {
            let comparison = Filter::Comparison(Comparison {
                operation,
                attribute: AttributeName::new(name).unwrap(),
                value: (operation != FilterOperation::Present).then(|| value.clone()),
            });
            let not = Filter::Not(Box::new(comparison.clone()));
            let filter = Filter::Any(vec![
                Filter::All(vec![comparison.clone(), not.clone()]),
                comparison,
            ]);
            for filter in [filter, not] {
                let expected: Vec<_> = all.iter().filter(|one| filter.matches(one)).collect();
                let (found, _) = hr.search(Some(filter.clone()), 10, Cookie::default()).await;
                assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{filter:?}");
            }
        }
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL: tests/run directories"]
async fn pages_meet_each_of_many_objects_once() {
    let hr = Hr::start("").await;
    let many = "INSERT INTO people (login) SELECT 'user' || n FROM generate_series(1, 5000) AS n";
    hr.postgres.query(many);
    let (mut names, mut cookie) = (std::collections::BTreeSet::new(), Cookie::default());
    loop {
        let (page, next) = hr.search(None, 999, cookie).await;
        for object in page {
            assert!(names.insert(object.identity.name.to_string()));
        }
        cookie = next;
        if cookie.is_empty() {
            break;
        }
    }
    assert_eq!(names.len(), 5000);
}

#[tokio::test]
#[ignore = "needs PostgreSQL: tests/run directories"]
async fn a_sync_by_a_time_tells_what_has_changed_since() {
    let hr = Hr::start("").await;
    hr.create("1", "ada").await.unwrap();
    let sync = async |token: SyncToken| {
        let (sender, mut receiver) = mpsc::channel(100);
        let mut changes = Changes::new(sender);
        let class = ObjectClass::Account;
        let next = hr
            .connector()
            .sync(&cx("s"), class, &token, &mut changes)
            .await
            .unwrap();
        drop(changes);
        let mut names = Vec::new();
        while let Some(change) = receiver.recv().await {
            match change {
                Change::Present(object) => names.push(object.identity.name.to_string()),
                Change::Gone { .. } => names.push("gone".to_owned()),
            }
        }
        (names, next)
    };
    let (names, token) = sync(SyncToken::default()).await;
    assert!(names.is_empty());
    hr.create("2", "bob").await.unwrap();
    let (names, token) = sync(token).await;
    assert_eq!(names, ["ada", "bob"]);
    let (names, _) = sync(token).await;
    assert_eq!(names, ["bob"]);
}

#[tokio::test]
#[ignore = "needs PostgreSQL: tests/run directories"]
async fn statements_that_are_kept_outlive_a_change_of_the_tables() {
    let hr = Hr::start("ledger = \"portcullis_calls\"\nconnections = 1").await;
    hr.create("1", "ada").await.unwrap();
    let kept = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'portcullis'";
    assert_eq!(hr.postgres.query(kept), "1\n", "one connection is kept");
    // Another plan, then other columns than the statement was read with.
    hr.postgres
        .query("ALTER TABLE people ADD nickname text; CREATE INDEX ON people (nickname)");
    hr.create("2", "bob").await.unwrap();
    hr.postgres
        .query("ALTER TABLE people ALTER born TYPE timestamp, ALTER active DROP DEFAULT");
    hr.create("3", "cid").await.unwrap();
    assert_eq!(hr.postgres.query("SELECT count(*) FROM people"), "3\n");
}
