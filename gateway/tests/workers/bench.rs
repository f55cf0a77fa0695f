//! A gateway in processes, with a server, on this host.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use portcullis_common::id::KeyKind;
use portcullis_proto::gateway::v1 as wire;
use wire::call::Verb;
use wire::outcome::Result as Came;

use super::support::server::{Link, Server, master_key, token};
use super::support::{Gateway, PATIENCE, Site};

/// Nobody on this host.
pub(super) const FRONT: u32 = 47_110;
pub(super) const NETWORKED: u32 = 47_111;

/// A gateway in processes. Both workers have a script connector on one object, in the file
/// `there` of its own folder: `host` is the privileged one's, `web` the other's.
pub(super) struct Bench {
    pub(super) site: Site,
    pub(super) server: Server,
    pub(super) front: u32,
}

pub(super) const ADA: &str =
    r#"{"object": {"id": "7", "name": "ada", "enabled": true, "attributes": {}}}"#;

pub(super) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

impl Bench {
    /// Root has each process run as a user of its own.
    pub(super) async fn new() -> (Self, Worker, Worker, Gateway) {
        Self::with("").await
    }

    /// The same, with these sections in the configuration.
    pub(super) async fn with(sections: &str) -> (Self, Worker, Worker, Gateway) {
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
    pub(super) fn with_workers(front: u32, sections: &str) -> (Self, Worker, Worker) {
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

    pub(super) fn socket(&self, kind: &str) -> PathBuf {
        self.site.path().join(format!("run-{kind}")).join("socket")
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.site.path().join("host").join(name)
    }

    pub(super) fn script(&self, folder: &str, name: &str, body: &str) {
        let path = self.site.path().join(folder).join(name);
        fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Starts the process that faces the servers.
    pub(super) fn run(&self) -> Gateway {
        let mut command = self.site.command("run");
        if is_root() {
            command.gid(self.front).uid(self.front);
        }
        Gateway::start(command)
    }

    /// Starts a worker, and waits until it serves.
    pub(super) fn worker(&self, kind: &str) -> Worker {
        let mut command = self.site.command(&format!("worker --kind {kind}"));
        if is_root() && kind == "networked" {
            command.gid(self.front).uid(NETWORKED);
        }
        let mut worker = Worker::start(command);
        worker.wait_for("serving on");
        worker
    }

    pub(super) async fn link(&self, gateway: &Gateway) -> Link {
        self.server.dial(gateway.address).await.unwrap()
    }

    /// How often the script of `delete` was run.
    pub(super) fn runs(&self) -> usize {
        fs::read_to_string(self.file("ran")).map_or(0, |ran| ran.lines().count())
    }

    pub(super) async fn until_begun(&self) {
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

pub(super) fn own() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// A running worker; killed when dropped.
pub(super) struct Worker {
    pub(super) child: Child,
    pub(super) lines: Receiver<String>,
}

impl Worker {
    pub(super) fn start(mut command: Command) -> Self {
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
    pub(super) fn wait_for(&mut self, text: &str) {
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

pub(super) fn object(name: &str) -> Option<wire::ObjectRef> {
    Some(wire::ObjectRef {
        object_class: wire::ObjectClass::Account.into(),
        by: Some(wire::object_ref::By::Name(name.into())),
        ..wire::ObjectRef::default()
    })
}

pub(super) fn call(id: &str, connector: &str, verb: Verb) -> wire::Call {
    wire::Call {
        call_id: id.into(),
        connector: connector.into(),
        verb: Some(verb),
        ..wire::Call::default()
    }
}

pub(super) fn get(connector: &str) -> wire::Call {
    let verb = Verb::Get(wire::Get {
        object: object("ada"),
        attribute_names: Vec::new(),
    });
    call("look-at", connector, verb)
}

pub(super) fn delete(look: bool) -> wire::Call {
    let verb = Verb::Delete(wire::Delete {
        object: object("ada"),
    });
    wire::Call {
        look,
        ..call("leave-4711", "host", verb)
    }
}

pub(super) fn came(outcome: wire::Outcome) -> String {
    match outcome.result.unwrap() {
        Came::Done(_) => "done".to_owned(),
        Came::Failed(failure) => format!("{:?}: {}", failure.kind(), failure.message),
        Came::Indeterminate(why) if why.look_again => format!("look again: {}", why.message),
        Came::Indeterminate(why) => format!("unknown: {}", why.message),
    }
}

pub(super) async fn answer(link: &Link, call: wire::Call) -> String {
    came(link.execute(call).await.unwrap())
}

pub(super) async fn described(link: &Link) -> wire::DescribeResponse {
    let request = wire::DescribeRequest { acknowledges: true };
    link.control().describe(request).await.unwrap().into_inner()
}

/// The effective capabilities of a process.
pub(super) fn capabilities(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    u64::from_str_radix(line.unwrap().trim(), 16).unwrap()
}
