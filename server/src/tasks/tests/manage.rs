//! The task that does all of it in order.

use super::super::manage::{Choice, Manage};
use super::*;

fn everything() -> Choice {
    Choice {
        server_key: Some(Some(KeyKind::Aes256)),
        re_encrypt: true,
        gateway_key: true,
        sync: true,
        verify: true,
        delete_unused: false,
    }
}

#[tokio::test]
async fn unused_keys_are_deleted_and_told_after_a_crash_at_any_write() {
    let fixture = Stopped::new(5).await;
    let choice = |re_encrypt| Choice {
        re_encrypt,
        delete_unused: true,
        ..Choice::default()
    };
    let job = async |running: &Running| {
        Job::Manage(Manage::new(&choice(true), &running.work).await.unwrap())
    };
    let check = async |again: &Running, n, ended: Task| {
        let found: Vec<_> = ended.progress.findings.iter().map(|it| it.why).collect();
        assert_eq!(found, [Why::Deleted; 2], "write {n}");
        let current = again.work.keys.keyring().current();
        assert_eq!(again.work.keys.keyring().ids(), [current], "write {n}");
        assert_eq!(again.all_open().await, 13, "write {n}");
    };
    let crashes = crash_at_every_write(&fixture, by_turns, job, check).await;
    assert!(crashes >= 8, "only {crashes} writes were reached");

    // Without re-encryption the key under which values stand is kept, and the report says why.
    let running = fixture.start(None).await;
    let job = Manage::new(&choice(false), &running.work).await.unwrap();
    let task = running.tasks.start(Job::Manage(job), "ada").await.unwrap();
    let ended = running.end_of(task.id).await;
    assert_eq!(ended.state, TaskState::Done, "{:?}", ended.reason);
    let kept = ended
        .progress
        .findings
        .iter()
        .find(|it| it.why == Why::InUse);
    let detail = &kept.unwrap().field;
    assert_eq!(detail, "5 user-password, 3 password-history, 3 queued-call");
    assert_eq!(running.work.keys.keyring().ids().len(), 2);
    assert_eq!(running.all_open().await, 13);
}

async fn with_gateway_key() -> Stopped {
    let running = Stopped::new(5).await.start(None).await;
    let new = crate::keys::gateway_keys::generate(KeyKind::Tdes, clock::now());
    let keys = running.work.repository.gateway_keys();
    keys.rotate(new, None, Replaced::Retired)
        .await
        .unwrap()
        .unwrap();
    running.stop().await
}

/// The actions that the audit log has as done, in order.
async fn actions_done(running: &Running) -> Vec<String> {
    let entries = running.work.repository.audit_entries();
    let entries = entries.scan(0, 1_000).await.unwrap();
    let done = entries.into_iter().filter(|entry| entry.outcome == "done");
    done.map(|entry| entry.action).collect()
}

#[tokio::test]
async fn what_would_be_done_is_told_and_then_done_in_order() {
    let running = with_gateway_key().await.start(None).await;
    let gateway_key = running.work.repository.gateway_keys().current().await;
    let gateway_key = gateway_key.unwrap().unwrap();
    let before = running.work.keys.keyring().current();
    let job = Manage::new(&everything(), &running.work).await.unwrap();
    let (steps, types) = job.plan(&running.work).await.unwrap();
    let names = [
        "generate-server",
        "set-current",
        "re-encrypt",
        "rotate-gateway",
        "sync-gateways",
        "verify",
    ];
    assert_eq!(
        steps.iter().map(|s| s.name.as_str()).collect::<Vec<_>>(),
        names
    );
    // Under a key that is yet to be made, all of them are to be sealed anew: the keys of
    // the audit log and of the rows, and the gateway key, too.
    assert_eq!(types.iter().map(|kind| kind.total).sum::<u64>(), 16);
    assert_eq!(types.len(), ProtectedType::ALL.len());
    assert_eq!(running.work.keys.keyring().ids().len(), 3);

    let task = running.tasks.start(Job::Manage(job), "ada").await.unwrap();
    let ended = running.end_of(task.id).await;
    assert_eq!((ended.state, ended.reason), (TaskState::Done, None));
    assert!(
        ended
            .progress
            .steps
            .iter()
            .all(|s| s.state == StepState::Done)
    );
    let current = running.work.keys.keyring().current();
    assert_ne!(current, before);
    assert_eq!(current.kind(), KeyKind::Aes256);
    assert!(running.under_current().await);
    let now = running.work.repository.gateway_keys().current().await;
    assert_ne!(now.unwrap().unwrap(), gateway_key);
    let done = actions_done(&running).await;
    let expected = [
        "Server/Start",
        "Server/Stop",
        "Server/Start",
        "Keys/GenerateServer",
        "Keys/SetCurrent",
        "Keys/ReEncrypt",
        "Keys/RotateGateway",
        "Keys/SyncGateways",
        "Keys/Verify",
        "Task/manage",
    ];
    assert_eq!(done, expected);
    let none = Manage::new(&Choice::default(), &running.work).await;
    assert!(matches!(none, Err(TaskError::Empty)));
}

#[tokio::test]
async fn a_crash_in_any_step_makes_no_second_key() {
    let fixture = with_gateway_key().await;
    let job = async |running: &Running| {
        Job::Manage(Manage::new(&everything(), &running.work).await.unwrap())
    };
    let check = async |again: &Running, n, _| {
        assert!(again.under_current().await, "write {n}");
        assert_eq!(again.work.keys.keyring().ids().len(), 4, "write {n}");
        let gateway_keys = again.work.repository.gateway_keys().list().await.unwrap();
        assert_eq!(gateway_keys.len(), 2, "write {n}");
    };
    let crashes = crash_at_every_write(&fixture, by_turns, job, check).await;
    assert!(crashes >= 20, "only {crashes} writes were reached");
}
