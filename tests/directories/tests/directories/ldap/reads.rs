//! Searches, schema and what has changed.

use std::net::TcpListener;

use portcullis_directories::{Setup, Slapd, loopback_address};
use portcullis_gateway::connector::Changes;
use portcullis_gateway::model::{
    AttributeName, Change, Comparison, FailureKind, Filter, FilterOperation, ObjectClass,
    Operation, SyncToken, Value, ValueType,
};
use tokio::sync::mpsc;

use super::{Subject, ada, all, context, create, failed, group, text};

const COUNT: usize = 1_200;

async fn crowded(more: &str) -> Subject {
    let people: String = (0..COUNT)
        .map(|number| format!("dn: uid=p{number},ou=people,dc=example,dc=org\nobjectClass: inetOrgPerson\nuid: p{number}\ncn: x\nsn: x\n\n"))
        .collect();
    let setup = Setup {
        entries: people,
        ..Setup::default()
    };
    Subject::of(Slapd::start_with(setup).await, more)
}

#[tokio::test]
#[ignore = "needs slapd: tests/run directories"]
async fn a_search_beyond_the_limit_comes_in_pages_or_not_at_all() {
    let subject = crowded("").await;
    let (found, cookie) = subject
        .search(all(ObjectClass::Account, None, None))
        .await
        .unwrap();
    assert_eq!((found.len(), cookie.is_empty()), (COUNT, true));
    let unpaged = Subject::of(subject.slapd, "page_size = 0");
    let failure = failed(
        unpaged.search(all(ObjectClass::Account, None, None)).await,
        FailureKind::Rejected,
    );
    assert_eq!(failure.native.unwrap().code(), "4");
}

#[tokio::test]
#[ignore = "needs slapd: tests/run directories"]
async fn searches_go_on_page_by_page_beside_one_another() {
    let subject = crowded("").await;
    let mut searches = [(); 2].map(|()| (all(ObjectClass::Account, None, Some(500)), 0));
    for round in 0..3 {
        for (search, found) in &mut searches {
            let (page, cookie) = subject.search(search.clone()).await.unwrap();
            *found += page.len();
            assert_eq!(cookie.is_empty(), round == 2);
            search.cookie = cookie;
        }
    }
    assert_eq!(searches.map(|(_, found)| found), [COUNT; 2]);
    let (_, cookie) = subject
        .search(all(ObjectClass::Account, None, Some(5)))
        .await
        .unwrap();
    subject.connector.stop().await;
    let mut next = all(ObjectClass::Account, None, Some(5));
    next.cookie = cookie;
    let failure = failed(subject.search(next).await, FailureKind::Unavailable);
    assert!(failure.message.contains("begin it again"), "{failure:?}");
}

#[tokio::test]
#[ignore = "needs slapd: tests/run directories"]
async fn nothing_in_a_filter_means_more_than_it_says() {
    let subject = Subject::start().await;
    for name in ["ada", "bob"] {
        subject.account(name).await;
    }
    let named = |operation, attribute: &str, value: &str| {
        Filter::Comparison(Comparison {
            operation,
            attribute: AttributeName::new(attribute).unwrap(),
            value: Some(text(value)),
        })
    };
    use FilterOperation::{Contains, Equals, StartsWith};
    let not = |filter| Filter::Not(Box::new(filter));
    for (filter, expected) in [
        (named(Equals, "__name__", "ada"), &["ada"][..]),
        (named(Equals, "__name__", "*"), &[]),
        (named(StartsWith, "uid", "a*"), &[]),
        (named(Equals, "uid", "ada)(uid=*"), &[]),
        (named(Contains, "uid", "d"), &["ada"]),
        (not(named(Equals, "uid", "ada")), &["bob"]),
        (Filter::All(Vec::new()), &["ada", "bob"]),
        (Filter::Any(Vec::new()), &[]),
    ] {
        let shown = format!("{filter:?}");
        let (found, _) = subject
            .search(all(ObjectClass::Account, Some(filter), None))
            .await
            .unwrap();
        let names: Vec<_> = found
            .iter()
            .map(|found| found.identity.name.as_str())
            .collect();
        assert_eq!(names, expected, "{shown}");
    }
}

