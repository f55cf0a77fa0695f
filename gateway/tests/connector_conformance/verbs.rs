//! Every verb, on accounts and groups: what it does, how it fails, and what the object shows
//! afterwards.

use portcullis_gateway::model::{
    FailureKind, Get, ObjectClass, ObjectName, ObjectRef, Outcome, Password, Role, Selector,
    Update, ValueType, Verb as Name,
};
use portcullis_proto::gateway::v1 as wire;

use crate::site::{
    Add, By, MakeSite, Replace, Subject, Verb, account, authenticate, call, context, create,
    delete, get, group, rename, secret, set_password, text, texts, update,
};

const ACCOUNTS_ONLY: [Name; 4] = [
    Name::Enable,
    Name::Disable,
    Name::SetPassword,
    Name::Authenticate,
];

impl Subject {
    /// The object as it now is, where the connector says that it shows what the verb did.
    async fn look(
        &self,
        verb: Name,
        class: ObjectClass,
        object: Option<wire::ObjectRef>,
    ) -> Option<wire::Object> {
        if !self.connector.shows(verb, class) {
            return None;
        }
        Some(self.object(get(object)).await)
    }
}

pub(crate) async fn says_what_it_has(site: MakeSite) {
    let Some(subject) = Subject::new(site) else {
        return;
    };
    let connector = &subject.connector;
    assert!(!connector.kind().is_empty());
    let both = [ObjectClass::Account, ObjectClass::Group];
    let further = connector.further_classes();
    assert!(!further.iter().any(|class| both.contains(class)));
    let group = connector.verbs(ObjectClass::Group);
    assert!(!group.iter().any(|verb| ACCOUNTS_ONLY.contains(verb)));

    let roles = connector.roles();
    let mut memberships = roles
        .attributes(ObjectClass::Account, Role::NamesGroups)
        .chain(roles.attributes(ObjectClass::Group, Role::NamesAccounts));
    assert!(
        group.is_empty() || memberships.next().is_some(),
        "there are groups, and yet no attribute names their members"
    );

    let schema = connector.schema(&context()).await.unwrap();
    assert_eq!(schema.actions, connector.actions());
    assert_eq!(schema.settings, connector.settings());
    for class in both.into_iter().chain(further) {
        let found = schema.classes.iter().find(|found| found.class == class);
        let found = found.unwrap_or_else(|| panic!("no {class} in the schema"));
        assert_eq!(found.verbs, connector.verbs(class));
        for attribute in &found.attributes {
            let has = |role| connector.roles().has(class, &attribute.name, role);
            let name = &attribute.name;
            assert!(
                !has(Role::Computed) || !(attribute.creatable || attribute.updatable),
                "{class}.{name} is computed, and yet can be set"
            );
            assert_eq!(
                has(Role::Secret),
                attribute.value_type == ValueType::Secret,
                "{class}.{name}"
            );
            if has(Role::NamesAccounts) || has(Role::NamesGroups) {
                assert_eq!(attribute.value_type, ValueType::Text, "{class}.{name}");
            }
        }
    }
    subject.done(Verb::Schema(wire::GetSchema {})).await;
}

/// Past the worker, which would look for the object first, and on one that is not there: what
/// becomes of an object is told by other tests, where the connector can make one.
pub(crate) async fn carries_out_each_verb_that_it_names(site: MakeSite) {
    let Some(subject) = Subject::new(site) else {
        return;
    };
    let (connector, cx) = (&subject.connector, &context());
    let password = || Password::new(b"x".to_vec()).unwrap();
    for class in [ObjectClass::Account, ObjectClass::Group] {
        let by = || Selector::Name(ObjectName::new("nobody-here").unwrap());
        let object = || ObjectRef { class, by: by() };
        for verb in connector.verbs(class) {
            let failed = match verb {
                Name::Get => {
                    let get = Get {
                        object: object(),
                        attributes: Vec::new(),
                    };
                    connector.get(cx, &get).await.err()
                }
                Name::Update => {
                    let update = Update {
                        object: object(),
                        modifications: Vec::new(),
                    };
                    connector.update(cx, update).await.err()
                }
                Name::Rename => {
                    let new_name = ObjectName::new("somebody").unwrap();
                    connector.rename(cx, object(), new_name).await.err()
                }
                Name::Delete => connector.delete(cx, object()).await.err(),
                Name::Enable => connector.enable(cx, object()).await.err(),
                Name::Disable => connector.disable(cx, object()).await.err(),
                Name::SetPassword => {
                    let set = connector.set_password(cx, object(), password());
                    set.await.err()
                }
                Name::Authenticate => {
                    let tried = connector.authenticate(cx, object(), password());
                    tried.await.err()
                }
                Name::Create
                | Name::Search
                | Name::Sync
                | Name::RotatePassword
                | Name::Run
                | Name::Test
                | Name::Schema => continue,
            };
            assert!(
                failed != Some(connector.lacks(verb, class)),
                "it names the verb `{verb}` for the class {class}, and does not carry it out"
            );
        }
    }
}

