//! A gateway in processes: the one that faces the servers, and its two workers, as real processes.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that fails has to say so"
)]

mod support;

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use portcullis_common::calls::Answer as Heard;
use portcullis_common::handshake::{CallPlace, Way};
use portcullis_common::id::KeyKind;
use portcullis_proto::gateway::v1 as wire;
use portcullis_proto::worker::v1::answer::What as Answered;
use portcullis_proto::worker::v1::order::What;
use portcullis_proto::worker::v1::{Answer, Describe, Order};
use prost::Message as _;
use support::server::{Calls, Link, Server, master_key, token};
use support::{Gateway, PATIENCE, Site, free_address};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _};
use wire::call::Verb;
use wire::outcome::Result as Came;

/// Nobody on this host.
const FRONT: u32 = 47_110;
const NETWORKED: u32 = 47_111;

/// A gateway in processes. Both workers have a script connector on one object, in the file
/// `there` of its own folder: `host` is the privileged one's, `web` the other's.
struct Bench {
    site: Site,
    server: Server,
    front: u32,
}

const ADA: &str = r#"{"object": {"id": "7", "name": "ada", "enabled": true, "attributes": {}}}"#;

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

impl Bench {
    /// Root has each process run as a user of its own.
    async fn new() -> (Self, Worker, Worker, Gateway) {
        Self::with("").await
    }

    /// The same, with these sections in the configuration.
    async fn with(sections: &str) -> (Self, Worker, Worker, Gateway) {
        let front = if is_root() { FRONT } else { own() };
        let (mut bench, privileged, networked) = Self::with_workers(front, sections);
        let token = token();
        bench.site.done("enroll", &token.to_text());
        let gateway = bench.run();
        let mut server = Server::of(&token);
        let key = master_key(KeyKind::Tdes);
        let link = server.dial(gateway.address).await.unwrap();
        link.install(&key).await.unwrap();
        server.keys = vec![key];
        server.dial(gateway.address).await.unwrap();
        bench.server = server;
        (bench, privileged, networked, gateway)
    }

    /// The workers alone, for a gateway that runs as this user.
    fn with_workers(front: u32, sections: &str) -> (Self, Worker, Worker) {
        let site = Site::listening();
        let bench = Self {
            server: Server::of(&token()),
            site,
            front,
        };
        let root = bench.site.path().to_owned();
        fs::set_permissions(&root, fs::Permissions::from_mode(0o755)).unwrap();
        let networked = if is_root() { NETWORKED } else { own() };
        for (folder, mode, owner) in [
            ("state", 0o700, front),
            ("run-privileged", 0o755, own()),
            ("run-networked", 0o755, networked),
            ("state-privileged", 0o700, own()),
            ("state-networked", 0o700, networked),
            ("host", 0o755, own()),
            ("web", 0o755, own()),
            ("data", 0o755, networked),
        ] {
            let path = root.join(folder);
            fs::DirBuilder::new().mode(mode).create(&path).unwrap();
            chown(&path, Some(owner), Some(owner)).unwrap();
        }
        let get = "if [ -e there ]; then cat there; else echo '{\"error\": {\"kind\": \"not-found\"}}'; fi";
        for folder in ["host", "web"] {
            bench.script(folder, "get", get);
            fs::write(root.join(folder).join("there"), ADA).unwrap();
        }
        bench.script(
            "web",
            "search",
            "echo '{\"objects\": [{\"id\": \"7\", \"name\": \"ada\", \"attributes\": {}}]}'",
        );
        bench.script(
            "host",
            "delete",
            "echo $$ >> ran\n[ ! -e fate ] || . ./fate\ntouch begun\nuntil [ -e go ]; do sleep 0.02; done",
        );
        bench.script("host", "set-password", "cat > password");
        bench.script("host", "run-who", "id -u > who; echo '{}'");
        let mut config = fs::read_to_string(bench.site.config()).unwrap();
        config += &format!("{sections}\n[workers]\nuser = \"{front}\"\n");
        for kind in ["privileged", "networked"] {
            let (socket, state) = (bench.socket(kind), root.join(format!("state-{kind}")));
            config += &format!("[workers.{kind}]\nsocket = {socket:?}\nstate_dir = {state:?}\n");
        }
        for (name, kind) in [("host", "privileged"), ("web", "networked")] {
            let folder = root.join(name);
            config += &format!(
                "[connectors.{name}]\ntype = \"script\"\nworker = \"{kind}\"\nfolder = {folder:?}\n[connectors.{name}.guard_rails]\nprotected_accounts = [\"eve\"]\n"
            );
        }
        fs::write(bench.site.config(), config).unwrap();
        let privileged = bench.worker("privileged");
        let networked = bench.worker("networked");
        (bench, privileged, networked)
    }

