//! README.md's "In two minutes", pasted as it stands into a shell of a host of its own.

use std::fs;
use std::path::Path;
use std::process::Command;

use portcullis_tests::harness::{Programs, Site, run_to_end};

/// What makes a host of its own: folders that the block writes to, and a loopback of its own.
const HOST: &str = "\
set -eu
scratch=$1
mkdir $scratch/etc
cp -a /etc/. $scratch/etc
mount --bind $scratch/etc /etc
for folder in /run /var/lib /var/mail /home; do
    mkdir -p $folder
    mount -t tmpfs tmpfs $folder
done
ip link set lo up
";

/// What has to be true when it is done.
const AFTER: &str = "
[ \"$(getent passwd ada | cut -d: -f5)\" = 'Ada Lovelace' ]
portcullis gateway list --behind --down --ahead --alarms
portcullis status --check
";

/// The commands under "In two minutes".
fn block() -> String {
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md");
    let text = fs::read_to_string(readme).unwrap();
    let (_, rest) = text.split_once("## In two minutes\n").unwrap();
    let (section, _) = rest.split_once("\n## ").unwrap();
    let commands = section.lines().filter_map(|line| line.strip_prefix("    "));
    commands.map(|line| format!("{line}\n")).collect()
}

/// Whether such a host can be made here: that takes root, or a user namespace where one may mount.
fn can_make_a_host() -> bool {
    let status = unshare("mount -t tmpfs tmpfs /mnt && ip link set lo up").status();
    status.is_ok_and(|status| status.success())
}

fn unshare(script: &str) -> Command {
    let mut command = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        command.arg("--map-root-user");
    }
    command.args(["--mount", "--net", "--pid", "--fork", "--kill-child"]);
    command.args(["bash", "-c", script, "host"]);
    command
}

#[test]
fn the_two_minutes_of_the_readme_work_as_they_stand() {
    let commands = block();
    assert!(commands.contains("portcullis-server init"), "{commands}");
    if !can_make_a_host() {
        println!("skipped: no host of its own can be made here (unshare, ip)");
        return;
    }
    let programs = Programs::built();
    let folder = programs.server.parent().unwrap_or(Path::new("/"));
    let site = Site::new();
    let path = std::env::var("PATH").unwrap_or_default();
    // An error does not end a person's shell; here each line has to work.
    let script = format!("{HOST}cd $scratch\n{commands}{AFTER}");
    let mut command = unshare(&script);
    command.arg(site.path());
    command.env("PATH", format!("{}:{path}", folder.display()));
    command.env_remove("PORTCULLIS_SOCKET");
    let finished = run_to_end(command, "");
    let log = |name: &str| fs::read_to_string(site.path().join(name)).unwrap_or_default();
    assert!(
        finished.status.success(),
        "{finished}\n{}\n{}",
        log("portcullis-server.log"),
        log("portcullis-gateway.log")
    );
    assert!(
        finished.stdout.contains("no gateway is like that"),
        "{finished}"
    );
    assert!(
        finished.stdout.contains("OK: 1 registered, 1 up"),
        "{finished}"
    );
}
