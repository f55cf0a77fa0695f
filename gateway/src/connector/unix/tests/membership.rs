//! Members join and leave, and what others change meanwhile stays.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, fcntl_lock};

use super::bench::*;
use super::rollback::sabotage;
use crate::model::{FailureKind, Outcome};

impl Bench {
    /// Adds a line to an account file, as an editor would.
    pub(super) fn append(&self, file: &str, line: &str) {
        let text = format!("{}{line}\n", self.file(file));
        fs::write(self.path(file), text).unwrap();
    }

    /// Accounts, and a group of their own that is nobody's else.
    fn append_accounts(&self, names: &[String]) {
        let passwd = names.iter().enumerate();
        let passwd: String = passwd
            .map(|(n, name)| format!("{name}:x:{}:3000::/home/{name}:/bin/sh\n", 20_000 + n))
            .collect();
        let shadow = names
            .iter()
            .map(|name| format!("{name}:*:19000:0:99999:7:::\n"));
        self.append("etc/passwd", passwd.trim_end());
        self.append("etc/shadow", shadow.collect::<String>().trim_end());
        self.append("etc/group", "students:x:3000:");
        self.append("etc/gshadow", "students:!::");
    }

    /// The members of a group, by its line.
    fn members(&self, group: &str) -> Vec<String> {
        self.database().group(group).unwrap().members.clone()
    }
}

fn members(
    operation: portcullis_proto::gateway::v1::ModificationOperation,
    names: &[&str],
) -> Verb {
    let names = names.iter().map(|name| text(name)).collect();
    update(group("team"), operation, "members", names)
}