    fn socket(&self, kind: &str) -> PathBuf {
        self.site.path().join(format!("run-{kind}")).join("socket")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.site.path().join("host").join(name)
    }

    fn script(&self, folder: &str, name: &str, body: &str) {
        let path = self.site.path().join(folder).join(name);
        fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Starts the process that faces the servers.
    fn run(&self) -> Gateway {
        let mut command = self.site.command("run");
        if is_root() {
            command.gid(self.front).uid(self.front);
        }
        Gateway::start(command)
    }

    /// Starts a worker, and waits until it serves.
    fn worker(&self, kind: &str) -> Worker {
        let mut command = self.site.command(&format!("worker --kind {kind}"));
        if is_root() && kind == "networked" {
            command.gid(self.front).uid(NETWORKED);
        }
        let mut worker = Worker::start(command);
        worker.wait_for("serving on");
        worker
    }

    async fn link(&self, gateway: &Gateway) -> Link {
        self.server.dial(gateway.address).await.unwrap()
    }

    /// How often the script of `delete` was run.
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
    /// What a worker left running ends.
    fn drop(&mut self) {
        let _ = fs::write(self.file("go"), "");
    }
}

fn own() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// A running worker; killed when dropped.
struct Worker {
    child: Child,
    lines: Receiver<String>,
}

impl Worker {
    fn start(mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let stderr = child.stderr.take().unwrap();
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child, lines }
    }

    /// Waits for a line of its log that holds `text`.
    #[track_caller]
    fn wait_for(&mut self, text: &str) {
        let mut log = Vec::new();
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) if line.contains(text) => return,
                Ok(line) => log.push(line),
                Err(_) => panic!("no line with {text:?} in its log: {log:?}"),
            }
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn object(name: &str) -> Option<wire::ObjectRef> {
    Some(wire::ObjectRef {
        object_class: wire::ObjectClass::Account.into(),
        by: Some(wire::object_ref::By::Name(name.into())),
        ..wire::ObjectRef::default()
    })
}

fn call(id: &str, connector: &str, verb: Verb) -> wire::Call {
    wire::Call {
        call_id: id.into(),
        connector: connector.into(),
        verb: Some(verb),
        ..wire::Call::default()
    }
}

fn get(connector: &str) -> wire::Call {
    let verb = Verb::Get(wire::Get {
        object: object("ada"),
        attribute_names: Vec::new(),
    });
    call("look-at", connector, verb)
}

fn delete(look: bool) -> wire::Call {
    let verb = Verb::Delete(wire::Delete {
        object: object("ada"),
    });
    wire::Call {
        look,
        ..call("leave-4711", "host", verb)
    }
}

fn came(outcome: wire::Outcome) -> String {
    match outcome.result.unwrap() {
        Came::Done(_) => "done".to_owned(),
        Came::Failed(failure) => format!("{:?}: {}", failure.kind(), failure.message),
        Came::Indeterminate(why) if why.look_again => format!("look again: {}", why.message),
        Came::Indeterminate(why) => format!("unknown: {}", why.message),
    }
}

async fn answer(link: &Link, call: wire::Call) -> String {
    came(link.execute(call).await.unwrap())
}

async fn described(link: &Link) -> wire::DescribeResponse {
    let request = wire::DescribeRequest { acknowledges: true };
    link.control().describe(request).await.unwrap().into_inner()
}

