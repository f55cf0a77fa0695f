//! What no server may do here, whatever its rights in the domain: the guard rails know who has
//! power by ids, in every language, and over groups that are in groups.

use std::time::Duration;

use portcullis_directories::Samba;
use portcullis_gateway::connectors::Connectors;
use portcullis_gateway::model::{Failure, FailureKind, Outcome};
use portcullis_gateway::worker::Provisioner;
use portcullis_proto::gateway::v1 as wire;
use wire::ModificationOperation;
use wire::call::Verb;

use super::Domain;

impl Domain {
    async fn call(&self, verb: Verb) -> Outcome {
        let connectors = Connectors::default().with("office", self.configured.clone());
        let provisioner = Provisioner::new(&connectors, 4, Duration::from_secs(60));
        let call = wire::Call {
            call_id: format!("t-{:016x}", rand::random::<u64>()),
            connector: "office".to_owned(),
            verb: Some(verb),
            ..wire::Call::default()
        };
        provisioner.execute(call).await
    }

    #[track_caller]
    fn refusal(outcome: Outcome) -> Failure {
        match outcome {
            Outcome::Failed(failure) if failure.kind == FailureKind::Refused => failure,
            other => panic!("{other:?}"),
        }
    }

    fn wire_object(&self, class: wire::ObjectClass, name: &str) -> Option<wire::ObjectRef> {
        Some(wire::ObjectRef {
            class_name: String::new(),
            object_class: class.into(),
            by: Some(wire::object_ref::By::Name(self.name(name))),
        })
    }

    fn disable(&self, name: &str) -> Verb {
        Verb::Disable(wire::Disable {
            object: self.wire_object(wire::ObjectClass::Account, name),
        })
    }

    fn set(
        &self,
        class: wire::ObjectClass,
        name: &str,
        operation: ModificationOperation,
        attribute: &str,
        value: wire::value::Kind,
    ) -> Verb {
        Verb::Update(wire::Update {
            object: self.wire_object(class, name),
            modifications: vec![wire::Modification {
                operation: operation.into(),
                name: attribute.to_owned(),
                values: vec![wire::Value { kind: Some(value) }],
            }],
        })
    }
}

fn join(group: &str, member: &str) -> String {
    format!("dn: {group}\nchangetype: modify\nadd: member\nmember: {member}\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Samba and root: tests/run directories"]
async fn whoever_is_in_a_privileged_group_over_any_number_of_steps_is_protected() {
    let domain = Domain::new().await;
    domain.make("ada").await;
    domain.make("eve").await;
    domain.make_group("inner").await;
    let admins = format!("CN=Domain Admins,CN=Users,{}", Samba::SUFFIX);
    assert!(matches!(
        domain.call(domain.disable("eve")).await,
        Outcome::Done(_)
    ));
    domain
        .tools()
        .apply(&join(&domain.dn("inner"), &domain.dn("ada")));
    assert!(matches!(
        domain.call(domain.disable("ada")).await,
        Outcome::Done(_)
    ));
    domain.tools().apply(&join(&admins, &domain.dn("inner")));
    let refused = Domain::refusal(domain.call(domain.disable("ada")).await);
    assert!(
        refused.message.contains("protected_groups"),
        "{}",
        refused.message
    );
    // Who joins the group joins the other as well.
    let name = wire::value::Kind::Text(domain.name("eve"));
    let add = ModificationOperation::Add;
    let joins = domain.set(wire::ObjectClass::Group, "inner", add, "member", name);
    let refused = Domain::refusal(domain.call(joins).await);
    assert!(
        refused.message.contains("protected_"),
        "{}",
        refused.message
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Samba and root: tests/run directories"]
async fn groups_of_windows_are_known_by_their_ids_in_every_language() {
    let samba = Samba::start().await;
    let url = samba.url();
    let domain = Domain::at(samba.into(), &[url], "");
    domain.make("ada").await;
    let renamed = format!(
        "dn: CN=Group Policy Creator Owners,CN=Users,{0}\nchangetype: modify\nreplace: sAMAccountName\nsAMAccountName: Vlastnici zasad\n",
        Samba::SUFFIX
    );
    domain.tools().apply(&renamed);
    let owners = format!("CN=Group Policy Creator Owners,CN=Users,{}", Samba::SUFFIX);
    domain.tools().apply(&join(&owners, &domain.dn("ada")));
    let refused = Domain::refusal(domain.call(domain.disable("ada")).await);
    assert!(
        refused.message.contains("protected_ids_below"),
        "{}",
        refused.message
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Samba and root: tests/run directories"]
async fn neither_a_primary_group_nor_a_former_administrator_slips_through() {
    let domain = Domain::new().await;
    domain.make("ada").await;
    domain.make("eve").await;
    let primary = domain.set(
        wire::ObjectClass::Account,
        "ada",
        ModificationOperation::Replace,
        "primaryGroupID",
        wire::value::Kind::Integer(512),
    );
    Domain::refusal(domain.call(primary).await);
    let former = format!(
        "dn: {}\nchangetype: modify\nreplace: adminCount\nadminCount: 1\n",
        domain.dn("eve")
    );
    domain.tools().apply(&former);
    let refused = Domain::refusal(domain.call(domain.disable("eve")).await);
    assert!(
        refused.message.contains("adminCount"),
        "{}",
        refused.message
    );
}

fn principal(name: &str) -> wire::value::Kind {
    wire::value::Kind::Text(name.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Samba and root: tests/run directories"]
async fn no_account_gets_a_name_by_which_a_protected_one_is_logged_in_to() {
    const CLASS: wire::ObjectClass = wire::ObjectClass::Account;
    let domain = Domain::new().await;
    domain.make("eve").await;
    domain.make("ada").await;
    let admins = format!("CN=Domain Admins,CN=Users,{}", Samba::SUFFIX);
    let chief = domain.name("chief");
    domain.tools().apply(&format!(
        "dn: {}\nchangetype: modify\nreplace: userPrincipalName\nuserPrincipalName: {chief}@corp.test\n",
        domain.dn("ada")
    ));
    domain.tools().apply(&join(&admins, &domain.dn("ada")));
    let gets = |name: &str| {
        let replace = ModificationOperation::Replace;
        domain.set(CLASS, "eve", replace, "userPrincipalName", principal(name))
    };
    for name in [
        "administrator@example.test",
        "ADMINISTRATOR@elsewhere.test",
        "krbtgt",
        "dc1@example.test",
        "DC1$@example.test",
        &format!("{}@example.test", domain.name("ada")),
        &format!("{chief}@example.test"),
        &chief,
    ] {
        let refused = Domain::refusal(domain.call(gets(name)).await);
        assert!(
            refused.message.contains("protected_"),
            "{name}: {refused:?}"
        );
    }
    // Not as its own name either.
    let renamed = Verb::Rename(wire::Rename {
        object: domain.wire_object(CLASS, "eve"),
        new_name: chief,
    });
    let refused = Domain::refusal(domain.call(renamed).await);
    assert!(refused.message.contains("logs in as"), "{refused:?}");
    let own = domain.name("eve");
    for name in [format!("{own}@example.test"), format!("{own}@else.test")] {
        let done = domain.call(gets(&name)).await;
        assert!(matches!(done, Outcome::Done(_)), "{name}: {done:?}");
    }
}
