//! How calls end: whoever waits for them, however slow or faulty a connector is.

use std::sync::atomic::{AtomicUsize, Ordering};

use tonic::async_trait;

use super::*;
use crate::connector::{Connector, Context};
use crate::connectors::Configured;
use crate::guard::GuardRails;
use crate::model::{
    CallError, Done, GuardDefaults, ObjectClass, ObjectRef, Password, Roles, Schema, Verb,
};

/// Changes nothing until it is let, and counts what has come to its end.
#[derive(Debug)]
struct Gate {
    begun: Semaphore,
    open: Semaphore,
    ended: AtomicUsize,
}

impl Gate {
    async fn pass(&self) {
        self.begun.add_permits(1);
        self.open.acquire().await.unwrap().forget();
        self.ended.fetch_add(1, Ordering::SeqCst);
    }
}

#[derive(Debug)]
struct Gated(Arc<Gate>);

#[async_trait]
impl Connector for Gated {
    fn kind(&self) -> &'static str {
        "gated"
    }

    fn verbs(&self, _: ObjectClass) -> Vec<Verb> {
        vec![Verb::SetPassword, Verb::Authenticate, Verb::Delete]
    }

    fn roles(&self) -> Roles<'_> {
        Roles::NONE
    }

    async fn test(&self, _: &Context) -> Result<String, CallError> {
        self.0.pass().await;
        Ok("ready".to_owned())
    }

    async fn schema(&self, _: &Context) -> Result<Schema, CallError> {
        Ok(Schema::default())
    }

    async fn set_password(&self, _: &Context, _: ObjectRef, _: Password) -> Result<(), CallError> {
        self.0.pass().await;
        Ok(())
    }

    async fn delete(&self, _: &Context, _: ObjectRef) -> Result<Option<String>, CallError> {
        panic!("a connector's own fault");
    }
}

fn gated(calls: usize) -> (Provisioner, Arc<Gate>) {
    let gate = Arc::new(Gate {
        begun: Semaphore::new(0),
        open: Semaphore::new(0),
        ended: AtomicUsize::new(0),
    });
    let configured = Configured {
        connector: Arc::new(Gated(Arc::clone(&gate))),
        guard_rails: Arc::new(GuardRails::defaults("gated", &GuardDefaults::NOTHING)),
    };
    let connectors = Connectors::default().with("gated", configured);
    (
        Provisioner::new(&connectors, calls, Duration::from_secs(60)),
        gate,
    )
}

fn call(id: &str, verb: wire::call::Verb) -> wire::Call {
    wire::Call {
        call_id: id.into(),
        connector: "gated".into(),
        verb: Some(verb),
        ..wire::Call::default()
    }
}

fn object() -> Option<wire::ObjectRef> {
    Some(wire::ObjectRef {
        object_class: wire::ObjectClass::Account.into(),
        by: Some(wire::object_ref::By::Name("ada".into())),
        ..wire::ObjectRef::default()
    })
}

fn set_password(id: &str) -> wire::Call {
    let password = Some(wire::Secret::plain(b"x".to_vec()));
    let object = object();
    call(
        id,
        wire::call::Verb::SetPassword(wire::SetPassword { object, password }),
    )
}

fn test(id: &str) -> wire::Call {
    call(id, wire::call::Verb::Test(wire::Test {}))
}

