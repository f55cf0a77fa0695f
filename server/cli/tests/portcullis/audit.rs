//! The list of audit entries: what there is more, and what comes.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use crate::fake::Fake;

#[test]
fn a_list_says_that_there_is_more_and_how_to_see_it() {
    let fake = Fake::start();
    fake.audited(5);
    let list = |arguments: &[&str]| fake.run(&[&["audit", "list"], arguments].concat());
    let shown = list(&["--limit", "2"]);
    assert_eq!(shown.out.lines().count(), 3, "{shown:?}");
    assert!(shown.out.contains("TIME (UTC)"), "{shown:?}");
    assert!(shown.err.contains("`--before 4` goes on"), "{shown:?}");
    let rest = list(&["--before", "4"]);
    assert_eq!((rest.out.lines().count(), rest.err.as_str()), (4, ""));
    // Exactly as many as there are: there is no more.
    assert_eq!(list(&["--limit", "5"]).err, "");
    assert_eq!(list(&["--limit", "0"]).code, Some(2));
    // There is none: the command makes sense, and nothing has changed.
    let none = fake.run(&["audit", "show", "99999"]);
    assert_eq!(none.code, Some(1), "{none:?}");
    assert!(none.err.contains("no entry 99999"), "{none:?}");
    assert_eq!(fake.run(&["audit", "show", "5"]).code, Some(0));
    // More than one page.
    fake.audited(2_345);
    let all = list(&["--limit", "2345", "--output", "json"]);
    assert_eq!(all.json().as_array().unwrap().len(), 2_345);
    assert_eq!(list(&["--limit", "1500"]).out.lines().count(), 1_501);
}

#[test]
fn a_list_that_is_followed_goes_on_with_what_is_written() {
    let fake = Fake::start();
    fake.audited(3);
    for (flags, expected) in [
        (
            &[][..],
            "2  2027-01-15T08:00:00Z  alice  Keys/List  \\u{1b}[2J    done",
        ),
        (&["--output", "json"], "\"seq\":2"),
    ] {
        fake.audited(3);
        let mut child = fake
            .command(&[&["audit", "list", "--follow", "--limit", "2"], flags].concat())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let first = lines.next().unwrap().unwrap();
        assert!(first.contains(expected), "{first}");
        assert!(lines.next().unwrap().unwrap().contains('3'));
        fake.audited(5);
        for seq in ["4", "5"] {
            assert!(lines.next().unwrap().unwrap().contains(seq));
        }
        // Nobody reads any more: that ends it, and is no error.
        drop(lines);
        fake.audited(6);
        assert_eq!(child.wait().unwrap().code(), Some(0));
    }
}

#[test]
fn an_archive_that_came_second_leaves_no_copy() {
    let fake = Fake::start();
    let file = fake.folder.path().join("archive.jsonl");
    let late = fake.run(&["audit", "archive", file.to_str().unwrap(), "--before", "1d"]);
    assert_eq!(late.code, Some(1), "{late:?}");
    assert!(
        late.err.contains("another archive has moved them"),
        "{late:?}"
    );
    assert!(late.err.contains("was removed again"), "{late:?}");
    assert!(!file.exists());
}
