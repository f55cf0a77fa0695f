//! Accounts: how they are made, what keeps them from logging in, and what they are called.

use portcullis_directories::{Kind, Quirks, Samba};
use portcullis_gateway::model::{
    CallError, Change, Create, FailureKind, ObjectClass, ObjectName, Operation, Value, ValueType,
};

use super::{Domain, PASSWORD, attribute, by_id, context, failure, password, text};

const ACCOUNT: ObjectClass = ObjectClass::Account;

fn flags(domain: &Domain, name: &str) -> u32 {
    let values = domain
        .tools()
        .values(&domain.dn(name), "userAccountControl");
    values.first().unwrap().parse().unwrap()
}

fn set(domain: &Domain, name: &str, attribute: &str, value: &str) {
    let dn = domain.dn(name);
    let change =
        format!("dn: {dn}\nchangetype: modify\nreplace: {attribute}\n{attribute}: {value}\n");
    domain.tools().apply(&change);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Samba and root: tests/run directories"]
async fn an_account_is_made_enabled_with_its_password_in_one_add() {
    let samba = Samba::shared().await;
    let quirks = Quirks::before(&samba).await;
    let domain = Domain::at(samba, &[quirks.url()], "");
    let ada = domain.make("ada").await;
    assert_eq!(
        (quirks.requests(Kind::Add), quirks.requests(Kind::Modify)),
        (1, 0)
    );
    assert_eq!(ada.enabled, Some(true));
    assert_eq!(flags(&domain, "ada"), 512);
    domain.log_in("ada", PASSWORD).await.unwrap();
    let principal = format!("{}@example.test", domain.name("ada"));
    assert_eq!(ada.values("userPrincipalName"), [text(&principal)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Samba and root: tests/run directories"]
async fn an_account_made_in_steps_is_taken_back_where_its_password_is_refused() {
    let domain = Domain::new().await;
    let steps = domain.again(&[domain.samba.url()], "create_in_steps = true");
    let refused = Create {
        password: Some(password("short")),
        ..steps.create(ACCOUNT, "eve")
    };
    let refused = steps
        .connector
        .create(&context(), refused)
        .await
        .unwrap_err();
    assert_eq!(failure(refused).kind, FailureKind::Policy);
    assert_eq!(domain.tools().entry(&domain.dn("eve"), &["cn"]), None);
    steps.make("eve").await;
    assert_eq!(flags(&domain, "eve"), 512);
    steps.log_in("eve", PASSWORD).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Samba and root: tests/run directories"]
async fn a_password_is_reset_twice_and_one_that_breaks_a_rule_says_so() {
    let samba = Samba::shared().await;
    let quirks = Quirks::before(&samba).await;
    let plain = Domain::new().await;
    let windows = plain.again(&[quirks.url()], "");
    plain.make("ada").await;
    for domain in [&plain, &windows] {
        let cx = context();
        for _ in 0..2 {
            let reset =
                domain
                    .connector
                    .set_password(&cx, domain.account("ada"), password("N3w-Passw0rd"));
            reset.await.unwrap();
        }
        domain.log_in("ada", "N3w-Passw0rd").await.unwrap();
        let old = domain.log_in("ada", PASSWORD).await.unwrap_err();
        assert_eq!(old.kind, FailureKind::BadCredentials);
        let short = domain
            .connector
            .set_password(&cx, domain.account("ada"), password("x"));
        let short = failure(short.await.unwrap_err());
        assert_eq!(short.kind, FailureKind::Policy, "{}", short.message);
        assert!(short.message.contains("0000052D"), "{}", short.message);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Samba and root: tests/run directories"]
async fn no_bit_of_an_account_is_touched_but_the_one_that_disables() {
    let domain = Domain::new().await;
    domain.make("ada").await;
    // The password does not expire (MS-ADTS 2.2.16).
    set(&domain, "ada", "userAccountControl", "66048");
    let (connector, cx) = (&domain.connector, context());
    for _ in 0..2 {
        let seen = connector.disable(&cx, domain.account("ada")).await.unwrap();
        assert_eq!(seen.unwrap().enabled, Some(false));
        assert_eq!(flags(&domain, "ada"), 66050);
    }
    let wrong = domain.log_in("ada", PASSWORD).await.unwrap_err();
    assert_eq!(wrong.kind, FailureKind::AccountDisabled);
    for _ in 0..2 {
        connector.enable(&cx, domain.account("ada")).await.unwrap();
        assert_eq!(flags(&domain, "ada"), 66048);
    }
    let refused = domain
        .update(
            domain.account("ada"),
            Operation::Replace,
            "userAccountControl",
            vec![text("0")],
        )
        .await;
    assert_eq!(failure(refused.unwrap_err()).kind, FailureKind::Unsupported);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Samba and root: tests/run directories"]
async fn locked_disabled_and_expired_are_three_things() {
    let samba = Samba::start().await;
    let rules = "dn: DC=example,DC=test\nchangetype: modify\nreplace: lockoutThreshold\nlockoutThreshold: 2\n";
    samba.tools().apply(rules);
    let url = samba.url();
    let domain = Domain::at(samba.into(), &[url], "");
    domain.make("ada").await;
    for _ in 0..2 {
        let wrong = domain.log_in("ada", "wr0ng-Password").await.unwrap_err();
        assert_eq!(wrong.kind, FailureKind::BadCredentials);
    }
    let locked = domain.log_in("ada", PASSWORD).await.unwrap_err();
    assert_eq!(
        locked.kind,
        FailureKind::AccountLocked,
        "{}",
        locked.message
    );
    let seen = domain.get(domain.account("ada")).await.unwrap();
    assert_eq!(
        (seen.enabled, seen.values("locked")),
        (Some(true), &[Value::Boolean(true)][..])
    );
    let unlock = vec![Value::Integer(0)];
    domain
        .update(
            domain.account("ada"),
            Operation::Replace,
            "lockoutTime",
            unlock,
        )
        .await
        .unwrap();
    domain.log_in("ada", PASSWORD).await.unwrap();

    let must = |value| {
        let values = vec![Value::Integer(value)];
        domain.update(
            domain.account("ada"),
            Operation::Replace,
            "pwdLastSet",
            values,
        )
    };
    let seen = must(0).await.unwrap();
    assert_eq!(seen.values("mustChangePassword"), [Value::Boolean(true)]);
    let change = domain.log_in("ada", PASSWORD).await.unwrap_err();
    assert_eq!(
        change.kind,
        FailureKind::PasswordExpired,
        "{}",
        change.message
    );
    let seen = must(-1).await.unwrap();
    assert!(matches!(seen.values("pwdLastSet"), [Value::Time(_)]));
    domain.log_in("ada", PASSWORD).await.unwrap();
    assert_eq!(seen.values("accountExpires"), [Value::Integer(i64::MAX)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Samba and root: tests/run directories"]
async fn a_log_in_tells_why_it_failed_but_not_whether_there_is_an_account() {
    let samba = Samba::shared().await;
    let quirks = Quirks::before(&samba).await;
    let domain = Domain::at(samba, &[quirks.url()], "");
    domain.make("ada").await;
    for (data, kind) in [
        ("52e", FailureKind::BadCredentials),
        ("525", FailureKind::BadCredentials),
        ("530", FailureKind::AccountDisabled),
        ("532", FailureKind::PasswordExpired),
        ("533", FailureKind::AccountDisabled),
        ("701", FailureKind::PasswordExpired),
        ("773", FailureKind::PasswordExpired),
        ("775", FailureKind::AccountLocked),
    ] {
        quirks.refuse_bind(&domain.dn("ada"), data);
        let refused = domain.log_in("ada", PASSWORD).await.unwrap_err();
        assert_eq!(refused.kind, kind, "{data}: {}", refused.message);
    }
    quirks.refuse_bind(&domain.dn("ada"), "52e");
    let wrong = domain.log_in("ada", PASSWORD).await.unwrap_err();
    let unknown = domain.log_in("nobody", PASSWORD).await.unwrap_err();
    assert_eq!(wrong, unknown);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Samba and root: tests/run directories"]
async fn whatever_exists_already_is_told_with_its_attribute() {
    let samba = Samba::shared().await;
    let quirks = Quirks::before(&samba).await;
    let plain = Domain::new().await;
    let windows = plain.again(&[quirks.url()], "");
    plain.make("ada").await;
    let elsewhere = Domain::new().await;
    for domain in [&plain, &windows] {
        let again = domain.create(ACCOUNT, "ada");
        let again = failure(
            domain
                .connector
                .create(&context(), again)
                .await
                .unwrap_err(),
        );
        assert_eq!(again.kind, FailureKind::AlreadyExists, "{}", again.message);
        let principal = format!("{}@example.test", domain.name("ada"));
        let same = Create {
            attributes: vec![attribute("userPrincipalName", text(&principal))],
            ..domain.create(ACCOUNT, "eve")
        };
        let same = failure(domain.connector.create(&context(), same).await.unwrap_err());
        assert_eq!(same.kind, FailureKind::AlreadyExists, "{}", same.message);
        assert!(
            same.message.contains("`userPrincipalName`"),
            "{}",
            same.message
        );
        assert_eq!(domain.tools().entry(&domain.dn("eve"), &["cn"]), None);
    }
    let make = async || {
        let create = plain.create(ACCOUNT, "grace");
        plain.connector.create(&context(), create).await
    };
    let made = tokio::join!(make(), make(), make(), make());
    let mut made = vec![made.0, made.1, made.2, made.3];
    made.retain(Result::is_err);
    assert_eq!(made.len(), 3, "one of four callers makes it");
    for late in made.into_iter().filter_map(Result::err) {
        assert_eq!(failure(late).kind, FailureKind::AlreadyExists);
    }
    // Below another base it is not seen before.
    let taken = Create {
        name: ObjectName::new(plain.name("ada")).unwrap(),
        attributes: vec![attribute(
            "userPrincipalName",
            text(&elsewhere.name("x@example.test")),
        )],
        ..elsewhere.create(ACCOUNT, "ada")
    };
    let taken = failure(
        elsewhere
            .connector
            .create(&context(), taken)
            .await
            .unwrap_err(),
    );
    assert_eq!(taken.kind, FailureKind::AlreadyExists, "{}", taken.message);
    assert!(
        taken.message.contains("`sAMAccountName`"),
        "{}",
        taken.message
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Samba and root: tests/run directories"]
async fn names_and_attributes_that_do_not_fit_are_refused_and_named() {
    let domain = Domain::new().await;
    let cx = context();
    for name in ["a-name-of-22-characters", "a@b", "ends-with."] {
        let create = Create {
            name: ObjectName::new(name).unwrap(),
            ..domain.create(ACCOUNT, "x")
        };
        let refused = failure(domain.connector.create(&cx, create).await.unwrap_err());
        assert_eq!(refused.kind, FailureKind::Invalid, "{}", refused.message);
        assert!(refused.message.contains(name), "{}", refused.message);
    }
    let unknown = Create {
        attributes: vec![attribute("favouriteColour", text("blue"))],
        ..domain.create(ACCOUNT, "eve")
    };
    let unknown = failure(domain.connector.create(&cx, unknown).await.unwrap_err());
    assert_eq!(
        unknown.kind,
        FailureKind::Unsupported,
        "{}",
        unknown.message
    );
    assert!(
        unknown.message.contains("favouriteColour"),
        "{}",
        unknown.message
    );
    assert_eq!(domain.tools().entry(&domain.dn("eve"), &["cn"]), None);
    domain.make("ada").await;
    let long = vec![text(&"1".repeat(65))];
    let long = domain.update(
        domain.account("ada"),
        Operation::Replace,
        "telephoneNumber",
        long,
    );
    let long = failure(long.await.unwrap_err());
    assert_eq!(long.kind, FailureKind::Invalid, "{}", long.message);
    assert!(long.message.contains("telephoneNumber"), "{}", long.message);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Samba and root: tests/run directories"]
async fn an_object_keeps_its_id_whatever_it_is_called_and_wherever_it_lies() {
    let domain = Domain::new().await;
    let ada = domain.make("ada").await;
    let shown = domain.tools().search(
        &format!("<GUID={}>", ada.identity.id),
        "(objectClass=*)",
        &["sAMAccountName"],
    );
    assert!(shown.contains(&domain.name("ada")), "{shown}");
    let countess = ObjectName::new(domain.name("countess")).unwrap();
    let renamed = domain
        .connector
        .rename(&context(), domain.account("ada"), countess)
        .await
        .unwrap();
    assert_eq!(renamed.identity.id, ada.identity.id);
    let name = domain.name("countess");
    let dn = domain.dn("countess");
    let values = |attribute| domain.tools().values(&dn, attribute);
    assert_eq!(values("cn"), [name.as_str()]);
    assert_eq!(values("sAMAccountName"), [name.as_str()]);
    assert_eq!(
        values("userPrincipalName"),
        [format!("{name}@example.test")]
    );
    let unit = format!(
        "dn: OU=below,{}\nobjectClass: organizationalUnit\n",
        domain.base
    );
    domain.tools().apply(&unit);
    let moved = format!(
        "dn: {dn}\nchangetype: moddn\nnewrdn: CN={name}\ndeleteoldrdn: 1\nnewsuperior: OU=below,{}\n",
        domain.base
    );
    domain.tools().apply(&moved);
    let found = domain.get(by_id(ACCOUNT, &ada.identity.id)).await.unwrap();
    assert_eq!(found.identity.name.as_str(), name);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Samba and root: tests/run directories"]
async fn a_computer_is_no_account_and_the_schema_demands_what_is_to_be_given() {
    let domain = Domain::new().await;
    domain.make("ada").await;
    let name = domain.name("pc");
    let computer = format!(
        "dn: CN={name},{}\nobjectClass: computer\nsAMAccountName: {name}$\n",
        domain.base
    );
    domain.tools().apply(&computer);
    let all = domain.all(ACCOUNT).await.unwrap();
    let names: Vec<_> = all
        .iter()
        .map(|found| found.identity.name.as_str())
        .collect();
    assert_eq!(names, [domain.name("ada")]);
    let schema = domain.connector.schema(&context()).await.unwrap();
    let accounts = schema
        .classes
        .iter()
        .find(|class| class.class == ACCOUNT)
        .unwrap();
    let required = accounts
        .attributes
        .iter()
        .filter(|attribute| attribute.required);
    let required: Vec<_> = required.map(|attribute| attribute.name.as_str()).collect();
    assert!(
        required
            .iter()
            .all(|name| ["cn", "objectCategory"].contains(name) || name.is_empty()),
        "{required:?}"
    );
    // What auxiliary classes give a user, the domain tells by rules of its own.
    for name in ["info", "uidNumber", "loginShell"] {
        let mut known = accounts.attributes.iter();
        assert!(known.any(|attribute| attribute.name == name), "{name}");
    }
    let locked = accounts
        .attributes
        .iter()
        .find(|found| found.name == "locked")
        .unwrap();
    assert_eq!(
        (locked.value_type, locked.updatable),
        (ValueType::Boolean, false)
    );
    let nobody = domain.get(domain.account("nobody")).await;
    assert!(matches!(nobody, Err(CallError::Failed(failure)) if failure.is_not_found()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Samba and root: tests/run directories"]
async fn no_name_is_that_of_one_account_and_of_another_in_another_way() {
    let domain = Domain::new().await;
    domain.make("ada").await;
    domain.make("eve").await;
    let name = |name: &str, suffix: &str| vec![text(&format!("{}{suffix}", domain.name(name)))];
    let set = |values: Vec<Value>| {
        let eve = domain.account("eve");
        domain.update(eve, Operation::Replace, "userPrincipalName", values)
    };
    for taken in ["@example.test", "@EXAMPLE.TEST", "@example", ""] {
        let refused = failure(set(name("ada", taken)).await.unwrap_err());
        assert_eq!(
            refused.kind,
            FailureKind::AlreadyExists,
            "{taken}: {refused:?}"
        );
        assert!(refused.message.contains("userPrincipalName"), "{refused:?}");
    }
    set(name("ada", "@elsewhere.test")).await.unwrap();
    set(name("new", "@example.test")).await.unwrap();
    // By the other way round: the name of a new account, or another one's new name.
    let mut create = domain.create(ObjectClass::Account, "new");
    let principal = text("somebody@elsewhere.test");
    create.attributes = vec![attribute("userPrincipalName", principal)];
    let refused = domain.connector.create(&context(), create).await;
    let refused = failure(refused.unwrap_err());
    assert_eq!(refused.kind, FailureKind::AlreadyExists, "{refused:?}");
    let new_name = ObjectName::new(domain.name("new")).unwrap();
    let ada = domain.account("ada");
    let refused = domain.connector.rename(&context(), ada, new_name).await;
    let refused = failure(refused.unwrap_err());
    assert_eq!(refused.kind, FailureKind::AlreadyExists, "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Samba and root: tests/run directories"]
async fn units_and_computers_of_the_domain_are_read() {
    let domain = Domain::new().await;
    let url = domain.samba.url();
    let keys = format!(
        "organizational_units.base = \"{0}\"\ncomputers.base = \"{0}\"",
        Samba::SUFFIX
    );
    let domain = domain.again(&[url], &keys);
    let classes = domain.connector.further_classes();
    let [units, computers] = classes[..] else {
        panic!("{classes:?}");
    };
    let found = domain.all(computers).await.unwrap();
    let names: Vec<_> = found.iter().map(|one| one.identity.name.as_str()).collect();
    assert!(names.contains(&"DC1$"), "{names:?}");
    let found = domain.all(units).await.unwrap();
    let mut names = found.iter().map(|one| one.identity.name.as_str());
    assert!(names.any(|name| name == "Domain Controllers"));
    let (_, token) = domain.changes(units, &Default::default()).await.unwrap();
    let unit = format!("OU=new,{}", domain.base);
    let ldif = format!("dn: {unit}\nobjectClass: organizationalUnit\n");
    domain.tools().apply(&ldif);
    let (changes, _) = domain.changes(units, &token).await.unwrap();
    let is_new = |change: &Change| matches!(change, Change::Present(object) if object.identity.name.as_str() == "new");
    assert!(changes.iter().any(is_new), "{changes:?}");
}
