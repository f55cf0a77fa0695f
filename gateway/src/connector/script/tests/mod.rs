//! The script connector with shell scripts: what they are asked, and what becomes of their answers.

mod folder;
mod look;
mod names;
mod processes;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, Instant};

use portcullis_proto::gateway::v1 as wire;
use tempfile::TempDir;
use wire::call::Verb;

use crate::config::Config;
use crate::connectors::Connectors;
use crate::model::{Change, FailureKind, Indeterminate, Outcome, SearchEvent, SyncEvent};
use crate::worker::Provisioner;

/// A folder of shell scripts, each given as file name and body.
fn folder(scripts: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    for (name, body) in scripts {
        write(folder.path(), name, body);
    }
    folder
}

fn write(folder: &Path, name: &str, body: &str) {
    let path = folder.join(name);
    fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn connectors(folder: &Path, keys: &str) -> Result<Connectors, Vec<String>> {
    let text = format!(
        "[connectors.hr]\ntype = \"script\"\nfolder = \"{}\"\n{keys}\n",
        folder.display()
    );
    let config = Config::parse(Path::new("gateway.toml"), &text).unwrap();
    Connectors::from_config(&config.connectors)
        .map_err(|problems| problems.iter().map(ToString::to_string).collect())
}

fn provisioner(folder: &Path, keys: &str) -> Provisioner {
    Provisioner::new(
        &connectors(folder, keys).unwrap(),
        64,
        Duration::from_secs(60),
    )
}

fn call(verb: Verb) -> wire::Call {
    wire::Call {
        call_id: format!("t-{:016x}", rand::random::<u64>()),
        connector: "hr".into(),
        verb: Some(verb),
        ..wire::Call::default()
    }
}

fn account(name: &str) -> Option<wire::ObjectRef> {
    Some(wire::ObjectRef {
        object_class: wire::ObjectClass::Account.into(),
        by: Some(wire::object_ref::By::Name(name.into())),
        ..wire::ObjectRef::default()
    })
}

fn create(name: &str, password: &str) -> Verb {
    Verb::Create(wire::Create {
        object_class: wire::ObjectClass::Account.into(),
        name: name.into(),
        attributes: vec![wire::Attribute {
            name: "mail".into(),
            values: vec![wire::Value {
                kind: Some(wire::value::Kind::Text("ada@example.com".into())),
            }],
        }],
        password: Some(wire::Secret::plain(password.as_bytes().to_vec())),
        enabled: None,
    })
}

fn get(name: &str) -> Verb {
    Verb::Get(wire::Get {
        object: account(name),
        attribute_names: Vec::new(),
    })
}

fn delete(name: &str) -> Verb {
    Verb::Delete(wire::Delete {
        object: account(name),
    })
}

fn failure(outcome: Outcome) -> (FailureKind, String) {
    match outcome {
        Outcome::Failed(failure) => (failure.kind, failure.message),
        other => panic!("{other:?}"),
    }
}

fn indeterminate(outcome: Outcome) -> String {
    match outcome {
        Outcome::Indeterminate(Indeterminate { message, .. }) => message,
        other => panic!("{other:?}"),
    }
}

const OBJECT: &str = r#"echo '{"object": {"id": "7", "name": "ada", "enabled": true, "attributes": {"mail": ["ada@example.com"], "born": [{"time": "1970-12-10T00:00:00Z"}], "n": [1, 2.5, true]}}}'"#;

#[tokio::test]
async fn a_script_is_asked_in_json_and_answers_in_json() {
    let body = format!("cat > asked\nenv > environment\necho \"$#\" > count\n{OBJECT}");
    let folder = folder(&[("create", &body)]);
    let keys = "[connectors.hr.environment]\nHR_URL = \"https://hr.example.com\"";
    let provisioner = provisioner(folder.path(), keys);
    let outcome = provisioner
        .execute(call(create("ada", "s3cret \"x\"")))
        .await;
    let Outcome::Done(done) = outcome else {
        panic!("{outcome:?}");
    };
    let Some(wire::done::Detail::Object(object)) = wire::Done::from(done).detail else {
        panic!("no object");
    };
    assert_eq!((object.id.as_str(), object.name.as_str()), ("7", "ada"));
    assert_eq!(object.attributes.len(), 3);

    let asked = fs::read_to_string(folder.path().join("asked")).unwrap();
    let mut asked: serde_json::Value = serde_json::from_str(&asked).unwrap();
    assert!(asked["call"].take().is_string());
    assert_eq!(
        asked,
        serde_json::json!({
            "version": 1, "verb": "create", "call": null, "settings": {}, "class": "account",
            "name": "ada", "enabled": true, "password": "s3cret \"x\"",
            "attributes": {"mail": ["ada@example.com"]},
        })
    );
    let environment = fs::read_to_string(folder.path().join("environment")).unwrap();
    let mut names: Vec<_> = environment
        .lines()
        .filter_map(|l| Some(l.split_once('=')?.0))
        .collect();
    names.retain(|name| !["PWD", "_", "SHLVL", "OLDPWD"].contains(name));
    names.sort_unstable();
    assert_eq!(names, ["HR_URL", "LC_ALL", "PATH", "PORTCULLIS_RUN"]);
    assert_eq!(
        fs::read_to_string(folder.path().join("count")).unwrap(),
        "0\n"
    );
}

#[tokio::test]
async fn secret_settings_reach_a_script_as_secrets_and_are_struck_out_of_what_it_says() {
    let failing = r#"cat > asked; echo "bind with swordfish" >&2; echo '{"error": {"kind": "rejected", "message": "swordfish is wrong"}}'"#;
    let folder = folder(&[("delete", failing)]);
    let provisioner = provisioner(folder.path(), "settings = [\"bind\", \"base\"]");
    let secret = |name: &str| wire::SecretSetting {
        name: name.to_owned(),
        value: Some(wire::Secret::plain(b"swordfish".to_vec())),
    };
    let with = |secrets: Vec<wire::SecretSetting>| {
        let mut call = call(delete("ada"));
        call.settings.insert("base".to_owned(), "dc=x".to_owned());
        call.secret_settings = secrets;
        call
    };
    let (_, message) = failure(provisioner.execute(with(vec![secret("bind")])).await);
    assert!(!message.contains("swordfish"), "{message}");
    let asked = fs::read_to_string(folder.path().join("asked")).unwrap();
    let asked: serde_json::Value = serde_json::from_str(&asked).unwrap();
    assert_eq!(
        asked["settings"],
        serde_json::json!({ "base": "dc=x", "bind": { "secret": "swordfish" } })
    );

    for (secrets, hint) in [
        (vec![secret("pin")], "has no setting `pin`"),
        (vec![secret("base")], "`base` is given twice"),
        (
            vec![secret("bind"), secret("bind")],
            "`bind` is given twice",
        ),
        (vec![wire::SecretSetting::default()], "is empty"),
    ] {
        let (_, message) = failure(provisioner.execute(with(secrets)).await);
        assert!(message.contains(hint), "{message}");
    }
}

/// What a script does, the verb that it carries out, and what the caller is told.
const ENDINGS: [(&str, &str, &str); 15] = [
    (
        "exit 3",
        "get",
        "unavailable: the script ended with exit code 3",
    ),
    (
        "exit 3",
        "delete",
        "indeterminate: the script ended with exit code 3 and did not say whether anything has changed. Look at the object before you try again",
    ),
    (
        "echo '{\"changed\": false}'; exit 3",
        "delete",
        "rejected: the script ended with exit code 3",
    ),
    (
        "echo '{\"error\": {\"kind\": \"not-found\", \"message\": \"no ada\"}}'",
        "delete",
        "not-found: no ada",
    ),
    (
        "printf %s '{\"error\": {\"kind\": \"not-found\", \"message\": \"no\\n ada\"}}'; exit 1",
        "get",
        "not-found: no; ada",
    ),
    (
        "echo '{\"error\": {\"message\": \"half done\"}, \"changed\": true}'; exit 1",
        "delete",
        "indeterminate: half done",
    ),
    (
        "echo garbage",
        "get",
        "internal: the script's answer makes no sense: it is no JSON (line 1, column 1); it wrote: garbage",
    ),
    (
        "echo garbage",
        "delete",
        "indeterminate: the script ended with exit code 0, and its answer makes no sense: it is no JSON (line 1, column 1); it wrote: garbage. Look at the object before you try again",
    ),
    (
        "echo '[]'",
        "get",
        "internal: the script's answer makes no sense: it is no JSON object; it wrote: []",
    ),
    (
        "echo '{\"object\": {\"id\": \"1\", \"id\": \"2\", \"name\": \"x\"}}'",
        "get",
        "internal: the script's answer makes no sense: it has `id` twice; it wrote: {\"object\": {\"id\": \"1\", \"id\": \"2\", \"name\": \"x\"}}",
    ),
    (
        "echo '{}'",
        "get",
        "internal: the script's answer makes no sense: it lacks `object`; it wrote: {}",
    ),
    (
        "echo '{\"object\": {\"id\": \"\", \"name\": \"x\"}}'",
        "get",
        "internal: the script's answer makes no sense: the object's id is empty; it wrote: {\"object\": {\"id\": \"\", \"name\": \"x\"}}",
    ),
    (
        "kill -9 $$",
        "delete",
        "indeterminate: the script was ended by signal 9 (KILL: somebody killed it, or the system did because memory ran out) and did not say whether anything has changed. Look at the object before you try again",
    ),
    ("echo '{}'", "delete", "done"),
    ("", "delete", "done"),
];

#[tokio::test]
async fn exit_codes_and_errors_come_out_as_promised() {
    for (body, verb, expected) in ENDINGS {
        let folder = folder(&[(verb, body)]);
        let provisioner = provisioner(folder.path(), "");
        let request = if verb == "get" {
            get("ada")
        } else {
            delete("ada")
        };
        let found = match provisioner.execute(call(request)).await {
            Outcome::Done(_) => "done".to_owned(),
            Outcome::Failed(failure) => format!("{}: {}", failure.kind, failure.message),
            Outcome::Indeterminate(Indeterminate { message, .. }) => {
                format!("indeterminate: {message}")
            }
        };
        assert_eq!(found, expected, "{body}");
    }
}

#[tokio::test]
async fn a_password_that_a_script_repeats_goes_no_further() {
    let body = r#"cat >/dev/null; echo '{"error": {"kind": "rejected", "message": "too weak: hunter2-hunter2"}}'"#;
    let folder = folder(&[("create", body)]);
    let provisioner = provisioner(folder.path(), "");
    let outcome = provisioner
        .execute(call(create("ada", "hunter2-hunter2")))
        .await;
    assert_eq!(
        failure(outcome),
        (FailureKind::Rejected, "too weak: [redacted]".to_owned())
    );
}

#[tokio::test]
async fn what_a_script_printed_reaches_the_caller_whatever_it_is() {
    for (body, said) in [
        (
            "echo 'ERROR: no database'; exit 3",
            "exit code 3; it wrote: ERROR: no database",
        ),
        (
            "echo 'no database' >&2; exit 3",
            "exit code 3; it wrote: no database",
        ),
        (
            "echo out; echo err >&2; exit 3",
            "exit code 3; it wrote: err",
        ),
        ("echo gone; kill -9 $$", "signal 9 (KILL"),
        ("printf 'gest\\366rt'; exit 1", r"it wrote: gest\xf6rt"),
        ("printf 'gest\\366rt'", "byte 5 of line 1 is not UTF-8"),
        ("printf '\\377\\376{\\0}\\0'", "UTF-16"),
    ] {
        let made = folder(&[("get", body)]);
        let (_, message) = failure(provisioner(made.path(), "").execute(call(get("ada"))).await);
        assert!(message.contains(said), "{said}: {message}");
    }
    // A mark before the answer, and Windows line ends in it, are none of its content.
    let body = r#"printf '\357\273\277{"object":\r\n{"id": "7", "name": "ada"}}\r\n'"#;
    let made = folder(&[("get", body)]);
    let outcome = provisioner(made.path(), "").execute(call(get("ada"))).await;
    assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
}

#[tokio::test]
async fn a_search_hands_on_objects_and_the_scripts_own_cookie() {
    let body = r#"grep -q '"cookie":"next"' && { echo '{"objects": []}'; exit; }
echo '{"objects": [{"id": "1", "name": "a"}, {"id": "2", "name": "b"}], "next_cookie": "next"}'"#;
    let made = folder(&[("search", body)]);
    let provisioner = provisioner(made.path(), "");
    let search = |cookie: &[u8], page_size| {
        call(Verb::Search(wire::Search {
            object_class: wire::ObjectClass::Account.into(),
            page_size,
            cookie: cookie.to_vec(),
            ..wire::Search::default()
        }))
    };
    let mut events = provisioner.search(search(b"", 2));
    let (mut seen, mut next) = (Vec::new(), Vec::new());
    while let Some(event) = events.recv().await {
        match event {
            SearchEvent::Found(object) => seen.push(object.identity.name.to_string()),
            SearchEvent::End(cookie, None) => next = cookie.as_bytes().to_vec(),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(seen, ["a", "b"]);
    let mut events = provisioner.search(search(&next, 2));
    assert!(
        matches!(events.recv().await, Some(SearchEvent::End(cookie, None)) if cookie.is_empty())
    );
    // A script that does not keep to the page size is not believed.
    let mut events = provisioner.search(search(b"", 1));
    assert!(matches!(events.recv().await, Some(SearchEvent::Found(_))));
    let Some(SearchEvent::End(_, Some(failure))) = events.recv().await else {
        panic!("no end");
    };
    assert!(failure.message.contains("page size"), "{}", failure.message);
}

#[tokio::test]
async fn a_sync_hands_on_what_the_script_says_has_changed_and_its_token() {
    let body = r#"q=$(cat)
case $q in
*'"token":""'*) echo '{"next_token": "1", "objects": []}' ;;
*'"token":"1"'*) echo '{"next_token": "2", "more": true, "gone": [{"id": "7"}],
  "objects": [{"id": "1", "name": "a"}]}' ;;
*'"token":"2"'*) echo '{"objects": []}' ;;
*) echo '{"error": {"kind": "forgotten", "message": "too old"}}' ;;
esac"#;
    let made = folder(&[("sync", body)]);
    let provisioner = provisioner(made.path(), "");
    let sync = async |token: &[u8]| {
        let sync = wire::Sync {
            object_class: wire::ObjectClass::Account.into(),
            token: token.to_vec(),
            ..wire::Sync::default()
        };
        let mut events = provisioner.sync(call(Verb::Sync(sync)));
        let mut told = Vec::new();
        loop {
            match events.recv().await.unwrap() {
                SyncEvent::Changed(Change::Present(object)) => {
                    told.push(object.identity.name.to_string());
                }
                SyncEvent::Changed(Change::Gone { id, .. }) => told.push(format!("-{id}")),
                SyncEvent::End(end) => return (told, end),
            }
        }
    };
    let (told, start) = sync(b"").await;
    let start = start.unwrap();
    assert!(told.is_empty() && !start.more);
    let (told, second) = sync(start.token.as_bytes()).await;
    let second = second.unwrap();
    assert_eq!(told, ["-7", "a"]);
    assert!(second.more);
    let (_, senseless) = sync(second.token.as_bytes()).await;
    let failure = senseless.unwrap_err();
    assert!(failure.message.contains("next_token"), "{failure:?}");
    let mut stale = start.token.as_bytes().to_vec();
    *stale.last_mut().unwrap() = b'0';
    let failure = sync(&stale).await.1.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Forgotten);
    assert!(failure.message.contains("too old"), "{failure:?}");
}

