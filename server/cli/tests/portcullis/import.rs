//! Importing files of accounts: broken rows, interruptions, and what is sent when.

use std::process::Stdio;

use portcullis_proto::gateway::v1::call::Verb;
use portcullis_proto::gateway::v1::value::Kind;
use portcullis_proto::gateway::v1::{Call, Create, FailureKind, Secret};

use crate::fake::{Fake, Fate, results};

fn creates(calls: &[Call]) -> Vec<&str> {
    calls
        .iter()
        .filter_map(|call| match &call.verb {
            Some(Verb::Create(create)) => Some(create.name.as_str()),
            _ => None,
        })
        .collect()
}

#[test]
fn a_csv_file_becomes_accounts_with_typed_attributes() {
    let fake = Fake::start();
    let file = fake.file(
        "people.csv",
        "\u{feff}name,password,uid,shell,groups,enabled\r\n\
         ann,\"se,cr\"\"et\",1000,/bin/bash,a;b,\r\n\
         \r\n\
         bob,,,,,false\r\n",
    );
    let finished = fake.run(&["account", "import", "r", file.to_str().unwrap()]);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let ann = fake.account("ann").unwrap();
    assert_eq!(ann.password.unwrap().value, b"se,cr\"et");
    assert_eq!(ann.enabled, None);
    assert_eq!(ann.attributes[0].values[0].kind, Some(Kind::Integer(1000)));
    assert_eq!(ann.attributes[2].values.len(), 2);
    let bob = fake.account("bob").unwrap();
    assert_eq!((bob.password, bob.enabled), (None, Some(false)));
    assert!(bob.attributes.is_empty());
    let results = results(&file);
    assert_eq!(results.len(), 2);
    assert!(results.iter().all(|result| result["status"] == "done"));
    assert!(results.iter().any(|result| result["id"] == "id-ann"));
}

#[test]
fn json_lines_become_accounts() {
    let fake = Fake::start();
    let file = fake.file(
        "people.jsonl",
        "{\"name\":\"ann\",\"password\":\"two\\nlines\",\"attributes\":{\"uid\":7,\"groups\":[\"a\",\"b\"],\"shell\":null}}\n",
    );
    let finished = fake.run(&["account", "import", "r", file.to_str().unwrap()]);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let ann = fake.account("ann").unwrap();
    assert_eq!(ann.password.unwrap().value, b"two\nlines");
    assert_eq!(ann.attributes.len(), 2);
}

#[test]
fn broken_rows_are_named_with_line_and_column_and_the_rest_is_done() {
    let fake = Fake::start();
    let file = fake.file(
        "people.csv",
        "name,password,uid,shell\n\
         ann,hunter2,1000,/bin/sh\n\
         bob,hunter2,ten,/bin/sh\n\
         dee,hunter2,2\n\
         ,hunter2,3,/bin/sh\n\
         ann,hunter2,4,/bin/sh\n\
         fay,hunter2,5,/bin/sh\n",
    );
    let finished = fake.run(&["account", "import", "r", file.to_str().unwrap()]);
    assert_eq!(finished.code, Some(1), "{finished:?}");
    assert_eq!(fake.names(), ["ann", "fay"]);
    for message in [
        "line 3 (bob): column 3 (uid): `uid` takes a whole number",
        "line 4 (dee): 3 fields where the heading has 4",
        "line 5: column 1 (name): the name is empty",
        "line 6 (ann): this account stands on line 2 already",
        "4 of 6 lines failed",
    ] {
        assert!(
            finished.err.contains(message),
            "{message}: {}",
            finished.err
        );
    }
    let everything = format!("{finished:?}{:?}", results(&file));
    assert!(!everything.contains("hunter2"), "{everything}");

    // Mended, the same command does what is left, and nothing twice.
    fake.take_calls();
    let mended = std::fs::read_to_string(&file).unwrap().replace("ten", "10");
    std::fs::write(&file, mended).unwrap();
    let finished = fake.run(&["account", "import", "r", file.to_str().unwrap()]);
    assert_eq!(creates(&fake.take_calls()), ["bob"], "{finished:?}");
}

