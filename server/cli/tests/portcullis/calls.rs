//! Single calls: what is sent, what is shown, what the exit code says.

use portcullis_proto::gateway::v1::call::Verb;
use portcullis_proto::gateway::v1::value::Kind;
use portcullis_proto::gateway::v1::{
    Call, Create, FailureKind, ModificationOperation, ObjectClass,
};

use crate::fake::{Fake, Fate};

fn last(fake: &Fake) -> Call {
    fake.take_calls().pop().unwrap()
}

fn account(name: &str) -> Create {
    Create {
        name: name.to_owned(),
        ..Create::default()
    }
}

#[test]
fn exit_codes_tell_done_failed_usage_and_indeterminate_apart() {
    let fake = Fake::start();
    fake.fate("bob", Fate::Fails(FailureKind::Rejected));
    fake.fate("cid", Fate::CreatedUnknown);
    for (arguments, code, kind) in [
        (&["account", "create", "r", "ann"][..], 0, None),
        (
            &["account", "create", "r", "ann"],
            1,
            Some("already-exists"),
        ),
        (&["account", "create", "r", "bob"], 1, Some("rejected")),
        (&["account", "create", "r", "cid"], 3, Some("indeterminate")),
        (&["account", "get", "r", "nobody"], 1, Some("not-found")),
        (&["account", "get", "missing", "ann"], 1, Some("not-found")),
        (&["account", "get", "r"], 2, Some("usage")),
        (
            &["account", "create", "r", "dee", "--set", "uid=x"],
            2,
            Some("usage"),
        ),
    ] {
        let finished = fake.run(&[arguments, &["--output", "json"]].concat());
        assert_eq!(finished.code, Some(code), "{finished:?}");
        match kind {
            None => assert_eq!(finished.json()["outcome"], "done"),
            Some(kind) => assert_eq!(finished.error()["kind"], kind),
        }
        let table = fake.run(arguments);
        assert_eq!(table.err.is_empty(), table.code == Some(0), "{table:?}");
    }
}

#[test]
fn what_the_target_answered_is_told_and_a_kind_of_a_newer_gateway_is_a_failure() {
    let fake = Fake::start();
    for (kind, word) in [
        (FailureKind::Denied as i32, "denied"),
        (FailureKind::Policy as i32, "policy"),
        (FailureKind::AccountLocked as i32, "account-locked"),
        (FailureKind::AccountDisabled as i32, "account-disabled"),
        (FailureKind::PasswordExpired as i32, "password-expired"),
        (4711, "other"),
    ] {
        fake.fate(
            "bob",
            Fate::Answers(kind, "19", "Password fails \x1b[31mquality"),
        );
        let arguments = ["account", "create", "r", "bob"];
        let finished = fake.run(&[&arguments[..], &["--output", "json"]].concat());
        assert_eq!(finished.code, Some(1), "{finished:?}");
        assert_eq!(finished.error()["kind"], word);
        assert_eq!(finished.error()["native"]["code"], "19");
        let finished = fake.run(&arguments);
        let said = "(the target answered 19: Password fails \\u{1b}[31mquality)";
        assert!(finished.err.contains(said), "{finished:?}");
    }
}

#[test]
fn objects_of_a_further_class_are_shown_and_searched_by_its_name() {
    let fake = Fake::start();
    let class = ["--class", "organizational-unit"];
    fake.run(&[&["object", "get", "r", "Sales"][..], &class].concat());
    let Some(Verb::Get(get)) = last(&fake).verb else {
        panic!("no get");
    };
    let object = get.object.unwrap();
    assert_eq!(object.object_class(), ObjectClass::Other);
    assert_eq!(object.class_name, "organizational-unit");

    let condition = ["--where", "__name__=Sales"];
    let search = [&["object", "search", "r"][..], &condition, &class].concat();
    let found = fake.run(&search);
    assert_eq!(found.code, Some(0), "{found:?}");
    let Some(Verb::Search(search)) = last(&fake).verb else {
        panic!("no search");
    };
    assert_eq!(search.object_class(), ObjectClass::Other);
    assert_eq!(search.class_name, "organizational-unit");

    fake.run(&["object", "list", "r", "--class", "group"]);
    let Some(Verb::Search(search)) = last(&fake).verb else {
        panic!("no search");
    };
    assert_eq!(search.object_class(), ObjectClass::Group);
    assert!(search.class_name.is_empty());
}

