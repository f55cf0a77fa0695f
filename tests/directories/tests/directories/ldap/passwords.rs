//! Passwords, and accounts that may not log in.

use portcullis_directories::{Setup, Slapd};
use portcullis_gateway::model::{CallError, FailureKind, ObjectClass, ObjectRef};
use portcullis_tests::harness::eventually;

use super::{Subject, account, ada, context, failed, named, secret, with_password};

const GOOD: &str = "correct horse battery";
const OTHER: &str = "another good phrase";

async fn tried(subject: &Subject, object: ObjectRef, password: &str) -> Result<(), CallError> {
    let connector = &subject.connector;
    connector
        .authenticate(&context(), object, secret(password))
        .await
}

async fn set(subject: &Subject, password: &str) -> Result<(), CallError> {
    let connector = &subject.connector;
    connector
        .set_password(&context(), ada(), secret(password))
        .await
}

#[tokio::test]
#[ignore = "needs slapd: tests/run directories"]
async fn the_directory_hashes_a_password_and_its_policy_says_why_not() {
    let subject = Subject::start().await;
    let made = subject
        .create(with_password(account("ada", &[]), "short"))
        .await;
    let failure = failed(made, FailureKind::Policy);
    assert!(failure.message.contains("too short"), "{failure:?}");
    failed(subject.get(ada()).await, FailureKind::NotFound);
    let made = subject
        .create(with_password(account("ada", &[]), GOOD))
        .await
        .unwrap();
    assert!(
        made.attributes
            .iter()
            .all(|one| one.name.as_str() != "userPassword")
    );
    let kept = subject
        .slapd
        .tools()
        .values("uid=ada,ou=people,dc=example,dc=org", "userPassword");
    // The base64 of `{SSHA}`.
    assert!(kept.concat().starts_with("e1NTSEF9"), "{kept:?}");
    tried(&subject, ada(), GOOD).await.unwrap();
    let failure = failed(set(&subject, "short").await, FailureKind::Policy);
    assert!(failure.message.contains("too short"), "{failure:?}");
    let failure = failed(set(&subject, GOOD).await, FailureKind::Policy);
    assert!(failure.message.contains("used before"), "{failure:?}");
    set(&subject, OTHER).await.unwrap();
    tried(&subject, ada(), OTHER).await.unwrap();
    failed(
        tried(&subject, ada(), GOOD).await,
        FailureKind::BadCredentials,
    );
}

/// OpenLDAP takes the lock of an account away with every new password.
#[tokio::test]
#[ignore = "needs slapd: tests/run directories"]
async fn a_disabled_account_stays_so_whatever_password_it_gets() {
    let subject = Subject::start().await;
    let mut disabled = with_password(account("ada", &[]), GOOD);
    disabled.enabled = false;
    let made = subject.create(disabled).await.unwrap();
    assert_eq!(made.enabled, Some(false));
    failed(
        tried(&subject, ada(), GOOD).await,
        FailureKind::AccountDisabled,
    );
    set(&subject, OTHER).await.unwrap();
    assert_eq!(subject.get(ada()).await.unwrap().enabled, Some(false));
    failed(
        tried(&subject, ada(), OTHER).await,
        FailureKind::AccountDisabled,
    );
    subject.connector.enable(&context(), ada()).await.unwrap();
    tried(&subject, ada(), OTHER).await.unwrap();
    set(&subject, "a third good phrase").await.unwrap();
    assert_eq!(subject.get(ada()).await.unwrap().enabled, Some(true));
}

#[tokio::test]
#[ignore = "needs slapd: tests/run directories"]
async fn a_log_in_has_answers_of_its_own() {
    let subject = Subject::start().await;
    subject
        .create(with_password(account("ada", &[]), GOOD))
        .await
        .unwrap();
    let nobody = named(ObjectClass::Account, "nobody-here");
    let unknown = failed(
        tried(&subject, nobody, GOOD).await,
        FailureKind::BadCredentials,
    );
    let wrong = failed(
        tried(&subject, ada(), "wrong").await,
        FailureKind::BadCredentials,
    );
    assert_eq!(unknown, wrong);
    for _ in 0..2 {
        failed(
            tried(&subject, ada(), "wrong").await,
            FailureKind::BadCredentials,
        );
    }
    failed(
        tried(&subject, ada(), GOOD).await,
        FailureKind::AccountLocked,
    );
    // A new password unlocks.
    set(&subject, OTHER).await.unwrap();
    tried(&subject, ada(), OTHER).await.unwrap();
    let tools = subject.slapd.tools();
    tools.apply("dn: cn=default,ou=policies,dc=example,dc=org\nchangetype: modify\nreplace: pwdMustChange\npwdMustChange: TRUE\n");
    tools.apply("dn: uid=ada,ou=people,dc=example,dc=org\nchangetype: modify\nreplace: pwdReset\npwdReset: TRUE\n");
    failed(
        tried(&subject, ada(), OTHER).await,
        FailureKind::PasswordExpired,
    );
}

