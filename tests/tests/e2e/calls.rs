//! Provisioning calls, through to real accounts and real scripts.

use std::fs;
use std::time::Duration;

use portcullis_proto::gateway::v1::outcome::Result as Came;
use portcullis_proto::gateway::v1::{FailureKind, Outcome};
use portcullis_tests::harness::Scripts;

use crate::{Pair, scratch_root};

impl Pair {
    async fn run(&self, action: &str, id: &str, timeout: Duration) -> Outcome {
        let mut call = Scripts::call(action, id);
        call.timeout_ms = u32::try_from(timeout.as_millis()).unwrap();
        self.admin.call("journal", call).await
    }
}

/// Whether shadow-utils may work on a scratch root here: they need root, or a namespace where one
/// is.
pub(crate) fn may_make_accounts() -> bool {
    let may = rustix::process::geteuid().is_root();
    if !may {
        eprintln!(
            "skipped: accounts in a scratch root need root here; `tests/run demo` covers them for other users"
        );
    }
    may
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_are_made_changed_and_removed() {
    if !may_make_accounts() {
        return;
    }
    for out in [false, true] {
        let (scratch, config) = scratch_root();
        let pair = Pair::new(out, &config).await;
        let with_password = |line: &str, password: &str| {
            let (line, input) = (format!("{line} --password-stdin"), format!("{password}\n"));
            pair.server.portcullis_given(&line, &input)
        };
        let authenticate = |account: &str, password: &str| {
            with_password(&format!("account authenticate unix {account}"), password)
        };
        let passwd = || fs::read_to_string(scratch.path().join("etc/passwd")).unwrap();

        pair.ok("resource add unix --gateway host1 --connector local");
        pair.ok("resource test unix");
        let create = "account create unix mlovelace --set gecos=Ada";
        with_password(create, "Correct-Horse-41").ok();
        assert!(passwd().contains("mlovelace:x:"), "{}", passwd());
        authenticate("mlovelace", "Correct-Horse-41").ok();
        authenticate("mlovelace", "wrong").refused();
        with_password("account set-password unix mlovelace", "Other-Battery-42").ok();
        authenticate("mlovelace", "Other-Battery-42").ok();
        pair.ok("account rename unix mlovelace --to mking");
        assert!(pair.ok("account list unix").contains("mking"));
        pair.ok("account disable unix mking");
        authenticate("mking", "Other-Battery-42").refused();
        pair.portcullis("account create unix mking").refused();
        pair.ok("account delete unix mking");
        assert!(!passwd().contains("mking"));
        pair.portcullis("account get unix mking").refused();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_whose_gateway_is_killed_is_indeterminate_and_not_repeated() {
    for out in [false, true] {
        let mut pair = Pair::new(out, "").await;
        let admin = pair.admin.clone();
        let calling = tokio::spawn(async move {
            admin
                .call("journal", Scripts::call("wait", "cut-off"))
                .await
        });
        pair.scripts.begun().await;
        pair.gateway.kill();
        let outcome = calling.await.unwrap();
        assert!(
            matches!(outcome.result, Some(Came::Indeterminate(_))),
            "{outcome:?}"
        );
        pair.gateway.start();
        pair.admin.synchronized("host1").await;
        assert_eq!(pair.scripts.executed().get("cut-off"), Some(&1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_tells_an_indeterminate_call_by_its_exit_code() {
    let mut pair = Pair::dialled_in("").await;
    let mut gateway = pair.gateway.process.take().unwrap();
    let scripts = pair.scripts.clone();
    let killing = tokio::spawn(async move {
        scripts.begun().await;
        gateway.kill();
    });
    let finished = tokio::task::block_in_place(|| pair.portcullis("run journal wait"));
    killing.await.unwrap();
    assert_eq!(finished.status.code(), Some(3), "{finished:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_queued_for_a_gateway_that_is_away() {
    let mut pair = Pair::dialled_in("").await;
    pair.gateway.kill();
    pair.admin
        .gateway_becomes("host1", "away", |g| !g.connected)
        .await;
    pair.portcullis("run journal record --call-id away")
        .refused()
        .saying("host1");
    pair.gateway.start();
    pair.admin.synchronized("host1").await;
    assert_eq!(pair.scripts.executed().get("away"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_that_misbehave_end_and_leave_the_gateway_well() {
    let pair = Pair::dialled_in("").await;
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
    if !may_make_accounts() {
        return;
    }
    let (scratch, config) = scratch_root();
    let pair = Pair::dialled_in(&config).await;
    pair.ok("resource add unix --gateway host1 --connector local");
    let rows = "name,gecos\nann,Ann\nbob,Bob,one too many\ncid,Cid\n";
    let file = pair.site.file("people.csv", 0o600, rows);
    let import = format!("account import unix '{}'", file.display());
    let imported = pair.portcullis(&import).refused();
    let told = format!("{}{}", imported.stdout, imported.stderr);
    assert!(told.contains('3'), "the line is not named: {told}");
    let passwd = fs::read_to_string(scratch.path().join("etc/passwd")).unwrap();
    assert!(
        passwd.contains("ann:") && passwd.contains("cid:"),
        "{passwd}\n{told}"
    );
    assert!(!passwd.contains("bob:"), "{passwd}");
}
