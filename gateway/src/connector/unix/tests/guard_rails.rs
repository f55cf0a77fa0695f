//! Each guard rail, with the ways in which a stolen server would try to get round it.

use portcullis_proto::gateway::v1 as wire;

use super::bench::*;

async fn with_ada(rails: &str) -> Option<Bench> {
    let bench = bench_with("", rails)?;
    bench.done(Verb::Create(new_account("ada"))).await;
    Some(bench)
}

fn texts(names: &[&str]) -> Vec<wire::Value> {
    names.iter().map(|name| text(name)).collect()
}

#[tokio::test]
async fn root_cannot_be_touched_by_name_or_id() {
    let Some(bench) = bench() else { return };
    for object in [
        || account("root"),
        || account_id(0),
        || account("nobody"),
        || account_id(65534),
        || account_id(1),
    ] {
        for verb in [
            set_password(object(), "owned"),
            authenticate(object(), "guess"),
            update(object(), Replace, "shell", texts(&["/bin/sh"])),
            rename(object(), "toor"),
            Verb::Delete(wire::Delete { object: object() }),
            Verb::Disable(wire::Disable { object: object() }),
            Verb::Enable(wire::Enable { object: object() }),
        ] {
            let message = bench.refused(verb).await;
            assert!(
                message.ends_with(
                    "(see [connectors.local.guard_rails] in the configuration of the gateway)"
                ),
                "{message}"
            );
        }
    }
    assert_eq!(
        bench.refused(set_password(account_id(0), "owned")).await,
        "the gateway's guard rail `protected_ids_below` forbids this: account `0` has the id 0, and those below 1000 are protected (see [connectors.local.guard_rails] in the configuration of the gateway)"
    );
}

#[tokio::test]
async fn another_name_for_uid_0_is_protected_too() {
    let Some(bench) = bench() else { return };
    let passwd = bench.file("etc/passwd") + "toor:x:0:0::/root:/bin/sh\n";
    std::fs::write(bench.path("etc/passwd"), passwd).unwrap();
    let message = bench.refused(set_password(account("toor"), "owned")).await;
    assert!(message.contains("`toor` has the id 0"), "{message}");
}

#[tokio::test]
async fn nobody_becomes_root_by_name_or_number() {
    let Some(bench) = with_ada("").await else {
        return;
    };
    bench
        .refused(new_account_with("eve", "uid", vec![integer(0)]))
        .await;
    bench
        .refused(new_account_with("eve", "uid", vec![integer(999)]))
        .await;
    bench.refused(Verb::Create(new_account("root"))).await;
    bench.refused(rename(account("ada"), "root")).await;
    let before = bench.files();
    for uid in [
        -1,
        65_534,
        65_535,
        i64::from(u32::MAX),
        i64::from(u32::MAX) + 1,
    ] {
        bench
            .failed(new_account_with("eve", "uid", vec![integer(uid)]))
            .await;
    }
    bench
        .failed(update(account("ada"), Replace, "uid", vec![integer(0)]))
        .await;
    bench
        .failed(update(account("ada"), Replace, "uid", vec![integer(5000)]))
        .await;
    assert_eq!(bench.files(), before);
}

#[tokio::test]
async fn membership_of_a_privileged_group_is_not_given_by_any_way() {
    let Some(bench) = with_ada("").await else {
        return;
    };
    for name in ["sudo", "root", "adm", "shadow", "users"] {
        bench
            .refused(new_account_with("eve", "groups", texts(&[name])))
            .await;
        bench
            .refused(new_account_with("eve", "primary_group", texts(&[name])))
            .await;
        bench
            .refused(update(account("ada"), Add, "groups", texts(&[name])))
            .await;
        bench
            .refused(update(
                account("ada"),
                Replace,
                "groups",
                texts(&["ada", name]),
            ))
            .await;
        bench
            .refused(update(
                account("ada"),
                Replace,
                "primary_group",
                texts(&[name]),
            ))
            .await;
        bench
            .refused(update(group(name), Add, "members", texts(&["ada"])))
            .await;
    }
    bench
        .refused(update(group_id(27), Replace, "members", texts(&["ada"])))
        .await;
    // A number is no group's name here, though the programs would take it for one.
    let before = bench.files();
    for name in ["27", "0", "sudo,users", "ada,sudo"] {
        bench
            .failed(update(account("ada"), Add, "groups", texts(&[name])))
            .await;
        bench
            .failed(update(
                account("ada"),
                Replace,
                "primary_group",
                texts(&[name]),
            ))
            .await;
    }
    assert_eq!(bench.files(), before);
}

