//! Scripts that the kernel does not start: the cause is said before, and when they are called.

use crate::script_host::ScriptHost;

#[tokio::test(flavor = "multi_thread")]
async fn why_a_script_does_not_start_is_said() {
    let scripts: [(&str, &[u8], &str); 5] = [
        (
            "crlf",
            b"#!/bin/sh\r\ncat >/dev/null\r\necho {}\r\n",
            "asks for `/bin/sh\\r`",
        ),
        (
            "nointerp",
            b"#!/opt/nope/python\nprint('{}')\n",
            "asks for `/opt/nope/python` by its first line, which is not there",
        ),
        (
            "noshebang",
            b"cat >/dev/null\necho '{}'\n",
            "has no `#!` line",
        ),
        (
            "bomshebang",
            b"\xef\xbb\xbf#!/bin/sh\necho '{}'\n",
            "begins with a byte order mark",
        ),
        ("empty", b"", "is empty"),
    ];
    let files: Vec<_> = scripts
        .iter()
        .map(|(action, content, _)| (format!("run-{action}"), *content))
        .collect();
    let files: Vec<_> = files
        .iter()
        .map(|(name, content)| (name.as_str(), *content, 0o755))
        .collect();
    let host = ScriptHost::new(&files).await;
    host.gateway
        .wait_for_line("calls will fail: connector `hr`");
    let status = host.gateway.cli("status").ok().stdout;
    for (action, _, cause) in scripts {
        host.portcullis(&format!("run scr1 {action}"))
            .refused()
            .saying(cause);
        assert!(status.contains(cause), "{status}");
    }
    host.portcullis("resource test scr1")
        .refused()
        .saying("(and 4 more)");
}
