//! The journal of a real process: killed in mid-call, damaged, put back.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that fails has to say so"
)]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis_common::id::KeyKind;
use portcullis_proto::gateway::v1 as wire;
use support::server::{Link, Server, master_key, token};
use support::{Gateway, PATIENCE, PROGRAM, Site};
use wire::outcome::Result as Came;

/// A gateway with a script connector on one object, in the file `there`.
struct Bench {
    site: Site,
    server: Server,
}

const ADA: &str = r#"{"object": {"id": "7", "name": "ada", "enabled": true, "attributes": {}}}"#;
const EVE: &str = r#"{"object": {"id": "7", "name": "eve", "enabled": true, "attributes": {}}}"#;

impl Bench {
    async fn new() -> (Self, Gateway) {
        let site = Site::listening();
        let folder = site.path().join("scripts");
        fs::create_dir(&folder).unwrap();
        script(
            &folder,
            "get",
            "if [ -e there ]; then cat there; else echo '{\"error\": {\"kind\": \"not-found\"}}'; fi",
        );
        script(
            &folder,
            "delete",
            "echo $$ >> ran\n. ./fate\ntouch begun\nuntil [ -e go ]; do sleep 0.02; done",
        );
        fs::write(folder.join("there"), ADA).unwrap();
        let config = fs::read_to_string(site.config()).unwrap();
        let connector = format!("[connectors.hr]\ntype = \"script\"\nfolder = {folder:?}\n");
        fs::write(site.config(), config + &connector).unwrap();
        let token = token();
        site.done("enroll", &token.to_text());
        let gateway = site.run();
        let mut server = Server::of(&token);
        let key = master_key(KeyKind::Tdes);
        let link = server.dial(gateway.address).await.unwrap();
        link.install(&key).await.unwrap();
        server.keys = vec![key];
        server.dial(gateway.address).await.unwrap();
        (Self { site, server }, gateway)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.site.path().join("scripts").join(name)
    }

    async fn link(&self, gateway: &Gateway) -> Link {
        self.server.dial(gateway.address).await.unwrap()
    }

    /// How often the script was run.
    fn runs(&self) -> usize {
        fs::read_to_string(self.file("ran")).map_or(0, |ran| ran.lines().count())
    }

