//! What is there already where a home is to be, and what a deletion may take.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};

use portcullis_proto::gateway::v1 as wire;

use super::bench::*;
use crate::model::FailureKind;

#[tokio::test]
async fn a_home_that_is_there_already_is_taken_only_by_the_stated_rule() {
    let Some(bench) = bench() else { return };
    bench.done(Verb::Create(new_account("other"))).await;
    let home = |name: &str| bench.path(&format!("home/{name}"));
    fs::create_dir_all(bench.path("srv/other")).unwrap();
    symlink("../srv/other", home("link")).unwrap();
    symlink("other", home("neighbour")).unwrap();
    symlink("/nowhere", home("dangling")).unwrap();
    fs::write(home("file"), "").unwrap();
    fs::create_dir(home("anna")).unwrap();
    fs::write(home("anna/note"), "note").unwrap();
    let gives_away = bench.gives_homes_away();
    if gives_away {
        chown(home("anna"), Some(1500), Some(1500)).unwrap();
    }
    let (accounts, notes) = (bench.files(), home("anna").metadata().unwrap().mode());
    for (name, said) in [
        ("link", "is a symbolic link to `../srv/other`"),
        ("neighbour", "is a symbolic link to `other`"),
        ("dangling", "is a symbolic link to `/nowhere`"),
        ("file", "it is no folder"),
        ("anna", "is there already and belongs to the uid"),
    ] {
        let failure = bench.failed(Verb::Create(new_account(name))).await;
        assert_eq!(failure.kind, FailureKind::Rejected, "{name}");
        assert!(failure.message.contains(said), "{}", failure.message);
        assert_eq!(bench.files(), accounts, "{name}");
        let moved = update(
            account("other"),
            Replace,
            "home",
            vec![text(&format!("/home/{name}"))],
        );
        let failure = bench.failed(moved).await;
        assert_eq!(failure.kind, FailureKind::Rejected, "{name}");
    }
    assert_eq!(home("anna").metadata().unwrap().mode(), notes);
    if gives_away {
        // Its own folder is taken as it is.
        bench
            .done(new_account_with("anna", "uid", vec![integer(1500)]))
            .await;
        assert_eq!(fs::read(home("anna/note")).unwrap(), b"note");
    }
}

#[tokio::test]
async fn an_empty_folder_of_root_becomes_a_whole_home() {
    let Some(bench) = bench() else { return };
    fs::create_dir_all(bench.path("etc/skel")).unwrap();
    fs::write(bench.path("etc/skel/.profile"), "").unwrap();
    let home = bench.path("home/ada");
    fs::create_dir(&home).unwrap();
    fs::set_permissions(&home, fs::Permissions::from_mode(0o755)).unwrap();
    // A create that fails leaves it as it was.
    let failing = new_account_with("ada", "uid", vec![integer(1)]);
    bench.failed(failing).await;
    assert_eq!(home.metadata().unwrap().mode() & 0o777, 0o755);
    let made = bench.object(Verb::Create(new_account("ada"))).await;
    assert!(home.join(".profile").exists());
    assert_eq!(home.metadata().unwrap().mode() & 0o777, 0o700);
    if bench.gives_homes_away() {
        assert_eq!(home.metadata().unwrap().uid().to_string(), made.id);
    }
}

#[tokio::test]
async fn two_spellings_of_one_home_are_one_home() {
    let Some(bench) = bench() else { return };
    for (name, home) in [
        ("slash", "/home/eve/"),
        ("twice", "/home//eve"),
        ("dot", "/home/./eve"),
        ("inner", "/home/eve/inner"),
    ] {
        let before = bench.file("etc/passwd");
        bench.append("etc/passwd", &format!("{name}:x:5000:100::{home}:/bin/sh"));
        let failure = bench.failed(Verb::Create(new_account("eve"))).await;
        assert_eq!(failure.kind, FailureKind::Rejected, "{home}");
        assert!(failure.message.contains(name), "{}", failure.message);
        fs::write(bench.path("etc/passwd"), before).unwrap();
    }
}

#[tokio::test]
async fn a_deletion_leaves_a_home_that_is_not_the_accounts_alone() {
    let Some(bench) = bench_with("remove_home = true", "") else {
        return;
    };
    if !bench.gives_homes_away() {
        eprintln!("skipped: in this user namespace a home cannot belong to its account");
        return;
    }
    let line = |name: &str, home: &str| {
        bench.append("etc/passwd", &format!("{name}:x:5000:100::{home}:/bin/sh"));
        bench.append("etc/shadow", &format!("{name}:*:19000:0:99999:7:::"));
    };
    for name in ["holder", "shared", "taken"] {
        bench.done(Verb::Create(new_account(name))).await;
    }
    line("inner", "/home/holder/inner");
    line("second", "/home/shared/");
    chown(bench.path("home/taken"), Some(4000), None).unwrap();
    for (name, said) in [
        ("holder", "is, or holds, the home of account `inner`"),
        ("shared", "is, or holds, the home of account `second`"),
        ("taken", "belongs to the uid 4000"),
    ] {
        let deleted = bench
            .done(Verb::Delete(wire::Delete {
                object: account(name),
            }))
            .await;
        let Some(wire::done::Detail::Report(report)) = deleted.detail else {
            panic!("{deleted:?}");
        };
        assert!(report.contains(said), "{report}");
        assert!(bench.path(&format!("home/{name}")).is_dir(), "{name}");
    }
}

