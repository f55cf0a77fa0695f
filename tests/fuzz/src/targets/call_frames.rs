//! The stream of calls against a peer that sends anything, with calls under way: it takes no more
//! than it gave credit for, holds no more memory than it may, and every call of the server comes to
//! one end when what breaks a rule has ended the stream.

use std::alloc::System;
use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use cap::Cap;
use portcullis_common::calls::{
    ANSWER_CREDIT, Answer, Answering, CALL_CREDIT, Calling, Event, Frame, Kind, MAX_ANSWER,
    MAX_CALL, MAX_PART, MESSAGE_COST, Refusal, Violation,
};
use portcullis_proto::gateway::v1::{CallFrame, CallFrameKind, CallFrames};
use prost::Message as _;

/// Counts what is held.
#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

/// What the frames of one input, and the books that are kept of its calls, take beside the messages
/// themselves.
const BESIDE: usize = 4 << 20;
/// Room for long messages at the gateway and at the server (twice: a message is put together in
/// memory that doubles).
const CALL_ROOM: usize = 2 * (16 << 20);
const ANSWER_ROOM: usize = 2 * (32 << 20);
/// Answers that one call may have ready, and one more.
const ANSWERS_READY: usize = (128 << 10) + LONG;
const LONG: usize = 300_000;

pub(crate) fn run(input: &[u8]) {
    run_with(input, 16);
}

/// The books say that a sixteenth less was given: what takes all of it has to be noticed.
pub(crate) fn run_with_less_credit(input: &[u8]) {
    run_with(input, 15);
}

fn run_with(input: &[u8], sixteenths: u64) {
    // The selector stands last.
    let Some((&selector, input)) = input.split_last() else {
        return;
    };
    let (how, bytes) = (selector, input);
    let Ok(message) = CallFrames::decode(bytes) else {
        return;
    };
    let message = stretched(message, how);
    to_gateway(message.clone(), sixteenths);
    to_server(message, sixteenths);
}

/// Inputs are short: so that they reach what long messages do, messages are made longer and frames
/// repeated.
fn stretched(mut message: CallFrames, how: u8) -> CallFrames {
    let longer = 1 << (3 * (how & 3));
    let times = 1 << (2 * ((how >> 2) & 3));
    let most = MAX_PART as usize + usize::from(how >> 7);
    for frame in &mut message.frames {
        let len = (frame.data.len() * longer).min(most);
        frame.length = frame.length.saturating_mul(longer as u32);
        frame.data = vec![b'x'; len].into();
    }
    let mut frames = Vec::new();
    for frame in message.frames {
        let opens = frame.kind() == CallFrameKind::Open;
        frames.extend((0..times).map(|time| CallFrame {
            // No number is opened twice.
            call: frame.call.wrapping_add(if opens { time } else { 0 }),
            ..frame.clone()
        }));
    }
    CallFrames { frames }
}

/// What the peer has sent for each call that it may send something for, beside what it had credit
/// for.
struct Books {
    calls: BTreeMap<u64, (u64, u64)>,
    sixteenths: u64,
}

impl Books {
    fn new(sixteenths: u64) -> Self {
        Self {
            calls: BTreeMap::new(),
            sixteenths,
        }
    }

    fn open(&mut self, call: u64, credit: u32) {
        let credit = u64::from(credit) * self.sixteenths / 16;
        self.calls.entry(call).or_insert((0, credit));
    }

    /// A frame was taken in.
    fn taken(&mut self, call: u64, kind: &Kind) {
        let cost = match kind {
            Kind::Open(begin, _) | Kind::Item(begin) | Kind::End(begin) => {
                begin.data.len() as u64 + u64::from(MESSAGE_COST)
            }
            Kind::Part(data) => data.len() as u64,
            _ => 0,
        };
        if let Some((spent, credit)) = self.calls.get_mut(&call) {
            *spent += cost;
            assert!(spent <= credit, "call {call}: more than the credit");
        }
    }

    /// A frame went out.
    fn sent(&mut self, frame: &Frame) {
        if let (Some((_, credit)), Kind::Credit(more)) =
            (self.calls.get_mut(&frame.call), &frame.kind)
        {
            *credit += u64::from(*more) * self.sixteenths / 16;
        }
    }
}

fn to_gateway(message: CallFrames, sixteenths: u64) {
    let before = ALLOCATOR.allocated();
    let (mut answering, mut books) = (Answering::default(), Books::new(sixteenths));
    for frame in first_frames() {
        sound(gateway_takes(&mut answering, &mut books, frame));
    }
    while answering.item(1, vec![b'x'; 50_000].into()) {}
    for frame in message.frames {
        let taken = Frame::try_from(frame)
            .and_then(|frame| gateway_takes(&mut answering, &mut books, frame));
        if taken.is_err() {
            break;
        }
        let each = CALL_CREDIT as usize + ANSWERS_READY;
        let most = answering.len() * each + CALL_ROOM + BESIDE;
        let held = ALLOCATOR.allocated().saturating_sub(before);
        assert!(held <= most, "the gateway holds {held} bytes");
    }
}

