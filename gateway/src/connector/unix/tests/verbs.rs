//! Every verb on a scratch root, and what stands in the account files afterwards.

use std::time::{Duration, Instant};

use portcullis_proto::gateway::v1 as wire;

use super::bench::*;
use crate::model::FailureKind;

#[tokio::test]
async fn an_account_is_made_read_changed_and_removed() {
    let Some(bench) = bench() else { return };
    bench.done(new_group("devs", &[])).await;
    let made = bench
        .object(Verb::Create(wire::Create {
            attributes: vec![
                attribute("full_name", vec![text("Ada Lovelace")]),
                attribute("shell", vec![text("/bin/sh")]),
                attribute("groups", vec![text("devs")]),
                attribute("uid", vec![integer(4711)]),
            ],
            password: secret("correct horse"),
            ..new_account("ada")
        }))
        .await;
    assert_eq!((made.id.as_str(), made.name.as_str()), ("4711", "ada"));
    assert_eq!(made.enabled, Some(true));
    assert_eq!(values(&made, "groups"), ["devs"]);
    assert_eq!(values(&made, "primary_group"), ["ada"]);
    assert_eq!(values(&made, "home"), ["/home/ada"]);
    assert_eq!(values(&made, "has_password"), ["true"]);
    assert!(bench.path("home/ada").is_dir());
    bench
        .done(authenticate(account("ada"), "correct horse"))
        .await;

    let update = update(
        account_id(4711),
        Replace,
        "full_name",
        vec![text("Ada King")],
    );
    let updated = bench.object(update).await;
    assert_eq!(values(&updated, "gecos"), ["Ada King"]);
    assert_eq!(bench.object(get(account_id(4711))).await, updated);

    bench
        .done(Verb::Delete(wire::Delete {
            object: account("ada"),
        }))
        .await;
    let failure = bench.failed(get(account("ada"))).await;
    assert_eq!(failure.kind, FailureKind::NotFound);
    assert_eq!(failure.message, "there is no account `ada`");
    assert!(bench.path("home/ada").is_dir(), "`remove_home` is off");
}

#[tokio::test]
async fn a_name_or_id_that_is_taken_is_refused_and_nothing_is_left() {
    let Some(bench) = bench() else { return };
    bench
        .done(new_account_with("ada", "uid", vec![integer(2000)]))
        .await;
    bench.done(new_group("staff2", &[])).await;
    let before = bench.files();
    let taken = FailureKind::AlreadyExists;
    let rejected = FailureKind::Rejected;
    for (verb, kind, expected) in [
        (
            Verb::Create(new_account("ada")),
            taken,
            "there is an account `ada` already",
        ),
        (
            new_account_with("bob", "uid", vec![integer(2000)]),
            rejected,
            "useradd failed (exit code 4): UID 2000 is not unique",
        ),
        (
            new_group("staff2", &[]),
            taken,
            "there is a group `staff2` already",
        ),
        (
            rename(group("staff2"), "ada"),
            taken,
            "there is a group `ada` already",
        ),
        (
            rename(account("ada"), "staff2"),
            rejected,
            "the account's own group is renamed with it, and there is a group `staff2` already",
        ),
        (
            Verb::Create(new_account("staff2")),
            rejected,
            "there is a group `staff2`, so that the account cannot have one of its own: give it a `primary_group`",
        ),
    ] {
        let failure = bench.failed(verb).await;
        assert_eq!(failure.kind, kind, "{failure:?}");
        assert_eq!(failure.message, expected);
    }
    assert_eq!(bench.files(), before);
}

#[tokio::test]
async fn an_account_is_disabled_and_enabled_to_just_what_it_was() {
    let Some(bench) = bench() else { return };
    let expires = || attribute("expires", vec![time("2999-01-02T03:04:05Z")]);
    for (name, password, attributes) in [
        ("both", secret("s3cret"), vec![expires()]),
        ("hash", secret("s3cret"), vec![]),
        ("day", None, vec![expires()]),
        ("none", None, vec![]),
    ] {
        bench
            .done(Verb::Create(wire::Create {
                attributes,
                password: password.clone(),
                ..new_account(name)
            }))
            .await;
        let before = (
            bench.shadow_line(name),
            bench.object(get(account(name))).await,
        );
        for _ in 0..2 {
            let disable = wire::Disable {
                object: account(name),
            };
            let disabled = bench.object(Verb::Disable(disable)).await;
            assert_eq!(disabled.enabled, Some(false), "{name}");
            assert_eq!(values(&disabled, "expires"), values(&before.1, "expires"));
        }
        let fields = bench.shadow_line(name);
        let fields: Vec<_> = fields.split(':').collect();
        assert!(fields[1].starts_with('!') && fields[7] == "1", "{fields:?}");
        if password.is_some() {
            let failure = bench.failed(authenticate(account(name), "s3cret")).await;
            assert_eq!(failure.kind, FailureKind::AccountDisabled);
            let failure = bench.failed(authenticate(account(name), "guess")).await;
            assert_eq!(failure.kind, FailureKind::BadCredentials);
        }
        for _ in 0..2 {
            let enable = wire::Enable {
                object: account(name),
            };
            assert_eq!(bench.object(Verb::Enable(enable)).await, before.1);
        }
        assert_eq!(bench.shadow_line(name), before.0);
    }
    assert_eq!(bench.file("etc/portcullis-expiry"), "");
}