#[tokio::test]
#[ignore = "needs slapd: tests/run directories"]
async fn the_schema_is_the_directorys() {
    let subject = Subject::start().await;
    let schema = subject.connector.schema(&context()).await.unwrap();
    let accounts = &schema.classes[0];
    let of = |name: &str| accounts.attributes.iter().find(|found| found.name == name);
    assert_eq!(of("jpegPhoto").unwrap().value_type, ValueType::Binary);
    assert!(of("sn").is_some_and(|sn| sn.multi_valued && !sn.required));
    assert!(of("preferredLanguage").is_some_and(|one| !one.multi_valued));
    assert!(of("uid").is_some_and(|uid| uid.creatable && !uid.updatable));
    assert!(of("userPassword").is_none() && of("memberOf").is_some_and(|of| !of.updatable));
}

async fn changed(
    subject: &Subject,
    class: ObjectClass,
    token: &SyncToken,
) -> (Vec<Change>, SyncToken) {
    let (sender, mut receiver) = mpsc::channel(1000);
    let mut changes = Changes::new(sender);
    let connector = &subject.connector;
    let next = connector
        .sync(&context(), class, token, &mut changes)
        .await
        .unwrap();
    drop(changes);
    let mut all = Vec::new();
    while let Some(change) = receiver.recv().await {
        all.push(change);
    }
    (all, next)
}

#[tokio::test]
#[ignore = "needs slapd: tests/run directories"]
async fn each_change_and_each_deletion_is_told_since_a_token() {
    let subject = Subject::start().await;
    let class = ObjectClass::Account;
    subject.account("old").await;
    let (none, first) = changed(&subject, class, &SyncToken::default()).await;
    assert!(none.is_empty());
    let made = subject.account("ada").await;
    let (found, second) = changed(&subject, class, &first).await;
    let [Change::Present(object)] = found.as_slice() else {
        panic!("{found:?}");
    };
    assert_eq!(object.identity, made.identity);
    let (none, third) = changed(&subject, class, &second).await;
    assert!(none.is_empty());
    subject
        .update(ada(), Operation::Replace, "description", &[text("x")])
        .await
        .unwrap();
    subject
        .connector
        .delete(&context(), super::named(class, "old"))
        .await
        .unwrap();
    let (found, fourth) = changed(&subject, class, &third).await;
    let gone = found
        .iter()
        .filter(|change| matches!(change, Change::Gone { .. }))
        .count();
    assert_eq!((found.len(), gone), (2, 1), "{found:?}");
    let (none, _) = changed(&subject, class, &fourth).await;
    assert!(none.is_empty());
    for token in [b"x".to_vec(), [first.as_bytes(), b"0"].concat()] {
        let token = SyncToken::new(token).unwrap();
        let (sender, _receiver) = mpsc::channel(1000);
        let mut changes = Changes::new(sender);
        let connector = &subject.connector;
        let synced = connector
            .sync(&context(), ObjectClass::Group, &token, &mut changes)
            .await;
        failed(synced, FailureKind::Forgotten);
    }
}

#[tokio::test]
#[ignore = "needs slapd: tests/run directories"]
async fn who_is_in_a_group_is_found_from_both_sides() {
    let subject = Subject::start().await;
    subject.account("ada").await;
    subject
        .create(create(
            ObjectClass::Group,
            "devs",
            &[("member", text("ada"))],
        ))
        .await
        .unwrap();
    let equals = |attribute: &str, value: &str| {
        Some(Filter::Comparison(Comparison {
            operation: FilterOperation::Equals,
            attribute: AttributeName::new(attribute).unwrap(),
            value: Some(text(value)),
        }))
    };
    let (found, _) = subject
        .search(all(ObjectClass::Account, equals("memberOf", "devs"), None))
        .await
        .unwrap();
    assert_eq!(found.len(), 1);
    let (found, _) = subject
        .search(all(ObjectClass::Group, equals("member", "ada"), None))
        .await
        .unwrap();
    assert_eq!(found.len(), 1);
    let mut with_groups = all(ObjectClass::Account, None, None);
    with_groups.attributes = vec![AttributeName::new("memberOf").unwrap()];
    let (found, _) = subject.search(with_groups).await.unwrap();
    assert_eq!(found[0].values("memberOf"), [text("devs")]);
    assert_eq!(
        subject.get(group("devs")).await.unwrap().values("member"),
        [text("ada")]
    );
    assert!(
        !found
            .iter()
            .any(|one| one.values("jpegPhoto").contains(&Value::Boolean(true)))
    );
}

