//! Calls that are carried out once, and looked for where nobody saw their end.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Semaphore;
use tonic::async_trait;

use super::*;
use crate::connector::{Connector, Context};
use crate::connectors::{Configured, Connectors};
use crate::guard::GuardRails;
use crate::model::{
    CallError, Done, FailureKind, GuardDefaults, Look, ObjectClass, ObjectRef, Request, Roles,
    Schema, Verb,
};
use crate::moment;
use crate::state_dir::StateDir;

/// How a change ends, and what a look afterwards sees.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Done,
    Fails,
    /// No answer comes.
    Lost(Seen),
    /// It never ends.
    Hangs(Seen),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Seen {
    Done,
    NotBegun,
    Unclear,
    Down,
}

/// A resource of which only the fate of the next change is known.
#[derive(Debug)]
struct Resource {
    fate: Mutex<Fate>,
    changes: AtomicUsize,
    begun: Semaphore,
    open: Semaphore,
}

impl Resource {
    fn new(fate: Fate) -> Arc<Self> {
        Arc::new(Self {
            fate: Mutex::new(fate),
            changes: AtomicUsize::new(0),
            begun: Semaphore::new(0),
            open: Semaphore::new(0),
        })
    }

    fn fate(&self) -> Fate {
        *self.fate.lock().unwrap()
    }

    fn set(&self, fate: Fate) {
        *self.fate.lock().unwrap() = fate;
    }

    fn changes(&self) -> usize {
        self.changes.load(Ordering::SeqCst)
    }
}

#[derive(Debug)]
struct Fated(Arc<Resource>);

#[async_trait]
impl Connector for Fated {
    fn kind(&self) -> &'static str {
        "fated"
    }

    fn verbs(&self, _: ObjectClass) -> Vec<Verb> {
        vec![Verb::Delete]
    }

    fn roles(&self) -> Roles<'_> {
        Roles::NONE
    }

    async fn test(&self, _: &Context) -> Result<String, CallError> {
        Ok("ready".to_owned())
    }

    async fn schema(&self, _: &Context) -> Result<Schema, CallError> {
        Ok(Schema::default())
    }

    async fn delete(&self, _: &Context, _: ObjectRef) -> Result<Option<String>, CallError> {
        self.0.changes.fetch_add(1, Ordering::SeqCst);
        self.0.begun.add_permits(1);
        match self.0.fate() {
            Fate::Done => Ok(Some("left behind".to_owned())),
            Fate::Fails => Err(Failure::rejected("no").into()),
            Fate::Lost(_) => Err(CallError::Indeterminate("the link was cut".to_owned())),
            Fate::Hangs(_) => {
                self.0.open.acquire().await.unwrap().forget();
                Ok(None)
            }
        }
    }

    async fn evidence(&self, _: &Context, _: &Request) -> Result<Evidence, CallError> {
        let mut evidence = Evidence::default();
        evidence.note("id", "7");
        Ok(evidence)
    }

    async fn look(&self, _: &Context, _: &Request, before: &Evidence) -> Result<Look, CallError> {
        let (Fate::Lost(seen) | Fate::Hangs(seen)) = self.0.fate() else {
            panic!("nothing to look for");
        };
        match seen {
            Seen::Done => Ok(Look::Done(Box::new(Done::Nothing))),
            Seen::NotBegun => Ok(Look::NotBegun),
            Seen::Unclear => Ok(Look::Unclear(vec![format!(
                "it was {:?}",
                before.fact("id")
            )])),
            Seen::Down => Err(Failure::unavailable("it is down").into()),
        }
    }
}

const SERVER: ServerId = ServerId::from_array([1; 16]);

fn provisioner(resource: &Arc<Resource>, journal: Journal) -> Provisioner {
    let configured = Configured {
        connector: Arc::new(Fated(Arc::clone(resource))),
        guard_rails: Arc::new(GuardRails::defaults("fated", &GuardDefaults::NOTHING)),
    };
    let connectors = Connectors::default().with("fated", configured);
    Provisioner::with_journal(&connectors, 8, Duration::from_secs(60), journal)
}