#[test]
fn broken_json_lines_are_named_without_their_values() {
    let fake = Fake::start();
    let file = fake.file(
        "people.jsonl",
        "{\"name\":\"ann\",\"password\":hunter2}\n\
         {\"name\":\"bob\",\"password\":4711}\n\
         {\"name\":\"cid\",\"passwort\":\"hunter2\"}\n\
         {\"password\":\"hunter2\"}\n\
         [\"hunter2\"]\n\
         {\"name\":\"dee\",\"attributes\":{\"uid\":\"hunter2\"}}\n\
         {\"name\":\"eve\",\"attributes\":{\"uid\":[1,2]}}\n\
         {\"name\":\"fay\"}\n",
    );
    let finished = fake.run(&["account", "import", "r", file.to_str().unwrap()]);
    assert_eq!(finished.code, Some(1));
    assert_eq!(fake.names(), ["fay"]);
    for message in [
        "line 1: character 26: this is no JSON",
        "line 2 (bob): `password`: takes a text, in quotes",
        "line 3 (cid): `passwort`: is not known",
        "line 4: there is no `name`",
        "line 5: the line is no JSON object",
        "line 6 (dee): uid: `uid` takes a whole number",
        "line 7 (eve): uid: `uid` takes one value, and 2 were given",
    ] {
        assert!(
            finished.err.contains(message),
            "{message}: {}",
            finished.err
        );
    }
    let everything = format!("{finished:?}{:?}", results(&file));
    for secret in ["hunter2", "4711"] {
        assert!(!everything.contains(secret), "{everything}");
    }
}

#[test]
fn a_file_that_is_out_of_step_is_refused_before_anything_is_sent() {
    let fake = Fake::start();
    for (name, content, message) in [
        (
            "people.csv",
            "name,shell\nann,x\nbob,\"Room 1\nmallory,x\n",
            "line 3: the quote that is opened here is never closed; nothing of the file was sent",
        ),
        (
            "people.csv",
            "name,shell\nann,x\nbob,5\" pipe\nmallory,x\n",
            "line 3: a quote stands in a value that is not in quotes",
        ),
        (
            "people.jsonl",
            "[\n {\"name\":\"ann\"},\n {\"name\":\"bob\"}\n]\n",
            "line 1: a value goes over several lines",
        ),
        (
            "people.jsonl",
            "{\"name\":\"ann\"}\n{\"people\":[\n{\"name\":\"bob\"}\n]}\n",
            "line 2: a value goes over several lines",
        ),
        ("people.csv", "\u{0}n\u{0}a\u{0}m\u{0}e", "UTF-16"),
    ] {
        let file = fake.file(name, content);
        let finished = fake.run(&["account", "import", "r", file.to_str().unwrap()]);
        assert_eq!(finished.code, Some(2), "{finished:?}");
        assert!(
            finished.err.contains(message),
            "{message}: {}",
            finished.err
        );
        assert!(creates(&fake.take_calls()).is_empty());
    }
}

#[test]
fn what_a_spreadsheet_saves_is_taken() {
    let fake = Fake::start();
    let file = fake.file(
        "people.csv",
        "\u{feff}name;enabled;groups;shell\r\nann;FALSCH;\"a;b\";\"two\r\nlines\"\r\nbob;TRUE;;\r\ncid;0;;\r\n",
    );
    let finished = fake.run(&["account", "import", "r", file.to_str().unwrap()]);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let ann = fake.account("ann").unwrap();
    assert_eq!(
        (ann.enabled, ann.attributes[0].values.len()),
        (Some(false), 2)
    );
    assert_eq!(
        ann.attributes[1].values[0].kind,
        Some(Kind::Text("two\r\nlines".to_owned()))
    );
    assert_eq!(fake.account("bob").unwrap().enabled, Some(true));
    assert_eq!(fake.account("cid").unwrap().enabled, Some(false));
    let lines: Vec<_> = results(&file).iter().map(|it| it["line"].clone()).collect();
    assert!(lines.contains(&4.into()), "{lines:?}");
}

