//! When gateways are asked for the calls of which nobody knows what came: as soon as there is a
//! link, and then again and again, each call after a longer while.
//!
//! One task asks one gateway. It asks for what is due, has the gateway look at several calls beside
//! one another, and goes on until nothing is left or the link is gone. A call that joins the others
//! is asked for at once, however long these have waited; with another link all are.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};

use super::look::{Answers, Left, ask, give_up_former, take};
use super::queue::GATHER;
use super::{Provisioning, journals};
use crate::fleet::{AskError, MAX_ASKED};
use crate::repository::{QueuedCall, RepositoryError, tell_refusal};

/// How long after the one before each asking for a call comes: it may still be under way, or on
/// its way.
const ASK_AFTER: [Duration; 7] = [
    Duration::ZERO,
    Duration::from_millis(300),
    Duration::from_secs(1),
    Duration::from_secs(4),
    Duration::from_secs(15),
    Duration::from_secs(40),
    Duration::from_secs(60),
];
/// And so long after that.
const ASK_AGAIN: Duration = Duration::from_secs(60);
/// How long to wait where nothing could be asked at all.
const PAUSE: Duration = Duration::from_secs(1);
/// Calls that one gateway looks at beside one another: a target that does not answer holds up few
/// of the others.
const LOOKS: usize = 8;
/// The longest time between two looks for gateways to ask.
const LONGEST_SLEEP: Duration = Duration::from_hours(1);

/// Asks the gateways of unknown calls as they come back, until it is dropped.
pub(super) async fn follow(provisioning: &Provisioning) {
    loop {
        let changed = provisioning.fleet.changed();
        let calls = provisioning.repository.queued_calls();
        let gateways = calls.gateways_of_unknown().await;
        let gateways = gateways.unwrap_or_else(|error| {
            tell_refusal!(
                error,
                "calls of which nobody knows what came are not looked at now"
            );
            Vec::new()
        });
        for gateway in gateways {
            let Some(link) = provisioning.fleet.status(&gateway) else {
                give_up_former(provisioning, &gateway).await;
                continue;
            };
            if let Some(more) = provisioning.open.begin(&gateway, link.session.session_id) {
                tokio::spawn(ask_all(provisioning.clone(), gateway, more));
            }
        }
        tokio::select! {
            () = changed => tokio::time::sleep(GATHER).await,
            () = provisioning.open.notified() => {}
            () = tokio::time::sleep(LONGEST_SLEEP) => {}
        }
    }
}

/// Asks one gateway of its unknown calls until each is known, or its link is gone. `more` tells of
/// calls that join them.
async fn ask_all(provisioning: Provisioning, gateway: String, more: Arc<Notify>) {
    let mut asking = Asking::default();
    while let Some(link) = provisioning.fleet.status(&gateway) {
        let session = link.session.session_id;
        asking.waits.of_session(session);
        asking.take_ended();
        let asked = asking.ask_due(&provisioning, &gateway).await;
        if asked == Err(AskError::Unknown) {
            provisioning.open.cannot(&gateway, session);
        }
        match asking.rest(asked) {
            Rest::End => break,
            // Whatever ends or joins meanwhile can be asked for no sooner.
            Rest::Away(until) => tokio::select! {
                () = sleep_until(until) => {}
                () = another_link(&provisioning, &gateway, session) => {}
            },
            Rest::Due(until) => tokio::select! {
                Some(look) = asking.looks.join_next_with_id() => asking.looked(look),
                () = sleep_until(until) => {}
                () = more.notified() => {}
                () = another_link(&provisioning, &gateway, session) => {}
            },
        }
    }
    // What was found is recorded whole.
    while asking.looks.join_next().await.is_some() {}
    provisioning.open.end(&gateway);
}

/// Waits until the link of a gateway is gone, or another one.
async fn another_link(provisioning: &Provisioning, gateway: &str, session: [u8; 8]) {
    loop {
        let changed = provisioning.fleet.changed();
        let link = provisioning.fleet.status(gateway);
        if link.is_none_or(|link| link.session.session_id != session) {
            return;
        }
        changed.await;
    }
}

