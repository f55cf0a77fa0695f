//! Users who log in by the command, and what their sessions let them do.

use std::os::unix::fs::PermissionsExt as _;

use super::*;

const PASSWORD: &str = "correct horse battery staple\n";
const LOG_IN: &str = "login --user ada --password-stdin";

#[tokio::test]
async fn a_user_who_has_logged_in_may_do_what_was_granted_and_no_more() {
    let site = Site::new();
    let mut server = Server::new(&site, "");
    server.serve().await;
    server.portcullis("user add ada").ok();
    let set = "user set-password ada --password-stdin";
    server.portcullis_given(set, PASSWORD).ok();
    server.portcullis("user grant ada auditor").ok();

    let file = site.path().join("session");
    let given = |line: &str, input: &str| {
        let line = format!("--session {} {line}", file.display());
        server.portcullis_given(&line, input)
    };
    let as_ada = |line: &str| given(line, "");
    // Who is wrong is not told in what.
    let wrong = given(LOG_IN, "wrong\n").refused();
    let unknown = given("login --user eve --password-stdin", PASSWORD).refused();
    assert_eq!(wrong.stderr, unknown.stderr);
    assert!(!file.exists());

    let in_ = given(LOG_IN, PASSWORD).ok();
    assert!(in_.stdout.contains("logged in as ada"), "{in_}");
    let secret = std::fs::read_to_string(&file).unwrap();
    let secret = secret.split_whitespace().find(|it| it.starts_with("pcs_"));
    assert!(!in_.stdout.contains(secret.unwrap()), "{in_}");
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    // Root runs the command, and is ada all the same.
    as_ada("audit list").ok();
    let add = "gateway add web1 --dial-out";
    as_ada(add).refused().saying("user ada may not call");
    server.portcullis("user withdraw ada auditor").ok();
    as_ada("audit list").refused();
    server.portcullis("audit list").ok();

    server.portcullis("user grant ada auditor").ok();
    as_ada("logout").ok();
    assert!(!file.exists());
    let listed = server.portcullis("session list").ok();
    assert!(!listed.stdout.contains("ada"), "{listed}");
    let log = server.portcullis("audit list").ok().stdout;
    assert!(log.contains("group password, password (required): success"));
    assert!(!log.contains("eve"), "what was typed is in the log: {log}");
}

#[tokio::test]
async fn an_application_that_is_disabled_lets_nobody_in_and_says_why() {
    let site = Site::new();
    let mut server = Server::new(&site, "");
    server.serve().await;
    server
        .portcullis("login app disable api")
        .refused()
        .saying("api");
    server
        .portcullis("login app add shop --group password")
        .ok();
    server
        .portcullis("login app disable shop --message 'closed until noon'")
        .ok();
    let listed = server.portcullis("login app list").ok().stdout;
    assert!(listed.contains("shop"), "{listed}");
    let file = site.path().join("session");
    let line = format!("--session {} {LOG_IN} --application shop", file.display());
    server
        .portcullis_given(&line, PASSWORD)
        .refused()
        .saying("closed until noon");
}