#[tokio::test]
async fn a_privileged_group_is_not_made_taken_over_or_emptied() {
    let Some(bench) = with_ada("").await else {
        return;
    };
    bench.done(new_group("devs", &["ada"])).await;
    // `docker` and `wheel` are not there yet: who makes them, rules them.
    for name in ["docker", "wheel", "DOCKER"] {
        bench.refused(new_group(name, &["ada"])).await;
        bench.refused(Verb::Create(new_account(name))).await;
        bench.refused(rename(group("devs"), name)).await;
        bench.refused(rename(account("ada"), name)).await;
    }
    bench
        .refused(Verb::Delete(wire::Delete {
            object: group("sudo"),
        }))
        .await;
    bench.refused(rename(group("sudo"), "harmless")).await;
    bench.refused(rename(group_id(0), "harmless")).await;
    let gid = wire::Create {
        object_class: wire::ObjectClass::Group.into(),
        name: "harmless".into(),
        attributes: vec![attribute("gid", vec![integer(42)])],
        ..wire::Create::default()
    };
    bench.refused(Verb::Create(gid)).await;
    bench
        .refused(update(group("devs"), Add, "members", texts(&["root"])))
        .await;
    bench.refused(new_group("others", &["nobody"])).await;
}

/// Puts `ada` into `sudo` by the host's own hand.
fn make_ada_an_administrator(bench: &Bench) {
    for file in ["etc/group", "etc/gshadow"] {
        let text = bench
            .file(file)
            .replace("sudo:x:27:", "sudo:x:27:ada")
            .replace("sudo:*::", "sudo:*::ada");
        std::fs::write(bench.path(file), text).unwrap();
    }
}

#[tokio::test]
async fn who_is_in_a_protected_group_is_protected() {
    let Some(bench) = with_ada("").await else {
        return;
    };
    bench.done(Verb::Create(new_account("eve"))).await;
    make_ada_an_administrator(&bench);
    let uid = values(&bench.object(get(account("ada"))).await, "uid").remove(0);
    for object in [|_: &str| account("ada"), |uid: &str| account_id(uid)] {
        let object = || object(&uid);
        for verb in [
            set_password(object(), "owned"),
            authenticate(object(), "guess"),
            update(object(), Remove, "groups", texts(&["sudo"])),
            update(object(), Replace, "groups", vec![]),
            update(object(), Replace, "home", texts(&["/home/eve2"])),
            update(object(), Replace, "full_name", texts(&["Ada"])),
            rename(object(), "eve2"),
            Verb::Delete(wire::Delete { object: object() }),
            Verb::Disable(wire::Disable { object: object() }),
            Verb::Enable(wire::Enable { object: object() }),
        ] {
            let message = bench.refused(verb).await;
            assert!(
                message.contains("`ada` is in the protected group `sudo`"),
                "{message}"
            );
        }
    }
    // Her own group opens her files where the umask is 002.
    for verb in [
        update(account("eve"), Add, "groups", texts(&["ada"])),
        update(account("eve"), Replace, "primary_group", texts(&["ada"])),
        update(group("ada"), Add, "members", texts(&["eve"])),
        new_account_with("mallory", "groups", texts(&["ada"])),
    ] {
        bench.refused(verb).await;
    }
    bench.done(set_password(account("eve"), "her own")).await;
}

#[tokio::test]
async fn a_name_that_a_group_still_lists_is_not_taken() {
    let Some(bench) = with_ada("").await else {
        return;
    };
    let text = bench
        .file("etc/group")
        .replace("sudo:x:27:", "sudo:x:27:bob");
    std::fs::write(bench.path("etc/group"), text).unwrap();
    let before = bench.files();
    for verb in [
        Verb::Create(new_account("bob")),
        rename(account("ada"), "bob"),
    ] {
        let failure = bench.failed(verb).await;
        assert_eq!(
            failure.message,
            "group `sudo` lists a member `bob` already, although there is no such account: take it out of that group first"
        );
    }
    assert_eq!(bench.files(), before);
}

