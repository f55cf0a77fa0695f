//! A server whose configuration is changed while it runs.

use std::fs;
use std::process::{Command, Stdio};

use portcullis_tests::harness::{Programs, Server, Site, eventually};
use rustix::process::{Pid, Signal, kill_process};

use crate::serving;

fn hang_up(server: &Server) {
    let id = server.process.as_ref().unwrap().id();
    let pid = Pid::from_raw(id.try_into().unwrap()).unwrap();
    kill_process(pid, Signal::HUP).unwrap();
}

fn log(server: &Server) -> String {
    server.process.as_ref().unwrap().log()
}

async fn until_told(server: &Server, text: &str) {
    eventually(text, || async { log(server).contains(text).then_some(()) }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hangup_reloads_the_configuration_and_a_wrong_one_changes_nothing() {
    let (_site, server, _admin): (Site, Server, _) = serving("").await;
    let text = fs::read_to_string(&server.config).unwrap();
    let status = |words: &str| server.portcullis(words).ok().stdout;

    fs::write(&server.config, text.replace("\"debug\"", "\"inof\"")).unwrap();
    hang_up(&server);
    until_told(&server, "not reloaded").await;
    let told = status("status");
    assert!(
        told.contains("log.level") || told.contains("level = "),
        "{told}"
    );
    assert!(told.contains("server.toml, line "), "{told}");
    server.portcullis("status --check").refused();

    let more = "[keys]\ntoken_lifetime = \"1h\"\n[calls]\nqueue_limit = 7\n";
    let changed = text.replace("\"debug\"", "\"info\"");
    fs::write(&server.config, format!("{changed}\n{more}")).unwrap();
    hang_up(&server);
    until_told(
        &server,
        "changed: log.level, keys.token_lifetime; from the next start on: [calls]",
    )
    .await;
    let told = status("status");
    assert!(
        told.contains("[calls]") && !told.contains("line "),
        "{told}"
    );
    let added = status("gateway add host9 --dial-out");
    assert!(
        added.contains("(in 1 h)") || added.contains("(in 60 min)"),
        "{added}"
    );
    assert_eq!(status("status --check").lines().count(), 1);
    let entries = status("audit list --action Server/Reload");
    assert!(
        entries.contains("failed") && entries.contains("done"),
        "{entries}"
    );
}

/// Whether a process catches SIGHUP.
fn catches_hangups(id: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let caught = caught.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    caught.is_some_and(|mask| mask & 1 == 1)
}

#[test]
fn a_hangup_while_a_program_reads_its_configuration_does_not_end_it() {
    let site = Site::new();
    // It takes long to read, and is wrong in the end: no program comes further than that.
    let text = format!("wrong = [{}]\n", "1,".repeat(400_000));
    let config = site.file("long.toml", 0o600, &text);
    let Programs {
        server, gateway, ..
    } = Programs::built();
    for (program, line) in [
        (gateway, "run"),
        (gateway, "worker --kind networked"),
        (server, "serve"),
        (server, "relay"),
    ] {
        let mut command = Command::new(program);
        command.arg("--config").arg(&config).args(line.split(' '));
        let mut child = command.stderr(Stdio::null()).spawn().unwrap();
        while !catches_hangups(child.id()) {
            let ended = child.try_wait().unwrap();
            assert_eq!(ended, None, "{line}: it never caught a hangup");
        }
        let pid = Pid::from_child(&child);
        kill_process(pid, Signal::HUP).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(1), "{line}");
    }
}
