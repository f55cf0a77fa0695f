//! A scratch root, a connector on it, and short ways to call it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use portcullis_proto::gateway::v1 as wire;
use tempfile::TempDir;
pub(super) use wire::call::Verb;

use crate::config::Config;
use crate::connector::Connector;
use crate::connectors::Connectors;
use crate::connectors::unix::{Database, create_scratch_root};
use crate::model::{Failure, FailureKind, Outcome, SearchEvent};
use crate::worker::Provisioner;

pub(super) struct Bench {
    folder: TempDir,
    pub(super) provisioner: Provisioner,
    pub(super) connector: Arc<dyn Connector>,
}

/// A bench with further lines for `[connectors.local]` and for its guard rails; `None` where this
/// process is not root.
pub(super) fn bench_with(connector: &str, rails: &str) -> Option<Bench> {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: shadow-utils change accounts for root only");
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    create_scratch_root(folder.path()).unwrap();
    let text = format!(
        "[connectors.local]\ntype = \"unix\"\nprefix = \"{}\"\npassword_hash = \"sha512\"\n{connector}\n[connectors.local.guard_rails]\n{rails}\n",
        folder.path().display()
    );
    let config = Config::parse(Path::new("gateway.toml"), &text).unwrap();
    let connectors = Connectors::from_config(&config.connectors).unwrap();
    let local = connectors.find("local").unwrap();
    Some(Bench {
        connector: Arc::clone(&local.connector),
        provisioner: Provisioner::new(&connectors, 64, Duration::from_secs(60)),
        folder,
    })
}

pub(super) fn bench() -> Option<Bench> {
    bench_with("", "")
}

impl Bench {
    pub(super) fn path(&self, inside: &str) -> PathBuf {
        self.folder.path().join(inside)
    }

    /// Whether this process can give a file to another user: not as root of a user namespace with
    /// one user.
    pub(super) fn gives_homes_away(&self) -> bool {
        let path = self.path("given-away");
        std::fs::write(&path, "").unwrap();
        std::os::unix::fs::chown(&path, Some(1000), None).is_ok()
    }

    pub(super) fn file(&self, inside: &str) -> String {
        std::fs::read_to_string(self.path(inside)).unwrap()
    }

    /// The account files, all of them: what a refused call must not change.
    pub(super) fn files(&self) -> String {
        ["etc/passwd", "etc/group", "etc/shadow", "etc/gshadow"]
            .map(|file| self.file(file))
            .concat()
    }

    pub(super) fn database(&self) -> Database {
        Database::read(self.folder.path()).unwrap()
    }

    pub(super) fn shadow_line(&self, name: &str) -> String {
        let shadow = self.file("etc/shadow");
        let start = format!("{name}:");
        let line = shadow.lines().find(|line| line.starts_with(&start));
        line.unwrap_or_default().to_owned()
    }

    pub(super) async fn call(&self, verb: Verb) -> Outcome {
        self.provisioner.execute(call(verb)).await
    }

    pub(super) async fn done(&self, verb: Verb) -> wire::Done {
        match self.call(verb).await {
            Outcome::Done(done) => done.into(),
            other => panic!("{other:?}"),
        }
    }

    pub(super) async fn object(&self, verb: Verb) -> wire::Object {
        match self.done(verb).await.detail {
            Some(wire::done::Detail::Object(object)) => object,
            other => panic!("{other:?}"),
        }
    }

    pub(super) async fn failed(&self, verb: Verb) -> Failure {
        match self.call(verb).await {
            Outcome::Failed(failure) => failure,
            other => panic!("{other:?}"),
        }
    }

    /// The message of a refusal, after which every account file is as it was before.
    pub(super) async fn refused(&self, verb: Verb) -> String {
        let before = self.files();
        let failure = self.failed(verb).await;
        assert_eq!(failure.kind, FailureKind::Refused, "{}", failure.message);
        assert_eq!(self.files(), before, "a refused call changed something");
        failure.message
    }

    pub(super) async fn search(&self, search: wire::Search) -> (Vec<String>, Vec<u8>) {
        let mut events = self.provisioner.search(call(Verb::Search(search)));
        let mut names = Vec::new();
        while let Some(event) = events.recv().await {
            match event {
                SearchEvent::Found(object) => names.push(object.identity.name.to_string()),
                SearchEvent::End(cookie, None) => return (names, cookie.as_bytes().to_vec()),
                other => panic!("{other:?}"),
            }
        }
        panic!("the search has no end");
    }
}

pub(super) fn call(verb: Verb) -> wire::Call {
    wire::Call {
        call_id: format!("t-{:016x}", rand::random::<u64>()),
        connector: "local".into(),
        verb: Some(verb),
        ..wire::Call::default()
    }
}