#[test]
fn a_password_is_the_same_whatever_program_wrote_its_file() {
    let fake = Fake::start();
    fake.put(account("ann"));
    let set = |content: &[u8]| {
        let path = fake.folder.path().join("pw");
        std::fs::write(&path, content).unwrap();
        let path = path.to_str().unwrap();
        fake.run(&[
            "account",
            "set-password",
            "r",
            "ann",
            "--password-file",
            path,
        ])
    };
    for (content, password) in [
        (&b"\xef\xbb\xbfhunter2\r\n"[..], "hunter2"),
        (b"ends in a blank \n", "ends in a blank "),
        ("z\u{fc}rich".as_bytes(), "z\u{fc}rich"),
    ] {
        let finished = set(content);
        assert_eq!(finished.code, Some(0), "{finished:?}");
        let now = fake.account("ann").unwrap().password.unwrap();
        assert_eq!(now.value, password.as_bytes());
    }
    fake.take_calls();
    for (content, hint) in [
        (&b"\xff\xfeh\0u\0n\0t\0e\0r\0"[..], "UTF-16"),
        (b"hunter\xfc\n", "byte 7 of line 1 is not UTF-8"),
        (b"hunter\0\n", "NUL"),
    ] {
        let finished = set(content);
        assert_eq!(finished.code, Some(2), "{finished:?}");
        assert!(finished.err.contains(hint), "{finished:?}");
        assert!(!finished.err.contains("hunter"), "{finished:?}");
    }
    assert!(fake.take_calls().is_empty());
}

#[test]
fn a_password_comes_from_a_pipe_or_a_file_and_shows_nowhere() {
    let fake = Fake::start();
    let file = fake.file("pw", "hunter2\n");
    let path = file.to_str().unwrap();
    let created = fake.run(&["account", "create", "r", "ann", "--password-file", path]);
    assert_eq!(created.code, Some(0));
    let tried = fake.run_with_input(
        &["account", "authenticate", "r", "ann", "--password-stdin"],
        "hunter2",
    );
    assert_eq!(tried.code, Some(0), "{tried:?}");
    let tried = fake.run_with_input(
        &[
            "account",
            "authenticate",
            "r",
            "ann",
            "--password-stdin",
            "--output",
            "json",
        ],
        "hunter3\n",
    );
    assert_eq!(tried.code, Some(1));
    assert_eq!(tried.error()["kind"], "bad-credentials");
    let set = fake.run_with_input(
        &[
            "account",
            "set-password",
            "r",
            "--id",
            "id-ann",
            "--password-stdin",
        ],
        "correct horse\n",
    );
    assert_eq!(set.code, Some(0), "{set:?}");
    assert_eq!(
        fake.account("ann").unwrap().password.unwrap().value,
        b"correct horse"
    );
    for (input, message) in [("", "empty"), ("a\nb\n", "more than one line")] {
        let refused = fake.run_with_input(
            &["account", "set-password", "r", "ann", "--password-stdin"],
            input,
        );
        assert_eq!(refused.code, Some(2), "{refused:?}");
        assert!(refused.err.contains(message), "{refused:?}");
    }
    assert_eq!(
        fake.account("ann").unwrap().password.unwrap().value,
        b"correct horse"
    );
}

#[test]
fn a_secret_is_never_an_argument() {
    let fake = Fake::start();
    let refused = fake.run(&["account", "create", "r", "ann", "--set", "pin:secret=1234"]);
    assert_eq!(refused.code, Some(2));
    assert!(refused.err.contains("--secret-file"), "{refused:?}");
    let file = fake.file("pin", "1234\n");
    let given = format!("pin={}", file.display());
    let created = fake.run(&["account", "create", "r", "ann", "--secret-file", &given]);
    assert_eq!(created.code, Some(0));
    let shown = fake.run(&["account", "get", "r", "ann"]);
    assert!(
        shown.out.contains("(secret)") && !shown.out.contains("1234"),
        "{shown:?}"
    );
    let shown = fake.run(&["account", "get", "r", "ann", "--output", "json"]);
    assert_eq!(
        shown.json()["object"]["attributes"]["pin"][0]["secret"],
        true
    );
}

