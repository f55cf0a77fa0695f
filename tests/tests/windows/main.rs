//! The gateway for Windows, under Wine, against the server: what an administrator of a Windows host
//! would do and see.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that fails has to say so"
)]

mod installer;
mod service;

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use portcullis_proto::gateway::v1::outcome::Result as Ended;
use portcullis_proto::gateway::v1::{FailureKind, Outcome, RunResult, done, value};
use portcullis_tests::harness::{
    Admin, Dial, Finished, Scripts, Server, Site, WindowsGateway, Wine, damaged, eventually,
    free_port,
};

const SCRIPTS: [&str; 4] = ["run-record", "run-fail", "run-hang", "run-leave"];

/// A server that runs, and a gateway that has not been enrolled.
struct Pair {
    // In this order: processes are killed before the folder they live in goes.
    host: WindowsGateway,
    _server: Server,
    admin: Admin,
    site: Site,
    token: String,
}

impl Pair {
    async fn new(out: bool) -> Self {
        let site = Site::new();
        let mut server = Server::new(&site, "");
        let admin = server.serve().await;
        let dial = match out {
            true => Dial::Out(server.dial_out_port),
            false => Dial::inward(),
        };
        let host = Wine::from_environment().gateway(&site, "host1", dial, &SCRIPTS);
        let token = admin.add_gateway("host1", &dial.address(), true).await;
        admin.add_resource("journal", "host1", "scripts").await;
        Self {
            host,
            _server: server,
            admin,
            site,
            token,
        }
    }

    async fn connected(out: bool) -> Self {
        let mut pair = Self::new(out).await;
        pair.host.gateway.enroll(&pair.token);
        pair.host.gateway.start();
        pair.admin.synchronized("host1").await;
        pair
    }

    #[track_caller]
    fn cli(&self, line: &str) -> Finished {
        self.host.gateway.cli(line)
    }

    /// Carries out an action of the connector.
    async fn call(&self, action: &str, id: &str) -> Outcome {
        let call = Scripts::call(action, id);
        self.admin.call("journal", call).await
    }

    /// Carries out `record`, and checks what the script saw and did.
    async fn record(&self, id: &str) {
        let done = done(self.call("record", id).await);
        assert_eq!(done.exit_code, 0);
        assert_eq!(result(&done, "call"), value::Kind::Text(id.to_owned()));
        assert_eq!(result(&done, "arguments"), value::Kind::Integer(0));
        let inherited = value::Kind::Text("not inherited".to_owned());
        assert_eq!(result(&done, "secret"), inherited);
        let journal = journal(&self.host.folder);
        let count = journal.lines().filter(|line| *line == id).count();
        assert_eq!(count, 1, "{journal}");
    }
}

/// Writes a file that nobody else can read.
fn private_file(path: &Path, text: &str) {
    let _ = fs::remove_file(path);
    let mut options = fs::OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600).open(path);
    file.unwrap().write_all(text.as_bytes()).unwrap();
}

fn journal(folder: &Path) -> String {
    fs::read_to_string(folder.join("journal")).unwrap_or_default()
}

fn done(outcome: Outcome) -> RunResult {
    match outcome.result {
        Some(Ended::Done(portcullis_proto::gateway::v1::Done {
            detail: Some(done::Detail::Run(run)),
        })) => run,
        other => panic!("{other:?}"),
    }
}

