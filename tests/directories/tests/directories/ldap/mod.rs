//! The connector `ldap` against OpenLDAP.

mod changes;
mod common;
mod links;
mod log_in;
mod names;
mod obstacles;
mod own_password;
mod passwords;
mod reads;
mod recovery;
mod renewal;
mod rotation;
mod trust;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use portcullis_directories::Slapd;
use portcullis_gateway::config::Config;
use portcullis_gateway::connector::{Connector, Context, Found};
use portcullis_gateway::connectors::Connectors;
use portcullis_gateway::model::{
    Attribute, AttributeName, CallError, CallId, Cookie, Create, Failure, FailureKind, Filter, Get,
    Modification, Object, ObjectClass, ObjectName, ObjectRef, Operation, Password, Search,
    Selector, Update, Value,
};
use tokio::sync::mpsc;
use tokio::time::Instant;

/// A server and the connector on it.
struct Subject {
    slapd: Slapd,
    connector: Arc<dyn Connector>,
}

impl Subject {
    async fn start() -> Self {
        Self::of(Slapd::start().await, "")
    }

    /// The connector on a server, with further keys of its configuration.
    fn of(slapd: Slapd, more: &str) -> Self {
        let connector = connector(&slapd, &[slapd.url()], more);
        Self { slapd, connector }
    }

    async fn create(&self, create: Create) -> Result<Object, CallError> {
        self.connector.create(&context(), create).await
    }

    async fn account(&self, name: &str) -> Object {
        self.create(account(name, &[])).await.unwrap()
    }

    async fn get(&self, object: ObjectRef) -> Result<Object, CallError> {
        let get = Get {
            object,
            attributes: Vec::new(),
        };
        self.connector.get(&context(), &get).await
    }

    async fn update(
        &self,
        object: ObjectRef,
        operation: Operation,
        name: &str,
        values: &[Value],
    ) -> Result<Object, CallError> {
        let update = Update {
            object,
            modifications: vec![Modification {
                operation,
                name: AttributeName::new(name).unwrap(),
                values: values.to_vec(),
            }],
        };
        self.connector.update(&context(), update).await
    }

    async fn search(&self, search: Search) -> Result<(Vec<Object>, Cookie), CallError> {
        search_with(&*self.connector, search).await
    }
}

async fn search_with(
    connector: &dyn Connector,
    search: Search,
) -> Result<(Vec<Object>, Cookie), CallError> {
    let (sender, mut objects) = mpsc::channel(16);
    let most = search.page_size.unwrap_or(usize::MAX);
    let mut found = Found::new(sender, most);
    let cx = context();
    let searching = async {
        let cookie = connector.search(&cx, &search, &mut found).await;
        drop(found);
        cookie
    };
    let taking = async {
        let mut all = Vec::new();
        while let Some(object) = objects.recv().await {
            all.push(object);
        }
        all
    };
    let (cookie, all) = tokio::join!(searching, taking);
    Ok((all, cookie?))
}

/// A connector on these servers, which are one directory.
fn connector(slapd: &Slapd, servers: &[String], more: &str) -> Arc<dyn Connector> {
    let password = slapd.site().file("password", 0o600, "gateway-secret\n");
    let mut section = format!(
        "[connectors.subject]\ntype = \"ldap\"\nservers = {servers:?}\nbind_dn = \"{}\"\nbind_password_file = {password:?}\n{more}\n",
        Slapd::GATEWAY
    );
    if !more.contains("certificate_sha256") && !more.contains("ca_file") {
        section.push_str(&format!("ca_file = {:?}\n", slapd.authority()));
    }
    if !more.contains("accounts.base") {
        section.push_str("accounts.base = \"ou=people,dc=example,dc=org\"\n");
    }
    section.push_str(
        "accounts.defaults = { cn = \"{name}\", sn = \"{name}\" }\n\
         groups.base = \"ou=groups,dc=example,dc=org\"\n\
         groups.placeholder = \"cn=nobody,dc=example,dc=org\"\n",
    );
    configured(&section)
}

fn configured(section: &str) -> Arc<dyn Connector> {
    let config = Config::parse(Path::new("gateway.toml"), section).unwrap();
    let connectors = Connectors::from_config(&config.connectors).unwrap();
    Arc::clone(&connectors.find("subject").unwrap().connector)
}

fn context() -> Context {
    Context {
        call: CallId::new(format!("t-{:016x}", rand::random::<u64>())).unwrap(),
        settings: Default::default(),
        secret_settings: Default::default(),
        deadline: Instant::now() + Duration::from_secs(60),
        trace: Default::default(),
    }
}

fn account(name: &str, attributes: &[(&str, Value)]) -> Create {
    create(ObjectClass::Account, name, attributes)
}

fn create(class: ObjectClass, name: &str, attributes: &[(&str, Value)]) -> Create {
    let attributes = attributes.iter().map(|(name, value)| Attribute {
        name: AttributeName::new(*name).unwrap(),
        values: vec![value.clone()],
    });
    Create {
        class,
        name: ObjectName::new(name).unwrap(),
        attributes: attributes.collect(),
        password: None,
        enabled: true,
    }
}

fn with_password(create: Create, password: &str) -> Create {
    Create {
        password: Some(secret(password)),
        ..create
    }
}

fn named(class: ObjectClass, name: &str) -> ObjectRef {
    ObjectRef {
        class,
        by: Selector::Name(ObjectName::new(name).unwrap()),
    }
}

fn ada() -> ObjectRef {
    named(ObjectClass::Account, "ada")
}

fn group(name: &str) -> ObjectRef {
    named(ObjectClass::Group, name)
}

fn by_id(object: &Object) -> ObjectRef {
    ObjectRef {
        class: object.identity.class,
        by: Selector::Id(object.identity.id.clone()),
    }
}

fn secret(text: &str) -> Password {
    Password::new(text.as_bytes().to_vec()).unwrap()
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn all(class: ObjectClass, filter: Option<Filter>, page_size: Option<usize>) -> Search {
    Search {
        class,
        filter,
        attributes: Vec::new(),
        page_size,
        cookie: Cookie::default(),
    }
}

/// The failure of a call that failed, which is of this kind.
#[track_caller]
fn failed<T: std::fmt::Debug>(result: Result<T, CallError>, kind: FailureKind) -> Failure {
    match result {
        Err(CallError::Failed(failure)) => {
            assert_eq!(failure.kind, kind, "{failure:?}");
            failure
        }
        other => panic!("{other:?}"),
    }
}