/// Waits until somebody waits for the lock on this file.
fn is_waited_for(file: &File) {
    let inode = format!(":{} ", file.metadata().unwrap().ino());
    let start = Instant::now();
    loop {
        let locks = fs::read_to_string("/proc/locks").unwrap();
        let mut lines = locks.lines();
        if lines.any(|line| line.contains("-> ") && line.contains(&inode)) {
            return;
        }
        assert!(start.elapsed() < Duration::from_secs(10), "{locks}");
        std::thread::yield_now();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_somebody_changes_while_the_lock_is_waited_for_stays() {
    let Some(bench) = bench() else { return };
    for name in ["ann", "bob", "cid", "dan"] {
        bench.done(Verb::Create(new_account(name))).await;
    }
    bench.done(new_group("team", &["ann", "cid"])).await;
    bench.done(new_group("other", &[])).await;
    let groups = |operation, names: &[&str]| {
        let names = names.iter().map(|name| text(name)).collect();
        update(account("bob"), operation, "groups", names)
    };
    for verb in [
        members(Add, &["bob"]),
        members(Remove, &["ann"]),
        members(Replace, &["cid", "bob", "dan"]),
        groups(Add, &["other"]),
        groups(Remove, &["other"]),
        groups(Replace, &["team", "other"]),
    ] {
        let editing = File::create(bench.path("etc/.pwd.lock")).unwrap();
        fcntl_lock(&editing, FlockOperation::LockExclusive).unwrap();
        let (edit, free) = tokio::sync::oneshot::channel::<()>();
        let path = bench.path("etc/group");
        let holder = tokio::task::spawn_blocking(move || {
            is_waited_for(&editing);
            let text = fs::read_to_string(&path).unwrap();
            let line = text.lines().find(|line| line.starts_with("team:")).unwrap();
            let comma = if line.ends_with(':') { "" } else { "," };
            let edited = text.replace(line, &format!("{line}{comma}dan"));
            fs::write(&path, edited).unwrap();
            drop(editing);
            let _ = edit.send(());
        });
        let shown = format!("{verb:?}");
        bench.done(verb).await;
        holder.await.unwrap();
        free.await.unwrap();
        assert!(
            bench.members("team").contains(&"dan".to_owned()),
            "{shown}: {}",
            bench.file("etc/group")
        );
        bench.done(members(Replace, &["ann", "cid"])).await;
    }
}

#[tokio::test]
async fn a_member_that_is_no_account_any_more_blocks_nothing() {
    let Some(bench) = bench() else { return };
    for name in ["ann", "bob"] {
        bench.done(Verb::Create(new_account(name))).await;
    }
    bench.append("etc/group", "team:x:2000:ann,leaver,gone");
    bench.append("etc/gshadow", "team:!::ann,leaver,gone");
    bench.done(members(Add, &["bob"])).await;
    bench.done(members(Remove, &["ann", "leaver"])).await;
    assert_eq!(bench.members("team"), ["gone", "bob"]);
    assert!(bench.file("etc/gshadow").contains("team:!::gone,bob"));
    bench.done(members(Replace, &["gone", "ann"])).await;
    assert_eq!(bench.members("team"), ["gone", "ann"]);
    bench.done(members(Replace, &[])).await;
    assert!(bench.members("team").is_empty());
}

#[tokio::test]
async fn a_member_whose_name_nobody_can_have_leaves_like_any_other() {
    let Some(bench) = bench() else { return };
    for name in ["ann", "bob"] {
        bench.done(Verb::Create(new_account(name))).await;
    }
    for odd in [
        &b"short\r"[..],
        b"J\xF6rg",
        b"a\x1b[1mb",
        "a\u{202e}b".as_bytes(),
        b"-d",
        &[b'x'; 300],
    ] {
        let shown = super::super::text::shown(odd);
        for verb in [
            members(Remove, &[&shown]),
            members(Replace, &["ann", "bob"]),
            members(Replace, &[]),
            Verb::Delete(portcullis_proto::gateway::v1::Delete {
                object: group("team"),
            }),
        ] {
            let [mut group, mut gshadow] =
                ["etc/group", "etc/gshadow"].map(|file| fs::read(bench.path(file)).unwrap());
            let (kept, kept_hidden) = (group.clone(), gshadow.clone());
            for (file, start) in [
                (&mut group, "team:x:2000:ann,"),
                (&mut gshadow, "team:!::ann,"),
            ] {
                file.extend_from_slice(start.as_bytes());
                file.extend_from_slice(odd);
                file.push(b'\n');
            }
            fs::write(bench.path("etc/group"), group).unwrap();
            fs::write(bench.path("etc/gshadow"), gshadow).unwrap();
            // Whatever else changes leaves it; a control character has to go first.
            if odd.iter().any(u8::is_ascii_control) {
                let failure = bench.failed(members(Add, &["bob"])).await;
                assert_eq!(failure.kind, FailureKind::Rejected);
                assert!(failure.message.contains("that member"), "{failure:?}");
            } else {
                bench.done(members(Add, &["bob"])).await;
                bench.done(members(Remove, &["bob"])).await;
            }
            assert_eq!(bench.members("team"), ["ann", &*shown]);
            bench.done(verb).await;
            let left = fs::read(bench.path("etc/group")).unwrap();
            let gone = !left.windows(odd.len()).any(|bytes| bytes == odd);
            assert!(gone, "{shown}: {}", String::from_utf8_lossy(&left));
            fs::write(bench.path("etc/group"), kept).unwrap();
            fs::write(bench.path("etc/gshadow"), kept_hidden).unwrap();
        }
    }
}

#[tokio::test]
async fn a_group_of_very_many_members_changes_like_any_other() {
    let Some(bench) = bench() else { return };
    let names: Vec<String> = (0..11_200).map(|n| format!("student{n:05}")).collect();
    bench.append_accounts(&names);
    let line = format!("team:x:3001:{}", names[..11_000].join(","));
    assert!(line.len() > 128 * 1024, "shorter than an argument can be");
    bench.append("etc/group", &line);
    bench.append("etc/gshadow", "team:!::");
    bench.done(members(Add, &["student11150"])).await;
    bench
        .done(members(Remove, &["student00000", "student10999"]))
        .await;
    assert_eq!(bench.members("team").len(), 11_000 - 1);
    let kept: Vec<&str> = names[..200].iter().map(String::as_str).collect();
    bench.done(members(Replace, &kept)).await;
    assert_eq!(bench.members("team"), kept);
}

#[tokio::test]
async fn a_program_that_got_no_lock_wrote_nothing_whoever_else_changed_something() {
    let Some(mut bench) = bench() else { return };
    for name in ["ann", "bob", "eve"] {
        bench.done(Verb::Create(new_account(name))).await;
    }
    bench.done(new_group("team", &["ann"])).await;
    bench.done(new_group("club", &[])).await;
    let (group_file, passwd) = (bench.path("etc/group"), bench.path("etc/passwd"));
    let locked = |tool: &str| {
        format!(
            "sed -i -e 's/^team:.*/&,eve/' {0}; sed -i -e 's/:ann:/:x&/' {1}; echo '{tool}: cannot lock /etc/group; try again later.' >&2; exit 10",
            group_file.display(),
            passwd.display()
        )
    };
    let tools = [
        "usermod", "gpasswd", "groupmod", "groupdel", "userdel", "chpasswd", "useradd",
    ];
    let bodies: Vec<_> = tools.map(|tool| (tool, locked(tool))).into();
    let bodies: Vec<_> = bodies
        .iter()
        .map(|(tool, body)| (*tool, body.as_str()))
        .collect();
    let _programs = sabotage(&mut bench, &bodies);
    for verb in [
        members(Add, &["bob"]),
        members(Remove, &["ann"]),
        rename(group("team"), "crew"),
        update(account("ann"), Replace, "full_name", vec![text("Ann")]),
        update(account("ann"), Add, "groups", vec![text("club")]),
        rename(account("ann"), "anna"),
        set_password(account("ann"), "secret"),
        Verb::Create(new_account("new")),
        Verb::Delete(portcullis_proto::gateway::v1::Delete {
            object: account("ann"),
        }),
        Verb::Delete(portcullis_proto::gateway::v1::Delete {
            object: group("team"),
        }),
    ] {
        let shown = format!("{verb:?}");
        match bench.call(verb).await {
            Outcome::Failed(failure) => {
                assert_eq!(
                    failure.kind,
                    FailureKind::Unavailable,
                    "{shown} {failure:?}"
                );
                assert!(failure.message.contains("cannot lock /etc/group"));
            }
            other => panic!("{shown}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn the_holder_of_a_lock_is_named() {
    let Some(bench) = bench() else { return };
    bench.done(Verb::Create(new_account("ann"))).await;
    bench.done(new_group("club", &[])).await;
    let lock = bench.path("etc/group.lock");
    for (content, kind, said) in [
        ("1", FailureKind::Unavailable, "of process 1"),
        ("", FailureKind::Rejected, "names no process"),
    ] {
        fs::write(&lock, content).unwrap();
        for verb in [
            Verb::Create(new_account("bob")),
            new_group("team", &[]),
            update(account("ann"), Add, "groups", vec![text("club")]),
        ] {
            let failure = bench.failed(verb).await;
            assert_eq!(failure.kind, kind, "{failure:?}");
            assert!(failure.message.contains(said), "{failure:?}");
            assert!(failure.message.contains("etc/group.lock"), "{failure:?}");
        }
    }
}

#[tokio::test]
async fn what_would_take_too_many_runs_is_refused_before_the_first() {
    let Some(bench) = bench() else { return };
    let names: Vec<String> = (0..400).map(|n| format!("student{n:05}")).collect();
    bench.append_accounts(&names);
    bench.append("etc/group", "team:x:3001:student00000,leaver");
    bench.append("etc/gshadow", "team:!::student00000,leaver");
    let all: Vec<&str> = names.iter().map(String::as_str).collect();
    let with_leaver = [&all[..], &["leaver"]].concat();
    let before = bench.files();
    for verb in [members(Add, &all), members(Replace, &with_leaver)] {
        let failure = bench.failed(verb).await;
        assert_eq!(failure.kind, FailureKind::Invalid);
        assert!(failure.message.contains("one by one"), "{failure:?}");
        assert_eq!(bench.files(), before);
    }
    bench.done(members(Replace, &all)).await;
    assert_eq!(bench.members("team"), all);
    let failure = bench.failed(members(Remove, &all)).await;
    assert_eq!(failure.kind, FailureKind::Invalid);
    bench.done(members(Replace, &["student00001"])).await;
    assert_eq!(bench.members("team"), ["student00001"]);
}