pub(crate) async fn carries_an_account_through_its_life(site: MakeSite) {
    let Some(subject) = Subject::with(site, &[Name::Create, Name::Get, Name::Update, Name::Delete])
    else {
        return;
    };
    let class = ObjectClass::Account;
    let free = subject.site.free_text;
    let made = wire::Create {
        password: secret("correct horse"),
        ..create(class, "ada", &[(free, text("Ada Lovelace"))])
    };
    let made = subject.object(Verb::Create(made)).await;
    assert_eq!(texts(&made, free), ["Ada Lovelace"]);
    assert_ne!(made.id, made.name);
    let ada = || account(By::Name("ada"));
    let by_id = || account(By::Id(&made.id));
    for object in [ada(), by_id()] {
        let seen = subject.look(Name::Create, class, object).await;
        assert!(seen.is_none_or(|seen| seen == made));
    }

    let changed = update(by_id(), Replace, free, vec![text("Ada King")]);
    let changed = subject.object(changed).await;
    assert_eq!(texts(&changed, free), ["Ada King"]);
    let seen = subject.look(Name::Update, class, ada()).await;
    assert!(seen.is_none_or(|seen| seen == changed));

    if subject.has(class, Name::Authenticate) && subject.has(class, Name::SetPassword) {
        subject.done(authenticate(ada(), "correct horse")).await;
        subject.done(set_password(by_id(), "battery staple")).await;
        subject.done(authenticate(ada(), "battery staple")).await;
        let failure = subject.failed(authenticate(ada(), "correct horse")).await;
        assert_eq!(failure.kind, FailureKind::BadCredentials);
    }
    if subject.has(class, Name::Disable) && subject.has(class, Name::Enable) {
        switches_an_account(&subject).await;
    }
    if subject.has(class, Name::Rename) {
        let renamed = subject.object(rename(ada(), "countess")).await;
        assert_eq!(
            (renamed.id.as_str(), renamed.name.as_str()),
            (&*made.id, "countess")
        );
        let seen = subject.look(Name::Rename, class, by_id()).await;
        assert!(seen.is_none_or(|seen| seen == renamed));
    }
    subject.done(delete(by_id())).await;
    let failure = subject.failed(get(by_id())).await;
    assert_eq!(failure.kind, FailureKind::NotFound, "{}", failure.message);
}

/// Twice each: to switch is to say how it should be, not to toggle.
async fn switches_an_account(subject: &Subject) {
    let class = ObjectClass::Account;
    let ada = || account(By::Name("ada"));
    let disable = || Verb::Disable(wire::Disable { object: ada() });
    let enable = || Verb::Enable(wire::Enable { object: ada() });
    for _ in 0..2 {
        subject.done(disable()).await;
        let seen = subject.look(Name::Disable, class, ada()).await;
        assert!(seen.is_none_or(|seen| seen.enabled == Some(false)));
        let failure = subject.failed(authenticate(ada(), "battery staple")).await;
        assert_eq!(failure.kind, FailureKind::AccountDisabled);
        let failure = subject.failed(authenticate(ada(), "correct horse")).await;
        assert_eq!(failure.kind, FailureKind::BadCredentials);
    }
    for _ in 0..2 {
        subject.done(enable()).await;
        let seen = subject.look(Name::Enable, class, ada()).await;
        assert!(seen.is_none_or(|seen| seen.enabled == Some(true)));
        subject.done(authenticate(ada(), "battery staple")).await;
    }
}