#[tokio::test]
async fn a_new_password_or_expiry_day_does_not_let_a_disabled_account_in() {
    let Some(bench) = bench() else { return };
    bench
        .done(Verb::Create(wire::Create {
            enabled: Some(false),
            password: secret("first"),
            ..new_account("ada")
        }))
        .await;
    bench.done(set_password(account("ada"), "second")).await;
    let later = update(
        account("ada"),
        Replace,
        "expires",
        vec![time("2999-01-01T00:00:00Z")],
    );
    let updated = bench.object(later).await;
    assert_eq!(updated.enabled, Some(false));
    assert_eq!(values(&updated, "expires"), ["2999-01-01T00:00:00Z"]);
    assert!(bench.shadow_line("ada").contains(":!$6$"));
    assert!(bench.shadow_line("ada").ends_with("::1:"));
    bench.failed(authenticate(account("ada"), "second")).await;

    let enable = wire::Enable {
        object: account("ada"),
    };
    let enabled = bench.object(Verb::Enable(enable)).await;
    assert_eq!(values(&enabled, "expires"), ["2999-01-01T00:00:00Z"]);
    bench.done(authenticate(account("ada"), "second")).await;
    bench.failed(authenticate(account("ada"), "first")).await;
}

#[tokio::test]
async fn an_expired_account_says_why_it_cannot_be_enabled() {
    let Some(bench) = bench() else { return };
    bench
        .done(new_account_with(
            "ada",
            "expires",
            vec![time("2020-01-01T00:00:00Z")],
        ))
        .await;
    let enable = || {
        Verb::Enable(wire::Enable {
            object: account("ada"),
        })
    };
    let failure = bench.failed(enable()).await;
    assert_eq!(failure.kind, FailureKind::Rejected);
    assert_eq!(
        failure.message,
        "account `ada` expired: give it a later `expires`, or none, before you enable it"
    );
    bench
        .done(update(account("ada"), Replace, "expires", vec![]))
        .await;
    assert_eq!(bench.object(enable()).await.enabled, Some(true));
}

#[tokio::test]
async fn unknown_wrong_and_missing_passwords_get_one_answer() {
    let Some(bench) = bench() else { return };
    bench.done(Verb::Create(new_account("ada"))).await;
    bench
        .done(Verb::Create(wire::Create {
            password: secret("right"),
            ..new_account("bob")
        }))
        .await;
    let mut answers = Vec::new();
    for object in [
        account("ada"),
        account("bob"),
        account("eve"),
        account_id(9999),
    ] {
        answers.push(bench.failed(authenticate(object, "wrong")).await);
    }
    assert_eq!(answers[0].kind, FailureKind::BadCredentials);
    assert!(
        answers.iter().all(|answer| *answer == answers[0]),
        "{answers:?}"
    );
}

#[tokio::test]
async fn values_are_added_and_removed_and_what_is_there_stays() {
    let Some(bench) = bench() else { return };
    for name in ["a", "b", "c"] {
        bench.done(new_group(name, &[])).await;
    }
    bench
        .done(new_account_with(
            "ada",
            "groups",
            vec![text("a"), text("b")],
        ))
        .await;
    let groups = |operation, names: &[&str]| {
        let names = names.iter().map(|name| text(name)).collect();
        update(account("ada"), operation, "groups", names)
    };
    let added = bench.object(groups(Add, &["b", "c"])).await;
    assert_eq!(values(&added, "groups"), ["a", "b", "c"]);
    let removed = bench.object(groups(Remove, &["a", "nothing"])).await;
    assert_eq!(values(&removed, "groups"), ["b", "c"]);
    let none = bench.object(groups(Replace, &[])).await;
    assert!(values(&none, "groups").is_empty());

    bench.done(Verb::Create(new_account("bob"))).await;
    let members = |operation, names: &[&str]| {
        let names = names.iter().map(|name| text(name)).collect();
        update(group("a"), operation, "members", names)
    };
    let both = bench.object(members(Add, &["bob", "ada"])).await;
    assert_eq!(values(&both, "members"), ["ada", "bob"]);
    let one = bench.object(members(Remove, &["bob"])).await;
    assert_eq!(values(&one, "members"), ["ada"]);
    let failure = bench.failed(members(Add, &["eve"])).await;
    assert_eq!(
        failure.message,
        "there is no account `eve` that could be a member"
    );
    assert!(values(&bench.object(members(Replace, &[])).await, "members").is_empty());
}

