//! Exit codes, whatever becomes of standard output, and when somebody interrupts.

use std::fs::OpenOptions;
use std::io::Read as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};

use portcullis_proto::gateway::v1::FailureKind;

use crate::fake::{Fake, Fate};

/// Runs with standard output on a device that is full: the exit code, and standard error.
fn onto_full(mut command: Command) -> (Option<i32>, String) {
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = command.stdout(full).output().unwrap();
    (
        output.status.code(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

/// Runs with standard output on a pipe whose reader is gone: the exit code, and standard error.
fn onto_nobody(mut command: Command) -> (Option<i32>, String) {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = command.stdout(writer).output().unwrap();
    (
        output.status.code(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

/// That nothing was done is no other fault of the same command, such as a side that breaks off.
#[test]
fn a_source_that_cannot_be_read_is_told_by_its_exit_code_and_nothing_is_sent() {
    let fake = Fake::start();
    let broken = fake.file("broken.csv", "name\n\"ann\n");
    let row = fake.file("row.csv", "name,uid\nann,ten\n");
    let nowhere = fake.folder.path().join("nowhere.csv");
    let folder = fake.folder.path().join("folder.csv");
    std::fs::create_dir(&folder).unwrap();
    for (file, import, reconcile) in [
        (&nowhere, 2, 2),
        (&folder, 2, 2),
        (&broken, 2, 2),
        (&row, 1, 2),
    ] {
        let file = file.to_str().unwrap();
        let imported = fake.run(&["account", "import", "r", file]);
        assert_eq!(imported.code, Some(import), "{imported:?}");
        let compared = fake.run(&["reconcile", "r", "--source", file, "--repair"]);
        assert_eq!(compared.code, Some(reconcile), "{compared:?}");
        assert!(fake.names().is_empty());
    }
}

#[test]
fn the_outcome_decides_and_not_whether_it_could_be_shown() {
    let fake = Fake::start();
    fake.fate("bob", Fate::Fails(FailureKind::Rejected));
    fake.fate("cid", Fate::CreatedUnknown);
    for (number, output) in ["table", "json"].into_iter().enumerate() {
        let run = |arguments: &[&str]| fake.command(&[arguments, &["--output", output]].concat());
        let (ann, eve) = (&*format!("ann{number}"), &*format!("eve{number}"));
        let create = |name| run(&["account", "create", "r", name, "--call-id", "c-1"]);
        let (code, err) = onto_nobody(create(ann));
        assert_eq!((code, err.as_str()), (Some(0), ""));
        let (code, err) = onto_full(create(eve));
        assert_eq!(code, Some(3), "{err}");
        assert!(err.contains("it was done") && err.contains("c-1"), "{err}");
        assert!(fake.account(ann).is_some() && fake.account(eve).is_some());
        for (name, expected) in [("bob", 1), ("cid", 3)] {
            fake.no_more_accounts();
            assert_eq!(onto_nobody(create(name)).0, Some(expected));
            fake.no_more_accounts();
            assert_eq!(onto_full(create(name)).0, Some(expected));
        }
        // What only reads has changed nothing.
        assert_eq!(onto_full(run(&["account", "list", "r"])).0, Some(1));
        let (code, err) = onto_nobody(run(&["account", "list", "r"]));
        assert_eq!((code, err.as_str()), (Some(0), ""));
    }
}

#[test]
fn help_that_cannot_be_written_is_an_error_and_help_that_nobody_reads_is_none() {
    let fake = Fake::start();
    for arguments in [
        &["--help"][..],
        &["--version"],
        &["account", "list", "--help"],
    ] {
        let (code, err) = onto_full(fake.command(arguments));
        assert_eq!(code, Some(1), "{arguments:?}");
        assert!(err.contains("standard output"), "{err}");
        let (code, err) = onto_nobody(fake.command(arguments));
        assert_eq!((code, err.as_str()), (Some(0), ""), "{arguments:?}");
    }
}

#[test]
fn a_token_that_cannot_be_shown_is_not_made() {
    let fake = Fake::start();
    let add = |name| fake.command(&["gateway", "add", name, "--dial-out"]);
    assert_eq!(onto_full(add("web1")).0, Some(1));
    assert_eq!(onto_nobody(add("web1")).0, Some(1));
    assert!(fake.gateways().is_empty());
    let file = std::fs::File::create(fake.folder.path().join("out")).unwrap();
    assert!(add("web1").stdout(file).status().unwrap().success());
    assert_eq!(fake.gateways(), ["web1"]);
    let shown = std::fs::read_to_string(fake.folder.path().join("out")).unwrap();
    assert!(shown.contains("PCT1-TOKEN"), "{shown}");
}

#[test]
fn a_script_registers_again_and_finds_its_token_file() {
    let fake = Fake::start();
    let file = fake.file("token", "PCT1-FORMER");
    let file_name = file.to_str().unwrap();
    let add = |name, more: &[&str]| {
        let add = [
            "gateway",
            "add",
            name,
            "--dial-out",
            "--token-file",
            file_name,
        ];
        fake.run(&[&add, more].concat())
    };
    let again = add("taken", &["--if-absent"]);
    assert_eq!(again.code, Some(0), "{again:?}");
    // Where a token would be made, the file has to be new.
    for (name, more) in [("web1", &["--if-absent"][..]), ("taken", &[])] {
        let refused = add(name, more);
        assert_eq!(refused.code, Some(1), "{refused:?}");
        assert!(refused.err.contains("it is there already"), "{refused:?}");
    }
    assert!(fake.gateways().is_empty());
    assert_eq!(std::fs::read_to_string(file).unwrap(), "PCT1-FORMER");
}

pub(crate) fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill")
        .args([&format!("-{name}"), &child.id().to_string()])
        .status();
    assert!(sent.unwrap().success());
}

fn end(mut child: Child) -> (ExitStatus, String) {
    let mut err = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut err)
        .unwrap();
    (child.wait().unwrap(), err)
}

#[test]
fn who_interrupts_a_change_is_told_its_call_and_how_to_look() {
    let fake = Fake::start();
    for (name, sent) in [("ann", "INT"), ("bob", "TERM"), ("cid", "HUP")] {
        fake.fate(name, Fate::CreatedHangs);
        let child = fake
            .command(&["account", "create", "r", name, "--call-id", "leave-1"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        fake.wait_for_create(name);
        signal(&child, sent);
        let (status, err) = end(child);
        assert_eq!(status.code(), Some(3), "{status}: {err}");
        assert!(err.contains("(call leave-1)"), "{err}");
        assert!(
            err.contains("portcullis audit list --object leave-1"),
            "{err}"
        );
    }
}

#[test]
fn who_interrupts_before_a_change_was_sent_sees_the_signal() {
    let fake = Fake::start();
    // It waits for the password.
    let mut child = fake
        .command(&["account", "set-password", "r", "ann", "--password-stdin"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let stdin = child.stdin.take();
    signal(&child, "TERM");
    let (status, _) = end(child);
    drop(stdin);
    assert_eq!(status.signal(), Some(15), "{status}");
    assert!(fake.take_calls().is_empty());
}

#[test]
fn who_follows_a_call_no_longer_does_not_know_how_it_ends() {
    let mut fake = Fake::start();
    let mut followed = 0;
    for verb in ["watch", "wait"] {
        for sent in [Some("INT"), Some("TERM"), None] {
            let child = fake
                .command(&["call", verb, "leave-1"])
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            followed += 1;
            fake.wait_for_watched(followed);
            match sent {
                Some(name) => signal(&child, name),
                None => fake.stop(),
            }
            let (status, err) = end(child);
            assert_eq!(status.code(), Some(3), "{verb}, {sent:?}: {status}: {err}");
            assert!(err.contains("call leave-1 goes on by itself"), "{err}");
        }
        fake.listen();
    }
}

#[test]
fn calls_that_are_not_there_keep_none_from_being_taken_back() {
    let fake = Fake::start();
    let taken = fake.run(&["call", "cancel", "w1", "gone", "w2", "--output", "json"]);
    assert_eq!(taken.code, Some(1), "{taken:?}");
    let ids = taken.json();
    let ids: Vec<_> = ids
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["call_id"])
        .collect();
    assert_eq!(ids, ["w1", "w2"]);
    let message = taken.error()["message"].to_string();
    assert!(
        message.contains("1 of 3") && message.contains("gone"),
        "{message}"
    );
}

#[test]
fn an_action_that_fails_gives_4_or_its_own_code() {
    let fake = Fake::start();
    for (action, flags, code) in [
        ("0", &[][..], 0),
        ("7", &[], 4),
        ("-1", &["--pass-exit-code"], 4),
        ("256", &["--pass-exit-code"], 4),
        ("7", &["--pass-exit-code"], 7),
        ("1", &["--pass-exit-code"], 1),
    ] {
        let arguments = [&["run", "r", "--output", "json"], flags, &["--", action]].concat();
        let finished = fake.run(&arguments);
        assert_eq!(finished.code, Some(code), "{finished:?}");
        assert_eq!(
            finished.json()["run"]["exit_code"],
            action.parse::<i32>().unwrap()
        );
        if code != 0 {
            assert_eq!(finished.error()["kind"], "action");
        }
    }
}
