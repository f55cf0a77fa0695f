//! A byte order mark became part of a password, of the first word of a list, of a token.

use portcullis_tests::harness::{Dial, Gateway};

use crate::accounts::Accounts;

const MARK: &str = "\u{feff}";

#[tokio::test(flavor = "multi_thread")]
async fn a_text_means_the_same_whatever_program_wrote_its_file() {
    let Some(site) = Accounts::new().await else {
        return;
    };
    passwords(&site);
    words_and_passphrases(&site);
    tokens(&site);
}

fn passwords(site: &Accounts) {
    let ok = |line: &str| site.portcullis(line).ok();
    let marked = site.file("marked", format!("{MARK}Hunter-Two-22\r\n").as_bytes());
    let plain = site.file("plain", b"Hunter-Two-22");
    ok(&format!("account create unix pwu --password-file {marked}"));
    ok(&format!(
        "account authenticate unix pwu --password-file {plain}"
    ));
    // A blank at the end belongs to a password; a second line end does not go unnoticed.
    let blank = site.file("blank", b"Hunter-Two-22 \n");
    site.portcullis(&format!(
        "account authenticate unix pwu --password-file {blank}"
    ))
    .refused();
    for (name, bytes) in [
        ("utf16", &b"\xff\xfeH\0u\0n\0t\0e\0r\0-\0T\0w\0o\0"[..]),
        ("latin1", b"H\xfcnter-Two-22\n"),
        ("two", b"Hunter-Two-22\n\n"),
    ] {
        let file = site.file(name, bytes);
        let refused = site.portcullis(&format!(
            "account set-password unix pwu --password-file {file}"
        ));
        assert_eq!(refused.status.code(), Some(2), "{refused}");
    }
    ok(&format!(
        "account authenticate unix pwu --password-file {plain}"
    ));
}

fn words_and_passphrases(site: &Accounts) {
    let ok = |line: &str| site.portcullis(line).ok();
    let words = site.file("words", format!("{MARK}tiger\r\nlion\r\n").as_bytes());
    ok(&format!("policy add-words {words}"));
    ok("policy set --forbid-words true");
    for word in ["tiger", "lion"] {
        let password = site.file("word", word.as_bytes());
        site.portcullis(&format!("policy check --password-file {password}"))
            .refused()
            .saying("dictionary");
    }

    let secret = site.file(
        "passphrase",
        format!("{MARK}correct horse battery\r\n").as_bytes(),
    );
    let typed = site.file("typed", b"correct horse battery");
    let export = site.site.path().join("export");
    let export = export.display();
    ok(&format!("key export {export} --passphrase-file {secret}"));
    ok(&format!(
        "key import {export} --dry-run --passphrase-file {typed}"
    ));
}

fn tokens(site: &Accounts) {
    let made = site.site.path().join("made");
    let adding = format!(
        "gateway add host2 --dial-out --token-file {}",
        made.display()
    );
    site.portcullis(&adding).ok();
    let token = std::fs::read_to_string(made).unwrap();
    let host2 = Gateway::new(&site.site, "host2", Dial::Out(9), "");
    let token = token.trim();
    let echoed = host2.cli(&format!("enroll {token}"));
    assert_eq!(echoed.status.code(), Some(2), "{echoed}");
    let messages = &echoed.stderr;
    assert!(
        messages.contains("never an argument") && !messages.contains(token),
        "{messages}"
    );
    let file = site.file("token", format!("{MARK}{token}\r\n").as_bytes());
    host2.cli(&format!("enroll --token-file {file}")).ok();
}