fn delete(name: &str) -> wire::Call {
    wire::Call {
        call_id: "call-1".into(),
        connector: "fated".into(),
        verb: Some(wire::call::Verb::Delete(wire::Delete {
            object: Some(wire::ObjectRef {
                object_class: wire::ObjectClass::Account.into(),
                by: Some(wire::object_ref::By::Name(name.into())),
                ..wire::ObjectRef::default()
            }),
        })),
        ..wire::Call::default()
    }
}

fn look(name: &str) -> wire::Call {
    wire::Call {
        look: true,
        ..delete(name)
    }
}

/// An outcome in a few words.
fn word(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Done(Done::Report(report)) => format!("done: {report}"),
        Outcome::Done(_) => "done".to_owned(),
        Outcome::Failed(failure) => format!("failed: {}", failure.kind),
        Outcome::Indeterminate(why) if why.look_again => "look again".to_owned(),
        Outcome::Indeterminate(why) => format!("indeterminate: {}", why.evidence.join(", ")),
    }
}

#[tokio::test]
async fn a_call_is_carried_out_once_however_often_it_comes() {
    let resource = Resource::new(Fate::Done);
    let provisioner = provisioner(&resource, Journal::in_memory());
    for _ in 0..3 {
        let outcome = provisioner.execute_for(SERVER, delete("ada")).await;
        assert_eq!(word(&outcome), "done: left behind");
        let outcome = provisioner.execute_for(SERVER, look("ada")).await;
        assert_eq!(word(&outcome), "done: left behind");
    }
    assert_eq!(resource.changes(), 1);
    // Another content under the same id is none of it.
    let other = provisioner.execute_for(SERVER, delete("eve")).await;
    assert_eq!(word(&other), "failed: invalid");
    let other = provisioner.execute_for(SERVER, look("eve")).await;
    assert_eq!(word(&other), "indeterminate: ");
    assert_eq!(resource.changes(), 1);
    // Another server's call is another call.
    let server = ServerId::from_array([2; 16]);
    provisioner.execute_for(server, delete("ada")).await;
    assert_eq!(resource.changes(), 2);
}

#[tokio::test]
async fn what_failed_changed_nothing_and_is_tried_again() {
    let resource = Resource::new(Fate::Fails);
    let provisioner = provisioner(&resource, Journal::in_memory());
    let outcome = provisioner.execute_for(SERVER, delete("ada")).await;
    assert_eq!(word(&outcome), "failed: rejected");
    let outcome = provisioner.execute_for(SERVER, look("ada")).await;
    assert_eq!(word(&outcome), "failed: rejected");
    assert_eq!(resource.changes(), 1);
    resource.set(Fate::Done);
    let outcome = provisioner.execute_for(SERVER, delete("ada")).await;
    assert_eq!(word(&outcome), "done: left behind");
}

#[tokio::test]
async fn a_second_caller_joins_the_call_under_way() {
    let resource = Resource::new(Fate::Hangs(Seen::Unclear));
    let provisioner = provisioner(&resource, Journal::in_memory());
    let calls = [delete("ada"), delete("ada"), look("ada")].map(|call| {
        let provisioner = provisioner.clone();
        tokio::spawn(async move { provisioner.execute_for(SERVER, call).await })
    });
    resource.begun.acquire().await.unwrap().forget();
    let unknown = provisioner.finished(SERVER, &["call-1".to_owned()]);
    assert_eq!(unknown[0].outcome.as_ref().unwrap().result, None);
    resource.open.add_permits(1);
    for call in calls {
        assert_eq!(word(&call.await.unwrap()), "done");
    }
    assert_eq!(resource.changes(), 1);
}

