//! Several controllers: those that are silent, one that has not heard of what is new, and what
//! becomes of a change of which no answer came.

use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis_directories::{Kind, Quirks, Samba, Trick, loopback_address};
use portcullis_gateway::model::{CallError, Look, ObjectClass, ObjectName, Request};
use portcullis_tests::harness::eventually;
use tokio::net::TcpListener;

use super::{Domain, context, context_of};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Samba and root: tests/run directories"]
async fn one_controller_that_answers_is_found_among_a_hundred() {
    let samba = Samba::shared().await;
    let address = loopback_address();
    // They take connections, and nothing ever answers.
    let mut silent = Vec::new();
    let mut urls = Vec::new();
    for _ in 0..99 {
        let listener = TcpListener::bind((address, 0)).await.unwrap();
        urls.push(format!("ldaps://{}", listener.local_addr().unwrap()));
        silent.push(listener);
    }
    urls.push(samba.url());
    let domain = Domain::at(samba, &urls, "connect_timeout = \"20s\"");
    let began = Instant::now();
    domain.make("ada").await;
    assert!(
        began.elapsed() < Duration::from_secs(30),
        "{:?}",
        began.elapsed()
    );
    let again = Instant::now();
    domain.get(domain.account("ada")).await.unwrap();
    assert!(
        again.elapsed() < Duration::from_secs(5),
        "it stays with the one that answers"
    );
}

/// Windows answers some twenty queries at once (MaxActiveQueries), and ends a connection on which
/// nothing was asked for a quarter of an hour (MaxConnIdleTime).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Samba and root: tests/run directories"]
async fn a_controller_is_asked_on_few_connections_none_of_which_grows_old() {
    let samba = Samba::shared().await;
    let quirks = Quirks::before(&samba).await;
    let domain = Domain::at(samba, &[quirks.url()], "connections = 4");
    domain.make("ada").await;
    let asking = (0..40).map(|_| domain.get(domain.account("ada")));
    for found in futures_util::future::join_all(asking).await {
        found.unwrap();
    }
    let opened = quirks.connections();
    // A fourth part of them is for calls that have one already.
    assert!((2..=5).contains(&opened), "{opened}");
    let domain = domain.again(&[quirks.url()], "max_age = \"1s\"");
    eventually("a connection to be too old", async || {
        domain.get(domain.account("ada")).await.unwrap();
        (quirks.connections() >= opened + 2).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Samba and root: tests/run directories"]
async fn a_change_without_an_answer_is_looked_at_on_the_same_controller() {
    let samba = Samba::shared().await;
    let quirks = Quirks::before(&samba).await;
    for marker in ["", "marker = \"adminDescription\""] {
        let domain = Domain::at(Arc::clone(&samba), &[quirks.url()], marker);
        for (trick, done) in [
            (Trick::CutBeforeForwarding, false),
            (Trick::CutBeforeAnswer, true),
        ] {
            let request = domain.create_request("ada");
            let cx = context_of("the-call");
            let before = domain.connector.evidence(&cx, &request).await.unwrap();
            quirks.play(Kind::Add, trick.clone());
            let create = domain.create(ObjectClass::Account, "ada");
            let lost = domain.connector.create(&cx, create).await;
            assert!(matches!(lost, Err(CallError::Indeterminate(_))), "{lost:?}");
            let look = domain.connector.look(&cx, &request, &before).await.unwrap();
            match (&look, done) {
                (Look::Done(_), true) | (Look::NotBegun, false) => {}
                // Without a marker a password can be tried, and nothing else is certain.
                _ => panic!("{trick:?} {marker}: {look:?}"),
            }
        }
    }
}

/// The entry has its new name, and the account the old one: of that, something has changed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Samba and root: tests/run directories"]
async fn a_rename_that_did_one_of_two_things_is_not_taken_for_not_begun() {
    let samba = Samba::shared().await;
    let quirks = Quirks::before(&samba).await;
    let domain = Domain::at(samba, &[quirks.url()], "");
    domain.make("ada").await;
    let new_name = ObjectName::new(domain.name("eve")).unwrap();
    let request = Request::Rename(domain.account("ada"), new_name.clone());
    let before = domain.connector.evidence(&context(), &request).await;
    let before = before.unwrap();
    let connector = &domain.connector;
    for (kind, half) in [(Kind::ModifyDn, false), (Kind::Modify, true)] {
        quirks.play(kind, Trick::CutBeforeForwarding);
        let cx = context();
        let rename = connector.rename(&cx, domain.account("ada"), new_name.clone());
        let lost = rename.await;
        assert!(matches!(lost, Err(CallError::Indeterminate(_))), "{lost:?}");
        let look = domain.connector.look(&context(), &request, &before).await;
        match look.unwrap() {
            Look::NotBegun if !half => {}
            Look::Unclear(seen) if half => assert!(seen.concat().contains("rename it again")),
            look => panic!("{kind:?}: {look:?}"),
        }
    }
    connector
        .rename(&context(), domain.account("ada"), new_name)
        .await
        .unwrap();
    let look = connector.look(&context(), &request, &before).await.unwrap();
    assert!(matches!(look, Look::Done(_)), "{look:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Samba and root: tests/run directories"]
async fn a_deletion_is_proved_by_what_is_left_and_absence_proves_nothing_elsewhere() {
    let mut first = Samba::start().await;
    let stale = first.stale().await;
    let urls = [first.url(), stale.url()];
    // Both have the unit.
    let url = first.url();
    let unit = format!("OU=people,{}", Samba::SUFFIX);
    for samba in [&first, &stale] {
        let ldif = format!("dn: {unit}\nobjectClass: organizationalUnit\n");
        samba.tools().apply(&ldif);
    }
    let stale = Arc::new(stale);
    let domain = Domain::with_base(Arc::clone(&stale), &urls, &unit, "", "x".to_owned());
    let cx = context();
    domain.make("ada").await;
    domain.make("eve").await;
    let delete = Request::Delete(domain.account("ada"));
    let before = domain.connector.evidence(&cx, &delete).await.unwrap();
    let create = domain.create_request("new");
    let before_create = domain.connector.evidence(&cx, &create).await.unwrap();
    assert!(
        before
            .facts
            .iter()
            .any(|(name, value)| name == "server" && *value == url),
        "{before:?}"
    );
    domain
        .connector
        .delete(&cx, domain.account("ada"))
        .await
        .unwrap();
    let look = domain.connector.look(&cx, &delete, &before).await.unwrap();
    assert!(matches!(look, Look::Done(_)), "{look:?}");
    first.kill();
    for (request, before) in [(&delete, &before), (&create, &before_create)] {
        let look = domain.connector.look(&cx, request, before).await.unwrap();
        assert!(matches!(look, Look::Unclear(_)), "{look:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Samba and root: tests/run directories"]
async fn a_controller_without_names_in_its_certificate_is_trusted_by_its_fingerprint() {
    let domain = Domain::new().await;
    let said = domain.connector.test(&context()).await.unwrap();
    let pin = said.rsplit(' ').next().unwrap();
    assert_eq!(pin.trim_end_matches('.').len(), 64, "{said}");
    let more = format!("certificate_sha256 = [\"{}\"]", pin.trim_end_matches('.'));
    let pinned = domain.again(&[domain.samba.url()], &more);
    pinned.connector.test(&context()).await.unwrap();
    let other = format!("certificate_sha256 = [\"{}\"]", "0".repeat(64));
    let other = domain.again(&[domain.samba.url()], &other);
    let refused = super::failure(other.connector.test(&context()).await.unwrap_err());
    assert!(
        refused.message.contains("certificate"),
        "{}",
        refused.message
    );
}
