//! What has changed on a resource, and the token that is kept.

use std::fs;
use std::process::{Command, Stdio};

use data_encoding::BASE64;
use portcullis_proto::gateway::v1::call::Verb;
use portcullis_proto::gateway::v1::{Create, FailureKind};

use crate::fake::{Fake, Fate};

fn with_accounts(names: &[&str]) -> Fake {
    let fake = Fake::start();
    for name in names {
        put(&fake, name);
    }
    fake
}

fn put(fake: &Fake, name: &str) {
    fake.put(Create {
        name: (*name).to_owned(),
        ..Create::default()
    });
}

fn token(path: &str) -> String {
    let kept: serde_json::Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let token = BASE64
        .decode(kept["token"].as_str().unwrap().as_bytes())
        .unwrap();
    String::from_utf8(token).unwrap()
}

#[test]
fn changes_come_a_line_each_and_from_the_token_on_that_was_kept() {
    let fake = with_accounts(&["ada", "bob"]);
    let file = fake.file("none", "").with_file_name("token");
    let file = file.to_str().unwrap();
    let arguments = ["sync", "r", "--token-file", file, "--page-size", "1"];
    let json = [&arguments[..], &["--output", "json"]].concat();
    let finished = fake.run(&json);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let lines: Vec<serde_json::Value> = finished
        .out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 3);
    assert_eq!(
        lines[0],
        serde_json::json!({"change": "gone", "class": "account", "id": "66", "name": null})
    );
    assert_eq!(lines[1]["change"], "present");
    assert_eq!(lines[2]["object"]["name"], "bob");
    assert_eq!(token(file), "3");
    let calls = fake.take_calls();
    assert_eq!(calls.len(), 3, "a page each");

    let finished = fake.run(&arguments);
    assert_eq!((finished.code, finished.out.as_str()), (Some(0), ""));
    put(&fake, "cid");
    let finished = fake.run(&arguments);
    assert!(
        finished.out.starts_with("changed account cid"),
        "{finished:?}"
    );
    assert_eq!(token(file), "4");

    let finished = fake.run(&[&arguments[..], &["--restart"]].concat());
    assert!(
        finished.out.starts_with("gone    account with id 66\n"),
        "{finished:?}"
    );
    let finished = fake.run(&["sync", "r", "--class", "group", "--token-file", file]);
    assert_eq!(finished.code, Some(2), "{finished:?}");
    assert!(
        finished.err.contains("class account of resource r"),
        "{finished:?}"
    );
    assert_eq!(fake.run(&["sync", "r"]).code, Some(2));
}

#[test]
fn a_stale_token_says_what_to_do_and_stays_as_it_is() {
    let fake = with_accounts(&["ada"]);
    let stale = format!(
        "{{\"resource\":\"r\",\"class\":\"account\",\"token\":\"{}\"}}",
        BASE64.encode(b"stale")
    );
    let file = fake.file("token", &stale);
    let file = file.to_str().unwrap();
    for more in [&[][..], &["--follow"]] {
        let arguments = ["sync", "r", "--token-file", file, "--output", "json"];
        let finished = fake.run(&[&arguments, more].concat());
        assert_eq!(finished.code, Some(1), "{finished:?}");
        assert_eq!(finished.error()["kind"], "forgotten");
        let message = finished.error()["message"].to_string();
        assert!(message.contains("--restart"), "{message}");
        assert_eq!(token(file), "stale");
    }
    let finished = fake.run(&["sync", "r", "--token-file", file, "--restart"]);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert_eq!(token(file), "2");
}

#[test]
fn what_cannot_be_shown_is_asked_for_again() {
    let fake = with_accounts(&["ada"]);
    let file = fake.file("none", "").with_file_name("token");
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let mut command = fake.command(&["sync", "r", "--token-file", file.to_str().unwrap()]);
    let output = command.stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(
        !file.exists(),
        "a token was kept of changes that nobody saw"
    );
}

#[test]
fn who_follows_is_told_of_later_changes_outlasts_failures_and_ends_with_0() {
    let fake = with_accounts(&["ada"]);
    fake.fate("sync", Fate::Fails(FailureKind::Unavailable));
    let file = fake.file("none", "").with_file_name("token");
    let arguments = [
        "sync",
        "r",
        "--follow",
        "--interval",
        "10ms",
        "--token-file",
        file.to_str().unwrap(),
    ];
    let mut command = fake.command(&arguments);
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    fake.wait_for_syncs(3);
    put(&fake, "bob");
    let later = fake.take_calls().len();
    assert!(later >= 3);
    // The second of these comes after the changes of the first were shown and kept.
    fake.wait_for_syncs(3);
    let id = child.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-INT", &id])
            .status()
            .unwrap()
            .success()
    );
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let out = String::from_utf8(output.stdout).unwrap();
    assert!(
        out.contains("account ada") && out.contains("account bob"),
        "{out}"
    );
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .contains("again in")
    );
    assert_eq!(token(file.to_str().unwrap()), "3");
    let last = fake.take_calls().pop().unwrap();
    assert!(matches!(last.verb, Some(Verb::Sync(sync)) if sync.token == b"3"));
}
