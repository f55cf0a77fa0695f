//! Which scripts of the folder can be used, and what is said of the others.

use super::*;

#[tokio::test]
async fn a_folder_or_script_that_others_can_change_costs_itself_alone() {
    let made = folder(&[("get", OBJECT), ("delete", "")]);
    let script = made.path().join("get");
    let mode =
        |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    // What a gateway that starts now answers, and shows of itself.
    let started = async |what: &str, kind: FailureKind, deletes: bool| {
        let connectors = connectors(made.path(), "").unwrap();
        let (_, configured) = connectors.iter().next().unwrap();
        let faults = configured.inspect().faults;
        assert!(
            faults.iter().any(|fault| fault.contains(what)),
            "{faults:?}"
        );
        let provisioner = Provisioner::new(&connectors, 64, Duration::from_secs(60));
        let (found, message) = failure(provisioner.execute(call(get("ada"))).await);
        assert_eq!(found, kind, "{message}");
        assert!(message.contains(what), "{what}: {message}");
        let outcome = provisioner.execute(call(delete("ada"))).await;
        assert_eq!(matches!(outcome, Outcome::Done(_)), deletes, "{outcome:?}");
        provisioner
    };
    let (refused, unavailable) = (FailureKind::Refused, FailureKind::Unavailable);
    for bad in [0o775, 0o757] {
        mode(&script, bad);
        started("`chmod go-w` it", refused, true).await;
    }
    mode(&script, 0o644);
    started("cannot be executed: `chmod u+x` it", unavailable, true).await;
    mode(&script, 0o755);
    // Only root can give a file away, and root of a user namespace has nobody to give it to.
    if std::os::unix::fs::chown(&script, Some(1234), None).is_ok() {
        started("belongs to the user with the id 1234", refused, true).await;
        std::os::unix::fs::chown(&script, Some(0), None).unwrap();
    }
    fs::remove_file(&script).unwrap();
    for target in ["/bin/true", "nowhere"] {
        symlink(target, &script).unwrap();
        let (what, kind) = match target {
            "nowhere" => ("cannot be used: No such file", unavailable),
            _ => ("is a link out of its folder", refused),
        };
        started(what, kind, true).await;
        fs::remove_file(&script).unwrap();
    }
    fs::create_dir(&script).unwrap();
    started("is no regular file", refused, true).await;
    fs::remove_dir(&script).unwrap();
    write(made.path(), "get", OBJECT);
    mode(made.path(), 0o777);
    let gateway = started("`chmod go-w` it", refused, false).await;
    mode(made.path(), 0o755);
    // Mended, and found by the next call.
    let outcome = gateway.execute(call(get("ada"))).await;
    assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
}

#[tokio::test]
async fn a_missing_folder_is_found_once_it_is_there() {
    let outer = folder(&[]);
    let inner = outer.path().join("inner");
    let provisioner = provisioner(&inner, "");
    let (kind, message) = failure(provisioner.execute(call(get("ada"))).await);
    assert_eq!(kind, FailureKind::Unavailable);
    assert!(
        message.contains("inner cannot be used: No such file"),
        "{message}"
    );
    fs::create_dir(&inner).unwrap();
    write(&inner, "get", OBJECT);
    let mode = |mode| fs::set_permissions(outer.path(), fs::Permissions::from_mode(mode)).unwrap();
    mode(0o777);
    let (kind, message) = failure(provisioner.execute(call(get("ada"))).await);
    assert_eq!(kind, FailureKind::Refused);
    assert!(
        message.contains("in the place of the scripts'"),
        "{message}"
    );
    mode(0o755);
    let outcome = provisioner.execute(call(get("ada"))).await;
    assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
}

#[tokio::test]
async fn why_a_script_does_not_start_is_said_before_and_when_it_is_called() {
    let made = folder(&[("get", OBJECT)]);
    let script = made.path().join("get");
    let connectors = connectors(made.path(), "").unwrap();
    let provisioner = Provisioner::new(&connectors, 64, Duration::from_secs(60));
    for (content, what) in [
        ("#!/bin/sh\r\ncat\r\n", "asks for `/bin/sh\\r`"),
        ("#!/opt/nope/python\n", "asks for `/opt/nope/python`"),
        ("\u{feff}#!/bin/sh\n", "byte order mark"),
        (
            "#!/etc/passwd\n",
            "`/etc/passwd` by its first line, which cannot be executed",
        ),
        ("#!/\n", "which is no regular file"),
    ] {
        fs::write(&script, content).unwrap();
        for verb in [get("ada"), Verb::Test(wire::Test::default())] {
            let (kind, message) = failure(provisioner.execute(call(verb)).await);
            assert_eq!(kind, FailureKind::Unavailable, "{message}");
            assert!(message.contains(what), "{what}: {message}");
        }
    }
    write(made.path(), "get.sh", "");
    write(made.path(), "get", OBJECT);
    let outcome = provisioner
        .execute(call(Verb::Test(wire::Test::default())))
        .await;
    assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
    // A gateway that starts now sees the other file.
    let connectors = self::connectors(made.path(), "").unwrap();
    let provisioner = Provisioner::new(&connectors, 64, Duration::from_secs(60));
    let outcome = provisioner
        .execute(call(Verb::Test(wire::Test::default())))
        .await;
    let shown = format!("{outcome:?}");
    assert!(shown.contains("get.sh is never run"), "{shown}");
}

#[tokio::test]
async fn a_script_made_unsafe_while_the_gateway_runs_is_not_run() {
    let made = folder(&[("delete", "touch ran")]);
    let provisioner = provisioner(made.path(), "");
    let script = made.path().join("delete");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o777)).unwrap();
    let (kind, message) = failure(provisioner.execute(call(delete("ada"))).await);
    assert_eq!(kind, FailureKind::Refused);
    assert!(
        message.starts_with("the script is not run, because it is not safe: "),
        "{message}"
    );
    fs::remove_file(&script).unwrap();
    symlink("/bin/true", &script).unwrap();
    let (kind, _) = failure(provisioner.execute(call(delete("ada"))).await);
    assert_eq!(kind, FailureKind::Refused);
    assert!(!made.path().join("ran").exists());
}

#[tokio::test]
async fn only_the_actions_in_the_folder_run() {
    let body = r#"cat >/dev/null; echo '{"results": {"rows": [3]}}'; exit 4"#;
    let made = folder(&[
        ("run-reindex", body),
        ("other", "touch ran"),
        ("run-..x", "touch ran"),
    ]);
    let provisioner = provisioner(made.path(), "");
    let run = |action: &str| {
        call(Verb::Run(wire::Run {
            action: action.into(),
            arguments: Vec::new(),
        }))
    };
    let outcome = provisioner.execute(run("reindex")).await;
    let Outcome::Done(crate::model::Done::Run(result)) = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!((result.exit_code, result.results.len()), (4, 1));
    let (kind, message) = failure(provisioner.execute(run("other")).await);
    assert_eq!(kind, FailureKind::NotFound);
    assert_eq!(message, "there is no action `other`; there are reindex");
    for bad in ["../other", "..x", "reindex\0", "/bin/sh", "a b"] {
        let (kind, _) = failure(provisioner.execute(run(bad)).await);
        assert_eq!(kind, FailureKind::Invalid, "{bad:?}");
    }
    assert!(!made.path().join("ran").exists());
}
