//! What becomes of calls and answers on their way through a mapping.

use portcullis_proto::gateway::v1::call::Verb;
use portcullis_proto::gateway::v1::done::Detail;
use portcullis_proto::gateway::v1::outcome::Result as OutcomeResult;
use portcullis_proto::gateway::v1::value::Kind as ValueKind;
use portcullis_proto::gateway::v1::{
    Attribute, AttributeSchema, Call, ClassSchema, Comparison, Create, Done, Filter, FilterList,
    Modification, ModificationOperation, Object, ObjectRef, Outcome, Schema, Search, Update, Value,
    filter,
};

use super::*;

const ACCOUNT: i32 = ObjectClass::Account as i32;

fn mapping(rules: &[(&str, &str)]) -> Result<Mapping, MappingError> {
    let rules = rules
        .iter()
        .map(|(target, text)| ((*target).to_owned(), (*text).to_owned()));
    Mapping::parse(&rules.collect())
}

/// That of a directory.
fn directory() -> Mapping {
    mapping(&[
        (
            "account.name",
            "{given_name|first:1|lower}{family_name|lower}",
        ),
        ("account.givenName", "{given_name}"),
        ("account.sn", "{family_name}"),
        ("account.cn", "{given_name} {family_name}"),
        ("account.mail", "{email}"),
        ("account.loginShell", "/bin/bash"),
    ])
    .unwrap()
}

fn text(text: &str) -> Value {
    Value {
        kind: Some(ValueKind::Text(text.to_owned())),
    }
}

fn attributes(given: &[(&str, &[&str])]) -> Vec<Attribute> {
    given
        .iter()
        .map(|(name, values)| Attribute {
            name: (*name).to_owned(),
            values: values.iter().map(|value| text(value)).collect(),
        })
        .collect()
}

fn create(name: &str, given: &[(&str, &[&str])]) -> Call {
    Call {
        verb: Some(Verb::Create(Create {
            object_class: ACCOUNT,
            name: name.to_owned(),
            attributes: attributes(given),
            ..Create::default()
        })),
        ..Call::default()
    }
}

fn update(class: ObjectClass, given: &[(ModificationOperation, &str, &str)]) -> Call {
    let change = |(operation, name, value): &(ModificationOperation, &str, &str)| Modification {
        operation: (*operation).into(),
        name: (*name).to_owned(),
        values: vec![text(value)],
    };
    Call {
        verb: Some(Verb::Update(Update {
            object: Some(ObjectRef {
                object_class: class.into(),
                ..ObjectRef::default()
            }),
            modifications: given.iter().map(change).collect(),
        })),
        ..Call::default()
    }
}

/// What a call gives, sorted: `name=value value`.
fn given(call: &Call) -> Vec<String> {
    let show = |name: &str, values: &[Value]| {
        let values = values.iter().map(|value| match &value.kind {
            Some(ValueKind::Text(text)) => text.clone(),
            other => format!("{other:?}"),
        });
        format!("{name}={}", values.collect::<Vec<_>>().join(" "))
    };
    let mut out: Vec<_> = match call.verb.as_ref().unwrap() {
        Verb::Create(create) => {
            let all = create.attributes.iter();
            all.map(|it| show(&it.name, &it.values)).collect()
        }
        Verb::Update(update) => {
            let all = update.modifications.iter();
            all.map(|it| show(&it.name, &it.values)).collect()
        }
        other => panic!("{other:?}"),
    };
    out.sort();
    out
}

#[test]
fn an_account_form_becomes_what_the_resource_takes() {
    let mut call = create(
        "-",
        &[
            ("given_name", &["Ada"]),
            ("family_name", &["Lovelace"]),
            ("email", &["ada@example.com", "al@example.com"]),
            ("title", &["Countess"]),
        ],
    );
    directory().ask(&mut call).unwrap();
    assert_eq!(
        given(&call),
        [
            "cn=Ada Lovelace",
            "givenName=Ada",
            "loginShell=/bin/bash",
            "mail=ada@example.com al@example.com",
            "sn=Lovelace",
            "title=Countess",
        ]
    );
    let Some(Verb::Create(create)) = call.verb else {
        panic!("no create");
    };
    assert_eq!(create.name, "alovelace");
}

