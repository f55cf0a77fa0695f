//! A name that stands in gshadow alone is a member for `newgrp` and `sg`.

use crate::host::Host;

#[tokio::test(flavor = "multi_thread")]
async fn a_new_account_inherits_no_membership_that_stands_in_gshadow_alone() {
    let Some(host) = Host::new("").await else {
        return;
    };
    host.append("etc/group", b"ops:x:3500:\n");
    host.append("etc/gshadow", b"ops:!::ghost\nsudo:*::ghost2\n");
    let gshadow = String::from_utf8(host.read("etc/gshadow")).unwrap();
    let gshadow = gshadow.replacen("sudo:*::\n", "sudo:*:ghost3:ghost2\n", 1);
    std::fs::write(host.root.join("etc/gshadow"), gshadow).unwrap();
    let passwd = host.read("etc/passwd");
    for name in ["ghost", "ghost2", "ghost3"] {
        let create = host.portcullis(&format!("account create unix1 {name}"));
        create.refused().saying("etc/gshadow").saying(name);
    }
    assert_eq!(host.read("etc/passwd"), passwd);
    let report = host.portcullis("resource test unix1").ok().stdout;
    assert!(
        report.contains("disagree on the members of `ops`, `sudo`"),
        "{report}"
    );

    // An account that is there already has what the group has.
    host.append("etc/passwd", b"ghost2:x:1700:100::/home/ghost2:/bin/sh\n");
    let set = host.portcullis_given(
        "account set-password unix1 ghost2 --password-stdin",
        "new\n",
    );
    set.refused().saying("`sudo`");
    let shown = host.account("ghost2");
    let groups = &shown["object"]["attributes"]["gshadow_groups"];
    assert_eq!(*groups, serde_json::json!(["sudo"]), "{shown}");
}
