//! The guard rails on attributes that they know by their roles alone, as a directory would name
//! them.

use super::effects::Effects;
use super::{check_filter, check_sealed, conceal};
use crate::model::{
    Attribute, AttributeName, AttributeRole, Comparison, Cookie, Create, Filter, FilterOperation,
    Identity, Modification, Object, ObjectClass, ObjectId, ObjectName, ObjectRef, Operation,
    Password, Request, Role, Roles, Search, Selector, Update, Value,
};

const ROLES: &[AttributeRole] = &[
    AttributeRole::new(ObjectClass::Account, "memberOf", Role::NamesGroups),
    AttributeRole::new(ObjectClass::Account, "uidNumber", Role::NumericId),
    AttributeRole::new(ObjectClass::Account, "userPassword", Role::Secret),
    AttributeRole::new(ObjectClass::Group, "member", Role::NamesAccounts),
    AttributeRole::new(ObjectClass::Group, "member", Role::NamesGroups),
];

fn attribute(name: &str, values: Vec<Value>) -> Attribute {
    let name = AttributeName::new(name).unwrap();
    Attribute { name, values }
}

fn text(text: &str) -> Vec<Value> {
    vec![Value::Text(text.to_owned())]
}

fn object(class: ObjectClass, name: &str, attributes: Vec<Attribute>) -> Object {
    Object {
        identity: Identity {
            class,
            id: ObjectId::new("f81d4fae").unwrap(),
            name: ObjectName::new(name).unwrap(),
        },
        enabled: None,
        attributes,
    }
}

fn create(class: ObjectClass, name: &str, attributes: Vec<Attribute>) -> Request {
    Request::Create(Create {
        class,
        name: ObjectName::new(name).unwrap(),
        attributes,
        password: None,
        enabled: true,
    })
}

#[test]
fn memberships_and_ids_are_seen_whatever_their_attributes_are_called() {
    let given = vec![
        attribute("MEMBEROF", text("admins")),
        attribute("uidNumber", vec![Value::Integer(0)]),
        attribute("groups", text("no role here")),
    ];
    let request = create(ObjectClass::Account, "eve", given);
    let effects = Effects::of(&request, None, Roles::new(ROLES));
    assert_eq!(effects.groups, ["admins".to_owned()].into());
    assert_eq!(effects.account_ids, [0].into());
    assert!(effects.accounts.is_empty());
    let unseen = Effects {
        new_name: effects.new_name,
        ..Effects::default()
    };
    assert_eq!(Effects::of(&request, None, Roles::NONE), unseen);
}

#[test]
fn a_group_may_take_in_groups_and_changes_itself_by_that() {
    let present = attribute("member", text("ada"));
    let group = object(ObjectClass::Group, "devs", vec![present]);
    let request = Request::Update(Update {
        object: ObjectRef {
            class: ObjectClass::Group,
            by: Selector::Name(group.identity.name.clone()),
        },
        modifications: vec![Modification {
            operation: Operation::Replace,
            name: AttributeName::new("member").unwrap(),
            values: [text("ada"), text("admins")].concat(),
        }],
    });
    let effects = Effects::of(&request, Some(&group), Roles::new(ROLES));
    assert_eq!(effects.accounts, ["admins".to_owned()].into());
    assert_eq!(
        effects.groups,
        ["admins".to_owned(), "devs".to_owned()].into()
    );
    assert!(!effects.changes_unknown);
    assert!(Effects::of(&request, None, Roles::new(ROLES)).changes_unknown);
}

#[test]
fn an_id_that_others_may_read_as_another_number_is_not_taken_for_one() {
    let taken = |value| {
        let given = vec![attribute("uidNumber", vec![value])];
        let request = create(ObjectClass::Account, "eve", given);
        Effects::of(&request, None, Roles::new(ROLES))
    };
    let written = |text: &str| taken(Value::Text(text.to_owned()));
    for effects in [taken(Value::Integer(70_000)), written("70000")] {
        assert_eq!(effects.account_ids, [70_000].into());
        assert!(!effects.takes_unclear_id);
    }
    for text in [
        " 0",
        "0 ",
        "+0",
        "00",
        "0x0",
        "-1",
        "\u{660}",
        "4294967296",
        "",
    ] {
        assert!(written(text).takes_unclear_id, "{text:?}");
    }
    for number in [-1, 1 << 32, i64::MIN] {
        assert!(taken(Value::Integer(number)).takes_unclear_id, "{number}");
    }
    assert!(taken(Value::Real(0.0)).takes_unclear_id);
}

#[test]
fn what_a_replace_takes_away_is_seen_whatever_the_case_of_its_attribute() {
    let present = attribute("memberOf", [text("admins"), text("staff")].concat());
    let account = object(ObjectClass::Account, "ada", vec![present]);
    for name in ["memberOf", "memberof", "MEMBEROF"] {
        let request = Request::Update(Update {
            object: ObjectRef {
                class: ObjectClass::Account,
                by: Selector::Name(account.identity.name.clone()),
            },
            modifications: vec![Modification {
                operation: Operation::Replace,
                name: AttributeName::new(name).unwrap(),
                values: text("staff"),
            }],
        });
        let effects = Effects::of(&request, Some(&account), Roles::new(ROLES));
        assert_eq!(effects.groups, ["admins".to_owned()].into(), "{name}");
    }
}

#[test]
fn a_secret_comes_in_sealed_and_never_goes_out() {
    let roles = Roles::new(ROLES);
    let given = |values| {
        let attribute = attribute("userPassword", values);
        check_sealed(&create(ObjectClass::Account, "ada", vec![attribute]), roles)
    };
    let message = given(text("hunter2")).unwrap_err().message;
    assert!(
        message.contains("`userPassword` holds a secret"),
        "{message}"
    );
    assert!(!message.contains("hunter2"));
    let sealed = Password::new(b"hunter2".to_vec()).unwrap();
    assert!(given(vec![Value::Secret(sealed)]).is_ok());

    let search = |name| Search {
        class: ObjectClass::Account,
        filter: Some(Filter::Not(Box::new(Filter::Comparison(Comparison {
            operation: FilterOperation::Equals,
            attribute: AttributeName::new(name).unwrap(),
            value: Some(Value::Text("hunter2".to_owned())),
        })))),
        attributes: Vec::new(),
        page_size: None,
        cookie: Cookie::default(),
    };
    assert!(check_filter(&search("USERPASSWORD"), roles).is_err());
    assert!(check_filter(&search("mail"), roles).is_ok());

    let attributes = vec![
        attribute("userPassword", text("{SSHA}…")),
        attribute("mail", text("ada@example.com")),
    ];
    let mut account = object(ObjectClass::Account, "ada", attributes);
    conceal(&mut account, roles);
    let left = account.attributes.iter().map(|left| left.name.as_str());
    assert_eq!(left.collect::<Vec<_>>(), ["mail"]);
}
