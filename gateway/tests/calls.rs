//! The stream of calls, over a real session in this process.
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that fails has to say so"
)]

mod support;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use portcullis_common::calls::Answer;
use portcullis_common::handshake::{CallPlace, Way};
use portcullis_common::listing::Objects;
use portcullis_gateway::connector::{Connector, Context, Found};
use portcullis_gateway::connectors::{Configured, Connectors};
use portcullis_gateway::guard::GuardRails;
use portcullis_gateway::model::{
    CallError, Cookie, Get, GuardDefaults, Identity, Object, ObjectClass, ObjectId, ObjectName,
    ObjectRef, Password, Roles, Schema, Search, Verb,
};
use portcullis_gateway::worker::Provisioner;
use portcullis_proto::gateway::v1::{self as wire, Call, FailureKind, Outcome, call, outcome};
use prost::Message as _;
use support::stream::Stream;
use tokio::sync::Semaphore;
use tonic::async_trait;

fn provisioner(connectors: &Connectors) -> Provisioner {
    Provisioner::new(connectors, 64, Duration::from_secs(60))
}

fn call(id: &str, connector: &str, verb: call::Verb) -> Call {
    Call {
        call_id: id.to_owned(),
        connector: connector.to_owned(),
        verb: Some(verb),
        ..Call::default()
    }
}

/// Panics wherever a connector can; only a test waits until it is let.
#[derive(Debug)]
struct Faulty {
    open: Arc<Semaphore>,
    /// Even where it is only asked what it has.
    throughout: bool,
}

#[async_trait]
impl Connector for Faulty {
    fn kind(&self) -> &'static str {
        "faulty"
    }

    fn verbs(&self, _: ObjectClass) -> Vec<Verb> {
        Verb::ALL.to_vec()
    }

    fn settings(&self) -> Vec<String> {
        assert!(!self.throughout, "a connector's own fault");
        Vec::new()
    }

    fn roles(&self) -> Roles<'_> {
        Roles::NONE
    }

    async fn test(&self, _: &Context) -> Result<String, CallError> {
        self.open.acquire().await.unwrap().forget();
        Ok("ready".to_owned())
    }

    async fn schema(&self, _: &Context) -> Result<Schema, CallError> {
        panic!("a connector's own fault, at once");
    }

    async fn get(&self, _: &Context, _: &Get) -> Result<Object, CallError> {
        tokio::task::yield_now().await;
        panic!("a connector's own fault, after a while");
    }

    async fn delete(&self, _: &Context, _: ObjectRef) -> Result<Option<String>, CallError> {
        panic!("a connector's own fault, at once");
    }

    async fn set_password(&self, _: &Context, _: ObjectRef, _: Password) -> Result<(), CallError> {
        tokio::task::yield_now().await;
        panic!("a connector's own fault, after a while");
    }

    async fn search(
        &self,
        _: &Context,
        _: &Search,
        found: &mut Found,
    ) -> Result<Cookie, CallError> {
        found.push(ada()).await?;
        panic!("a connector's own fault, in the middle");
    }
}

fn ada() -> Object {
    Object {
        identity: Identity {
            class: ObjectClass::Account,
            id: ObjectId::new("1").unwrap(),
            name: ObjectName::new("ada").unwrap(),
        },
        attributes: Vec::new(),
        enabled: None,
    }
}

/// Finds very many objects of a few bytes.
#[derive(Debug)]
struct Crowded;

/// As many as the guard rails let through where nothing else is configured.
const CROWD: usize = 10_000;
/// Bytes of a thread's stack: an eighth of what those of the program have.
const STACK: usize = 256 << 10;

#[async_trait]
impl Connector for Crowded {
    fn kind(&self) -> &'static str {
        "crowded"
    }

    fn verbs(&self, _: ObjectClass) -> Vec<Verb> {
        vec![Verb::Search]
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

    async fn search(
        &self,
        _: &Context,
        _: &Search,
        found: &mut Found,
    ) -> Result<Cookie, CallError> {
        for _ in 0..CROWD {
            found.push(ada()).await?;
        }
        Ok(Cookie::default())
    }
}

#[test]
fn very_many_small_objects_take_little_of_a_stack() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_stack_size(STACK)
        .enable_all()
        .build();
    let arriving = async { tokio::spawn(very_many_small_objects()).await };
    runtime.unwrap().block_on(arriving).unwrap();
}