pub(crate) async fn carries_a_group_through_its_life(site: MakeSite) {
    let Some(subject) = Subject::with(site, &[Name::Create]) else {
        return;
    };
    let class = ObjectClass::Group;
    if !subject.has(class, Name::Create) {
        return;
    }
    subject.make(ObjectClass::Account, "ada", &[]).await;
    let made = Verb::Create(create(class, "devs", &[]));
    let made = subject.object(made).await;
    for members in subject.attributes(class, Role::NamesAccounts).await {
        let object = group(By::Name("devs"));
        let changed = update(object, Add, &members, vec![text("ada")]);
        let changed = subject.object(changed).await;
        assert_eq!(texts(&changed, &members), ["ada"]);
        let seen = subject.look(Name::Update, class, group(By::Id(&made.id)));
        assert!(seen.await.is_none_or(|seen| seen == changed));
        let emptied = update(group(By::Name("devs")), Replace, &members, Vec::new());
        let emptied = subject.object(emptied).await;
        assert!(texts(&emptied, &members).is_empty());
    }
    let renamed = subject.object(rename(group(By::Name("devs")), "ops")).await;
    assert_eq!(
        (renamed.id.as_str(), renamed.name.as_str()),
        (&*made.id, "ops")
    );
    subject.done(delete(group(By::Name("ops")))).await;
    let failure = subject.failed(get(group(By::Id(&made.id)))).await;
    assert_eq!(failure.kind, FailureKind::NotFound);
}

pub(crate) async fn tells_failures_apart(site: MakeSite) {
    let Some(subject) = Subject::with(
        site,
        &[
            Name::Create,
            Name::Get,
            Name::Update,
            Name::Rename,
            Name::SetPassword,
            Name::Authenticate,
        ],
    ) else {
        return;
    };
    let class = ObjectClass::Account;
    let free = subject.site.free_text;
    for name in ["ada", "eve"] {
        subject.done(Verb::Create(create(class, name, &[]))).await;
    }
    let nobody = || account(By::Name("nobody-here"));
    let no_id = account(By::Id("424242"));
    let ada = || account(By::Name("ada"));
    for (verb, kind) in [
        (get(nobody()), FailureKind::NotFound),
        (get(no_id), FailureKind::NotFound),
        (
            update(nobody(), Replace, free, vec![text("x")]),
            FailureKind::NotFound,
        ),
        (delete(nobody()), FailureKind::NotFound),
        (rename(nobody(), "somebody"), FailureKind::NotFound),
        (set_password(nobody(), "x"), FailureKind::NotFound),
        (authenticate(nobody(), "x"), FailureKind::BadCredentials),
        (authenticate(ada(), "x"), FailureKind::BadCredentials),
        (
            Verb::Create(create(class, "ada", &[])),
            FailureKind::AlreadyExists,
        ),
        (rename(ada(), "eve"), FailureKind::AlreadyExists),
        (
            update(ada(), Replace, "favourite-colour", vec![text("x")]),
            FailureKind::Unsupported,
        ),
    ] {
        let failure = subject.failed(verb.clone()).await;
        assert_eq!(failure.kind, kind, "{verb:?}: {}", failure.message);
        assert!(!failure.message.is_empty());
    }
    let failed = Verb::Create(create(class, "bob", &[("favourite-colour", text("x"))]));
    assert_eq!(subject.failed(failed).await.kind, FailureKind::Unsupported);
    // An empty password may be taken for a log-in without any: no connector is asked.
    for verb in [authenticate(ada(), ""), set_password(ada(), "")] {
        let failure = subject.failed(verb).await;
        assert_eq!(failure.kind, FailureKind::Invalid);
        assert!(failure.message.contains("empty"), "{failure:?}");
    }
    let failure = subject.failed(get(account(By::Name("bob")))).await;
    assert_eq!(failure.kind, FailureKind::NotFound, "half made");
}

