//! Which configurations are taken, and what is said of the others.

use super::connectors;
use crate::connector::Inspecting;

const SQLITE: &str = "sqlite = \"/var/lib/hr.db\"\n[connectors.hr.account]\nread = \"SELECT 1\"\n";
const POSTGRES: &str =
    "postgresql = \"db.example.com\"\ndatabase = \"hr\"\nuser = \"portcullis\"\n";
const ACCOUNT: &str = "[connectors.hr.account]\nread = \"SELECT 1\"\n";

#[test]
fn each_wrong_key_is_told_by_its_name() {
    for (keys, key, part) in [
        ("", "postgresql", "is needed"),
        (
            "sqlite = \"/a\"\npostgresql = \"b\"",
            "postgresql",
            "either",
        ),
        ("sqlite = \"hr.db\"", "sqlite", "absolute"),
        ("sqlite = \"/hr.db\"", "account", "missing"),
        (
            &format!("{POSTGRES}{ACCOUNT}"),
            "ca_file",
            "no connection without TLS",
        ),
        (
            &format!("{POSTGRES}ca_file = \"/none.pem\"\n{ACCOUNT}"),
            "ca_file",
            "cannot read",
        ),
        (
            &format!("{POSTGRES}certificate_sha256 = [\"ab\"]\n{ACCOUNT}"),
            "certificate_sha256",
            "64",
        ),
        (
            &format!("postgresql = \"db:0\"\n{ACCOUNT}"),
            "postgresql",
            "HOST:PORT",
        ),
        (
            &format!("{SQLITE}create = \"DROP TABLE people\""),
            "create",
            "SELECT, INSERT",
        ),
        (
            &format!("{SQLITE}create = \"SELECT 1; SELECT 2\""),
            "create",
            "semicolon",
        ),
        (
            &format!("{SQLITE}create = \"CALL f()\""),
            "create",
            "no CALL",
        ),
        (
            &format!("{SQLITE}delete = \"DELETE FROM p WHERE id = :ide\""),
            "delete",
            ":ide",
        ),
        (
            &format!("{SQLITE}authenticate = \"UPDATE p SET a = 1\""),
            "authenticate",
            "a SELECT",
        ),
        (
            &format!("{SQLITE}drop = \"SELECT 1\""),
            "drop",
            "unknown key",
        ),
        ("ledger = \"calls; DROP\"", "ledger", "name of a table"),
        ("password_hash = \"md5\"", "password_hash", "allowed"),
        (
            "statement_timeout = \"0s\"",
            "statement_timeout",
            "duration",
        ),
    ] {
        let found = connectors(keys).unwrap_err();
        let told = found
            .iter()
            .any(|line| line.contains(&format!(".{key}: ")) && line.contains(part));
        assert!(told, "{keys}: {found:#?}");
    }
}

#[test]
fn a_group_has_no_statement_for_a_login() {
    let keys = format!("{SQLITE}[connectors.hr.group]\nread = \"SELECT 1\"\nenable = \"SELECT 1\"");
    let found = connectors(&keys).unwrap_err();
    assert!(found[0].contains("group.enable: unknown key"), "{found:?}");
}

#[test]
fn a_pin_serves_in_place_of_a_ca() {
    let pin = "ab:".repeat(31) + "cd";
    let keys = format!("{POSTGRES}certificate_sha256 = [\"{pin}\"]\n{ACCOUNT}");
    assert!(connectors(&keys).is_ok());
}

#[cfg(unix)]
#[test]
fn a_password_that_others_can_read_is_told_before_any_call() {
    use std::os::unix::fs::PermissionsExt;

    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "swordfish\n").unwrap();
    let pin = "ab".repeat(32);
    let keys = format!(
        "{POSTGRES}certificate_sha256 = [\"{pin}\"]\npassword_file = \"{}\"\n{ACCOUNT}",
        file.path().display()
    );
    let connectors = connectors(&keys).unwrap();
    for (mode, told) in [(0o600, false), (0o640, true)] {
        std::fs::set_permissions(file.path(), PermissionsExt::from_mode(mode)).unwrap();
        let faults = connectors
            .find("hr")
            .unwrap()
            .connector
            .inspect(Inspecting::default())
            .faults;
        assert_eq!(!faults.is_empty(), told, "{mode:o}: {faults:?}");
        assert!(!faults.concat().contains("swordfish"));
    }
}
