//! One command for all resources of a group, through to their databases.

use serde_json::Value;

use crate::reconcile::Databases;

#[tokio::test(flavor = "multi_thread")]
async fn a_group_gets_an_account_on_each_resource_and_the_same_id_makes_none_twice() {
    let databases = Databases::new("").await;
    let pair = &databases.pair;
    pair.ok("resource set hr --add-group people");
    pair.ok("resource set other --add-group people --map account.full_name={full_name|upper}");
    // Its connector is not there.
    pair.ok("resource add third --gateway host1 --connector nowhere --group people");
    let listed: Value =
        serde_json::from_str(&pair.ok("resource list --group people --output json")).unwrap();
    assert_eq!(listed.as_array().unwrap().len(), 3);
    assert_eq!(listed[0]["groups"], serde_json::json!(["people"]));

    let create =
        "account create @people ada --set full_name:text=Ada --call-id join-1 --output json";
    let outcomes = |expected: Option<i32>| {
        let finished = pair.portcullis(create);
        assert_eq!(finished.status.code(), expected, "{finished:?}");
        let parts: Value = serde_json::from_str(&finished.stdout).unwrap();
        let parts = parts.as_array().unwrap().iter();
        let told = parts.map(|part| {
            let word = |key: &str| part[key].as_str().unwrap_or_default().to_owned();
            (word("call_id"), word("outcome"))
        });
        told.collect::<Vec<_>>()
    };
    let of = |resource: &str, word: &str| (format!("join-1:{resource}"), word.to_owned());
    let (hr, other) = (of("hr", "done"), of("other", "done"));
    assert_eq!(
        outcomes(Some(1)),
        [hr.clone(), other.clone(), of("third", "failed")]
    );
    pair.ok("resource set third --remove-group people");
    assert_eq!(outcomes(Some(0)), [hr, other]);
    for (database, full_name) in [("hr", "Ada"), ("other", "ADA")] {
        let names: Vec<String> = databases
            .database(database)
            .prepare("SELECT full_name FROM people")
            .unwrap()
            .query_map([], |row| row.get(0))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        assert_eq!(names, [full_name], "{database}");
    }
}