/// The effective capabilities of a process.
fn capabilities(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    u64::from_str_radix(line.unwrap().trim(), 16).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_go_through_both_workers_while_what_faces_the_servers_has_no_privilege() {
    let (bench, privileged, networked, gateway) = Bench::new().await;
    if is_root() {
        assert_eq!(capabilities(gateway.pid()), 0);
        assert_eq!(capabilities(networked.child.id()), 0);
        assert_ne!(capabilities(privileged.child.id()), 0);
    }
    let link = bench.link(&gateway).await;
    let before = described(&link).await;
    let names: Vec<_> = before.connectors.iter().map(|info| &*info.name).collect();
    assert_eq!(names, ["host", "web"]);
    assert!(before.connectors.iter().all(|info| info.faults.is_empty()));
    assert_eq!(answer(&link, get("host")).await, "done");
    assert_eq!(answer(&link, get("web")).await, "done");
    let unknown = answer(&link, get("nowhere")).await;
    assert!(
        unknown.contains("host") && unknown.contains("web"),
        "{unknown}"
    );

    let id = "password-1";
    let place = CallPlace {
        way: Way::Call,
        number: 0,
        call_id: id,
    };
    let password = link.seal(place, b"Correct-Horse-7");
    let verb = Verb::SetPassword(wire::SetPassword {
        object: object("ada"),
        password: Some(password),
    });
    assert_eq!(answer(&link, call(id, "host", verb)).await, "done");
    let given = fs::read_to_string(bench.file("password")).unwrap();
    assert!(given.contains("Correct-Horse-7"), "{given}");
    // Each worker's journal counts, and the guard rails are the worker's.
    let after = described(&link).await.journal.unwrap();
    let before = before.journal.unwrap();
    assert_eq!(after.incarnation, before.incarnation);
    assert!(after.sequence > before.sequence);
    let protected = Verb::Delete(wire::Delete {
        object: object("eve"),
    });
    let refused = answer(&link, call("eve-1", "host", protected)).await;
    assert!(refused.starts_with("Refused"), "{refused}");

    let another = bench.link(&gateway).await;
    let mut calls = Calls::open(&another.channel).await.unwrap();
    let search = Verb::Search(wire::Search {
        object_class: wire::ObjectClass::Account.into(),
        ..wire::Search::default()
    });
    let number = calls.send(&call("search-1", "web", search)).await.unwrap();
    let item = calls.next(number).await.unwrap();
    assert!(matches!(item, Heard::Item(_)), "{item:?}");
    let Heard::End(end) = calls.next(number).await.unwrap() else {
        panic!("no end");
    };
    let end = wire::SearchItem::decode(end).unwrap();
    let Some(wire::search_item::Kind::End(end)) = end.kind else {
        panic!("{end:?}");
    };
    assert_eq!(end.failure, None);

    let status = bench.site.done("status", "");
    assert!(status.contains("privileged running"), "{status}");
    assert!(!bench.site.state_dir().join("journal").exists());
    let shown = bench.site.done("journal show --worker privileged", "");
    assert!(shown.contains("1 call in"), "{shown}");
    let which = bench.site.refused("journal show", "");
    assert!(which.contains("--worker networked"), "{which}");
}

/// Speaks as the process that faces the servers, which somebody has broken.
struct Broken(UnixStream);

impl Broken {
    fn at(bench: &Bench) -> Self {
        let stream = UnixStream::connect(bench.socket("privileged")).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(stream)
    }

    fn says(&mut self, bytes: &[u8]) {
        // It may have been turned away already.
        let _ = self.0.write_all(bytes);
    }

    /// What is answered; `None`: nothing.
    fn hears(&mut self) -> Option<Answered> {
        let mut bytes = Vec::new();
        // A connection that was turned away may be reset.
        let _ = self.0.read_to_end(&mut bytes);
        let message = bytes.get(4..)?;
        Answer::decode(message).unwrap().what
    }

    fn orders(bench: &Bench, order: &Order) -> Option<Answered> {
        let mut broken = Self::at(bench);
        broken.says(&framed(&order.encode_to_vec()));
        broken.hears()
    }
}

fn framed(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap();
    [&length.to_be_bytes(), bytes].concat()
}

fn order(what: What) -> Order {
    Order {
        version: env!("CARGO_PKG_VERSION").into(),
        instance: "default".into(),
        server_id: vec![7; 16],
        what: Some(what),
        ..Order::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_breaks_what_faces_the_servers_passes_no_guard_rail_and_names_no_command() {
    let (bench, mut privileged, _networked) = Bench::with_workers(own(), "");
    let outcome = |call| match Broken::orders(&bench, &order(What::Call(call))) {
        Some(Answered::Outcome(outcome)) => came(outcome),
        other => panic!("{other:?}"),
    };
    assert_eq!(outcome(get("host")), "done");
    let of = |name: &str| {
        Verb::Delete(wire::Delete {
            object: object(name),
        })
    };
    let run = |action: &str| {
        Verb::Run(wire::Run {
            action: action.into(),
            arguments: Vec::new(),
        })
    };
    for (connector, verb, expected) in [
        ("host", of("eve"), "Refused"),
        // Nobody else's connector either.
        ("web", of("ada"), "NotFound"),
        ("../../bin/sh", of("ada"), "Invalid"),
        ("host", run("../../../bin/sh"), "Invalid"),
        ("host", run("sh -c id"), "Invalid"),
        ("host", run("sh"), "NotFound"),
    ] {
        let came = outcome(call("broken", connector, verb.clone()));
        assert!(came.starts_with(expected), "{connector} {verb:?}: {came}");
    }
    assert_eq!(bench.runs(), 0);

    let refused = |order: &Order| match Broken::orders(&bench, order) {
        Some(Answered::Refused(refusal)) => refusal.message,
        other => panic!("{other:?}"),
    };
    let describe = || order(What::Describe(Describe {}));
    for (order, expected) in [
        (
            Order {
                version: "0.0.1".into(),
                ..describe()
            },
            "restart both",
        ),
        (
            Order {
                instance: "two".into(),
                ..describe()
            },
            "sockets of its own",
        ),
        (
            Order {
                server_id: vec![7; 3],
                ..describe()
            },
            "no id of a server",
        ),
        (
            Order {
                server_id: Vec::new(),
                ..order(What::Call(get("host")))
            },
            "whose it is",
        ),
        (
            Order {
                what: None,
                ..describe()
            },
            "says nothing",
        ),
    ] {
        let message = refused(&order);
        assert!(message.contains(expected), "{message}");
    }
    for noise in [
        &b"\xff\xff\xff\xffGET / HTTP/1.1\r\n"[..],
        &framed(&[0xff; 40]),
        &(u32::try_from(5 << 20).unwrap()).to_be_bytes(),
        b"",
        b"\x00\x00",
    ] {
        let mut broken = Broken::at(&bench);
        broken.says(noise);
        broken.0.shutdown(std::net::Shutdown::Write).unwrap();
        match broken.hears() {
            None | Some(Answered::Refused(_)) => {}
            other => panic!("{noise:?}: {other:?}"),
        }
    }
    privileged.wait_for("no order of a gateway");
    assert_eq!(outcome(get("host")), "done");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_serves_nobody_but_the_user_of_its_gateway() {
    if !is_root() {
        return;
    }
    let (bench, mut privileged, _networked) = Bench::with_workers(FRONT, "");
    // Root itself is another user than that one.
    assert_eq!(
        Broken::orders(&bench, &order(What::Call(get("host")))),
        None
    );
    privileged.wait_for("another user");
    let mode = fs::metadata(bench.socket("privileged")).unwrap();
    assert_eq!(mode.permissions().mode() & 0o7777, 0o660);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_orders_take_their_room_until_they_are_answered() {
    let (bench, _privileged, _networked) = Bench::with_workers(own(), "");
    // 3 MiB of a field that nobody knows, behind an order: there is room for two of them.
    let long = |call| {
        let mut bytes = order(What::Call(call)).encode_to_vec();
        bytes.extend([0xfa, 0x3f, 0x80, 0x80, 0xc0, 0x01]);
        bytes.resize(bytes.len() + (3 << 20), 0);
        framed(&bytes)
    };
    let asked = |call| {
        let mut broken = Broken::at(&bench);
        broken.says(&long(call));
        broken
    };
    let waits = |id: &str| wire::Call {
        call_id: id.into(),
        ..delete(false)
    };
    let under_way = asked(waits("leave-1"));
    bench.until_begun().await;
    let behind = asked(waits("leave-2"));
    let refused = asked(get("host")).hears();
    assert!(
        matches!(&refused, Some(Answered::Refused(why)) if why.message.contains("as many long calls")),
        "{refused:?}"
    );
    fs::write(bench.file("go"), "").unwrap();
    for mut broken in [under_way, behind] {
        let answered = broken.hears();
        assert!(
            matches!(answered, Some(Answered::Outcome(_))),
            "{answered:?}"
        );
    }
    match asked(get("host")).hears() {
        Some(Answered::Outcome(outcome)) => assert_eq!(came(outcome), "done"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_worker_had_begun_is_found_by_looking() {
    for (fate, expected) in [("rm there", "done"), (":", "NotBegun")] {
        let (bench, privileged, _networked, gateway) = Bench::new().await;
        fs::write(bench.file("fate"), fate).unwrap();
        let link = Arc::new(bench.link(&gateway).await);
        let before = described(&link).await.journal.unwrap();
        let same = Arc::clone(&link);
        let calling = tokio::spawn(async move { answer(&same, delete(false)).await });
        bench.until_begun().await;
        drop(privileged);
        let told = calling.await.unwrap();
        assert!(told.starts_with("look again"), "{told}");
        // While it is away, nobody knows; what the other has goes on.
        let told = answer(&link, delete(true)).await;
        assert!(told.starts_with("look again"), "{told}");
        assert_eq!(answer(&link, get("web")).await, "done");

        let _privileged = bench.worker("privileged");
        let after = described(&link).await.journal.unwrap();
        assert_eq!(after.incarnation, before.incarnation);
        let told = answer(&link, delete(true)).await;
        assert!(told.starts_with(expected), "{told}");
        let told = answer(&link, delete(false)).await;
        assert!(told.starts_with(expected), "{told}");
        assert_eq!(bench.runs(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_is_away_is_told_of_and_its_calls_are_not_begun() {
    let (bench, privileged, _networked, gateway) = Bench::new().await;
    let link = bench.link(&gateway).await;
    let before = described(&link).await;
    drop(privileged);
    let told = answer(&link, delete(false)).await;
    assert!(told.starts_with("Unavailable"), "{told}");
    assert!(
        told.contains("systemctl status portcullis-gateway-privileged"),
        "{told}"
    );
    assert_eq!(answer(&link, get("web")).await, "done");
    let now = described(&link).await;
    assert_eq!(now.journal, before.journal);
    assert_eq!(
        now.connectors[0].allowed_verbs,
        before.connectors[0].allowed_verbs
    );
    assert!(now.connectors[0].faults[0].contains("cannot be reached"));
    assert!(now.connectors[1].faults.is_empty());
    let doctor = bench.site.cli("doctor", "");
    let doctor = String::from_utf8(doctor.stdout).unwrap();
    assert!(doctor.contains("`privileged` is not running"), "{doctor}");

    fs::write(bench.file("go"), "").unwrap();
    fs::write(bench.file("fate"), "rm there").unwrap();
    let _privileged = bench.worker("privileged");
    assert_eq!(answer(&link, delete(false)).await, "done");
}

async fn log(link: &Link) -> wire::LogResponse {
    let request = wire::LogRequest { lines: 1000 };
    link.control().log(request).await.unwrap().into_inner()
}

/// Has more logged for so long.
async fn log_more(link: &Link, filter: &str, for_ms: u32) -> wire::LogMoreResponse {
    let filter = filter.to_owned();
    let request = wire::LogMoreRequest { filter, for_ms };
    link.control().log_more(request).await.unwrap().into_inner()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_and_what_is_logged_besides_are_those_of_all_processes() {
    let (bench, privileged, _networked, gateway) = Bench::new().await;
    let link = bench.link(&gateway).await;
    // What a call that only reads was is logged at `debug` alone.
    let reads = async |link: &Link, process: &str| {
        let told = log(link).await.lines;
        let of = |line: &&String| line.starts_with(&format!("{process}: "));
        let own: Vec<_> = told.iter().filter(of).collect();
        assert!(!own.is_empty(), "{process}: {told:?}");
        own.iter().filter(|line| line.contains("verb=get")).count()
    };
    assert_eq!(answer(&link, get("host")).await, "done");
    for process in ["front", "privileged", "networked"] {
        assert_eq!(reads(&link, process).await, 0, "{process}");
    }
    let told = log_more(&link, "debug", 60_000).await;
    assert_eq!(
        (told.more.unwrap().filter, told.faults.len()),
        ("debug".into(), 0)
    );
    assert_eq!(answer(&link, get("host")).await, "done");
    assert_eq!(answer(&link, get("web")).await, "done");
    assert_eq!(reads(&link, "privileged").await, 1);
    assert_eq!(reads(&link, "networked").await, 1);
    assert_eq!(log_more(&link, "", 0).await.more, None);
    assert_eq!(answer(&link, get("host")).await, "done");
    assert_eq!(reads(&link, "privileged").await, 1);

    drop(privileged);
    let told = log(&link).await;
    assert!(told.faults[0].contains("worker `privileged`"), "{told:?}");
    let theirs = |line: &String| line.starts_with("networked: ");
    assert!(told.lines.iter().any(theirs), "{told:?}");
    let told = log_more(&link, "debug", 1).await;
    assert!(told.faults[0].contains("worker `privileged`"), "{told:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_keeps_its_log_where_the_configuration_says_so_and_logs_no_less_for_anybody() {
    let refused = |bench: &Bench, what| match Broken::orders(bench, &order(what)) {
        Some(Answered::Refused(refusal)) => refusal.message,
        other => panic!("{other:?}"),
    };
    let more = |filter: &str| {
        What::LogMore(wire::LogMoreRequest {
            filter: filter.into(),
            for_ms: 1_000,
        })
    };
    let (bench, _privileged, _networked) = Bench::with_workers(own(), "");
    for filter in ["off", "error", "h2=trace", "portcullis_gateway=off"] {
        let message = refused(&bench, more(filter));
        assert!(message.contains("no level to log more by"), "{message}");
    }
    let (bench, _privileged, _networked) = Bench::with_workers(own(), "[log]\nfor_server = false");
    for what in [more("debug"), What::Log(wire::LogRequest { lines: 1 })] {
        let message = refused(&bench, what);
        assert!(message.contains("log.for_server = false"), "{message}");
    }
}

/// Status and body of what the gateway tells whoever watches it.
async fn watched(address: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, body.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_ended_is_told_to_whoever_watches_until_it_is_back() {
    let address = free_address();
    let watch = format!("[watch]\nlisten = \"{address}\"\n");
    let (bench, privileged, networked, gateway) = Bench::with(&watch).await;
    let _link = bench.link(&gateway).await;
    // What was found out holds for a second.
    let until = async |path: &str, holds: &dyn Fn(u16, &str) -> bool| {
        let began = Instant::now();
        loop {
            let (status, body) = watched(address, path).await;
            if holds(status, &body) {
                return body;
            }
            assert!(began.elapsed() < PATIENCE, "{path}: {status} {body}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let up = async |kind: &str, expected: bool| {
        let up = u8::from(expected);
        let line = format!("portcullis_gateway_worker_up{{worker=\"{kind}\"}} {up}");
        let told = |_, metrics: &str| metrics.lines().any(|found| found == line);
        until("/metrics", &told).await;
    };
    let ready = async |expected: &str| {
        let wanted = if expected.is_empty() { 200 } else { 503 };
        let body = until("/ready", &|status, _: &str| status == wanted).await;
        assert!(
            body.contains("\"workers\"") && body.contains(expected),
            "{body}"
        );
        // Of the journal nothing is said: the one that is away has its own.
        let reasons = body.matches("reason").count();
        assert_eq!(reasons, usize::from(!expected.is_empty()), "{body}");
    };
    ready("").await;
    up("privileged", true).await;
    up("networked", true).await;
    let mut back = Vec::new();
    for (kind, ended) in [("privileged", privileged), ("networked", networked)] {
        drop(ended);
        ready(&format!("systemctl status portcullis-gateway-{kind}")).await;
        up(kind, false).await;
        back.push(bench.worker(kind));
        ready("").await;
        up(kind, true).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn root_looks_at_private_files_as_the_user_of_the_process_that_reads_them() {
    if !is_root() {
        return;
    }
    let (bench, _privileged, _networked, _gateway) = Bench::new().await;
    let file = |name: &str, owner, text: &str| {
        let path = bench.site.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        chown(&path, Some(owner), Some(owner)).unwrap();
        path
    };
    let key = rcgen::KeyPair::generate().unwrap();
    let names = vec!["gateway".to_owned()];
    let certificate = rcgen::CertificateParams::new(names).unwrap();
    let certificate = certificate.self_signed(&key).unwrap().pem();
    let certificate = file("gateway.pem", own(), &certificate);
    let config = fs::read_to_string(bench.site.config()).unwrap();
    let looked = |password_of, key_of| {
        let password = file("password", password_of, "secret\n");
        let key = file("gateway.key", key_of, &key.serialize_pem());
        let more = format!(
            "[tls]\ncertificate = {certificate:?}\nkey = {key:?}\nserver_ca = {certificate:?}\n\
             [connectors.staff]\ntype = \"ldap\"\nservers = [\"ldaps://127.0.0.1\"]\nbind_dn = \"cn=gateway,dc=x\"\n\
             bind_password_file = {password:?}\naccounts.base = \"dc=x\"\n"
        );
        fs::write(bench.site.config(), format!("{config}{more}")).unwrap();
        ["validate", "doctor"].map(|verb| {
            let output = bench.site.cli(verb, "");
            let (said, wrong) = (output.stdout, output.stderr);
            String::from_utf8([said, wrong].concat()).unwrap()
        })
    };
    for told in looked(NETWORKED, FRONT) {
        assert!(!told.contains("password"), "{told}");
        assert!(!told.contains("gateway.key belongs"), "{told}");
    }
    for told in looked(FRONT, NETWORKED) {
        assert!(told.contains("/password belongs to"), "{told}");
        assert!(told.contains("gateway.key belongs"), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn root_gives_nothing_away_in_the_folder_of_what_faces_the_servers_and_believes_none_of_it() {
    if !is_root() {
        return;
    }
    let (bench, _privileged, _networked, gateway) = Bench::new().await;
    drop(gateway);
    let report = bench.site.state_dir().join("status.json");
    let text = fs::read_to_string(&report).unwrap();
    let mut told: serde_json::Value = serde_json::from_str(&text).unwrap();
    told["last_error"] = serde_json::json!({
        "at_unix_ms": 1,
        "message": "\u{1b}]0;x\u{7}\u{1b}[2Jall is well",
    });
    fs::write(&report, told.to_string()).unwrap();
    for verb in ["status", "doctor"] {
        let output = bench.site.cli(verb, "");
        let shown = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(!shown.contains(['\u{1b}', '\u{7}']), "{verb}: {shown:?}");
    }
    let status = bench.site.done("status", "");
    assert!(status.contains("[2Jall is well"), "{status}");

    // Where the system lets anybody make another name for a file of root's.
    let secret = bench.site.path().join("of-root");
    fs::write(&secret, "secret").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    for name in ["status.json", "run.lock"] {
        let planted = bench.site.state_dir().join(name);
        fs::remove_file(&planted).unwrap();
        fs::hard_link(&secret, &planted).unwrap();
        for verb in ["status", "validate", "reload"] {
            bench.site.cli(verb, "");
        }
        assert_eq!(fs::metadata(&secret).unwrap().uid(), 0, "{name}");
        fs::remove_file(&planted).unwrap();
        fs::write(&planted, "").unwrap();
        fs::set_permissions(&planted, fs::Permissions::from_mode(0o600)).unwrap();
    }
}

/// Takes spans at this port for ever, and keeps the requests.
async fn collect(listener: tokio::net::TcpListener, kept: Arc<Mutex<Vec<u8>>>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = tokio::io::BufReader::new(stream);
        let (mut head, mut length) = (String::new(), 0);
        while stream.read_line(&mut head).await.unwrap() > 2 {
            let line = head.lines().last().unwrap().to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.unwrap();
        kept.lock().unwrap().extend(body);
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
        stream.write_all(answer).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spans_of_both_workers_go_through_what_faces_the_servers() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let kept = Arc::<Mutex<Vec<u8>>>::default();
    tokio::spawn(collect(listener, Arc::clone(&kept)));
    let traces = format!("[traces]\nendpoint = \"http://127.0.0.1:{port}\"\n");
    let (bench, _privileged, _networked, gateway) = Bench::with(&traces).await;
    let link = bench.link(&gateway).await;
    let began = Instant::now();
    for (number, connector) in [(1, "host"), (2, "web")] {
        let traced = wire::Call {
            traceparent: format!("00-{:032x}-00f067aa0ba902b7-01", u128::MAX / number),
            ..get(connector)
        };
        assert_eq!(answer(&link, traced).await, "done");
        let trace = (u128::MAX / number).to_be_bytes();
        // One of the front, and of the worker the call, its check and its connector.
        let spans = || {
            let kept = kept.lock().unwrap();
            kept.windows(16).filter(|bytes| *bytes == trace).count()
        };
        while spans() < 4 {
            assert!(began.elapsed() < PATIENCE, "{connector}: {} spans", spans());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(spans(), 4, "{connector}");
    }
    let kept = String::from_utf8_lossy(&kept.lock().unwrap()).into_owned();
    assert!(kept.contains("portcullis.worker"), "{kept}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_journal_that_a_worker_lost_is_told_before_anything_is_concluded_from_it() {
    let (bench, privileged, _networked, gateway) = Bench::new().await;
    fs::write(bench.file("fate"), "rm there").unwrap();
    fs::write(bench.file("go"), "").unwrap();
    let link = bench.link(&gateway).await;
    let before = described(&link).await.journal.unwrap();
    assert_eq!(answer(&link, delete(false)).await, "done");
    let kept = described(&link).await.journal.unwrap();
    assert!(kept.sequence > before.sequence);
    drop(privileged);
    let state = bench.site.path().join("state-privileged");
    for file in ["journal", "journal.key"] {
        fs::remove_file(state.join(file)).unwrap();
    }
    let _privileged = bench.worker("privileged");
    // The new journal does not have the call, which proves nothing.
    let told = answer(&link, delete(true)).await;
    assert!(told.starts_with("look again"), "{told}");
    link.until_ended().await;
    let link = bench.link(&gateway).await;
    let after = described(&link).await.journal.unwrap();
    assert_ne!(after.incarnation, before.incarnation);
    let look = wire::Call {
        journal_lost: true,
        ..delete(true)
    };
    let told = answer(&link, look).await;
    assert!(told.starts_with("unknown"), "{told}");
    assert_eq!(bench.runs(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_reaches_the_workers_and_tells_what_is_wrong() {
    let (bench, _privileged, _networked, gateway) = Bench::new().await;
    let link = bench.link(&gateway).await;
    let config = fs::read_to_string(bench.site.config()).unwrap();
    let folder = bench.site.path().join("web");
    let added = format!(
        "[connectors.more]\ntype = \"script\"\nworker = \"networked\"\nfolder = {folder:?}\n"
    );
    fs::write(bench.site.config(), format!("{config}{added}")).unwrap();
    let told = bench.site.done("reload", "");
    assert!(told.contains("connector `more` added"), "{told}");
    assert_eq!(answer(&link, get("more")).await, "done");
    assert_eq!(answer(&link, get("web")).await, "done");
    let nowhere = added.replace("worker = \"networked\"\n", "");
    fs::write(bench.site.config(), format!("{config}{nowhere}")).unwrap();
    let told = bench.site.refused("reload", "");
    assert!(told.contains("connectors.more.worker"), "{told}");
    assert_eq!(answer(&link, get("more")).await, "done");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_may_take_all_connectors_of_one_worker_but_not_of_both() {
    let (bench, _privileged, _networked, gateway) = Bench::new().await;
    let link = bench.link(&gateway).await;
    let config = fs::read_to_string(bench.site.config()).unwrap();
    let none = &config[..config.find("[connectors.").unwrap()];
    fs::write(bench.site.config(), none).unwrap();
    let told = bench.site.refused("reload", "");
    assert!(
        told.contains("a reload that removes every connector is refused"),
        "{told}"
    );
    assert_eq!(answer(&link, get("host")).await, "done");
    assert_eq!(answer(&link, get("web")).await, "done");

    let moved = config.replace("worker = \"networked\"", "worker = \"privileged\"");
    fs::write(bench.site.config(), moved).unwrap();
    let told = bench.site.done("reload", "");
    assert!(told.contains("connector `web` added"), "{told}");
    assert!(told.contains("connector `web` removed"), "{told}");
    assert_eq!(answer(&link, get("host")).await, "done");
    assert_eq!(answer(&link, get("web")).await, "done");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_that_are_taken_from_the_configuration_go_on_until_a_restart() {
    let (bench, privileged, _networked, mut gateway) = Bench::new().await;
    let link = bench.link(&gateway).await;
    let config = fs::read_to_string(bench.site.config()).unwrap();
    let (workers, connectors) = (config.find("[workers]"), config.find("[connectors."));
    let whole = config[..workers.unwrap()].to_owned() + &config[connectors.unwrap()..];
    let lines = whole.lines().filter(|line| !line.starts_with("worker = "));
    let without: String = lines.flat_map(|line| [line, "\n"]).collect();
    fs::write(bench.site.config(), &without).unwrap();
    for id in [gateway.pid(), privileged.child.id()] {
        let pid = rustix::process::Pid::from_raw(id.try_into().unwrap());
        rustix::process::kill_process(pid.unwrap(), rustix::process::Signal::HUP).unwrap();
    }
    gateway.wait_for("[workers] waits for a restart");
    assert_eq!(answer(&link, get("host")).await, "done");
    assert_eq!(answer(&link, get("web")).await, "done");
}

#[test]
fn a_second_worker_names_the_unit_of_the_first() {
    let front = if is_root() { FRONT } else { own() };
    let (bench, _privileged, _networked) = Bench::with_workers(front, "");
    let told = bench.site.refused("worker --kind privileged", "");
    assert!(
        told.contains("`systemctl stop portcullis-gateway-privileged`"),
        "{told}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scripts_run_as_the_user_that_the_configuration_names() {
    let (bench, _privileged, _networked, gateway) = Bench::new().await;
    let config = fs::read_to_string(bench.site.config()).unwrap();
    let named = if is_root() { NETWORKED } else { own() };
    let with = |name: &str| {
        let line = format!("type = \"script\"\nuser = \"{named}\"\n");
        let at = config.find(&format!("[connectors.{name}]")).unwrap();
        let (before, after) = config.split_at(at);
        before.to_owned() + &after.replacen("type = \"script\"\n", &line, 1)
    };
    // What it writes lies in a folder of that user's.
    let data: &Path = &bench.site.path().join("data");
    bench.script(
        "host",
        "run-who",
        &format!("id -u > {data:?}/who; echo '{{}}'"),
    );
    fs::write(bench.site.config(), with("host")).unwrap();
    bench.site.done("reload", "");
    let link = bench.link(&gateway).await;
    let who = Verb::Run(wire::Run {
        action: "who".into(),
        arguments: Vec::new(),
    });
    assert_eq!(answer(&link, call("who-1", "host", who)).await, "done");
    let who = fs::read_to_string(data.join("who")).unwrap();
    assert_eq!(who.trim(), named.to_string());
}
