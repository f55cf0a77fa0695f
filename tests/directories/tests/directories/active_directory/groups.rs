//! Groups: members that are there already or not at all, and more of them than one answer holds.

use std::sync::Arc;

use portcullis_directories::{Quirks, Samba};
use portcullis_gateway::model::{ObjectClass, Operation, Value};

use super::{Domain, by_name, text};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Samba and root: tests/run directories"]
async fn a_member_joins_and_leaves_however_often_it_is_asked_for() {
    let domain = Domain::new().await;
    domain.make("ada").await;
    domain.make("eve").await;
    domain.make_group("crew").await;
    let member = |operation, name: &str| {
        let values = vec![text(&domain.name(name))];
        domain.update(domain.group("crew"), operation, "member", values)
    };
    let names = |names: &[&str]| {
        names
            .iter()
            .map(|name| text(&domain.name(name)))
            .collect::<Vec<_>>()
    };
    for _ in 0..2 {
        let crew = member(Operation::Add, "ada").await.unwrap();
        assert_eq!(crew.values("member"), names(&["ada"]));
    }
    let crew = member(Operation::Remove, "eve").await.unwrap();
    assert_eq!(crew.values("member"), names(&["ada"]));
    let ada = domain.get(domain.account("ada")).await.unwrap();
    assert_eq!(ada.values("memberOf"), names(&["crew"]));
    for _ in 0..2 {
        let crew = member(Operation::Remove, "ada").await.unwrap();
        assert_eq!(crew.values("member"), []);
    }
    let entry = domain.dn("crew");
    assert_eq!(
        domain.tools().values(&entry, "member"),
        Vec::<String>::new()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Samba and root: tests/run directories"]
async fn more_members_and_entries_than_one_answer_holds_are_all_there() {
    let samba = Arc::new(Samba::populated().await);
    let quirks = Quirks::before(&samba).await;
    let base = Samba::POPULATED;
    for url in [samba.url(), quirks.url()] {
        let domain = Domain::with_base(Arc::clone(&samba), &[url], base, "", String::new());
        let crowd = by_name(ObjectClass::Group, "everybody");
        // The group's name in the domain is made by the controller.
        let groups = domain.all(ObjectClass::Group).await.unwrap();
        let crowd = groups.first().map_or(crowd, |found| {
            by_name(ObjectClass::Group, found.identity.name.as_str())
        });
        let found = domain.get(crowd).await.unwrap();
        let mut members: Vec<_> = found
            .values("member")
            .iter()
            .filter_map(Value::as_text)
            .collect();
        members.sort_unstable();
        members.dedup();
        assert_eq!(members.len(), Samba::POPULATION);
        assert_eq!(members.first(), Some(&"user0000"));
        let all = domain.all(ObjectClass::Account).await.unwrap();
        assert_eq!(all.len(), Samba::POPULATION);
    }
    // Without pages it is more than Windows gives: a part is not taken for all.
    let whole = Domain::with_base(samba, &[quirks.url()], base, "page_size = 0", String::new());
    let refused = super::failure(whole.all_by(ObjectClass::Account, None).await.unwrap_err());
    assert!(refused.message.contains("page_size"), "{}", refused.message);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Samba and root: tests/run directories"]
async fn of_the_whole_domain_the_parts_that_lie_elsewhere_are_not_asked() {
    let domain = Domain::new().await;
    let url = domain.samba.url();
    let samba = Arc::clone(&domain.samba);
    // The controller adds references to its configuration, its schema and its zones.
    let whole = Domain::with_base(samba, &[url], Samba::SUFFIX, "", String::new());
    let found = whole.all(ObjectClass::Account).await.unwrap();
    let names = found.iter().map(|one| one.identity.name.as_str());
    assert!(names.clone().any(|name| name == "Administrator"));
    assert!(names.clone().any(|name| name == "krbtgt"));
}
