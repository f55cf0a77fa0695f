//! A script that lost its permission to be executed costs itself, and not the gateway.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::script_host::ScriptHost;

const ANSWER: &[u8] = b"#!/bin/sh\ncat >/dev/null; echo '{}'\n";

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_in_a_folder_costs_what_it_concerns() {
    let host = ScriptHost::new(&[
        ("run-noexec", ANSWER, 0o644),
        ("run-well", ANSWER, 0o755),
        ("get.bak", ANSWER, 0o755),
    ])
    .await;
    host.gateway.wait_for_line("get.bak is never run");
    host.portcullis("run scr1 well").ok();
    host.portcullis("run scr1 noexec")
        .refused()
        .saying("run-noexec cannot be executed: `chmod u+x` it");
    let shown = host.portcullis("gateway show h1").ok().stdout;
    assert!(shown.contains("fault: "), "{shown}");
    // The folder as a whole, while the gateway runs; a reload sees it, and nothing ends.
    let mode = |mode| {
        fs::set_permissions(&host.scripts, fs::Permissions::from_mode(mode)).unwrap();
    };
    mode(0o777);
    host.gateway.cli("reload").ok();
    host.portcullis("run scr1 well")
        .refused()
        .saying("chmod go-w");
    mode(0o700);
    host.put("run-noexec", ANSWER, 0o755);
    host.portcullis("run scr1 well").ok();
    host.portcullis("run scr1 noexec").ok();
    // A new script is found by a reload, and the server is told of it.
    host.put("get", ANSWER, 0o755);
    let told = host.gateway.cli("reload").ok().stdout;
    assert!(
        told.contains("connector `hr` found other scripts"),
        "{told}"
    );
    let shown = host.portcullis("gateway show h1").ok().stdout;
    assert!(shown.contains("get") && !shown.contains("fault"), "{shown}");
}