fn result(run: &RunResult, name: &str) -> value::Kind {
    let found = run.results.iter().find(|result| result.name == name);
    let values = found.map(|found| found.values.as_slice());
    match values {
        Some([value]) => value.kind.clone().unwrap(),
        other => panic!("{name}: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the .exe and Wine: tests/run windows"]
async fn a_gateway_enrols_carries_out_calls_takes_new_keys_and_survives_restarts() {
    for out in [false, true] {
        let mut pair = Pair::connected(out).await;
        let first = pair.admin.gateway("host1").await;
        assert_eq!(first.mode, "secure");
        assert_eq!(first.suite, "TDES-CTR-HMAC-SHA256");
        pair.admin
            .gateway_becomes("host1", "described", |gateway| {
                gateway.operating_system == "windows"
            })
            .await;
        pair.record("before").await;
        assert_eq!(done(pair.call("batch", "batch").await).exit_code, 0);
        assert!(journal(&pair.host.folder).contains("from a batch file"));

        let report = pair.admin.rotate(30_000).await;
        assert_eq!((report.synchronized, report.total), (1, 1), "{report:?}");
        let rotated = pair.admin.synchronized("host1").await;
        assert_eq!(rotated.session_key_id, report.current_key_id);
        assert_ne!(rotated.session_key_id, first.session_key_id);
        pair.record("after-the-rotation").await;

        // The new key was proved, and the one before is forgotten.
        let shown = pair.cli("key show").ok().stdout;
        assert!(
            shown.contains(r"HKLM\SOFTWARE\Portcullis\Gateway\test-"),
            "{shown}"
        );
        assert!(shown.contains(&report.current_key_id), "{shown}");
        assert!(!shown.contains(&first.session_key_id), "{shown}");
        assert!(!shown.contains("pending"), "{shown}");

        pair.host.gateway.kill();
        pair.admin
            .gateway_becomes("host1", "away", |gateway| !gateway.connected)
            .await;
        let stopped = pair.cli("status").ok().stdout;
        assert!(stopped.contains("not running"), "{stopped}");
        let missed = pair.admin.rotate(0).await;
        pair.host.gateway.start();
        let back = pair.admin.synchronized("host1").await;
        assert_eq!(back.session_key_id, missed.current_key_id);
        pair.record("after-the-restart").await;
        status_shows(&pair, &back.session_key_id).await;
    }
}

/// `status` shows the session under this key; the gateway writes its report a moment after the
/// session began.
async fn status_shows(pair: &Pair, key: &str) {
    let shown = eventually("status to show the session", || async {
        let shown = pair.cli("status --output json").stdout;
        let status: serde_json::Value = serde_json::from_str(&shown).ok()?;
        let session = status["report"]["sessions"].as_array()?.last()?.clone();
        (session["key_id"] == key).then_some((status, session))
    });
    let (status, session) = shown.await;
    assert_eq!(status["running"], true, "{status}");
    assert_eq!(status["active_key_id"], key, "{status}");
    assert_eq!(session["mode"], "secure", "{status}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the .exe and Wine: tests/run windows"]
async fn a_token_is_taken_from_a_file_and_damaged_ones_leave_nothing_behind() {
    let mut pair = Pair::new(false).await;
    let file = format!(r"{}\token.txt", pair.host.windows_folder);
    let enrol = format!("enroll --token-file '{file}'");
    pair.cli(&enrol).refused().saying(&file);

    let (head, _) = pair.token.split_at(pair.token.len() / 2);
    let damaged = damaged(&pair.token);
    for wrong in ["", "not a token", head, &damaged] {
        private_file(&pair.host.folder.join("token.txt"), wrong);
        let from_input = pair.host.gateway.cli_given("enroll", wrong);
        for refused in [from_input, pair.cli(&enrol)] {
            assert_eq!(refused.status.code(), Some(1), "{wrong:?}: {refused:?}");
            assert!(refused.stderr.contains("token"), "{refused:?}");
            assert!(
                wrong.is_empty() || !refused.stderr.contains(wrong),
                "{refused:?}"
            );
        }
        for verb in ["key show", "run"] {
            pair.cli(verb)
                .refused()
                .saying("there is no key store at HKLM");
        }
    }

    // As an editor on Windows leaves it.
    let text = format!("{}\r\n", pair.token);
    let path = pair.host.folder.join("token.txt");
    private_file(&path, &text);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    pair.cli(&enrol)
        .refused()
        .saying("can be read by S-1-1-0")
        .saying("voids it and makes another");
    private_file(&path, &text);
    pair.cli(&enrol).ok();
    pair.host.gateway.start();
    pair.admin.synchronized("host1").await;
    let again = pair.cli(&enrol).ok();
    assert!(again.stdout.contains("already enrolled"), "{again}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the .exe and Wine: tests/run windows"]
async fn pairing_gives_a_gateway_its_key_once() {
    for out in [false, true] {
        let mut pair = Pair::new(out).await;
        let open = "pair --for 10m";
        pair.cli(open).ok();
        pair.host.gateway.start();
        let paired = pair.admin.synchronized("host1").await;
        assert_eq!(paired.pairing_until_unix_ms, 0, "pairing is still open");
        pair.record("paired").await;
        pair.host.gateway.kill();
        pair.cli(open)
            .refused()
            .saying("never goes back to default mode");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the .exe and Wine: tests/run windows"]
async fn a_second_gateway_on_the_same_keys_or_the_same_port_does_not_start() {
    let pair = Pair::connected(false).await;
    let second = pair.cli("run").refused().saying("already running");
    assert!(!second.stderr.contains("systemctl"), "{second:?}");

    let dial = pair.host.gateway.dial;
    let other = Wine::from_environment().gateway(&pair.site, "host2", dial, &[]);
    let address = format!("127.0.0.1:{}", free_port());
    let token = pair.admin.add_gateway("host2", &address, false).await;
    other.gateway.enroll(&token);
    other
        .gateway
        .cli("run")
        .refused()
        .saying("is in use")
        .saying("netstat -ano");

    assert!(pair.admin.gateway("host1").await.connected);
    pair.record("undisturbed").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the .exe and Wine: tests/run windows"]
async fn a_script_that_fails_or_hangs_is_reported_and_nothing_of_it_goes_on() {
    let pair = Pair::connected(false).await;
    assert_eq!(done(pair.call("fail", "failing").await).exit_code, 3);

    let hung = pair.call("hang", "hanging").await;
    assert!(
        matches!(hung.result, Some(Ended::Indeterminate(_))),
        "{hung:?}"
    );
    // The child did run, beyond the reach of a kill of its parent alone.
    let journal = journal(&pair.host.folder);
    assert!(journal.contains("alive"), "{journal}");
    nothing_runs_of("run-hang", &pair).await;

    assert_eq!(done(pair.call("leave", "leaving").await).exit_code, 0);
    nothing_runs_of("run-leave", &pair).await;
    pair.record("afterwards").await;
}

/// Waits until neither the script nor a child of its runs, however early that was started.
async fn nothing_runs_of(script: &str, pair: &Pair) {
    let path = format!(r"{}\scripts\{script}.exe", pair.host.windows_folder);
    eventually("the script and its children to be gone", || async {
        (!is_running(&path)).then_some(())
    })
    .await;
}

/// Is there a process with this on its command line? Wine's processes are seen from outside.
fn is_running(program: &str) -> bool {
    let processes = fs::read_dir("/proc").unwrap();
    processes.filter_map(Result::ok).any(|process| {
        fs::read(process.path().join("cmdline"))
            .is_ok_and(|line| String::from_utf8_lossy(&line).contains(program))
    })
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the .exe and Wine: tests/run windows"]
async fn scripts_that_anybody_may_change_are_not_run() {
    let pair = Pair::connected(false).await;
    let (folder, id) = (pair.host.folder.join("scripts"), "unsafe");
    for path in [folder.clone(), folder.join("run-record.exe")] {
        let before = fs::metadata(&path).unwrap().permissions();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
        match pair.call("record", id).await.result {
            Some(Ended::Failed(failure)) => {
                assert_eq!(failure.kind(), FailureKind::Refused, "{failure:?}");
                assert!(
                    failure.message.contains("can be written by S-1-1-0"),
                    "{failure:?}"
                );
                // Fit to be typed.
                assert!(
                    failure.message.contains(r#"`icacls "C:\test-"#),
                    "{failure:?}"
                );
            }
            other => panic!("{}: {other:?}", path.display()),
        }
        fs::set_permissions(&path, before).unwrap();
    }
    assert_eq!(journal(&pair.host.folder), "");
    pair.record("mended").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the .exe and Wine: tests/run windows"]
async fn a_configuration_or_state_folder_that_strangers_can_use_stops_the_start() {
    let pair = Pair::new(false).await;
    pair.host.gateway.enroll(&pair.token);
    let closed = fs::metadata(&pair.host.gateway.state).unwrap();
    // Wine shows Administrators as the group.
    assert_eq!(closed.permissions().mode() & 0o007, 0, "made open");
    for (file, loose, what) in [
        ("state", 0o755, "can be opened by S-1-1-0"),
        ("gateway.toml", 0o666, "can be written by S-1-1-0"),
    ] {
        let path = pair.host.folder.join(file);
        let before = fs::metadata(&path).unwrap().permissions();
        fs::set_permissions(&path, fs::Permissions::from_mode(loose)).unwrap();
        for verb in ["run", "validate"] {
            pair.cli(verb).refused().saying(what);
        }
        fs::set_permissions(&path, before).unwrap();
    }
}
