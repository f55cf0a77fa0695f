//! A password that ran out.

use crate::host::Host;

/// `hunter2`, by chpasswd of shadow-utils 4.13.
const HASH: &str = "$y$j9T$h2ZTyGWfbjpCvTS8VQGHM/$dblqdk1ONrjd0Dsvta0jguW1gfr25/hUMzRKi5J2/OC";

#[tokio::test(flavor = "multi_thread")]
async fn who_cannot_log_in_any_more_is_not_enabled() {
    let Some(host) = Host::new("").await else {
        return;
    };
    let pw = host.password_file("hunter2");
    for (uid, name, days) in [
        (1700, "aged", "15000:0:90:7:14::"),
        (1701, "never", ":0:90:7:14::"),
        (1702, "must", "0:0:99999:7:::"),
        (1703, "grace", "15000:0:90:7:::"),
    ] {
        let line = format!("{name}:x:{uid}:100::/home/{name}:/bin/bash\n");
        host.append("etc/passwd", line.as_bytes());
        host.append("etc/shadow", format!("{name}:{HASH}:{days}\n").as_bytes());
    }
    let login = |name: &str| {
        let pw = pw.display();
        host.portcullis(&format!(
            "account authenticate unix1 {name} --password-file {pw}"
        ))
    };
    let shown = host.account("aged");
    assert_eq!(shown["object"]["enabled"], false, "{shown}");
    login("aged").refused().saying("ran out");
    host.portcullis("account enable unix1 aged")
        .refused()
        .saying("new");

    for (name, expired) in [("never", false), ("must", true), ("grace", true)] {
        let answer = login(name);
        // The right password, with which nobody gets in before it is changed.
        if expired {
            answer.refused().saying("must be changed first");
        } else {
            answer.ok();
        }
        let shown = host.account(name);
        assert_eq!(shown["object"]["enabled"], true, "{shown}");
        let attribute = &shown["object"]["attributes"]["password_expired"];
        assert_eq!(*attribute, serde_json::json!([expired]), "{shown}");
    }
}
