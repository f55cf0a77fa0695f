//! What a look says of each verb: before the change, after it, and where it stopped half-way.

use std::sync::Arc;
use std::time::Duration;

use portcullis_common::id::ServerId;
use portcullis_proto::gateway::v1 as wire;

use super::bench::*;
use super::rollback::sabotage;
use crate::connector::{Connector, Context};
use crate::model::{CallError, Evidence, Look, Outcome, Request, parse_call};

/// A call, checked.
fn request(verb: Verb) -> (Context, Request) {
    let call = wire::Call {
        call_id: "look".into(),
        connector: "local".into(),
        verb: Some(verb),
        ..wire::Call::default()
    };
    let call = parse_call(call, &[]).unwrap();
    let cx = Context {
        call: call.id,
        settings: call.settings,
        secret_settings: call.secret_settings,
        deadline: tokio::time::Instant::now() + Duration::from_secs(30),
        trace: Default::default(),
    };
    (cx, call.request)
}

async fn evidence(connector: &Arc<dyn Connector>, verb: Verb) -> Evidence {
    let (cx, request) = request(verb);
    let evidence = connector.evidence(&cx, &request).await.unwrap();
    assert!(evidence.fits());
    evidence
}

async fn look(connector: &Arc<dyn Connector>, verb: Verb, before: &Evidence) -> String {
    let (cx, request) = request(verb);
    match connector.look(&cx, &request, before).await.unwrap() {
        Look::Done(_) => "done".to_owned(),
        Look::NotBegun => "not begun".to_owned(),
        Look::Unclear(seen) => seen.join(", "),
    }
}

fn password(name: &str, password: &str) -> Verb {
    Verb::SetPassword(wire::SetPassword {
        object: account(name),
        password: secret(password),
    })
}

fn with_password(name: &str) -> Verb {
    Verb::Create(wire::Create {
        password: secret("Correct-Horse-41"),
        ..new_account(name)
    })
}

/// It may wait for a lock, and change something once it has got it.
#[tokio::test]
async fn a_program_that_outlived_its_gateway_is_waited_for() {
    let Some(bench) = bench() else { return };
    let connector = Arc::clone(&bench.connector);
    let before = evidence(&connector, with_password("ada")).await;
    let mut useradd = std::process::Command::new("sleep")
        .arg("600")
        .env("PORTCULLIS_ROOT", bench.path("etc").parent().unwrap())
        .spawn()
        .unwrap();
    let (mut cx, asked) = request(with_password("ada"));
    cx.deadline = tokio::time::Instant::now() + Duration::from_millis(300);
    let seen = connector.look(&cx, &asked, &before).await;
    assert!(matches!(seen, Err(CallError::Failed(_))), "{seen:?}");
    useradd.kill().unwrap();
    useradd.wait().unwrap();
    let seen = look(&connector, with_password("ada"), &before).await;
    assert_eq!(seen, "not begun");
}

#[tokio::test]
async fn every_verb_is_seen_to_be_done_or_not_begun() {
    let Some(bench) = bench() else { return };
    let connector = Arc::clone(&bench.connector);
    use wire::ModificationOperation::{Add, Replace};
    bench.done(new_group("devs", &[])).await;
    let expiry = time("2031-05-06T07:08:09Z");
    for verb in [
        with_password("ada"),
        password("ada", "Other-Battery-42"),
        update(account("ada"), Replace, "full_name", vec![text("Ada")]),
        update(account("ada"), Add, "groups", vec![text("devs")]),
        update(account("ada"), Replace, "expires", vec![expiry]),
        Verb::Disable(wire::Disable {
            object: account("ada"),
        }),
        Verb::Enable(wire::Enable {
            object: account("ada"),
        }),
        Verb::Rename(wire::Rename {
            object: account("ada"),
            new_name: "eve".into(),
        }),
        Verb::Delete(wire::Delete {
            object: account("eve"),
        }),
    ] {
        let before = evidence(&connector, verb.clone()).await;
        let seen = look(&connector, verb.clone(), &before).await;
        assert_eq!(seen, "not begun", "{verb:?}");
        bench.done(verb.clone()).await;
        let seen = look(&connector, verb.clone(), &before).await;
        assert_eq!(seen, "done", "{verb:?}");
    }
}

