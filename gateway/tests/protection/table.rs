//! Every way to reach a protected object, with the verdict on each. Objects and ways are the same
//! on every resource; what its attributes are called is not.

use portcullis_proto::gateway::v1 as wire;
use wire::ModificationOperation::{Add, Remove, Replace};
use wire::call::Verb;

/// What a resource calls its attributes.
#[derive(Clone, Copy)]
pub(crate) struct Attributes {
    pub(crate) groups: &'static str,
    pub(crate) primary_group: &'static str,
    pub(crate) members: &'static str,
    pub(crate) uid: &'static str,
    /// A group's own id.
    pub(crate) gid: &'static str,
    pub(crate) free_text: &'static str,
}

/// An account: name, uid, number of the primary group.
pub(crate) type Account = (&'static str, u32, u32);
/// A group: name, gid, members.
pub(crate) type Group = (&'static str, u32, &'static [&'static str]);

pub(crate) const ACCOUNTS: &[Account] = &[
    ("root", 0, 0),
    // In `sudo`; `alice` is her own group, and `mirror` is another name of it.
    ("alice", 1000, 1000),
    // Acts as alice.
    ("double", 1000, 1012),
    ("bob", 1001, 1001),
    ("erin", 1004, 27),
    ("finn", 1005, 77),
    ("gina", 1006, 1006),
    ("ivan", 1008, 1008),
    ("jane", 1009, 1009),
    ("kate", 1010, 2000),
    ("liam", 1011, 1011),
    ("svc-backup", 1020, 1020),
];

pub(crate) const GROUPS: &[Group] = &[
    ("root", 0, &[]),
    ("sudo", 27, &["alice", "kate"]),
    ("helpers", 27, &["ivan"]),
    ("video", 44, &["gina"]),
    ("postgres", 115, &["bob"]),
    ("alice", 1000, &[]),
    ("mirror", 1000, &[]),
    ("bob", 1001, &[]),
    ("gina", 1006, &[]),
    ("ivan", 1008, &[]),
    ("jane", 1009, &[]),
    ("liam", 1011, &[]),
    ("double", 1012, &[]),
    ("svc-backup", 1020, &[]),
    ("team", 2000, &[]),
    ("devs", 3000, &["jane"]),
    ("mixed", 3001, &["alice", "jane"]),
    ("low-mixed", 3002, &["bob", "jane"]),
    ("empty", 3003, &[]),
];

/// Accounts that are protected, each for another reason.
const PROTECTED: [&str; 9] = [
    "root",       // its id
    "alice",      // a protected group
    "double",     // the id of a protected account
    "bob",        // a group with a protected id
    "erin",       // a primary group that is protected
    "finn",       // the protected id of a primary group that no group has
    "ivan",       // a group that is another one's second name
    "kate",       // a protected group
    "svc-backup", // its name
];

/// Accounts that are not: one of them is in a harmless group.
const OPEN: [&str; 2] = ["gina", "jane"];

/// Groups whose membership is closed: by name, by id, as second names, as own groups of protected
/// accounts by name and by number.
const CLOSED: [&str; 8] = [
    "sudo",
    "helpers",
    "postgres",
    "alice",
    "mirror",
    "bob",
    "team",
    "svc-backup",
];

/// One way, and whether it has to be refused.
pub(crate) struct Row {
    pub(crate) way: String,
    pub(crate) verb: Verb,
    pub(crate) refused: bool,
}

pub(crate) fn rows(attributes: Attributes) -> Vec<Row> {
    let mut table = Table {
        attributes,
        rows: Vec::new(),
    };
    table.accounts();
    table.memberships();
    table.groups();
    table.names();
    table.ids();
    table.rows
}

struct Table {
    attributes: Attributes,
    rows: Vec<Row>,
}

impl Table {
    fn row(&mut self, way: impl Into<String>, refused: bool, verb: Verb) {
        let way = way.into();
        self.rows.push(Row { way, verb, refused });
    }

    /// Every verb on every account, by its name and by its id.
    fn accounts(&mut self) {
        let free_text = self.attributes.free_text;
        for (name, uid, _) in ACCOUNTS {
            if *name == "liam" {
                continue;
            }
            let refused = PROTECTED.contains(name);
            assert!(refused != OPEN.contains(name), "{name} is in one list");
            // An id that two accounts have names neither.
            let twice = *uid == 1000;
            for by in [Some(By::Name(name)), (!twice).then_some(By::Id(*uid))] {
                let Some(by) = by else { continue };
                let object = || account(by);
                for (verb, call) in [
                    ("set-password", set_password(object())),
                    ("authenticate", authenticate(object())),
                    ("update", update(object(), Replace, free_text, &["x"])),
                    ("rename", rename(object(), "renamed")),
                    ("enable", Verb::Enable(wire::Enable { object: object() })),
                    ("disable", Verb::Disable(wire::Disable { object: object() })),
                    ("delete", delete(object())),
                ] {
                    self.row(format!("{verb} {name} by {by:?}"), refused, call);
                }
            }
        }
    }

    /// Every membership, from both of its ends.
    fn memberships(&mut self) {
        let Attributes {
            groups,
            primary_group,
            members,
            ..
        } = self.attributes;
        for operation in [Add, Remove, Replace] {
            let way = |what: &str| format!("{} {what}", operation.as_str_name());
            for name in PROTECTED {
                let call = update(group("empty"), operation, members, &["liam", name]);
                // What is not there is taken away all the same: nobody looks first.
                self.row(way(&format!("{name} in members of empty")), true, call);
                let call = update(account(By::Name(name)), operation, groups, &["empty"]);
                self.row(way(&format!("empty in groups of {name}")), true, call);
            }
            for name in OPEN {
                let call = update(group("empty"), operation, members, &[name]);
                self.row(way(&format!("{name} in members of empty")), false, call);
            }
            for name in CLOSED {
                let call = update(
                    account(By::Name("jane")),
                    operation,
                    groups,
                    &["devs", name],
                );
                self.row(way(&format!("{name} in groups of jane")), true, call);
                let call = update(group(name), operation, members, &["jane"]);
                self.row(way(&format!("jane in members of {name}")), true, call);
            }
            for name in ["devs", "empty", "liam"] {
                let call = update(account(By::Name("jane")), operation, groups, &[name]);
                self.row(way(&format!("{name} in groups of jane")), false, call);
            }
        }
        let cleared = update(group("mixed"), Replace, members, &["jane"]);
        self.row("replace leaves out alice", true, cleared);
        let cleared = update(group("mixed"), Replace, members, &[]);
        self.row("replace leaves out everybody", true, cleared);
        let kept = update(group("mixed"), Replace, members, &["jane", "alice", "liam"]);
        self.row("replace keeps alice", false, kept);
        for name in CLOSED {
            let to = update(account(By::Name("jane")), Replace, primary_group, &[name]);
            self.row(format!("primary group {name} of jane"), true, to);
            for attribute in [groups, primary_group] {
                let call = create(CLASS_ACCOUNT, "eve", &[(attribute, text(name))]);
                self.row(format!("create with {attribute} {name}"), true, call);
            }
        }
        let to = update(account(By::Name("jane")), Replace, primary_group, &["liam"]);
        self.row("primary group liam of jane", false, to);
        for name in PROTECTED {
            let call = create(CLASS_GROUP, "new", &[(members, text(name))]);
            self.row(format!("create a group with {name}"), true, call);
        }
    }

    /// Groups that are changed, renamed and deleted.
    fn groups(&mut self) {
        let members = self.attributes.members;
        for name in CLOSED {
            let gid = GROUPS.iter().find(|found| found.0 == name).unwrap().1;
            let twice = [27, 1000].contains(&gid);
            for by in [Some(By::Name(name)), (!twice).then_some(By::Id(gid))] {
                let Some(by) = by else { continue };
                let object = || reference(CLASS_GROUP, by);
                self.row(
                    format!("rename group {by:?}"),
                    true,
                    rename(object(), "renamed"),
                );
                self.row(format!("delete group {by:?}"), true, delete(object()));
                let call = update(object(), Add, members, &["liam"]);
                self.row(format!("update group {by:?}"), true, call);
            }
        }
        for name in ["mixed", "low-mixed"] {
            let way = format!("rename group {name}, with a protected account in it");
            self.row(way, true, rename(group(name), "renamed"));
            let way = format!("delete group {name}, with a protected account in it");
            self.row(way, true, delete(group(name)));
        }
        for name in ["devs", "empty"] {
            let way = format!("rename group {name}");
            self.row(way, false, rename(group(name), "renamed"));
            self.row(format!("delete group {name}"), false, delete(group(name)));
        }
    }

    /// Names that are those of protected objects of the other class.
    fn names(&mut self) {
        for (class, name, refused) in [
            // Accounts that have no group of their name.
            (CLASS_GROUP, "kate", true),
            (CLASS_GROUP, "erin", true),
            (CLASS_GROUP, "svc-new", true),
            (CLASS_GROUP, "sudo", true),
            // Groups that have no account of their name.
            (CLASS_ACCOUNT, "team", true),
            (CLASS_ACCOUNT, "postgres", true),
            (CLASS_ACCOUNT, "helpers", true),
            (CLASS_ACCOUNT, "mirror", true),
            (CLASS_ACCOUNT, "sudo", true),
            (CLASS_ACCOUNT, "SVC-new", true),
            (CLASS_ACCOUNT, "fresh", false),
            (CLASS_GROUP, "fresh", false),
        ] {
            let call = create(class, name, &[]);
            self.row(format!("create {class:?} {name}"), refused, call);
            let object = match class {
                CLASS_ACCOUNT => account(By::Name("jane")),
                _ => group("devs"),
            };
            let call = rename(object, name);
            self.row(format!("rename {class:?} to {name}"), refused, call);
        }
    }

    /// Ids that are asked for.
    fn ids(&mut self) {
        let Attributes { uid, gid, .. } = self.attributes;
        for (id, refused) in [
            (0, true),
            (999, true),
            (1500, false),
            (60_000, false),
            (60_001, true),
            (100_000, true),
            (4_000_000, true),
            // Given away: see the resource.
            (1700, true),
            (1799, true),
            (1800, false),
        ] {
            for (class, attribute) in [(CLASS_ACCOUNT, uid), (CLASS_GROUP, gid)] {
                let call = create(class, "fresh", &[(attribute, integer(id))]);
                self.row(format!("create with {attribute} {id}"), refused, call);
            }
        }
    }
}

pub(crate) const CLASS_ACCOUNT: wire::ObjectClass = wire::ObjectClass::Account;
pub(crate) const CLASS_GROUP: wire::ObjectClass = wire::ObjectClass::Group;

#[derive(Clone, Copy, Debug)]
pub(crate) enum By {
    Name(&'static str),
    Id(u32),
}

fn reference(class: wire::ObjectClass, by: By) -> Option<wire::ObjectRef> {
    let by = match by {
        By::Name(name) => wire::object_ref::By::Name(name.to_owned()),
        By::Id(id) => wire::object_ref::By::Id(id.to_string()),
    };
    Some(wire::ObjectRef {
        object_class: class.into(),
        by: Some(by),
        ..wire::ObjectRef::default()
    })
}

pub(crate) fn account(by: By) -> Option<wire::ObjectRef> {
    reference(CLASS_ACCOUNT, by)
}

pub(crate) fn group(name: &'static str) -> Option<wire::ObjectRef> {
    reference(CLASS_GROUP, By::Name(name))
}

fn text(text: &str) -> wire::Value {
    wire::Value {
        kind: Some(wire::value::Kind::Text(text.to_owned())),
    }
}

fn integer(number: i64) -> wire::Value {
    wire::Value {
        kind: Some(wire::value::Kind::Integer(number)),
    }
}

fn secret() -> Option<wire::Secret> {
    Some(wire::Secret::plain(b"owned".to_vec()))
}

pub(crate) fn update(
    object: Option<wire::ObjectRef>,
    operation: wire::ModificationOperation,
    name: &str,
    values: &[&str],
) -> Verb {
    Verb::Update(wire::Update {
        object,
        modifications: vec![wire::Modification {
            operation: operation.into(),
            name: name.to_owned(),
            values: values.iter().map(|value| text(value)).collect(),
        }],
    })
}

fn create(class: wire::ObjectClass, name: &str, attributes: &[(&str, wire::Value)]) -> Verb {
    let attributes = attributes.iter().map(|(name, value)| wire::Attribute {
        name: (*name).to_owned(),
        values: vec![value.clone()],
    });
    Verb::Create(wire::Create {
        object_class: class.into(),
        name: name.to_owned(),
        attributes: attributes.collect(),
        ..wire::Create::default()
    })
}

pub(crate) fn rename(object: Option<wire::ObjectRef>, new_name: &str) -> Verb {
    Verb::Rename(wire::Rename {
        object,
        new_name: new_name.to_owned(),
    })
}

pub(crate) fn delete(object: Option<wire::ObjectRef>) -> Verb {
    Verb::Delete(wire::Delete { object })
}

pub(crate) fn set_password(object: Option<wire::ObjectRef>) -> Verb {
    Verb::SetPassword(wire::SetPassword {
        object,
        password: secret(),
    })
}

fn authenticate(object: Option<wire::ObjectRef>) -> Verb {
    Verb::Authenticate(wire::Authenticate {
        object,
        password: secret(),
        tells_unknown: false,
    })
}
