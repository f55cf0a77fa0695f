//! The command line itself.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use crate::fake::Fake;

#[test]
fn no_server_is_told_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("none.sock");
    let output = Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(["status", "--socket"])
        .arg(&socket)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        format!(
            "error: no server listens at {}: start `portcullis-server serve`, or give --socket PATH\n",
            socket.display()
        )
    );
}

#[test]
fn wrong_usage_is_2_in_both_forms() {
    let fake = Fake::start();
    for arguments in [
        &["gateway", "add", "web1"][..],
        &["gateway", "add", "web1", "--dial-out", "--address", "a"],
        &["account", "import", "r", "people.xml"],
        &["account", "import", "r", "people.csv", "--jobs", "0"],
        &["key", "rotate-gateway", "--yes"],
        &["resource", "set", "r"],
        &["fly"],
        &[],
    ] {
        let text = fake.run(arguments);
        assert_eq!(text.code, Some(2), "{text:?}");
        let json = fake.run(&[arguments, &["--output", "json"]].concat());
        assert_eq!(json.code, Some(2), "{json:?}");
        assert_eq!(json.error()["kind"], "usage");
    }
}

#[test]
fn who_names_nothing_is_told_what_may_be_named() {
    let fake = Fake::start();
    for (arguments, named) in [
        (["gateway", "token"], ["--group", "--ahead"]),
        (["call", "cancel"], ["--resource", "--gateway"]),
    ] {
        let told = fake.run(&arguments);
        assert_eq!(told.code, Some(2), "{told:?}");
        assert!(named.iter().all(|one| told.err.contains(one)), "{told:?}");
    }
}

#[test]
fn a_check_is_one_line_also_where_nobody_answers() {
    let mut fake = Fake::start();
    fake.stop();
    let told = fake.run(&["status", "--check"]);
    assert_eq!((told.code, told.err.as_str()), (Some(3), ""), "{told:?}");
    assert!(told.out.starts_with("UNKNOWN: "), "{told:?}");
    assert_eq!(told.out.lines().count(), 1, "{told:?}");
}

#[test]
fn a_file_that_cannot_be_read_is_2_as_nothing_was_sent() {
    let fake = Fake::start();
    for arguments in [
        &["account", "import", "r", "none.csv"][..],
        &["account", "create", "r", "ada", "--password-file", "none"],
        &["policy", "add-words", "none"],
        &["key", "import", "none", "--dry-run"],
        &["audit", "verify", "--file", "none"],
    ] {
        let text = fake.run(arguments);
        assert_eq!(text.code, Some(2), "{text:?}");
        let json = fake.run(&[arguments, &["--output", "json"]].concat());
        assert_eq!(json.error()["kind"], "file");
    }
    assert_eq!(fake.account("ada"), None);
}

#[test]
fn a_secret_that_is_given_as_an_argument_is_not_shown_again() {
    let fake = Fake::start();
    for arguments in [
        &["user", "set-password", "ada", "hunter2"][..],
        &["account", "create", "r", "ada", "--password", "hunter2"],
        &["account", "create", "r", "ada", "--password=hunter2"],
        &[
            "account",
            "create",
            "r",
            "ada",
            "--set",
            "pin:secret=hunter2",
        ],
        &["key", "export", "file", "hunter2"],
        &["gateway", "token", "web1", "PCT1-HUNTER2"],
    ] {
        for output in ["table", "json"] {
            let finished = fake.run(&[arguments, &["--output", output]].concat());
            assert_eq!(finished.code, Some(2), "{finished:?}");
            let told = finished.err.to_lowercase();
            assert!(!told.contains("hunter2"), "{told}");
        }
    }
}