#[tokio::test]
async fn what_is_neither_as_before_nor_as_asked_is_unclear() {
    let Some(bench) = bench() else { return };
    let connector = Arc::clone(&bench.connector);
    let make = with_password("ada");
    let before = evidence(&connector, make.clone()).await;
    // As where the gateway ended between useradd and chpasswd.
    bench.done(Verb::Create(new_account("ada"))).await;
    let seen = look(&connector, make, &before).await;
    assert!(seen.contains("without the password"), "{seen}");

    let make = with_password("bob");
    let before = evidence(&connector, make.clone()).await;
    bench.done(new_group("bob", &[])).await;
    let seen = look(&connector, make, &before).await;
    assert!(seen.contains("but its group"), "{seen}");

    let set = password("ada", "Correct-Horse-41");
    let before = evidence(&connector, set.clone()).await;
    bench.done(password("ada", "Other-Battery-42")).await;
    let seen = look(&connector, set, &before).await;
    assert!(seen.contains("neither"), "{seen}");
    let set = password("nobody-there", "Correct-Horse-41");
    let before = evidence(&connector, set.clone()).await;
    assert_eq!(look(&connector, set, &before).await, "not begun");
}

#[tokio::test]
async fn a_uid_that_was_given_away_is_told_from_an_account_that_was_renamed() {
    let Some(bench) = bench() else { return };
    let connector = Arc::clone(&bench.connector);
    let remove_named = |name: &str| {
        Verb::Delete(wire::Delete {
            object: account(name),
        })
    };
    let remove = || remove_named("ada");
    let plain = || Verb::Create(new_account("ada"));
    let named = || new_account_with("ada", "full_name", vec![text("Ada")]);
    for (made, deleted, told) in [
        (with_password("ada"), true, "done"),
        (with_password("ada"), false, "its id is that of `eve` now"),
        (named(), true, "done"),
        (named(), false, "its id is that of `eve` now"),
        // Nothing but its home was its own.
        (plain(), true, "its id is that of `eve` now"),
    ] {
        bench.done(made.clone()).await;
        let before = evidence(&connector, remove()).await;
        let uid = bench.database().account("ada").unwrap().uid;
        if deleted {
            bench.done(remove()).await;
            std::fs::remove_dir_all(bench.path("home/ada")).unwrap();
            let eve = new_account_with("eve", "uid", vec![integer(uid.into())]);
            bench.done(eve).await;
        } else {
            bench.done(rename(account("ada"), "eve")).await;
        }
        let seen = look(&connector, remove(), &before).await;
        assert_eq!(seen, told, "{made:?}, deleted: {deleted}");
        bench.done(remove_named("eve")).await;
        for home in ["home/ada", "home/eve"] {
            let _ = std::fs::remove_dir_all(bench.path(home));
        }
    }
}

#[tokio::test]
async fn a_marked_account_is_of_the_call_that_made_it_alone() {
    let Some(bench) = bench_with("marker = true\n", "") else {
        return;
    };
    let connector = Arc::clone(&bench.connector);
    let make = || new_account_with("ada", "full_name", vec![text("Ada")]);
    let before = evidence(&connector, make()).await;
    bench.done(make()).await;
    // By another call, as it was asked for to the last byte.
    let seen = look(&connector, make(), &before).await;
    assert_eq!(seen, "not begun");
    let shown = bench.object(get(account("ada"))).await;
    assert_eq!(values(&shown, "gecos"), ["Ada"]);

    let (cx, request) = request(new_account_with("eve", "gecos", vec![text("Eve,4.2")]));
    let before = connector.evidence(&cx, &request).await.unwrap();
    let Request::Create(create) = request.clone() else {
        unreachable!();
    };
    connector.create(&cx, create).await.unwrap();
    let seen = connector.look(&cx, &request, &before).await.unwrap();
    assert!(matches!(seen, Look::Done(_)), "{seen:?}");
    let line = bench.file("etc/passwd");
    assert!(line.contains(":Eve,4.2,,,call=look:"), "{line}");
}

#[tokio::test]
async fn a_program_that_fails_after_its_work_leaves_no_doubt() {
    let Some(mut bench) = bench() else { return };
    bench.done(Verb::Create(new_account("ada"))).await;
    let half = "/usr/sbin/usermod \"$@\"; exit 1";
    let _programs = sabotage(&mut bench, &[("usermod", half)]);
    let call = wire::Call {
        call_id: "half".into(),
        connector: "local".into(),
        verb: Some(update(
            account("ada"),
            Replace,
            "full_name",
            vec![text("Ada")],
        )),
        ..wire::Call::default()
    };
    let server = ServerId::from_array([1; 16]);
    let outcome = bench.provisioner.execute_for(server, call).await;
    assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
}
