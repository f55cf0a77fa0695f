//! What has changed in the account files since a token was given out.

use portcullis_proto::gateway::v1 as wire;

use super::bench::*;
use crate::model::{Change, Failure, FailureKind, SyncEvent, Synced};

/// A change in a word: a name, or `-` and one that is gone.
async fn sync_of(
    bench: &Bench,
    class: wire::ObjectClass,
    token: &[u8],
    page_size: u32,
) -> (Vec<String>, Result<Synced, Failure>) {
    let sync = wire::Sync {
        object_class: class.into(),
        token: token.to_vec(),
        page_size,
        ..wire::Sync::default()
    };
    let mut events = bench.provisioner.sync(call(Verb::Sync(sync)));
    let mut told = Vec::new();
    while let Some(event) = events.recv().await {
        match event {
            SyncEvent::Changed(Change::Present(object)) => {
                assert!(
                    object
                        .attributes
                        .iter()
                        .all(|a| a.name.as_str() != "password")
                );
                told.push(object.identity.name.to_string());
            }
            SyncEvent::Changed(Change::Gone { name, .. }) => {
                told.push(format!("-{}", name.unwrap()));
            }
            SyncEvent::End(end) => return (told, end),
        }
    }
    panic!("the sync has no end");
}

async fn sync(bench: &Bench, token: &[u8]) -> (Vec<String>, Vec<u8>) {
    let (told, end) = sync_of(bench, wire::ObjectClass::Account, token, 0).await;
    let end = end.unwrap();
    assert!(!end.more);
    (told, end.token.as_bytes().to_vec())
}

fn keeping() -> Option<(Bench, tempfile::TempDir)> {
    let bench = bench()?;
    let state = tempfile::tempdir().unwrap();
    bench.provisioner.keep_snapshots(&state.path().join("sync"));
    Some((bench, state))
}

#[tokio::test]
async fn each_change_is_told_and_each_deletion() {
    let Some((bench, _state)) = keeping() else {
        return;
    };
    bench.done(Verb::Create(new_account("ada"))).await;
    let (told, start) = sync(&bench, b"").await;
    assert!(
        told.is_empty(),
        "the first sync begins where now is: {told:?}"
    );
    let (told, same) = sync(&bench, &start).await;
    assert!(told.is_empty());
    assert_eq!(same, start, "nothing changed, and yet another token");

    bench.done(Verb::Create(new_account("bob"))).await;
    let gecos = update(account("ada"), Replace, "full_name", vec![text("Ada King")]);
    bench.done(gecos).await;
    let (mut told, second) = sync(&bench, &start).await;
    told.sort();
    assert_eq!(told, ["ada", "bob"]);
    bench
        .done(Verb::Delete(wire::Delete {
            object: account("bob"),
        }))
        .await;
    let rename = Verb::Rename(wire::Rename {
        object: account("ada"),
        new_name: "eve".into(),
    });
    bench.done(rename).await;
    let (mut told, third) = sync(&bench, &second).await;
    told.sort();
    assert_eq!(told, ["-bob", "eve"], "a renamed account is not gone");
    // Whoever lost the answer asks with the former token again, and misses nothing.
    let (mut told, again) = sync(&bench, &start).await;
    told.sort();
    assert_eq!((told, again), (vec!["eve".to_owned()], third));
}

#[tokio::test]
async fn pages_of_changes_go_on_where_the_last_one_ended() {
    let Some((bench, _state)) = keeping() else {
        return;
    };
    for name in ["gone1", "gone2"] {
        bench.done(Verb::Create(new_account(name))).await;
    }
    let (_, mut token) = sync(&bench, b"").await;
    for name in ["gone1", "gone2"] {
        bench
            .done(Verb::Delete(wire::Delete {
                object: account(name),
            }))
            .await;
    }
    for n in 0..5 {
        bench
            .done(Verb::Create(new_account(&format!("user{n}"))))
            .await;
    }
    let mut all = Vec::new();
    loop {
        let (told, end) = sync_of(&bench, wire::ObjectClass::Account, &token, 2).await;
        let end = end.unwrap();
        assert!(told.len() <= 2, "{told:?}");
        all.extend(told);
        token = end.token.as_bytes().to_vec();
        if !end.more {
            break;
        }
    }
    all.sort();
    // Ids are given out again, so that those that are gone may come back under other names.
    all.retain(|name| !name.starts_with('-'));
    assert_eq!(all, ["user0", "user1", "user2", "user3", "user4"]);
    assert!(sync(&bench, &token).await.0.is_empty());
}

#[tokio::test]
async fn a_token_that_is_stale_or_anothers_says_to_begin_anew() {
    let (Some((bench, state)), Some((other, _other_state))) = (keeping(), keeping()) else {
        return;
    };
    // Of the same state both would have the same token.
    other.done(Verb::Create(new_account("eve"))).await;
    let (_, token) = sync(&bench, b"").await;
    let (_, foreign) = sync(&other, b"").await;
    let groups = sync_of(&bench, wire::ObjectClass::Group, b"", 0).await;
    let groups = groups.1.unwrap().token.as_bytes().to_vec();
    let mut changed = token.clone();
    *changed.last_mut().unwrap() ^= 1;
    let forgotten = async |token: &[u8]| {
        let (told, end) = sync_of(&bench, wire::ObjectClass::Account, token, 0).await;
        assert!(told.is_empty());
        let failure = end.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Forgotten, "{}", failure.message);
        assert!(
            failure.message.contains("begin anew"),
            "{}",
            failure.message
        );
    };
    for bad in [
        &*foreign,
        &groups,
        &changed,
        &token[..20],
        &token[..1],
        b"garbage",
    ] {
        forgotten(bad).await;
    }
    assert!(sync(&bench, &token).await.0.is_empty());
    // What was kept is changed, and then gone.
    let folder = state.path().join("sync");
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replacen("root", "toor", 1)).unwrap();
    }
    bench.done(Verb::Create(new_account("ada"))).await;
    forgotten(&token).await;
    std::fs::remove_dir_all(&folder).unwrap();
    forgotten(&token).await;
    sync(&bench, b"").await;
}

#[tokio::test]
async fn what_is_kept_is_bounded_and_private() {
    use std::os::unix::fs::PermissionsExt as _;
    let Some((bench, state)) = keeping() else {
        return;
    };
    let (_, first) = sync(&bench, b"").await;
    let mut token = first.clone();
    let passwd = bench.path("etc/passwd");
    for n in 0..40 {
        let line = format!("user{n}:x:{}:100::/home/user{n}:/bin/sh\n", 2000 + n);
        let text = std::fs::read_to_string(&passwd).unwrap() + &line;
        std::fs::write(&passwd, text).unwrap();
        let (told, next) = sync(&bench, &token).await;
        assert_eq!(told, [format!("user{n}")]);
        token = next;
    }
    let folder = state.path().join("sync");
    let files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(files.len(), 32);
    for file in files {
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
    let end = sync_of(&bench, wire::ObjectClass::Account, &first, 0)
        .await
        .1;
    assert_eq!(end.unwrap_err().kind, FailureKind::Forgotten);
}