#[test]
fn what_can_be_no_passphrase_is_refused_by_name_before_the_server_is_asked() {
    let fake = Fake::start();
    let out = fake.folder.path().join("out");
    for (content, reason) in [
        ("", "is empty"),
        ("hunter2\n", "fewer than 12 bytes"),
        ("two lines of\ntext here\n", "more than one line"),
        (&*"x".repeat(3_000), "more than 1024 bytes"),
        ("PCS1-MFRGG", "damaged copy"),
    ] {
        let file = fake.file("bad.secret", content);
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        let file = file.to_str().unwrap();
        for arguments in [
            &[
                "key",
                "export",
                out.to_str().unwrap(),
                "--passphrase-file",
                file,
            ][..],
            &["key", "protect", "pbe", "--secret-file", file],
        ] {
            let finished = fake.run(arguments);
            assert_eq!(finished.code, Some(2), "{arguments:?}: {finished:?}");
            assert!(finished.err.contains(reason), "{finished:?}");
            assert!(finished.err.contains("bad.secret"), "{finished:?}");
            assert!(!finished.err.contains("hunter2"), "{finished:?}");
        }
    }
    assert!(!out.exists());
}

#[test]
fn a_compromised_rotation_is_not_begun_without_a_word() {
    let fake = Fake::start();
    let finished = fake.run(&["key", "rotate-gateway", "--compromised"]);
    assert_eq!(finished.code, Some(2), "{finished:?}");
    assert!(finished.err.contains("--yes"), "{finished:?}");
}

#[test]
fn a_token_file_that_is_there_is_not_overwritten_and_one_without_a_token_does_not_stay() {
    let fake = Fake::start();
    let file = fake.file("token", "an older token");
    let add = |path: &str| {
        fake.run(&[
            "gateway",
            "add",
            "taken",
            "--dial-out",
            "--token-file",
            path,
        ])
    };
    let finished = add(file.to_str().unwrap());
    assert_eq!(finished.code, Some(1), "{finished:?}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "an older token");
    // The request fails after the file was made.
    let new = fake.folder.path().join("new-token");
    assert_eq!(add(new.to_str().unwrap()).code, Some(1));
    assert!(!new.exists());
}

#[test]
fn rules_of_a_mapping_are_read_before_anything_is_sent() {
    let fake = Fake::start();
    let file = fake.folder.path().join("rules");
    let file = file.to_str().unwrap();
    let set = ["resource", "set", "r"];
    for (content, code, said) in [
        ("account.mail {email}\n", 2, "line 1: expected CLASS.NAME"),
        ("# a comment\n\naccount.mail =\n", 2, "line 3: the template"),
        ("a.b=c\na.b = d\n", 2, "line 2: `a.b` has a rule already"),
        // The server of this test has no resources.
        ("account.mail = {email}\n", 1, ""),
        ("", 1, ""),
    ] {
        std::fs::write(file, content).unwrap();
        let finished = fake.run(&[&set[..], &["--map-file", file]].concat());
        assert_eq!(finished.code, Some(code), "{finished:?}");
        assert!(finished.err.contains(said), "{finished:?}");
    }
    let rule = ["--map", "account.mail={email}"];
    let finished = fake.run(&[&set[..], &rule].concat());
    assert_eq!(finished.code, Some(1), "{finished:?}");
    let finished = fake.run(&[&set[..], &rule, &rule].concat());
    assert_eq!(finished.code, Some(2), "{finished:?}");
}

#[test]
fn every_verb_of_the_manual_is_there() {
    let fake = Fake::start();
    for (noun, verbs) in [
        (
            "gateway",
            "add token set list show ping evict revoke restore",
        ),
        ("key", "list status rotate-gateway sync-gateways"),
        ("resource", "add set list show test schema suggest remove"),
        (
            "account",
            "create get update delete enable disable set-password rename authenticate list search import",
        ),
        ("group", "create get update delete list"),
        ("object", "get list search"),
        ("audit", "list verify export accept"),
    ] {
        for verb in verbs.split(' ') {
            let help = fake.run(&[noun, verb, "--help"]);
            assert_eq!(help.code, Some(0), "{help:?}");
            assert!(help.out.contains("--output"), "{noun} {verb}");
            // A secret never has a place among the arguments.
            for secret in ["<PASSWORD>", "<TOKEN>", "<SECRET>"] {
                assert!(!help.out.contains(secret), "{noun} {verb}");
            }
        }
    }
    for other in ["run", "status"] {
        assert_eq!(fake.run(&[other, "--help"]).code, Some(0));
    }
}
