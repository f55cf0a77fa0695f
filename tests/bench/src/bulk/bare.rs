//! The peer: the clients that come with the target, one process for each connection, each of which
//! waits for one insert before it sends the next. They leave the same rows and entries: where the
//! gateway notes each call in a ledger, so do they, in the same transaction and the same message.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use portcullis_tests::harness::OrFail as _;

use super::Target;
use super::site::{Site, full_name, mail};

/// Inserts the accounts of these names over so many connections; how long that took.
pub(super) fn insert(
    site: &Site,
    target: Target,
    names: &[String],
    connections: usize,
) -> Duration {
    let share = names.len().div_ceil(connections.max(1)).max(1);
    let shares = names.chunks(share).enumerate();
    let files: Vec<_> = shares
        .map(|(number, names)| {
            let text = match target {
                Target::Sql => statements(names, site.has_ledger()),
                Target::Ldap => entries(names),
            };
            let name = format!("{}-{number}", target.name());
            site.folder.file(&name, 0o600, &text)
        })
        .collect();
    let began = Instant::now();
    let clients: Vec<_> = files
        .into_iter()
        .map(|file| client(site, target, file))
        .collect();
    for mut client in clients {
        let ended = client.wait().or_fail("wait for a bare client");
        assert!(
            ended.success(),
            "a bare client of {}: {ended}",
            target.name()
        );
    }
    began.elapsed()
}

fn client(site: &Site, target: Target, file: PathBuf) -> Child {
    let mut command = match target {
        Target::Sql => {
            let mut command = site.postgres.client(Site::USER, Site::PASSWORD);
            command.arg("-f").arg(file);
            command
        }
        Target::Ldap => {
            let mut command = site.directory().command("ldapadd");
            command.arg("-f").arg(file);
            command
        }
    };
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command.spawn().or_fail("start a bare client")
}

/// `\;` has psql send both statements as one, which PostgreSQL takes for one transaction.
fn statements(names: &[String], ledger: bool) -> String {
    let mut text = String::new();
    for name in names {
        let (full_name, mail) = (full_name(name), mail(name));
        let _ = write!(
            text,
            "INSERT INTO people (login, full_name, mail, active) VALUES ('{name}', '{full_name}', '{mail}', true)"
        );
        if ledger {
            let outcome = r#"{"verb":"create","class":"account","id":"1234567"}"#;
            let _ = write!(
                text,
                "\\; INSERT INTO portcullis_calls (call, outcome) VALUES ('bare-0123456789abcdef-{name}', '{outcome}')"
            );
        }
        text.push_str(";\n");
    }
    text
}

fn entries(names: &[String]) -> String {
    let mut text = String::new();
    for name in names {
        let (full_name, mail) = (full_name(name), mail(name));
        let _ = writeln!(
            text,
            "dn: uid={name},ou=people,dc=example,dc=org\nobjectClass: inetOrgPerson\nuid: {name}\ncn: {full_name}\n\
             sn: {name}\nmail: {mail}\n"
        );
    }
    text
}
