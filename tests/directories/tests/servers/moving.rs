//! A site moves to another engine and back, is backed up, and goes back in time.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use portcullis_directories::Postgres;
use portcullis_tests::harness::{Admin, Finished, Scripts, Server, Site, eventually, run_to_end};

use crate::{Central, DATABASE, PASSWORD, over_tls};

/// A server with the same folder as another one, and this `[repository]`.
fn beside(site: &Site, name: &str, server: &Server, repository: &str) -> Server {
    Server::configured(site, name, &server.data, repository)
}

/// Copies from one server's repository to the other's.
#[track_caller]
fn copy(from: &Server, to: &Server) -> Finished {
    let mut command = from.command("repository copy --to");
    command.arg(&to.config);
    run_to_end(command, "")
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: tests/run servers"]
async fn a_site_moves_into_a_database_and_back_with_all_that_it_has() {
    let postgres = Postgres::start().await;
    postgres.database(DATABASE, PASSWORD);
    let site = Site::new();
    let file = Server::new(&site, "");
    let database = beside(&site, "database", &file, &over_tls(&site, &postgres));
    let mut central = Central {
        admin: Admin::new(&file.socket),
        server: file,
        site,
        postgres,
    };
    central.server.serve().await;
    let (mut gateway, scripts) = central.gateway("host1", false).await;
    central
        .admin
        .call("host1", Scripts::call("record", "before"))
        .await;
    central.admin.rotate(30_000).await;

    // Not under a server that runs.
    let refused = copy(&central.server, &database).refused();
    refused.saying("stop it first");
    central.server.process.take().unwrap().stop();

    let told = copy(&central.server, &database).ok().stdout;
    assert!(told.contains("is marked as moved"), "{told}");
    let moved = "the repository was moved to postgresql://";
    central.server.cli("serve").refused().saying(moved);
    central.server.cli("validate").refused().saying(moved);
    central.server.cli("init").refused();
    central.server = database;
    central.admin = central.server.serve().await;
    central.admin.synchronized("host1").await;
    // A call that was made before is not made again.
    let again = Scripts::call("record", "before");
    central.admin.call("host1", again).await;
    central
        .admin
        .call("host1", Scripts::call("record", "in-between"))
        .await;
    let executed = scripts.executed();
    assert_eq!(executed.get("before"), Some(&1));
    assert_eq!(executed.get("in-between"), Some(&1));
    central.admin.rotate(30_000).await;
    central.audit_is_sound();
    central.server.process.take().unwrap().stop();

    // Back, into another file of the same folder once the old one is out of the way.
    let back = beside(&central.site, "back", &central.server, "");
    let refused = copy(&central.server, &back).refused();
    refused.saying("is already there");
    for name in ["portcullis.db", "portcullis.db-wal", "portcullis.db-shm"] {
        let path = back.data.join(name);
        let _ = fs::rename(&path, path.with_extension("old"));
    }
    copy(&central.server, &back).ok();
    central.server.cli("serve").refused().saying("was moved to");
    central.server = back;
    central.admin = central.server.serve().await;
    central.admin.synchronized("host1").await;
    let call = Scripts::call("record", "back");
    central.admin.call("host1", call).await;
    assert_eq!(scripts.executed().get("back"), Some(&1));
    central.audit_is_sound();
    gateway.kill();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: tests/run servers"]
async fn a_restored_backup_holds_what_waited_and_voids_what_was_open() {
    let mut central = Central::start().await;
    let (mut gateway, scripts) = central.gateway("host1", false).await;
    central.admin.rotate(30_000).await;
    // A call that waits, and a token that was not used.
    gateway.kill();
    central
        .admin
        .gateway_becomes("host1", "away", |gateway| !gateway.connected)
        .await;
    central.server.portcullis("run host1 record --queue").ok();
    let unused = central.admin.add_gateway("host2", "127.0.0.1:9", true);
    unused.await;
    let backup: PathBuf = central.site.path().join("backup.db");
    back_up(&central.server, &backup).ok();
    back_up(&central.server, &backup).refused();

    // What is lost: the call is carried out, and another key is current.
    gateway.start();
    central.admin.synchronized("host1").await;
    eventually("the call to be carried out", async || {
        (scripts.executed().len() == 1).then_some(())
    })
    .await;
    central.admin.rotate(30_000).await;
    central.server.process.take().unwrap().stop();
    restore(&central.server, &backup)
        .refused()
        .saying("already");

    // The one that is there is not overwritten: it is put aside by hand.
    central.postgres.query(
        "\\connect portcullis
         alter schema portcullis rename to before",
    );
    let told = restore(&central.server, &backup).ok().stdout;
    assert!(told.contains("generation   1"), "{told}");
    assert!(told.contains("calls held   1"), "{told}");
    central.admin = central.server.serve().await;
    let held = central
        .server
        .portcullis("call list --state indeterminate")
        .ok();
    assert!(held.stdout.contains("host1"), "{held}");
    let unused = central.admin.gateway("host2").await;
    assert_eq!(unused.token_expires_unix_ms, 0, "{unused:?}");
    assert_eq!(unused.pairing_until_unix_ms, 0, "{unused:?}");
    let entries = central
        .server
        .portcullis("audit list --action Repository/AcceptLoss")
        .ok();
    assert!(entries.stdout.contains("the tests"), "{entries}");
    central.audit_is_sound();
    let executed = scripts.executed();
    assert!(executed.values().all(|times| *times == 1), "{executed:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: tests/run servers"]
async fn a_database_that_went_back_stops_the_server_until_that_is_accepted() {
    let mut central = Central::start().await;
    let (_gateway, scripts) = central.gateway("host1", false).await;
    let kept = central.postgres.keep_state();
    central.postgres.restart().await;
    let change = async |central: &Central, name: &str| {
        let changed = central.change(name).await;
        changed.map_err(|refused| refused.message().to_owned())
    };
    eventually("changes to go on", async || {
        change(&central, "lost").await.ok()
    })
    .await;
    let call = Scripts::call("record", "lost");
    central.admin.call("host1", call).await;

    // As after a failover to a standby that did not have everything.
    central.postgres.put_back(&kept);
    central.postgres.restart().await;
    let stands = "the audit log takes no entries";
    let refused = async |central: &mut Central| {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let said = change(central, "late").await.unwrap_err();
            if said.contains(stands) {
                break;
            }
            assert!(Instant::now() < deadline, "{said}");
            // A beat that came first found the one before it gone: such a server ends, and is
            // started again.
            let process = central.server.process.as_ref().unwrap();
            if process.has_ended() {
                central.server.serve().await;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let call = Scripts::call("record", "late");
        central.admin.try_call("host1", call).await.unwrap_err();
    };
    refused(&mut central).await;
    // Nor does a restart help.
    central.server.process.take().unwrap().stop();
    central.server.serve().await;
    refused(&mut central).await;
    central.server.process.take().unwrap().stop();
    let accepted = central
        .server
        .cli("repository accept-loss --reason failover")
        .ok();
    assert!(accepted.stdout.contains("generation   1"), "{accepted}");
    central.server.serve().await;
    central.admin.synchronized("host1").await;
    let call = Scripts::call("record", "accepted");
    central.admin.call("host1", call).await;
    // The call that was made is not made again under its id, though the server forgot it.
    let call = Scripts::call("record", "lost");
    let _ = central.admin.try_call("host1", call).await;
    let executed = scripts.executed();
    assert_eq!(executed.get("lost"), Some(&1));
    assert_eq!(executed.get("late"), None);
    assert_eq!(executed.get("accepted"), Some(&1));
    change(&central, "lost").await.unwrap();
    central.audit_is_sound();
}

fn back_up(server: &Server, file: &Path) -> Finished {
    let mut command = server.command("repository backup");
    command.arg(file);
    run_to_end(command, "")
}

#[track_caller]
fn restore(server: &Server, file: &Path) -> Finished {
    let mut command = server.command("repository restore");
    command.arg(file).args(["--reason", "the tests"]);
    run_to_end(command, "")
}