#[tokio::test]
#[ignore = "needs slapd: tests/run directories"]
async fn to_disable_is_to_say_how_it_should_be() {
    let subject = Subject::start().await;
    subject
        .create(with_password(account("ada", &[]), GOOD))
        .await
        .unwrap();
    for _ in 0..2 {
        let disabled = subject
            .connector
            .disable(&context(), ada())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(disabled.enabled, Some(false));
        failed(
            tried(&subject, ada(), GOOD).await,
            FailureKind::AccountDisabled,
        );
    }
    for _ in 0..2 {
        let enabled = subject
            .connector
            .enable(&context(), ada())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(enabled.enabled, Some(true));
        tried(&subject, ada(), GOOD).await.unwrap();
    }
    let create = account("eve", &[]);
    let made = portcullis_gateway::model::Create {
        enabled: false,
        ..create
    };
    assert_eq!(subject.create(made).await.unwrap().enabled, Some(false));
}

/// As 389 Directory Server has it, where entries need no class for it.
const ACCOUNT_LOCK: &str = "attributetype ( 2.16.840.1.113730.3.1.610 NAME 'nsAccountLock' \
    EQUALITY caseIgnoreMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 SINGLE-VALUE )\n";

#[tokio::test]
#[ignore = "needs slapd: tests/run directories"]
async fn whatever_attribute_a_directory_has_for_it_disables() {
    const CLASSES: [&str; 2] = ["inetOrgPerson", "extensibleObject"];
    let dn = "uid=ada,ou=people,dc=example,dc=org";
    let mut slapd = Slapd::start_with(Setup {
        settings: ACCOUNT_LOCK.to_owned(),
        ..Setup::default()
    })
    .await;
    for (way, attribute, value) in [
        ("389ds", "nsAccountLock", "TRUE"),
        ("employeeType=has left", "employeeType", "has left"),
    ] {
        let keys = format!("disable = \"{way}\"\naccounts.object_classes = {CLASSES:?}");
        let subject = Subject::of(slapd, &keys);
        subject.account("ada").await;
        let (connector, cx) = (&subject.connector, context());
        let tools = subject.slapd.tools();
        let disabled = connector.disable(&cx, ada()).await.unwrap();
        assert_eq!(disabled.unwrap().enabled, Some(false), "{way}");
        assert_eq!(tools.values(dn, attribute), [value]);
        let enabled = connector.enable(&cx, ada()).await.unwrap();
        assert_eq!(enabled.unwrap().enabled, Some(true), "{way}");
        assert!(tools.values(dn, attribute).is_empty(), "{way}");
        connector.delete(&cx, ada()).await.unwrap();
        slapd = subject.slapd;
    }
    let none = Subject::of(slapd, "disable = \"none\"");
    assert_eq!(none.account("ada").await.enabled, None);
    let refused = none.connector.disable(&context(), ada()).await;
    let failure = failed(refused, FailureKind::Unsupported);
    assert!(failure.message.contains("`disable`"), "{failure:?}");
}

#[tokio::test]
#[ignore = "needs slapd: tests/run directories"]
async fn a_directory_without_a_request_for_it_hashes_what_is_put_in_the_place_of_a_password() {
    let subject = Subject::of(Slapd::start().await, "password = \"replace\"");
    subject
        .create(with_password(account("ada", &[]), GOOD))
        .await
        .unwrap();
    tried(&subject, ada(), GOOD).await.unwrap();
    set(&subject, OTHER).await.unwrap();
    tried(&subject, ada(), OTHER).await.unwrap();
    let wrong = tried(&subject, ada(), GOOD).await;
    failed(wrong, FailureKind::BadCredentials);
    let tools = subject.slapd.tools();
    let kept = tools.values("uid=ada,ou=people,dc=example,dc=org", "userPassword");
    // The base64 of `{SSHA}`.
    assert!(kept.concat().starts_with("e1NTSEF9"), "{kept:?}");
    let failure = failed(set(&subject, "short").await, FailureKind::Policy);
    assert!(failure.message.contains("too short"), "{failure:?}");
}

#[tokio::test]
#[ignore = "needs slapd: tests/run directories"]
async fn a_password_that_ran_out_is_told_from_a_wrong_one() {
    let subject = Subject::start().await;
    subject
        .create(with_password(account("ada", &[]), GOOD))
        .await
        .unwrap();
    let lasts = |seconds: u32| {
        subject.slapd.tools().apply(&format!(
            "dn: cn=default,ou=policies,dc=example,dc=org\nchangetype: modify\nreplace: pwdMaxAge\npwdMaxAge: {seconds}\n"
        ));
    };
    lasts(1);
    let error = eventually("the password to run out", async || {
        tried(&subject, ada(), GOOD).await.err()
    })
    .await;
    failed::<()>(Err(error), FailureKind::PasswordExpired);
    let wrong = tried(&subject, ada(), "wrong").await;
    failed(wrong, FailureKind::BadCredentials);
    lasts(3600);
    set(&subject, OTHER).await.unwrap();
    tried(&subject, ada(), OTHER).await.unwrap();
}
