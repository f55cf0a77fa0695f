//! The connector `sql` on PostgreSQL.

mod connecting;
mod crashes;
mod pooler;
mod refusals;
mod renewal;
mod values;

use std::path::Path;
use std::time::Duration;

use portcullis_directories::Postgres;
use portcullis_gateway::config::Config;
use portcullis_gateway::connector::{Connector, Context, Found};
use portcullis_gateway::connectors::Connectors;
use portcullis_gateway::model::{
    Attribute, AttributeName, CallError, CallId, Cookie, Create, Failure, Filter, Modification,
    Object, ObjectClass, ObjectName, ObjectRef, Operation, Password, Search, Selector, Update,
    Value,
};
use tokio::sync::mpsc;
use tokio::time::Instant;

const TABLES: &str = "
    CREATE TYPE grade AS ENUM ('low', 'high');
    CREATE TABLE people (
        id uuid PRIMARY KEY DEFAULT gen_random_uuid(), login text NOT NULL UNIQUE, full_name varchar(40),
        age int2 CHECK (age > 0), number int4, wage numeric(10,2), height float4, grade grade,
        photo bytea, born timestamptz, left_at timestamp, hired date, active boolean NOT NULL DEFAULT true,
        password text CHECK (length(password) >= 8), mails text[] NOT NULL DEFAULT '{}',
        changed timestamptz NOT NULL DEFAULT now());
    CREATE TABLE portcullis_calls (call text PRIMARY KEY, outcome text NOT NULL, at timestamptz NOT NULL DEFAULT now());
    CREATE ROLE portcullis LOGIN PASSWORD 'gateway-secret';
    GRANT SELECT, INSERT, UPDATE, DELETE ON people, portcullis_calls TO portcullis;";

const ACCOUNT: &str = r#"
[connectors.hr.account]
read = """SELECT id, login AS name, active AS enabled, full_name, age, number, wage, height, grade, photo, born, left_at, hired,
  mails FROM people"""
create = """INSERT INTO people (login, full_name, age, number, wage, height, grade, photo, born, left_at, active, password)
  VALUES (:name, :full_name, :age, :number, :wage, :height, :grade, :photo, :born, :left_at, :enabled, :password)"""
rename = "UPDATE people SET login = :new_name WHERE id = :id"
delete = "DELETE FROM people WHERE id = :id"
enable = "UPDATE people SET active = true WHERE id = :id"
disable = "UPDATE people SET active = false WHERE id = :id"
set_password = "UPDATE people SET password = :password WHERE id = :id"
authenticate = "SELECT password = :password FROM people WHERE id = :id"
changes = "SELECT changed AS change, id FROM people"
overlap = 0
[connectors.hr.account.update]
full_name = "UPDATE people SET full_name = :value WHERE id = :id"
number = "UPDATE people SET number = :value WHERE id = :id"
[connectors.hr.account.add]
mails = "UPDATE people SET mails = mails || :value::text WHERE id = :id"
[connectors.hr.account.remove]
mails = "UPDATE people SET mails = array_remove(mails, :value) WHERE id = :id"
"#;

/// A server with the tables, and the connector on it.
struct Hr {
    postgres: Postgres,
    connectors: Connectors,
}

impl Hr {
    async fn start(keys: &str) -> Self {
        let postgres = Postgres::start().await;
        postgres.query(TABLES);
        let connectors = connectors(&postgres, &format!("{}\n{keys}", trusted(&postgres)));
        Self {
            postgres,
            connectors,
        }
    }

    fn connector(&self) -> &dyn Connector {
        &*self.connectors.find("hr").unwrap().connector
    }

    async fn create(&self, call: &str, name: &str) -> Result<Object, CallError> {
        self.connector().create(&cx(call), account(name, &[])).await
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
        let (sender, mut objects) = mpsc::channel(page.max(1));
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

/// The CA of the tests.
fn trusted(postgres: &Postgres) -> String {
    format!("ca_file = \"{}\"", postgres.authority().display())
}

/// A connector with these keys beside where the server is and whose statements there are.
fn connectors(postgres: &Postgres, keys: &str) -> Connectors {
    let host = match keys.contains("postgresql =") {
        true => String::new(),
        false => format!(
            "postgresql = \"localhost:{}\"\naddress = \"{}\"\n",
            postgres.port(),
            postgres.address()
        ),
    };
    let database = match keys.contains("database =") {
        true => "",
        false => "database = \"postgres\"\n",
    };
    let text = format!(
        "[connectors.hr]\ntype = \"sql\"\nuser = \"portcullis\"\n{host}{database}{keys}\n{ACCOUNT}"
    );
    let config = Config::parse(Path::new("gateway.toml"), &text).unwrap();
    Connectors::from_config(&config.connectors).unwrap()
}

fn cx_until(call: &str, time: Duration) -> Context {
    let password = Password::new(b"gateway-secret".to_vec()).unwrap();
    Context {
        call: CallId::new(call).unwrap(),
        settings: Default::default(),
        secret_settings: [("password".to_owned(), password)].into(),
        deadline: Instant::now() + time,
        trace: Default::default(),
    }
}

fn cx(call: &str) -> Context {
    cx_until(call, Duration::from_secs(30))
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

fn update(name: &str, attribute: &str, operation: Operation, values: &[Value]) -> Update {
    Update {
        object: named(name),
        modifications: vec![Modification {
            operation,
            name: AttributeName::new(attribute).unwrap(),
            values: values.to_vec(),
        }],
    }
}

#[track_caller]
fn failure<T: std::fmt::Debug>(result: Result<T, CallError>) -> Failure {
    match result {
        Err(CallError::Failed(failure)) => failure,
        other => panic!("{other:?}"),
    }
}