#[test]
fn a_dry_run_tells_what_would_be_done_and_changes_nothing() {
    let fake = Fake::start();
    let file = fake.file("people.csv", "name,uid\nann,1\nbob,ten\ncid,3\nann,4\n");
    let import = ["account", "import", "r", file.to_str().unwrap()];
    let dry = |flags: &[&str]| fake.run(&[&import[..], &["--dry-run"], flags].concat());
    let told = dry(&[]);
    assert_eq!(told.code, Some(1), "{told:?}");
    assert!(
        told.err.contains("line 3 (bob): column 2 (uid)"),
        "{told:?}"
    );
    assert!(
        told.err
            .contains("line 5 (ann): this account stands on line 2"),
        "{told:?}"
    );
    let long = "x".repeat(300);
    let refused = format!(
        "name,password\n{long},a\n\"e\u{202e}ve\",b\nzoe,{}\n",
        "p".repeat(1_025)
    );
    let refused = fake.file("refused.csv", &refused);
    let refused = [
        "account",
        "import",
        "r",
        refused.to_str().unwrap(),
        "--dry-run",
        "--output",
        "json",
    ];
    assert_eq!(fake.run(&refused).json()["broken"], 3);
    assert!(creates(&fake.take_calls()).is_empty());
    assert!(!fake.folder.path().join("people.csv.results.jsonl").exists());

    fake.run(&import);
    let before = results(&file);
    std::fs::write(&file, "name,uid\nann,1\nbob,10\ncid,3\ndee,4\n").unwrap();
    let told = dry(&["--output", "json"]);
    assert_eq!(told.code, Some(0), "{told:?}");
    let counts = told.json();
    assert_eq!(
        (&counts["create"], &counts["skip"]),
        (&1.into(), &2.into()),
        "{counts}"
    );
    // An earlier run may have begun it: it is looked at first.
    assert_eq!(counts["look_first"], 1);
    assert_eq!(results(&file), before);
}

#[test]
fn a_heading_that_makes_no_sense_stops_everything_before_it_begins() {
    let fake = Fake::start();
    for (heading, message) in [
        ("", "the file is empty"),
        (
            "nme,uid\nann,1\n",
            "column 1: the resource has no attribute `nme` for accounts; it has uid, shell, groups",
        ),
        (
            "name|uid\n",
            "column 1: the resource has no attribute `name|uid`",
        ),
        ("uid,shell\n", "there is no column `name`"),
        ("name,uid,uid\n", "column 3: `uid` is there twice"),
        ("name,,uid\n", "column 2: the column has no name"),
        ("name,uid:intt\n", "column 2: `intt` is no type"),
    ] {
        let file = fake.file("people.csv", heading);
        let finished = fake.run(&["account", "import", "r", file.to_str().unwrap()]);
        assert_eq!(finished.code, Some(2), "{finished:?}");
        assert!(
            finished.err.contains(message),
            "{message}: {}",
            finished.err
        );
        assert!(fake.names().is_empty());
        assert!(!fake.folder.path().join("people.csv.results.jsonl").exists());
    }
}

