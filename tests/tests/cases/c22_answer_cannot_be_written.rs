//! An account was made, and the exit code said that nothing had changed.

use std::fs::OpenOptions;

use crate::accounts::Accounts;

#[tokio::test(flavor = "multi_thread")]
async fn an_exit_code_tells_what_was_done_and_not_what_could_be_shown() {
    let Some(site) = Accounts::new().await else {
        return;
    };
    let full = || OpenOptions::new().write(true).open("/dev/full").unwrap();
    let nobody = || {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        writer
    };
    let (code, said) = site.printing_to("account create unix fullout", full());
    assert_eq!(code, Some(3), "{said}");
    assert!(
        said.contains("it was done") && said.contains("(call cli-"),
        "{said}"
    );
    assert!(site.is_there("fullout"));
    let (code, said) = site.printing_to("account create unix fullout3", nobody());
    assert_eq!((code, said.as_str()), (Some(0), ""));
    assert!(site.is_there("fullout3"));

    // Every verb that changes something, and those that do not.
    for (line, code) in [
        ("account delete unix fullout", 3),
        ("user add ada", 3),
        ("policy set --min-length 4", 3),
        ("resource add other --gateway host1 --connector local", 3),
        ("account list unix", 1),
        ("audit list", 1),
        ("key list", 1),
        ("--version", 1),
        ("account create unix fullout3", 1),
        ("account create unix", 2),
    ] {
        let (ended, said) = site.printing_to(line, full());
        assert_eq!(ended, Some(code), "{line}: {said}");
    }
    for (line, code) in [
        ("user add bob", 0),
        ("account list unix --output json", 0),
        ("--help", 0),
        ("account create unix fullout3", 1),
    ] {
        let (ended, said) = site.printing_to(line, nobody());
        assert_eq!(ended, Some(code), "{line}: {said}");
        assert_eq!(said.is_empty(), code == 0, "{line}: {said}");
    }

    // A token is not made where it cannot be shown.
    for out in [full().into(), nobody().into()] {
        let out: std::process::Stdio = out;
        let (code, said) = site.printing_to("gateway add host2 --dial-out", out);
        assert_eq!(code, Some(1), "{said}");
    }
    site.portcullis("gateway show host2").refused();
}