async fn very_many_small_objects() {
    let configured = Configured {
        connector: Arc::new(Crowded),
        guard_rails: Arc::new(GuardRails::defaults("crowded", &GuardDefaults::NOTHING)),
    };
    let connectors = Connectors::default().with("crowded", configured);
    let mut stream = Stream::open(provisioner(&connectors)).await;
    let search = |digest_key| {
        call::Verb::Search(wire::Search {
            object_class: wire::ObjectClass::Account.into(),
            digest_key,
            ..wire::Search::default()
        })
    };
    for (id, digest_key) in [("whole", Vec::new()), ("digests", vec![7; 32])] {
        let number = stream.send(&call(id, "crowded", search(digest_key))).await;
        let mut objects = 0;
        let end = loop {
            match stream.next(number).await {
                Answer::Item(item) => objects += count(item),
                Answer::End(end) => break end,
                other => panic!("{other:?}"),
            }
        };
        let end = wire::SearchItem::decode(end).unwrap();
        let Some(wire::search_item::Kind::End(end)) = end.kind else {
            panic!("{end:?}");
        };
        assert_eq!(end.failure, None);
        assert_eq!(objects, CROWD);
    }
}

/// The objects of one item.
fn count(item: Bytes) -> usize {
    let item = wire::SearchItem::decode(item).unwrap();
    match item.kind {
        Some(wire::search_item::Kind::Object(_)) => 1,
        Some(wire::search_item::Kind::Listing(listing)) => {
            let objects: Result<Vec<_>, _> = Objects::of(&listing.objects).collect();
            objects.unwrap().len()
        }
        other => panic!("{other:?}"),
    }
}

fn faulty() -> (Connectors, Arc<Semaphore>) {
    let open = Arc::new(Semaphore::new(0));
    let configured = |throughout| Configured {
        connector: Arc::new(Faulty {
            open: Arc::clone(&open),
            throughout,
        }),
        guard_rails: Arc::new(GuardRails::defaults("faulty", &GuardDefaults::NOTHING)),
    };
    let connectors = Connectors::default().with("faulty", configured(false));
    (connectors.with("hopeless", configured(true)), open)
}

#[tokio::test]
async fn a_connector_that_panics_ends_its_own_call_alone() {
    let (connectors, open) = faulty();
    let mut stream = Stream::open(provisioner(&connectors)).await;
    let test = || call::Verb::Test(wire::Test {});
    let search = || {
        call::Verb::Search(wire::Search {
            object_class: wire::ObjectClass::Account.into(),
            ..wire::Search::default()
        })
    };
    let under_way = stream.send(&call("under-way", "faulty", test())).await;

    let delete = || call::Verb::Delete(wire::Delete { object: object() });
    let get = call::Verb::Get(wire::Get {
        object: object(),
        ..wire::Get::default()
    });
    let schema = call::Verb::Schema(wire::GetSchema {});
    for (connector, verb, changes) in [
        ("faulty", delete(), true),
        ("faulty", set_password(&stream), true),
        ("faulty", get, false),
        ("faulty", schema, false),
        ("hopeless", delete(), true),
        ("hopeless", test(), false),
    ] {
        let number = stream.send(&call("one", connector, verb.clone())).await;
        let outcome = Outcome::decode(stream.end(number).await).unwrap();
        assert_eq!(outcome.call_id, "one");
        let message = match outcome.result.unwrap() {
            outcome::Result::Indeterminate(what) if changes => what.message,
            outcome::Result::Failed(failure) if !changes => {
                assert_eq!(failure.kind(), FailureKind::Internal);
                failure.message
            }
            other => panic!("{verb:?}: {other:?}"),
        };
        assert!(!message.contains("a connector's own fault"), "{message}");
    }
    for connector in ["faulty", "hopeless"] {
        let number = stream.send(&call("one", connector, search())).await;
        let end = wire::SearchItem::decode(stream.end(number).await).unwrap();
        let Some(wire::search_item::Kind::End(end)) = end.kind else {
            panic!("{end:?}");
        };
        assert_eq!(end.failure.unwrap().kind(), FailureKind::Internal);
    }

    open.add_permits(1);
    let outcome = Outcome::decode(stream.end(under_way).await).unwrap();
    let done = matches!(outcome.result, Some(outcome::Result::Done(_)));
    assert!(done, "{outcome:?}");
}

fn object() -> Option<wire::ObjectRef> {
    Some(wire::ObjectRef {
        object_class: wire::ObjectClass::Account.into(),
        by: Some(wire::object_ref::By::Name("ada".to_owned())),
        ..wire::ObjectRef::default()
    })
}

fn set_password(stream: &Stream) -> call::Verb {
    let place = CallPlace {
        way: Way::Call,
        call_id: "one",
        number: 0,
    };
    call::Verb::SetPassword(wire::SetPassword {
        object: object(),
        password: Some(stream.link.seal(place, b"correct horse")),
    })
}

