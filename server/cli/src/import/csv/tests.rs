//! What is a row, and what is not.

use super::*;
use crate::input::typing::tests::typing;

/// Lines and names of the rows; or the fault of the file.
fn names(content: &str) -> Result<Vec<(u64, String)>, String> {
    let typing = typing();
    let mut csv = check(content.as_bytes(), None)
        .and_then(|()| Csv::new(content.as_bytes(), None, &typing))
        .map_err(|fault| format!("{}: {}", fault.line, fault.problem))?;
    let mut rows = Vec::new();
    while let Some(row) = csv.next_row() {
        rows.push(match row {
            Ok(row) => (row.line, row.name),
            Err(error) => (error.line, error.problem),
        });
    }
    Ok(rows)
}

/// As [`Row`]s tell it, and as rows are compared; each also by its place.
#[test]
fn rows_are_compared_as_they_are() {
    let typing = typing();
    let content = "\n\nname,enabled,uid,groups,shell\r\nada,yes,007,b;a;b,\"/bin/\"\"sh\"\"\"\n\n\nbob,,,,\ncid,no,,;,x\n";
    for wanted in [
        &[][..],
        &["shell".to_owned()],
        &["uid".to_owned(), "groups".to_owned()],
    ] {
        let mut rows = Csv::new(content.as_bytes(), None, &typing).ok().unwrap();
        let mut again = Csv::new(content.as_bytes(), None, &typing).ok().unwrap();
        let (mut compared, mut expected) = (Compared::noting(wanted), Compared::noting(wanted));
        let mut names = Vec::new();
        while let Some(read) = rows.next_compared(&mut compared) {
            read.unwrap();
            let row = again.at(compared.place).unwrap().unwrap();
            expected.take(row, compared.place);
            assert_eq!(format!("{compared:?}"), format!("{expected:?}"));
            names.push((compared.place.line, compared.name.clone(), compared.enabled));
        }
        let names: Vec<_> = names.iter().map(|it| (it.0, it.1.as_str(), it.2)).collect();
        let all = [
            (4, "ada", Some(true)),
            (7, "bob", None),
            (8, "cid", Some(false)),
        ];
        assert_eq!(names, all);
    }
}

#[test]
fn what_is_wrong_with_a_row_is_wrong_however_it_is_read() {
    let typing = typing();
    let long = "x".repeat(300);
    for row in [
        "ada,ten,",
        "ada,1",
        ",1,",
        "ada,1,,",
        "a\u{202e}da,1,",
        &long,
        "ada,1,x\u{0}",
    ] {
        let content = format!("name,uid,shell\n{row}\n");
        let new = || Csv::new(content.as_bytes(), None, &typing).ok().unwrap();
        let whole = new().next_row().unwrap().and_then(Row::sound);
        let mut compared = Compared::new(&["shell".to_owned()]);
        let compared = new().next_compared(&mut compared).unwrap();
        assert_eq!(compared.err(), whole.err(), "{row:?}");
    }
}

#[test]
fn titles_may_be_written_in_any_case() {
    let rows = names("Name,Shell\nada,/bin/sh\n").unwrap();
    assert_eq!(rows, [(2, "ada".to_owned())]);
    for (content, twice) in [
        ("name,NAME\nada,x\n", "`name`"),
        ("name,shell,SHELL\nada,a,b\n", "`shell`"),
    ] {
        let problem = names(content).unwrap_err();
        assert!(
            problem.contains(&format!("{twice} is there twice")),
            "{problem}"
        );
    }
}

#[test]
fn no_row_begins_inside_a_quoted_text() {
    let at = |line: u64, name: &str| (line, name.to_owned());
    // A value in quotes may hold line breaks, separators and doubled quotes.
    for break_ in ["\n", "\r\n"] {
        let content = "name,shell\nada,\"Room 1\nmallory,x\nend \"\"2\"\"\"\nbob,Bob\n";
        let rows = names(&content.replace('\n', break_)).unwrap();
        assert_eq!(rows, [at(2, "ada"), at(5, "bob")]);
    }
    // Out of step, nothing of the file is a row.
    for (content, fault) in [
        (
            "name,shell\nada,\"Room 1\nmallory,x\n",
            "2: the quote that is opened here is never",
        ),
        (
            "name,shell\nada,Room\nbob,\"a\"b\nmallory,x\n",
            "3: something follows the closing",
        ),
        (
            "name,shell\nada,5\" pipe\nmallory,x\n",
            "2: a quote stands in a value",
        ),
        (
            "name,shell\nada, \"Room 1\nmallory,x\n\"\n",
            "2: a quote stands in a value",
        ),
        (
            "name,shell\nada,end\"\nbob,x\n",
            "2: a quote stands in a value",
        ),
        (
            "name,shell\rada,x\rmallory,x\r",
            "1: a line ends with CR alone",
        ),
        (
            "name,shell\nada,x\rmallory,x\n",
            "2: a line ends with CR alone",
        ),
        (
            "\"name\nada\n",
            "1: the quote that is opened here is never closed",
        ),
    ] {
        let refused = names(content).unwrap_err();
        assert!(refused.starts_with(fault), "{content:?}: {refused}");
    }
}