#[tokio::test]
async fn a_group_named_by_a_number_is_not_taken_for_the_group_with_that_id() {
    let Some(bench) = with_ada("").await else {
        return;
    };
    let text = bench.file("etc/group") + "27:x:1600:\n0:x:1601:\n";
    std::fs::write(bench.path("etc/group"), text).unwrap();
    let before = bench.files();
    for name in ["27", "0"] {
        for verb in [
            update(account("ada"), Add, "groups", texts(&[name])),
            update(account("ada"), Replace, "primary_group", texts(&[name])),
            new_account_with("eve", "groups", texts(&[name])),
            new_account_with("eve", "primary_group", texts(&[name])),
        ] {
            let failure = bench.failed(verb).await;
            assert!(failure.message.contains("is a number"), "{failure:?}");
        }
    }
    assert_eq!(bench.files(), before);
}

#[tokio::test]
async fn a_group_opened_by_name_protects_nobody() {
    let Some(bench) = with_ada("allowed_groups = [\"sudo\", \"*\"]").await else {
        return;
    };
    make_ada_an_administrator(&bench);
    bench.done(set_password(account("ada"), "new")).await;
    bench
        .done(update(account("ada"), Remove, "groups", texts(&["sudo"])))
        .await;
}

#[tokio::test]
async fn groups_that_rule_by_name_are_not_made() {
    let Some(bench) = with_ada("").await else {
        return;
    };
    for name in ["google-sudoers", "sudoers", "microk8s"] {
        bench.refused(new_group(name, &["ada"])).await;
    }
}

#[tokio::test]
async fn allowed_groups_opens_what_it_names_and_nothing_else() {
    let Some(bench) = with_ada("allowed_groups = [\"sudo\", \"team-*\", \"*adow\"]").await else {
        return;
    };
    bench.done(new_group("team-a", &[])).await;
    bench.done(new_group("other", &[])).await;
    bench
        .done(update(account("ada"), Add, "groups", texts(&["team-a"])))
        .await;
    bench
        .done(update(account("ada"), Add, "groups", texts(&["sudo"])))
        .await;
    // A pattern opens no protected group, and the list closes those that it does not name.
    let message = bench
        .refused(update(account("ada"), Add, "groups", texts(&["shadow"])))
        .await;
    assert!(message.contains("`protected_groups`"), "{message}");
    let message = bench
        .refused(update(account("ada"), Add, "groups", texts(&["other"])))
        .await;
    assert!(
        message.contains("`allowed_groups` forbids this: group `other` is not among them"),
        "{message}"
    );
    bench
        .refused(update(group("other"), Add, "members", texts(&["ada"])))
        .await;
    // To give membership of `sudo` is not to change the group itself.
    bench
        .refused(Verb::Delete(wire::Delete {
            object: group("sudo"),
        }))
        .await;
}

#[tokio::test]
async fn protected_accounts_are_known_by_every_name() {
    let Some(bench) = with_ada("protected_accounts = [\"svc-*\", \"ceo\"]").await else {
        return;
    };
    let passwd = bench.file("etc/passwd") + "svc-backup:x:3000:3000::/home/svc:/bin/sh\n";
    std::fs::write(bench.path("etc/passwd"), passwd).unwrap();
    bench
        .refused(set_password(account("svc-backup"), "owned"))
        .await;
    let message = bench.refused(set_password(account_id(3000), "owned")).await;
    assert!(
        message.contains("the name `svc-backup` is protected by `svc-*`"),
        "{message}"
    );
    bench.refused(Verb::Create(new_account("CEO"))).await;
    bench.refused(rename(account("ada"), "svc-new")).await;
    bench.refused(set_password(account("root"), "owned")).await;
}

#[tokio::test]
async fn homes_are_those_that_the_host_offers() {
    let Some(bench) = with_ada("").await else {
        return;
    };
    for home in [
        "/root",
        "/",
        "/home",
        "/home/",
        "/home/../root",
        "/home/ada/inner",
        "home/x",
        "/home/.ssh",
        "//home/x",
        "/home/x:y",
        "/home//x",
        "/etc",
    ] {
        bench
            .refused(new_account_with("eve", "home", texts(&[home])))
            .await;
        bench
            .refused(update(account("ada"), Replace, "home", texts(&[home])))
            .await;
    }
    let failure = bench
        .failed(new_account_with("eve", "home", texts(&["/home/ada"])))
        .await;
    assert_eq!(
        failure.message,
        "`/home/ada` is the home directory of `ada` already"
    );
}

