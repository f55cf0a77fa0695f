//! What is wrong is told with what to do, before anything starts; nothing half-done stays.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use portcullis_proto::gateway::v1::FailureKind;
use portcullis_proto::gateway::v1::outcome::Result as OutcomeResult;
use portcullis_tests::harness::{
    Dial, Gateway, Scripts, Server, Site, free_port, run_to_end, words,
};

use crate::watching::{get, until_ready, watched};
use crate::{Pair, registered, scratch_root, serving};

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_is_named() {
    let pair = Pair::dialled_in("").await;
    let Dial::In(port) = pair.gateway.dial else {
        unreachable!("it is dialled")
    };
    let mut other = Gateway::new(&pair.site, "other", pair.gateway.dial, "");
    let token = pair.admin.add_gateway("other", "", false).await;
    other.enroll(&token);
    let ended = other.start().wait();
    assert_eq!(ended.code(), Some(1));
    assert!(other.log().contains(&port.to_string()), "{}", other.log());

    let occupied = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = occupied.local_addr().unwrap().port();
    let data = pair.site.folder("second");
    let mut second = Server::configured(&pair.site, "second", &data, "");
    let text = fs::read_to_string(&second.config).unwrap();
    let changed = text.replace(&second.dial_out_port.to_string(), &port.to_string());
    fs::write(&second.config, changed).unwrap();
    second.cli("init").ok();
    let ended = second.start().wait();
    assert_eq!(ended.code(), Some(1));
    assert!(second.log().contains(&port.to_string()), "{}", second.log());
}

