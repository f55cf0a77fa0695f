//! What stands in the account files beside the usual: what is shown of it, and what comes of it.

use super::bench::*;
use crate::model::{FailureKind, Outcome};
use portcullis_proto::gateway::v1 as wire;

impl Bench {
    /// Puts lines behind those of an account file.
    fn append_bytes(&self, file: &str, lines: &[u8]) {
        let mut content = std::fs::read(self.path(file)).unwrap_or_default();
        content.extend_from_slice(lines);
        std::fs::write(self.path(file), content).unwrap();
    }

    async fn tested(&self) -> String {
        match self.done(Verb::Test(wire::Test {})).await.detail {
            Some(wire::done::Detail::Report(report)) => report,
            other => panic!("{other:?}"),
        }
    }

    /// The bytes of an account's line.
    fn passwd_line(&self, name: &str) -> Vec<u8> {
        let file = std::fs::read(self.path("etc/passwd")).unwrap();
        let start = format!("{name}:");
        let mut lines = file.split(|&byte| byte == b'\n');
        let line = lines.find(|line| line.starts_with(start.as_bytes()));
        line.unwrap_or_default().to_vec()
    }
}

#[tokio::test]
async fn a_line_without_sense_is_told_by_test_and_by_get() {
    let Some(bench) = bench() else { return };
    assert!(bench.tested().await.starts_with("3 accounts and 7 groups"));
    assert!(!bench.tested().await.contains("Look at"));
    bench.append_bytes("etc/passwd", b"half:x:12\nwrong:x:1x:2:::\n");
    bench.append_bytes("etc/group", b"crew:x::ada\n");
    let report = bench.tested().await;
    for part in [
        "2 lines of etc/passwd make no sense to the C library: lines 4, 5 (pwck)",
        "1 line of etc/group makes no sense to the C library: line 8 (grpck)",
    ] {
        assert!(report.contains(part), "{report}");
    }
    let failure = bench.failed(get(account("half"))).await;
    assert_eq!(failure.kind, FailureKind::Rejected);
    assert!(
        failure.message.contains("line 4 of etc/passwd"),
        "{failure:?}"
    );
    let failure = bench.failed(get(group("crew"))).await;
    assert!(
        failure.message.contains("line 8 of etc/group"),
        "{failure:?}"
    );
    let failure = bench.failed(Verb::Create(new_account("wrong"))).await;
    assert!(
        failure.message.contains("line 5 of etc/passwd"),
        "{failure:?}"
    );
}

#[tokio::test]
async fn a_shell_with_a_carriage_return_is_shown_and_mended() {
    let Some(bench) = bench() else { return };
    bench.append_bytes("etc/passwd", b"crlf:x:1109:100:Cr:/home/crlf:/bin/bash\r\n");
    let crlf = bench.object(get(account("crlf"))).await;
    assert_eq!(values(&crlf, "shell"), ["/bin/bash\r"]);
    bench
        .done(update(
            account("crlf"),
            Replace,
            "shell",
            vec![text("/bin/bash")],
        ))
        .await;
    assert!(bench.passwd_line("crlf").ends_with(b":/bin/bash"));
}

#[tokio::test]
async fn bytes_of_a_comment_that_are_no_utf8_stay() {
    let Some(bench) = bench() else { return };
    let line = b"lat:x:1602:100:J\xF6rg B\xE4r,B\xF6ro 12,555:/home/lat:/bin/bash\n";
    bench.append_bytes("etc/passwd", line);
    bench.append_bytes(
        "etc/passwd",
        b"lit:x:1603:100:B\xE4r,room 7:/home/lit:/bin/bash\n",
    );
    let lat = bench.object(get(account("lat"))).await;
    assert_eq!(values(&lat, "gecos"), ["J\\xF6rg B\\xE4r,B\\xF6ro 12,555"]);
    let name = |name| vec![text(name)];
    let partial = update(account("lat"), Replace, "full_name", name("Joerg"));
    let failure = bench.failed(partial).await;
    assert_eq!(failure.kind, FailureKind::Rejected);
    assert!(failure.message.contains("`gecos`"), "{failure:?}");
    assert_eq!([bench.passwd_line("lat"), b"\n".to_vec()].concat(), line);

    // Another attribute: the whole line is written anew, these bytes as they were.
    let shell = vec![text("/bin/sh")];
    bench
        .done(update(account("lat"), Replace, "shell", shell))
        .await;
    let changed = b"lat:x:1602:100:J\xF6rg B\xE4r,B\xF6ro 12,555:/home/lat:/bin/sh";
    assert_eq!(bench.passwd_line("lat"), changed);
    // What was shown, given back, changes nothing.
    let shown = vec![text("J\\xF6rg B\\xE4r,B\\xF6ro 12,555")];
    bench
        .done(update(account("lat"), Replace, "gecos", shown))
        .await;
    assert_eq!(bench.passwd_line("lat"), changed);

    bench
        .done(update(account("lit"), Replace, "full_name", name("Baer")))
        .await;
    assert!(
        bench
            .passwd_line("lit")
            .starts_with(b"lit:x:1603:100:Baer,room 7:")
    );
    bench
        .done(update(account("lat"), Replace, "gecos", name("Jörg,Büro")))
        .await;
    assert!(
        String::from_utf8(bench.passwd_line("lat"))
            .unwrap()
            .contains(":Jörg,Büro:")
    );
}