#[tokio::test]
async fn a_change_without_an_answer_is_looked_at_before_it_is_indeterminate() {
    for (seen, expected, later) in [
        (Seen::Done, "done", "done"),
        (Seen::NotBegun, "failed: unavailable", "failed: unavailable"),
        (
            Seen::Unclear,
            "indeterminate: before the call: id = 7, it was Some(\"7\")",
            "done",
        ),
        (Seen::Down, "look again", "done"),
    ] {
        let resource = Resource::new(Fate::Lost(seen));
        let provisioner = provisioner(&resource, Journal::in_memory());
        let outcome = provisioner.execute_for(SERVER, delete("ada")).await;
        assert_eq!(word(&outcome), expected, "{seen:?}");
        resource.set(Fate::Lost(Seen::Done));
        let outcome = provisioner.execute_for(SERVER, look("ada")).await;
        assert_eq!(word(&outcome), later, "{seen:?}");
        assert_eq!(resource.changes(), 1);
    }
}

/// The gateway ends, as by `kill -9`, while the connector works.
async fn interrupted(seen: Seen, folder: &StateDir) -> (Arc<Resource>, Provisioner) {
    let resource = Resource::new(Fate::Hangs(seen));
    let journal = Journal::open(folder, crate::journal::Settings::default());
    let former = provisioner(&resource, journal);
    let call = tokio::spawn({
        let former = former.clone();
        async move { former.execute_for(SERVER, delete("ada")).await }
    });
    resource.begun.acquire().await.unwrap().forget();
    former.journal().close().await;
    call.abort();
    let journal = Journal::open(folder, crate::journal::Settings::default());
    (Arc::clone(&resource), provisioner(&resource, journal))
}

#[tokio::test]
async fn what_an_earlier_run_began_is_looked_at_and_never_begun_again() {
    for (seen, expected) in [
        (Seen::Done, "done"),
        (Seen::NotBegun, "failed: not-begun"),
        (
            Seen::Unclear,
            "indeterminate: before the call: id = 7, it was Some(\"7\")",
        ),
        (Seen::Down, "look again"),
    ] {
        for again in [look("ada"), delete("ada")] {
            let folder = tempfile::tempdir().unwrap();
            let folder = StateDir::new(&folder.path().join("state"));
            let (resource, provisioner) = interrupted(seen, &folder).await;
            let found = provisioner.finished(SERVER, &["call-1".to_owned()]);
            assert!(found[0].unseen);
            let outcome = provisioner.execute_for(SERVER, again).await;
            assert_eq!(word(&outcome), expected, "{seen:?}");
            assert_eq!(resource.changes(), 1, "{seen:?}");
            let outcome = provisioner.execute_for(SERVER, delete("ada")).await;
            assert_eq!(word(&outcome), expected, "{seen:?}");
            assert_eq!(resource.changes(), 1, "{seen:?}");
        }
    }
}

#[tokio::test]
async fn a_call_that_a_look_did_not_find_is_not_begun_any_more() {
    let resource = Resource::new(Fate::Done);
    let provisioner = provisioner(&resource, Journal::in_memory());
    for call in [look("ada"), delete("ada"), look("ada")] {
        let outcome = provisioner.execute_for(SERVER, call).await;
        assert_eq!(word(&outcome), "failed: not-begun");
    }
    assert_eq!(resource.changes(), 0);
}

#[tokio::test]
async fn where_the_journal_was_lost_the_resource_is_looked_at_in_any_case() {
    let resource = Resource::new(Fate::Lost(Seen::Unclear));
    let provisioner = provisioner(&resource, Journal::in_memory());
    let lost = || wire::Call {
        journal_lost: true,
        ..look("ada")
    };
    let outcome = provisioner.execute_for(SERVER, lost()).await;
    assert_eq!(word(&outcome), "indeterminate: it was None");
    let outcome = provisioner.execute_for(SERVER, delete("ada")).await;
    assert_eq!(word(&outcome), "failed: forgotten");
    resource.set(Fate::Lost(Seen::Done));
    let outcome = provisioner.execute_for(SERVER, lost()).await;
    assert_eq!(word(&outcome), "done");
    assert_eq!(resource.changes(), 0);
}

