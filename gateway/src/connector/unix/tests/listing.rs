//! What a list costs, page by page.

use std::time::{Duration, Instant};

use super::bench::*;
use crate::connectors::unix::files::Stamp;
use portcullis_proto::gateway::v1 as wire;

/// A bench with so many accounts, each with a group of its own.
async fn with_accounts(count: u32) -> Option<Bench> {
    let bench = bench_with("", "max_search_results = 1000000")?;
    let (mut passwd, mut group) = (bench.file("etc/passwd"), bench.file("etc/group"));
    let (mut shadow, mut gshadow) = (bench.file("etc/shadow"), bench.file("etc/gshadow"));
    for id in 2000..2000 + count {
        passwd += &format!("u{id}:x:{id}:{id}:User {id}:/home/u{id}:/bin/sh\n");
        group += &format!("u{id}:x:{id}:u{id},u2000\n");
        shadow += &format!("u{id}:!:19000:0:99999:7::1:\n");
        gshadow += &format!("u{id}:!::u{id},u2000\n");
    }
    for (file, content) in [
        ("etc/passwd", passwd),
        ("etc/group", group),
        ("etc/shadow", shadow),
        ("etc/gshadow", gshadow),
    ] {
        std::fs::write(bench.path(file), content).unwrap();
    }
    bench.settled().await;
    Some(bench)
}

impl Bench {
    /// Waits until the files can be told from later ones by their times.
    async fn settled(&self) {
        while !Stamp::of(&self.path("")).is_settled() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

fn page(cookie: Vec<u8>, size: u32) -> wire::Search {
    wire::Search {
        object_class: wire::ObjectClass::Account.into(),
        page_size: size,
        cookie,
        ..wire::Search::default()
    }
}

#[tokio::test]
async fn a_page_costs_what_it_lists_however_many_accounts_there_are() {
    let Some(bench) = with_accounts(20_000).await else {
        return;
    };
    let mut costs = Vec::new();
    let (mut names, mut cookie) = (0, Vec::new());
    loop {
        let began = Instant::now();
        let (found, next) = bench.search(page(cookie, 500)).await;
        costs.push(began.elapsed());
        names += found.len();
        cookie = next;
        if cookie.is_empty() {
            break;
        }
    }
    assert_eq!(names, 20_003);
    // The first page reads all files. One that read them again, or looked at what was listed
    // already, would cost as much.
    let first = costs.remove(0);
    costs.sort();
    let median = costs[costs.len() / 2];
    assert!(median * 4 < first, "first {first:?}, then {median:?}");
}

#[tokio::test]
async fn pages_go_by_what_the_files_hold_now() {
    let Some(bench) = with_accounts(10).await else {
        return;
    };
    let (first, cookie) = bench.search(page(Vec::new(), 5)).await;
    assert_eq!(first.len(), 5);
    // In place, and of the same length: only the times of the file tell.
    let passwd = bench.file("etc/passwd").replace("u2009:x", "v2009:x");
    std::fs::write(bench.path("etc/passwd"), passwd).unwrap();
    let (second, _) = bench.search(page(cookie, 100)).await;
    assert!(second.contains(&"v2009".to_owned()), "{second:?}");
    assert!(!second.contains(&"u2009".to_owned()), "{second:?}");
}