#[tokio::test]
async fn a_renamed_account_keeps_id_password_day_and_its_own_group() {
    let Some(bench) = bench() else { return };
    let made = bench
        .object(Verb::Create(wire::Create {
            attributes: vec![attribute("expires", vec![time("2999-01-01T00:00:00Z")])],
            password: secret("pw"),
            ..new_account("ada")
        }))
        .await;
    bench
        .done(Verb::Disable(wire::Disable {
            object: account("ada"),
        }))
        .await;
    let renamed = bench.object(rename(account("ada"), "countess")).await;
    assert_eq!(
        (renamed.id.as_str(), renamed.name.as_str()),
        (made.id.as_str(), "countess")
    );
    assert_eq!(values(&renamed, "primary_group"), ["countess"]);
    let enable = wire::Enable {
        object: account_id(&made.id),
    };
    let enabled = bench.object(Verb::Enable(enable)).await;
    assert_eq!(values(&enabled, "expires"), ["2999-01-01T00:00:00Z"]);
    bench.done(authenticate(account("countess"), "pw")).await;
    // The name is free again; the home is not, for it stayed where it was.
    bench
        .done(new_account_with("ada", "home", vec![text("/home/ada2")]))
        .await;
}

#[tokio::test]
async fn a_deleted_account_takes_its_home_along_only_where_asked() {
    let Some(bench) = bench_with("remove_home = true", "") else {
        return;
    };
    bench.done(Verb::Create(new_account("ada"))).await;
    assert!(bench.path("home/ada/").is_dir());
    if !bench.gives_homes_away() {
        eprintln!(
            "skipped: in this user namespace a home cannot belong to its account, and userdel leaves it"
        );
        return;
    }
    bench
        .done(Verb::Delete(wire::Delete {
            object: account("ada"),
        }))
        .await;
    assert!(!bench.path("home/ada").exists());

    // A home that is a link, or lies elsewhere, is not followed.
    bench.done(Verb::Create(new_account("bob"))).await;
    let outside = bench.path("outside");
    std::fs::rename(bench.path("home/bob"), &outside).unwrap();
    std::os::unix::fs::symlink(&outside, bench.path("home/bob")).unwrap();
    let done = bench
        .done(Verb::Delete(wire::Delete {
            object: account("bob"),
        }))
        .await;
    let Some(wire::done::Detail::Report(report)) = done.detail else {
        panic!("{done:?}");
    };
    assert!(report.contains("`/home/bob` was left"), "{report}");
    assert!(outside.is_dir());
}

#[tokio::test]
async fn fifty_creates_at_once_all_succeed() {
    let Some(bench) = bench() else { return };
    let calls = (0..50).map(|n| {
        let provisioner = bench.provisioner.clone();
        tokio::spawn(async move {
            provisioner
                .execute(call(Verb::Create(new_account(&format!("user{n}")))))
                .await
        })
    });
    for task in calls.collect::<Vec<_>>() {
        let outcome = task.await.unwrap();
        assert!(
            matches!(outcome, crate::model::Outcome::Done(_)),
            "{outcome:?}"
        );
    }
    assert_eq!(bench.database().accounts.len(), 3 + 50);
}

#[tokio::test]
async fn pages_neither_skip_nor_repeat_though_accounts_come_and_go() {
    let Some(bench) = bench() else { return };
    for n in 1..=9 {
        let uid = vec![integer(2000 + n * 10)];
        bench
            .done(new_account_with(&format!("user{n}"), "uid", uid))
            .await;
    }
    let page = |cookie| wire::Search {
        object_class: wire::ObjectClass::Account.into(),
        filter: Some(wire::Filter {
            kind: Some(wire::filter::Kind::Comparison(wire::Comparison {
                operation: wire::ComparisonOperation::StartsWith.into(),
                attribute: "__name__".into(),
                value: Some(text("user")),
            })),
        }),
        page_size: 3,
        cookie,
        ..wire::Search::default()
    };
    let (first, cookie) = bench.search(page(Vec::new())).await;
    assert_eq!(first, ["user1", "user2", "user3"]);
    // The last one handed out goes, one comes before it, and one behind.
    bench
        .done(Verb::Delete(wire::Delete {
            object: account("user3"),
        }))
        .await;
    bench
        .done(new_account_with("user0", "uid", vec![integer(2005)]))
        .await;
    bench
        .done(new_account_with("user45", "uid", vec![integer(2045)]))
        .await;
    let (second, cookie) = bench.search(page(cookie)).await;
    assert_eq!(second, ["user4", "user45", "user5"]);
    let (third, cookie) = bench.search(page(cookie)).await;
    assert_eq!(third, ["user6", "user7", "user8"]);
    let (fourth, cookie) = bench.search(page(cookie)).await;
    assert_eq!(fourth, ["user9"]);
    assert!(cookie.is_empty());
}

