//! The example of a client in another language, as an integrator would run it: `grpcio`, with stubs
//! made of the `.proto` files.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use portcullis_tests::harness::{Finished, Process, run_to_end, words};

use crate::calls::may_make_accounts;
use crate::{Pair, scratch_root};

/// What the example needs.
const PACKAGES: [&str; 2] = ["grpcio>=1.60", "grpcio-tools>=1.60"];

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn succeeds(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

fn has_grpc(python: &Path) -> bool {
    succeeds(Command::new(python).args(["-c", "import grpc, grpc_tools.protoc"]))
}

/// A Python that has `grpc`: the system's, or one in an environment beside the programs, made once.
/// `None`, and why is said, where there is none to be had.
fn python() -> Option<PathBuf> {
    let system = PathBuf::from("python3");
    if has_grpc(&system) {
        return Some(system);
    }
    let here = env::current_exe().unwrap();
    let folder = here.ancestors().nth(2).unwrap().join("python-client");
    let python = folder.join("bin/python");
    if has_grpc(&python) {
        return Some(python);
    }
    let mut install = Command::new(&python);
    install.args(["-m", "pip", "install", "--quiet", "--only-binary", ":all:"]);
    install.args(["--timeout", "10", "--retries", "1"]);
    let made = succeeds(Command::new(&system).args(["-m", "venv"]).arg(&folder))
        && succeeds(install.args(PACKAGES))
        && has_grpc(&python);
    if !made {
        eprintln!(
            "skipped: no Python with grpcio and grpcio-tools, and pip cannot install them here"
        );
    }
    made.then_some(python)
}

/// The example, ready to run against one server.
struct Client {
    python: PathBuf,
    stubs: PathBuf,
    socket: PathBuf,
}

impl Client {
    fn new(python: PathBuf, pair: &Pair) -> Self {
        let stubs = pair.site.folder("stubs");
        let made = Command::new(&python)
            .args(["-m", "grpc_tools.protoc", "-I"])
            .arg(repository().join("proto"))
            .arg(format!("--python_out={}", stubs.display()))
            .arg(format!("--grpc_python_out={}", stubs.display()))
            .args(["gateway.proto", "admin.proto"])
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        let socket = pair.server.socket.clone();
        Self {
            python,
            stubs,
            socket,
        }
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(&self.python);
        command
            .arg(repository().join("deploy/examples/python/client.py"))
            .arg("--socket")
            .arg(&self.socket)
            .args(words(line))
            .env("PYTHONPATH", &self.stubs)
            .env("PYTHONDONTWRITEBYTECODE", "1");
        command
    }

    #[track_caller]
    fn run(&self, line: &str) -> Finished {
        run_to_end(self.command(line), "")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_python_client_creates_once_searches_queues_and_outlives_the_server() {
    let Some(python) = python() else { return };
    if !may_make_accounts() {
        return;
    }
    let (scratch, config) = scratch_root();
    let mut pair = Pair::dialled_in(&config).await;
    pair.admin.add_resource("unix", "host1", "local").await;
    let client = Client::new(python, &pair);
    let ids = pair.site.path().join("call-id");
    let create = |name: &str| format!("create unix {name} gecos=Ada --id-file {}", ids.display());

    let made = client.run(&create("ada")).ok().stdout;
    assert!(made.starts_with("ada "), "{made}");
    assert!(!ids.exists(), "the call's id outlived the call");
    // Somebody else's: not taken for one's own.
    client.run(&create("ada")).refused();
    std::fs::remove_file(&ids).unwrap();
    // It was killed before it heard what came of it.
    std::fs::write(&ids, "from-before-the-crash").unwrap();
    assert_eq!(client.run(&create("ada")).ok().stdout, made);

    // The server is away when it asks first.
    pair.server.kill();
    let log = pair.site.path().join("client.log");
    let mut waiting = Process::start(client.command(&create("grace")), &log);
    tokio::time::sleep(Duration::from_millis(500)).await;
    pair.admin = pair.server.serve().await;
    assert!(waiting.wait().success(), "{}", waiting.log());
    let passwd = std::fs::read_to_string(scratch.path().join("etc/passwd")).unwrap();
    assert_eq!(passwd.matches("grace:x:").count(), 1, "{passwd}");

    let all = client.run("search unix --page-size 1").ok().stdout;
    let listed = |name: &str| all.lines().filter(|line| line.starts_with(name)).count();
    assert_eq!((listed("ada "), listed("grace ")), (1, 1), "{all}");
    assert_eq!(client.run("search unix").ok().stdout, all);

    // The gateway is away: the call waits for it.
    pair.gateway.kill();
    let disable = "disable unix grace --call-id leaver-4711 --wait 50";
    let log = pair.site.path().join("queue.log");
    let mut waiting = Process::start(client.command(disable), &log);
    pair.gateway.start();
    assert!(waiting.wait().success(), "{}", waiting.log());
    let again = client.run(disable).ok().stdout;
    assert!(again.ends_with("disabled grace\n"), "{again}");
    assert_eq!(waiting.log(), again.trim_end(), "it was queued twice");
    let other = client.run("disable unix ada --call-id leaver-4711");
    assert!(other.stderr.contains("(already-exists)"), "{other:?}");
}
