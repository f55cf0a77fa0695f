//! Completions and manual pages.

use std::process::Command;

use crate::fake::Fake;

#[test]
fn shells_accept_the_completions() {
    let fake = Fake::start();
    for shell in ["bash", "zsh", "fish", "powershell"] {
        let told = fake.run(&["completions", shell]);
        assert_eq!(told.code, Some(0), "{told:?}");
        for word in ["set-password", "dry-run"] {
            assert!(told.out.contains(word), "{shell} knows no {word}");
        }
    }
    let script = fake.file("portcullis.bash", &fake.run(&["completions", "bash"]).out);
    // What bash itself would offer after `portcullis account imp`.
    let ask = "source \"$1\" && COMP_WORDS=(portcullis account imp) COMP_CWORD=2 && \
               _portcullis portcullis imp account && echo \"${COMPREPLY[@]}\"";
    let output = Command::new("bash")
        .args(["-c", ask, "bash", script.to_str().unwrap()])
        .output()
        .unwrap();
    let offered = String::from_utf8_lossy(&output.stdout);
    assert_eq!(offered.trim(), "import", "{output:?}");
}

#[test]
fn every_command_has_a_manual_page() {
    let fake = Fake::start();
    let folder = fake.folder.path().join("man1");
    let told = fake.run(&["man", folder.to_str().unwrap()]);
    assert_eq!(told.code, Some(0), "{told:?}");
    for page in [
        "portcullis",
        "portcullis-account",
        "portcullis-account-import",
    ] {
        let text = std::fs::read_to_string(folder.join(format!("{page}.1"))).unwrap();
        assert!(text.contains(".TH "), "{page}: {text}");
        assert!(text.contains(".SH SYNOPSIS"), "{page}: {text}");
    }
    let import = std::fs::read_to_string(folder.join("portcullis-account-import.1")).unwrap();
    assert!(import.contains("Examples:"), "{import}");
    let lint = Command::new("groff")
        .args(["-man", "-ww", "-z", "-Tutf8"])
        .arg(folder.join("portcullis-account-import.1"))
        .output();
    match lint {
        Ok(output) => assert!(output.status.success(), "{output:?}"),
        Err(_) => eprintln!("skipped: there is no groff here"),
    }
}
