//! Account files as they are found on hosts.

use std::fs;

use super::*;

/// What is read of `etc/passwd`, `etc/group`, `etc/shadow` and `etc/gshadow`.
fn database(passwd: &[u8], group: &[u8], shadow: &[u8], gshadow: &[u8]) -> Database {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("etc")).unwrap();
    for (name, content) in [
        (files::PASSWD, passwd),
        (files::GROUP, group),
        (files::SHADOW, shadow),
        (files::GSHADOW, gshadow),
    ] {
        fs::write(folder.path().join(name), content).unwrap();
    }
    Database::read(folder.path()).unwrap()
}

fn names(database: &Database) -> Vec<&str> {
    database.accounts.iter().map(|a| a.name.as_str()).collect()
}

#[test]
fn bad_lines_are_left_out_and_named_and_the_rest_is_read() {
    let read = database(
        b"ada:x:1000:1000:Ada:/home/ada:/bin/sh\n\nbroken\nbob:x:one:0::/:\n+::::::\n# note\neve:x:1001:1001::/home/eve:/bin/sh\nx:y\n:x:0:0::/:\n",
        b"staff:x:50:ada,,eve\nnogid:x::\n\x1b[31m:x:7:\n",
        b"ada:!$6$salt$0123456789:19000:0:99999:7::1:\neve:*\n",
        b"",
    );
    assert_eq!(names(&read), ["ada", "eve"]);
    assert_eq!(read.groups_of("eve"), ["staff"]);
    assert_eq!(
        read.faults.to_string(),
        "3 lines of etc/passwd make no sense to the C library: lines 3, 4, 8 (pwck); \
         1 line of etc/passwd names a network directory, which is not read: line 5 (pwck); \
         1 line of etc/passwd has a name that cannot be shown: line 9 (pwck); \
         1 line of etc/shadow makes no sense to the C library: line 2 (pwck); \
         1 line of etc/group makes no sense to the C library: line 2 (grpck); \
         1 line of etc/group has a name that cannot be shown: line 3 (grpck); \
         etc/shadow has no line for the password of `eve` (pwck)"
    );
    let bob = read.faults.of_name(files::PASSWD, "bob").unwrap();
    assert!(bob.starts_with("line 4 of etc/passwd"), "{bob}");
    let ada = read.account("ada").unwrap();
    assert!(ada.password.is_locked() && ada.has_expired(today()));
    assert!(!format!("{ada:?}").contains("salt"));
}

#[test]
fn who_logs_in_is_listed_and_nobody_else() {
    let read = database(
        b"crlf:x:1109:1109:Cr:/home/crlf:/bin/bash\r\nshort:x:1106:1106:Short:/home/short\nlongr:x:1107:1107:Long:/home/longr:/bin/bash:extra\n lead:x:1108:1108:Lead:/home/lead:/bin/bash\nshort:x:1:1:second:/:/bin/sh",
        b"crew:x:3001:crlf,short\r\n",
        b"",
        b"",
    );
    assert_eq!(names(&read), ["crlf", "short", "longr", "lead", "short"]);
    let shell = |name| read.account(name).unwrap().shell.as_str();
    assert_eq!(shell("crlf"), "/bin/bash\r");
    assert_eq!(shell("short"), "");
    assert_eq!(shell("longr"), "/bin/bash:extra");
    assert!(read.groups_of("short").is_empty());
    assert_eq!(read.groups_of("crlf"), ["crew"]);
    assert_eq!(read.account("short").unwrap().uid, 1106);
    let part = "3 lines of etc/passwd are read at logins but cannot be changed by shadow-utils: lines 2, 3, 4 (pwck)";
    assert!(read.faults.to_string().contains(part), "{}", read.faults);
}

#[test]
fn bytes_that_are_no_text_do_no_harm() {
    let noise: &[u8] = &[0xFF, b':', 0, b'\n', 0xFE];
    let read = database(noise, noise, noise, noise);
    assert!(read.accounts.is_empty() && read.groups.is_empty());
    assert!(!read.faults.is_empty());

    let read = database(
        b"lat:x:1602:1602:J\xF6rg B\xE4r,B\xF6ro 12:/home/lat:/bin/bash\n",
        b"crew:x:3001:lat,j\xF6rg\n",
        b"",
        b"",
    );
    assert_eq!(&*read.accounts[0].gecos, "J\\xF6rg B\\xE4r,B\\xF6ro 12");
    assert_eq!(read.groups[0].members, ["lat", "j\\xF6rg"]);
}

#[test]
fn who_stands_in_gshadow_alone_is_known() {
    let read = database(
        b"",
        b"ops:x:3500:\nweb:x:3501:ada,bob\nsame:x:3502:ada\n",
        b"",
        b"ops:!::ghost\nweb:!:boss,ada:bob,ada\nsame:!::ada\ngone:!:eve:\nops:!::second\n",
    );
    assert_eq!(read.hidden_groups_of("ghost"), ["ops"]);
    assert_eq!(read.hidden_groups_of("boss"), ["web"]);
    assert_eq!(read.hidden_groups_of("eve"), ["gone"]);
    for nobody in ["ada", "bob", "second"] {
        assert!(read.hidden_groups_of(nobody).is_empty(), "{nobody}");
    }
    let ops = read.group("ops").unwrap();
    assert_eq!(ops.hidden_members, ["ghost"]);
    assert_eq!(read.group("web").unwrap().administrators, ["boss", "ada"]);
    assert_eq!(
        read.faults.to_string(),
        "etc/group and etc/gshadow disagree on the members of `gone`, `ops` (grpck)"
    );
}

#[test]
fn a_host_without_shadow_has_its_passwords_in_passwd() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("etc")).unwrap();
    let line = "ada:$6$salt$0123456789:1000:1000::/home/ada:/bin/sh";
    fs::write(folder.path().join(files::PASSWD), line).unwrap();
    fs::write(folder.path().join(files::GROUP), "").unwrap();
    let read = Database::read(folder.path()).unwrap();
    assert!(read.accounts[0].password.has_hash() && read.faults.is_empty());
}

#[test]
fn an_account_that_is_asked_for_no_password_is_told() {
    let read = database(
        b"open:x:1000:100::/:\nold::1001:100::/:\n",
        b"",
        b"open::::::::\n",
        b"",
    );
    let part = "the password field of `open`, `old` is empty";
    assert!(read.faults.to_string().contains(part), "{}", read.faults);
}

#[test]
fn a_missing_prefix_says_where_to_look() {
    let failure = Database::read(Path::new("/nonexistent")).unwrap_err();
    assert!(failure.message.contains("`prefix`"), "{}", failure.message);
}
