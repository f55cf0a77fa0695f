//! A directory that can be read and takes no changes: full, or open for reading alone.

use portcullis_directories::{Setup, Slapd};
use portcullis_gateway::model::{FailureKind, ObjectClass, Operation, Value};

use super::{Subject, account, ada, failed, named, text};

async fn with(settings: &str) -> Subject {
    let setup = Setup {
        settings: settings.to_owned(),
        ..Setup::default()
    };
    Subject::of(Slapd::start_with(setup).await, "")
}

#[tokio::test]
#[ignore = "needs slapd: tests/run directories"]
async fn a_directory_that_is_full_refuses_a_change_whole_and_is_read_on() {
    let subject = with("maxsize 4194304\n").await;
    subject.account("ada").await;
    let mut refused = None;
    for number in 0..8 {
        let photo = Value::Binary(vec![0xff; 1 << 20]);
        let name = format!("p{number}");
        let made = account(&name, &[("jpegPhoto", photo)]);
        if let Err(error) = subject.create(made).await {
            refused = Some((name, error));
            break;
        }
    }
    let (name, error) = refused.unwrap();
    let failure = failed::<()>(Err(error), FailureKind::Rejected);
    assert_eq!(failure.native.as_ref().unwrap().code(), "80", "{failure:?}");
    failed(
        subject.get(named(ObjectClass::Account, &name)).await,
        FailureKind::NotFound,
    );
    subject.get(ada()).await.unwrap();
}

#[tokio::test]
#[ignore = "needs slapd: tests/run directories"]
async fn a_directory_that_is_read_only_says_so_to_each_change() {
    let mut subject = with("").await;
    subject.account("ada").await;
    subject.slapd.kill();
    subject.slapd.append("readonly on\n");
    subject.slapd.restart().await;
    subject.get(ada()).await.unwrap();
    let failures = [
        failed(
            subject.create(account("eve", &[])).await,
            FailureKind::Rejected,
        ),
        failed(
            subject
                .update(ada(), Operation::Replace, "description", &[text("x")])
                .await,
            FailureKind::Rejected,
        ),
        failed(
            subject.connector.delete(&super::context(), ada()).await,
            FailureKind::Rejected,
        ),
    ];
    for failure in failures {
        assert_eq!(failure.native.as_ref().unwrap().code(), "53");
        assert!(failure.message.contains("restricted"), "{failure:?}");
    }
    subject.get(ada()).await.unwrap();
}