#[test]
fn lines_are_those_that_an_editor_shows() {
    let rows = names("\n\nname\n\nada\r\n  \n\"bob\"\n\n\ncid").unwrap();
    let expected = [(5, "ada"), (7, "bob"), (10, "cid")];
    assert_eq!(rows, expected.map(|(line, name)| (line, name.to_owned())));
}

#[test]
fn separators_are_recognized_from_the_heading_or_given() {
    for (content, expected) in [
        ("name,uid\nada,1\n", "ada"),
        ("uid;name;groups\n1;a,da;\"x;y\"\n", "a,da"),
        ("uid\tname\n1\ta;d,a\n", "a;d,a"),
        ("\"name\";\"uid\"\n\"ada\";1\n", "ada"),
        ("\"uid\";\"name\"\n1;\"ada\"\n", "ada"),
        ("uid;\"name\"\n1;ada\n", "ada"),
        ("\"uid\"\t\"name\"\n1\tada\n", "ada"),
        ("\"uid\",\"name\"\n1,ada\n", "ada"),
        (
            "shell;\"groups\";\"name\"\n/bin/sh;\"a,b\";\"a;d,a\"\n",
            "a;d,a",
        ),
    ] {
        assert_eq!(names(content).unwrap(), [(2, expected.to_owned())]);
    }
    let typing = typing();
    let mut csv = Csv::new(b"uid|name\n1|ada\n", Some(b'|'), &typing)
        .ok()
        .unwrap();
    assert_eq!(csv.next_row().unwrap().unwrap().name, "ada");
    assert_eq!(separator("tab"), Ok(b'\t'));
    for wrong in ["", "ab", "\"", "a", "\n", "ä"] {
        assert!(separator(wrong).is_err(), "{wrong:?}");
    }
}

#[test]
fn what_programs_write_before_the_heading_is_no_row() {
    for (content, line) in [
        ("sep=;\nuid;name\n1;ada\n", 3),
        ("\"sep=;\"\r\nuid;name\r\n1;ada\r\n", 3),
        ("SEP=|\nuid|name\n1|ada\n", 3),
        (
            "#TYPE Selected.User\r\n\"name\",\"uid\"\r\n\"ada\",\"1\"\r\n",
            3,
        ),
        ("#TYPE A`1[[B, C]]\nsep=\t\nuid\tname\n1\tada\n", 4),
    ] {
        let rows = names(content);
        assert_eq!(rows, Ok(vec![(line, "ada".to_owned())]), "{content:?}");
    }
    let late = names("sep=;\nname;shell\nada;\"x\n").unwrap_err();
    assert!(late.starts_with("3: the quote that is opened"), "{late}");
    assert!(
        names("sep=;\n")
            .unwrap_err()
            .starts_with("2: the file is empty")
    );
}

#[test]
fn a_heading_without_end_is_refused_and_not_repeated() {
    for content in [
        "x".repeat(20_000_000),
        format!("name,{}\nada,1\n", "x".repeat(10_000)),
    ] {
        let refused = names(&content).unwrap_err();
        assert!(refused.contains("longer than"), "{}", &refused[..100]);
        assert!(refused.len() < 300, "{} bytes", refused.len());
    }
}

#[test]
fn what_is_no_text_breaks_its_row_alone() {
    let typing = typing();
    let content = b"name\nada\n\"b\nx\xff\"\ncid\n\0\n";
    let mut csv = Csv::new(content, None, &typing).ok().unwrap();
    assert!(csv.next_row().unwrap().is_ok());
    let broken = csv.next_row().unwrap().unwrap_err();
    assert!(
        broken.problem.contains("byte 2 of line 4 is not UTF-8"),
        "{broken}"
    );
    assert!(csv.next_row().unwrap().is_ok());
    assert!(csv.next_row().unwrap().unwrap_err().problem.contains("NUL"));
}