/// Runs this test again in a mount namespace of its own, where it may mount; `true` there.
fn in_a_namespace(test: &str) -> bool {
    if std::env::var_os("PORTCULLIS_TEST_NAMESPACE").is_some() {
        return true;
    }
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root may mount");
        return false;
    }
    let program = std::env::current_exe().unwrap();
    let ran = std::process::Command::new("unshare")
        .args(["--mount", "--propagation", "private"])
        .arg(program)
        .args(["--exact", test, "--nocapture"])
        .env("PORTCULLIS_TEST_NAMESPACE", "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stdout) + String::from_utf8_lossy(&ran.stderr);
    if !ran.status.success() && said.contains("unshare") && said.contains("not permitted") {
        eprintln!("skipped: no mount namespace may be made here");
        return false;
    }
    assert!(ran.status.success() && said.contains("1 passed"), "{said}");
    false
}

fn mount(arguments: &[&str], at: &std::path::Path) {
    let mut mount = std::process::Command::new("mount");
    let status = mount.args(arguments).arg(at).status().unwrap();
    assert!(status.success(), "mount {arguments:?} {}", at.display());
}

#[tokio::test]
async fn nothing_that_is_mounted_in_a_home_is_taken_or_removed() {
    const NAME: &str =
        "connectors::unix::tests::homes::nothing_that_is_mounted_in_a_home_is_taken_or_removed";
    if !in_a_namespace(NAME) {
        return;
    }
    let Some(bench) = bench_with("remove_home = true", "") else {
        return;
    };
    bench.done(Verb::Create(new_account("ada"))).await;
    let inner = bench.path("home/ada/data");
    fs::create_dir(&inner).unwrap();
    mount(&["-t", "tmpfs", "tmpfs"], &inner);
    fs::write(inner.join("precious"), "").unwrap();
    let deleted = bench
        .done(Verb::Delete(wire::Delete {
            object: account("ada"),
        }))
        .await;
    let Some(wire::done::Detail::Report(report)) = deleted.detail else {
        panic!("{deleted:?}");
    };
    assert!(report.contains("something is mounted at"), "{report}");
    assert!(inner.join("precious").exists());

    let own = bench.path("home/bob");
    fs::create_dir(&own).unwrap();
    mount(&["-t", "tmpfs", "tmpfs"], &own);
    let failure = bench.failed(Verb::Create(new_account("bob"))).await;
    assert_eq!(failure.kind, FailureKind::Rejected);
    assert!(failure.message.contains("mounted"), "{}", failure.message);
}

#[tokio::test]
async fn on_a_read_only_etc_the_test_and_each_change_say_so() {
    const NAME: &str =
        "connectors::unix::tests::homes::on_a_read_only_etc_the_test_and_each_change_say_so";
    if !in_a_namespace(NAME) {
        return;
    }
    let Some(bench) = bench() else { return };
    let expires = vec![time("2999-01-01T00:00:00Z")];
    bench
        .done(new_account_with("ada", "expires", expires))
        .await;
    let etc = bench.path("etc");
    mount(&["--bind", &etc.display().to_string()], &etc);
    mount(&["-o", "remount,bind,ro"], &etc);
    for verb in [
        Verb::Test(wire::Test {}),
        Verb::Create(new_account("bob")),
        new_group("team", &[]),
        update(account("ada"), Replace, "full_name", vec![text("Ada")]),
        set_password(account("ada"), "secret"),
        Verb::Disable(wire::Disable {
            object: account("ada"),
        }),
        Verb::Delete(wire::Delete {
            object: account("ada"),
        }),
    ] {
        let shown = format!("{verb:?}");
        let failure = bench.failed(verb).await;
        assert_eq!(failure.kind, FailureKind::Rejected, "{shown} {failure:?}");
        assert!(failure.message.contains("mounted read-only"), "{failure:?}");
        assert!(failure.message.contains("etc"), "{failure:?}");
    }
}

#[tokio::test]
async fn an_account_file_that_cannot_be_written_is_named_by_the_test_and_each_change() {
    const NAME: &str = "connectors::unix::tests::homes::an_account_file_that_cannot_be_written_is_named_by_the_test_and_each_change";
    if !in_a_namespace(NAME) {
        return;
    }
    let Some(bench) = bench() else { return };
    bench.done(Verb::Create(new_account("ada"))).await;
    for file in ["etc/shadow", "etc/gshadow"] {
        let path = bench.path(file);
        mount(&["--bind", &path.display().to_string()], &path);
        mount(&["-o", "remount,bind,ro"], &path);
        for verb in [
            Verb::Test(wire::Test {}),
            Verb::Create(new_account("bob")),
            set_password(account("ada"), "secret"),
        ] {
            let shown = format!("{file} {verb:?}");
            // Passwords stand in shadow alone.
            if file == "etc/gshadow" && matches!(verb, Verb::SetPassword(_)) {
                continue;
            }
            let failure = bench.failed(verb).await;
            assert_eq!(failure.kind, FailureKind::Rejected, "{shown} {failure:?}");
            let said = format!("{file} cannot be written");
            assert!(failure.message.contains(&said), "{shown} {failure:?}");
        }
        let status = std::process::Command::new("umount").arg(&path).status();
        assert!(status.unwrap().success());
    }
}