#[tokio::test]
async fn a_new_account_inherits_neither_gshadow_nor_ranges() {
    let Some(bench) = bench() else { return };
    bench.append_bytes("etc/group", b"ops:x:3500:\n");
    bench.append_bytes("etc/gshadow", b"ops:!:chief:ghost\n");
    bench.append_bytes("etc/subuid", b"ranger:100000:65536\n");
    bench.append_bytes("etc/subgid", b"keeper:100000:65536\n1500:300000:65536\n");
    let before = bench.files();
    for (name, place) in [
        ("ghost", "etc/gshadow"),
        ("chief", "etc/gshadow"),
        ("ranger", "etc/subuid"),
        ("keeper", "etc/subgid"),
    ] {
        let failure = bench.failed(Verb::Create(new_account(name))).await;
        assert_eq!(failure.kind, FailureKind::Rejected);
        assert!(failure.message.contains(place), "{failure:?}");
    }
    let failure = bench
        .failed(new_account_with("ada", "uid", vec![integer(1500)]))
        .await;
    assert!(failure.message.contains("etc/subgid"), "{failure:?}");
    assert_eq!(bench.files(), before);
    let report = bench.tested().await;
    let part = "disagree on the members of `ops` (grpck)";
    assert!(report.contains(part), "{report}");

    bench.done(Verb::Create(new_account("bob"))).await;
    let failure = bench.failed(rename(account("bob"), "ghost")).await;
    assert!(failure.message.contains("etc/gshadow"), "{failure:?}");
}

#[tokio::test]
async fn a_uid_that_useradd_takes_by_itself_inherits_no_range() {
    let Some(bench) = bench() else { return };
    bench.append_bytes("etc/subuid", b"1000:100000:65536\n");
    let failure = bench.failed(Verb::Create(new_account("ada"))).await;
    assert!(failure.message.contains("the uid 1000"), "{failure:?}");
    assert!(bench.database().account("ada").is_none());
    assert!(bench.database().group("ada").is_none());
}

#[tokio::test]
async fn who_stands_in_gshadow_of_a_protected_group_is_protected() {
    let Some(bench) = bench() else { return };
    bench.done(Verb::Create(new_account("ada"))).await;
    let gshadow = bench.file("etc/gshadow").replace("sudo:*::", "sudo:*::ada");
    std::fs::write(bench.path("etc/gshadow"), gshadow).unwrap();
    let ada = bench.object(get(account("ada"))).await;
    assert_eq!(values(&ada, "gshadow_groups"), ["sudo"]);
    assert!(values(&ada, "groups").is_empty());
    let sudo = bench.object(get(group("sudo"))).await;
    assert_eq!(values(&sudo, "gshadow_members"), ["ada"]);
    let message = bench.refused(set_password(account("ada"), "new")).await;
    assert!(message.contains("protected group `sudo`"), "{message}");
}

#[tokio::test]
async fn a_password_that_ran_out_lets_nobody_in() {
    let Some(bench) = bench() else { return };
    bench.done(Verb::Create(new_account("ada"))).await;
    bench.done(set_password(account("ada"), "hunter2")).await;
    let (shadow, line) = (bench.file("etc/shadow"), bench.shadow_line("ada"));
    let hash = line.split(':').nth(1).unwrap();
    let aged = |days: &str| {
        let new = format!("ada:{hash}:{days}");
        std::fs::write(bench.path("etc/shadow"), shadow.replace(&line, &new)).unwrap();
    };
    let login = || bench.call(authenticate(account("ada"), "hunter2"));

    aged("15000:0:90:7:14::");
    let ada = bench.object(get(account("ada"))).await;
    assert_eq!(ada.enabled, Some(false));
    assert_eq!(values(&ada, "password_inactive"), ["true"]);
    assert_eq!(values(&ada, "password_max_days"), ["90"]);
    let Outcome::Failed(failure) = login().await else {
        panic!("let in");
    };
    assert_eq!(failure.kind, FailureKind::PasswordExpired);
    let enable = Verb::Enable(wire::Enable {
        object: account("ada"),
    });
    let failure = bench.failed(enable.clone()).await;
    assert_eq!(failure.kind, FailureKind::Rejected);
    assert!(failure.message.contains("has run out"), "{failure:?}");

    // It has to be changed, which can be done at a log-in on the host.
    for days in ["0:0:99999:7:::", "15000:0:90:7:::"] {
        aged(days);
        let ada = bench.object(get(account("ada"))).await;
        assert_eq!(ada.enabled, Some(true), "{days}");
        assert_eq!(values(&ada, "password_expired"), ["true"], "{days}");
        let failure = bench.failed(authenticate(account("ada"), "hunter2")).await;
        assert_eq!(failure.kind, FailureKind::PasswordExpired, "{days}");
        // Only who knows the password is told.
        let failure = bench.failed(authenticate(account("ada"), "hunter3")).await;
        assert_eq!(failure.kind, FailureKind::BadCredentials, "{days}");
    }

    // The way out that `enable` names.
    aged("15000:0:90:7:14::");
    bench.done(set_password(account("ada"), "hunter2")).await;
    bench.done(enable).await;
    let ada = bench.object(get(account("ada"))).await;
    assert_eq!(ada.enabled, Some(true));
    assert!(matches!(login().await, Outcome::Done(_)));
}