#[tokio::test]
async fn a_foreign_cookie_is_refused() {
    let Some(bench) = bench() else { return };
    let search = wire::Search {
        object_class: wire::ObjectClass::Account.into(),
        cookie: b"\x01\x01\0\0\x03\xe8root".to_vec(),
        ..wire::Search::default()
    };
    let mut events = bench.provisioner.search(call(Verb::Search(search)));
    let Some(crate::model::SearchEvent::End(_, Some(failure))) = events.recv().await else {
        panic!("taken");
    };
    assert_eq!(failure.kind, FailureKind::Invalid);
    assert!(failure.message.contains("start the search anew"));
}

#[tokio::test]
async fn what_the_connector_does_not_have_is_named() {
    let Some(bench) = bench() else { return };
    let failure = bench
        .failed(new_account_with("ada", "mail", vec![text("x")]))
        .await;
    assert_eq!(failure.kind, FailureKind::Unsupported);
    assert!(
        failure
            .message
            .starts_with("accounts have no attribute `mail`; they have ")
    );
    let failure = bench
        .failed(new_account_with("ada", "uid", vec![text("5000")]))
        .await;
    assert_eq!(
        failure.message,
        "attribute `uid` is of type integer, not text"
    );
    let run = Verb::Run(wire::Run {
        action: "reboot".into(),
        arguments: Vec::new(),
    });
    assert_eq!(
        bench.failed(run).await.message,
        "there is no action `reboot`"
    );
    let failure = bench.failed(Verb::Create(new_account("-rf"))).await;
    assert_eq!(failure.kind, FailureKind::Invalid);
}

#[tokio::test]
async fn a_day_beyond_what_a_time_can_hold_means_never() {
    let Some(bench) = bench() else { return };
    bench.done(Verb::Create(new_account("ada"))).await;
    let shadow = bench.file("etc/shadow");
    let own = bench.shadow_line("ada");
    let far = "ada:!:2932897:0:99999:7::2932897:";
    std::fs::write(bench.path("etc/shadow"), shadow.replace(&own, far)).unwrap();
    let ada = bench.object(get(account("ada"))).await;
    assert_eq!(ada.enabled, Some(true));
    assert!(values(&ada, "expires").is_empty() && values(&ada, "last_change").is_empty());
    let last = far.replace("2932897", "2932896");
    std::fs::write(bench.path("etc/shadow"), shadow.replace(&own, &last)).unwrap();
    let ada = bench.object(get(account("ada"))).await;
    assert_eq!(values(&ada, "expires"), ["9999-12-31T00:00:00Z"]);
}

#[tokio::test]
async fn a_search_that_finds_nothing_lets_others_work() {
    let Some(bench) = bench() else { return };
    let (mut passwd, mut group) = (bench.file("etc/passwd"), bench.file("etc/group"));
    for id in 2000..22_000 {
        passwd += &format!("u{id}:x:{id}:{id}::/home/u{id}:/bin/sh\n");
        group += &format!("u{id}:x:{id}:u{id},u2000\n");
    }
    std::fs::write(bench.path("etc/passwd"), passwd).unwrap();
    std::fs::write(bench.path("etc/group"), group).unwrap();
    let nowhere = wire::Comparison {
        operation: wire::ComparisonOperation::Equals.into(),
        attribute: "groups".into(),
        value: Some(text("nowhere")),
    };
    let mut search = call(Verb::Search(wire::Search {
        object_class: wire::ObjectClass::Account.into(),
        filter: Some(wire::Filter {
            kind: Some(wire::filter::Kind::Comparison(nowhere)),
        }),
        ..wire::Search::default()
    }));
    search.timeout_ms = 60_000;
    let mut events = bench.provisioner.search(search);
    let mut longest = Duration::ZERO;
    let waiting = async {
        let mut last = Instant::now();
        loop {
            tokio::task::yield_now().await;
            longest = longest.max(last.elapsed());
            last = Instant::now();
        }
    };
    let end = tokio::select! {
        end = events.recv() => end,
        () = waiting => None,
    };
    let Some(crate::model::SearchEvent::End(_, None)) = end else {
        panic!("{end:?}");
    };
    // There is one thread only: others have a turn where the search steps back. Without pauses,
    // that took ten seconds.
    assert!(longest < Duration::from_secs(1), "{longest:?}");
}