#[tokio::test]
async fn guard_rails_hold_where_a_script_alone_knows_names() {
    let known = r#"grep -q '"id":"7"' && name=boss || name=ada
echo "{\"object\": {\"id\": \"7\", \"name\": \"$name\", \"attributes\": {\"groups\": [\"admins\"]}}}""#;
    let made = folder(&[
        ("get", known),
        ("delete", "touch ran"),
        ("update", "touch ran"),
    ]);
    let rails = "[connectors.hr.guard_rails]\nprotected_accounts = [\"boss\"]\nprotected_groups = [\"admins\"]";
    let provisioner = provisioner(made.path(), rails);
    let by_id = Some(wire::ObjectRef {
        object_class: wire::ObjectClass::Account.into(),
        by: Some(wire::object_ref::By::Id("7".into())),
        ..wire::ObjectRef::default()
    });
    let outcome = provisioner
        .execute(call(Verb::Delete(wire::Delete { object: by_id })))
        .await;
    assert_eq!(failure(outcome).0, FailureKind::Refused);
    for (operation, values, name) in [
        (wire::ModificationOperation::Add, vec!["admins"], "groups"),
        (
            wire::ModificationOperation::Remove,
            vec!["ADMINS"],
            "Groups",
        ),
        (wire::ModificationOperation::Replace, vec![], "groups"),
    ] {
        let values = values.into_iter().map(|text| wire::Value {
            kind: Some(wire::value::Kind::Text(text.into())),
        });
        let update = Verb::Update(wire::Update {
            object: account("ada"),
            modifications: vec![wire::Modification {
                operation: operation.into(),
                name: name.into(),
                values: values.collect(),
            }],
        });
        assert_eq!(
            failure(provisioner.execute(call(update)).await).0,
            FailureKind::Refused
        );
    }
    assert!(!made.path().join("ran").exists());
}