pub(super) fn text(text: &str) -> wire::Value {
    wire::Value {
        kind: Some(wire::value::Kind::Text(text.into())),
    }
}

pub(super) fn integer(number: i64) -> wire::Value {
    wire::Value {
        kind: Some(wire::value::Kind::Integer(number)),
    }
}

pub(super) fn time(text: &str) -> wire::Value {
    wire::Value {
        kind: Some(wire::value::Kind::Time(text.into())),
    }
}

pub(super) fn secret(text: &str) -> Option<wire::Secret> {
    Some(wire::Secret::plain(text.as_bytes().to_vec()))
}

fn reference(class: wire::ObjectClass, by: wire::object_ref::By) -> Option<wire::ObjectRef> {
    Some(wire::ObjectRef {
        object_class: class.into(),
        by: Some(by),
        ..wire::ObjectRef::default()
    })
}

pub(super) fn account(name: &str) -> Option<wire::ObjectRef> {
    let by = wire::object_ref::By::Name(name.into());
    reference(wire::ObjectClass::Account, by)
}

pub(super) fn account_id(id: impl ToString) -> Option<wire::ObjectRef> {
    let by = wire::object_ref::By::Id(id.to_string());
    reference(wire::ObjectClass::Account, by)
}

pub(super) fn group(name: &str) -> Option<wire::ObjectRef> {
    let by = wire::object_ref::By::Name(name.into());
    reference(wire::ObjectClass::Group, by)
}

pub(super) fn group_id(id: impl ToString) -> Option<wire::ObjectRef> {
    let by = wire::object_ref::By::Id(id.to_string());
    reference(wire::ObjectClass::Group, by)
}

pub(super) fn attribute(name: &str, values: Vec<wire::Value>) -> wire::Attribute {
    wire::Attribute {
        name: name.into(),
        values,
    }
}

pub(super) fn new_account(name: &str) -> wire::Create {
    wire::Create {
        object_class: wire::ObjectClass::Account.into(),
        name: name.into(),
        ..wire::Create::default()
    }
}

pub(super) fn new_account_with(name: &str, key: &str, values: Vec<wire::Value>) -> Verb {
    Verb::Create(wire::Create {
        attributes: vec![attribute(key, values)],
        ..new_account(name)
    })
}

pub(super) fn new_group(name: &str, members: &[&str]) -> Verb {
    let members: Vec<_> = members.iter().map(|name| text(name)).collect();
    Verb::Create(wire::Create {
        object_class: wire::ObjectClass::Group.into(),
        name: name.into(),
        attributes: if members.is_empty() {
            Vec::new()
        } else {
            vec![attribute("members", members)]
        },
        ..wire::Create::default()
    })
}

pub(super) use wire::ModificationOperation::{Add, Remove, Replace};

pub(super) fn update(
    object: Option<wire::ObjectRef>,
    operation: wire::ModificationOperation,
    name: &str,
    values: Vec<wire::Value>,
) -> Verb {
    Verb::Update(wire::Update {
        object,
        modifications: vec![wire::Modification {
            operation: operation.into(),
            name: name.into(),
            values,
        }],
    })
}

pub(super) fn rename(object: Option<wire::ObjectRef>, new_name: &str) -> Verb {
    Verb::Rename(wire::Rename {
        object,
        new_name: new_name.into(),
    })
}

pub(super) fn set_password(object: Option<wire::ObjectRef>, password: &str) -> Verb {
    Verb::SetPassword(wire::SetPassword {
        object,
        password: secret(password),
    })
}

pub(super) fn authenticate(object: Option<wire::ObjectRef>, password: &str) -> Verb {
    Verb::Authenticate(wire::Authenticate {
        object,
        password: secret(password),
        tells_unknown: false,
    })
}

pub(super) fn get(object: Option<wire::ObjectRef>) -> Verb {
    Verb::Get(wire::Get {
        object,
        attribute_names: Vec::new(),
    })
}

/// The values of an attribute, as text.
pub(super) fn values(object: &wire::Object, name: &str) -> Vec<String> {
    use wire::value::Kind;
    object
        .attributes
        .iter()
        .filter(|attribute| attribute.name == name)
        .flat_map(|attribute| &attribute.values)
        .map(|value| match &value.kind {
            Some(Kind::Text(text) | Kind::Time(text)) => text.clone(),
            Some(Kind::Integer(number)) => number.to_string(),
            Some(Kind::Boolean(truth)) => truth.to_string(),
            other => panic!("{other:?}"),
        })
        .collect()
}
