//! What has changed on a resource, from the account files and a database to the lines of the
//! command.

use std::fs;
use std::path::Path;

use portcullis_tests::harness::Process;
use rustix::process::Signal;
use serde_json::Value as Json;

use crate::calls::may_make_accounts;
use crate::{Pair, scratch_root};

/// Names of what is there, and `-` with the ids of what is gone.
fn told(lines: &str) -> Vec<String> {
    let told = lines.lines().map(|line| {
        let change: Json = serde_json::from_str(line).unwrap();
        match change["change"].as_str() {
            Some("present") => change["object"]["name"].as_str().unwrap().to_owned(),
            Some("gone") => format!("-{}", change["id"].as_str().unwrap()),
            other => panic!("{other:?}"),
        }
    });
    told.collect()
}

impl Pair {
    fn sync(&self, resource: &str, token: &Path) -> Vec<String> {
        let token = token.display();
        told(&self.ok(&format!(
            "--output json sync {resource} --token-file {token}"
        )))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_of_account_files_are_told_across_restarts_and_a_stale_token_is_too() {
    if !may_make_accounts() {
        return;
    }
    let (_scratch, config) = scratch_root();
    let mut pair = Pair::dialled_in(&config).await;
    let token = pair.site.path().join("accounts.token");
    pair.ok("resource add unix --gateway host1 --connector local");
    pair.ok("account create unix ada");
    assert!(pair.sync("unix", &token).is_empty());
    pair.ok("account create unix bob");
    pair.ok("account update unix ada --set gecos=Ada");
    pair.gateway.kill();
    pair.gateway.start();
    pair.admin.synchronized("host1").await;
    let mut changed = pair.sync("unix", &token);
    changed.sort();
    assert_eq!(changed, ["ada", "bob"]);
    pair.ok("account delete unix bob");
    let gone = pair.sync("unix", &token);
    assert!(
        matches!(&*gone, [gone] if gone.starts_with('-')),
        "{gone:?}"
    );
    assert!(pair.sync("unix", &token).is_empty());
    let audited = pair.ok("audit list");
    assert!(audited.contains("sync"), "{audited}");

    fs::remove_dir_all(pair.gateway.state.join("sync")).unwrap();
    pair.ok("account create unix eve");
    let line = format!("sync unix --token-file {}", token.display());
    pair.portcullis(&line).refused().saying("--restart");
    pair.ok(&format!("{line} --restart"));
    assert!(pair.sync("unix", &token).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_follows_a_database_sees_changes_and_deletions_as_they_come() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("people.db");
    let database = rusqlite::Connection::open(&path).unwrap();
    let tables = "CREATE TABLE people (id INTEGER PRIMARY KEY, login TEXT, seen INTEGER);
        CREATE TABLE gone (id INTEGER, seen INTEGER);
        INSERT INTO people VALUES (1, 'ada', 1), (2, 'bob', 2)";
    database.execute_batch(tables).unwrap();
    let config = format!(
        "[connectors.hr]\ntype = \"sql\"\nsqlite = {path:?}\n[connectors.hr.account]\n\
         read = \"SELECT id, login AS name FROM people\"\n\
         changes = \"SELECT seen AS change, id, FALSE AS deleted FROM people UNION ALL SELECT seen, id, TRUE FROM gone\"\noverlap = 0\n"
    );
    let mut pair = Pair::dialled_out(&config).await;
    pair.ok("resource add people --gateway host1 --connector hr");
    let token = pair.site.path().join("people.token");
    assert!(pair.sync("people", &token).is_empty());

    let line = format!(
        "--output json sync people --follow --interval 50ms --token-file {}",
        token.display()
    );
    let command = pair.server.admin_command(&line);
    let mut following = Process::start(command, &pair.site.path().join("follow.out"));
    let add = "INSERT INTO people VALUES (3, 'cid', 3)";
    database.execute_batch(add).unwrap();
    following.wait_for_line("cid");
    // The gateway goes away and comes back, and whoever follows goes on.
    pair.gateway.kill();
    pair.gateway.start();
    pair.admin.synchronized("host1").await;
    let delete = "DELETE FROM people WHERE id = 2; INSERT INTO gone VALUES (2, 4)";
    database.execute_batch(delete).unwrap();
    following.wait_for_line("\"gone\"");
    following.signal(Signal::INT);
    assert_eq!(following.wait().code(), Some(0), "{}", following.log());
    // What was seen last may come once more, and what was seen before it not.
    let again = pair.sync("people", &token);
    assert!(!again.iter().any(|told| told == "ada"), "{again:?}");
    assert_eq!(again.last().map(String::as_str), Some("-2"), "{again:?}");
}
