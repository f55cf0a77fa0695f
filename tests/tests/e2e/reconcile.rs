//! The accounts of a database held against a file: what differs is told, and repaired within
//! limits.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;
use tempfile::TempDir;

use crate::Pair;

const TABLES: &str = "
    CREATE TABLE people (
        id INTEGER PRIMARY KEY AUTOINCREMENT, login text NOT NULL UNIQUE, full_name text,
        room integer, active boolean NOT NULL DEFAULT TRUE);";

/// Two connectors, `hr` on one database and `other` on a second.
pub(crate) struct Databases {
    pub(crate) pair: Pair,
    hr: PathBuf,
    _folder: TempDir,
}

impl Databases {
    pub(crate) async fn new(rails: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = String::new();
        for name in ["hr", "other"] {
            let path = folder.path().join(name);
            let connection = rusqlite::Connection::open(&path).unwrap();
            connection.execute_batch(TABLES).unwrap();
            config += &format!(
                "[connectors.{name}]\ntype = \"sql\"\nsqlite = {path:?}\n\
                 [connectors.{name}.account]\n\
                 read = \"SELECT id, login AS name, active AS enabled, full_name, room FROM people\"\n\
                 create = \"INSERT INTO people (login, full_name, room, active) VALUES (:name, :full_name, :room, :enabled)\"\n\
                 delete = \"DELETE FROM people WHERE id = :id\"\n\
                 enable = \"UPDATE people SET active = TRUE WHERE id = :id\"\n\
                 disable = \"UPDATE people SET active = FALSE WHERE id = :id\"\n\
                 [connectors.{name}.account.update]\n\
                 full_name = \"UPDATE people SET full_name = :value WHERE id = :id\"\n\
                 room = \"UPDATE people SET room = :value WHERE id = :id\"\n\
                 [connectors.{name}.guard_rails]\n{rails}\n"
            );
        }
        let pair = Pair::dialled_in(&config).await;
        for name in ["hr", "other"] {
            pair.admin.add_resource(name, "host1", name).await;
        }
        Self {
            pair,
            hr: folder.path().join("hr"),
            _folder: folder,
        }
    }

    pub(crate) fn database(&self, name: &str) -> rusqlite::Connection {
        rusqlite::Connection::open(self.hr.with_file_name(name)).unwrap()
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path = self.hr.with_file_name(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.hr.with_file_name(name)).unwrap()
    }

    fn json(&self, line: &str) -> Value {
        let answer = self.pair.ok(&format!("--output json {line}"));
        serde_json::from_str(&answer).unwrap()
    }

    /// All that is in `hr`.
    fn people(&self) -> String {
        let read = self.database("hr").query_one(
            "SELECT group_concat(login || ' ' || full_name || ' ' || room || ' ' || active, ', ')
             FROM (SELECT * FROM people ORDER BY login)",
            [],
            |row| row.get(0),
        );
        read.unwrap()
    }
}

const PEOPLE: &str = "INSERT INTO people (login, full_name, room, active) VALUES
    ('ada', 'Ada', 1, TRUE), ('bob', 'Bob', 2, TRUE), ('eve', 'Eve', 3, TRUE), ('fay', 'Fay', 4, FALSE)";

const SOURCE: &str = "name,full_name,room,enabled\nada,Ada,1,true\nbob,Robert,7,true\nfay,Fay,4,true\nguy,Guy,5,false\n";

