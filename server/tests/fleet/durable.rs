//! Calls of which nobody knows what came: looked at, tried again, joined and acknowledged.

use std::time::Duration;

use portcullis_host::clock;
use portcullis_proto::gateway::v1::call::Verb;
use portcullis_proto::gateway::v1::object_ref::By;
use portcullis_proto::gateway::v1::outcome::Result as Came;
use portcullis_proto::gateway::v1::{
    Call, Done, Failure, FailureKind, Indeterminate, ObjectClass, ObjectRef, Outcome, Run, Secret,
    SetPassword,
};
use portcullis_server::audit::{self, Draft, Subject};
use portcullis_server::fleet::Attempt;
use portcullis_server::provisioning::direct::{self, Direct};
use portcullis_server::provisioning::entry::CallEntry;
use portcullis_server::provisioning::queue::QueueError;
use portcullis_server::provisioning::{DispatchError, Resolution, resolve, retry};
use portcullis_server::repository::{
    AlarmKind, PasswordPolicy, QueuedCall, QueuedState, SeenJournal,
};
use prost::Message as _;
use tokio::time::timeout;

use crate::queue::Fixture;
use crate::support::gateway::{ANSWERS, CUTS};
use crate::support::{PATIENCE, call};

fn failed(kind: FailureKind) -> Came {
    Came::Failed(Failure {
        kind: kind.into(),
        message: "why".to_owned(),
        ..Failure::default()
    })
}

impl Fixture {
    async fn row(&self, id: &str) -> QueuedCall {
        let calls = self.server.repository.queued_calls();
        calls.find(id).await.unwrap().unwrap()
    }

    async fn came_to(&self, id: &str) -> Option<Came> {
        let stored = self.row(id).await.outcome?;
        Outcome::decode(stored.as_slice()).unwrap().result
    }

    /// As its caller waits for it: the action `what`.
    async fn direct(&self, id: &str, resource: &str, what: &str) -> Result<Outcome, DispatchError> {
        let provisioning = &self.server.services.provisioning;
        let draft = || {
            let outcome = audit::Outcome::Unknown;
            Draft::new(Subject::server(), "call run", resource, outcome)
        };
        let entry = CallEntry::ready(&provisioning.audit, draft).await.unwrap();
        let run = Verb::Run(Run {
            action: what.to_owned(),
            ..Run::default()
        });
        let direct = Direct {
            resource: resource.to_owned(),
            call: Call {
                verb: Some(run),
                ..call(id, "")
            },
            from_user: None,
        };
        direct::carry_out(provisioning, direct, entry).await
    }

