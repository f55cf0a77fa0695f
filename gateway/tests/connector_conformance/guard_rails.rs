//! The guard rails see what the connector's attributes do, whatever they are called.

use portcullis_gateway::model::{FailureKind, ObjectClass, Role, ValueType, Verb as Name};
use portcullis_proto::gateway::v1 as wire;

use crate::site::{
    Add, By, MakeSite, PROTECTED_ACCOUNT, PROTECTED_GROUP, Replace, Subject, Verb, account,
    authenticate, context, create, delete, get, group, integer, rename, set_password, text, update,
};

pub(crate) async fn hold_for_what_names_a_group(site: MakeSite) {
    let Some(subject) = Subject::with(site, &[Name::Create, Name::Get]) else {
        return;
    };
    subject.make(ObjectClass::Group, PROTECTED_GROUP, &[]).await;
    subject.make(ObjectClass::Account, "ada", &[]).await;
    let attributes = subject.attributes(ObjectClass::Account, Role::NamesGroups);
    for name in attributes.await {
        for name in [name.clone(), name.to_uppercase()] {
            let rulers = text(PROTECTED_GROUP);
            let made = create(ObjectClass::Account, "eve", &[(&name, rulers.clone())]);
            subject.refused(Verb::Create(made)).await;
            for operation in [Add, Replace] {
                let ada = account(By::Name("ada"));
                let joined = update(ada, operation, &name, vec![rulers.clone()]);
                subject.refused(joined).await;
            }
        }
    }
    let failure = subject.failed(get(account(By::Name("eve")))).await;
    assert_eq!(failure.kind, FailureKind::NotFound);
}

pub(crate) async fn hold_for_what_names_an_account(site: MakeSite) {
    let Some(subject) = Subject::with(site, &[Name::Create]) else {
        return;
    };
    for name in [PROTECTED_ACCOUNT, "ada"] {
        subject.make(ObjectClass::Account, name, &[]).await;
    }
    subject.make(ObjectClass::Group, "devs", &[]).await;
    subject.make(ObjectClass::Group, PROTECTED_GROUP, &[]).await;
    let attributes = subject.attributes(ObjectClass::Group, Role::NamesAccounts);
    for name in attributes.await {
        let guarded = text(PROTECTED_ACCOUNT);
        let made = create(ObjectClass::Group, "others", &[(&name, guarded.clone())]);
        subject.refused(Verb::Create(made)).await;
        let devs = group(By::Name("devs"));
        subject
            .refused(update(devs, Add, &name, vec![guarded]))
            .await;
        let rulers = group(By::Name(PROTECTED_GROUP));
        let joined = update(rulers, Add, &name, vec![text("ada")]);
        subject.refused(joined).await;
    }
}

pub(crate) async fn hold_for_numeric_ids(site: MakeSite) {
    let Some(subject) = Subject::with(site, &[Name::Create]) else {
        return;
    };
    for class in [ObjectClass::Account, ObjectClass::Group] {
        for name in subject.attributes(class, Role::NumericId).await {
            for low in [0, 999] {
                let made = create(class, "low", &[(&name, integer(low))]);
                let message = subject.refused(Verb::Create(made)).await;
                assert!(message.contains("`protected_ids_below`"), "{message}");
            }
        }
    }
}

/// By its name and by its id: whoever acts as such an account has what the group has.
pub(crate) async fn protect_who_is_in_a_protected_group(site: MakeSite) {
    let Some(subject) = Subject::with(
        site,
        &[
            Name::Create,
            Name::Get,
            Name::SetPassword,
            Name::Authenticate,
            Name::Disable,
        ],
    ) else {
        return;
    };
    subject.make(ObjectClass::Group, PROTECTED_GROUP, &[]).await;
    let attributes = subject.attributes(ObjectClass::Account, Role::NamesGroups);
    let mut names = vec![PROTECTED_ACCOUNT.to_owned()];
    subject
        .make(ObjectClass::Account, PROTECTED_ACCOUNT, &[])
        .await;
    for (number, attribute) in attributes.await.iter().enumerate() {
        let name = format!("ruler{number}");
        let joined = [(attribute.as_str(), PROTECTED_GROUP)];
        subject.make(ObjectClass::Account, &name, &joined).await;
        names.push(name);
    }
    for name in &names {
        let id = subject.object(get(account(By::Name(name)))).await.id;
        for by in [By::Name(name), By::Id(&id)] {
            let object = || account(by);
            for verb in [
                set_password(object(), "owned"),
                authenticate(object(), "guess"),
                update(object(), Replace, subject.site.free_text, vec![text("x")]),
                rename(object(), "harmless"),
                delete(object()),
                Verb::Disable(wire::Disable { object: object() }),
                Verb::Enable(wire::Enable { object: object() }),
            ] {
                subject.refused(verb).await;
            }
        }
    }
}

pub(crate) async fn leave_what_is_computed_to_the_resource(site: MakeSite) {
    let Some(subject) = Subject::with(site, &[Name::Create, Name::Get]) else {
        return;
    };
    let class = ObjectClass::Account;
    subject.make(class, "ada", &[]).await;
    let before = subject.object(get(account(By::Name("ada")))).await;
    let schema = subject.connector.schema(&context()).await.unwrap();
    for name in subject.attributes(class, Role::Computed).await {
        let of_class = schema.classes.iter().filter(|found| found.class == class);
        let mut attributes = of_class.flat_map(|class| &class.attributes);
        let found = attributes.find(|found| found.name == name).unwrap();
        let value = sample(found.value_type);
        let made = create(class, "eve", &[(&name, value.clone())]);
        for verb in [
            Verb::Create(made),
            update(account(By::Name("ada")), Replace, &name, vec![value]),
        ] {
            let failure = subject.failed(verb).await;
            assert_eq!(
                failure.kind,
                FailureKind::Unsupported,
                "{name}: {failure:?}"
            );
        }
    }
    assert_eq!(subject.object(get(account(By::Name("ada")))).await, before);
    let failure = subject.failed(get(account(By::Name("eve")))).await;
    assert_eq!(failure.kind, FailureKind::NotFound);
}

/// A value of this type that no rule objects to.
fn sample(kind: ValueType) -> wire::Value {
    use wire::value::Kind;
    let kind = match kind {
        ValueType::Text => Kind::Text("x".to_owned()),
        ValueType::Integer => Kind::Integer(5000),
        ValueType::Boolean => Kind::Boolean(true),
        ValueType::Binary => Kind::Binary(vec![1]),
        ValueType::Real => Kind::Real(1.5),
        ValueType::Time => Kind::Time("2030-12-31T00:00:00Z".to_owned()),
        ValueType::Secret => Kind::Secret(wire::Secret::plain(b"x".to_vec())),
    };
    wire::Value { kind: Some(kind) }
}
