//! The database fails over to a standby: one that has everything, and one that lacks the last
//! changes.

use std::time::{Duration, Instant};

use portcullis_directories::Postgres;
use portcullis_tests::harness::{Scripts, Server, Site, eventually};

use crate::{Central, DATABASE, PASSWORD, verified_by};

/// A server whose database has a standby, which it knows as its second host.
async fn with_standby() -> (Central, Postgres) {
    let postgres = Postgres::start().await;
    postgres.database(DATABASE, PASSWORD);
    let standby = postgres.standby().await;
    let site = Site::new();
    let password = site.file("database-password", 0o600, PASSWORD);
    let hosts = [&postgres, &standby].map(|host| format!("{}:{}", host.address(), host.port()));
    let config = format!(
        "[repository]\nengine = \"postgres\"\nhosts = {hosts:?}\npassword_file = {password:?}\n{}",
        verified_by(postgres.authority())
    );
    let mut server = Server::new(&site, &config);
    let admin = server.serve().await;
    let central = Central {
        server,
        admin,
        site,
        postgres,
    };
    (central, standby)
}

/// What the server's head file says of the database.
fn timeline(central: &Central) -> String {
    let head = central.site.path().join("server-audit").join("head");
    let head = std::fs::read_to_string(head).unwrap();
    let (_, rest) = head.split_once("\"timeline\":").unwrap_or_default();
    rest.split(',').next().unwrap_or_default().to_owned()
}

async fn exists(central: &Central, name: &str) -> bool {
    let request = portcullis_proto::admin::v1::ShowGatewayRequest {
        name: name.to_owned(),
    };
    central.admin.gateways().show(request).await.is_ok()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: tests/run servers"]
async fn a_standby_that_has_everything_is_gone_on_with_soon_after_its_promotion() {
    let (mut central, standby) = with_standby().await;
    central.postgres.wait_for_standby().await;
    let (_gateway, scripts) = central.gateway("host1", false).await;
    central
        .admin
        .call("host1", Scripts::call("record", "before"))
        .await;

    // The primary dies while changes are made: what was acknowledged stays.
    let mut made = Vec::new();
    for number in 0..20 {
        let name = format!("made{number}");
        central.change(&name).await.unwrap();
        made.push(name);
    }
    central.postgres.kill();
    standby.promote();
    let promoted = Instant::now();
    eventually("changes to go on", async || {
        central.change("after").await.ok()
    })
    .await;
    eventually("calls to go on", async || {
        let call = Scripts::call("record", "after");
        central.admin.try_call("host1", call).await.ok()
    })
    .await;
    assert!(
        promoted.elapsed() < Duration::from_secs(10),
        "{:?} after the promotion",
        promoted.elapsed()
    );
    for name in &made {
        assert!(exists(&central, name).await, "{name} is lost");
    }
    let executed = scripts.executed();
    assert!(executed.values().all(|times| *times == 1), "{executed:?}");
    eventually("the head file to know the new primary", async || {
        (timeline(&central) == "2").then_some(())
    })
    .await;

    // The old primary, come back as one by mistake, is passed over, though it is named first.
    central.postgres.restart().await;
    central.server.process.take().unwrap().stop();
    central.server.serve().await;
    assert!(exists(&central, "after").await);
    central.admin.synchronized("host1").await;
    let call = Scripts::call("record", "again");
    central.admin.call("host1", call).await;
    central.audit_is_sound();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: tests/run servers"]
async fn a_standby_that_lacks_the_last_changes_stops_the_server_until_that_is_accepted() {
    let (mut central, mut standby) = with_standby().await;
    let (_gateway, scripts) = central.gateway("host1", false).await;
    let sql = "select count(*) from pg_stat_replication where replay_lsn = pg_current_wal_lsn()";
    eventually("the standby to have everything", async || {
        (central.postgres.query(sql).trim() == "1").then_some(())
    })
    .await;
    standby.kill();
    let call = Scripts::call("record", "lost");
    central.admin.call("host1", call).await;
    central.postgres.kill();
    standby.restart().await;
    standby.promote();

    let stops = "accept-loss";
    eventually("the server to stop", async || {
        let refused = central.change("late").await.unwrap_err();
        refused.message().contains(stops).then_some(())
    })
    .await;
    let call = Scripts::call("record", "late");
    central.admin.try_call("host1", call).await.unwrap_err();
    // Neither a restart helps, nor that somebody accepts the log alone.
    central.server.process.take().unwrap().stop();
    central.server.serve().await;
    let refused = central.change("late").await.unwrap_err();
    assert!(refused.message().contains(stops), "{refused}");
    let alone = central.server.portcullis("audit accept --reason tests");
    alone.refused().saying(stops);
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
    // The call that was forgotten is not made again under its id.
    let call = Scripts::call("record", "lost");
    let _ = central.admin.try_call("host1", call).await;
    let executed = scripts.executed();
    assert_eq!(executed.get("lost"), Some(&1));
    assert_eq!(executed.get("late"), None);
    assert_eq!(executed.get("accepted"), Some(&1));
    central.audit_is_sound();
}
