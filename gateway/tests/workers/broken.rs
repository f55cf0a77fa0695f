//! The process that faces the servers, in the hands of somebody else.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;

use portcullis_proto::gateway::v1 as wire;
use portcullis_proto::worker::v1::answer::What as Answered;
use portcullis_proto::worker::v1::order::What;
use portcullis_proto::worker::v1::{Answer, Describe, Order};
use prost::Message as _;
use wire::call::Verb;

use super::bench::*;
use super::support::PATIENCE;

/// Speaks as the process that faces the servers, which somebody has broken.
pub(super) struct Broken(UnixStream);

impl Broken {
    pub(super) fn at(bench: &Bench) -> Self {
        let stream = UnixStream::connect(bench.socket("privileged")).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(stream)
    }

    pub(super) fn says(&mut self, bytes: &[u8]) {
        // It may have been turned away already.
        let _ = self.0.write_all(bytes);
    }

    /// What is answered; `None`: nothing.
    pub(super) fn hears(&mut self) -> Option<Answered> {
        let mut bytes = Vec::new();
        // A connection that was turned away may be reset.
        let _ = self.0.read_to_end(&mut bytes);
        let message = bytes.get(4..)?;
        Answer::decode(message).unwrap().what
    }

    pub(super) fn orders(bench: &Bench, order: &Order) -> Option<Answered> {
        let mut broken = Self::at(bench);
        broken.says(&framed(&order.encode_to_vec()));
        broken.hears()
    }
}

pub(super) fn framed(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap();
    [&length.to_be_bytes(), bytes].concat()
}

pub(super) fn order(what: What) -> Order {
    Order {
        version: env!("CARGO_PKG_VERSION").into(),
        instance: "default".into(),
        server_id: vec![7; 16],
        what: Some(what),
        ..Order::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_breaks_what_faces_the_servers_passes_no_guard_rail_and_names_no_command() {
    let (bench, mut privileged, _networked) = Bench::with_workers(own(), "");
    let outcome = |call| match Broken::orders(&bench, &order(What::Call(call))) {
        Some(Answered::Outcome(outcome)) => came(outcome),
        other => panic!("{other:?}"),
    };
    assert_eq!(outcome(get("host")), "done");
    let of = |name: &str| {
        Verb::Delete(wire::Delete {
            object: object(name),
        })
    };
    let run = |action: &str| {
        Verb::Run(wire::Run {
            action: action.into(),
            arguments: Vec::new(),
        })
    };
    for (connector, verb, expected) in [
        ("host", of("eve"), "Refused"),
        // Nobody else's connector either.
        ("web", of("ada"), "NotFound"),
        ("../../bin/sh", of("ada"), "Invalid"),
        ("host", run("../../../bin/sh"), "Invalid"),
        ("host", run("sh -c id"), "Invalid"),
        ("host", run("sh"), "NotFound"),
    ] {
        let came = outcome(call("broken", connector, verb.clone()));
        assert!(came.starts_with(expected), "{connector} {verb:?}: {came}");
    }
    assert_eq!(bench.runs(), 0);

    let refused = |order: &Order| match Broken::orders(&bench, order) {
        Some(Answered::Refused(refusal)) => refusal.message,
        other => panic!("{other:?}"),
    };
    let describe = || order(What::Describe(Describe {}));
    for (order, expected) in [
        (
            Order {
                version: "0.0.1".into(),
                ..describe()
            },
            "restart both",
        ),
        (
            Order {
                instance: "two".into(),
                ..describe()
            },
            "sockets of its own",
        ),
        (
            Order {
                server_id: vec![7; 3],
                ..describe()
            },
            "no id of a server",
        ),
        (
            Order {
                server_id: Vec::new(),
                ..order(What::Call(get("host")))
            },
            "whose it is",
        ),
        (
            Order {
                what: None,
                ..describe()
            },
            "says nothing",
        ),
    ] {
        let message = refused(&order);
        assert!(message.contains(expected), "{message}");
    }
    for noise in [
        &b"\xff\xff\xff\xffGET / HTTP/1.1\r\n"[..],
        &framed(&[0xff; 40]),
        &(u32::try_from(5 << 20).unwrap()).to_be_bytes(),
        b"",
        b"\x00\x00",
    ] {
        let mut broken = Broken::at(&bench);
        broken.says(noise);
        broken.0.shutdown(std::net::Shutdown::Write).unwrap();
        match broken.hears() {
            None | Some(Answered::Refused(_)) => {}
            other => panic!("{noise:?}: {other:?}"),
        }
    }
    privileged.wait_for("no order of a gateway");
    assert_eq!(outcome(get("host")), "done");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_serves_nobody_but_the_user_of_its_gateway() {
    if !is_root() {
        return;
    }
    let (bench, _privileged, _networked) = Bench::with_workers(FRONT, "");
    // Root itself is another user than that one: it may look whether the worker lives, no more.
    assert_eq!(
        Broken::orders(&bench, &order(What::Call(get("host")))),
        None
    );
    let mode = fs::metadata(bench.socket("privileged")).unwrap();
    assert_eq!(mode.permissions().mode() & 0o7777, 0o660);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_orders_take_their_room_until_they_are_answered() {
    let (bench, _privileged, _networked) = Bench::with_workers(own(), "");
    // 3 MiB of a field that nobody knows, behind an order: there is room for two of them.
    let long = |call| {
        let mut bytes = order(What::Call(call)).encode_to_vec();
        bytes.extend([0xfa, 0x3f, 0x80, 0x80, 0xc0, 0x01]);
        bytes.resize(bytes.len() + (3 << 20), 0);
        framed(&bytes)
    };
    let asked = |call| {
        let mut broken = Broken::at(&bench);
        broken.says(&long(call));
        broken
    };
    let waits = |id: &str| wire::Call {
        call_id: id.into(),
        ..delete(false)
    };
    let under_way = asked(waits("leave-1"));
    bench.until_begun().await;
    let behind = asked(waits("leave-2"));
    let refused = asked(get("host")).hears();
    assert!(
        matches!(&refused, Some(Answered::Refused(why)) if why.message.contains("as many long calls")),
        "{refused:?}"
    );
    fs::write(bench.file("go"), "").unwrap();
    for mut broken in [under_way, behind] {
        let answered = broken.hears();
        assert!(
            matches!(answered, Some(Answered::Outcome(_))),
            "{answered:?}"
        );
    }
    match asked(get("host")).hears() {
        Some(Answered::Outcome(outcome)) => assert_eq!(came(outcome), "done"),
        other => panic!("{other:?}"),
    }
}
