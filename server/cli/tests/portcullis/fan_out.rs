//! One command for all resources of a group.

use portcullis_proto::gateway::v1::call::Verb;

use crate::fake::Fake;

#[test]
fn each_resource_of_a_group_has_an_outcome_and_the_same_id_finishes_what_is_missing() {
    let fake = Fake::start();
    fake.out_of_reach(&["r2"]);
    let leave = ["account", "disable", "@all", "ann", "--call-id", "leave-1"];
    let json = |finished: &crate::fake::Finished| {
        let parts = finished.json();
        let parts = parts.as_array().unwrap().iter();
        let words = parts.map(|part| {
            let word = |key: &str| part[key].as_str().unwrap_or_default().to_owned();
            [
                word("resource"),
                word("call_id"),
                word("outcome"),
                word("kind"),
            ]
        });
        words.collect::<Vec<_>>()
    };
    let first = fake.run(&[&leave[..], &["--output", "json"]].concat());
    assert_eq!(first.code, Some(1), "{first:?}");
    assert_eq!(
        json(&first),
        [
            ["r1", "leave-1:r1", "done", ""],
            ["r2", "leave-1:r2", "failed", "unavailable"],
            ["r3", "leave-1:r3", "done", ""],
        ]
    );
    let error = first.error();
    assert_eq!(error["kind"], "some");
    let message = error["message"].as_str().unwrap();
    assert!(
        message.contains("1 of 3") && message.contains("--call-id leave-1"),
        "{message}"
    );

    fake.out_of_reach(&[]);
    fake.take_calls();
    let second = fake.run(&leave);
    assert_eq!(second.code, Some(0), "{second:?}");
    assert!(
        second.out.contains("leave-1:r2") && !second.out.contains("failed"),
        "{second:?}"
    );
    let mut ids: Vec<_> = fake
        .take_calls()
        .into_iter()
        .map(|call| call.call_id)
        .collect();
    ids.sort();
    assert_eq!(ids, ["leave-1:r1", "leave-1:r2", "leave-1:r3"]);
}

#[test]
fn nothing_is_sent_for_a_group_without_resources_or_where_a_value_is_wrong() {
    let fake = Fake::start();
    let none = fake.run(&["account", "delete", "@none", "ann"]);
    assert_eq!(none.code, Some(2), "{none:?}");
    assert!(none.err.contains("--add-group none"), "{none:?}");
    let wrong = fake.run(&["account", "update", "@all", "ann", "--set", "uid=x"]);
    assert_eq!(wrong.code, Some(2), "{wrong:?}");
    let changes = |verb: &Option<Verb>| !matches!(verb, Some(Verb::Schema(_)));
    assert!(!fake.take_calls().iter().any(|call| changes(&call.verb)));
}

#[test]
fn a_password_is_read_once_for_all_resources() {
    let fake = Fake::start();
    fake.put(portcullis_proto::gateway::v1::Create {
        name: "ann".to_owned(),
        ..Default::default()
    });
    let set = ["account", "set-password", "@all", "ann", "--password-stdin"];
    let finished = fake.run_with_input(&set, "correct horse\n");
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let passwords = fake.take_calls().into_iter().map(|call| match call.verb {
        Some(Verb::SetPassword(set)) => set.password.unwrap().value.clone(),
        other => panic!("{other:?}"),
    });
    let same: Vec<_> = passwords.filter(|it| it == b"correct horse").collect();
    assert_eq!(same.len(), 3);
}

#[test]
fn each_object_of_a_file_has_an_outcome_and_one_that_fails_stops_no_other() {
    let fake = Fake::start();
    for number in (0..100).filter(|number| *number != 40) {
        fake.put(portcullis_proto::gateway::v1::Create {
            name: format!("user{number}"),
            ..Default::default()
        });
    }
    let names: String = (0..100).map(|number| format!("user{number}\n")).collect();
    let file = fake.file("leavers.txt", &names);
    let file = file.to_str().unwrap();
    let leave = [
        "account",
        "delete",
        "r",
        "--each",
        file,
        "--call-id",
        "leave-2",
    ];
    let finished = fake.run(&leave);
    assert_eq!(finished.code, Some(1), "{finished:?}");
    assert!(fake.names().is_empty());
    // People see who is left; programs see all.
    assert!(
        finished.out.contains("user40") && !finished.out.contains("user41"),
        "{finished:?}"
    );
    assert!(finished.out.contains("99"), "{finished:?}");
    let ids: std::collections::HashSet<_> = fake
        .take_calls()
        .into_iter()
        .map(|call| call.call_id)
        .collect();
    assert_eq!(ids.len(), 100);
    let again = fake.run(&[&leave[..], &["--output", "json"]].concat());
    let parts = again.json();
    assert_eq!(parts.as_array().unwrap().len(), 100);
    assert_eq!(parts[40]["name"], "user40");
    let same: std::collections::HashSet<_> = fake
        .take_calls()
        .into_iter()
        .map(|call| call.call_id)
        .collect();
    assert_eq!(ids, same, "the same command makes the same calls");

    let doubled = fake.file("doubled.txt", "ann\nbob\nann\n");
    let refused = fake.run(&[
        "account",
        "delete",
        "r",
        "--each",
        doubled.to_str().unwrap(),
    ]);
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(refused.err.contains("line 3"), "{refused:?}");
    assert!(fake.take_calls().is_empty());
}

#[test]
fn where_one_resource_is_to_be_named_a_group_is_refused_with_what_to_do() {
    let fake = Fake::start();
    for command in [
        &["account", "list"][..],
        &["account", "search", "--where", "uid=1"],
        &["account", "get"],
        &["group", "list"],
        &["resource", "show"],
        &["resource", "remove"],
        &["resource", "test"],
        &["resource", "schema"],
        &["sync", "--token-file", "token"],
    ] {
        let name = ["get"].contains(&command[1]).then_some("ada");
        let arguments: Vec<_> = command
            .iter()
            .copied()
            .chain(["@all"])
            .chain(name)
            .collect();
        let told = fake.run(&arguments);
        assert_eq!(told.code, Some(2), "{told:?}");
        assert!(
            told.err.contains("`portcullis resource list --group all`"),
            "{told:?}"
        );
    }
    assert!(fake.take_calls().is_empty());
}