#[test]
fn what_a_call_lacks_or_has_twice_is_said() {
    let none = create("ada", &[]);
    let two: &[&str] = &["Ada", "Augusta"];
    let twice = create("ada", &[("given_name", two), ("family_name", &["L"])]);
    let both = create(
        "ada",
        &[
            ("given_name", &["A"]),
            ("family_name", &["L"]),
            ("cn", &["A L"]),
        ],
    );
    for (mut call, expected) in [
        (
            none,
            "`cn` is made of `given_name`, which the call lacks: give it",
        ),
        (
            twice,
            "`cn` is made of `given_name`, which has to have one value",
        ),
        (
            both,
            "`cn` is made by a rule, and given by the call as well",
        ),
    ] {
        let error = directory().ask(&mut call).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
}

#[test]
fn an_update_renames_and_makes_anew_what_it_has_all_parts_of() {
    use ModificationOperation::{Add, Replace};
    let account = |changes: &[(ModificationOperation, &str, &str)]| {
        let mut call = update(ObjectClass::Account, changes);
        directory().ask(&mut call).map(|()| given(&call))
    };
    assert_eq!(
        account(&[(Add, "email", "a@b.c"), (Replace, "title", "x")]).unwrap(),
        ["mail=a@b.c", "title=x"]
    );
    assert_eq!(
        account(&[(Replace, "given_name", "A"), (Replace, "family_name", "K")]).unwrap(),
        ["cn=A K", "givenName=A", "sn=K"]
    );
    // One part alone has a place of its own; the name of an account does not change with it.
    assert_eq!(account(&[(Replace, "family_name", "K")]).unwrap(), ["sn=K"]);
    let unix = mapping(&[("account.full_name", "{given_name} {family_name}")]).unwrap();
    let mut call = update(ObjectClass::Account, &[(Replace, "family_name", "K")]);
    let error = unix.ask(&mut call).unwrap_err().to_string();
    assert!(error.contains("give all of them"), "{error}");
    // What one rule makes of a part does not hide that another lacks a part.
    let two = mapping(&[
        ("account.full_name", "{given_name} {family_name}"),
        ("account.nick", "{given_name|lower}"),
    ])
    .unwrap();
    let both: &[_] = &[(Replace, "given_name", "A"), (Replace, "family_name", "K")];
    let mut call = update(ObjectClass::Account, both);
    two.ask(&mut call).unwrap();
    assert_eq!(given(&call), ["full_name=A K", "nick=a"]);
    let added: &[_] = &[both[0], both[1], (Add, "family_name", "L")];
    for lacks in [&both[..1], added] {
        let mut call = update(ObjectClass::Account, lacks);
        let error = two.ask(&mut call).unwrap_err().to_string();
        assert!(error.starts_with("`full_name` is made of"), "{error}");
    }
    // Groups have rules of their own.
    let mut call = update(ObjectClass::Group, &[(Replace, "email", "K")]);
    directory().ask(&mut call).unwrap();
    assert_eq!(given(&call), ["email=K"]);
}

#[test]
fn searches_ask_by_the_names_of_the_resource() {
    let condition = |attribute: &str| Filter {
        kind: Some(filter::Kind::Comparison(Comparison {
            attribute: attribute.to_owned(),
            ..Comparison::default()
        })),
    };
    let search = |attribute: &str| Call {
        verb: Some(Verb::Search(Search {
            object_class: ACCOUNT,
            attribute_names: vec!["email".to_owned(), "title".to_owned()],
            digest_key: vec![7; 32],
            filter: Some(Filter {
                kind: Some(filter::Kind::Negation(Box::new(Filter {
                    kind: Some(filter::Kind::Any(FilterList {
                        filters: vec![condition("__name__"), condition(attribute)],
                    })),
                }))),
            }),
            ..Search::default()
        })),
        ..Call::default()
    };
    let mut call = search("family_name");
    directory().ask(&mut call).unwrap();
    let shown = format!("{call:?}");
    assert!(
        shown.contains("\"sn\"") && !shown.contains("family_name"),
        "{shown}"
    );
    assert!(shown.contains("[\"mail\", \"title\"]"), "{shown}");
    assert!(shown.contains("digest_key: []"), "{shown}");
    let unix = mapping(&[("account.full_name", "{given_name} {family_name}")]).unwrap();
    assert!(matches!(
        unix.ask(&mut search("given_name")),
        Err(MappingError::NotSearched(_))
    ));
}

#[test]
fn answers_have_the_names_of_the_caller() {
    let done = |detail| Outcome {
        result: Some(OutcomeResult::Done(Done {
            detail: Some(detail),
        })),
        ..Outcome::default()
    };
    let object = Object {
        object_class: ACCOUNT,
        attributes: attributes(&[("mail", &["a@b.c"]), ("cn", &["Ada L"]), ("sn", &["L"])]),
        ..Object::default()
    };
    let mut outcome = done(Detail::Object(object));
    directory().answer(&mut outcome);
    let Some(OutcomeResult::Done(Done {
        detail: Some(Detail::Object(object)),
    })) = outcome.result
    else {
        panic!("no object");
    };
    let names = |object: &Object| -> Vec<String> {
        let names = object.attributes.iter().map(|it| it.name.clone());
        names.collect()
    };
    assert_eq!(names(&object), ["email", "cn", "family_name"]);
    let swapped = mapping(&[("account.a", "{b}"), ("account.b", "{a}")]).unwrap();
    let mut object = Object {
        object_class: ACCOUNT,
        attributes: attributes(&[("a", &["1"]), ("b", &["2"]), ("c", &["3"])]),
        ..Object::default()
    };
    swapped.object(&mut object);
    assert_eq!(names(&object), ["b", "a", "c"]);

    let attribute = |name: &str| AttributeSchema {
        name: name.to_owned(),
        required: true,
        creatable: true,
        ..AttributeSchema::default()
    };
    let schema = Schema {
        classes: vec![ClassSchema {
            object_class: ACCOUNT,
            attributes: ["cn", "sn", "loginShell", "title"].map(attribute).into(),
            ..ClassSchema::default()
        }],
        ..Schema::default()
    };
    let mut outcome = done(Detail::Schema(schema));
    directory().answer(&mut outcome);
    let Some(OutcomeResult::Done(Done {
        detail: Some(Detail::Schema(schema)),
    })) = outcome.result
    else {
        panic!("no schema");
    };
    let shown = schema.classes[0].attributes.iter();
    let shown: Vec<_> = shown
        .map(|it| (it.name.as_str(), it.creatable, it.required))
        .collect();
    assert_eq!(
        shown,
        [
            ("cn", false, false),
            ("family_name", true, true),
            ("loginShell", false, false),
            ("title", true, true),
            ("given_name", true, true),
        ]
    );
}

#[test]
fn a_rule_that_cannot_be_is_refused() {
    for (target, template, expected) in [
        ("mail", "{email}", "give account.NAME"),
        ("user.mail", "{email}", "give account.NAME"),
        ("account.my mail", "{email}", "give account.NAME"),
        ("account.mail", "{email", "without its other one"),
        (
            "account.dn",
            "uid={name},ou=people",
            "write each value in it as {NAME|dn}",
        ),
    ] {
        let error = mapping(&[(target, template)]).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    let dn = mapping(&[("account.dn", "uid={name|dn},ou={unit|lower|dn}")]).unwrap();
    let mut call = create("a,b", &[("unit", &["X+Y"])]);
    dn.ask(&mut call).unwrap();
    assert_eq!(given(&call), ["dn=uid=a\\,b,ou=x\\+y"]);
}