fn kind(outcome: Outcome) -> FailureKind {
    match outcome {
        Outcome::Failed(failure) => failure.kind,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_change_whose_caller_goes_away_is_carried_to_its_end() {
    let (provisioner, gate) = gated(4);
    let caller = tokio::spawn({
        let provisioner = provisioner.clone();
        async move { provisioner.execute(set_password("1")).await }
    });
    gate.begun.acquire().await.unwrap().forget();
    caller.abort();
    assert!(caller.await.unwrap_err().is_cancelled());
    gate.open.add_permits(1);
    provisioner.idle().await;
    assert_eq!(gate.ended.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_reading_call_whose_caller_goes_away_ends() {
    let (provisioner, gate) = gated(4);
    let caller = tokio::spawn({
        let provisioner = provisioner.clone();
        async move { provisioner.execute(test("1")).await }
    });
    gate.begun.acquire().await.unwrap().forget();
    caller.abort();
    // Would wait for ever if the call still held its place.
    provisioner.idle().await;
    assert_eq!(gate.ended.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_call_id_under_way_and_a_call_too_many_are_refused_at_once() {
    let (provisioner, gate) = gated(2);
    let first = tokio::spawn({
        let provisioner = provisioner.clone();
        async move { provisioner.execute(set_password("1")).await }
    });
    gate.begun.acquire().await.unwrap().forget();
    assert_eq!(
        kind(provisioner.execute(set_password("1")).await),
        FailureKind::Invalid
    );
    let second = tokio::spawn({
        let provisioner = provisioner.clone();
        async move { provisioner.execute(test("2")).await }
    });
    gate.begun.acquire().await.unwrap().forget();
    assert_eq!(
        kind(provisioner.execute(test("3")).await),
        FailureKind::Busy
    );
    gate.open.add_permits(2);
    assert_eq!(first.await.unwrap(), Outcome::Done(Done::Nothing));
    assert_eq!(
        second.await.unwrap(),
        Outcome::Done(Done::Report("ready".to_owned()))
    );
    // The id is free again.
    gate.open.add_permits(1);
    assert_eq!(
        provisioner.execute(set_password("1")).await,
        Outcome::Done(Done::Nothing)
    );
}

#[tokio::test]
async fn a_call_keeps_to_its_own_time() {
    let (provisioner, gate) = gated(4);
    let mut slow = test("1");
    slow.timeout_ms = 50;
    assert_eq!(
        kind(provisioner.execute(slow).await),
        FailureKind::Unavailable
    );
    // A change waits for its turn no longer than it may; the one under way is not cut off.
    let first = tokio::spawn({
        let provisioner = provisioner.clone();
        async move { provisioner.execute(set_password("2")).await }
    });
    gate.begun.acquire_many(2).await.unwrap().forget();
    let mut late = set_password("3");
    late.timeout_ms = 50;
    assert_eq!(kind(provisioner.execute(late).await), FailureKind::Busy);
    gate.open.add_permits(1);
    assert_eq!(first.await.unwrap(), Outcome::Done(Done::Nothing));
}

#[tokio::test]
async fn a_connector_that_panics_leaves_the_outcome_open_and_the_gateway_standing() {
    let (provisioner, _gate) = gated(1);
    let delete = wire::call::Verb::Delete(wire::Delete { object: object() });
    let outcome = provisioner.execute(call("1", delete)).await;
    assert!(matches!(outcome, Outcome::Indeterminate(_)), "{outcome:?}");
    provisioner.idle().await;
}

#[tokio::test]
async fn what_is_not_configured_is_named() {
    let (provisioner, _gate) = gated(1);
    let mut lost = test("1");
    lost.connector = "elsewhere".into();
    let Outcome::Failed(failure) = provisioner.execute(lost).await else {
        panic!("found");
    };
    assert_eq!(
        failure.message,
        "this gateway has no connector `elsewhere`: give the resource one of those in the gateway's configuration (gated)"
    );
    let mut set = test("1");
    set.settings.insert("base".into(), "x".into());
    let Outcome::Failed(failure) = provisioner.execute(set).await else {
        panic!("taken");
    };
    assert_eq!(
        failure.message,
        "connector `gated` has no setting `base`; it has none"
    );
}

/// Panics as it starts, and never lets go.
#[derive(Debug)]
struct Hopeless;

/// Counts how often it was started and stopped.
#[derive(Debug, Default)]
struct Counting(AtomicUsize, AtomicUsize);

#[async_trait]
impl Connector for Hopeless {
    fn kind(&self) -> &'static str {
        "hopeless"
    }

    fn verbs(&self, _: ObjectClass) -> Vec<Verb> {
        Vec::new()
    }

    fn roles(&self) -> Roles<'_> {
        Roles::NONE
    }

    async fn start(&self) -> Result<(), Failure> {
        panic!("a connector's own fault");
    }

    async fn stop(&self) {
        std::future::pending().await
    }

    async fn test(&self, _: &Context) -> Result<String, CallError> {
        Ok("ready".to_owned())
    }

    async fn schema(&self, _: &Context) -> Result<Schema, CallError> {
        Ok(Schema::default())
    }
}

#[async_trait]
impl Connector for Counting {
    fn kind(&self) -> &'static str {
        "counting"
    }

    fn verbs(&self, _: ObjectClass) -> Vec<Verb> {
        Vec::new()
    }

    fn roles(&self) -> Roles<'_> {
        Roles::NONE
    }

    async fn start(&self) -> Result<(), Failure> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Err(Failure::unavailable("the directory is away"))
    }

    async fn stop(&self) {
        self.1.fetch_add(1, Ordering::SeqCst);
    }

    async fn test(&self, _: &Context) -> Result<String, CallError> {
        Ok("ready".to_owned())
    }

    async fn schema(&self, _: &Context) -> Result<Schema, CallError> {
        Ok(Schema::default())
    }
}

#[tokio::test(start_paused = true)]
async fn one_connector_neither_keeps_another_from_starting_nor_the_gateway_from_stopping() {
    let counting = Arc::new(Counting::default());
    let configured = |connector: Arc<dyn Connector>| Configured {
        connector,
        guard_rails: Arc::new(GuardRails::defaults("any", &GuardDefaults::NOTHING)),
    };
    let connectors = Connectors::default()
        .with(
            "counting",
            configured(Arc::clone(&counting) as Arc<dyn Connector>),
        )
        .with("gated", configured(Arc::new(Hopeless)));
    let provisioner = Provisioner::new(&connectors, 1, Duration::from_secs(60));
    provisioner.start().await;
    assert_eq!(
        provisioner.execute(test("1")).await,
        Outcome::Done(Done::Report("ready".to_owned()))
    );
    provisioner.stop().await;
    assert_eq!(counting.0.load(Ordering::SeqCst), 1);
    assert_eq!(counting.1.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn long_calls_find_room_for_a_few_at_once() {
    let (provisioner, _gate) = gated(4);
    let longest = portcullis_common::calls::MAX_CALL as usize;
    let first = provisioner.room_for(longest).unwrap();
    let _second = provisioner.room_for(longest).unwrap();
    assert!(provisioner.room_for(64 << 10).is_none());
    drop(first);
    assert!(provisioner.room_for(longest).is_some());
}