#[tokio::test]
async fn shells_are_those_that_the_host_offers() {
    let Some(bench) = with_ada("").await else {
        return;
    };
    for shell in [
        "/tmp/evil",
        "sh",
        "",
        "/bin/sh:x",
        "/bin/sh\n",
        "/bin/../tmp/x",
    ] {
        let before = bench.files();
        bench
            .failed(new_account_with("eve", "shell", texts(&[shell])))
            .await;
        bench
            .failed(update(account("ada"), Replace, "shell", texts(&[shell])))
            .await;
        assert_eq!(bench.files(), before);
    }
    let message = bench
        .refused(update(
            account("ada"),
            Replace,
            "shell",
            texts(&["/tmp/evil"]),
        ))
        .await;
    assert!(
        message.contains("`allowed_shells` of [connectors.local]"),
        "{message}"
    );
}

#[tokio::test]
async fn the_shell_that_a_new_account_gets_by_itself_has_to_be_allowed_too() {
    let Some(bench) = bench_with("allowed_shells = [\"/usr/sbin/nologin\"]", "") else {
        return;
    };
    let before = bench.files();
    let message = bench.refused(Verb::Create(new_account("ann"))).await;
    assert!(message.contains("`allowed_shells`"), "{message}");
    assert!(message.contains("/usr/sbin/nologin"), "{message}");
    assert_eq!(bench.files(), before);
    bench
        .done(new_account_with(
            "ann",
            "shell",
            texts(&["/usr/sbin/nologin"]),
        ))
        .await;
}

#[tokio::test]
async fn a_comment_cannot_break_its_line() {
    let Some(bench) = with_ada("").await else {
        return;
    };
    let before = bench.files();
    for comment in ["x:0:0::/root:/bin/sh", "x\neve::0:0::/:/bin/sh", "x\r"] {
        for name in ["gecos", "full_name"] {
            bench
                .failed(update(account("ada"), Replace, name, texts(&[comment])))
                .await;
            bench
                .failed(new_account_with("eve", name, texts(&[comment])))
                .await;
        }
    }
    bench
        .failed(set_password(account("ada"), "x\nroot:y"))
        .await;
    assert_eq!(bench.files(), before);
}

#[tokio::test]
async fn read_only_and_allowed_verbs_close_verbs() {
    let Some(bench) = bench_with("", "read_only = true") else {
        return;
    };
    assert_eq!(
        bench.refused(Verb::Create(new_account("ada"))).await,
        "the gateway's guard rail `read_only` forbids this: `create` would change something (see [connectors.local.guard_rails] in the configuration of the gateway)"
    );
    bench.done(get(account("root"))).await;
    let Some(bench) = bench_with("", "allowed_verbs = [\"test\", \"create\"]") else {
        return;
    };
    bench.done(Verb::Create(new_account("ada"))).await;
    bench.refused(get(account("ada"))).await;
    bench
        .refused(Verb::Delete(wire::Delete {
            object: account("ada"),
        }))
        .await;
    let mut events = bench.provisioner.search(call(Verb::Search(wire::Search {
        object_class: wire::ObjectClass::Account.into(),
        ..wire::Search::default()
    })));
    let Some(crate::model::SearchEvent::End(_, Some(failure))) = events.recv().await else {
        panic!("found");
    };
    assert!(
        failure.message.contains("`allowed_verbs`"),
        "{}",
        failure.message
    );
}

#[tokio::test]
async fn deletions_run_out() {
    let Some(bench) = bench_with("", "max_deletes_per_hour = 2") else {
        return;
    };
    for name in ["a", "b", "c"] {
        bench.done(Verb::Create(new_account(name))).await;
    }
    let delete = |name| {
        Verb::Delete(wire::Delete {
            object: account(name),
        })
    };
    bench.failed(delete("nobody-here")).await;
    bench.done(delete("a")).await;
    bench.done(delete("b")).await;
    let message = bench.refused(delete("c")).await;
    assert!(
        message.contains("2 deletions were begun within the past hour"),
        "{message}"
    );
}
