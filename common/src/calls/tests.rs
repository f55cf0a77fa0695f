//! Single rules, one at a time.

use std::collections::VecDeque;

use bytes::Bytes;

use super::*;

/// Both sides, with everything that one sends delivered at once.
#[derive(Default)]
struct Pair {
    calling: Calling<bool>,
    answering: Answering<bool>,
}

impl Pair {
    /// Carries frames until neither side has any: the events at the gateway.
    fn carry(&mut self) -> Vec<Event<bool>> {
        let mut events = Vec::new();
        loop {
            let mut frames = Vec::new();
            self.calling.take(u64::MAX, |frame| frames.push(frame));
            let idle = frames.is_empty();
            for frame in frames {
                events.extend(self.answering.handle(frame).unwrap());
            }
            let mut frames = Vec::new();
            self.answering.take(|frame| frames.push(frame));
            if idle && frames.is_empty() {
                return events;
            }
            for frame in frames {
                self.calling.handle(frame, &mut Vec::new()).unwrap();
            }
        }
    }

    fn submit(&mut self, call: impl Into<Bytes>) -> u64 {
        self.calling.submit(call.into(), u64::MAX).unwrap()
    }

    fn next(&mut self, number: u64) -> Option<Answer> {
        self.calling.next(number, |waits| *waits = true)
    }

    fn expire(&mut self, now: u64) -> Vec<bool> {
        let mut woken = Vec::new();
        self.calling.expire(now, &mut woken).unwrap();
        woken
    }
}

fn taken<T: Default>(calling: &mut Calling<T>) -> Vec<Frame> {
    let mut frames = Vec::new();
    calling.take(u64::MAX, |frame| frames.push(frame));
    frames
}

fn open(call: u64, len: u32, data: &[u8]) -> Frame {
    let data = Bytes::copy_from_slice(data);
    let kind = Kind::Open(Begin { len, data }, None);
    Frame { call, kind }
}

fn part(call: u64, len: usize) -> Frame {
    let kind = Kind::Part(vec![0; len].into());
    Frame { call, kind }
}

#[test]
fn a_small_call_and_its_answer_are_one_frame_each() {
    let mut pair = Pair::default();
    let number = pair.submit("what?");
    assert!(pair.calling.has_unsent());
    let frames = taken(&mut pair.calling);
    assert_eq!(frames, [open(number, 5, b"what?")]);
    assert!(!pair.calling.has_unsent() && !pair.calling.has_frames());
    let event = pair.answering.handle(frames[0].clone()).unwrap();
    assert_eq!(event, Some(Event::Call(number, "what?".into(), None)));
    assert_eq!(pair.next(number), None);
    pair.answering.end(number, "that".into());
    let mut frames = Vec::new();
    pair.answering.take(|frame| frames.push(frame));
    assert_eq!(frames.len(), 1);
    let mut woken = Vec::new();
    pair.calling.handle(frames.remove(0), &mut woken).unwrap();
    assert_eq!(woken, [true]);
    assert_eq!(pair.next(number), Some(Answer::End("that".into())));
    assert!(pair.calling.is_empty() && pair.answering.is_empty());
}

#[test]
fn a_long_answer_lets_short_ones_pass_between_its_parts() {
    let mut pair = Pair::default();
    let long = pair.submit("long");
    let short = pair.submit("short");
    assert_eq!(pair.carry().len(), 2);
    pair.answering.end(long, vec![1; 100_000].into());
    let mut frames = Vec::new();
    pair.answering.take(|frame| frames.push(frame));
    pair.answering.end(short, "soon".into());
    pair.answering.take(|frame| frames.push(frame));
    let at = frames.iter().position(|frame| frame.call == short).unwrap();
    let before: usize = frames[..at].iter().map(|frame| frame.kind.size()).sum();
    assert!(
        before <= BATCH + 2 * MAX_PART as usize,
        "{before} bytes before"
    );
    let all = frames
        .iter()
        .all(|frame| frame.kind.size() <= MAX_PART as usize + 16);
    assert!(all);
}