    async fn until_begun(&self) {
        let began = Instant::now();
        while !self.file("begun").exists() {
            assert!(began.elapsed() < PATIENCE, "not begun");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Drop for Bench {
    /// What the gateway left running ends.
    fn drop(&mut self) {
        let _ = fs::write(self.file("go"), "");
    }
}

fn script(folder: &Path, name: &str, body: &str) {
    let path = folder.join(name);
    fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn object() -> Option<wire::ObjectRef> {
    Some(wire::ObjectRef {
        object_class: wire::ObjectClass::Account.into(),
        by: Some(wire::object_ref::By::Name("ada".into())),
        ..wire::ObjectRef::default()
    })
}

fn delete(look: bool) -> wire::Call {
    wire::Call {
        call_id: "leave-4711".into(),
        connector: "hr".into(),
        look,
        verb: Some(wire::call::Verb::Delete(wire::Delete { object: object() })),
        ..wire::Call::default()
    }
}

fn get() -> wire::Call {
    wire::Call {
        call_id: "look-at".into(),
        connector: "hr".into(),
        verb: Some(wire::call::Verb::Get(wire::Get {
            object: object(),
            attribute_names: Vec::new(),
        })),
        ..wire::Call::default()
    }
}

async fn answer(link: &Link, call: wire::Call) -> String {
    match link.execute(call).await.unwrap().result.unwrap() {
        Came::Done(_) => "done".to_owned(),
        Came::Failed(failure) => format!("{:?}", failure.kind()),
        Came::Indeterminate(why) if why.look_again => "look again".to_owned(),
        Came::Indeterminate(why) => why.evidence.join("; "),
    }
}

async fn journal(link: &Link) -> wire::JournalInfo {
    let request = wire::DescribeRequest { acknowledges: true };
    let answer = link.control().describe(request).await.unwrap();
    answer.into_inner().journal.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_gateway_had_begun_is_found_by_looking() {
    for (fate, expected) in [
        ("rm there", "done"),
        (":", "NotBegun"),
        (
            "cp other there",
            "before the call: there = yes; before the call: id = 7; before the call: name = ada; its id is that of `eve` now",
        ),
    ] {
        let (bench, gateway) = Bench::new().await;
        fs::write(bench.file("fate"), fate).unwrap();
        fs::write(bench.file("other"), EVE).unwrap();
        let link = Arc::new(bench.link(&gateway).await);
        let before = journal(&link).await;
        let calling = tokio::spawn(async move { link.execute(delete(false)).await });
        bench.until_begun().await;
        gateway.kill();
        assert!(calling.await.unwrap().is_err());
        let shown = bench.site.done("journal show", "");
        assert!(
            shown.contains("leave-4711: delete account `ada`"),
            "{shown}"
        );

        let gateway = bench.site.run();
        let link = bench.link(&gateway).await;
        let info = journal(&link).await;
        assert_eq!(info.incarnation, before.incarnation);
        assert!(info.sequence > before.sequence);
        let request = wire::FinishedRequest {
            call_ids: vec!["leave-4711".into()],
        };
        let found = link.control().finished(request).await.unwrap().into_inner();
        assert!(found.calls[0].unseen, "{found:?}");
        assert_eq!(answer(&link, delete(true)).await, expected);
        assert_eq!(answer(&link, delete(false)).await, expected);
        assert_eq!(bench.runs(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_was_looked_for_in_vain_is_never_begun() {
    let (bench, gateway) = Bench::new().await;
    let link = bench.link(&gateway).await;
    assert_eq!(answer(&link, delete(true)).await, "NotBegun");
    assert_eq!(answer(&link, delete(false)).await, "NotBegun");
    gateway.kill();
    let gateway = bench.site.run();
    let link = bench.link(&gateway).await;
    assert_eq!(answer(&link, delete(false)).await, "NotBegun");
    let mut old = delete(true);
    old.call_id = "before-the-journal".into();
    old.accepted_ms_ago = 3_600_000;
    assert_eq!(answer(&link, old).await, "Forgotten");
    assert_eq!(bench.runs(), 0);
}

/// A limit of the system on the size of a file stands for a disk without room.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_room_on_the_disk_changes_are_refused_and_nothing_is_lost() {
    let (bench, gateway) = Bench::new().await;
    fs::write(bench.file("fate"), ":").unwrap();
    fs::write(bench.file("go"), "").unwrap();
    gateway.stop();
    let mut command = Command::new("sh");
    let limited = "trap '' XFSZ; ulimit -f 8; exec \"$@\"";
    command.args(["-c", limited, "sh", PROGRAM, "--config"]);
    command.arg(bench.site.config()).arg("run");
    let gateway = Gateway::start(command);
    let link = bench.link(&gateway).await;
    let numbered = |number: usize, look| wire::Call {
        call_id: format!("leave-{number}"),
        ..delete(look)
    };
    let mut number = 0;
    while answer(&link, numbered(number, false)).await == "done" {
        number += 1;
    }
    assert_eq!(answer(&link, numbered(number, false)).await, "Busy");
    assert!((1..200).contains(&number), "{number}");
    assert_eq!(answer(&link, get()).await, "done");
    for number in 0..number {
        assert_eq!(answer(&link, numbered(number, true)).await, "done");
    }
    assert_eq!(bench.runs(), number);
    gateway.kill();
    let gateway = bench.site.run();
    let link = bench.link(&gateway).await;
    assert_eq!(answer(&link, numbered(0, true)).await, "done");
    assert_eq!(answer(&link, numbered(number, false)).await, "done");
    assert_eq!(bench.runs(), number + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_journal_stops_changes_until_it_is_accepted() {
    let (bench, gateway) = Bench::new().await;
    fs::write(bench.file("fate"), "rm there").unwrap();
    fs::write(bench.file("go"), "").unwrap();
    let link = bench.link(&gateway).await;
    assert_eq!(answer(&link, delete(false)).await, "done");
    fs::write(bench.file("there"), ADA).unwrap();
    let sound = journal(&link).await;
    assert_eq!(sound.fault, "");
    gateway.stop();
    let file = bench.site.state_dir().join("journal");
    let mut bytes = fs::read(&file).unwrap();
    bytes[100] ^= 1;
    fs::write(&file, &bytes).unwrap();
    let refused = bench.site.refused("validate", "");
    assert!(
        refused.contains("portcullis-gateway journal accept"),
        "{refused}"
    );

    let gateway = bench.site.run();
    let link = bench.link(&gateway).await;
    assert!(journal(&link).await.fault.contains("journal accept"));
    let mut other = delete(false);
    other.call_id = "leave-4712".into();
    assert_eq!(answer(&link, other.clone()).await, "Unavailable");
    assert_eq!(answer(&link, get()).await, "done");
    // Nobody writes it under a running gateway.
    bench.site.refused("journal accept", "");
    gateway.stop();
    bench.site.done("journal accept", "");
    let gateway = bench.site.run();
    let link = bench.link(&gateway).await;
    let accepted = journal(&link).await;
    assert_eq!(accepted.fault, "");
    assert_ne!(accepted.incarnation, sound.incarnation);
    assert_eq!(answer(&link, other).await, "done");
    assert_eq!(bench.runs(), 2);
}
