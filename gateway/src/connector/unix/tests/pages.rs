//! The pages of a search, and what it may hand out over all of them.

use portcullis_proto::gateway::v1 as wire;

use super::bench::*;
use crate::model::{Failure, FailureKind, SearchEvent};

/// What one page finds: names, the next cookie, and the failure that it ends with.
async fn page(bench: &Bench, size: u32, cookie: &[u8]) -> (Vec<String>, Vec<u8>, Option<Failure>) {
    let search = wire::Search {
        object_class: wire::ObjectClass::Account.into(),
        page_size: size,
        cookie: cookie.to_vec(),
        ..wire::Search::default()
    };
    let mut events = bench.provisioner.search(call(Verb::Search(search)));
    let mut names = Vec::new();
    while let Some(event) = events.recv().await {
        match event {
            SearchEvent::Found(object) => names.push(object.identity.name.to_string()),
            SearchEvent::End(cookie, failure) => {
                return (names, cookie.as_bytes().to_vec(), failure);
            }
            listed @ SearchEvent::Listed(_) => panic!("{listed:?}"),
        }
    }
    panic!("the search has no end");
}

#[tokio::test]
async fn a_search_hands_out_no_more_than_allowed_however_it_is_cut_into_pages() {
    let Some(bench) = bench_with("", "max_search_results = 5") else {
        return;
    };
    let accounts = bench.file("etc/passwd").lines().count();
    for n in accounts..5 {
        bench
            .done(Verb::Create(new_account(&format!("user{n}"))))
            .await;
    }
    // As many as are allowed are no more than that.
    for size in [0, 2, 5, 100] {
        let (mut cookie, mut all) = (Vec::new(), 0);
        loop {
            let (names, next, failure) = page(&bench, size, &cookie).await;
            assert!(failure.is_none(), "{size}: {failure:?}");
            all += names.len();
            cookie = next;
            if cookie.is_empty() {
                break;
            }
        }
        assert_eq!(all, 5, "{size}");
    }
    bench.done(Verb::Create(new_account("one-more"))).await;
    for size in [0, 1, 2, 3, 5, 100] {
        let (mut cookie, mut all) = (Vec::new(), 0);
        let failure = loop {
            let (names, next, failure) = page(&bench, size, &cookie).await;
            all += names.len();
            cookie = next;
            if cookie.is_empty() {
                break failure;
            }
        };
        assert_eq!(all, 5, "{size}");
        let failure = failure.unwrap();
        assert_eq!(failure.kind, FailureKind::Refused);
        assert!(
            failure.message.contains("`max_search_results`"),
            "{failure:?}"
        );
    }
}

#[tokio::test]
async fn the_count_of_a_search_is_changed_by_nobody() {
    let rails = "max_search_results = 3";
    let (Some(bench), Some(other)) = (bench_with("", rails), bench_with("", rails)) else {
        return;
    };
    for bench in [&bench, &other] {
        bench.done(Verb::Create(new_account("ada"))).await;
        bench.done(Verb::Create(new_account("bob"))).await;
    }
    let (_, cookie, _) = page(&bench, 1, b"").await;
    for at in 0..cookie.len() {
        let mut changed = cookie.clone();
        changed[at] ^= 1;
        let (names, _, failure) = page(&bench, 1, &changed).await;
        assert!(names.is_empty(), "byte {at}");
        assert_eq!(failure.unwrap().kind, FailureKind::Invalid, "byte {at}");
    }
    // What the connector alone gave out, a piece, and another process's.
    let (_, foreign, _) = page(&other, 1, b"").await;
    for bad in [&cookie[21..], &cookie[..21], &cookie[..1], &foreign] {
        let (_, _, failure) = page(&bench, 1, bad).await;
        assert_eq!(failure.unwrap().kind, FailureKind::Invalid, "{bad:?}");
    }
    assert!(page(&bench, 1, &cookie).await.2.is_none());
}