    async fn wait(&self, what: &str, done: impl Fn() -> bool) {
        let wait = async {
            while !done() {
                // Nothing tells when the gateway was told.
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        assert!(timeout(PATIENCE, wait).await.is_ok(), "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_look_finds_not_begun_is_begun_again_as_another_attempt_and_acknowledged() {
    let fixture = Fixture::start().await;
    fixture.gateway.keep_journal(1, 1);
    fixture.gateway.finds("x", failed(FailureKind::NotBegun));
    fixture.run();
    fixture.enqueue_change("x", CUTS).await.unwrap();
    let done = Came::Done(Done::default());
    fixture.gateway.finds("x~2", done);
    fixture.bring_up().await;
    // The second attempt is cut, too, and a look finds it done.
    fixture.until("x", QueuedState::Done).await;
    assert_eq!(fixture.row("x").await.attempt, 2);
    let told = || fixture.gateway.acknowledged() == ["x", "x~2"];
    fixture.wait("acknowledged", told).await;
    // Else it would forget outcomes that the server has not got.
    assert!(fixture.gateway.promised());
    let looked = fixture.gateway.looked();
    assert_eq!(looked, [("x".to_owned(), false), ("x~2".to_owned(), false)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_too_late_to_be_begun_is_sent_again_as_another_attempt() {
    let fixture = Fixture::start().await;
    fixture.gateway.keep_journal(1, 1);
    fixture.gateway.finds_late(1);
    fixture.run();
    fixture.enqueue_change("x", ANSWERS).await.unwrap();
    fixture.bring_up().await;
    fixture.until("x", QueuedState::Done).await;
    assert_eq!(fixture.row("x").await.attempt, 2);
    assert_eq!(fixture.gateway.carried_out(), ["x~2"]);
    assert!(fixture.gateway.looked().is_empty());
}

/// Nobody makes a call: what was put back is told all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_journal_that_was_put_back_is_told_as_soon_as_there_is_a_link() {
    let fixture = Fixture::start().await;
    fixture.gateway.keep_journal(1, 9);
    fixture.run();
    fixture.bring_up().await;
    let up = || fixture.server.fleet.status("host1").is_some();
    fixture.wait("up", up).await;
    let gateways = fixture.server.repository.gateways();
    let session = fixture.server.fleet.status("host1").unwrap().session;
    let seen = SeenJournal {
        incarnation: vec![1; 16],
        sequence: 9,
    };
    let known = gateways.see_journal(session.gateway_id, seen, clock::now());
    assert!(!known.await.unwrap().was_lost);
    fixture.gateway.keep_journal(1, 4);
    fixture.gateway.cut();
    let alarm = async {
        loop {
            let alarms = gateways.alarms(Some("host1"), false).await.unwrap();
            if let Some(alarm) = alarms.into_iter().next() {
                return alarm;
            }
            // What is stored changes without notice.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let alarm = timeout(PATIENCE, alarm).await.unwrap();
    assert_eq!((alarm.kind, alarm.count), (AlarmKind::JournalLost, 1));
}

/// It was not set: its own first attempt is no earlier use of the password.
#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_was_not_set_is_not_remembered_before_it_is_tried_again() {
    let fixture = Fixture::start().await;
    let policy = PasswordPolicy {
        account_history: 5,
        ..PasswordPolicy::default()
    };
    let policies = fixture.server.repository.password_policy();
    policies.set(policy).await.unwrap();
    fixture.gateway.keep_journal(1, 1);
    fixture.gateway.finds("x", failed(FailureKind::NotBegun));
    fixture.gateway.finds("x~2", Came::Done(Done::default()));
    fixture.run();
    let set = |id| Call {
        verb: Some(Verb::SetPassword(SetPassword {
            object: Some(ObjectRef {
                object_class: ObjectClass::Account.into(),
                by: Some(By::Name("ada".to_owned())),
                ..ObjectRef::default()
            }),
            password: Some(Secret::plain(b"Correct-Horse-41".to_vec())),
        })),
        ..call(id, "")
    };
    fixture.enqueue_call(set("x"), CUTS).await.unwrap();
    fixture.bring_up().await;
    fixture.until("x", QueuedState::Done).await;
    assert_eq!(fixture.row("x").await.attempt, 2);
    // Now it has been used.
    let again = fixture.enqueue_call(set("again"), CUTS).await;
    assert!(matches!(again, Err(QueueError::Password(_))), "{again:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_look_cannot_tell_is_indeterminate_with_what_was_seen_and_a_person_settles_it() {
    let fixture = Fixture::start().await;
    fixture.gateway.keep_journal(1, 1);
    let unclear = |look_again| {
        Came::Indeterminate(Indeterminate {
            message: "who made it is not told".to_owned(),
            evidence: vec!["it was absent before".to_owned()],
            look_again,
        })
    };
    fixture.gateway.finds("x", unclear(true));
    fixture.run();
    fixture.enqueue_change("x", CUTS).await.unwrap();
    fixture.bring_up().await;
    let looked = || !fixture.gateway.looked().is_empty();
    fixture.wait("looked at", looked).await;
    fixture.until("x", QueuedState::Unknown).await;
    // While nobody knows, no other call goes to the object.
    fixture.enqueue_change("next", CUTS).await.unwrap();
    let calls = fixture.server.repository.queued_calls();
    assert!(!calls.is_turn("next").await.unwrap());
    fixture.gateway.finds("x", unclear(false));
    fixture.gateway.finds("next", Came::Done(Done::default()));
    fixture.until("x", QueuedState::Indeterminate).await;
    let Some(Came::Indeterminate(it)) = fixture.came_to("x").await else {
        panic!("not indeterminate");
    };
    assert_eq!(it.evidence, ["it was absent before"]);
    fixture.until("next", QueuedState::Done).await;

    let services = &fixture.server.services;
    let again = retry(&services.queue, "x", &Default::default())
        .await
        .unwrap();
    assert_eq!(again.retry_of.as_deref(), Some("x"));
    let settled = resolve(
        &services.provisioning,
        "x",
        Resolution::Done,
        "alice",
        "seen on host1",
    );
    assert_eq!(settled.await.unwrap().state, QueuedState::Done);
    let provisioning = &services.provisioning;
    let known = resolve(provisioning, "x", Resolution::Failed, "alice", "no");
    assert!(known.await.is_err());
    assert!(
        retry(&services.queue, "x", &Default::default())
            .await
            .is_err()
    );
}

/// Its gateway was there, and the resource was not.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_gateway_could_not_look_at_when_it_answered_is_looked_at_later() {
    let fixture = Fixture::start().await;
    fixture.gateway.keep_journal(1, 1);
    fixture.run();
    fixture.bring_up().await;
    let not_now = Came::Indeterminate(Indeterminate {
        message: "the resource could not be looked at".to_owned(),
        look_again: true,
        ..Indeterminate::default()
    });
    fixture.gateway.next_comes_to(not_now.clone());
    fixture.gateway.finds("x", Came::Done(Done::default()));
    fixture.enqueue_change("x", ANSWERS).await.unwrap();
    fixture.until("x", QueuedState::Done).await;

    fixture.gateway.next_comes_to(not_now);
    fixture.gateway.finds("y", failed(FailureKind::NotBegun));
    // For now, nobody knows.
    let told = fixture.direct("y", ANSWERS, "what").await.unwrap().result;
    assert!(matches!(told, Some(Came::Indeterminate(_))), "{told:?}");
    fixture.until("y", QueuedState::Failed).await;
    let looked = fixture.gateway.looked();
    assert_eq!(looked, [("x".to_owned(), false), ("y".to_owned(), false)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_failed_for_the_moment_is_tried_again_after_a_while_and_says_when() {
    let fixture = Fixture::start().await;
    fixture.gateway.keep_journal(1, 1);
    fixture.gateway.next_comes_to(failed(FailureKind::Busy));
    fixture.gateway.next_comes_to(failed(FailureKind::Rejected));
    fixture.run();
    fixture.enqueue_change("x", ANSWERS).await.unwrap();
    fixture.bring_up().await;
    let waits = async {
        loop {
            let row = fixture.row("x").await;
            if row.next.is_some() {
                return row;
            }
            // What is stored changes without notice.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let row = timeout(PATIENCE, waits).await.unwrap();
    assert_eq!((row.state, row.attempt), (QueuedState::Waiting, 2));
    assert!(
        matches!(fixture.came_to("x").await, Some(Came::Failed(it)) if it.kind() == FailureKind::Busy)
    );
    fixture.until("x", QueuedState::Failed).await;
    assert!(
        matches!(fixture.came_to("x").await, Some(Came::Failed(it)) if it.kind() == FailureKind::Rejected)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_direct_call_has_its_one_outcome_whoever_asks_again() {
    let fixture = Fixture::start().await;
    fixture.gateway.keep_journal(1, 1);
    fixture.run();
    fixture.bring_up().await;
    let up = || fixture.server.fleet.status("host1").is_some();
    fixture.wait("up", up).await;
    // Its caller is told that nobody knows for now.
    let lost = fixture.direct("lost", CUTS, "a").await.unwrap();
    assert!(matches!(lost.result, Some(Came::Indeterminate(_))));
    fixture.gateway.finds("lost", Came::Done(Done::default()));
    fixture.until("lost", QueuedState::Done).await;
    let again = fixture.direct("lost", CUTS, "a").await.unwrap();
    assert!(matches!(again.result, Some(Came::Done(_))), "{again:?}");
    assert_eq!(fixture.gateway.calls(), 1);
    let other = fixture.direct("lost", CUTS, "b").await.unwrap_err();
    assert!(
        matches!(&other, DispatchError::OtherCall { differs, .. } if differs.contains("run, action a")),
        "{other}"
    );
    // What was refused is the word on it; what found no room is tried again.
    fixture.wait("up", up).await;
    for (id, kind, again) in [
        ("refused", FailureKind::Rejected, false),
        ("busy", FailureKind::Busy, true),
    ] {
        fixture.gateway.next_comes_to(failed(kind));
        let first = fixture.direct(id, ANSWERS, id).await.unwrap();
        assert_eq!(first.result, Some(failed(kind)));
        let second = fixture.direct(id, ANSWERS, id).await.unwrap();
        let done = matches!(second.result, Some(Came::Done(_)));
        assert_eq!(done, again, "{second:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_failed_for_the_moment_is_tried_again_also_where_that_is_learnt_later() {
    let fixture = Fixture::start().await;
    fixture.gateway.keep_journal(1, 1);
    let busy = failed(FailureKind::Unavailable);
    fixture.gateway.remember_end("x", Some(busy), 0);
    fixture.gateway.finds("x~2", Came::Done(Done::default()));
    fixture.run();
    fixture.enqueue_change("x", CUTS).await.unwrap();
    fixture.bring_up().await;
    fixture.until("x", QueuedState::Done).await;
    assert_eq!(fixture.gateway.carried_out(), ["x", "x~2"]);
}

/// Under the first attempt's id it would be looked for under another one later, and be begun twice.
#[tokio::test(flavor = "multi_thread")]
async fn a_later_attempt_goes_only_to_a_gateway_that_has_said_by_which_id_it_knows_it() {
    let fixture = Fixture::start().await;
    fixture.gateway.keep_journal(1, 1);
    fixture.gateway.set_silent(true);
    fixture.run();
    fixture.bring_up().await;
    let up = || fixture.server.fleet.status("host1").is_some();
    fixture.wait("up", up).await;
    fixture
        .gateway
        .next_comes_to(failed(FailureKind::Unavailable));
    for _ in 0..2 {
        let outcome = fixture.direct("x", ANSWERS, "a").await.unwrap();
        let kind = match &outcome.result {
            Some(Came::Failed(failure)) => failure.kind(),
            other => panic!("{other:?}"),
        };
        assert_eq!(kind, FailureKind::Unavailable);
    }
    assert_eq!(fixture.gateway.carried_out(), [""; 0]);
    fixture.gateway.set_silent(false);
    let done = fixture.direct("x", ANSWERS, "a").await.unwrap();
    assert!(matches!(done.result, Some(Came::Done(_))), "{done:?}");
    assert_eq!(fixture.gateway.carried_out(), ["x~3"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_goes_to_no_gateway_that_keeps_no_journal() {
    let fixture = Fixture::start().await;
    fixture.run();
    fixture.bring_up().await;
    let fleet = &fixture.server.fleet;
    let up = || fleet.status("host1").is_some();
    fixture.wait("up", up).await;
    let look = Call {
        look: true,
        verb: Some(Verb::Run(Run::default())),
        ..call("x", ANSWERS)
    };
    for silent in [true, false] {
        fixture.gateway.set_silent(silent);
        let came = fleet.attempt(&"host1".into(), look.clone()).await.unwrap();
        assert!(matches!(came, Attempt::Unsent(_)));
    }
    assert_eq!(fixture.gateway.looked(), []);
    assert_eq!(fixture.gateway.calls(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_that_is_another_one_is_an_alarm_and_the_look_knows_it() {
    let fixture = Fixture::start().await;
    fixture.gateway.keep_journal(1, 5);
    fixture.run();
    fixture.bring_up().await;
    fixture.enqueue_change("first", ANSWERS).await.unwrap();
    let told = || fixture.gateway.acknowledged() == ["first"];
    fixture.wait("acknowledged", told).await;
    let unclear = |look_again| {
        Came::Indeterminate(Indeterminate {
            look_again,
            ..Indeterminate::default()
        })
    };
    fixture.gateway.finds("x", unclear(true));
    fixture.enqueue_change("x", CUTS).await.unwrap();
    fixture.until("x", QueuedState::Unknown).await;
    fixture.gateway.keep_journal(2, 9);
    fixture.gateway.cut();
    // A look over the link before that would have ended it.
    fixture.gateway.finds("x", unclear(false));
    fixture.until("x", QueuedState::Indeterminate).await;
    assert_eq!(
        fixture.gateway.looked().last(),
        Some(&("x".to_owned(), true))
    );
    let gateways = fixture.server.repository.gateways();
    let alarms = gateways.find("host1").await.unwrap().unwrap().alarms;
    assert!(
        alarms
            .iter()
            .any(|alarm| alarm.kind.name() == "journal-lost")
    );
    let entries = fixture.server.repository.audit_entries();
    let entries = entries.scan(0, 1_000).await.unwrap();
    assert!(
        entries
            .iter()
            .any(|entry| entry.action == "Gateway/Alarm" && entry.detail.contains("journal"))
    );
}
