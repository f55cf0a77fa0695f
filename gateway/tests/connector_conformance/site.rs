//! A resource to try a connector on, the connector behind its guard rails, and short ways to call
//! it.

use std::any::Any;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use portcullis_common::listing::{Listed, ListingKey};
use portcullis_gateway::config::Config;
use portcullis_gateway::connector::{Connector, Context};
use portcullis_gateway::connectors::{Configured, Connectors};
use portcullis_gateway::model::{
    Attribute, AttributeName, CallId, Change, Create, Failure, FailureKind, ObjectClass,
    ObjectName, Outcome, Role, SearchEvent, SyncEvent, Value, Verb as Name,
};
use portcullis_gateway::worker::Provisioner;
use portcullis_proto::gateway::v1 as wire;
use tokio::time::Instant;
pub(crate) use wire::ModificationOperation::{Add, Replace};
pub(crate) use wire::call::Verb;

/// A resource of its own for one test.
pub(crate) struct Site {
    /// What the resource is made of, and goes with it: a folder, a process.
    pub(crate) _kept: Box<dyn Any>,
    /// The keys of the connector's section, `type` among them; in the names of its tables `NAME`
    /// stands for the connector's.
    pub(crate) section: String,
    /// An attribute of accounts that takes any one text.
    pub(crate) free_text: &'static str,
    /// An action of `run` without arguments.
    pub(crate) action: Option<&'static str>,
}

/// Makes a resource; `None`: this host cannot.
pub(crate) type MakeSite = fn() -> Option<Site>;

/// Says why there is no site.
pub(crate) fn skipped(why: &str) -> Option<Site> {
    eprintln!("skipped: {why}");
    None
}

/// The guard rails of every test: what is protected in it, whatever the type of connector.
const RAILS: &str = "protected_accounts = [\"guarded-*\"]\nprotected_groups = [\"rulers\"]\nprotected_ids_below = 1000";

/// A name that the guard rails protect as that of an account.
pub(crate) const PROTECTED_ACCOUNT: &str = "guarded-one";
/// A name that they protect as that of a group.
pub(crate) const PROTECTED_GROUP: &str = "rulers";

/// The connector of one site, and the way to it through the worker.
pub(crate) struct Subject {
    pub(crate) site: Site,
    pub(crate) connector: Arc<dyn Connector>,
    pub(crate) provisioner: Provisioner,
    /// Where the worker keeps what connectors have seen.
    _state: tempfile::TempDir,
}

impl Site {
    /// What the configuration makes of the site's section under this name.
    pub(crate) fn configured(&self, name: &str) -> Configured {
        let section = self
            .section
            .replace("connectors.NAME", &format!("connectors.{name}"));
        let text =
            format!("[connectors.{name}]\n{section}\n[connectors.{name}.guard_rails]\n{RAILS}\n");
        let config = Config::parse(Path::new("gateway.toml"), &text).unwrap();
        let connectors = Connectors::from_config(&config.connectors).unwrap();
        connectors.find(name).unwrap().clone()
    }
}

/// A worker with these connectors.
pub(crate) fn provisioner(connectors: &Connectors) -> Provisioner {
    Provisioner::new(connectors, 64, Duration::from_secs(60))
}

impl Subject {
    pub(crate) fn new(site: MakeSite) -> Option<Self> {
        let site = site()?;
        let configured = site.configured("subject");
        let connector = Arc::clone(&configured.connector);
        let connectors = Connectors::default().with("subject", configured);
        let (provisioner, state) = (provisioner(&connectors), tempfile::tempdir().unwrap());
        provisioner.keep_snapshots(&state.path().join("sync"));
        Some(Self {
            site,
            connector,
            provisioner,
            _state: state,
        })
    }

    /// One that has these verbs for accounts; `None`: there is nothing to test.
    pub(crate) fn with(site: MakeSite, verbs: &[Name]) -> Option<Self> {
        Self::new(site).filter(|subject| {
            let lacking = verbs
                .iter()
                .find(|verb| !subject.has(ObjectClass::Account, **verb));
            lacking
                .inspect(|verb| eprintln!("skipped: the connector has no verb `{verb}`"))
                .is_none()
        })
    }

    pub(crate) fn has(&self, class: ObjectClass, verb: Name) -> bool {
        self.connector.verbs(class).contains(&verb)
    }

    pub(crate) async fn call(&self, verb: Verb) -> Outcome {
        self.provisioner.execute(call("subject", verb)).await
    }

