//! Upgrades in waves, by gateways that come back as a program of the next version, or do not.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use portcullis_tests::harness::{Admin, Gateway, Programs, Scripts, Server, Site, eventually};
use serde_json::Value;

use super::{dial, serving};

const OWN: &str = env!("CARGO_PKG_VERSION");
const HOSTS: [&str; 4] = ["host1", "host2", "host3", "host4"];
/// Longer than a gateway takes to come back: what the test waits for where one does not.
const WITHIN: &str = "6s";

/// The version after this one, and the gateway's own program which says that it is that: a copy in
/// which the one text stands for the other.
fn next_version(site: &Site) -> (String, PathBuf) {
    let numbers: Vec<u32> = OWN.split('.').map(|one| one.parse().unwrap()).collect();
    let next = format!("{}.{}.0", numbers[0], numbers[1] + 1);
    assert_eq!(next.len(), OWN.len());
    let mut program = fs::read(&Programs::built().gateway).unwrap();
    let mut at = 0;
    while let Some(found) = program[at..]
        .windows(OWN.len())
        .position(|bytes| bytes == OWN.as_bytes())
    {
        at += found;
        program[at..at + next.len()].copy_from_slice(next.as_bytes());
    }
    let path = site.path().join("portcullis-gateway-next");
    fs::write(&path, program).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
    (next, path)
}

/// A fleet whose hosts install what they are told to.
struct Hosts {
    // In this order: processes are killed before the folder they live in goes.
    gateways: Vec<Gateway>,
    server: Server,
    admin: Admin,
    next: (String, PathBuf),
    site: Site,
}

impl Hosts {
    async fn new() -> Self {
        let (site, server, admin) = serving("").await;
        let mut gateways = Vec::new();
        for name in HOSTS {
            let scripts = Scripts::new(&site, &format!("{name}-scripts"));
            let dial = dial(&server, true);
            let mut gateway = Gateway::new(&site, name, dial, &scripts.config());
            gateway.enroll(&admin.add_gateway(name, "", false).await);
            gateway.start();
            gateways.push(gateway);
        }
        for name in HOSTS {
            admin.synchronized(name).await;
            admin.add_resource(name, name, Scripts::CONNECTOR).await;
        }
        Self {
            next: next_version(&site),
            gateways,
            server,
            admin,
            site,
        }
    }

    /// Ends the gateway of this host, and starts it as this program.
    fn install(&mut self, host: usize, program: &Path) {
        let gateway = &mut self.gateways[host];
        gateway.kill();
        gateway.runs(program);
        gateway.start();
    }

    fn install_next(&mut self, host: usize) {
        let program = self.next.1.clone();
        self.install(host, &program);
    }

    /// What `fleet upgrade status` says: the state of each wave, the gateways released, and of the
    /// task its state and why it ended.
    fn status(&self) -> (Vec<String>, Vec<String>, String, String) {
        let status = self.server.portcullis("fleet upgrade status --output json");
        let status: Value = serde_json::from_str(&status.ok().stdout).unwrap();
        let waves = status["waves"].as_array().unwrap();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let released = waves.iter().filter(|wave| wave["released"] == true);
        (
            waves.iter().map(|wave| text(&wave["state"])).collect(),
            released
                .flat_map(|wave| wave["gateways"].as_array().unwrap())
                .map(text)
                .collect(),
            text(&status["task"]["state"]),
            text(&status["task"]["reason"]),
        )
    }

    /// Waits until this host may be upgraded, as whoever sets it up asks.
    async fn released(&self, host: &str) {
        let line = format!("fleet upgrade released --gateway {host}");
        let what = format!("{host} to be released");
        eventually(&what, || async {
            let asked = self.server.portcullis(&line);
            asked.status.success().then_some(())
        })
        .await;
    }

    async fn ends(&self, wanted: &str) -> String {
        eventually("the upgrade to end", || async {
            let (_, _, state, reason) = self.status();
            (state == wanted).then_some(reason)
        })
        .await
    }

    /// That the upgrade has ended, with the waves in these states, and releases nobody.
    fn stands(&self, states: [&str; 4]) {
        let (waves, released, _, _) = self.status();
        assert_eq!(waves, states);
        assert_eq!(released, [""; 0]);
        let listed = self.server.portcullis("fleet upgrade released").ok();
        assert_eq!(listed.stdout, "");
        for host in HOSTS {
            let line = format!("fleet upgrade released --gateway {host}");
            let refused = self.server.portcullis(&line).refused();
            assert_eq!(refused.status.code(), Some(1), "{host}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_third_wave_that_does_not_come_back_holds_the_rest_until_it_is_mended() {
    let mut hosts = Hosts::new().await;
    let file = "first: host1\nsecond: host2\nthird: host3\nrest: *\n";
    let file = hosts.site.file("waves", 0o600, file);
    let next = hosts.next.0.clone();
    let upgrade = format!(
        "fleet upgrade --waves {} --to {next} --within {WITHIN} --settle 0s --background",
        file.display()
    );
    hosts.server.portcullis(&upgrade).ok();
    for (number, host) in HOSTS.into_iter().enumerate().take(2) {
        hosts.released(host).await;
        hosts.install_next(number);
    }
    hosts.released("host3").await;
    // Its new program does not run.
    hosts.gateways[2].kill();
    let reason = hosts.ends("failed").await;
    assert!(
        reason.contains("third") && reason.contains("host3 (it has no link)"),
        "{reason}"
    );
    assert!(!reason.contains("host4"), "{reason}");
    hosts.stands(["done", "done", "failed", "waiting"]);
    let status = hosts.server.portcullis("fleet upgrade status").ok().stdout;
    assert!(status.contains("host3 (it has no link)"), "{status}");
    assert_eq!(hosts.admin.gateway("host4").await.version, OWN);

    // Its former version is put back; that is not what the wave waits for.
    hosts.install(2, &Programs::built().gateway);
    hosts.admin.synchronized("host3").await;
    hosts
        .server
        .portcullis("fleet upgrade resume --background")
        .ok();
    hosts.released("host3").await;
    let (waves, released, _, _) = hosts.status();
    assert_eq!(waves, ["done", "done", "running", "waiting"]);
    assert_eq!(released, ["host1", "host2", "host3"]);
    hosts.install_next(2);
    hosts.released("host4").await;

    hosts.server.portcullis("fleet upgrade stop").ok();
    hosts.ends("cancelled").await;
    hosts.stands(["done", "done", "done", "waiting"]);
    assert_eq!(hosts.admin.gateway("host4").await.version, OWN);

    hosts
        .server
        .portcullis("fleet upgrade resume --background")
        .ok();
    hosts.released("host4").await;
    hosts.install_next(3);
    hosts.ends("done").await;
    for host in HOSTS {
        assert_eq!(hosts.admin.gateway(host).await.version, next, "{host}");
    }
    let list = hosts.server.portcullis("audit list --output json").ok();
    let entries = list.stdout.matches("\"Fleet/Wave\"").count();
    // The third wave and the last one were released twice.
    assert_eq!(entries, 6, "{}", list.stdout);
}
