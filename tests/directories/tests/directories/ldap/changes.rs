//! What is made and changed, and what the directory refuses.

use portcullis_directories::{Setup, Slapd};
use portcullis_gateway::model::{FailureKind, ObjectClass, ObjectName, Operation, Touched, Value};

use super::{Subject, account, ada, by_id, context, create, failed, group, named, text};

#[tokio::test]
#[ignore = "needs slapd: tests/run directories"]
async fn refusals_keep_the_directorys_words_and_name_the_attribute() {
    let subject = Subject::start().await;
    subject.account("ada").await;
    for (made, kind, code, word) in [
        (
            account("ada", &[]),
            FailureKind::AlreadyExists,
            "",
            "uid=ada",
        ),
        (
            account("eve", &[("favouriteColour", text("x"))]),
            FailureKind::Unsupported,
            "17",
            "favouriteColour",
        ),
        (
            account("eve", &[("uidNumber", Value::Integer(5000))]),
            FailureKind::Invalid,
            "65",
            "uidNumber",
        ),
        (
            account("eve", &[("manager", text("nobody"))]),
            FailureKind::Invalid,
            "21",
            "manager",
        ),
        (
            account("eve", &[("uid", text("root"))]),
            FailureKind::Invalid,
            "",
            "`uid`",
        ),
    ] {
        let failure = failed(subject.create(made).await, kind);
        assert!(failure.message.contains(word), "{failure:?}");
        let native = failure
            .native
            .map_or(String::new(), |native| native.code().to_owned());
        assert_eq!(native, code, "{}", failure.message);
    }
    failed(
        subject.get(named(ObjectClass::Account, "eve")).await,
        FailureKind::NotFound,
    );
    let lacking = subject.update(ada(), Operation::Replace, "sn", &[]).await;
    let failure = failed(lacking, FailureKind::Invalid);
    assert_eq!(failure.native.as_ref().unwrap().code(), "65");
    assert!(failure.message.contains("'sn'"), "{failure:?}");
}

#[tokio::test]
#[ignore = "needs slapd: tests/run directories"]
async fn what_is_taken_elsewhere_and_a_parent_that_is_missing_are_told_apart() {
    let subject = Subject::start().await;
    subject
        .slapd
        .tools()
        .apply("dn: uid=bob,ou=people,dc=example,dc=org\nobjectClass: account\nuid: bob\n");
    let by_cn = "accounts.base = \"ou=people,dc=example,dc=org\"\naccounts.dn = \"cn={name},ou=people,dc=example,dc=org\"";
    let by_cn = Subject::of(subject.slapd, by_cn);
    let failure = failed(
        by_cn.create(account("bob", &[])).await,
        FailureKind::AlreadyExists,
    );
    assert_eq!(failure.native.unwrap().code(), "19");
    let nowhere = "accounts.base = \"ou=people,dc=example,dc=org\"\naccounts.dn = \"uid={name},ou=nowhere,ou=people,dc=example,dc=org\"";
    let nowhere = Subject::of(by_cn.slapd, nowhere);
    let failure = failed(
        nowhere.create(account("eve", &[])).await,
        FailureKind::Rejected,
    );
    assert!(
        failure.message.contains("`ou=people,dc=example,dc=org`"),
        "{failure:?}"
    );
}

#[tokio::test]
#[ignore = "needs slapd: tests/run directories"]
async fn of_callers_who_make_the_same_account_one_does() {
    let subject = Subject::start().await;
    let made = [(); 4].map(|()| subject.create(account("ada", &[])));
    let [one, two, three, four] = made;
    let made = tokio::join!(one, two, three, four);
    let made = [made.0, made.1, made.2, made.3];
    assert_eq!(
        made.iter().filter(|made| made.is_ok()).count(),
        1,
        "{made:?}"
    );
    for made in made.into_iter().filter(Result::is_err) {
        failed(made, FailureKind::AlreadyExists);
    }
}