    pub(crate) async fn done(&self, verb: Verb) -> wire::Done {
        match self.call(verb).await {
            Outcome::Done(done) => done.into(),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn object(&self, verb: Verb) -> wire::Object {
        match self.done(verb).await.detail {
            Some(wire::done::Detail::Object(object)) => object,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn failed(&self, verb: Verb) -> Failure {
        match self.call(verb).await {
            Outcome::Failed(failure) => failure,
            other => panic!("{other:?}"),
        }
    }

    /// The message of a refusal by a guard rail.
    pub(crate) async fn refused(&self, verb: Verb) -> String {
        let failure = self.failed(verb).await;
        assert_eq!(failure.kind, FailureKind::Refused, "{}", failure.message);
        assert!(
            failure.message.contains("[connectors.subject.guard_rails]"),
            "not by a guard rail: {}",
            failure.message
        );
        failure.message
    }

    /// The names on one page, and the cookie of the next.
    pub(crate) async fn search(&self, search: wire::Search) -> (Vec<String>, Vec<u8>) {
        let call = call("subject", Verb::Search(search));
        let mut events = self.provisioner.search(call);
        let mut names = Vec::new();
        loop {
            match events.recv().await.unwrap() {
                SearchEvent::Found(object) => names.push(object.identity.name.to_string()),
                SearchEvent::End(cookie, None) => return (names, cookie.as_bytes().to_vec()),
                other => panic!("{other:?}"),
            }
        }
    }

    /// All objects of the class, page by page: as they are listed under a key, and as objects that
    /// come whole would be.
    pub(crate) async fn listings(&self, class: wire::ObjectClass) -> [Vec<u8>; 2] {
        const KEY: [u8; 32] = [7; 32];
        let key = ListingKey::new(&KEY);
        let mut listings = [Vec::new(), Vec::new()];
        for (digest_key, listed) in [KEY.to_vec(), Vec::new()].iter().zip(&mut listings) {
            let mut cookie = Vec::new();
            loop {
                let search = wire::Search {
                    object_class: class.into(),
                    page_size: 2,
                    cookie,
                    digest_key: digest_key.clone(),
                    ..wire::Search::default()
                };
                cookie = self.list(search, &key, listed).await;
                if cookie.is_empty() {
                    break;
                }
            }
        }
        listings
    }

    async fn list(&self, search: wire::Search, key: &ListingKey, out: &mut Vec<u8>) -> Vec<u8> {
        let mut events = self
            .provisioner
            .search(call("subject", Verb::Search(search)));
        loop {
            match events.recv().await.unwrap() {
                SearchEvent::Listed(listed) => out.extend_from_slice(&listed),
                SearchEvent::Found(object) => {
                    let object = wire::Object::from(*object);
                    let listed = Listed {
                        id: &object.id,
                        name: &object.name,
                        enabled: object.enabled,
                        digest: key.digest_of(&object.attributes),
                    };
                    listed.put(out);
                }
                SearchEvent::End(cookie, None) => return cookie.as_bytes().to_vec(),
                other => panic!("{other:?}"),
            }
        }
    }

    /// What has changed, each in a word: a name, or `-` and the id of what is gone; and the next
    /// token.
    pub(crate) async fn sync(
        &self,
        class: wire::ObjectClass,
        token: &[u8],
    ) -> Result<(Vec<String>, Vec<u8>), Failure> {
        let sync = wire::Sync {
            object_class: class.into(),
            token: token.to_vec(),
            ..wire::Sync::default()
        };
        let mut events = self.provisioner.sync(call("subject", Verb::Sync(sync)));
        let mut told = Vec::new();
        loop {
            match events.recv().await.unwrap() {
                SyncEvent::Changed(Change::Present(object)) => {
                    told.push(object.identity.name.to_string());
                }
                SyncEvent::Changed(Change::Gone { id, .. }) => told.push(format!("-{id}")),
                SyncEvent::End(end) => {
                    return end.map(|end| (told, end.token.as_bytes().to_vec()));
                }
            }
        }
    }

    /// Makes an object past the guard rails, as the resource's own administrator would.
    pub(crate) async fn make(&self, class: ObjectClass, name: &str, attributes: &[(&str, &str)]) {
        let attributes = attributes.iter().map(|(name, text)| Attribute {
            name: AttributeName::new(*name).unwrap(),
            values: vec![Value::Text((*text).to_owned())],
        });
        let create = Create {
            class,
            name: ObjectName::new(name).unwrap(),
            attributes: attributes.collect(),
            password: None,
            enabled: true,
        };
        self.connector.create(&context(), create).await.unwrap();
    }

    /// The attributes of a class that have a role and that an update may change.
    pub(crate) async fn attributes(&self, class: ObjectClass, role: Role) -> Vec<String> {
        let schema = self.connector.schema(&context()).await.unwrap();
        let known = schema.classes.iter().filter(|found| found.class == class);
        let known: Vec<_> = known.flat_map(|class| &class.attributes).collect();
        let roles = self.connector.roles();
        roles
            .attributes(class, role)
            .filter(|name| {
                known
                    .iter()
                    .any(|known| known.name == *name && known.updatable)
            })
            .map(str::to_owned)
            .collect()
    }
}

pub(crate) fn context() -> Context {
    Context {
        call: CallId::new(format!("direct-{:016x}", rand::random::<u64>())).unwrap(),
        settings: Default::default(),
        secret_settings: Default::default(),
        deadline: Instant::now() + Duration::from_secs(60),
        trace: Default::default(),
    }
}

pub(crate) fn call(connector: &str, verb: Verb) -> wire::Call {
    wire::Call {
        call_id: format!("t-{:016x}", rand::random::<u64>()),
        connector: connector.to_owned(),
        verb: Some(verb),
        ..wire::Call::default()
    }
}

pub(crate) fn text(text: &str) -> wire::Value {
    wire::Value {
        kind: Some(wire::value::Kind::Text(text.to_owned())),
    }
}

pub(crate) fn integer(number: i64) -> wire::Value {
    wire::Value {
        kind: Some(wire::value::Kind::Integer(number)),
    }
}

/// Which object, by its name or its id.
#[derive(Clone, Copy)]
pub(crate) enum By<'a> {
    Name(&'a str),
    Id(&'a str),
}

fn reference(class: wire::ObjectClass, by: By<'_>) -> Option<wire::ObjectRef> {
    let by = match by {
        By::Name(name) => wire::object_ref::By::Name(name.to_owned()),
        By::Id(id) => wire::object_ref::By::Id(id.to_owned()),
    };
    Some(wire::ObjectRef {
        object_class: class.into(),
        by: Some(by),
        ..wire::ObjectRef::default()
    })
}

pub(crate) fn account(by: By<'_>) -> Option<wire::ObjectRef> {
    reference(wire::ObjectClass::Account, by)
}

pub(crate) fn group(by: By<'_>) -> Option<wire::ObjectRef> {
    reference(wire::ObjectClass::Group, by)
}

pub(crate) fn create(
    class: ObjectClass,
    name: &str,
    attributes: &[(&str, wire::Value)],
) -> wire::Create {
    let attributes = attributes.iter().map(|(name, value)| wire::Attribute {
        name: (*name).to_owned(),
        values: vec![value.clone()],
    });
    wire::Create {
        object_class: wire::ObjectClass::from(class).into(),
        name: name.to_owned(),
        attributes: attributes.collect(),
        ..wire::Create::default()
    }
}

pub(crate) fn update(
    object: Option<wire::ObjectRef>,
    operation: wire::ModificationOperation,
    name: &str,
    values: Vec<wire::Value>,
) -> Verb {
    Verb::Update(wire::Update {
        object,
        modifications: vec![wire::Modification {
            operation: operation.into(),
            name: name.to_owned(),
            values,
        }],
    })
}

pub(crate) fn get(object: Option<wire::ObjectRef>) -> Verb {
    Verb::Get(wire::Get {
        object,
        attribute_names: Vec::new(),
    })
}

pub(crate) fn delete(object: Option<wire::ObjectRef>) -> Verb {
    Verb::Delete(wire::Delete { object })
}

pub(crate) fn rename(object: Option<wire::ObjectRef>, new_name: &str) -> Verb {
    Verb::Rename(wire::Rename {
        object,
        new_name: new_name.to_owned(),
    })
}

pub(crate) fn set_password(object: Option<wire::ObjectRef>, password: &str) -> Verb {
    let password = secret(password);
    Verb::SetPassword(wire::SetPassword { object, password })
}

pub(crate) fn authenticate(object: Option<wire::ObjectRef>, password: &str) -> Verb {
    let password = secret(password);
    Verb::Authenticate(wire::Authenticate {
        object,
        password,
        tells_unknown: false,
    })
}

pub(crate) fn secret(text: &str) -> Option<wire::Secret> {
    Some(wire::Secret::plain(text.as_bytes().to_vec()))
}

/// The texts of an attribute.
pub(crate) fn texts(object: &wire::Object, name: &str) -> Vec<String> {
    let attributes = object.attributes.iter().filter(|found| found.name == name);
    let values = attributes.flat_map(|attribute| &attribute.values);
    values
        .map(|value| match &value.kind {
            Some(wire::value::Kind::Text(text)) => text.clone(),
            other => panic!("{name}: {other:?}"),
        })
        .collect()
}