/// What comes after a gateway was asked.
#[derive(Debug, PartialEq, Eq)]
enum Rest {
    /// Nothing is left.
    End,
    /// It could not be asked: again then.
    Away(Instant),
    /// A call is due then, unless something happens before.
    Due(Instant),
}

/// The calls that one gateway is asked for.
#[derive(Default)]
struct Asking {
    waits: Waits,
    looks: JoinSet<Left>,
    /// Those that it looks at now, by task.
    looked_at: HashMap<Id, i64>,
}

impl Asking {
    /// Asks for the calls that are due; whether any is left.
    async fn ask_due(
        &mut self,
        provisioning: &Provisioning,
        gateway: &str,
    ) -> Result<bool, AskError> {
        let calls = provisioning.repository.queued_calls();
        let seen = journals::see(provisioning, gateway).await;
        let seen = seen.map_err(|error| not_now(gateway, &error))?;
        let under_way: HashSet<_> = self.looked_at.values().copied().collect();
        let (mut all, mut after) = (HashSet::new(), 0);
        loop {
            let some = calls.unknown(gateway, after, MAX_ASKED as u32).await;
            let some = some.map_err(|error| not_now(gateway, &error))?;
            let Some(last) = some.calls.last() else {
                break;
            };
            after = last.sequence;
            all.extend(some.calls.iter().map(|call| call.sequence));
            let now = Instant::now();
            let free = LOOKS.saturating_sub(self.looks.len());
            let due = some.calls.into_iter();
            let due = due.filter(|call| !under_way.contains(&call.sequence));
            let due = due.filter(|call| self.waits.is_due(call.sequence, now));
            let due: Vec<_> = due.take(free).collect();
            if !due.is_empty() {
                let said = Arc::new(ask(provisioning, some.to, &due).await?);
                for call in due {
                    self.begin(provisioning, call, &said, seen);
                }
            }
        }
        self.waits.retain(&all);
        Ok(!all.is_empty())
    }

    /// Has one call ended by what its gateway said, or looked at.
    fn begin(
        &mut self,
        provisioning: &Provisioning,
        call: QueuedCall,
        said: &Arc<Answers>,
        seen: Option<journals::Seen>,
    ) {
        let sequence = call.sequence;
        let asked = self.waits.ask(sequence, Instant::now());
        let (provisioning, said) = (provisioning.clone(), Arc::clone(said));
        let look = self.looks.spawn(async move {
            let asked = (asked, seen);
            take(&provisioning, &call, &said, asked).await
        });
        self.looked_at.insert(look.id(), sequence);
    }

    /// What comes after this answer. Where nothing could be asked no call says when it is due.
    fn rest(&self, asked: Result<bool, AskError>) -> Rest {
        match asked {
            Ok(left) if left || !self.looks.is_empty() => Rest::Due(self.next()),
            Ok(_) | Err(AskError::Unknown) => Rest::End,
            Err(AskError::Away) => Rest::Away(Instant::now() + PAUSE),
        }
    }

    /// Takes all looks that have ended: their places are free for others.
    fn take_ended(&mut self) {
        while let Some(look) = self.looks.try_join_next_with_id() {
            self.looked(look);
        }
    }

    /// A look has ended.
    fn looked(&mut self, look: Result<(Id, Left), JoinError>) {
        let (id, left) = look.unwrap_or_else(|error| (error.id(), Left::Again));
        if let Some(call) = self.looked_at.remove(&id) {
            self.waits.asked(call, left, Instant::now());
        }
    }

    /// When there is something to ask for again.
    fn next(&self) -> Instant {
        let none = Instant::now() + LONGEST_SLEEP;
        if self.looks.len() >= LOOKS {
            return none;
        }
        let under_way = self.looked_at.values().copied().collect();
        self.waits.next(&under_way).unwrap_or(none)
    }
}

fn not_now(gateway: &str, error: &RepositoryError) -> AskError {
    tell_refusal!(error, gateway, "calls are not looked at now");
    AskError::Away
}

