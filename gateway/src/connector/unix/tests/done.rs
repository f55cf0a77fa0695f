//! No change is done because a program said so: what is there afterwards decides.

use portcullis_proto::gateway::v1 as wire;

use super::bench::*;
use super::rollback::sabotage;
use crate::model::{FailureKind, Indeterminate, Outcome};

fn enable(name: &str) -> Verb {
    Verb::Enable(wire::Enable {
        object: account(name),
    })
}

fn disable(name: &str) -> Verb {
    Verb::Disable(wire::Disable {
        object: account(name),
    })
}

fn set(name: &str, value: &str) -> Verb {
    update(account("ada"), Replace, name, vec![text(value)])
}

/// An account and groups to change.
async fn site() -> Option<Bench> {
    let bench = bench()?;
    bench.done(new_group("devs", &[])).await;
    bench.done(new_group("club", &[])).await;
    bench
        .done(Verb::Create(wire::Create {
            password: secret("s3cret"),
            attributes: vec![attribute("groups", vec![text("club")])],
            ..new_account("ada")
        }))
        .await;
    Some(bench)
}

#[tokio::test]
async fn an_account_expires_when_it_was_asked_for_whatever_the_hosts_default() {
    let Some(bench) = bench() else { return };
    std::fs::create_dir_all(bench.path("etc/default")).unwrap();
    std::fs::write(bench.path("etc/default/useradd"), "EXPIRE=2031-01-01\n").unwrap();
    bench.done(Verb::Create(new_account("ada"))).await;
    let expiry = |name: &str| {
        bench
            .shadow_line(name)
            .split(':')
            .nth(7)
            .unwrap()
            .to_owned()
    };
    assert_eq!(expiry("ada"), "");
    let day = time("2030-01-01T00:00:00Z");
    bench
        .done(new_account_with("ben", "expires", vec![day]))
        .await;
    assert_eq!(expiry("ben"), "21915");
}

#[tokio::test]
async fn enabling_takes_every_lock_sign() {
    let Some(bench) = site().await else { return };
    let line = bench.shadow_line("ada");
    for signs in ["!", "!!", "!!!!!"] {
        let locked = line.replacen("ada:", &format!("ada:{signs}"), 1);
        let shadow = bench.file("etc/shadow").replace(&line, &locked);
        std::fs::write(bench.path("etc/shadow"), shadow).unwrap();
        let enabled = bench.object(enable("ada")).await;
        assert_eq!(enabled.enabled, Some(true), "{signs}");
        assert_eq!(bench.shadow_line("ada"), line, "{signs}");
        bench.done(authenticate(account("ada"), "s3cret")).await;
    }
    // Somebody has left a lock of two signs on an account that is disabled here.
    bench.done(disable("ada")).await;
    let shadow = bench.file("etc/shadow").replace("ada:!", "ada:!!");
    std::fs::write(bench.path("etc/shadow"), shadow).unwrap();
    assert_eq!(bench.object(enable("ada")).await.enabled, Some(true));
    assert_eq!(bench.shadow_line("ada"), line);
}

/// Changes of each kind, with what an answer says that lacks them.
fn changes() -> Vec<(Verb, &'static str)> {
    vec![
        (set("shell", "/bin/sh"), "has the shell"),
        (set("home", "/home/ada2"), "has the home"),
        (set("full_name", "Ada"), "has another comment"),
        (set("primary_group", "devs"), "has the primary group `ada`"),
        (
            update(account("ada"), Add, "groups", vec![text("devs")]),
            "is not in group `devs`",
        ),
        (
            update(account("ada"), Remove, "groups", vec![text("club")]),
            "is still in group `club`",
        ),
        (
            update(
                account("ada"),
                Replace,
                "expires",
                vec![time("2999-01-01T00:00:00Z")],
            ),
            "has another expiry day",
        ),
        (enable("off"), "still cannot log in"),
        (disable("ada"), "can still log in"),
        (
            set_password(account("ada"), "other"),
            "has another password",
        ),
        (rename(account("ada"), "countess"), "is not there"),
        (rename(group("devs"), "crew"), "is not `crew`"),
        (
            update(group("devs"), Add, "members", vec![text("ada")]),
            "lacks the member `ada`",
        ),
        (
            Verb::Delete(wire::Delete {
                object: account("ada"),
            }),
            "is still there",
        ),
        (
            Verb::Delete(wire::Delete {
                object: group("devs"),
            }),
            "is still there",
        ),
    ]
}

#[tokio::test]
async fn a_program_that_does_nothing_and_says_nothing_has_failed() {
    let Some(mut bench) = site().await else {
        return;
    };
    bench.done(Verb::Create(new_account("off"))).await;
    bench.done(disable("off")).await;
    let before = bench.files();
    let idle = [
        "usermod", "groupmod", "groupdel", "userdel", "chpasswd", "gpasswd",
    ];
    let idle: Vec<_> = idle.into_iter().map(|tool| (tool, "exit 0")).collect();
    let _programs = sabotage(&mut bench, &idle);
    for (verb, said) in changes() {
        let failure = bench.failed(verb).await;
        assert_eq!(failure.kind, FailureKind::Rejected, "{failure:?}");
        assert!(failure.message.contains(said), "{}", failure.message);
        assert_eq!(bench.files(), before);
    }
}

#[tokio::test]
async fn a_change_that_came_out_otherwise_is_indeterminate_and_says_how() {
    let Some(mut bench) = site().await else {
        return;
    };
    bench.done(new_group("ops", &[])).await;
    // Does what it likes, and says that all is well.
    let usermod = "while [ $# -gt 3 ]; do shift; done; /usr/sbin/usermod --root \"$ROOT\" -s /usr/sbin/nologin -g ops -- ada";
    let usermod = usermod.replace("$ROOT", &bench.path("").display().to_string());
    let _programs = sabotage(&mut bench, &[("usermod", &usermod)]);
    for (verb, said) in [
        (
            set("primary_group", "devs"),
            "it has the primary group `ops`",
        ),
        (
            set("shell", "/bin/sh"),
            "it has the shell `/usr/sbin/nologin`",
        ),
    ] {
        match bench.call(verb).await {
            Outcome::Indeterminate(Indeterminate { message, .. }) => {
                assert!(message.contains("only in part"), "{message}");
                assert!(message.contains(said), "{message}");
            }
            // The second time there is nothing left to change.
            Outcome::Failed(failure) => assert!(failure.message.contains(said), "{failure:?}"),
            other @ Outcome::Done(_) => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn the_primary_group_is_that_of_the_prefix_whatever_the_host_calls_so() {
    let Some(bench) = site().await else { return };
    // The host's own numbers for two of the names are others.
    for line in [
        "plugdev:x:5000:",
        "secret:x:46:",
        "games:x:5001:",
        "own:x:5002:",
    ] {
        bench.append("etc/group", line);
    }
    for (name, gid) in [("plugdev", "5000"), ("games", "5001"), ("own", "5002")] {
        let now = bench.object(set("primary_group", name)).await;
        assert_eq!(values(&now, "primary_group"), [name]);
        assert_eq!(values(&now, "gid"), [gid]);
        let made = bench
            .object(new_account_with(
                &format!("of-{name}"),
                "primary_group",
                vec![text(name)],
            ))
            .await;
        assert_eq!(values(&made, "gid"), [gid]);
        let joined = bench
            .object(update(account("ada"), Add, "groups", vec![text(name)]))
            .await;
        assert!(values(&joined, "groups").contains(&name.to_owned()));
    }
}
