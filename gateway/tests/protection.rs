//! What is protected stays so by whatever way it is reached: every verb, every role of an
//! attribute, every relation, on two resources that have nothing in common but these.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test's own helpers fail the test"
)]

#[path = "protection/stub.rs"]
mod stub;
#[path = "protection/table.rs"]
mod table;
#[cfg(unix)]
#[path = "protection/unix.rs"]
mod unix;

use std::time::Duration;

use portcullis_gateway::connectors::Connectors;
use portcullis_gateway::model::{FailureKind, Outcome};
use portcullis_gateway::worker::Provisioner;
use portcullis_proto::gateway::v1 as wire;
use wire::call::Verb;

fn provisioner(connectors: &Connectors) -> Provisioner {
    Provisioner::new(connectors, 64, Duration::from_secs(60))
}

async fn call(provisioner: &Provisioner, verb: Verb) -> Outcome {
    let call = wire::Call {
        call_id: format!("t-{:016x}", rand::random::<u64>()),
        connector: "subject".to_owned(),
        verb: Some(verb),
        ..wire::Call::default()
    };
    provisioner.execute(call).await
}

fn refused(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Failed(failure) if failure.kind == FailureKind::Refused)
}

/// Rows that got another verdict, with what came out.
fn wrong(row: &str, expected: bool, outcome: &Outcome) -> Option<String> {
    let wrong = refused(outcome) != expected;
    wrong.then(|| format!("{row}: refused should be {expected}: {outcome:?}"))
}

#[tokio::test]
async fn every_way_has_its_verdict_where_attributes_are_known_by_their_roles_alone() {
    let provisioner = provisioner(&stub::connectors());
    let rows = table::rows(stub::ATTRIBUTES);
    let mut found = Vec::new();
    for row in rows {
        let outcome = call(&provisioner, row.verb).await;
        found.extend(wrong(&row.way, row.refused, &outcome));
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[cfg(unix)]
#[tokio::test]
async fn every_way_has_its_verdict_on_a_unix_host() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: shadow-utils change accounts for root only");
        return;
    }
    let root = unix::Root::new();
    let provisioner = provisioner(&root.connectors());
    let before = root.files();
    let mut found = Vec::new();
    for row in table::rows(unix::ATTRIBUTES) {
        let outcome = call(&provisioner, row.verb).await;
        found.extend(wrong(&row.way, row.refused, &outcome));
        let changed = root.files() != before;
        if changed && row.refused {
            found.push(format!("{}: something changed", row.way));
        }
        if changed {
            root.reset();
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

/// `etc/gshadow` makes members and administrators whom `etc/group` does not know.
#[cfg(unix)]
#[tokio::test]
async fn who_is_in_a_protected_group_by_gshadow_alone_is_protected() {
    use table::{By, account, delete, group, rename, set_password, update};

    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: shadow-utils change accounts for root only");
        return;
    }
    let root = unix::Root::new();
    let gshadow = root
        .read("etc/gshadow")
        .replace("sudo:!::alice,kate", "sudo:!:gina:alice,kate,liam")
        .replace("empty:!::", "empty:!:alice:")
        .replace("devs:!::jane", "devs:!::jane,bob");
    root.write("etc/gshadow", &gshadow);
    let provisioner = provisioner(&root.connectors());
    let before = root.files();
    for verb in [
        set_password(account(By::Name("gina"))),
        set_password(account(By::Name("liam"))),
        update(
            group("jane"),
            wire::ModificationOperation::Add,
            "members",
            &["gina"],
        ),
        // The own group of somebody who is protected by that alone.
        update(
            group("liam"),
            wire::ModificationOperation::Add,
            "members",
            &["jane"],
        ),
        delete(group("empty")),
        rename(group("devs"), "renamed"),
    ] {
        let outcome = call(&provisioner, verb).await;
        assert!(refused(&outcome), "{outcome:?}");
    }
    assert_eq!(root.files(), before);
    let outcome = call(&provisioner, set_password(account(By::Name("jane")))).await;
    assert!(!refused(&outcome), "{outcome:?}");
}
