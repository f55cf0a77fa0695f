//! What a host keeps beside the account files follows a rename, goes or stays with a deletion, and
//! is never inherited.

use std::fs;
use std::os::unix::fs::chown;
use std::path::Path;

use portcullis_proto::gateway::v1 as wire;

use super::bench::*;
use crate::model::FailureKind;

fn delete(name: &str) -> Verb {
    Verb::Delete(wire::Delete {
        object: account(name),
    })
}

impl Bench {
    fn keep(&self, file: &str) {
        let path = self.path(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "kept").unwrap();
    }

    async fn report(&self, verb: Verb) -> String {
        match self.done(verb).await.detail {
            Some(wire::done::Detail::Report(report)) => report,
            None => String::new(),
            other => panic!("{other:?}"),
        }
    }
}

const BY_NAME: [&str; 5] = [
    "var/spool/cron/crontabs",
    "var/spool/cron",
    "var/lib/systemd/linger",
    "etc/ssh/authorized_keys",
    "var/mail",
];

#[tokio::test]
async fn what_is_kept_by_name_follows_a_rename_and_goes_with_a_deletion() {
    let Some(bench) = bench() else { return };
    for file in ["etc/subuid", "etc/subgid"] {
        fs::write(bench.path(file), "other:100000:65536\n").unwrap();
    }
    bench.done(Verb::Create(new_account("ada"))).await;
    let ranges = bench.file("etc/subuid");
    assert!(ranges.contains("ada:"), "useradd gives ranges: {ranges}");
    for folder in BY_NAME {
        bench.keep(&format!("{folder}/ada"));
        bench.keep(&format!("{folder}/adam"));
    }
    bench.done(rename(account("ada"), "countess")).await;
    assert_eq!(
        bench.file("etc/subuid"),
        ranges.replace("ada:", "countess:")
    );
    assert!(bench.file("etc/subgid").contains("countess:"));
    for folder in BY_NAME {
        assert!(!bench.path(&format!("{folder}/ada")).exists(), "{folder}");
        assert_eq!(bench.file(&format!("{folder}/countess")), "kept");
    }
    let report = bench.report(delete("countess")).await;
    for folder in BY_NAME {
        let stays = bench.path(&format!("{folder}/countess")).exists();
        assert_eq!(stays, folder == "var/mail", "{folder}");
        assert!(bench.path(&format!("{folder}/adam")).exists(), "{folder}");
    }
    assert!(
        report.contains("mail box `/var/mail/countess` was left"),
        "{report}"
    );
    assert_eq!(bench.file("etc/subuid"), "other:100000:65536\n");
    assert_eq!(bench.file("etc/subgid"), "other:100000:65536\n");
}

#[tokio::test]
async fn a_new_account_or_name_inherits_nothing() {
    let Some(bench) = bench() else { return };
    bench.done(Verb::Create(new_account("ada"))).await;
    bench.keep("etc/sudoers.d/site");
    fs::write(
        bench.path("etc/sudoers.d/site"),
        "# eve\n%wheel ALL=(ALL) ALL\nbob, eve ALL=(ALL) NOPASSWD: ALL\n",
    )
    .unwrap();
    let rights = "rights in `/etc/sudoers.d/site`, line 3".to_owned();
    let places = BY_NAME.map(|folder| (format!("{folder}/eve"), format!("`/{folder}/eve`")));
    for (file, said) in places.into_iter().chain([(String::new(), rights)]) {
        let path = bench.path(&file);
        if file.is_empty() {
            // The rule alone is left.
        } else {
            bench.keep(&file);
        }
        let before = bench.files();
        for verb in [
            Verb::Create(new_account("eve")),
            rename(account("ada"), "eve"),
        ] {
            let failure = bench.failed(verb).await;
            assert_eq!(failure.kind, FailureKind::Rejected, "{failure:?}");
            assert!(failure.message.contains(&said), "{}", failure.message);
        }
        assert_eq!(bench.files(), before);
        if !file.is_empty() {
            fs::remove_file(path).unwrap();
        }
    }
}

#[tokio::test]
async fn a_number_that_still_owns_something_is_not_given_again() {
    let Some(bench) = bench() else { return };
    if !bench.gives_homes_away() {
        eprintln!("skipped: in this user namespace nothing can belong to another");
        return;
    }
    let own = |file: &str, uid: u32| chown(bench.path(file), Some(uid), Some(uid)).unwrap();
    let uid = |object: wire::Object| object.id.parse::<u32>().unwrap();
    let first = uid(bench.object(Verb::Create(new_account("ada"))).await);
    bench.report(delete("ada")).await;
    assert!(bench.path("home/ada").is_dir(), "`remove_home` is off");
    let second = uid(bench.object(Verb::Create(new_account("bob"))).await);
    assert!(second > first, "{second} got the home of {first}");
    let mut highest = second;
    for (n, file) in ["var/mail/gone", "var/spool/cron/atjobs/a1"]
        .into_iter()
        .enumerate()
    {
        bench.keep(file);
        own(file, highest + 7);
        let next = bench
            .object(Verb::Create(new_account(&format!("n{n}"))))
            .await;
        assert!(uid(next.clone()) > highest + 7, "{next:?} got {file}");
        let group = bench.object(new_group(&format!("g{n}"), &[])).await;
        assert!(uid(group.clone()) > highest + 7, "{group:?} got {file}");
        highest = uid(group);
    }
    // Whoever asks for such a number is told what it owns; his own home is no such thing.
    let asked = new_account_with("eve", "uid", vec![integer(i64::from(first))]);
    let failure = bench.failed(asked).await;
    assert_eq!(failure.kind, FailureKind::Rejected);
    assert!(failure.message.contains("`/home/ada`"), "{failure:?}");
    bench
        .done(new_account_with(
            "ada",
            "uid",
            vec![integer(i64::from(first))],
        ))
        .await;
    // Jobs go by number, and go with the account.
    bench.keep("var/spool/cron/atjobs/a2");
    own("var/spool/cron/atjobs/a2", first);
    bench.report(delete("ada")).await;
    assert!(!bench.path("var/spool/cron/atjobs/a2").exists());
    assert!(Path::new(&bench.path("var/spool/cron/atjobs/a1")).exists());
}