#[tokio::test]
#[ignore = "needs slapd: tests/run directories"]
async fn another_server_that_an_entry_names_is_not_asked() {
    let listener = TcpListener::bind((loopback_address(), 0)).unwrap();
    listener.set_nonblocking(true).unwrap();
    let entries = format!(
        "dn: ou=elsewhere,ou=people,{0}\nobjectClass: referral\nobjectClass: extensibleObject\nou: elsewhere\n\
         ref: ldap://{1}/ou=people,{0}\n",
        Slapd::SUFFIX,
        listener.local_addr().unwrap()
    );
    let setup = Setup {
        entries,
        ..Setup::default()
    };
    let subject = Subject::of(Slapd::start_with(setup).await, "");
    subject.account("ada").await;
    let (found, _) = subject
        .search(all(ObjectClass::Account, None, None))
        .await
        .unwrap();
    let names: Vec<_> = found.iter().map(|one| one.identity.name.as_str()).collect();
    assert_eq!(names, ["ada"]);
    let asked = listener.accept().unwrap_err();
    assert_eq!(asked.kind(), std::io::ErrorKind::WouldBlock);
}

#[tokio::test]
#[ignore = "needs slapd: tests/run directories"]
async fn without_content_synchronization_times_tell_what_has_changed_but_not_what_is_gone() {
    let setup = Setup {
        lacks: "syncprov",
        ..Setup::default()
    };
    let subject = Subject::of(Slapd::start_with(setup).await, "");
    let class = ObjectClass::Account;
    let old = subject.account("old").await;
    let (none, first) = changed(&subject, class, &SyncToken::default()).await;
    assert!(none.is_empty() && first.as_bytes().starts_with(b"time1 "));
    let made = subject.account("ada").await;
    subject
        .connector
        .delete(&context(), super::by_id(&old))
        .await
        .unwrap();
    let (found, next) = changed(&subject, class, &first).await;
    let [Change::Present(object)] = found.as_slice() else {
        panic!("{found:?}");
    };
    assert_eq!(object.identity, made.identity);
    // What lies a short while back is told again.
    let (found, _) = changed(&subject, class, &next).await;
    assert_eq!(found.len(), 1, "{found:?}");
}

#[tokio::test]
#[ignore = "needs slapd: tests/run directories"]
async fn units_and_computers_are_read_and_never_changed() {
    let setup = Setup {
        entries: format!(
            "dn: cn=pc1,ou=people,{}\nobjectClass: device\ncn: pc1\nserialNumber: 7\n",
            Slapd::SUFFIX
        ),
        ..Setup::default()
    };
    let keys =
        "organizational_units.base = \"dc=example,dc=org\"\ncomputers.base = \"dc=example,dc=org\"";
    let subject = Subject::of(Slapd::start_with(setup).await, keys);
    let classes = subject.connector.further_classes();
    let [units, computers] = classes[..] else {
        panic!("{classes:?}");
    };
    let (found, _) = subject.search(all(units, None, None)).await.unwrap();
    let mut names: Vec<_> = found.iter().map(|one| one.identity.name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["groups", "people", "policies"]);
    let serial = Filter::Comparison(Comparison {
        operation: FilterOperation::Equals,
        attribute: AttributeName::new("serialNumber").unwrap(),
        value: Some(text("7")),
    });
    let (found, _) = subject
        .search(all(computers, Some(serial), None))
        .await
        .unwrap();
    let [computer] = &found[..] else {
        panic!("{found:?}");
    };
    let read = subject.get(super::by_id(computer)).await.unwrap();
    assert_eq!((read.identity.name.as_str(), read.enabled), ("pc1", None));
    let (none, token) = changed(&subject, computers, &SyncToken::default()).await;
    assert!(none.is_empty());
    subject
        .slapd
        .tools()
        .delete("cn=pc1,ou=people,dc=example,dc=org");
    let (gone, _) = changed(&subject, computers, &token).await;
    assert!(
        matches!(&gone[..], [Change::Gone { class, .. }] if *class == computers),
        "{gone:?}"
    );
    let schema = subject.connector.schema(&context()).await.unwrap();
    for class in [units, computers] {
        let shown = schema
            .classes
            .iter()
            .find(|shown| shown.class == class)
            .unwrap();
        assert!(
            shown.verbs.iter().all(|verb| !verb.changes()),
            "{:?}",
            shown.verbs
        );
        assert!(!shown.attributes.is_empty());
        assert!(
            shown
                .attributes
                .iter()
                .all(|one| !one.creatable && !one.updatable)
        );
    }
}