#[test]
fn a_search_that_nobody_reads_stops_itself_alone() {
    let mut pair = Pair::default();
    let search = pair.submit("search");
    pair.carry();
    let mut made = 0;
    while pair.answering.item(search, vec![made; 10_000].into()) {
        made += 1;
        pair.carry();
    }
    let (held, _) = pair.calling.held();
    assert!(held <= ANSWER_CREDIT as usize + 10_000, "{held}");
    assert!(pair.answering.take_roomy().is_empty());
    let other = pair.submit("other");
    pair.carry();
    pair.answering.end(other, "done".into());
    pair.carry();
    assert_eq!(pair.next(other), Some(Answer::End("done".into())));

    // Its reader wakes up: everything comes, in order, and the search may go on.
    pair.answering.end(search, "end".into());
    for number in 0..=made {
        pair.carry();
        let item = pair.next(search);
        assert_eq!(item, Some(Answer::Item(vec![number; 10_000].into())));
    }
    assert_eq!(pair.answering.take_roomy(), [search]);
    pair.carry();
    assert_eq!(pair.next(search), Some(Answer::End("end".into())));
}

#[test]
fn long_answers_that_nobody_reads_keep_no_room_from_others() {
    let mut pair = Pair::default();
    let long = Bytes::from(vec![7; MAX_ANSWER as usize]);
    let sleeping: Vec<_> = (0..5).map(|_| pair.submit("search")).collect();
    pair.carry();
    for number in &sleeping {
        // Its first item was read; from now on its reader sleeps.
        pair.answering.item(*number, "first".into());
        pair.carry();
        assert!(matches!(pair.next(*number), Some(Answer::Item(_))));
        pair.answering.item(*number, "second".into());
        pair.carry();
        pair.answering.item(*number, long.clone());
        pair.carry();
    }
    let (held, room) = pair.calling.held();
    assert!(
        held <= 6 * ANSWER_CREDIT as usize && room == ANSWER_BUDGET,
        "{held}"
    );
    let awake = pair.submit("get");
    pair.carry();
    pair.answering.end(awake, long.clone());
    pair.carry();
    assert_eq!(pair.next(awake), Some(Answer::End(long)));
}

#[test]
fn calls_beyond_the_limit_wait_and_the_longest_first() {
    let mut pair = Pair::default();
    let numbers: Vec<_> = (0..MAX_CALLS + 2).map(|_| pair.submit("x")).collect();
    assert_eq!(pair.carry().len(), MAX_CALLS);
    // The one that waits longest goes away, so that the other has its turn.
    pair.calling.cancel(numbers[MAX_CALLS]);
    pair.answering.end(numbers[0], "y".into());
    assert_eq!(
        pair.carry(),
        [Event::Call(numbers[MAX_CALLS + 1], "x".into(), None)]
    );
}

#[test]
fn a_drain_leaves_no_doubt_about_what_was_begun() {
    let mut pair = Pair::default();
    let begun = pair.submit("begun");
    pair.carry();
    pair.answering.drain();
    let on_the_way = pair.submit("on the way");
    let frames = taken(&mut pair.calling);
    let queued = pair.submit("queued");
    for frame in frames {
        assert_eq!(pair.answering.handle(frame), Ok(None));
    }
    pair.carry();
    for number in [on_the_way, queued] {
        assert_eq!(pair.next(number), Some(Answer::Unsent(Unsent::Draining)));
    }
    let submitted = pair.calling.submit("late".into(), 9);
    assert_eq!(submitted, Err(NotSubmitted::Closed));
    assert!(!pair.answering.is_drained());
    pair.answering.end(begun, "done".into());
    pair.carry();
    assert_eq!(pair.next(begun), Some(Answer::End("done".into())));
    assert!(pair.answering.is_drained());
}

#[test]
fn what_came_in_part_is_refused_and_what_came_whole_goes_on() {
    let mut answering = Answering::<()>::default();
    for frame in [
        open(1, 3, b"abc"),
        open(2, 3, b"a"),
        open(3, 40_000, b"a"),
        part(3, 8_000),
    ] {
        answering.handle(frame).unwrap();
    }
    let refusal = Refusal::default();
    answering.refuse_partial(&refusal);
    answering.end(1, Bytes::from_static(b"done"));
    let mut frames = Vec::new();
    answering.take(|frame| frames.push(frame));
    let ended: Vec<_> = frames
        .iter()
        .filter_map(|frame| match &frame.kind {
            Kind::Refused(why) => Some((frame.call, **why == refusal)),
            Kind::End(_) => Some((frame.call, true)),
            _ => None,
        })
        .collect();
    assert_eq!(ended, [(2, true), (3, true), (1, true)]);
    assert!(answering.is_empty());
}