#[tokio::test]
async fn rights_of_a_group_or_a_number_are_not_inherited_either() {
    let Some(bench) = bench() else { return };
    let first = bench.object(Verb::Create(new_account("ada"))).await;
    let first: u32 = first.id.parse().unwrap();
    bench.object(new_group("team", &[])).await;
    let (uid, gid) = (first + 3, first + 5);
    bench.keep("etc/sudoers.d/site");
    fs::write(
        bench.path("etc/sudoers.d/site"),
        format!("%ops ALL=(ALL) ALL\n#{uid} ALL=(ALL) ALL\n%#{gid} ALL=(ALL) ALL\n"),
    )
    .unwrap();
    fs::write(bench.path("etc/doas.conf"), "permit nopass :helpers\n").unwrap();
    let number = |id: u32| vec![integer(i64::from(id))];
    let Verb::Create(mut numbered) = new_group("new", &[]) else {
        panic!("no create")
    };
    numbered.attributes = vec![attribute("gid", number(gid))];
    let before = bench.files();
    for (verb, said) in [
        // The group of its own that comes with an account.
        (Verb::Create(new_account("ops")), "line 1"),
        (rename(account("ada"), "helpers"), "doas.conf"),
        (new_group("ops", &["ada"]), "line 1"),
        (new_group("helpers", &[]), "doas.conf"),
        (rename(group("team"), "ops"), "line 1"),
        (new_account_with("eve", "uid", number(uid)), "line 2"),
        (new_account_with("eve", "uid", number(gid)), "line 3"),
        (Verb::Create(numbered), "line 3"),
    ] {
        let failure = bench.failed(verb).await;
        assert_eq!(failure.kind, FailureKind::Rejected, "{failure:?}");
        assert!(failure.message.contains(said), "{}", failure.message);
    }
    assert_eq!(bench.files(), before);
    // Nor are they given by chance.
    for n in 0..6 {
        let made = bench
            .object(Verb::Create(new_account(&format!("n{n}"))))
            .await;
        let id: u32 = made.id.parse().unwrap();
        assert!(id != uid && id != gid, "{made:?}");
        let own = bench.file("etc/group");
        assert!(!own.contains(&format!(":{gid}:")), "{own}");
    }
}

#[tokio::test]
async fn rights_are_seen_in_whatever_sudoers_includes_and_unseen_ones_keep_everybody_out() {
    let Some(bench) = bench() else { return };
    bench.done(Verb::Create(new_account("ada"))).await;
    bench.object(new_group("team", &[])).await;
    let write = |file: &str, text: &str| {
        bench.keep(file);
        fs::write(bench.path(file), text).unwrap();
    };
    write("etc/sudoers", "@include local\n#includedir /srv/rules\n");
    write("etc/local", "eve ALL=(ALL) ALL\n");
    write("srv/rules/10-ops", "%ops ALL=(ALL) ALL\n");
    let before = bench.files();
    let tries = || {
        [
            (Verb::Create(new_account("eve")), "`/etc/local`, line 1"),
            (rename(account("ada"), "eve"), "`/etc/local`, line 1"),
            (new_group("ops", &[]), "`/srv/rules/10-ops`, line 1"),
            (rename(group("team"), "ops"), "`/srv/rules/10-ops`, line 1"),
        ]
    };
    for (verb, said) in tries() {
        let failure = bench.failed(verb).await;
        assert_eq!(failure.kind, FailureKind::Rejected, "{failure:?}");
        assert!(failure.message.contains(said), "{}", failure.message);
    }
    // A folder where a file of rules is to be.
    fs::remove_file(bench.path("etc/local")).unwrap();
    fs::create_dir(bench.path("etc/local")).unwrap();
    for (verb, _) in tries() {
        let failure = bench.failed(verb).await;
        assert_eq!(failure.kind, FailureKind::Rejected, "{failure:?}");
        let said = "`/etc/local` is no regular file";
        assert!(failure.message.contains(said), "{}", failure.message);
    }
    assert_eq!(bench.files(), before);
    let report = bench.report(delete("ada")).await;
    assert!(report.contains("rights may be left"), "{report}");
    fs::remove_dir(bench.path("etc/local")).unwrap();
    bench.done(Verb::Create(new_account("eve"))).await;
}

#[tokio::test]
async fn the_number_of_somebodys_primary_group_is_given_to_nobody() {
    let Some(bench) = bench() else { return };
    let first = bench.object(Verb::Create(new_account("ada"))).await;
    let first: u32 = first.id.parse().unwrap();
    let orphan = first + 2;
    let passwd = bench.file("etc/passwd");
    let passwd = passwd + &format!("karl:x:{}:{orphan}::/home/karl:/bin/sh\n", first + 40);
    fs::write(bench.path("etc/passwd"), passwd).unwrap();
    let asked = new_account_with("eve", "uid", vec![integer(i64::from(orphan))]);
    let failure = bench.failed(asked).await;
    assert!(
        failure.message.contains("primary group of `karl`"),
        "{failure:?}"
    );
    for n in 0..3 {
        let made = bench.object(new_group(&format!("g{n}"), &[])).await;
        assert_ne!(made.id, orphan.to_string());
    }
}
