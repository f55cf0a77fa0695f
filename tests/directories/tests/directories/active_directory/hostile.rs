//! A directory that lies, breaks off or never ends: the gateway says so, and goes on.

use std::sync::Arc;

use portcullis_directories::{Kind, Quirks, Samba, Trick};
use portcullis_gateway::model::{CallError, FailureKind, ObjectClass};

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
