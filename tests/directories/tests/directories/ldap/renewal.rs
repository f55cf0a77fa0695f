//! The gateway's own password, changed by itself.

use portcullis_directories::Slapd;
use portcullis_gateway::connector::Context;
use portcullis_gateway::model::{CallError, Evidence, FailureKind, Get, Look, Request, Rotation};

use super::{Subject, ada, connector, context, failed, secret};

const OLD: &str = Slapd::GATEWAY_PASSWORD;
const NEW: &str = "a-long-and-random-new-Passw0rd";

fn given(password: &str) -> Context {
    let setting = ("bind_password".to_owned(), secret(password));
    Context {
        secret_settings: [setting].into(),
        ..context()
    }
}

fn to(password: &str) -> Rotation {
    Rotation {
        setting: "bind_password".to_owned(),
        password: secret(password),
    }
}

async fn rotate(subject: &Subject, from: &str, password: &str) -> Result<(), CallError> {
    let connector = &subject.connector;
    connector.rotate_password(&given(from), to(password)).await
}

async fn read(subject: &Subject, password: &str) -> Result<(), CallError> {
    let get = Get {
        object: ada(),
        attributes: Vec::new(),
    };
    let got = subject.connector.get(&given(password), &get).await;
    got.map(drop)
}

async fn look(subject: &Subject, from: &str, password: &str) -> Look {
    let change = Request::RotatePassword(to(password));
    let cx = given(from);
    let nothing = Evidence::default();
    let seen = subject.connector.look(&cx, &change, &nothing).await;
    seen.unwrap()
}

/// Wrong passwords that the directory counts of the gateway's own entry.
fn wrong(subject: &Subject) -> usize {
    let tools = subject.slapd.tools();
    tools.values(Slapd::GATEWAY, "pwdFailureTime").len()
}

#[tokio::test]
#[ignore = "needs slapd: tests/run directories"]
async fn the_gateway_goes_on_by_its_new_password_and_so_does_a_call_that_is_late() {
    let subject = Subject::start().await;
    subject.account("ada").await;
    read(&subject, OLD).await.unwrap();
    let short = failed(rotate(&subject, OLD, "short").await, FailureKind::Policy);
    assert!(short.message.contains("too short"), "{short:?}");
    read(&subject, OLD).await.unwrap();
    rotate(&subject, OLD, NEW).await.unwrap();
    let bind = |password| subject.slapd.tools().bound_as(Slapd::GATEWAY, password);
    assert!(bind(NEW).bind().status.success());
    // Calls that were sent before do not try the old one, which would be counted.
    for password in [OLD, NEW, OLD] {
        read(&subject, password).await.unwrap();
    }
    assert_eq!(wrong(&subject), 0);
}

#[tokio::test]
#[ignore = "needs slapd: tests/run directories"]
async fn a_look_tries_the_new_one_and_then_the_old_one_and_locks_nobody_out() {
    let subject = Subject::start().await;
    subject.account("ada").await;
    // More often than the policy would let anybody be wrong.
    for _ in 0..4 {
        assert_eq!(look(&subject, OLD, NEW).await, Look::NotBegun);
        assert_eq!(wrong(&subject), 0, "the right one ends the count");
    }
    rotate(&subject, OLD, NEW).await.unwrap();
    let connector = connector(&subject.slapd, &[subject.slapd.url()], "");
    let restarted = Subject {
        connector,
        ..subject
    };
    let seen = look(&restarted, OLD, NEW).await;
    assert!(matches!(seen, Look::Done(_)), "{seen:?}");
    read(&restarted, OLD).await.unwrap();
    assert_eq!(wrong(&restarted), 0);
    let seen = look(&restarted, "neither-this-one", "nor-that-one").await;
    assert!(matches!(seen, Look::Unclear(_)), "{seen:?}");
}

#[tokio::test]
#[ignore = "needs slapd: tests/run directories"]
async fn a_password_that_lies_in_a_file_is_not_changed() {
    let subject = Subject::start().await;
    subject.account("ada").await;
    let by_file = subject.connector.rotate_password(&context(), to(NEW)).await;
    let refused = failed(by_file, FailureKind::Unsupported);
    assert!(
        refused.message.contains("bind_password_file"),
        "{refused:?}"
    );
    let other = Rotation {
        setting: "another".to_owned(),
        ..to(NEW)
    };
    let other = subject.connector.rotate_password(&given(OLD), other).await;
    failed(other, FailureKind::Invalid);
    read(&subject, OLD).await.unwrap();
}
