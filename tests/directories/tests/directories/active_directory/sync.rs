//! What has changed since: by DirSync, and by what each controller counts.

use portcullis_directories::Samba;
use portcullis_gateway::model::{Change, FailureKind, ObjectClass, ObjectId, Operation, SyncToken};

use super::{Domain, context, failure, text};

const ACCOUNT: ObjectClass = ObjectClass::Account;

fn ids(changes: &[Change]) -> Vec<(&ObjectId, bool)> {
    let mut ids: Vec<_> = changes
        .iter()
        .map(|change| match change {
            Change::Present(object) => (&object.identity.id, true),
            Change::Gone { id, .. } => (id, false),
        })
        .collect();
    ids.sort_by_key(|(id, present)| (id.as_str().to_owned(), *present));
    ids.dedup();
    ids
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Samba and root: tests/run directories"]
async fn each_change_is_told_and_each_deletion_and_nothing_else() {
    let samba = Samba::start().await;
    let url = samba.url();
    let plain = Domain::at(samba.into(), &[url], "");
    for way in ["dirsync", "usn"] {
        let domain = plain.again(&[plain.samba.url()], &format!("sync = \"{way}\""));
        let kept = domain.make(&format!("a{way}")).await.identity.id;
        let gone = domain.make(&format!("b{way}")).await.identity.id;
        domain.make(&format!("c{way}")).await;
        let first = SyncToken::default();
        let (changes, token) = domain.changes(ACCOUNT, &first).await.unwrap();
        assert!(
            changes.is_empty(),
            "{way}: the first token comes without a full read"
        );
        let (changes, token) = domain.changes(ACCOUNT, &token).await.unwrap();
        assert!(changes.is_empty(), "{way}: {changes:?}");
        let name = domain.account(&format!("a{way}"));
        domain
            .update(
                name,
                Operation::Replace,
                "description",
                vec![text("changed")],
            )
            .await
            .unwrap();
        let deleted = domain.account(&format!("b{way}"));
        domain.connector.delete(&context(), deleted).await.unwrap();
        let (changes, next) = domain.changes(ACCOUNT, &token).await.unwrap();
        let mut expected = vec![(&kept, true), (&gone, false)];
        expected.sort_by_key(|(id, _)| id.as_str().to_owned());
        assert_eq!(ids(&changes), expected, "{way}");
        // The former token tells the same again.
        let (changes, _) = domain.changes(ACCOUNT, &token).await.unwrap();
        assert_eq!(ids(&changes), expected, "{way}");
        let (changes, _) = domain.changes(ACCOUNT, &next).await.unwrap();
        assert!(changes.is_empty(), "{way}: {changes:?}");
        let other = SyncToken::new(b"sync1 account x".to_vec()).unwrap();
        let refused = failure(domain.changes(ACCOUNT, &other).await.unwrap_err());
        assert_eq!(refused.kind, FailureKind::Forgotten);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Samba and root: tests/run directories"]
async fn what_leaves_with_its_unit_is_told_as_gone_and_what_comes_with_it_as_there() {
    let samba = Samba::start().await;
    let url = samba.url();
    let plain = Domain::at(samba.into(), &[url], "");
    let unit = format!(
        "dn: OU=inner,{}\nobjectClass: organizationalUnit\n",
        plain.base
    );
    plain.tools().apply(&unit);
    let moves = |from: &str, to: &str| {
        plain.tools().apply(&format!(
            "dn: OU=inner,{from}\nchangetype: modrdn\nnewrdn: OU=inner\ndeleteoldrdn: 1\nnewsuperior: {to}\n"
        ));
    };
    let stays = plain.make("stays").await.identity.id;
    let goes = plain.make("goes").await.identity.id;
    let renamed = format!(
        "dn: {}\nchangetype: modrdn\nnewrdn: CN={}\ndeleteoldrdn: 1\nnewsuperior: OU=inner,{}\n",
        plain.dn("goes"),
        plain.name("goes"),
        plain.base
    );
    plain.tools().apply(&renamed);
    for way in ["dirsync", "usn"] {
        let domain = plain.again(&[plain.samba.url()], &format!("sync = \"{way}\""));
        let first = SyncToken::default();
        let (_, token) = domain.changes(ACCOUNT, &first).await.unwrap();
        moves(&domain.base, Samba::SUFFIX);
        let (changes, token) = domain.changes(ACCOUNT, &token).await.unwrap();
        assert_eq!(ids(&changes), [(&goes, false)], "{way}");
        moves(Samba::SUFFIX, &domain.base);
        let (changes, token) = domain.changes(ACCOUNT, &token).await.unwrap();
        assert_eq!(ids(&changes), [(&goes, true)], "{way}");
        // Nothing else of the unit concerns them.
        let described = format!(
            "dn: OU=inner,{}\nchangetype: modify\nreplace: description\ndescription: {way}\n",
            domain.base
        );
        domain.tools().apply(&described);
        let (changes, _) = domain.changes(ACCOUNT, &token).await.unwrap();
        assert!(changes.is_empty(), "{way}: {changes:?}");
    }
    assert_ne!(stays, goes);
}