/// One call is to get more answers than may be sent, one comes in parts, one is carried out, and
/// one was cancelled.
fn first_frames() -> Vec<Frame> {
    let mut calling = Calling::<()>::default();
    for len in [4, LONG, 9, 14] {
        submitted(&mut calling, len);
    }
    let mut frames = Vec::new();
    calling.take(u64::MAX, |frame| frames.push(frame));
    calling.cancel(4);
    calling.take(u64::MAX, |frame| frames.push(frame));
    frames
}

fn gateway_takes(
    answering: &mut Answering<u64>,
    books: &mut Books,
    frame: Frame,
) -> Result<(), Violation> {
    let (number, kind) = (frame.call, frame.kind.clone());
    let event = answering.handle(frame)?;
    match kind {
        Kind::Open(..) => books.open(number, CALL_CREDIT),
        Kind::Cancel => drop(books.calls.remove(&number)),
        _ => {}
    }
    books.taken(number, &kind);
    match event {
        None => {}
        Some(Event::Cancelled(cancelled, work)) => {
            assert!(cancelled == number && (work == number || work == 0));
        }
        Some(Event::Call(whole, call, _)) => {
            assert!(whole == number && call.len() <= MAX_CALL as usize);
            // From now on parts are refused, or ignored where it has ended.
            books.calls.remove(&number);
            answering.set_work(number, number);
            answer(answering, number, call.len());
        }
    }
    let mut some = true;
    while std::mem::take(&mut some) {
        answering.take(|frame| {
            some = true;
            books.sent(&frame);
        });
    }
    Ok(())
}

fn answer(answering: &mut Answering<u64>, number: u64, len: usize) {
    let bytes = |len| Bytes::from(vec![b'x'; len]);
    match len % 5 {
        0 => answering.end(number, bytes(len)),
        1 => answering.refuse(number, Refusal::default()),
        2 => answering.end(number, bytes(LONG)),
        3 => while answering.item(number, bytes(50_000)) {},
        _ => {}
    }
}

fn to_server(message: CallFrames, sixteenths: u64) {
    let before = ALLOCATOR.allocated();
    let (mut calling, mut open) = under_way();
    let mut books = Books::new(sixteenths);
    for number in 1..=5 {
        books.open(number, ANSWER_CREDIT);
    }
    for frame in message.frames {
        let call = frame.call;
        let taken = Frame::try_from(frame).and_then(|frame| {
            let kind = frame.kind.clone();
            calling.handle(frame, &mut Vec::new())?;
            books.taken(call, &kind);
            Ok(())
        });
        if taken.is_err() {
            break;
        }
        // Some are read at once, and others never.
        if call % 2 == 1 {
            read(&mut calling, &mut open, call);
        }
        send(&mut calling, &mut books);
        let each = 2 * ANSWER_CREDIT as usize + LONG;
        let most = open.len() * each + ANSWER_ROOM + BESIDE;
        let held = ALLOCATOR.allocated().saturating_sub(before);
        assert!(held <= most, "the server holds {held} bytes");
    }
    // Whatever ended the stream: everybody who waits learns of it, once.
    calling.lost();
    for number in open.clone() {
        read(&mut calling, &mut open, number);
    }
    assert!(open.is_empty() && calling.is_empty(), "no end: {open:?}");
    assert!(!calling.has_frames() && !calling.takes_calls());
}

/// Two calls were sent, one goes in parts, one was cancelled, the time of one was over, and two
/// were not sent; with those that somebody waits for.
fn under_way() -> (Calling<bool>, BTreeSet<u64>) {
    let mut calling = Calling::default();
    for len in [1, 2, LONG, 3] {
        submitted(&mut calling, len);
    }
    let expiring = calling.submit(Bytes::from_static(b"x"), 1).map_err(drop);
    assert_eq!(expiring, Ok(5));
    calling.take(5, drop);
    calling.cancel(4);
    sound(calling.expire(1, &mut Vec::new()));
    for len in [4, 5] {
        submitted(&mut calling, len);
    }
    (calling, BTreeSet::from([1, 2, 3, 5, 6, 7]))
}

/// Sends what may go, but none of the calls that were not sent before.
fn send(calling: &mut Calling<bool>, books: &mut Books) {
    let mut some = true;
    while std::mem::take(&mut some) {
        calling.take(5, |frame| {
            some = true;
            books.sent(&frame);
        });
    }
}

/// Reads what there is, until the call's end.
fn read(calling: &mut Calling<bool>, open: &mut BTreeSet<u64>, number: u64) {
    while let Some(answer) = calling.next(number, |waits| *waits = true) {
        assert!(open.contains(&number), "an answer after the end");
        let ended = match answer {
            Answer::Item(item) => {
                assert!(item.len() <= MAX_ANSWER as usize);
                false
            }
            Answer::End(end) => {
                assert!(end.len() <= MAX_ANSWER as usize);
                true
            }
            Answer::Refused(_) | Answer::Unsent(_) | Answer::Lost | Answer::Expired { .. } => true,
        };
        if ended {
            open.remove(&number);
        }
    }
}

fn submitted<T: Default>(calling: &mut Calling<T>, len: usize) {
    let submitted = calling.submit(vec![b'x'; len].into(), u64::MAX);
    assert!(submitted.is_ok());
}

fn sound<T>(handled: Result<T, Violation>) {
    assert!(handled.is_ok(), "what the other side sends breaks no rule");
}