#[tokio::test(flavor = "multi_thread")]
async fn what_differs_is_counted_listed_and_repaired_within_limits() {
    let it = Databases::new("").await;
    it.database("hr").execute_batch(PEOPLE).unwrap();
    let source = it.file("people.csv", SOURCE);
    let list = it.hr.with_file_name("differences.csv");
    let dry = format!("reconcile hr --source {source} --page-size 2");
    let counts = it.json(&format!("{dry} --differences {}", list.display()));
    for (kind, count) in [
        ("same", 1),
        ("missing", 1),
        ("unknown", 1),
        ("changed", 2),
        ("doubled", 0),
    ] {
        assert_eq!(counts[kind], count, "{kind}: {counts}");
    }
    assert_eq!(
        it.text("differences.csv"),
        "difference,name,id,line,attributes\nchanged,bob,2,3,full_name;room\nunknown,eve,3,,\n\
         changed,fay,4,4,enabled\nmissing,guy,,5,\n"
    );
    let before = it.people();
    for limit in ["--most-updates 1", "--most-creates 0", "--most-deletes 0"] {
        let refused = it.pair.portcullis(&format!("{dry} --repair {limit}"));
        assert_eq!(refused.status.code(), Some(1), "{limit}: {refused}");
        assert!(refused.stderr.contains("nothing was repaired"), "{refused}");
    }
    assert_eq!(it.people(), before);
    let repaired = it.json(&format!("{dry} --repair"));
    assert_eq!(repaired["repaired"]["updated"], 2, "{repaired}");
    assert_eq!(
        it.people(),
        "ada Ada 1 1, bob Robert 7 1, eve Eve 3 1, fay Fay 4 1, guy Guy 5 0"
    );
    let repaired = it.json(&format!("{dry} --repair --most-deletes 1"));
    assert_eq!(repaired["repaired"]["deleted"], 1, "{repaired}");
    let counts = it.json(&dry);
    assert_eq!(counts["same"], 4, "{counts}");
    let lines = it.file(
        "people.jsonl",
        "{\"name\":\"ada\",\"attributes\":{\"room\":2}}\n",
    );
    let counts = it.json(&format!("reconcile hr --source {lines}"));
    assert_eq!(
        (&counts["changed"], &counts["unknown"]),
        (&1.into(), &3.into()),
        "{counts}"
    );
}

/// Who could not be made may be there under another name, and would be deleted.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_deleted_where_one_could_not_be_made() {
    let it = Databases::new("").await;
    it.database("hr").execute_batch(PEOPLE).unwrap();
    let refusing = "CREATE TRIGGER refusing BEFORE INSERT ON people WHEN NEW.login = 'guy'
        BEGIN SELECT RAISE(ABORT, 'no guys'); END";
    it.database("hr").execute_batch(refusing).unwrap();
    let before = it.people();
    let source = "name,full_name\nada,Ada\nbob,Bob\nfay,Fay\nguy,Guy\n";
    let source = it.file("people.csv", source);
    let repair = format!("reconcile hr --source {source} --repair --most-deletes 1");
    let refused = it.pair.portcullis(&repair);
    assert_eq!(refused.status.code(), Some(1), "{refused}");
    assert!(
        refused.stderr.contains("no unknown account is deleted"),
        "{refused}"
    );
    assert_eq!(it.people(), before);
    it.database("hr")
        .execute_batch("DROP TRIGGER refusing")
        .unwrap();
    let repaired = it.json(&repair);
    assert_eq!(repaired["repaired"]["deleted"], 1, "{repaired}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_side_that_is_not_read_to_its_end_misses_nobody() {
    let it = Databases::new("max_search_results = 3").await;
    it.database("hr").execute_batch(PEOPLE).unwrap();
    let source = it.file("people.csv", SOURCE);
    let list = it.hr.with_file_name("differences.jsonl");
    let part = it.pair.portcullis(&format!(
        "reconcile hr --source {source} --repair --most-deletes 100 --differences {}",
        list.display()
    ));
    assert_eq!(part.status.code(), Some(5), "{part}");
    assert!(part.stderr.contains("max_search_results"), "{part}");
    assert!(!list.exists(), "nothing is known to differ");
    let broken = it.file("broken.csv", "name,room\nada,1\nbob,upstairs\n");
    let part = it
        .pair
        .portcullis(&format!("reconcile other --source {broken}"));
    assert_eq!(part.status.code(), Some(2), "{part}");
    assert!(part.stderr.contains("line 3"), "{part}");
    for wrong in ["--class person", "--attribute nosuch"] {
        let refused = it
            .pair
            .portcullis(&format!("reconcile other --source {source} {wrong}"));
        assert_eq!(refused.status.code(), Some(2), "{refused}");
        assert!(!refused.stderr.contains("--resume"), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resource_follows_another() {
    let it = Databases::new("").await;
    it.database("other").execute_batch(PEOPLE).unwrap();
    it.database("hr")
        .execute_batch("INSERT INTO people (login, room) VALUES ('BOB', 2)")
        .unwrap();
    let counts = it.json("reconcile hr --against other --ignore-case");
    assert_eq!(
        (&counts["missing"], &counts["changed"]),
        (&3.into(), &1.into()),
        "{counts}"
    );
    it.pair
        .ok("reconcile hr --against other --ignore-case --repair");
    let counts = it.json("reconcile hr --against other --ignore-case");
    assert_eq!(counts["same"], 4, "{counts}");
}