/// How often each call was asked for, and when it is asked for again.
#[derive(Debug, Default)]
struct Waits {
    session: Option<[u8; 8]>,
    calls: HashMap<i64, (usize, Instant)>,
}

impl Waits {
    /// With another link all are due.
    fn of_session(&mut self, session: [u8; 8]) {
        if self.session.replace(session) != Some(session) {
            self.calls.clear();
        }
    }

    fn is_due(&self, call: i64, now: Instant) -> bool {
        self.calls.get(&call).is_none_or(|(_, due)| *due <= now)
    }

    /// A call is asked for; how often it was before.
    fn ask(&mut self, call: i64, now: Instant) -> usize {
        let (asked, _) = self.calls.entry(call).or_insert((0, now));
        *asked += 1;
        *asked - 1
    }

    /// What came of it.
    fn asked(&mut self, call: i64, left: Left, now: Instant) {
        if left == Left::Nothing {
            self.calls.remove(&call);
        } else if let Some((asked, due)) = self.calls.get_mut(&call) {
            *due = now + ASK_AFTER.get(*asked).copied().unwrap_or(ASK_AGAIN);
        }
    }

    /// Forgets all but these.
    fn retain(&mut self, calls: &HashSet<i64>) {
        self.calls.retain(|call, _| calls.contains(call));
    }

    fn next(&self, but: &HashSet<i64>) -> Option<Instant> {
        let calls = self.calls.iter().filter(|(call, _)| !but.contains(call));
        calls.map(|(_, (_, due))| *due).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_joins_others_is_asked_for_at_once() {
        let mut waits = Waits::default();
        waits.of_session([1; 8]);
        let mut told = Vec::new();
        let mut now = Instant::now();
        for _ in 0..9 {
            assert!(waits.is_due(1, now));
            waits.ask(1, now);
            waits.asked(1, Left::Again, now);
            let next = waits.next(&HashSet::new()).unwrap();
            told.push((next - now).as_millis());
            assert!(!waits.is_due(1, now));
            assert!(waits.is_due(2, now));
            now = next;
        }
        let expected = [
            300, 1_000, 4_000, 15_000, 40_000, 60_000, 60_000, 60_000, 60_000,
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn a_link_that_gives_no_answer_is_asked_again_soon_also_before_any_call_was_asked_for() {
        let asking = Asking::default();
        let begun = Instant::now();
        match asking.rest(Err(AskError::Away)) {
            Rest::Away(until) => assert!((begun + PAUSE..=Instant::now() + PAUSE).contains(&until)),
            other => panic!("{other:?}"),
        }
        match asking.rest(Ok(true)) {
            Rest::Due(until) => assert!(until >= begun + LONGEST_SLEEP),
            other => panic!("{other:?}"),
        }
        for asked in [Ok(false), Err(AskError::Unknown)] {
            assert_eq!(asking.rest(asked), Rest::End);
        }
    }

    #[tokio::test]
    async fn looks_that_have_ended_make_room_together() {
        let mut asking = Asking::default();
        for call in 0..LOOKS as i64 {
            asking.waits.ask(call, Instant::now());
            let look = asking.looks.spawn(async { Left::Nothing });
            asking.looked_at.insert(look.id(), call);
        }
        tokio::task::yield_now().await;
        asking.take_ended();
        assert!(asking.looks.is_empty() && asking.looked_at.is_empty());
        assert!(asking.waits.calls.is_empty());
        assert_eq!(asking.rest(Ok(false)), Rest::End);
    }

    #[test]
    fn with_another_link_every_call_is_due() {
        let mut waits = Waits::default();
        waits.of_session([1; 8]);
        let now = Instant::now();
        waits.ask(1, now);
        waits.asked(1, Left::Again, now);
        waits.of_session([1; 8]);
        assert!(!waits.is_due(1, now));
        waits.of_session([2; 8]);
        assert!(waits.is_due(1, now));
        assert_eq!(waits.ask(1, now), 0);
    }
}
