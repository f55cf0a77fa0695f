//! What a script writes reaches the caller and the gateway's log, whatever it ends with.

use crate::script_host::ScriptHost;

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_a_script_printed_is_lost() {
    let text = "ERROR: cannot connect to the HR database";
    let get = format!("#!/bin/sh\ncat >/dev/null; echo '{text}'; exit 3\n");
    let delete = format!("#!/bin/sh\ncat >/dev/null; echo '{text}'\n");
    let killed = "#!/bin/sh\ncat >/dev/null; echo 'out of luck' >&2; kill -9 $$\n";
    let host = ScriptHost::new(&[
        ("get", get.as_bytes(), 0o755),
        ("delete", delete.as_bytes(), 0o755),
    ])
    .await;
    host.portcullis("account get scr1 ada")
        .refused()
        .saying(text);
    host.gateway.wait_for_line(text);
    let deleted = host.portcullis("account delete scr1 ada");
    assert!(deleted.stderr.contains(text), "{deleted}");
    // Where there is a `get`, it is asked before a change, and has to answer.
    let host = ScriptHost::new(&[("disable", killed.as_bytes(), 0o755)]).await;
    let disabled = host.portcullis("account disable scr1 ada");
    for part in ["signal 9 (KILL", "out of luck"] {
        assert!(disabled.stderr.contains(part), "{disabled}");
    }
}