#[test]
fn a_second_run_skips_what_is_done_and_tries_again_what_failed() {
    let fake = Fake::start();
    let file = fake.file("people.csv", "name\nann\nbob\ncid\n");
    let import = ["account", "import", "r", file.to_str().unwrap()];
    fake.fate("bob", Fate::Fails(FailureKind::Rejected));
    let first = fake.run(&import);
    assert_eq!(first.code, Some(1));
    // What a resource says cannot steer the terminal.
    assert!(first.err.contains("\\u{1b}[31m"), "{}", first.err);
    assert!(!first.err.contains('\u{1b}'), "{}", first.err);
    fake.no_more_fates();
    fake.take_calls();
    let second = fake.run(&import);
    assert_eq!(second.code, Some(0), "{second:?}");
    assert_eq!(creates(&fake.take_calls()), ["bob"]);
    let third = fake.run(&import);
    assert_eq!(third.code, Some(0));
    assert!(creates(&fake.take_calls()).is_empty());
    // Each call has an id of its own, which names the line.
    let ids: Vec<_> = results(&file)
        .iter()
        .map(|result| result["call_id"].as_str().unwrap().to_owned())
        .collect();
    let distinct: std::collections::HashSet<_> = ids.iter().collect();
    assert_eq!(distinct.len(), ids.len(), "{ids:?}");
    assert!(ids.iter().any(|id| id.ends_with("-3-2")), "{ids:?}");
}

#[test]
fn the_same_line_of_the_same_file_has_the_same_call_id_anywhere() {
    let ids: Vec<_> = (0..2)
        .map(|_| {
            let fake = Fake::start();
            let file = fake.file("people.csv", "name,password\nann,pw\n");
            fake.run(&["account", "import", "r", file.to_str().unwrap()]);
            results(&file)[0]["call_id"].clone()
        })
        .collect();
    assert_eq!(ids[0], ids[1]);
}

#[test]
fn what_nobody_knows_is_looked_at_before_anything_is_sent() {
    let fake = Fake::start();
    let file = fake.file("people.csv", "name,password\nann,pw\nbob,pw\ncid,pw\n");
    let import = ["account", "import", "r", file.to_str().unwrap()];
    fake.fate("ann", Fate::CreatedUnknown);
    fake.fate("bob", Fate::LostUnknown);
    let first = fake.run(&import);
    assert_eq!(first.code, Some(3), "{first:?}");
    assert!(
        first.err.contains("nobody knows what came of 2 of 3 lines"),
        "{}",
        first.err
    );
    fake.no_more_fates();
    fake.take_calls();
    let second = fake.run(&import);
    assert_eq!(second.code, Some(0), "{second:?}");
    assert!(
        second
            .err
            .contains("line 2 (ann): what came of it is not known: looking"),
        "{}",
        second.err
    );
    let calls = fake.take_calls();
    assert_eq!(creates(&calls), ["bob"]);
    // Of the one that was only looked at, there is no call to be shown.
    let made = |name: &str| {
        let results = results(&file);
        let last = results.iter().rfind(|result| result["name"] == name);
        let last = last.unwrap().clone();
        (
            last["call_id"].as_str().map(str::to_owned),
            last["attempt"].clone(),
        )
    };
    assert_eq!(made("ann"), (None, 2.into()));
    let (bob, attempt) = made("bob");
    assert_eq!(attempt, 2);
    assert!(calls.iter().any(|call| Some(&call.call_id) == bob.as_ref()));
}

#[test]
fn a_call_of_an_earlier_run_that_arrives_after_the_look_is_not_taken_for_somebody_elses() {
    let fake = Fake::start();
    let file = fake.file("people.csv", "name,password\nann,pw\n");
    let import = ["account", "import", "r", file.to_str().unwrap()];
    fake.fate("ann", Fate::CreatedLate);
    assert_eq!(fake.run(&import).code, Some(3));
    let second = fake.run(&import);
    assert_eq!(second.code, Some(0), "{second:?}");
    assert_eq!(results(&file)[1]["status"], "done");
}