#[test]
fn an_update_carries_each_change_as_it_was_asked_for() {
    let fake = Fake::start();
    let finished = fake.run(&[
        "account", "update", "r", "ann", "--set", "uid=5", "--add", "groups=a", "--add",
        "groups=b", "--remove", "groups=c", "--clear", "shell",
    ]);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let Some(Verb::Update(update)) = last(&fake).verb else {
        panic!("no update");
    };
    let changes: Vec<_> = update
        .modifications
        .iter()
        .map(|m| (m.operation(), m.name.as_str(), m.values.len()))
        .collect();
    assert_eq!(
        changes,
        [
            (ModificationOperation::Replace, "uid", 1),
            (ModificationOperation::Add, "groups", 2),
            (ModificationOperation::Remove, "groups", 1),
            (ModificationOperation::Replace, "shell", 0),
        ]
    );
    for arguments in [
        &["account", "update", "r", "ann"][..],
        &[
            "account", "update", "r", "ann", "--set", "shell=a", "--clear", "shell",
        ],
        &[
            "account",
            "update",
            "r",
            "ann",
            "--replace",
            "groups=a",
            "--add",
            "groups=b",
        ],
    ] {
        let finished = fake.run(arguments);
        assert_eq!(finished.code, Some(2), "{finished:?}");
        assert!(
            !fake
                .take_calls()
                .iter()
                .any(|c| matches!(c.verb, Some(Verb::Update(_))))
        );
    }
}

#[test]
fn a_search_asks_for_page_after_page_and_shows_all() {
    let fake = Fake::start();
    for n in 0..25 {
        fake.put(account(&format!("user{n:02}")));
    }
    let finished = fake.run(&[
        "account",
        "list",
        "r",
        "--page-size",
        "10",
        "--output",
        "json",
    ]);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert_eq!(finished.json().as_array().unwrap().len(), 25);
    let calls = fake.take_calls();
    assert_eq!(calls.len(), 3);
    let ids: std::collections::HashSet<_> = calls.iter().map(|call| &call.call_id).collect();
    assert_eq!(ids.len(), 3);
    let finished = fake.run(&["account", "search", "r", "--where", "uid>=5 and name^=u"]);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert_eq!(finished.out.lines().count(), 26);
    let wrong = fake.run(&["account", "search", "r", "--where", "uid>=5 nd name^=u"]);
    assert_eq!(wrong.code, Some(2));
    assert!(wrong.err.contains("--where, character 8"), "{wrong:?}");
}

#[test]
fn a_search_that_breaks_off_shows_what_it_found_and_fails() {
    let fake = Fake::start();
    fake.put(account("ann"));
    fake.put(account("poison"));
    let list = ["account", "list", "r", "--page-size", "1"];
    let finished = fake.run(&[&list[..], &["--output", "json"]].concat());
    assert_eq!(finished.code, Some(1));
    assert_eq!(finished.json()[0]["name"], "ann");
    assert_eq!(finished.error()["kind"], "unavailable");
    let finished = fake.run(&list);
    assert_eq!(finished.code, Some(1));
    assert!(finished.out.contains("ann"), "{finished:?}");
}

#[test]
fn a_call_without_an_answer_is_indeterminate_only_where_it_may_have_changed_something() {
    let mut fake = Fake::start();
    fake.fate("ann", Fate::CreatedHangs);
    let child = fake
        .command(&[
            "account",
            "create",
            "r",
            "ann",
            "--call-id",
            "my-id",
            "--output",
            "json",
        ])
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    fake.wait_for_create("ann");
    fake.stop();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let error: serde_json::Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!(error["error"]["call_id"], "my-id");
    // With no server at all nothing was sent.
    let finished = fake.run(&["account", "create", "r", "bob", "--output", "json"]);
    assert_eq!(finished.code, Some(1));
    assert_eq!(finished.error()["kind"], "no-server");
}

#[test]
fn an_action_takes_arguments_as_text_or_typed() {
    let fake = Fake::start();
    let finished = fake.run(&[
        "run",
        "r",
        "greet",
        "--arg",
        "who=ann",
        "--arg",
        "times:int=3",
        "--output",
        "json",
    ]);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert_eq!(finished.json()["run"]["results"]["times"][0], 3);
    let Some(Verb::Run(run)) = last(&fake).verb else {
        panic!("no run");
    };
    assert_eq!(
        run.arguments[0].values[0].kind,
        Some(Kind::Text("ann".to_owned()))
    );
}

#[test]
fn a_queued_call_is_answered_with_its_place_in_the_queue() {
    let fake = Fake::start();
    let done = fake.run(&[
        "account",
        "delete",
        "ldap",
        "ada",
        "--queue",
        "--call-id",
        "c1",
        "--output",
        "json",
    ]);
    assert_eq!(done.code, Some(0), "{done:?}");
    let queued = done.json();
    assert_eq!(queued["call_id"], "c1");
    assert_eq!(queued["state"], "waiting");
    let refused = fake.run(&["account", "list", "ldap", "--queue"]);
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(
        refused.err.contains("unexpected argument '--queue'"),
        "{refused:?}"
    );
}