pub(crate) async fn searches_page_by_page(site: MakeSite) {
    let Some(subject) = Subject::with(site, &[Name::Create, Name::Search]) else {
        return;
    };
    let class = ObjectClass::Account;
    for name in ["ada", "bob", "eve"] {
        subject.make(class, name, &[]).await;
    }
    let search = |page_size, cookie| wire::Search {
        object_class: wire::ObjectClass::Account.into(),
        page_size,
        cookie,
        ..wire::Search::default()
    };
    let (all, cookie) = subject.search(search(0, Vec::new())).await;
    assert!(cookie.is_empty());
    for name in ["ada", "bob", "eve"] {
        assert_eq!(all.iter().filter(|found| *found == name).count(), 1);
    }
    let (mut paged, mut cookie) = (Vec::new(), Vec::new());
    loop {
        let (names, next) = subject.search(search(1, cookie)).await;
        assert!(names.len() <= 1);
        paged.extend(names);
        cookie = next;
        if cookie.is_empty() {
            break;
        }
    }
    assert_eq!(paged, all);
    let named = wire::Comparison {
        operation: wire::ComparisonOperation::Equals.into(),
        attribute: "__name__".to_owned(),
        value: Some(text("bob")),
    };
    let filtered = wire::Search {
        filter: Some(wire::Filter {
            kind: Some(wire::filter::Kind::Comparison(named)),
        }),
        ..search(0, Vec::new())
    };
    assert_eq!(subject.search(filtered).await.0, ["bob"]);
    let [by_digest, whole] = subject.listings(wire::ObjectClass::Account).await;
    assert!(!whole.is_empty());
    assert_eq!(by_digest, whole, "the digests are of other objects");
}

pub(crate) async fn runs_its_actions(site: MakeSite) {
    let Some(subject) = Subject::new(site) else {
        return;
    };
    let run = |action: &str| {
        Verb::Run(wire::Run {
            action: action.to_owned(),
            ..wire::Run::default()
        })
    };
    if let Some(action) = subject.site.action {
        assert!(subject.connector.actions().contains(&action.to_owned()));
        subject.done(run(action)).await;
    }
    let failure = subject.failed(run("no-such-action")).await;
    let kinds = [FailureKind::NotFound, FailureKind::Unsupported];
    assert!(kinds.contains(&failure.kind), "{failure:?}");
    let shows = subject.connector.shows(Name::Run, ObjectClass::Account);
    assert!(!shows, "no object shows what an action did");
}

pub(crate) async fn starts_and_stops_again_and_again(site: MakeSite) {
    let Some(subject) = Subject::with(site, &[Name::Create]) else {
        return;
    };
    for round in ["ada", "bob"] {
        subject.connector.start().await.unwrap();
        subject.done(Verb::Test(wire::Test {})).await;
        let made = Verb::Create(create(ObjectClass::Account, round, &[]));
        subject.done(made).await;
        subject.connector.stop().await;
    }
    // One that was stopped may fail, but it answers.
    subject.call(Verb::Test(wire::Test {})).await;
}

pub(crate) async fn lets_no_secret_out(site: MakeSite) {
    const SECRET: &str = "hunter2-c0ffee-\"quoted\"";
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
    let class = ObjectClass::Account;
    let ada = || account(By::Name("ada"));
    let made = |name| {
        Verb::Create(wire::Create {
            password: secret(SECRET),
            ..create(class, name, &[])
        })
    };
    for (verb, done) in [
        (made("ada"), true),
        (made("ada"), false),
        (made("guarded-ada"), false),
        (get(ada()), true),
        (set_password(ada(), SECRET), true),
        (
            set_password(account(By::Name("nobody-here")), SECRET),
            false,
        ),
        (authenticate(ada(), SECRET), true),
        (authenticate(ada(), &format!("{SECRET}?")), false),
        (Verb::Disable(wire::Disable { object: ada() }), true),
        (delete(ada()), true),
    ] {
        let outcome = subject.provisioner.execute(call("subject", verb)).await;
        assert_eq!(matches!(outcome, Outcome::Done(_)), done, "{outcome:?}");
        let debug = format!("{outcome:?}");
        let sent = format!("{:?}", outcome.into_wire("1".to_owned()));
        for text in [debug, sent] {
            assert!(!text.contains("hunter2"), "{text}");
            assert!(!text.contains("c0ffee"), "{text}");
        }
    }
}
