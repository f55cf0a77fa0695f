//! The connector on a database of SQLite.

mod config;
mod further;
mod ledger;
mod searches;
mod syncs;
mod truths;
mod verbs;

use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::config::Config;
use crate::connector::{Connector, Context, Found};
use crate::connectors::Connectors;
use crate::model::{
    Attribute, AttributeName, CallError, CallId, Cookie, Create, Failure, Filter, Modification,
    Object, ObjectClass, ObjectName, ObjectRef, Operation, Search, Selector, Update, Value,
};

const TABLES: &str = "
    CREATE TABLE people (
        id INTEGER PRIMARY KEY AUTOINCREMENT, login text NOT NULL UNIQUE, full_name text,
        age integer CHECK (age > 0), photo blob, height real, active boolean NOT NULL DEFAULT TRUE,
        seen integer NOT NULL DEFAULT 0);
    CREATE TABLE mails (person integer NOT NULL, address text NOT NULL, PRIMARY KEY (person, address));
    CREATE TABLE gone (id integer, seen integer);
    CREATE TABLE calls (call text PRIMARY KEY, outcome text NOT NULL);";

const ACCOUNT: &str = r#"
[connectors.hr.account]
read = """SELECT id, login AS name, active AS enabled, full_name, age, photo, height,
  (SELECT json_group_array(address) FROM mails WHERE person = people.id) AS mails FROM people"""
create = "INSERT INTO people (login, full_name, age, photo, height) VALUES (:name, :full_name, :age, :photo, :height)"
rename = "UPDATE people SET login = :new_name WHERE id = :id"
delete = "DELETE FROM people WHERE id = :id"
enable = "UPDATE people SET active = TRUE WHERE id = :id"
disable = "UPDATE people SET active = FALSE WHERE id = :id"
changes = "SELECT seen AS change, id, FALSE AS deleted FROM people UNION ALL SELECT seen, id, TRUE FROM gone"
overlap = 2
[connectors.hr.account.update]
full_name = "UPDATE people SET full_name = :value WHERE id = :id"
age = "UPDATE people SET age = :value WHERE active OR id <> :id"
height = "UPDATE people SET height = :value WHERE id = :id"
[connectors.hr.account.add]
mails = "INSERT INTO mails VALUES (:id, :value)"
[connectors.hr.account.remove]
mails = "DELETE FROM mails WHERE person = :id AND address = :value"
"#;

/// A database with the connector on it.
struct Hr {
    connectors: Connectors,
    path: PathBuf,
    _folder: TempDir,
}

impl Hr {
    /// With these keys beside those of every test.
    fn new(keys: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("people.db");
        let connection = rusqlite::Connection::open(&path).unwrap();
        connection.execute_batch(TABLES).unwrap();
        let keys = format!("sqlite = \"{}\"\n{keys}\n{ACCOUNT}", path.display());
        Self {
            connectors: connectors(&keys).unwrap(),
            path,
            _folder: folder,
        }
    }

    fn connector(&self) -> &dyn Connector {
        &*self.connectors.find("hr").unwrap().connector
    }

    /// Another program's connection to the same database.
    fn database(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(&self.path).unwrap()
    }

    fn number(&self, sql: &str) -> i64 {
        let read = self.database().query_one(sql, [], |row| row.get(0));
        read.unwrap()
    }

    async fn create(&self, cx: &Context, create: Create) -> Result<Object, CallError> {
        self.connector().create(cx, create).await
    }

    async fn search(
        &self,
        filter: Option<Filter>,
        page: usize,
        cookie: Cookie,
    ) -> (Vec<Object>, Cookie) {
        let search = Search {
            class: ObjectClass::Account,
            filter,
            attributes: Vec::new(),
            page_size: Some(page),
            cookie,
        };
        let (sender, mut objects) = mpsc::channel(1000);
        let mut found = Found::new(sender, page);
        let next = self
            .connector()
            .search(&cx("search"), &search, &mut found)
            .await
            .unwrap();
        drop(found);
        let mut all = Vec::new();
        while let Some(object) = objects.recv().await {
            all.push(object);
        }
        (all, next)
    }
}

fn connectors(keys: &str) -> Result<Connectors, Vec<String>> {
    let text = format!("[connectors.hr]\ntype = \"sql\"\n{keys}\n");
    let config = Config::parse(Path::new("gateway.toml"), &text).unwrap();
    Connectors::from_config(&config.connectors)
        .map_err(|problems| problems.iter().map(ToString::to_string).collect())
}

fn cx(call: &str) -> Context {
    Context {
        call: CallId::new(call).unwrap(),
        settings: Default::default(),
        secret_settings: Default::default(),
        deadline: Instant::now() + Duration::from_secs(30),
        trace: Default::default(),
    }
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn account(name: &str, attributes: &[(&str, Value)]) -> Create {
    let attributes = attributes.iter().map(|(name, value)| Attribute {
        name: AttributeName::new(*name).unwrap(),
        values: vec![value.clone()],
    });
    Create {
        class: ObjectClass::Account,
        name: ObjectName::new(name).unwrap(),
        attributes: attributes.collect(),
        password: None,
        enabled: true,
    }
}

fn named(name: &str) -> ObjectRef {
    ObjectRef {
        class: ObjectClass::Account,
        by: Selector::Name(ObjectName::new(name).unwrap()),
    }
}

fn update(name: &str, modifications: &[(Operation, &str, &[Value])]) -> Update {
    let modifications = modifications
        .iter()
        .map(|(operation, name, values)| Modification {
            operation: *operation,
            name: AttributeName::new(*name).unwrap(),
            values: values.to_vec(),
        });
    Update {
        object: named(name),
        modifications: modifications.collect(),
    }
}

fn failure<T: std::fmt::Debug>(result: Result<T, CallError>) -> Failure {
    match result {
        Err(CallError::Failed(failure)) => failure,
        other => panic!("{other:?}"),
    }
}
