//! Two authorities and what they issue, as files.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use crate::fake::Fake;

#[test]
fn authorities_issue_and_revoke_and_overwrite_nothing() {
    let fake = Fake::start();
    let dir = fake.folder.path().join("pki");
    let out = fake.folder.path().to_str().unwrap().to_owned();
    let run = |arguments: &[&str]| {
        let dir = dir.to_str().unwrap();
        fake.run(&[&["tls"], arguments, &["--dir", dir]].concat())
    };
    assert_eq!(run(&["init"]).code, Some(0));
    let mode = |name: &str| dir.join(name).metadata().unwrap().mode() & 0o777;
    assert_eq!(dir.metadata().unwrap().mode() & 0o777, 0o700);
    for key in ["servers-ca.key", "gateways-ca.key"] {
        assert_eq!(mode(key), 0o600, "{key}");
    }
    let key = std::fs::read(dir.join("servers-ca.key")).unwrap();
    let again = run(&["init"]);
    assert_eq!(again.code, Some(1), "{again:?}");
    assert!(again.err.contains("it is there already"), "{again:?}");
    assert_eq!(std::fs::read(dir.join("servers-ca.key")).unwrap(), key);

    let server = ["server", "central.example.com", "192.0.2.7", "--out", &out];
    assert_eq!(run(&server).code, Some(0));
    let gateways = ["gateway", "web-1", "web_2", "--out", &out, "--days", "30"];
    let made = run(&gateways);
    assert_eq!(made.code, Some(0), "{made:?}");
    for name in ["central.example.com", "web-1", "web_2"] {
        let file = |rest: &str| fake.folder.path().join(format!("{name}.{rest}"));
        assert_eq!(file("key").metadata().unwrap().mode() & 0o777, 0o600);
        let pem = std::fs::read_to_string(file("pem")).unwrap();
        assert!(pem.starts_with("-----BEGIN CERTIFICATE-----"), "{pem}");
    }
    let over = run(&server);
    assert_eq!(over.code, Some(1), "{over:?}");
    assert!(over.err.contains("central.example.com.pem"), "{over:?}");
    // Nor is a key beside which there is no certificate; and of several all or none are issued.
    let held = fake.folder.path().join("web-4.key");
    std::fs::write(&held, "held").unwrap();
    let over = run(&["gateway", "web-3", "web-4", "--out", &out]);
    assert_eq!(over.code, Some(1), "{over:?}");
    assert!(over.err.contains("web-4.key"), "{over:?}");
    assert_eq!(std::fs::read(&held).unwrap(), b"held");
    assert!(!fake.folder.path().join("web-3.key").exists());
    assert!(!run(&["list"]).out.contains("web-3"));

    let list = || std::fs::read(dir.join("gateways-revoked.pem")).unwrap();
    let before = list();
    let nobody = run(&["revoke", "gateway", "web-3"]);
    assert!(
        nobody.err.contains("no certificate that is valid"),
        "{nobody:?}"
    );
    let revoked = run(&["revoke", "gateway", "web-1"]);
    assert_eq!(revoked.code, Some(0), "{revoked:?}");
    assert!(list() != before);
    let shown = run(&["list"]).out;
    let line = |name: &str| shown.lines().find(|line| line.contains(name)).unwrap();
    // Of a certificate that is revoked it says since when, not until when it would be valid.
    assert!(line("web-1").contains("  revoked 20"), "{shown}");
    let just_now = ["(just now)", " s ago)"];
    assert!(
        just_now.iter().any(|age| line("web-1").contains(age)),
        "{shown}"
    );
    let json: serde_json::Value =
        serde_json::from_str(&run(&["list", "--output", "json"]).out).unwrap();
    let web_1 = json
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["name"] == "web-1");
    assert!(web_1.unwrap()["revoked_unix_s"].is_u64(), "{json}");
    assert!(line("web_2").contains("in 30 days"), "{shown}");
    assert!(line("central").starts_with("server"), "{shown}");
}

#[test]
fn names_that_are_none_and_a_key_that_others_can_read_are_refused() {
    let fake = Fake::start();
    let dir = fake.folder.path().join("pki");
    let dir = dir.to_str().unwrap();
    assert_eq!(fake.run(&["tls", "init", "--dir", dir]).code, Some(0));
    for (side, name) in [
        ("server", "central.example.com:9279"),
        ("server", "a b"),
        ("gateway", "-a"),
        ("gateway", "../a"),
    ] {
        let told = fake.run(&["tls", side, "--dir", dir, "--", name]);
        assert_eq!(told.code, Some(2), "{told:?}");
    }
    let key = std::path::Path::new(dir).join("gateways-ca.key");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let loose = fake.run(&["tls", "gateway", "a", "--dir", dir]);
    assert!(loose.err.contains("chmod 0600"), "{loose:?}");
    assert_ne!(loose.code, Some(0));
}

#[test]
fn what_cannot_be_written_is_in_no_list_and_a_missing_folder_is_made() {
    let fake = Fake::start();
    let dir = fake.folder.path().join("pki");
    let run = |arguments: &[&str]| {
        let dir = dir.to_str().unwrap();
        fake.run(&[&["tls"], arguments, &["--dir", dir]].concat())
    };
    assert_eq!(run(&["init"]).code, Some(0));
    let out = fake.folder.path().join("new");
    let deeper = out.join("a/b");
    let file = fake.file("file", "");
    for wrong in [deeper.as_path(), &file, std::path::Path::new("/proc")] {
        let refused = run(&["gateway", "web-1", "--out", wrong.to_str().unwrap()]);
        assert_eq!(refused.code, Some(1), "{refused:?}");
        assert!(refused.err.contains(wrong.to_str().unwrap()), "{refused:?}");
    }
    assert!(run(&["list"]).out.contains("nothing was issued yet"));
    let made = run(&["gateway", "web-1", "--out", out.to_str().unwrap()]);
    assert_eq!(made.code, Some(0), "{made:?}");
    assert_eq!(out.metadata().unwrap().mode() & 0o777, 0o700);
    assert!(out.join("web-1.key").exists());
    assert!(run(&["list"]).out.contains("web-1"));
}
