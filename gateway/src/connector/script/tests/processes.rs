//! What runs for a call, and what is left of it.

use super::*;

#[tokio::test]
async fn a_script_that_hangs_is_killed_with_its_children() {
    // The last has neither the group nor the mark of the script, but its parent.
    let hang = "echo $$ > pid; sleep 600 & echo $! > child; env -i setsid sleep 600 & echo $! > stray; wait";
    let folder = folder(&[("get", hang), ("delete", hang)]);
    let provisioner = provisioner(folder.path(), "timeout = \"1s\"");
    let begun = Instant::now();
    let (kind, message) = failure(provisioner.execute(call(get("ada"))).await);
    assert_eq!(kind, FailureKind::Unavailable);
    assert_eq!(message, "the script did not end in time and was killed");
    let message = indeterminate(provisioner.execute(call(delete("ada"))).await);
    assert_eq!(
        message,
        "the script did not end in time and was killed. Look at the object before you try again"
    );
    assert!(begun.elapsed() < Duration::from_secs(20));
    for file in ["pid", "child", "stray"] {
        assert_gone(&fs::read_to_string(folder.path().join(file)).unwrap());
    }
}

/// Waits for a killed process to be gone (or to await its reaper).
fn assert_gone(pid: &str) {
    let begun = Instant::now();
    loop {
        let stat = fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
        match stat {
            Err(_) => return,
            Ok(stat) if stat.contains(") Z ") => return,
            Ok(stat) => assert!(
                begun.elapsed() < Duration::from_secs(10),
                "still there: {stat}"
            ),
        }
        std::thread::yield_now();
    }
}

#[tokio::test]
async fn what_a_script_leaves_running_neither_holds_up_the_call_nor_survives() {
    let folder = folder(&[("delete", "sleep 600 & echo $! > child; echo '{}'")]);
    let provisioner = provisioner(folder.path(), "");
    let begun = Instant::now();
    let outcome = provisioner.execute(call(delete("ada"))).await;
    assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
    assert!(begun.elapsed() < Duration::from_secs(20));
    assert_gone(&fs::read_to_string(folder.path().join("child")).unwrap());
}

#[tokio::test]
async fn what_leaves_the_group_of_its_script_ends_with_it() {
    let daemon = "\
        setsid sh -c 'echo $$ > daemon; setsid sleep 600 & echo $! > deep; wait' &\n\
        until [ -s daemon ] && [ -s deep ]; do :; done\n\
        echo '{}'";
    let folder = folder(&[("delete", daemon)]);
    let provisioner = provisioner(folder.path(), "");
    // What another program started stays, also where it has a mark.
    let mut other = std::process::Command::new("sleep")
        .arg("600")
        .env("PORTCULLIS_RUN", "another")
        .spawn()
        .unwrap();
    let outcome = provisioner.execute(call(delete("ada"))).await;
    assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
    for file in ["daemon", "deep"] {
        assert_gone(&fs::read_to_string(folder.path().join(file)).unwrap());
    }
    assert!(other.try_wait().unwrap().is_none());
    other.kill().unwrap();
    other.wait().unwrap();
}

#[tokio::test]
async fn a_script_that_floods_is_killed() {
    let folder = folder(&[
        ("get", "exec yes"),
        ("delete", "exec yes"),
        ("disable", "exec yes >&2"),
    ]);
    let provisioner = provisioner(folder.path(), "max_output = 4096\ntimeout = \"20s\"");
    let begun = Instant::now();
    let (kind, message) = failure(provisioner.execute(call(get("ada"))).await);
    assert_eq!(kind, FailureKind::Unavailable);
    assert_eq!(
        message,
        "the script wrote more than 4096 bytes and was killed"
    );
    indeterminate(provisioner.execute(call(delete("ada"))).await);
    assert!(begun.elapsed() < Duration::from_secs(15));
    // Standard error is read and dropped: that flood lasts until the time is up, in bounded memory.
    let mut disable = call(Verb::Disable(wire::Disable {
        object: account("ada"),
    }));
    disable.timeout_ms = 300;
    indeterminate(provisioner.execute(disable).await);
}
