//! A directory that lies, breaks off or never ends: the gateway says so, and goes on.

use std::sync::Arc;

use ldap3_proto::proto::LdapResultCode;
use portcullis_directories::{Kind, Quirks, Samba, Trick};
use portcullis_gateway::model::{CallError, FailureKind, ObjectClass, Operation};

use super::{Domain, context};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Samba and root: tests/run directories"]
async fn nothing_that_it_answers_to_a_search_ends_the_gateway_or_is_believed() {
    let samba = Samba::shared().await;
    let quirks = Quirks::before(&samba).await;
    let more = "answer_timeout = \"3s\"";
    let domain = Domain::at(Arc::clone(&samba), &[quirks.url()], more);
    domain.make("ada").await;
    for trick in [
        Trick::CutBeforeForwarding,
        Trick::CutBeforeAnswer,
        Trick::Nested,
        Trick::Endless,
        Trick::Notice,
        Trick::Empty,
        Trick::Late,
        Trick::Latin1,
        Trick::Referral("ldaps://evil.example.test".to_owned()),
    ] {
        // Reads are repeated once on a new connection: it has to be the same there.
        quirks.keep_playing(Kind::Search, trick.clone());
        let refused = domain.get(domain.account("ada")).await;
        let Err(CallError::Failed(failure)) = refused else {
            panic!("{trick:?}: {refused:?}");
        };
        assert_ne!(
            failure.kind,
            FailureKind::NotFound,
            "{trick:?}: {}",
            failure.message
        );
        quirks.behave();
        domain
            .get(domain.account("ada"))
            .await
            .unwrap_or_else(|error| panic!("{trick:?}: {error:?}"));
    }
    quirks.release();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Samba and root: tests/run directories"]
async fn a_change_whose_answer_makes_no_sense_is_never_called_failed() {
    let samba = Samba::shared().await;
    let quirks = Quirks::before(&samba).await;
    let domain = Domain::at(
        Arc::clone(&samba),
        &[quirks.url()],
        "answer_timeout = \"3s\"",
    );
    for (place, trick) in [
        Trick::CutBeforeForwarding,
        Trick::CutBeforeAnswer,
        Trick::Nested,
        Trick::Endless,
        Trick::Notice,
        Trick::Empty,
        Trick::Late,
    ]
    .into_iter()
    .enumerate()
    {
        quirks.play(Kind::Add, trick.clone());
        let create = domain.create(ObjectClass::Account, &format!("a{place}"));
        let lost = domain.connector.create(&context(), create).await;
        assert!(
            matches!(lost, Err(CallError::Indeterminate(_))),
            "{trick:?}: {lost:?}"
        );
    }
    quirks.release();
    // What it refuses in words that are no UTF-8 is refused all the same.
    quirks.play(Kind::Add, Trick::Latin1);
    let create = domain.create(ObjectClass::Account, "b");
    let refused = super::failure(
        domain
            .connector
            .create(&context(), create)
            .await
            .unwrap_err(),
    );
    assert_eq!(refused.kind, FailureKind::Denied, "{}", refused.message);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Samba and root: tests/run directories"]
async fn pages_that_lie_or_never_end_are_no_result() {
    let samba = Samba::shared().await;
    let quirks = Quirks::before(&samba).await;
    let domain = Domain::at(Arc::clone(&samba), &[quirks.url()], "page_size = 2");
    for name in ["ada", "bea", "cleo", "dora", "eve"] {
        domain.make(name).await;
    }
    quirks.keep_playing(Kind::Search, Trick::Count(2));
    assert_eq!(domain.all(ObjectClass::Account).await.unwrap().len(), 5);
    quirks.behave();
    quirks.keep_playing(Kind::Search, Trick::SameCookie);
    let refused = super::failure(domain.all(ObjectClass::Account).await.unwrap_err());
    assert!(
        refused.message.contains("repeats itself"),
        "{}",
        refused.message
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Samba and root: tests/run directories"]
async fn a_connection_that_it_has_forgotten_costs_a_read_nothing_and_a_change_is_not_repeated() {
    let samba = Samba::shared().await;
    let quirks = Quirks::before(&samba).await;
    let domain = Domain::at(Arc::clone(&samba), &[quirks.url()], "");
    domain.make("ada").await;
    let unbound = Trick::Answer(
        LdapResultCode::OperationsError,
        "000004DC: LdapErr: DSID-0C090CF4, comment: In order to perform this operation a successful bind must be completed on the connection., data 0, v4563".to_owned(),
    );
    quirks.play(Kind::Search, unbound.clone());
    domain.get(domain.account("ada")).await.unwrap();
    let busy = "000020EF: SvcErr: DSID-03140000, problem 5001 (BUSY), data 0";
    let busy = Trick::Answer(LdapResultCode::Busy, busy.to_owned());
    for (trick, kind) in [
        (unbound, FailureKind::Unavailable),
        (busy, FailureKind::Busy),
    ] {
        quirks.play(Kind::Add, trick);
        let adds = quirks.requests(Kind::Add);
        let create = domain.create(ObjectClass::Account, "eve");
        let refused = domain.connector.create(&context(), create).await;
        let refused = super::failure(refused.unwrap_err());
        assert_eq!(refused.kind, kind, "{}", refused.message);
        assert_eq!(quirks.requests(Kind::Add), adds + 1);
        assert_eq!(domain.tools().entry(&domain.dn("eve"), &["1.1"]), None);
    }
    domain.make("eve").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Samba and root: tests/run directories"]
async fn a_search_whose_place_it_has_dropped_is_begun_again() {
    let samba = Samba::shared().await;
    let quirks = Quirks::before(&samba).await;
    let domain = Domain::at(Arc::clone(&samba), &[quirks.url()], "page_size = 2");
    domain.make("ada").await;
    for group in ["one", "two", "three"] {
        domain.make_group(group).await;
        let ada = vec![super::text(&domain.name("ada"))];
        let joined = domain.update(domain.group(group), Operation::Add, "member", ada);
        joined.await.unwrap();
    }
    // Which groups an account is in is the gateway's own search: it begins again by itself.
    quirks.play(Kind::Search, Trick::DroppedCookie);
    let ada = domain.get(domain.account("ada")).await.unwrap();
    assert_eq!(ada.values("memberOf").len(), 3, "{ada:?}");
    // What was handed on already cannot be taken back: whoever searches begins again.
    quirks.play(Kind::Search, Trick::DroppedCookie);
    let refused = super::failure(domain.all(ObjectClass::Group).await.unwrap_err());
    assert_eq!(refused.kind, FailureKind::Unavailable);
    assert!(
        refused.message.contains("begin it again"),
        "{}",
        refused.message
    );
    assert_eq!(domain.all(ObjectClass::Group).await.unwrap().len(), 3);
}
