//! The database is away, takes no changes, or is full.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use portcullis_proto::admin::v1 as admin;
use portcullis_tests::harness::{
    OrFail as _, Scripts, Site, eventually, free_port, run, run_to_end,
};
use rustix::process::geteuid;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tonic::{Code, Status};

use crate::Central;

impl Central {
    /// Tries to change something.
    pub(crate) async fn change(&self, name: &str) -> Result<(), Status> {
        let request = admin::AddGatewayRequest {
            name: name.to_owned(),
            address: "127.0.0.1:9".to_owned(),
            ..admin::AddGatewayRequest::default()
        };
        self.admin.gateways().add(request).await.map(drop)
    }

    /// A change is refused with these words, and was not made.
    async fn refuses(&self, name: &str, words: &str) {
        let refused = self.change(name).await.unwrap_err();
        assert!(refused.message().contains(words), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: tests/run servers"]
async fn a_database_may_be_away_for_a_while() {
    let mut central = Central::start().await;
    let (_gateway, scripts) = central.gateway("host1", false).await;

    // Away at the start.
    central.server.kill();
    central.postgres.kill();
    let began = Instant::now();
    let refused = central.server.cli("serve").refused();
    refused.saying("is not to be had now");
    assert!(began.elapsed() < Duration::from_secs(20));
    central.postgres.restart().await;
    central.server.serve().await;
    central.admin.synchronized("host1").await;

    // Standing still in mid-work, for some seconds: what is asked for waits.
    central.postgres.suspend();
    let admin = central.admin.clone();
    let adding = tokio::spawn(async move {
        admin.add_gateway("stopped", "127.0.0.1:9", false).await;
    });
    tokio::time::sleep(Duration::from_secs(4)).await;
    central.postgres.resume();
    adding.await.unwrap();

    // For longer: it is said so, nothing is begun, and no restart is needed afterwards.
    central.postgres.kill();
    let call = central
        .admin
        .try_call("host1", Scripts::call("record", "never"));
    let (change, call) = tokio::join!(central.refuses("impatient", "is not to be had now"), call);
    let () = change;
    call.unwrap_err();
    central.postgres.restart().await;
    eventually("changes to go on", async || {
        central.change("later").await.ok()
    })
    .await;
    // That it was away is said once, and once that it is back, whoever asked meanwhile.
    let [away, back] = [
        "the database of the repository is away",
        "the database of the repository is back",
    ];
    let times = |log: &str, text: &str| log.matches(text).count();
    eventually("the log to say that it is back", async || {
        let log = central.server.log();
        (times(&log, away) > 0 && times(&log, away) == times(&log, back)).then_some(())
    })
    .await;
    let log = central.server.log();
    assert!(times(&log, away) <= 2, "{log}");
    let loud = |line: &&str| line.contains("ERROR") && line.contains("is not to be had now");
    let loud: Vec<_> = log.lines().filter(loud).collect();
    assert!(loud.len() <= 6, "{loud:#?}");
    let request = admin::ShowGatewayRequest {
        name: "impatient".to_owned(),
    };
    let shown = central.admin.gateways().show(request).await;
    assert_eq!(shown.unwrap_err().code(), Code::NotFound);
    // Links were given up meanwhile, as another server may have taken over.
    central.admin.synchronized("host1").await;
    let call = Scripts::call("record", "again");
    central.admin.call("host1", call).await;
    let executed = scripts.executed();
    assert_eq!(executed.get("never"), None);
    assert_eq!(executed.get("again"), Some(&1));
    central.audit_is_sound();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: tests/run servers"]
async fn a_database_that_takes_no_changes_is_away() {
    let central = Central::start().await;
    central.postgres.query(
        "alter system set default_transaction_read_only = on;
         select pg_reload_conf();
         select pg_terminate_backend(pid) from pg_stat_activity where usename = 'portcullis';",
    );
    central
        .refuses("host1", "none of the hosts is the primary")
        .await;
    let status = central.server.portcullis("gateway list");
    assert!(!status.stdout.contains("host1"), "{status}");
    central.postgres.query(
        "set default_transaction_read_only = off;
         alter system reset default_transaction_read_only;
         select pg_reload_conf();",
    );
    eventually("changes to go on", async || {
        central.change("host1").await.ok()
    })
    .await;
    central.audit_is_sound();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: tests/run servers"]
async fn a_database_without_a_standby_is_ready_and_named() {
    let port = free_port();
    let central = Central::with(&format!("[watch]\nlisten = \"127.0.0.1:{port}\"\n")).await;
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let request = b"GET /ready HTTP/1.1\r\nhost: x\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.contains("synchronous_standby_names"), "{answer}");
    let doctor = central.server.cli("doctor").stdout;
    assert!(doctor.contains("no standby has"), "{doctor}");
}

/// A file system with little room, until it is dropped.
struct Small(PathBuf);

impl Small {
    fn new(site: &Site) -> Self {
        let path = site.folder("small");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=24m,mode=0777", "tmpfs"]);
        mount.arg(&path);
        run(mount);
        Self(path)
    }

    /// Takes all the room that is left.
    fn fill(&self) {
        let mut file = std::fs::File::create(self.0.join("filler")).or_fail("fill it");
        let zeros = [0; 4096];
        while std::io::Write::write_all(&mut file, &zeros).is_ok() {}
    }

    fn make_room(&self) {
        std::fs::remove_file(self.0.join("filler")).or_fail("make room");
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let mut umount = Command::new("umount");
        umount.arg("-l").arg(&self.0);
        run_to_end(umount, "");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL and root: tests/run servers"]
async fn a_full_database_refuses_and_takes_changes_again_once_there_is_room() {
    if !geteuid().is_root() {
        return;
    }
    let central = Central::start().await;
    let small = Small::new(central.postgres.site());
    let folder = small.path().join("tables");
    std::fs::create_dir(&folder).unwrap();
    std::os::unix::fs::chown(&folder, Some(65534), Some(65534)).unwrap();
    central.postgres.query(&format!(
        "create tablespace small location '{}';
         \\connect portcullis
         alter table all in tablespace pg_default set tablespace small;
         alter index all in tablespace pg_default set tablespace small;",
        folder.display()
    ));
    small.fill();
    let mut made = 0;
    let refused = loop {
        match central.change(&format!("host{made}")).await {
            Ok(()) => made += 1,
            Err(refused) => break refused,
        }
        assert!(made < 2_000, "there is room without end");
    };
    assert!(refused.message().contains("free some space"), "{refused}");
    small.make_room();
    let next = format!("host{made}");
    eventually("changes to go on", async || {
        central.change(&next).await.ok()
    })
    .await;
    central.audit_is_sound();
}