#[test]
fn a_broken_configuration_is_told_with_file_line_and_key() {
    let site = Site::new();
    let data = site.folder("server");
    for (more, key) in [
        ("[links]\nbackof_min = \"1s\"\n", "backof_min"),
        ("[channel]\nsuites = [\"DES\"]\n", "suites"),
        ("[keys]\ntoken_lifetime = \"soon\"\n", "token_lifetime"),
        ("[keys\n", "[keys"),
    ] {
        let server = Server::configured(&site, "server", &data, "");
        // Alone in the file: a table that stood twice would be the first mistake.
        fs::write(&server.config, format!("data_dir = {data:?}\n{more}")).unwrap();
        for verb in ["validate", "serve", "init"] {
            server
                .cli(verb)
                .refused()
                .saying("server.toml")
                .saying("line ")
                .saying(key);
        }
        assert!(!data.join("portcullis.db").exists(), "{key}");
    }

    for (text, key) in [
        ("instanze = \"a\"\n", "instanze"),
        ("[limits]\ncalls = 0\n", "calls"),
        ("[listen]\naddress = \"nowhere\"\n", "address"),
        ("[connectors.a]\ntype = \"telepathy\"\n", "telepathy"),
    ] {
        let gateway = Gateway::new(&site, "host1", Dial::In(1), "");
        let text = format!("state_dir = {:?}\n{text}", gateway.state);
        fs::write(&gateway.config, text).unwrap();
        for verb in ["validate", "run"] {
            gateway.cli(verb).refused().saying("host1.toml").saying(key);
        }
        assert!(!gateway.state.join("keys").exists(), "{key}");
    }

    let gateway = Gateway::new(&site, "host1", Dial::In(1), "");
    fs::remove_file(&gateway.config).unwrap();
    gateway.cli("validate").refused().saying("host1.toml");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_without_a_sound_key_store_does_not_start() {
    let mut pair = Pair::dialled_in("").await;
    pair.gateway.kill();
    let keys = pair.key_store();
    let sound = fs::read(&keys).unwrap();
    let refused = |why: &str| {
        println!("{why}");
        let refused = pair.gateway.cli("run").refused().saying("keys");
        refused.stderr
    };

    let mut damaged = sound.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    fs::write(&keys, &damaged).unwrap();
    refused("one bit is wrong");
    fs::write(&keys, &sound[..middle]).unwrap();
    refused("cut in half");
    fs::write(&keys, b"").unwrap();
    refused("empty");
    fs::write(&keys, &sound).unwrap();
    fs::set_permissions(&keys, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(refused("readable by all").contains("chmod"));
    fs::set_permissions(&keys, fs::Permissions::from_mode(0o600)).unwrap();
    let away = keys.with_extension("away");
    fs::rename(&keys, &away).unwrap();
    assert!(refused("gone").contains("enroll"));

    fs::rename(&away, &keys).unwrap();
    pair.gateway.start();
    pair.admin.synchronized("host1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_state_folder_serves_one_process() {
    let pair = Pair::dialled_in("").await;
    pair.gateway.cli("run").refused();
    pair.server.cli("serve").refused();
    pair.server.cli("init").refused().saying("never overwrites");
    pair.admin.synchronized("host1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_identity_twice_does_not_stop_the_service() {
    let mut pair = Pair::dialled_out("").await;
    // A copy of a gateway's folder, as a cloned machine has it.
    let copy = pair.site.folder("clone");
    fs::copy(pair.key_store(), copy.join("keys")).unwrap();
    let mut clone = Gateway::new(
        &pair.site,
        "clone",
        pair.gateway.dial,
        &pair.scripts.config(),
    );
    clone.start();
    clone.wait_for_line("session");
    clone.kill();
    // Whichever held the link: the one that is left has it in the end.
    pair.gateway.kill();
    pair.gateway.start();
    pair.admin.synchronized("host1").await;
    pair.admin.rotate(30_000).await;
    pair.admin.synchronized("host1").await;

    // The clone stayed behind: what it holds is retired, and opens nothing any more.
    clone.start();
    clone.wait_for_line("no session");
    pair.admin.synchronized("host1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_connector_does_not_know_is_told_when_a_resource_is_given_it() {
    let (_root, connector) = scratch_root();
    let pair = Pair::dialled_in(&connector).await;
    pair.ok("resource add people --gateway host1 --connector local");
    let secret = pair.site.path().join("secret");
    fs::write(&secret, "x\n").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    let secret = secret.display();
    for (given, taken_back, told) in [
        (
            format!("--secret-file pin={secret}"),
            "--clear-secret pin",
            "has no setting `pin`",
        ),
        (
            "--set pin=1".to_owned(),
            "--set pin=",
            "has no setting `pin`",
        ),
        (
            "--map account.shel={sh}".to_owned(),
            "--map account.shel=",
            "`account.shel` (it has shell, ",
        ),
    ] {
        let set = pair.ok(&format!("resource set people {given}"));
        let set = set.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(set.contains("WARNING") && set.contains(told), "{set}");
        let set = pair.ok(&format!("resource set people {taken_back}"));
        assert!(!set.contains("WARNING"), "{set}");
    }
    let known = "--map account.full_name={full} --map account.name={id} --map group.gid={number}";
    let set = pair.ok(&format!("resource set people {known}"));
    assert!(!set.contains("WARNING"), "{set}");
    let rules = pair.site.path().join("rules");
    fs::write(&rules, "# ours\naccount.shell = {sh\n").unwrap();
    let rules = rules.display();
    pair.portcullis(&format!("resource set people --map-file {rules}"))
        .refused()
        .saying(&format!("{rules}, line 2: "));
}

/// A file system of a few hundred kilobytes, unmounted when dropped; `None` where this user may not
/// mount one.
struct TinyDisk(PathBuf);

impl TinyDisk {
    fn new(folder: &Path, size: &str) -> Option<Self> {
        let mut mount = Command::new("mount");
        let options = format!("-t tmpfs -o size={size},mode=0700 tmpfs");
        mount.args(words(&options)).arg(folder);
        let mounted = run_to_end(mount, "").status.success();
        mounted.then(|| Self(folder.to_owned()))
    }

    /// Leaves no room for another byte.
    fn fill(&self) {
        let mut block = vec![1_u8; 4096];
        let mut file = fs::File::create(self.0.join("filling")).unwrap();
        while std::io::Write::write_all(&mut file, &block).is_ok() {}
        block.truncate(1);
        while std::io::Write::write_all(&mut file, &block).is_ok() {}
    }

    fn clear(&self) {
        fs::remove_file(self.0.join("filling")).unwrap();
    }
}

impl Drop for TinyDisk {
    fn drop(&mut self) {
        let mut umount = Command::new("umount");
        umount.arg("-l").arg(&self.0);
        let unmounted = run_to_end(umount, "");
        if !unmounted.status.success() {
            eprintln!("{unmounted}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_under_the_key_store_loses_no_key() {
    let (site, _server, admin) = serving("").await;
    let (mut gateway, token) = registered(&site, &admin, Dial::inward(), "").await;
    let Some(disk) = TinyDisk::new(&gateway.state, "64k") else {
        eprintln!("skipped: to mount a small file system needs root");
        return;
    };
    disk.fill();
    gateway.cli_given("enroll", &token).refused().saying("full");
    disk.clear();
    gateway.enroll(&token);
    gateway.start();
    let before = admin.synchronized("host1").await;

    // A rotation that cannot be stored is not taken; the link goes on, and the key comes once there
    // is room.
    disk.fill();
    let report = admin.rotate(2_000).await;
    assert_eq!(report.synchronized, 0, "{report:?}");
    assert_ne!(report.current_key_id, before.session_key_id);
    disk.clear();
    gateway.kill();
    gateway.start();
    let after = admin.synchronized("host1").await;
    assert_eq!(after.session_key_id, report.current_key_id);
    gateway.kill();
    drop(disk);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_under_the_journal_is_told_as_long_as_it_lasts() {
    let (site, server, admin) = serving("").await;
    let (port, scripts) = (free_port(), Scripts::new(&site, "scripts"));
    let config = format!("{}{}", scripts.config(), watched(port));
    let (mut gateway, token) = registered(&site, &admin, Dial::inward(), &config).await;
    let Some(disk) = TinyDisk::new(&gateway.state, "256k") else {
        eprintln!("skipped: to mount a small file system needs root");
        return;
    };
    gateway.enroll(&token);
    gateway.start();
    admin.synchronized("host1").await;
    let connector = Scripts::CONNECTOR;
    admin.add_resource("journal", "host1", connector).await;
    let mut pair = Pair {
        gateway,
        server,
        admin,
        scripts,
        site,
    };
    let outcome = pair.record("before").await.result;
    assert!(matches!(outcome, Some(OutcomeResult::Done(_))));
    let told = |pair: &Pair| {
        let doctor = pair.gateway.cli("doctor").stdout;
        let status = pair.gateway.cli("status").stdout;
        (
            doctor.contains("it takes entries"),
            status.contains("no room"),
        )
    };
    until_ready(port, 200).await;
    assert_eq!(told(&pair), (true, false));
    disk.fill();
    // Before any call has met it.
    let unready = until_ready(port, 503).await;
    assert!(unready.contains("no room"), "{unready}");
    let metrics = get(port, "/metrics").await.1;
    let writable = "portcullis_gateway_journal_writable";
    assert!(metrics.contains(&format!("{writable} 0\n")), "{metrics}");
    assert_eq!(told(&pair), (false, true));
    let outcome = pair.record("full").await.result;
    let Some(OutcomeResult::Failed(failure)) = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!(failure.kind(), FailureKind::Busy, "{failure:?}");
    assert!(failure.message.contains("no room"), "{failure:?}");
    disk.clear();
    until_ready(port, 200).await;
    let outcome = pair.record("after").await.result;
    assert!(matches!(outcome, Some(OutcomeResult::Done(_))));
    pair.gateway.kill();
    drop(disk);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_under_the_repository_loses_nothing() {
    let site = Site::new();
    let data = site.folder("server");
    let Some(disk) = TinyDisk::new(&data, "1m") else {
        eprintln!("skipped: to mount a small file system needs root");
        return;
    };
    let mut server = Server::configured(&site, "server", &data, "");
    disk.fill();
    server.cli("init").refused();
    disk.clear();
    assert_eq!(
        fs::read_dir(&data).unwrap().count(),
        0,
        "something half-done stayed"
    );
    server.cli("init").ok();
    let admin = server.serve().await;
    let (mut gateway, token) = registered(&site, &admin, Dial::inward(), "").await;
    gateway.enroll(&token);
    gateway.start();
    let before = admin.synchronized("host1").await;

    disk.fill();
    // What is appended to a log of changes first may still fit: at some point it does not.
    let mut refused = None;
    for _ in 0..200 {
        if let Err(error) = admin.try_rotate(0).await {
            refused = Some(error.to_string());
            break;
        }
    }
    let refused = refused.expect("a full disk refuses a change");
    assert!(!refused.is_empty());
    disk.clear();
    server.kill();
    let admin = server.serve().await;
    let after = admin.synchronized("host1").await;
    assert_eq!(after.gateway_id, before.gateway_id);
    admin.rotate(30_000).await;
    admin.synchronized("host1").await;
    server.kill();
    drop(disk);
}