#[tokio::test]
#[ignore = "needs slapd: tests/run directories"]
async fn whatever_stands_in_a_name_or_a_value_comes_back() {
    let subject = Subject::start().await;
    let names = [
        "Lovelace, Ada + Co",
        "a\"b<c>;=#d",
        "#1",
        "back\\slash",
        "(x)*&|!",
        "é ü",
    ];
    for name in names {
        let made = subject
            .create(account(name, &[("description", text(" x, \\ y "))]))
            .await
            .unwrap();
        assert_eq!(made.identity.name.as_str(), name);
        let read = subject
            .get(named(ObjectClass::Account, name))
            .await
            .unwrap();
        assert_eq!(read, made);
        assert_eq!(read.values("description"), [text(" x, \\ y ")]);
        subject
            .connector
            .delete(&context(), by_id(&made))
            .await
            .unwrap();
    }
    let photo = Value::Binary((0..1 << 20).map(|at: u32| at.to_le_bytes()[1]).collect());
    let made = subject
        .create(account("ada", &[("jpegPhoto", photo.clone())]))
        .await
        .unwrap();
    assert_eq!(made.values("jpegPhoto"), [photo]);
    let other = [Value::Binary(vec![0xff, 0xd8, 0, 1])];
    let changed = subject
        .update(ada(), Operation::Replace, "jpegPhoto", &other)
        .await;
    assert_eq!(changed.unwrap().values("jpegPhoto"), other);
    let with_option = "description;lang-de";
    let described = [text("Gräfin")];
    let described = subject
        .update(ada(), Operation::Replace, with_option, &described)
        .await;
    assert_eq!(described.unwrap().values(with_option), [text("Gräfin")]);
    let changed = subject
        .update(ada(), Operation::Remove, "jpegPhoto", &other)
        .await;
    assert!(changed.unwrap().values("jpegPhoto").is_empty());
}

#[tokio::test]
#[ignore = "needs slapd: tests/run directories"]
async fn what_is_so_already_is_done() {
    let subject = Subject::start().await;
    subject.account("ada").await;
    let mail = |value: &str| text(value);
    for (operation, value, expected) in [
        (Operation::Add, "a@x.org", &["a@x.org"][..]),
        (Operation::Add, "a@x.org", &["a@x.org"]),
        (Operation::Add, "A@X.ORG", &["a@x.org"]),
        (Operation::Remove, "b@x.org", &["a@x.org"]),
        (Operation::Remove, "A@x.org", &[]),
    ] {
        let changed = subject
            .update(ada(), operation, "mail", &[mail(value)])
            .await
            .unwrap();
        let expected: Vec<_> = expected.iter().map(|value| mail(value)).collect();
        assert_eq!(changed.values("mail"), expected, "{operation:?} {value}");
    }
    subject
        .update(ada(), Operation::Replace, "mail", &[])
        .await
        .unwrap();
    let renamed = ObjectName::new("countess").unwrap();
    let renamed = subject
        .connector
        .rename(&context(), ada(), renamed)
        .await
        .unwrap();
    assert_eq!(
        subject.get(by_id(&renamed)).await.unwrap().identity,
        renamed.identity
    );
    failed(subject.get(ada()).await, FailureKind::NotFound);
    subject
        .connector
        .delete(&context(), by_id(&renamed))
        .await
        .unwrap();
    let again = subject.connector.delete(&context(), by_id(&renamed)).await;
    failed(again, FailureKind::NotFound);
}

#[tokio::test]
#[ignore = "needs slapd: tests/run directories"]
async fn an_entry_with_others_below_it_stays() {
    let subject = Subject::start().await;
    subject.account("ada").await;
    subject.slapd.tools().apply("dn: cn=key,uid=ada,ou=people,dc=example,dc=org\nobjectClass: organizationalRole\ncn: key\n");
    let failure = failed(
        subject.connector.delete(&context(), ada()).await,
        FailureKind::Rejected,
    );
    assert_eq!(failure.native.unwrap().code(), "66");
}

#[tokio::test]
#[ignore = "needs slapd: tests/run directories"]
async fn a_group_may_be_empty_and_have_five_thousand_members() {
    let member = |number: usize| format!("m{number:04}");
    let people: String = (0..5000)
        .map(|number| {
            format!(
                "dn: uid={0},ou=people,{1}\nobjectClass: inetOrgPerson\nuid: {0}\ncn: x\nsn: x\n\n",
                member(number),
                Slapd::SUFFIX
            )
        })
        .collect();
    // The server writes memberOf of each of them: not each to the disk.
    let setup = Setup {
        settings: "dbnosync\n".to_owned(),
        entries: people,
        ..Setup::default()
    };
    let subject = Subject::of(Slapd::start_with(setup).await, "");
    let made = subject
        .create(create(ObjectClass::Group, "devs", &[]))
        .await
        .unwrap();
    assert!(made.values("member").is_empty());
    let names: Vec<_> = (0..5000).map(|number| text(&member(number))).collect();
    let filled = subject
        .update(group("devs"), Operation::Add, "member", &names)
        .await
        .unwrap();
    assert_eq!(filled.values("member").len(), 5000);
    let failure = failed(
        subject
            .update(
                group("devs"),
                Operation::Add,
                "member",
                &[text("nobody-here")],
            )
            .await,
        FailureKind::Invalid,
    );
    assert!(failure.message.contains("`nobody-here`"), "{failure:?}");
    let one = named(ObjectClass::Account, "m0007");
    assert_eq!(
        subject.get(one.clone()).await.unwrap().values("memberOf"),
        [text("devs")]
    );
    subject.connector.delete(&context(), one).await.unwrap();
    let left = subject
        .update(group("devs"), Operation::Remove, "member", &[text("m0008")])
        .await
        .unwrap();
    assert_eq!(left.values("member").len(), 4998);
    let emptied = subject
        .update(group("devs"), Operation::Replace, "member", &[])
        .await
        .unwrap();
    assert!(emptied.values("member").is_empty());
}

