//! What a worker takes from the process that faces the servers, which somebody may have broken: it
//! is answered once and in frames, names the call that it answers, and changes nothing that there
//! is no script for.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "by that a target says what failed"
)]

use std::path::Path;
use std::sync::LazyLock;

use portcullis_gateway::worker::processes::fuzzed::{VERSION, Worker};
use portcullis_proto::gateway::v1::call::Verb;
use portcullis_proto::gateway::v1::outcome::Result as Came;
use portcullis_proto::gateway::v1::search_item::Kind as Item;
use portcullis_proto::worker::v1::answer::What as Answered;
use portcullis_proto::worker::v1::order::What;
use portcullis_proto::worker::v1::{Answer, Here, Order};
use prost::Message as _;

/// The version in seeds, so that they outlive a release.
const SEED_VERSION: &str = "seed";

/// There are no scripts in that folder.
static WORKER: LazyLock<Option<Worker>> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    Worker::new(&folder).ok()
});

pub(crate) fn run(bytes: &[u8]) {
    // As they come: cut off, too long, no frame at all.
    for answer in answers(bytes, true) {
        assert!(answer.what.is_some());
    }
    let Ok(order) = Order::decode(bytes) else {
        refused(&answers(&framed(bytes), false));
        return;
    };
    let own = order.version == SEED_VERSION;
    let order = Order {
        version: if own {
            VERSION.to_owned()
        } else {
            order.version
        },
        ..order
    };
    let answers = answers(&framed(&order.encode_to_vec()), false);
    let known = own && order.instance == "default" && matches!(order.server_id.len(), 0 | 16);
    match order.what {
        Some(what) if known => answered(&what, &answers),
        _ => refused(&answers),
    }
}

fn answered(what: &What, answers: &[Answer]) {
    // That it is there, and that it stops.
    if let (What::Watch(_), [there, stops]) = (what, answers) {
        for (answer, stopping) in [(there, false), (stops, true)] {
            assert_eq!(answer.what, Some(Answered::Here(Here { stopping })));
        }
        return;
    }
    let [answer] = answers else {
        return items(what, answers);
    };
    match (what, &answer.what) {
        (_, Some(Answered::Refused(_)))
        | (What::Describe(_), Some(Answered::Description(_)))
        | (What::Finished(_), Some(Answered::Finished(_)))
        | (What::Acknowledge(_), Some(Answered::Acknowledged(_)))
        | (What::Log(_), Some(Answered::Log(_)))
        | (What::LogMore(_), Some(Answered::LogMore(_))) => {}
        (What::Call(call), Some(Answered::Outcome(outcome))) => {
            assert_eq!(outcome.call_id, call.call_id);
            let changes = call.verb.as_ref().is_some_and(Verb::changes);
            let done = matches!(outcome.result, Some(Came::Done(_)));
            assert!(!(changes && done), "{outcome:?}");
        }
        _ => items(what, answers),
    }
}

/// Those of a search, of which the last is the end.
fn items(what: &What, answers: &[Answer]) {
    let asked = matches!(what, What::Call(call) if matches!(call.verb, Some(Verb::Search(_) | Verb::Sync(_))));
    let is_end = |answer: &Answer| match &answer.what {
        Some(Answered::Item(item)) => matches!(item.kind, Some(Item::End(_))),
        other => panic!("{what:?}: {other:?}"),
    };
    let ends: Vec<_> = answers.iter().map(is_end).collect();
    assert!(asked && ends.last() == Some(&true), "{what:?}: {answers:?}");
    assert_eq!(ends.iter().filter(|end| **end).count(), 1);
}

fn refused(answers: &[Answer]) {
    let refused = |answer: &Answer| matches!(answer.what, Some(Answered::Refused(_)));
    assert!(answers.len() == 1 && refused(&answers[0]), "{answers:?}");
}

/// All that is answered.
fn answers(bytes: &[u8], gone: bool) -> Vec<Answer> {
    let worker = WORKER.as_ref().expect("a worker");
    let said = worker.answers(bytes, gone).expect("a runtime");
    let (mut rest, mut answers) = (said.as_slice(), Vec::new());
    while let Some((length, more)) = rest.split_first_chunk() {
        let (answer, behind) = more.split_at(u32::from_be_bytes(*length) as usize);
        answers.push(Answer::decode(answer).expect("an answer"));
        rest = behind;
    }
    assert!(rest.is_empty());
    answers
}

fn framed(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u32).to_be_bytes(), bytes].concat()
}
