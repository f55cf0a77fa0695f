//! `CASES.md` lists what is shown of the connectors: each case once, each by tests that are there.

use std::fs;
use std::path::{Path, PathBuf};

/// The list's parts, and how many cases each has.
const PARTS: [(&str, usize); 4] = [
    ("LDAP", 40),
    ("Active Directory", 30),
    ("SQL", 21),
    ("Bad input and bad days", 22),
];

fn list() -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("CASES.md");
    fs::read_to_string(file).unwrap()
}

/// The names of tests in a text.
fn named(text: &str) -> impl Iterator<Item = &str> {
    let quoted = text.split('`').skip(1).step_by(2);
    quoted.filter(|name| name.contains("::") && !name.ends_with('…'))
}

/// The folders in which a test may lie whose path begins with this module.
fn folders(module: &str) -> &'static [&'static str] {
    match module {
        "connector" | "journal" | "model" | "worker" => &["../../gateway/src"],
        "server" => &["../../server/src", "../../server/tests"],
        _ => &["tests/directories"],
    }
}

/// Whether there is a test of this name.
fn is_there(name: &str) -> bool {
    let mut modules: Vec<&str> = name.split("::").collect();
    let (Some(test), Some(first)) = (modules.pop(), modules.first().copied()) else {
        return false;
    };
    if first == "server" {
        modules.remove(0);
    }
    let within = modules.join("/");
    let files = folders(first).iter().flat_map(|folder| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        [".rs", "/mod.rs", "/tests.rs"]
            .map(|end| PathBuf::from(format!("{}/{within}{end}", path.display())))
    });
    let begins = format!("fn {test}(");
    files
        .into_iter()
        .any(|file| fs::read_to_string(file).is_ok_and(|text| text.contains(&begins)))
}

#[test]
fn each_case_is_shown_by_a_test_that_is_there_or_says_why_not() {
    let list = list();
    for (part, count) in PARTS {
        let (_, rest) = list.split_once(&format!("\n## {part}\n")).unwrap();
        let text = rest.split("\n## ").next().unwrap();
        for number in 1..=count {
            let begin = format!("| {number} | ");
            let mut rows = text.lines().filter(|line| line.starts_with(&begin));
            let row = rows
                .next()
                .unwrap_or_else(|| panic!("{part} {number} is missing"));
            assert!(rows.next().is_none(), "{part} {number} is there twice");
            assert!(
                named(row).next().is_some() || row.contains("not shown: "),
                "{part} {number} names no test"
            );
        }
        let rows = text.lines().filter(|line| line.starts_with("| ")).count();
        // The head, and the line below it.
        assert_eq!(rows, count + 2, "{part}");
    }
    let gone: Vec<_> = named(&list).filter(|name| !is_there(name)).collect();
    assert!(gone.is_empty(), "there is no test {gone:#?}");
}
