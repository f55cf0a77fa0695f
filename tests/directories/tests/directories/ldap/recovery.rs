//! What became of a change of which no answer came, found by looking.

use portcullis_directories::Slapd;
use portcullis_gateway::connector::Context;
use portcullis_gateway::model::{
    Create, Done, Evidence, Look, ObjectClass, ObjectName, ObjectRef, Request, Selector,
};

use super::{Subject, account, ada, context, create, secret, with_password};

const GOOD: &str = "correct horse battery";
const OTHER: &str = "another good phrase";

fn copy(create: &Create) -> Create {
    Create {
        class: create.class,
        name: create.name.clone(),
        attributes: create.attributes.clone(),
        password: create.password.clone(),
        enabled: create.enabled,
    }
}

async fn looked(subject: &Subject, cx: &Context, change: &Request, before: &Evidence) -> Look {
    subject.connector.look(cx, change, before).await.unwrap()
}

#[tokio::test]
#[ignore = "needs slapd: tests/run directories"]
async fn a_marker_tells_whose_new_entry_it_is() {
    let subject = Subject::of(Slapd::start().await, "marker = \"employeeNumber\"");
    let (ours, theirs) = (context(), context());
    let create = with_password(account("ada", &[]), GOOD);
    let change = Request::Create(copy(&create));
    let before = subject.connector.evidence(&ours, &change).await.unwrap();
    assert_eq!(
        looked(&subject, &ours, &change, &before).await,
        Look::NotBegun
    );
    subject.connector.create(&ours, create).await.unwrap();
    let seen = looked(&subject, &ours, &change, &before).await;
    assert!(matches!(seen, Look::Done(done) if matches!(*done, Done::Object(_))));
    let seen = looked(&subject, &theirs, &change, &before).await;
    assert_eq!(seen, Look::NotBegun);
}

#[tokio::test]
#[ignore = "needs slapd: tests/run directories"]
async fn what_may_not_have_the_marker_is_made_without() {
    let subject = Subject::of(Slapd::start().await, "marker = \"employeeNumber\"");
    let (ours, theirs) = (context(), context());
    // groupOfNames knows no employeeNumber.
    let devs = || create(ObjectClass::Group, "devs", &[]);
    let change = Request::Create(devs());
    let before = subject.connector.evidence(&ours, &change).await.unwrap();
    subject.connector.create(&ours, devs()).await.unwrap();
    let seen = looked(&subject, &ours, &change, &before).await;
    assert!(matches!(seen, Look::Done(_)), "{seen:?}");
    let late = subject.connector.evidence(&theirs, &change).await.unwrap();
    let seen = looked(&subject, &theirs, &change, &late).await;
    assert_eq!(seen, Look::NotBegun);
}

#[tokio::test]
#[ignore = "needs slapd: tests/run directories"]
async fn without_one_the_directorys_history_tells_what_was_there_before() {
    let subject = Subject::start().await;
    let change = Request::Create(account("ada", &[]));
    let before = subject
        .connector
        .evidence(&context(), &change)
        .await
        .unwrap();
    assert!(before.fact("contextCSN").is_some(), "{before:?}");
    subject.account("ada").await;
    let seen = looked(&subject, &context(), &change, &before).await;
    assert!(matches!(seen, Look::Done(_)), "{seen:?}");
    let late = subject
        .connector
        .evidence(&context(), &change)
        .await
        .unwrap();
    assert_eq!(
        looked(&subject, &context(), &change, &late).await,
        Look::NotBegun
    );
}

#[tokio::test]
#[ignore = "needs slapd: tests/run directories"]
async fn a_new_password_is_tried_and_a_new_name_is_looked_for_by_id() {
    let subject = Subject::start().await;
    let made = subject
        .create(with_password(account("ada", &[]), GOOD))
        .await
        .unwrap();
    let set = Request::SetPassword(ada(), secret(OTHER));
    let before = subject.connector.evidence(&context(), &set).await.unwrap();
    let before_set = before.clone();
    assert_eq!(
        looked(&subject, &context(), &set, &before).await,
        Look::NotBegun
    );
    subject
        .connector
        .set_password(&context(), ada(), secret(OTHER))
        .await
        .unwrap();
    let seen = looked(&subject, &context(), &set, &before).await;
    assert!(matches!(seen, Look::Done(_)), "{seen:?}");

    let new_name = ObjectName::new("countess").unwrap();
    let rename = Request::Rename(ada(), new_name.clone());
    let before = subject
        .connector
        .evidence(&context(), &rename)
        .await
        .unwrap();
    assert_eq!(
        looked(&subject, &context(), &rename, &before).await,
        Look::NotBegun
    );
    subject
        .connector
        .rename(&context(), ada(), new_name)
        .await
        .unwrap();
    let seen = looked(&subject, &context(), &rename, &before).await;
    assert!(matches!(seen, Look::Done(_)), "{seen:?}");

    let gone = ObjectRef {
        class: ObjectClass::Account,
        by: Selector::Id(made.identity.id),
    };
    let delete = Request::Delete(gone.clone());
    let before = subject
        .connector
        .evidence(&context(), &delete)
        .await
        .unwrap();
    subject.connector.delete(&context(), gone).await.unwrap();
    let seen = looked(&subject, &context(), &delete, &before).await;
    assert!(matches!(seen, Look::Done(_)), "{seen:?}");

    // Nobody is there to get a password; whoever was there before may have got it.
    let seen = looked(&subject, &context(), &set, &before_set).await;
    assert!(matches!(seen, Look::Unclear(_)), "{seen:?}");
    let before = subject.connector.evidence(&context(), &set).await.unwrap();
    let seen = looked(&subject, &context(), &set, &before).await;
    assert_eq!(seen, Look::NotBegun);
}
