//! What has changed on a resource since the last run, and what is never said of a part of it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use portcullis_proto::gateway::v1::call::Verb;
use portcullis_proto::gateway::v1::value::Kind;
use portcullis_proto::gateway::v1::{Attribute, Create, FailureKind, Value};

use crate::fake::{Fake, Fate};

fn put(fake: &Fake, name: &str, shell: &str) {
    fake.put(Create {
        name: name.to_owned(),
        attributes: vec![Attribute {
            name: "shell".to_owned(),
            values: vec![Value {
                kind: Some(Kind::Text(shell.to_owned())),
            }],
        }],
        ..Create::default()
    });
}

#[test]
fn what_appeared_vanished_and_changed_since_the_last_run_is_told() {
    let fake = Fake::start();
    for name in ["ada", "bob", "cid"] {
        put(&fake, name, "/bin/sh");
    }
    let folder = fake.folder.path();
    let (file, list) = (folder.join("inventory"), folder.join("list.jsonl"));
    let (file, list) = (file.to_str().unwrap(), list.to_str().unwrap());
    let run = ["--output", "json", "reconcile", "r", "--inventory", file];
    let run = [&run[..], &["--page-size", "2"]].concat();
    let first = fake.run(&run).json();
    assert_eq!(
        (&first["first"], &first["appeared"]),
        (&true.into(), &3.into())
    );
    assert_eq!(
        fs::metadata(file).unwrap().permissions().mode() & 0o777,
        0o600
    );
    fake.no_more_accounts();
    for (name, shell) in [("ada", "/bin/sh"), ("bob", "/bin/bash"), ("dan", "/bin/sh")] {
        put(&fake, name, shell);
    }
    let listed = [&run[..], &["--differences", list]].concat();
    let second = fake.run(&listed).json();
    for (kind, count) in [
        ("same", 1),
        ("appeared", 1),
        ("vanished", 1),
        ("changed", 1),
    ] {
        assert_eq!(second[kind], count, "{kind}: {second}");
    }
    assert_eq!(
        fs::read_to_string(list).unwrap(),
        "{\"difference\":\"changed\",\"name\":\"bob\",\"id\":\"id-bob\",\"line\":null,\"attributes\":[\"attributes\"]}\n\
         {\"difference\":\"vanished\",\"name\":\"cid\",\"id\":\"id-cid\",\"line\":null,\"attributes\":[]}\n\
         {\"difference\":\"appeared\",\"name\":\"dan\",\"id\":\"id-dan\",\"line\":null,\"attributes\":[]}\n"
    );
    assert_eq!(fake.run(&run).json()["same"], 3, "it is what is kept");
}

#[test]
fn a_part_of_a_resource_replaces_no_inventory_and_tells_nothing() {
    let fake = Fake::start();
    for name in ["ada", "bob"] {
        put(&fake, name, "/bin/sh");
    }
    let file = fake.folder.path().join("inventory");
    let run = ["reconcile", "r", "--inventory", file.to_str().unwrap()];
    let run = [&run[..], &["--page-size", "1"]].concat();
    assert_eq!(fake.run(&run).code, Some(0));
    let kept = fs::read(&file).unwrap();
    // The search breaks off at it.
    put(&fake, "poison", "/bin/sh");
    let part = fake.run(&run);
    assert_eq!((part.code, part.out.as_str()), (Some(5), ""), "{part:?}");
    assert_eq!(fs::read(&file).unwrap(), kept);
    let other = fake.run(&[&run[..], &["--attribute", "shell"]].concat());
    assert_eq!(other.code, Some(2), "{other:?}");
    assert!(
        other.err.contains("of resource r, with all attributes"),
        "{other:?}"
    );
    fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
    let open = fake.run(&run);
    assert!(
        open.code == Some(2) && open.err.contains("chmod 0600"),
        "{open:?}"
    );
}

/// The first cookie that a search was begun with.
fn first_cookie(fake: &Fake) -> Vec<u8> {
    let calls = fake.take_calls();
    let mut searches = calls.into_iter().filter_map(|call| match call.verb {
        Some(Verb::Search(search)) => Some(search.cookie),
        _ => None,
    });
    searches.next().unwrap()
}

