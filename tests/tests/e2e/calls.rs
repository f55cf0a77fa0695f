//! Provisioning calls, through to real accounts and real scripts.

use std::time::Duration;

use portcullis_proto::gateway::v1::outcome::Result as Came;
use portcullis_proto::gateway::v1::{FailureKind, Outcome};
use portcullis_tests::harness::{Finished, Scripts};

use crate::Pair;

impl Pair {
    fn portcullis(&self, arguments: &[&str], input: Option<&str>) -> Finished {
        self.server.portcullis(arguments, input).unwrap()
    }

    async fn run(&self, action: &str, id: &str, timeout: Duration) -> Outcome {
        let mut call = Scripts::call(action, id);
        call.timeout_ms = u32::try_from(timeout.as_millis()).unwrap();
        self.admin.call("journal", call).await.unwrap()
    }
}

/// Whether shadow-utils may work on a scratch root here: they need root, or a namespace where one is.
fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_are_made_changed_and_removed() {
    if !is_root() {
        eprintln!(
            "skipped: accounts in a scratch root need root here; `tests/run demo` covers them for other users"
        );
        return;
    }
    for out in [false, true] {
        let scratch = tempfile::tempdir().unwrap();
        portcullis_gateway::connectors::unix::create_scratch_root(scratch.path()).unwrap();
        let config = format!(
            "[connectors.local]\ntype = \"unix\"\nprefix = {:?}\n",
            scratch.path()
        );
        let pair = Pair::new(out, &config).await.unwrap();
        let ok = |arguments: &[&str], input: Option<&str>| {
            pair.portcullis(arguments, input).ok().unwrap().stdout
        };
        ok(
            &[
                "resource",
                "add",
                "unix",
                "--gateway",
                "host1",
                "--connector",
                "local",
            ],
            None,
        );
        ok(&["resource", "test", "unix"], None);
        ok(
            &[
                "account",
                "create",
                "unix",
                "mlovelace",
                "--set",
                "gecos=Ada",
                "--password-stdin",
            ],
            Some("Correct-Horse-41\n"),
        );
        let etc =
            |file: &str| std::fs::read_to_string(scratch.path().join("etc").join(file)).unwrap();
        assert!(etc("passwd").contains("mlovelace:x:"), "{}", etc("passwd"));
        ok(
            &[
                "account",
                "authenticate",
                "unix",
                "mlovelace",
                "--password-stdin",
            ],
            Some("Correct-Horse-41\n"),
        );
        let wrong = pair.portcullis(
            &[
                "account",
                "authenticate",
                "unix",
                "mlovelace",
                "--password-stdin",
            ],
            Some("wrong\n"),
        );
        assert_eq!(wrong.status.code(), Some(1), "{wrong:?}");
        ok(
            &[
                "account",
                "set-password",
                "unix",
                "mlovelace",
                "--password-stdin",
            ],
            Some("Other-Battery-42\n"),
        );
        ok(
            &[
                "account",
                "authenticate",
                "unix",
                "mlovelace",
                "--password-stdin",
            ],
            Some("Other-Battery-42\n"),
        );
        ok(
            &["account", "rename", "unix", "mlovelace", "--to", "mking"],
            None,
        );
        assert!(ok(&["account", "list", "unix"], None).contains("mking"));
        ok(&["account", "disable", "unix", "mking"], None);
        let disabled = pair.portcullis(
            &[
                "account",
                "authenticate",
                "unix",
                "mking",
                "--password-stdin",
            ],
            Some("Other-Battery-42\n"),
        );
        assert_eq!(disabled.status.code(), Some(1), "{disabled:?}");
        let again = pair.portcullis(&["account", "create", "unix", "mking"], None);
        assert_eq!(again.status.code(), Some(1), "{again:?}");
        ok(&["account", "delete", "unix", "mking"], None);
        assert!(!etc("passwd").contains("mking"));
        let gone = pair.portcullis(&["account", "get", "unix", "mking"], None);
        assert_eq!(gone.status.code(), Some(1), "{gone:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_whose_gateway_is_killed_is_indeterminate_and_not_repeated() {
    for out in [false, true] {
        let mut pair = Pair::new(out, "").await.unwrap();
        let admin = pair.admin.clone();
        let calling = tokio::spawn(async move {
            admin
                .call("journal", Scripts::call("wait", "cut-off"))
                .await
        });
        pair.scripts.begun().await.unwrap();
        pair.gateway.kill().unwrap();
        let outcome = calling.await.unwrap().unwrap();
        assert!(
            matches!(outcome.result, Some(Came::Indeterminate(_))),
            "{outcome:?}"
        );
        pair.gateway.start().unwrap();
        pair.admin.synchronized("host1").await.unwrap();
        assert_eq!(pair.scripts.executed().unwrap().get("cut-off"), Some(&1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_tells_an_indeterminate_call_by_its_exit_code() {
    let mut pair = Pair::dialled_in("").await.unwrap();
    let mut gateway = pair.gateway.process.take().unwrap();
    let scripts = pair.scripts.clone();
    let killing = tokio::spawn(async move {
        scripts.begun().await.unwrap();
        gateway.kill().unwrap();
    });
    let finished =
        tokio::task::block_in_place(|| pair.portcullis(&["run", "journal", "wait"], None));
    killing.await.unwrap();
    assert_eq!(finished.status.code(), Some(3), "{finished:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_queued_for_a_gateway_that_is_away() {
    let mut pair = Pair::dialled_in("").await.unwrap();
    pair.gateway.kill().unwrap();
    pair.admin
        .gateway_becomes("host1", "away", |g| !g.connected)
        .await
        .unwrap();
    let finished = pair.portcullis(&["run", "journal", "record", "--call-id", "away"], None);
    assert_eq!(finished.status.code(), Some(1), "{finished:?}");
    assert!(finished.stderr.contains("host1"), "{finished:?}");
    pair.gateway.start().unwrap();
    pair.admin.synchronized("host1").await.unwrap();
    assert_eq!(pair.scripts.executed().unwrap().get("away"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_that_misbehave_end_and_leave_the_gateway_well() {
    let pair = Pair::dialled_in("").await.unwrap();
    let second = Duration::from_secs(1);
    let hung = pair.run("hang", "hang", second).await;
    assert!(
        matches!(hung.result, Some(Came::Indeterminate(_))),
        "{hung:?}"
    );
    let flooded = pair.run("flood", "flood", 10 * second).await;
    assert!(
        matches!(flooded.result, Some(Came::Indeterminate(_))),
        "{flooded:?}"
    );
    let failed = pair.run("fail", "fail", 10 * second).await;
    match failed.result {
        Some(Came::Done(_)) => {}
        other => panic!("an action's exit code is its result: {other:?}"),
    }
    let unknown = pair.run("no-such", "no-such", 10 * second).await;
    match unknown.result {
        Some(Came::Failed(failure)) => {
            assert_eq!(failure.kind(), FailureKind::NotFound, "{failure:?}");
        }
        other => panic!("{other:?}"),
    }
    let well = pair.run("record", "well", 10 * second).await;
    assert!(matches!(well.result, Some(Came::Done(_))), "{well:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_tells_broken_rows_and_does_the_others() {
    if !is_root() {
        eprintln!(
            "skipped: accounts in a scratch root need root here; `tests/run demo` covers them for other users"
        );
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    portcullis_gateway::connectors::unix::create_scratch_root(scratch.path()).unwrap();
    let config = format!(
        "[connectors.local]\ntype = \"unix\"\nprefix = {:?}\n",
        scratch.path()
    );
    let pair = Pair::dialled_in(&config).await.unwrap();
    pair.portcullis(
        &[
            "resource",
            "add",
            "unix",
            "--gateway",
            "host1",
            "--connector",
            "local",
        ],
        None,
    )
    .ok()
    .unwrap();
    let file = pair
        .site
        .file(
            "people.csv",
            0o600,
            "name,gecos\nann,Ann\nbob,Bob,one too many\ncid,Cid\n",
        )
        .unwrap();
    let imported = pair.portcullis(&["account", "import", "unix", file.to_str().unwrap()], None);
    assert_eq!(imported.status.code(), Some(1), "{imported:?}");
    let told = format!("{}{}", imported.stdout, imported.stderr);
    assert!(told.contains('3'), "the line is not named: {told}");
    let passwd = std::fs::read_to_string(scratch.path().join("etc/passwd")).unwrap();
    assert!(
        passwd.contains("ann:") && passwd.contains("cid:"),
        "{passwd}\n{told}"
    );
    assert!(!passwd.contains("bob:"), "{passwd}");
}