#[test]
fn an_account_that_is_not_as_the_file_wants_it_is_never_taken_for_done() {
    let fake = Fake::start();
    let file = fake.file(
        "people.csv",
        "name,password,shell\nann,pw,/bin/sh\nbob,pw,/bin/sh\n",
    );
    let import = ["account", "import", "r", file.to_str().unwrap()];
    fake.fate("ann", Fate::LostUnknown);
    fake.fate("bob", Fate::CreatedUnknown);
    assert_eq!(fake.run(&import).code, Some(3));
    // Meanwhile somebody else makes one, and changes the other's password.
    fake.put(Create {
        name: "ann".to_owned(),
        ..Create::default()
    });
    let mut bob = fake.account("bob").unwrap();
    bob.password = Some(Secret::plain(b"other".to_vec()));
    fake.put(bob);
    let second = fake.run(&import);
    assert_eq!(second.code, Some(1), "{second:?}");
    assert!(
        second
            .err
            .contains("line 2 (ann): the account is there, but its `shell` is another"),
        "{}",
        second.err
    );
    assert!(
        second
            .err
            .contains("line 3 (bob): the account is there, but its password is another"),
        "{}",
        second.err
    );
    assert_eq!(
        fake.account("bob").unwrap().password.unwrap().value,
        b"other"
    );
}

#[test]
fn an_import_that_was_killed_goes_on_where_it_was() {
    let fake = Fake::start();
    let names: Vec<String> = (0..200).map(|n| format!("user{n}")).collect();
    let rows: String = names.iter().map(|name| format!("{name},pw\n")).collect();
    let file = fake.file("people.csv", &format!("name,password\n{rows}"));
    let import = [
        "account",
        "import",
        "r",
        file.to_str().unwrap(),
        "--jobs",
        "4",
    ];
    fake.fate("user20", Fate::CreatedHangs);
    fake.fate("user90", Fate::CreatedHangs);
    fake.fate("user91", Fate::CreatedHangs);
    fake.fate("user92", Fate::CreatedHangs);
    let mut child = fake
        .command(&import)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // All four jobs hang from here on.
    fake.wait_for_create("user92");
    child.kill().unwrap();
    child.wait().unwrap();
    // As after a crash of the machine: the last line is cut short.
    let path = fake.folder.path().join("people.csv.results.jsonl");
    let before = std::fs::read(&path).unwrap();
    std::fs::write(&path, [&before[..], b"{\"line\":9"].concat()).unwrap();

    fake.no_more_fates();
    let made = fake.names().len();
    fake.take_calls();
    let second = fake.run(&import);
    assert_eq!(second.code, Some(0), "{second:?}");
    let calls = fake.take_calls();
    assert_eq!(
        creates(&calls).len(),
        names.len() - made,
        "nothing is sent twice"
    );
    assert_eq!(fake.names().len(), names.len());
    let gets = calls
        .iter()
        .filter(|call| matches!(call.verb, Some(Verb::Get(_))))
        .count();
    // The one that hung early, and those beyond the last result that may have been begun.
    assert!((4..=257).contains(&gets), "{gets} were looked at");
    let results = results(&file);
    let done: std::collections::HashSet<_> = results
        .iter()
        .filter(|result| result["status"] == "done")
        .map(|result| result["name"].as_str().unwrap())
        .collect();
    assert_eq!(done.len(), names.len());
    let ids: std::collections::HashSet<_> = calls.iter().map(|call| &call.call_id).collect();
    assert_eq!(ids.len(), calls.len(), "no call id is used twice");
}

