//! What is left when one of the programs fails in the middle: nothing, or what the outcome names.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;

use portcullis_proto::gateway::v1 as wire;
use tempfile::TempDir;

use super::bench::*;
use crate::connectors::unix::{GUARD_DEFAULTS, Policy, Scheme, Unix};
use crate::connectors::{Configured, Connectors};
use crate::guard::GuardRails;
use crate::model::{FailureKind, Indeterminate, Outcome};
use crate::worker::Provisioner;

/// Puts programs of our own before the real ones.
pub(super) fn sabotage(bench: &mut Bench, programs: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, body) in programs {
        let path = folder.path().join(name);
        fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let policy = Policy::new("local", &bench.path(""));
    let mut unix = Unix::new(policy, Scheme::Sha512).unwrap();
    unix.tools = unix.tools.with_folder(folder.path());
    let configured = Configured {
        connector: Arc::new(unix),
        guard_rails: Arc::new(GuardRails::defaults("local", &GUARD_DEFAULTS)),
    };
    let connectors = Connectors::default().with("local", configured);
    bench.provisioner = Provisioner::new(&connectors, 64, Duration::from_secs(60));
    folder
}

fn with_password(name: &str) -> Verb {
    Verb::Create(wire::Create {
        password: secret("s3cret"),
        ..new_account(name)
    })
}

#[tokio::test]
async fn a_create_that_fails_late_leaves_nothing() {
    let Some(mut bench) = bench() else { return };
    let _programs = sabotage(
        &mut bench,
        &[("chpasswd", "echo 'chpasswd: no room' >&2; exit 1")],
    );
    let before = bench.files();
    let failure = bench.failed(with_password("ada")).await;
    assert_eq!(failure.kind, FailureKind::Unavailable);
    assert_eq!(failure.message, "chpasswd failed (exit code 1): no room");
    assert_eq!(bench.files(), before);
    assert!(!bench.path("home/ada").exists());
}

#[tokio::test]
async fn a_create_that_cannot_be_taken_back_says_what_remains() {
    let Some(mut bench) = bench() else { return };
    let _programs = sabotage(&mut bench, &[("chpasswd", "exit 1"), ("userdel", "exit 1")]);
    let Outcome::Indeterminate(Indeterminate { message, .. }) =
        bench.call(with_password("ada")).await
    else {
        panic!("determinate");
    };
    assert_eq!(
        message,
        "chpasswd failed (exit code 1): it did not say why; and of the account `ada`, half made before that, there remains the account itself (userdel failed (exit code 1): it did not say why): remove it before you try again"
    );
}

#[tokio::test]
async fn a_program_that_hangs_is_killed_and_what_it_did_taken_back() {
    let Some(mut bench) = bench() else { return };
    let hang = "/usr/sbin/useradd \"$@\"; exec sleep 600";
    let _programs = sabotage(&mut bench, &[("useradd", hang)]);
    let before = bench.files();
    let mut call = call(Verb::Create(new_account("ada")));
    call.timeout_ms = 2000;
    let Outcome::Failed(failure) = bench.provisioner.execute(call).await else {
        panic!("not failed");
    };
    assert_eq!(failure.kind, FailureKind::Unavailable);
    assert_eq!(
        failure.message,
        "useradd did not end in time and was killed"
    );
    assert_eq!(bench.files(), before);
}

#[tokio::test]
async fn a_failed_change_is_indeterminate_only_if_something_changed() {
    let Some(mut bench) = bench() else { return };
    bench.done(Verb::Create(new_account("ada"))).await;
    let programs = sabotage(&mut bench, &[("usermod", "exit 1")]);
    let change = || update(account("ada"), Replace, "full_name", vec![text("Ada")]);
    assert_eq!(bench.failed(change()).await.kind, FailureKind::Unavailable);
    drop(programs);
    let half = "/usr/sbin/usermod \"$@\"; exit 1";
    let _programs = sabotage(&mut bench, &[("usermod", half)]);
    let Outcome::Indeterminate(Indeterminate { message, .. }) = bench.call(change()).await else {
        panic!("determinate");
    };
    assert!(
        message.ends_with(
            "account `ada`, which has the comment that was asked for, has changed, perhaps in part: look at it before you try again"
        ),
        "{message}"
    );
}

#[tokio::test]
async fn a_rename_that_fails_half_way_is_taken_back() {
    let Some(mut bench) = bench() else { return };
    bench.done(Verb::Create(new_account("ada"))).await;
    let before = bench.files();
    let _programs = sabotage(&mut bench, &[("groupmod", "exit 10")]);
    bench.failed(rename(account("ada"), "countess")).await;
    assert_eq!(bench.files(), before);
}

#[tokio::test]
async fn a_group_whose_members_cannot_be_set_is_not_made() {
    let Some(mut bench) = bench() else { return };
    bench.done(Verb::Create(new_account("ada"))).await;
    let before = bench.files();
    let _programs = sabotage(&mut bench, &[("gpasswd", "exit 1")]);
    bench.failed(new_group("devs", &["ada"])).await;
    assert_eq!(bench.files(), before);
}

#[tokio::test]
async fn a_change_of_groups_that_stops_half_way_says_what_was_done_and_what_not() {
    let Some(mut bench) = bench() else { return };
    for name in ["ada", "bob"] {
        bench.done(Verb::Create(new_account(name))).await;
    }
    for name in ["club", "choir", "devs", "ops"] {
        bench.done(new_group(name, &[])).await;
    }
    let groups = |names: &[&str]| {
        let names = names.iter().map(|name| text(name)).collect();
        update(account("ada"), Replace, "groups", names)
    };
    bench.done(groups(&["club", "choir"])).await;
    let fails = "case \"$*\" in *-rG*) echo 'usermod: no room' >&2; exit 1;; esac; exec /usr/sbin/usermod \"$@\"";
    let _programs = sabotage(&mut bench, &[("usermod", fails)]);
    let Outcome::Indeterminate(Indeterminate { message, .. }) =
        bench.call(groups(&["devs", "ops", "choir"])).await
    else {
        panic!("determinate");
    };
    assert_eq!(
        message,
        "usermod failed (exit code 1): no room; account `ada`, which is in group `devs` now and is in group `ops` now, but is still in group `club`, has changed, perhaps in part: look at it before you try again"
    );
    // Where nothing was begun, nothing is said to be done.
    assert_eq!(
        bench.failed(groups(&["devs", "ops", "choir"])).await.kind,
        FailureKind::Unavailable
    );
}