#[tokio::test]
#[ignore = "needs slapd: tests/run directories"]
async fn guard_rails_see_who_is_meant_and_groups_in_groups() {
    let subject = Subject::start().await;
    subject.account("ada").await;
    for (name, member) in [
        ("devs", "ada"),
        ("ops", "cn=devs,ou=groups,dc=example,dc=org"),
        ("rulers", "CN=ops, OU=groups,dc=example,dc=org"),
    ] {
        let made = create(ObjectClass::Group, name, &[("member", text(member))]);
        subject.create(made).await.unwrap();
    }
    for named in ["ada", "UID=Ada, ou=people,dc=example,dc=org"] {
        let touched = Touched {
            accounts: [named.to_owned()].into(),
            by_group: true,
            ..Touched::default()
        };
        let standings = subject
            .connector
            .standings(&context(), &touched)
            .await
            .unwrap();
        let [ada] = standings.accounts.as_slice() else {
            panic!("{named}: {standings:?}");
        };
        assert_eq!((ada.name.as_str(), ada.touched), ("ada", true));
        let mut groups: Vec<_> = ada
            .groups
            .iter()
            .filter_map(|place| standings.groups[*place].name.as_deref())
            .collect();
        groups.sort_unstable();
        assert_eq!(groups, ["devs", "ops", "rulers"]);
    }
    // Whoever joins the lowest one joins those above it.
    let touched = Touched {
        groups: [ObjectName::new("devs").unwrap()].into(),
        by_group: true,
        ..Touched::default()
    };
    let standings = subject.connector.standings(&context(), &touched).await;
    let standings = standings.unwrap();
    let joining = standings.accounts.iter().filter(|account| account.touched);
    let joined = joining.flat_map(|account| &account.groups);
    let mut joined: Vec<_> = joined
        .filter_map(|place| standings.groups[*place].name.as_deref())
        .collect();
    joined.sort_unstable();
    assert_eq!(joined, ["ops", "rulers"]);
}

#[tokio::test]
#[ignore = "needs slapd: tests/run directories"]
async fn no_other_spelling_of_an_attribute_gets_past_the_guard_rails() {
    let subject = Subject::start().await;
    subject.account("ada").await;
    let made = create(ObjectClass::Group, "devs", &[("member", text("ada"))]);
    subject.create(made).await.unwrap();
    for name in [
        "2.5.4.31",
        "OID.2.5.4.31",
        "uniqueMember",
        "member;x-a",
        "commonName",
        "cn;lang-en",
    ] {
        let ada = text("uid=ada,ou=people,dc=example,dc=org");
        let changed = subject
            .update(group("devs"), Operation::Add, name, &[ada])
            .await;
        failed(changed, FailureKind::Unsupported);
    }
    // A second name would be one that no guard rail has seen.
    for name in ["userid", "USERID", "uid;lang-en", "userid;lang-en"] {
        let root = [text("root")];
        let changed = subject.update(ada(), Operation::Add, name, &root).await;
        failed(changed, FailureKind::Unsupported);
        let made = create(ObjectClass::Account, "grace", &[(name, text("root"))]);
        assert!(subject.create(made).await.is_err(), "{name}");
    }
}

#[tokio::test]
#[ignore = "needs slapd: tests/run directories"]
async fn changes_worked_out_from_what_is_there_do_not_undo_one_another() {
    const ROUNDS: usize = 5;
    let subject = Subject::start().await;
    let names = ["a", "b", "c", "d", "e", "f"];
    for name in names {
        subject.account(name).await;
    }
    let members: Vec<_> = names.iter().map(|name| text(name)).collect();
    let devs = create(ObjectClass::Group, "devs", &[]);
    subject.create(devs).await.unwrap();
    for round in 0..ROUNDS {
        subject
            .update(group("devs"), Operation::Add, "member", &members)
            .await
            .unwrap();
        // Whoever takes the last one away has to put the placeholder there: a group is not empty.
        let leaving = members.iter().map(|member| {
            let member = std::slice::from_ref(member);
            subject.update(group("devs"), Operation::Remove, "member", member)
        });
        for left in futures_util::future::join_all(leaving).await {
            left.unwrap_or_else(|error| panic!("round {round}: {error:?}"));
        }
        let dn = "cn=devs,ou=groups,dc=example,dc=org";
        let kept = subject.slapd.tools().values(dn, "member");
        assert_eq!(kept, ["cn=nobody,dc=example,dc=org"], "round {round}");
    }
}
