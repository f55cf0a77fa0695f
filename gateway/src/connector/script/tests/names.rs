//! Names that a script's resource takes for those of protected objects.

use super::*;

/// Spellings of `domain admins`, from what a resource compares exactly to what a directory does.
const SPELLINGS: [(&str, [bool; 3]); 10] = [
    // exact, case-insensitive, normalized
    ("domain admins", [true, true, true]),
    ("Domain ADMINS", [false, true, true]),
    (" domain admins", [false, false, true]),
    ("domain admins  ", [false, false, true]),
    ("domain  admins", [false, false, true]),
    ("ｄｏｍａｉｎ　ａｄｍｉｎｓ", [false, false, true]),
    ("domain admins.", [false, false, true]),
    ("domain\u{200b} admins", [false, false, true]),
    ("domain admin", [false, false, false]),
    ("domainadmins", [false, false, false]),
];

fn group(name: &str) -> Option<wire::ObjectRef> {
    account(name).map(|object| wire::ObjectRef {
        object_class: wire::ObjectClass::Group.into(),
        ..object
    })
}

fn add(object: Option<wire::ObjectRef>, attribute: &str, value: &str) -> Verb {
    Verb::Update(wire::Update {
        object,
        modifications: vec![wire::Modification {
            operation: wire::ModificationOperation::Add.into(),
            name: attribute.into(),
            values: vec![wire::Value {
                kind: Some(wire::value::Kind::Text(value.into())),
            }],
        }],
    })
}

async fn refused(provisioner: &Provisioner, verb: Verb) -> Option<String> {
    match provisioner.execute(call(verb)).await {
        Outcome::Failed(failure) if failure.kind == FailureKind::Refused => Some(failure.message),
        _ => None,
    }
}

#[tokio::test]
async fn without_a_get_names_are_compared_as_the_resource_does() {
    let made = folder(&[("delete", ""), ("create", ""), ("update", "")]);
    for (place, comparison) in ["exact", "case-insensitive", "normalized"]
        .iter()
        .enumerate()
    {
        for default in [false, true] {
            let rails = match default {
                true if place == 2 => String::new(),
                true => continue,
                false => format!("compare_names = \"{comparison}\""),
            };
            let rails = format!(
                "[connectors.hr.guard_rails]\nprotected_accounts = [\"domain admins\"]\n{rails}"
            );
            let provisioner = provisioner(made.path(), &rails);
            for (name, protected) in SPELLINGS {
                let protected = protected[place];
                // No object gets a name with blanks at its ends, whatever the rails say.
                let new = (name.trim() == name).then(|| create(name, "x"));
                let others = [delete(name), add(group("devs"), "members", name)];
                for verb in others.into_iter().chain(new) {
                    let found = refused(&provisioner, verb.clone()).await.is_some();
                    assert_eq!(found, protected, "{name:?}, {comparison}: {verb:?}");
                }
            }
        }
    }
    let problems = connectors(
        made.path(),
        "[connectors.hr.guard_rails]\ncompare_names = \"fuzzy\"",
    );
    let problems = problems.unwrap_err();
    assert!(problems[0].contains("`exact`, `case-insensitive`, `normalized` are allowed"));
}

#[tokio::test]
async fn without_a_get_no_account_is_changed_where_its_groups_or_id_protect_it() {
    let made = folder(&[("delete", ""), ("update", ""), ("create", "")]);
    for rail in [
        "protected_groups = [\"admins\"]",
        "protected_ids_below = 1000",
    ] {
        let rails = format!("[connectors.hr.guard_rails]\n{rail}");
        let provisioner = provisioner(made.path(), &rails);
        for verb in [
            delete("ada"),
            add(account("ada"), "mail", "x"),
            add(group("devs"), "members", "ada"),
        ] {
            let message = refused(&provisioner, verb).await.unwrap();
            assert!(message.contains("give the connector a `get`"), "{message}");
        }
    }
    // A list of groups that are open is held to from both sides, even so.
    let rails = "[connectors.hr.guard_rails]\nallowed_groups = [\"team-*\"]";
    let provisioner = provisioner(made.path(), rails);
    for (verb, open) in [
        (add(account("ada"), "groups", "team-a"), true),
        (add(account("ada"), "groups", "other"), false),
        (add(group("team-a"), "members", "ada"), true),
        (add(group("other"), "members", "ada"), false),
    ] {
        let found = refused(&provisioner, verb.clone()).await.is_none();
        assert_eq!(found, open, "{verb:?}");
    }
}

/// Whatever the resource takes for the same: what `get` answers decides.
#[tokio::test]
async fn with_a_get_its_answer_is_judged() {
    let known = r#"question=$(cat)
case "$question" in
*'"class":"group"'*) echo '{"object": {"id": "g1", "name": "devs", "attributes": {}}}';;
*sneaky*) echo '{"object": {"id": "a1", "name": "admin", "attributes": {}}}';;
*member*) echo '{"object": {"id": "a2", "name": "mia", "attributes": {"groups": ["rulers"]}}}';;
*) echo '{"object": {"id": "a3", "name": "ada", "attributes": {"groups": []}}}';;
esac"#;
    let made = folder(&[("get", known), ("delete", ""), ("update", "exit 1")]);
    let rails = "[connectors.hr.guard_rails]\nprotected_accounts = [\"admin\"]\nprotected_groups = [\"rulers\"]";
    let provisioner = provisioner(made.path(), rails);
    for (verb, open) in [
        (delete("sneaky"), false),
        (delete("member"), false),
        (delete("ada"), true),
        (add(group("devs"), "members", "sneaky"), false),
        (add(group("devs"), "members", "member"), false),
        (add(group("devs"), "members", "ada"), true),
    ] {
        let found = refused(&provisioner, verb.clone()).await;
        assert_eq!(found.is_none(), open, "{verb:?}: {found:?}");
    }
}