#[cfg(target_os = "linux")]
mod memory {
    use std::fs::{self, File};
    use std::os::unix::fs::FileExt as _;

    use portcullis_proto::gateway::v1::{Secret, SecretSetting, SetPassword, Test};
    use rand::Rng as _;
    use zeroize::Zeroizing;

    use super::*;

    /// Bytes at the end of a secret that are looked for: what lay at its start is soon overwritten
    /// in freed memory.
    const TAIL: usize = 32;

    /// A secret that this process remembers in another form only.
    struct Masked([u8; 2 * TAIL]);

    impl Masked {
        fn random() -> Self {
            let mut masked = [0; 2 * TAIL];
            rand::rng().fill_bytes(&mut masked);
            Self(masked)
        }

        fn unmasked(&self) -> Zeroizing<Vec<u8>> {
            Zeroizing::new(self.0.iter().map(|byte| !byte).collect())
        }

        /// Does its end lie in memory that this process may write to?
        fn is_in_memory(&self) -> bool {
            let tail = &self.0[TAIL..];
            let memory = File::open("/proc/self/mem").unwrap();
            let maps = fs::read_to_string("/proc/self/maps").unwrap();
            let mut chunk = Zeroizing::new(vec![0; 1 << 20]);
            for line in maps.lines() {
                let (range, rest) = line.split_once(' ').unwrap();
                if !rest.starts_with("rw") {
                    continue;
                }
                let (start, end) = range.split_once('-').unwrap();
                let address = |text| u64::from_str_radix(text, 16).unwrap();
                let (mut at, end) = (address(start), address(end));
                while at + (TAIL as u64) <= end {
                    let len = (end - at).min(chunk.len() as u64) as usize;
                    // It may be gone by now, or be locked pages that are kept from every reader.
                    if memory.read_exact_at(&mut chunk[..len], at).is_err() {
                        break;
                    }
                    let is_here = |window: &[u8]| window.iter().zip(tail).all(|(a, b)| *a == !b);
                    if chunk[..len].windows(TAIL).any(is_here) {
                        return true;
                    }
                    at += (len + 1 - TAIL) as u64;
                }
            }
            false
        }
    }

    fn set_password(password: Option<Secret>) -> call::Verb {
        call::Verb::SetPassword(SetPassword {
            object: None,
            password,
        })
    }

    fn setting(name: &str, value: Secret) -> SecretSetting {
        SecretSetting {
            name: name.to_owned(),
            value: Some(value),
        }
    }

    #[tokio::test]
    async fn secrets_of_a_call_that_cannot_be_carried_out_are_wiped() {
        let mut stream = Stream::open(provisioner(&Connectors::default())).await;
        let secrets: Vec<_> = (0..5).map(|_| Masked::random()).collect();
        let seal = |number: u32, secret: &Masked| {
            let place = CallPlace {
                way: Way::Call,
                call_id: "one",
                number,
            };
            stream.link.seal(place, &secret.unmasked())
        };
        let [a, b, c, d, e] = [0, 1, 2, 3, 4].map(|number| &secrets[number]);
        // Neither an object nor a verb, a setting without a name, a connector that does not exist,
        // and a second secret that was sealed for another place.
        let no_object = call("one", "x", set_password(Some(seal(0, a))));
        let mut no_verb = call("one", "x", set_password(None));
        no_verb.verb = None;
        no_verb.secret_settings = vec![setting("bind", seal(0, b))];
        let mut no_name = call("one", "x", set_password(Some(seal(1, c))));
        no_name.secret_settings = vec![setting("", seal(0, c))];
        let mut no_connector = call("one", "x", call::Verb::Test(Test {}));
        no_connector.secret_settings = vec![setting("bind", seal(0, d))];
        let mut misplaced = call("one", "x", set_password(Some(seal(7, e))));
        misplaced.secret_settings = vec![setting("bind", seal(0, e))];

        for call in [no_object, no_verb, no_name, no_connector] {
            let number = stream.send(&call).await;
            let outcome = Outcome::decode(stream.end(number).await).unwrap();
            let failed = matches!(outcome.result, Some(outcome::Result::Failed(_)));
            assert!(failed, "{outcome:?}");
        }
        let number = stream.send(&misplaced).await;
        let refused = stream.next(number).await;
        assert!(matches!(refused, Answer::Refused(_)), "{refused:?}");

        let alive = a.unmasked();
        assert!(a.is_in_memory(), "this search proves nothing");
        drop(alive);
        for (number, secret) in secrets.iter().enumerate() {
            assert!(!secret.is_in_memory(), "secret {number}");
        }
    }
}