#[tokio::test]
async fn a_call_that_only_reads_is_not_looked_for() {
    let resource = Resource::new(Fate::Done);
    let provisioner = provisioner(&resource, Journal::in_memory());
    let mut test = wire::Call {
        verb: Some(wire::call::Verb::Test(wire::Test {})),
        ..look("ada")
    };
    let outcome = provisioner.execute_for(SERVER, test.clone()).await;
    assert_eq!(word(&outcome), "failed: invalid");
    test.look = false;
    let outcome = provisioner.execute_for(SERVER, test).await;
    assert_eq!(word(&outcome), "done: ready");
    assert!(
        provisioner
            .finished(SERVER, &["call-1".to_owned()])
            .is_empty()
    );
}

#[tokio::test]
async fn without_its_journal_a_gateway_changes_nothing_and_reads_on() {
    let folder = tempfile::tempdir().unwrap();
    let state = StateDir::new(&folder.path().join("state"));
    let journal = Journal::open(&state, crate::journal::Settings::default());
    journal.close().await;
    std::fs::write(state.path().join("journal"), b"something else").unwrap();
    let resource = Resource::new(Fate::Done);
    let journal = Journal::open(&state, crate::journal::Settings::default());
    let provisioner = provisioner(&resource, journal);
    let outcome = provisioner.execute_for(SERVER, delete("ada")).await;
    let Outcome::Failed(failure) = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!(failure.kind, FailureKind::Unavailable);
    assert!(failure.message.contains("journal accept"), "{failure:?}");
    let outcome = provisioner.execute_for(SERVER, look("ada")).await;
    assert_eq!(word(&outcome), "look again");
    let test = wire::Call {
        verb: Some(wire::call::Verb::Test(wire::Test {})),
        ..delete("ada")
    };
    let outcome = provisioner.execute_for(SERVER, test).await;
    assert_eq!(word(&outcome), "done: ready");
    assert_eq!(resource.changes(), 0);
}

#[tokio::test]
async fn a_change_that_comes_late_is_not_begun_and_one_that_is_known_is_answered() {
    let resource = Resource::new(Fate::Done);
    let provisioner = provisioner(&resource, Journal::in_memory());
    let late = NotAfter::from_ms(1);
    for _ in 0..2 {
        let outcome = provisioner.execute_until(SERVER, delete("ada"), late).await;
        assert_eq!(word(&outcome), "failed: late");
    }
    assert_eq!(resource.changes(), 0);
    assert!(
        provisioner
            .finished(SERVER, &["call-1".to_owned()])
            .is_empty()
    );
    let in_time = NotAfter::from_ms(moment::now_ms() + 60_000);
    let outcome = provisioner
        .execute_until(SERVER, delete("ada"), in_time)
        .await;
    assert_eq!(word(&outcome), "done: left behind");
    let outcome = provisioner.execute_until(SERVER, delete("ada"), late).await;
    assert_eq!(word(&outcome), "done: left behind");
    assert_eq!(resource.changes(), 1);
    // A look bars at any time.
    let absent = wire::Call {
        call_id: "call-2".into(),
        ..look("ada")
    };
    let outcome = provisioner.execute_until(SERVER, absent, late).await;
    assert_eq!(word(&outcome), "failed: not-begun");
}

#[tokio::test]
async fn a_change_that_waited_for_another_beyond_its_latest_moment_is_not_begun() {
    let resource = Resource::new(Fate::Hangs(Seen::Done));
    let provisioner = provisioner(&resource, Journal::in_memory());
    let first = provisioner.clone();
    let first = tokio::spawn(async move { first.execute_for(SERVER, delete("ada")).await });
    resource.begun.acquire().await.unwrap().forget();
    let second = wire::Call {
        call_id: "call-2".into(),
        ..delete("ada")
    };
    let soon = NotAfter::from_ms(moment::now_ms() + 50);
    let waits = provisioner.clone();
    let waits = tokio::spawn(async move { waits.execute_until(SERVER, second, soon).await });
    while !soon.has_passed() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    resource.open.add_permits(2);
    assert_eq!(word(&first.await.unwrap()), "done");
    assert_eq!(word(&waits.await.unwrap()), "failed: late");
    assert_eq!(resource.changes(), 1);
}
