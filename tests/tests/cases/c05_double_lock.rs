//! A password that another program locked with two signs.

use crate::host::Host;

/// `hunter2`, by `openssl passwd -6`.
const HASH: &str = "$6$abcdefgh$M/eYsB4rVXAm3ZNc88J.UD9rCKAT6FB1rahiwJCHtEndQNORCub5qhjxn50qbqVVthkM.9HpEwtf0t.iV9uH0/";

#[tokio::test(flavor = "multi_thread")]
async fn enable_takes_every_lock_sign_or_is_not_done() {
    let Some(host) = Host::new("").await else {
        return;
    };
    host.append(
        "etc/passwd",
        b"rhel1:x:1001:1001:rhel1:/home/rhel1:/bin/bash\n",
    );
    host.append("etc/group", b"rhel1:x:1001:\n");
    let line = format!("rhel1:!!{HASH}:19000:0:99999:7:::\n");
    host.append("etc/shadow", line.as_bytes());
    assert_eq!(host.account("rhel1")["object"]["enabled"], false);
    let enabled = host.portcullis("--output json account enable unix1 rhel1");
    let enabled: serde_json::Value = serde_json::from_str(&enabled.ok().stdout).unwrap();
    assert_eq!(enabled["object"]["enabled"], true, "{enabled}");
    let shadow = String::from_utf8(host.read("etc/shadow")).unwrap();
    let unlocked = format!("rhel1:{HASH}:19000:0:99999:7:::");
    assert!(shadow.lines().any(|line| line == unlocked), "{shadow}");
}
