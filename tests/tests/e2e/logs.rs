//! The log of a gateway, read and changed from the server.

use std::fs;

use portcullis_tests::harness::{Scripts, eventually};
use serde_json::Value;

use crate::Pair;

/// Logged at `debug` alone: what a call that only reads was, and what came of it.
fn reads(lines: &str) -> usize {
    let calls = lines.lines().filter(|line| line.contains("verb=get"));
    calls.count()
}

/// A pair whose gateway logs what a gateway of a site does.
async fn quiet_pair(more: &str) -> Pair {
    let mut pair = Pair::dialled_out("").await;
    let text = fs::read_to_string(&pair.gateway.config).unwrap();
    let text = text.replace("level = \"debug\"\n", &format!("level = \"info\"\n{more}"));
    fs::write(&pair.gateway.config, text).unwrap();
    pair.gateway.kill();
    pair.gateway.start();
    pair.ok("gateway ping host1 --wait 10s");
    pair
}

async fn read(pair: &Pair, id: &str) {
    let outcome = pair.admin.call("journal", Scripts::recording_get(id)).await;
    assert!(outcome.result.is_some());
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_logs_more_for_a_time_and_its_last_lines_are_read_from_the_server() {
    let mut pair = quiet_pair("").await;
    read(&pair, "before").await;
    let lines = pair.ok("gateway log host1");
    assert!(lines.contains("session opened"), "{lines}");
    assert_eq!(reads(&lines), 0, "{lines}");
    assert_eq!(pair.ok("gateway log host1 --lines 2").lines().count(), 2);

    let told = pair.ok("gateway log-level host1 trace --for 2s");
    assert!(told.contains("logs trace besides"), "{told}");
    read(&pair, "meanwhile").await;
    let secret = "kept-out-of-every-level-of-the-log";
    let file = pair.site.file("password", 0o600, secret);
    let set = format!(
        "account set-password journal ada --password-file {}",
        file.display()
    );
    // There is no such script: the password came to the gateway all the same.
    pair.portcullis(&set).refused();
    let log = json(&pair.ok("gateway log host1 --lines 1000 --output json"));
    assert_eq!(log["version"], env!("CARGO_PKG_VERSION"), "{log}");
    assert_eq!(log["more"], "trace", "{log}");
    let lines: Vec<_> = log["lines"].as_array().unwrap().iter().collect();
    let text = |line: &&Value| line.as_str().unwrap().to_owned();
    let lines = lines.iter().map(text).collect::<Vec<_>>().join("\n");
    assert_eq!(reads(&lines), 1, "{lines}");
    assert!(lines.contains("set-password"), "{lines}");
    assert!(!lines.contains(secret) && !pair.gateway.whole_log().contains(secret));

    // It ends by itself, also where the server is away meanwhile.
    pair.server.kill();
    pair.gateway.wait_for_line("the time is over");
    pair.admin = pair.server.serve().await;
    pair.ok("gateway ping host1 --wait 10s");
    read(&pair, "after").await;
    assert_eq!(reads(&pair.gateway.log()), 1);
    let log = json(&pair.ok("gateway log host1 --output json"));
    assert_eq!(log["more"], Value::Null, "{log}");

    // So does a restart, and whoever asks for that.
    pair.ok("gateway log-level host1 portcullis_gateway::worker=debug");
    let told = pair.ok("gateway log-level host1 --reset");
    assert!(told.contains("what its configuration says"), "{told}");
    pair.ok("gateway log-level host1 debug --for 1h");
    pair.gateway.kill();
    pair.gateway.start();
    let restarted = eventually("the gateway is back", || async {
        let log = pair.portcullis("gateway log host1 --output json");
        log.status.success().then(|| json(&log.stdout))
    });
    assert_eq!(restarted.await["more"], Value::Null);

    let entries = pair.ok("audit list --action Gateways/LogMore --limit 20");
    assert!(
        entries.contains("gateway host1: trace for 2 s"),
        "{entries}"
    );
    assert!(entries.contains("gateway host1: no longer"), "{entries}");
    let entries = pair.ok("audit list --action Gateways/ShowLog");
    assert!(entries.contains("gateway host1"), "{entries}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_level_is_refused_and_a_gateway_may_keep_its_log_to_itself() {
    let mut pair = quiet_pair("for_server = false\n").await;
    for (level, why) in [
        ("off", "no level to log more by"),
        ("h2=trace", "no level to log more by"),
        ("debug --for 2h", "a second to an hour"),
        ("debug --for 10ms", "a second to an hour"),
        ("debug", "log.for_server = false"),
    ] {
        let line = format!("gateway log-level host1 {level}");
        let told = pair.portcullis(&line).refused().stderr;
        assert!(told.contains(why), "{level}: {told}");
    }
    for (name, why) in [("host1", "log.for_server = false"), ("host7", "host7")] {
        let told = pair.portcullis(&format!("gateway log {name}")).refused();
        assert!(told.stderr.contains(why), "{}", told.stderr);
    }
    pair.gateway.kill();
    let away = || async {
        let told = pair.portcullis("gateway log host1").refused().stderr;
        told.contains("not connected").then_some(())
    };
    eventually("the gateway is missed", away).await;
}
