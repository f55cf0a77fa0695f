//! What has changed: each change once or more, deletions too, and tokens that are no longer good.

use portcullis_gateway::model::{FailureKind, ObjectClass, Verb as Name};
use portcullis_proto::gateway::v1 as wire;

use crate::site::{By, MakeSite, Replace, Subject, Verb, account, create, delete, text, update};

const ACCOUNT: wire::ObjectClass = wire::ObjectClass::Account;

pub(crate) async fn syncs_what_has_changed(site: MakeSite) {
    let verbs = [Name::Sync, Name::Create, Name::Update, Name::Delete];
    let Some(subject) = Subject::with(site, &verbs) else {
        return;
    };
    let class = ObjectClass::Account;
    let free = subject.site.free_text;
    subject
        .object(Verb::Create(create(class, "ada", &[])))
        .await;
    let (_, start) = subject.sync(ACCOUNT, b"").await.unwrap();
    let bob = subject
        .object(Verb::Create(create(class, "bob", &[])))
        .await;
    let changed = update(
        account(By::Name("ada")),
        Replace,
        free,
        vec![text("Ada King")],
    );
    subject.object(changed).await;
    let (told, second) = subject.sync(ACCOUNT, &start).await.unwrap();
    for name in ["ada", "bob"] {
        assert!(told.iter().any(|told| told == name), "{name}: {told:?}");
    }
    subject.done(delete(account(By::Name("bob")))).await;
    let (told, third) = subject.sync(ACCOUNT, &second).await.unwrap();
    assert_eq!(told.last(), Some(&format!("-{}", bob.id)), "{told:?}");
    // A token is good for more than once.
    let (told, _) = subject.sync(ACCOUNT, &start).await.unwrap();
    assert!(told.iter().any(|told| told == "ada"), "{told:?}");
    assert!(!told.iter().any(|told| told == "bob"), "{told:?}");
    // And goes on from there.
    let (_, fourth) = subject.sync(ACCOUNT, &third).await.unwrap();
    subject
        .object(Verb::Create(create(class, "eve", &[])))
        .await;
    let (told, _) = subject.sync(ACCOUNT, &fourth).await.unwrap();
    assert!(told.iter().any(|told| told == "eve"), "{told:?}");
}

pub(crate) async fn knows_its_own_tokens(site: MakeSite) {
    let Some(subject) = Subject::with(site, &[Name::Sync]) else {
        return;
    };
    let (_, token) = subject.sync(ACCOUNT, b"").await.unwrap();
    let mut bad = vec![
        b"garbage".to_vec(),
        token[..1].to_vec(),
        token[..17].to_vec(),
    ];
    // Under the right heading, what no connector has given out.
    bad.push([&token[..17], b"garbage"].concat());
    if subject.has(ObjectClass::Group, Name::Sync) {
        let (_, groups) = subject.sync(wire::ObjectClass::Group, b"").await.unwrap();
        bad.push(groups.clone());
        bad.push([&token[..17], &groups[17..]].concat());
    }
    let own = subject.sync(ACCOUNT, &token).await;
    assert!(own.is_ok(), "{own:?}");
    for bad in bad {
        let failure = subject.sync(ACCOUNT, &bad).await.unwrap_err();
        let kind = FailureKind::Forgotten;
        assert_eq!(failure.kind, kind, "{bad:?}: {}", failure.message);
    }
}
