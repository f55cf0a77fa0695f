//! Names that change, and what hangs on them.

use portcullis_directories::Slapd;
use portcullis_gateway::model::{Object, ObjectClass, ObjectName, ObjectRef};

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