#[test]
fn after_a_loss_it_is_known_what_was_not_sent() {
    let mut pair = Pair::default();
    let sent = pair.submit("sent");
    taken(&mut pair.calling);
    let unsent = pair.submit("unsent");
    let expired = pair.calling.submit("x".into(), 5).unwrap();
    assert!(pair.expire(4).is_empty());
    assert_eq!(pair.expire(5).len(), 1);
    assert_eq!(pair.next(expired), Some(Answer::Expired { sent: false }));
    pair.calling.lost();
    assert_eq!(pair.next(sent), Some(Answer::Lost));
    assert_eq!(pair.next(unsent), Some(Answer::Unsent(Unsent::Lost)));
    assert!(pair.calling.is_empty());
}

/// What a gateway makes of frames that break a rule: the last of them is the one too many.
#[test]
fn a_server_that_breaks_a_rule_is_found_out() {
    for (what, mut frames, violation) in broken_rules_of_a_server() {
        let mut answering = Answering::<bool>::default();
        let last = frames.pop().unwrap();
        for frame in frames {
            answering.handle(frame).unwrap();
        }
        assert_eq!(answering.handle(last), Err(violation), "{what}");
    }
}

fn broken_rules_of_a_server() -> [(&'static str, Vec<Frame>, Violation); 10] {
    [
        (
            "a number twice",
            vec![open(7, 1, b"x"), open(7, 1, b"x")],
            Violation::NumberReused(7),
        ),
        (
            "a smaller number",
            vec![open(7, 1, b"x"), open(6, 1, b"x")],
            Violation::NumberReused(6),
        ),
        (
            "an unknown call",
            vec![part(3, 1)],
            Violation::UnknownCall(3),
        ),
        (
            "too long",
            vec![open(1, MAX_CALL + 1, b"x")],
            Violation::TooLong(MAX_CALL + 1),
        ),
        (
            "more than the whole",
            vec![open(1, 1, b"xy")],
            Violation::Parts(1),
        ),
        (
            "nothing of something",
            vec![open(1, 1, b"")],
            Violation::Parts(1),
        ),
        (
            "an empty part",
            vec![open(1, 9, b"x"), part(1, 0)],
            Violation::Parts(1),
        ),
        (
            "a part too many",
            vec![open(1, 1, b"x"), part(1, 1)],
            Violation::Parts(1),
        ),
        (
            "a part too long",
            vec![open(1, 60_000, b"x"), part(1, MAX_PART as usize + 1)],
            Violation::Parts(1),
        ),
        (
            "an answer",
            vec![Frame {
                call: 1,
                kind: Kind::Drain,
            }],
            Violation::UnknownKind,
        ),
    ]
}

/// Whoever gave it up, and however far it was: a gateway that leaves it open would keep its place
/// for good.
#[test]
fn a_cancelled_call_that_gets_no_end_ends_the_stream() {
    for by_deadline in [false, true] {
        let mut pair = Pair::default();
        let number = pair.calling.submit("x".into(), 1_000).unwrap();
        let slow = pair.submit("slow");
        pair.carry();
        if !by_deadline {
            pair.calling.cancel(number);
        }
        // It is carried out for long, and nobody gave it up: there is nothing wrong with that.
        assert_eq!(pair.expire(1_000).len(), usize::from(by_deadline));
        let mut frames = taken(&mut pair.calling);
        let kind = Kind::Cancel;
        assert_eq!(frames.pop(), Some(Frame { call: number, kind }));
        pair.expire(999 + CANCEL_GRACE);
        let late = pair.calling.expire(1_000 + CANCEL_GRACE, &mut Vec::new());
        assert_eq!(late, Err(Violation::NoEnd(number)));
        pair.calling.lost();
        assert_eq!(pair.next(slow), Some(Answer::Lost));
        let expired = by_deadline.then_some(Answer::Expired { sent: true });
        assert_eq!(pair.next(number), expired);
        assert!(pair.calling.is_empty());
    }
}

#[test]
fn a_cancelled_call_that_gets_its_end_in_time_ends_nothing_else() {
    let mut pair = Pair::default();
    let expired = pair.calling.submit("x".into(), 1_000).unwrap();
    let cancelled = pair.submit("y");
    let unsent = {
        pair.carry();
        pair.submit("z")
    };
    pair.expire(1_000);
    pair.calling.cancel(cancelled);
    pair.calling.cancel(unsent);
    pair.expire(1_001);
    pair.carry();
    // Nobody has read that its time was over, which is no fault of the gateway's.
    assert!(pair.expire(2 * CANCEL_GRACE).is_empty());
    assert_eq!(pair.next(expired), Some(Answer::Expired { sent: true }));
    assert!(pair.calling.is_empty());
}

#[test]
fn more_than_the_credit_is_not_taken() {
    let mut answering = Answering::<bool>::default();
    // Its room is granted to nobody else, so it has credit for all of it, and for no byte more than
    // that at once.
    let busy: Vec<_> = (1..=4).map(|call| open(call, MAX_CALL, b"x")).collect();
    for frame in busy {
        answering.handle(frame).unwrap();
    }
    answering.handle(open(5, MAX_CALL, b"x")).unwrap();
    let mut sent = 1 + MESSAGE_COST;
    while sent + MAX_PART <= CALL_CREDIT {
        assert_eq!(answering.handle(part(5, MAX_PART as usize)), Ok(None));
        sent += MAX_PART;
    }
    let over = part(5, (CALL_CREDIT - sent + 1) as usize);
    assert_eq!(answering.handle(over), Err(Violation::NoCredit(5)));
}

#[test]
fn too_many_calls_are_not_taken() {
    let mut answering = Answering::<bool>::default();
    for number in 1..=MAX_CALLS as u64 {
        answering.handle(open(number, 1, b"x")).unwrap();
    }
    let over = answering.handle(open(5000, 1, b"x"));
    assert_eq!(over, Err(Violation::TooManyCalls));
}

#[test]
fn a_gateway_that_breaks_a_rule_is_found_out() {
    let end = |call| {
        let data = Bytes::from_static(b"x");
        let kind = Kind::End(Begin { len: 1, data });
        Frame { call, kind }
    };
    let frame = |kind| Frame { call: 1, kind };
    let credit = |bytes| frame(Kind::Credit(bytes));
    let cases = [
        ("an unknown call", vec![end(2)], Violation::UnknownCall(2)),
        (
            "a second end",
            vec![end(1), end(1)],
            Violation::UnknownCall(1),
        ),
        (
            "an end that nobody asked for",
            vec![frame(Kind::Cancelled)],
            Violation::UnknownKind,
        ),
        ("no credit", vec![credit(0)], Violation::Credit(1)),
        (
            "too much credit",
            vec![credit(100), credit(u32::MAX - CALL_CREDIT)],
            Violation::Credit(1),
        ),
        (
            "a second drain",
            vec![frame(Kind::Drain), frame(Kind::Drain)],
            Violation::UnknownKind,
        ),
        ("a part of nothing", vec![part(1, 1)], Violation::Parts(1)),
    ];
    for (what, mut frames, violation) in cases {
        let mut calling = Calling::<bool>::default();
        calling.submit("x".into(), 9).unwrap();
        // The second one was not sent: nothing may come about it.
        taken(&mut calling);
        calling.submit("y".into(), 9).unwrap();
        let last = frames.pop().unwrap();
        for frame in frames {
            calling.handle(frame, &mut Vec::new()).unwrap();
        }
        let over = calling.handle(last, &mut Vec::new());
        assert_eq!(over, Err(violation), "{what}");
    }
}

/// A long call, a long item and a long end: cancelled after every single frame, whichever way it
/// went.
#[test]
fn a_cancel_at_any_moment_leaves_nothing_behind() {
    for after in 0.. {
        let mut pair = Pair::default();
        let (mut up, mut down) = (VecDeque::new(), VecDeque::new());
        let number = pair.submit(vec![1; 100_000]);
        let mut carried = 0;
        let mut ended = false;
        loop {
            if carried == after {
                pair.calling.cancel(number);
            } else if let Some(Answer::End(_)) = pair.next(number) {
                ended = true;
            }
            pair.calling.take(u64::MAX, |frame| up.push_back(frame));
            pair.answering.take(|frame| down.push_back(frame));
            if let Some(frame) = up.pop_front() {
                if let Some(Event::Call(number, ..)) = pair.answering.handle(frame).unwrap() {
                    pair.answering.item(number, vec![2; 150_000].into());
                    pair.answering.end(number, vec![3; 150_000].into());
                }
            } else if let Some(frame) = down.pop_front() {
                pair.calling.handle(frame, &mut Vec::new()).unwrap();
            } else if carried > after || ended {
                break;
            }
            carried += 1;
        }
        assert_eq!(pair.calling.held(), (0, ANSWER_BUDGET), "after {after}");
        assert_eq!(pair.answering.held(), (0, CALL_BUDGET), "after {after}");
        assert!(pair.calling.is_empty() && pair.answering.is_empty());
        if ended {
            assert!(after > 50, "{after}");
            return;
        }
    }
}

#[test]
fn calls_that_may_not_go_yet_hold_up_nothing_else() {
    let mut pair = Pair::default();
    let sent = pair.submit(vec![1; 20_000]);
    let mut frames = Vec::new();
    pair.calling.take(sent, |frame| frames.push(frame));
    let late = pair.submit("late");
    pair.calling.cancel(sent);
    assert!(pair.calling.has_unsent());
    let mut more = Vec::new();
    pair.calling.take(sent, |frame| more.push(frame));
    let kind = Kind::Cancel;
    assert_eq!(more, [Frame { call: sent, kind }]);
    pair.calling.take(late, |frame| frames.push(frame));
    assert_eq!(frames.last(), Some(&open(late, 4, b"late")));
}

#[test]
fn ends_that_nobody_takes_count_as_calls() {
    let mut answering = Answering::<bool>::default();
    for call in 1..=MAX_CALLS as u64 {
        answering.handle(open(call, 1, b"x")).unwrap();
        let kind = Kind::Cancel;
        answering.handle(Frame { call, kind }).unwrap();
    }
    let over = answering.handle(open(5000, 1, b"x"));
    assert_eq!(over, Err(Violation::TooManyCalls));
}

#[test]
fn an_answer_that_nobody_reads_keeps_its_room_and_not_its_batch() {
    let mut pair = Pair::default();
    let number = pair.submit("x");
    pair.carry();
    pair.answering.end(number, vec![1; 1_000_000].into());
    pair.carry();
    assert_eq!(pair.calling.held(), (1_000_000, ANSWER_BUDGET - 1_000_000));
    assert!(matches!(pair.next(number), Some(Answer::End(_))));
    assert_eq!(pair.calling.held(), (0, ANSWER_BUDGET));

    let small = pair.submit("y");
    taken(&mut pair.calling);
    let batch = Bytes::from(vec![2; 100_000]);
    let data = batch.slice(..1);
    let kind = Kind::End(Begin { len: 1, data });
    let frame = Frame { call: small, kind };
    pair.calling.handle(frame, &mut Vec::new()).unwrap();
    assert!(batch.is_unique(), "the batch is kept");
}

#[test]
fn an_answer_that_is_too_long_ends_its_own_call_with_nothing() {
    let mut pair = Pair::default();
    let long = Bytes::from(vec![7; MAX_ANSWER as usize + 1]);
    let [end, search, other] = [(); 3].map(|()| pair.submit("x"));
    pair.carry();
    pair.answering.end(end, long.clone());
    assert!(pair.answering.item(search, "first".into()));
    assert!(pair.answering.item(search, long));
    // The search may go on for a while: none of that is sent.
    pair.answering.item(search, "second".into());
    pair.answering.end(search, "end".into());
    pair.carry();
    assert_eq!(pair.next(end), Some(Answer::End(Bytes::new())));
    assert_eq!(pair.next(search), Some(Answer::Item("first".into())));
    assert_eq!(pair.next(search), Some(Answer::End(Bytes::new())));
    pair.answering.end(other, "done".into());
    pair.carry();
    assert_eq!(pair.next(other), Some(Answer::End("done".into())));
    assert!(pair.calling.is_empty() && pair.answering.is_empty());
}

#[test]
fn no_more_calls_wait_than_may() {
    let mut calling = Calling::<bool>::default();
    for _ in 0..MAX_WAITING {
        calling.submit("x".into(), 9).unwrap();
    }
    assert_eq!(calling.submit("x".into(), 9), Err(NotSubmitted::Busy));
    assert_eq!(calling.hold_back().len(), MAX_WAITING);
    assert!(calling.submit("x".into(), 9).is_ok());
}
