//! A password of the gateway's own that the directory refuses: calls do not lock its account.

use portcullis_directories::Slapd;
use portcullis_gateway::connector::Inspecting;
use portcullis_gateway::model::{FailureKind, ObjectClass, SyncToken};

use super::*;

const EVERYTHING: Inspecting<'static> = Inspecting {
    changes: true,
    owner_of: None,
};

/// Wrong passwords that the directory counts of the gateway's own entry, and whether it is locked.
fn counted(subject: &Subject) -> (usize, usize) {
    let tools = subject.slapd.tools();
    let count = |attribute| tools.values(Slapd::GATEWAY, attribute).len();
    (count("pwdFailureTime"), count("pwdAccountLockedTime"))
}

async fn sync(subject: &Subject) -> Result<SyncToken, CallError> {
    let (sender, mut changes) = mpsc::channel(16);
    let mut sent = portcullis_gateway::connector::Changes::new(sender);
    let cx = context();
    let token = SyncToken::default();
    let syncing = subject
        .connector
        .sync(&cx, ObjectClass::Account, &token, &mut sent);
    let synced = syncing.await;
    changes.close();
    synced
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs slapd: tests/run directories"]
async fn a_wrong_password_of_its_own_is_tried_once_and_a_right_one_at_once() {
    let subject = Subject::start().await;
    let put = |password: &str| subject.slapd.site().file("password", 0o600, password);
    put("not-the-secret\n");
    let at_once = (0..12).map(|_| subject.get(ada()));
    for got in futures_util::future::join_all(at_once).await {
        let failure = failed(got, FailureKind::Unavailable);
        assert!(
            failure.message.contains("its password is wrong"),
            "{failure:?}"
        );
    }
    assert_eq!(counted(&subject), (1, 0));
    // Neither who follows changes nor who asks at once for another try locks it.
    for _ in 0..4 {
        failed(sync(&subject).await, FailureKind::Unavailable);
        let tested = subject.connector.test(&context()).await;
        let failure = failed(tested, FailureKind::Unavailable);
        assert!(
            failure.message.contains("is tried again only in"),
            "{failure:?}"
        );
        assert!(!failure.message.contains("not-the-secret"), "{failure:?}");
    }
    assert_eq!(counted(&subject), (1, 0));
    let faults = subject.connector.inspect(EVERYTHING).faults;
    assert!(
        faults.len() == 1 && faults[0].contains(Slapd::GATEWAY),
        "{faults:?}"
    );

    put("gateway-secret\n");
    subject.account("ada").await;
    subject.get(ada()).await.unwrap();
    assert_eq!(counted(&subject), (0, 0));
    assert!(subject.connector.inspect(EVERYTHING).faults.is_empty());
}
