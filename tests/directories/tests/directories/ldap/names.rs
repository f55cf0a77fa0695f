//! Names that change, and what hangs on them.

use portcullis_directories::Slapd;
use portcullis_gateway::model::{
    AttributeName, Modification, Object, ObjectClass, ObjectName, ObjectRef, Operation, Touched,
    Update,
};

use super::{Subject, context, create, group, named, text};

/// The directory of the tests keeps `member` right by itself, and this not.
const UNIQUE: &str =
    "groups.members = \"uniqueMember\"\ngroups.object_classes = [\"groupOfUniqueNames\"]";

impl Subject {
    async fn rename(&self, object: ObjectRef, name: &str) -> Object {
        let name = ObjectName::new(name).unwrap();
        let renamed = self.connector.rename(&context(), object, name).await;
        renamed.unwrap()
    }
}

#[tokio::test]
#[ignore = "needs slapd: tests/run directories"]
async fn whoever_is_renamed_stays_in_the_groups_and_whoever_is_gone_leaves_them() {
    for (members, more) in [("member", ""), ("uniqueMember", UNIQUE)] {
        let subject = Subject::of(Slapd::start().await, more);
        subject.account("ada").await;
        for (name, member) in [("devs", "ada"), ("inner", "ada")] {
            let made = create(ObjectClass::Group, name, &[(members, text(member))]);
            subject.create(made).await.unwrap();
        }
        subject.slapd.tools().apply(&format!(
            "dn: cn=devs,ou=groups,dc=example,dc=org\nchangetype: modify\nadd: {members}\n{members}: cn=inner,ou=groups,dc=example,dc=org\n"
        ));
        subject
            .rename(named(ObjectClass::Account, "ada"), "eva")
            .await;
        subject.rename(group("inner"), "core").await;
        let of_devs = || async {
            let devs = subject.get(group("devs")).await.unwrap();
            let mut values = devs.values(members).to_vec();
            values.sort_by_key(|value| value.as_text().map(str::to_owned));
            values
        };
        let core = text("cn=core,ou=groups,dc=example,dc=org");
        assert_eq!(of_devs().await, [core.clone(), text("eva")], "{members}");
        for (object, left) in [
            (named(ObjectClass::Account, "eva"), vec![core]),
            (group("core"), vec![]),
        ] {
            let told = subject.connector.delete(&context(), object).await;
            assert_eq!(told.unwrap(), None, "{members}");
            assert_eq!(of_devs().await, left, "{members}");
        }
    }
}

#[tokio::test]
#[ignore = "needs slapd: tests/run directories"]
async fn whoever_gets_a_name_stands_as_the_groups_have_it_that_kept_it() {
    let subject = Subject::start().await;
    subject.slapd.tools().apply(
        "dn: cn=admins,ou=groups,dc=example,dc=org\nobjectClass: groupOfNames\ncn: admins\nmember: uid=ghost,ou=people,dc=example,dc=org\nmember: cn=lost,ou=groups,dc=example,dc=org\n",
    );
    let account = ObjectClass::Account;
    for (class, name, is_in) in [
        (account, "ghost", true),
        (ObjectClass::Group, "lost", true),
        (account, "lost", false),
        (ObjectClass::Group, "ghost", false),
    ] {
        let touched = Touched {
            new_name: Some((class, ObjectName::new(name).unwrap())),
            by_group: true,
            ..Touched::default()
        };
        let standings = subject.connector.standings(&context(), &touched).await;
        let standings = standings.unwrap();
        let coming = standings.accounts.iter().find(|account| account.touched);
        let groups = coming.map(|coming| {
            let groups = coming.groups.iter();
            let name = |place: &usize| standings.groups[*place].name.clone().unwrap();
            groups.map(name).collect::<Vec<_>>()
        });
        let expected = is_in.then(|| vec!["admins".to_owned()]);
        assert_eq!(groups, expected, "{class} {name}");
    }
}

#[tokio::test]
#[ignore = "needs slapd: tests/run directories"]
async fn an_entry_keeps_what_else_names_it_and_values_go_by_their_own_rules() {
    let subject = Subject::start().await;
    subject.slapd.tools().apply(
        "dn: cn=Ada L+uid=ada,ou=people,dc=example,dc=org\nobjectClass: inetOrgPerson\nuid: ada\ncn: Ada L\nsn: L\nmail: Ada@x.org\ntelephoneNumber: +49 30-1\n\ndn: cn=Bob,ou=people,dc=example,dc=org\nobjectClass: inetOrgPerson\nuid: bob\ncn: Bob\nsn: B\n",
    );
    for (from, to, cn) in [("ada", "eva", "Ada L"), ("bob", "rob", "Bob")] {
        let renamed = subject.rename(named(ObjectClass::Account, from), to).await;
        assert_eq!(renamed.values("uid"), [text(to)]);
        assert_eq!(renamed.values("cn"), [text(cn)]);
    }
    for (changes, attribute, expected) in [
        (
            &[
                (Operation::Add, "new@x.org"),
                (Operation::Remove, "ADA@X.ORG"),
            ][..],
            "mail",
            "new@x.org",
        ),
        (
            &[
                (Operation::Add, "New@x.org"),
                (Operation::Remove, "new@x.org"),
            ],
            "mail",
            "New@x.org",
        ),
        (
            &[(Operation::Add, "+49301"), (Operation::Remove, "+49 2")],
            "telephoneNumber",
            "+49 30-1",
        ),
    ] {
        let change = |(operation, value): &(Operation, &str)| Modification {
            operation: *operation,
            name: AttributeName::new(attribute).unwrap(),
            values: vec![text(value)],
        };
        let update = Update {
            object: named(ObjectClass::Account, "eva"),
            modifications: changes.iter().map(change).collect(),
        };
        let changed = subject.connector.update(&context(), update).await.unwrap();
        assert_eq!(changed.values(attribute), [text(expected)], "{changes:?}");
    }
    // One alone is what the directory is asked first.
    let phone = [text("+49-30 1")];
    let same = subject.update(
        named(ObjectClass::Account, "eva"),
        Operation::Add,
        "telephoneNumber",
        &phone,
    );
    let kept = same.await.unwrap();
    assert_eq!(kept.values("telephoneNumber"), [text("+49 30-1")]);
}