#[test]
fn a_server_that_goes_away_stops_the_import_and_loses_nothing() {
    let mut fake = Fake::start();
    let rows: String = (0..50).map(|n| format!("user{n}\n")).collect();
    let file = fake.file("people.csv", &format!("name\n{rows}"));
    fake.fate("user9", Fate::CreatedHangs);
    let child = fake
        .command(&[
            "account",
            "import",
            "r",
            file.to_str().unwrap(),
            "--jobs",
            "1",
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    fake.wait_for_create("user9");
    fake.stop();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let results = results(&file);
    assert_eq!(
        results.len(),
        10,
        "no line after the one in doubt was begun"
    );
    assert_eq!(results[9]["status"], "indeterminate");
}

#[test]
fn stop_on_error_begins_nothing_after_the_first_failure() {
    let fake = Fake::start();
    let file = fake.file("people.csv", "name,uid\nann,1\nbob,x\ncid,3\n");
    let finished = fake.run(&[
        "account",
        "import",
        "r",
        file.to_str().unwrap(),
        "--stop-on-error",
        "--jobs",
        "1",
    ]);
    assert_eq!(finished.code, Some(1), "{finished:?}");
    assert_eq!(fake.names(), ["ann"]);
    assert!(
        finished.out.contains("before the end of the file"),
        "{}",
        finished.out
    );
}

#[test]
fn a_resource_out_of_reach_is_not_tried_for_every_line() {
    let fake = Fake::start();
    let rows: String = (0..500).map(|n| format!("user{n}\n")).collect();
    let file = fake.file("people.csv", &format!("name\n{rows}"));
    for n in 0..500 {
        fake.fate(&format!("user{n}"), Fate::Fails(FailureKind::Unavailable));
    }
    let finished = fake.run(&["account", "import", "r", file.to_str().unwrap()]);
    assert_eq!(finished.code, Some(1));
    let begun = creates(&fake.take_calls()).len();
    assert!(begun < 50);
    // The heading is line 1.
    let left = format!("stopped before line {}, with 0 lines done", begun + 2);
    assert!(finished.err.contains(&left), "{finished:?}");
    let go_on = "give the same command again, which goes on with what is not done";
    assert!(finished.err.contains(go_on), "{finished:?}");

    fake.no_more_fates();
    let finished = fake.run(&["account", "import", "r", file.to_str().unwrap()]);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert_eq!(fake.names().len(), 500);
}

#[test]
fn a_row_for_which_there_is_no_room_is_sent_again_under_its_id() {
    let fake = Fake::start();
    let file = fake.file("people.csv", "name,uid:integer\nann,1\n");
    let import = ["account", "import", "r", file.to_str().unwrap()];
    fake.busy(3);
    let finished = fake.run(&import);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let calls = fake.take_calls();
    let ids: Vec<_> = calls
        .iter()
        .filter(|call| matches!(call.verb, Some(Verb::Create(_))))
        .map(|call| call.call_id.as_str())
        .collect();
    assert_eq!(ids.len(), 4);
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    assert_eq!(results(&file).len(), 1);
}

#[test]
fn two_imports_do_not_share_a_results_file_and_no_other_file_is_taken_for_one() {
    let fake = Fake::start();
    let file = fake.file("people.csv", "name\nann\n");
    fake.fate("ann", Fate::CreatedHangs);
    let import = ["account", "import", "r", file.to_str().unwrap()];
    let mut first = fake
        .command(&import)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    fake.wait_for_create("ann");
    let second = fake.run(&import);
    first.kill().unwrap();
    first.wait().unwrap();
    assert_eq!(second.code, Some(2), "{second:?}");
    assert!(
        second.err.contains("another import writes to"),
        "{}",
        second.err
    );

    for content in ["not json\n", "not json", "{\"a\":1}"] {
        let precious = fake.file("precious", content);
        let third = fake.run(&[&import[..], &["--results", precious.to_str().unwrap()]].concat());
        assert_eq!(third.code, Some(2));
        assert!(
            third.err.contains("line 1: this is no result of an import"),
            "{}",
            third.err
        );
        assert_eq!(std::fs::read_to_string(&precious).unwrap(), content);
    }
}

#[test]
fn json_output_is_one_object() {
    let fake = Fake::start();
    let file = fake.file("people.csv", "name,uid\nann,1\nbob,x\n");
    let finished = fake.run(&[
        "account",
        "import",
        "r",
        file.to_str().unwrap(),
        "--output",
        "json",
    ]);
    assert_eq!(finished.json()["done"], 1);
    assert_eq!(finished.json()["failed"], 1);
    assert_eq!(finished.error()["kind"], "import");
}
