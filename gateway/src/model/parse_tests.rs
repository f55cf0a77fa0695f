//! What a call may not look like, and what each refusal says.

use super::*;

fn call(verb: wire::call::Verb) -> wire::Call {
    wire::Call {
        call_id: "1".into(),
        connector: "local".into(),
        verb: Some(verb),
        ..wire::Call::default()
    }
}

fn account(name: &str) -> Option<wire::ObjectRef> {
    Some(wire::ObjectRef {
        object_class: wire::ObjectClass::Account.into(),
        by: Some(wire::object_ref::By::Name(name.into())),
        ..wire::ObjectRef::default()
    })
}

fn text(text: &str) -> wire::Value {
    wire::Value {
        kind: Some(wire::value::Kind::Text(text.into())),
    }
}

fn error(call: wire::Call) -> String {
    parse_call(call, &[]).unwrap_err().to_string()
}

#[test]
fn an_empty_call_is_refused_part_by_part() {
    assert_eq!(error(wire::Call::default()), "the call id is empty");
    let mut call = call(wire::call::Verb::Get(wire::Get::default()));
    assert_eq!(error(call.clone()), "the call lacks an object");
    call.verb = None;
    assert_eq!(error(call), "the call lacks a verb");
}

#[test]
fn a_group_has_no_password() {
    let mut object = account("staff");
    if let Some(object) = &mut object {
        object.object_class = wire::ObjectClass::Group.into();
    }
    let set = wire::SetPassword {
        object,
        password: Some(wire::Secret::plain(b"x".to_vec())),
    };
    assert_eq!(
        error(call(wire::call::Verb::SetPassword(set))),
        "set-password works on accounts only, not on groups"
    );
}

#[test]
fn a_further_class_is_one_that_the_connector_has() {
    const UNITS: ObjectClass = ObjectClass::Other("organizational-unit");
    let get = |class: wire::ObjectClass, name: &str| {
        let mut object = account("staff");
        if let Some(object) = &mut object {
            object.object_class = class.into();
            object.class_name = name.to_owned();
        }
        let object = wire::Get {
            object,
            ..wire::Get::default()
        };
        parse_call(call(wire::call::Verb::Get(object)), &[UNITS])
    };
    let found = get(wire::ObjectClass::Other, "organizational-unit").unwrap();
    assert_eq!(found.request.object().map(|it| it.class), Some(UNITS));
    assert_eq!(
        get(wire::ObjectClass::Other, "printer\u{1b}")
            .unwrap_err()
            .to_string(),
        "the connector has no class `printer`; it has account, group, organizational-unit"
    );
    let named = get(wire::ObjectClass::Account, "organizational-unit").unwrap_err();
    assert!(matches!(named, ModelError::ClassName(_)), "{named}");
    // Accounts and groups alone are made.
    let create = wire::Create {
        object_class: wire::ObjectClass::Other.into(),
        name: "staff".to_owned(),
        ..wire::Create::default()
    };
    let create = call(wire::call::Verb::Create(create));
    assert!(parse_call(create, &[UNITS]).is_err());
}

#[test]
fn no_object_gets_a_name_of_blanks_alone() {
    let create = wire::Create {
        object_class: wire::ObjectClass::Account.into(),
        name: " \u{a0} ".to_owned(),
        ..wire::Create::default()
    };
    let rename = wire::Rename {
        object: account("ada"),
        new_name: " ".to_owned(),
    };
    for verb in [
        wire::call::Verb::Create(create),
        wire::call::Verb::Rename(rename),
    ] {
        assert_eq!(error(call(verb)), "the new name holds nothing but blanks");
    }
}

#[test]
fn an_attribute_given_twice_is_refused() {
    let attribute = wire::Attribute {
        name: "shell".into(),
        values: vec![text("/bin/sh")],
    };
    let create = wire::Create {
        object_class: wire::ObjectClass::Account.into(),
        name: "ada".into(),
        attributes: vec![attribute.clone(), attribute],
        ..wire::Create::default()
    };
    assert_eq!(
        error(call(wire::call::Verb::Create(create))),
        "attribute `shell` is given twice; give all its values at once"
    );
}

#[test]
fn a_filter_can_neither_be_deep_nor_large() {
    let leaf = wire::Filter {
        kind: Some(wire::filter::Kind::Comparison(wire::Comparison {
            operation: wire::ComparisonOperation::Equals.into(),
            attribute: "__name__".into(),
            value: Some(text("ada")),
        })),
    };
    let search = |filter| {
        call(wire::call::Verb::Search(wire::Search {
            object_class: wire::ObjectClass::Account.into(),
            filter: Some(filter),
            ..wire::Search::default()
        }))
    };
    let mut deep = leaf.clone();
    for _ in 0..MAX_FILTER_DEPTH {
        deep = wire::Filter {
            kind: Some(wire::filter::Kind::Negation(Box::new(deep))),
        };
    }
    assert_eq!(
        error(search(deep)),
        "the filter is nested deeper than 16 levels"
    );
    let wide = wire::Filter {
        kind: Some(wire::filter::Kind::All(wire::FilterList {
            filters: vec![leaf.clone(); MAX_FILTER_NODES],
        })),
    };
    assert!(error(search(wide)).contains("at most 256"));
    assert!(parse_call(search(leaf), &[]).is_ok());
}

#[test]
fn a_secret_cannot_be_searched_for() {
    let filter = wire::Filter {
        kind: Some(wire::filter::Kind::Comparison(wire::Comparison {
            operation: wire::ComparisonOperation::Equals.into(),
            attribute: "password".into(),
            value: Some(wire::Value {
                kind: Some(wire::value::Kind::Secret(wire::Secret::plain(
                    b"hunter2".to_vec(),
                ))),
            }),
        })),
    };
    let message = error(call(wire::call::Verb::Search(wire::Search {
        object_class: wire::ObjectClass::Account.into(),
        filter: Some(filter),
        ..wire::Search::default()
    })));
    assert!(message.contains("cannot be searched for"), "{message}");
    assert!(!message.contains("hunter2"));
}

#[test]
fn values_that_no_resource_could_keep_are_refused() {
    let update = |value| {
        call(wire::call::Verb::Update(wire::Update {
            object: account("ada"),
            modifications: vec![wire::Modification {
                operation: wire::ModificationOperation::Replace.into(),
                name: "x".into(),
                values: vec![value],
            }],
        }))
    };
    for (kind, expected) in [
        (wire::value::Kind::Text("a\0b".into()), "NUL"),
        (wire::value::Kind::Real(f64::NAN), "finite"),
        (wire::value::Kind::Time("tomorrow".into()), "2030-12-31"),
        (wire::value::Kind::Text("x".repeat(1_100_000)), "1 MiB"),
    ] {
        let message = error(update(wire::Value { kind: Some(kind) }));
        assert!(message.contains(expected), "{message}");
    }
    assert!(error(update(wire::Value { kind: None })).contains("has no type"));
}