#[test]
fn a_run_that_was_killed_goes_on_and_says_the_same() {
    let fake = Fake::start();
    for number in 100..200 {
        put(&fake, &format!("user{number}"), "/bin/sh");
    }
    let rows = (101..201).map(|number| format!("user{number},/bin/sh\n"));
    let text = format!("name,shell\n{}", rows.collect::<String>());
    let source = fake.file("people.csv", &text);
    let progress = fake.folder.path().join("progress");
    let run = ["--output", "json", "reconcile", "r", "--page-size", "1"];
    let run = [&run[..], &["--source", source.to_str().unwrap()]].concat();
    let whole = fake.run(&run).json();
    assert_eq!(whole["same"], 99);
    let run = [&run[..], &["--resume", progress.to_str().unwrap()]].concat();
    for restarted in [false, true] {
        fake.take_calls();
        let mut child = fake.command(&run).spawn().unwrap();
        fake.wait_for_searches(40);
        child.kill().unwrap();
        child.wait().unwrap();
        let mode = fs::metadata(&progress).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        if restarted {
            fake.fate("page", Fate::Fails(FailureKind::Invalid));
        }
        fake.take_calls();
        assert_eq!(fake.run(&run).json(), whole, "{restarted}");
        assert!(!first_cookie(&fake).is_empty(), "it goes on");
        assert!(!progress.exists());
    }
    let mut child = fake.command(&run).spawn().unwrap();
    fake.wait_for_searches(40);
    child.kill().unwrap();
    child.wait().unwrap();
    fs::write(&source, text.replace("user150", "user1500")).unwrap();
    let changed = fake.run(&run);
    assert_eq!(changed.code, Some(2), "{changed:?}");
    assert!(changed.err.contains("as it was before"), "{changed:?}");
}

/// Whether the gateway knows digests or not, the differences are the same; what is not different
/// does not travel.
#[test]
fn only_what_differs_is_read_whole() {
    let fake = Fake::start();
    for number in 100..200 {
        put(&fake, &format!("user{number}"), "/bin/sh");
    }
    let rows = (101..201).map(|number| {
        let shell = if number == 150 {
            "/bin/bash"
        } else {
            "/bin/sh"
        };
        format!("user{number},{shell}\n")
    });
    let text = format!("name,shell\n{}", rows.collect::<String>());
    let source = fake.file("people.csv", &text);
    let list = fake.folder.path().join("list.csv");
    let (source, list) = (source.to_str().unwrap(), list.to_str().unwrap());
    let run = ["--output", "json", "reconcile", "r", "--differences", list];
    let file = [&run[..], &["--source", source]].concat();
    let other = [&run[..], &["--against", "other", "--attribute", "shell"]].concat();
    let mut reports = Vec::new();
    for expected in [[1, 0], [100, 200]] {
        for (run, whole) in [&file, &other].into_iter().zip(expected) {
            reports.push(fake.run(run).json());
            reports.push(fs::read_to_string(list).unwrap().into());
            assert_eq!(fake.take_whole(), whole, "{run:?}");
            fs::remove_file(list).unwrap();
        }
        fake.age();
    }
    let (new, old) = reports.split_at(4);
    assert_eq!(new, old);
    let counts = ["same", "missing", "unknown", "changed"].map(|kind| new[0][kind].clone());
    assert_eq!(counts, [98, 1, 1, 1].map(serde_json::Value::from));
    assert!(
        new[1]
            .as_str()
            .unwrap()
            .contains("changed,user150,id-user150,51,shell\n")
    );
}

/// What a run has kept helps neither where the file has to be mended, nor where nothing was kept.
#[test]
fn a_run_that_came_to_no_end_tells_what_helps() {
    let fake = Fake::start();
    put(&fake, "ada", "/bin/sh");
    let (wrong, right) = ("name,uid\nada,ten\n", "name,shell\nada,/bin/sh\n");
    let (wrong, right) = (fake.file("wrong.csv", wrong), fake.file("right.csv", right));
    let progress = fake.folder.path().join("progress");
    let inventory = fake.folder.path().join("inventory");
    let [wrong, right, inventory] = [&wrong, &right, &inventory].map(|it| it.to_str().unwrap());
    let resume = ["--resume", progress.to_str().unwrap()];
    let run =
        |side: [&str; 2], more: &[&str]| fake.run(&[&["reconcile", "r"][..], &side, more].concat());
    for more in [&[][..], &resume] {
        let told = run(["--source", wrong], more);
        assert_eq!(told.code, Some(2), "{told:?}");
        assert!(told.err.contains("line 2 of the source") && !told.err.contains("--resume"));
        assert!(!progress.exists());
    }
    // The search breaks off at it.
    put(&fake, "poison", "/bin/sh");
    for (side, more, advice) in [
        (["--source", right], &[][..], Some("with --resume FILE")),
        (
            ["--source", right],
            &resume,
            Some("goes on from the last page"),
        ),
        (["--inventory", inventory], &[], None),
    ] {
        let told = run(side, more);
        assert_eq!(told.code, Some(5), "{told:?}");
        match advice {
            Some(advice) => assert!(told.err.contains(advice), "{told:?}"),
            None => assert!(!told.err.contains("--resume"), "{told:?}"),
        }
    }
}
