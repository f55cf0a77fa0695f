//! Which gateway has which link: in memory, of this process alone.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use portcullis_common::id::KeyId;
use portcullis_common::rotation::UnixMillis;
use portcullis_common::stream::Session;
use portcullis_host::limit::{Allowance, Limit};
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::link::Link;
use super::lock;
use super::noise::{Heard, Noise};

/// How long a link that was closed to be replaced is awaited.
pub(super) const REPLACEMENT: Duration = Duration::from_secs(10);
/// So many replacements of a living link …
const FLAPS: usize = 5;
/// … within this time are no accident.
const FLAP_WINDOW: Duration = Duration::from_secs(120);

#[derive(Debug, Default)]
pub(super) struct Roster {
    slots: Mutex<HashMap<String, Slot>>,
    changes: watch::Sender<u64>,
    followers: Mutex<Vec<Weak<Changed>>>,
}

/// The gateways of which something changed and was not looked at yet.
#[derive(Debug, Default)]
struct Changed {
    names: Mutex<BTreeSet<String>>,
    more: Notify,
}

/// Follows the roster: tells which gateways to look at, however many others there are.
#[derive(Debug)]
pub struct Follower(Arc<Changed>);

impl Follower {
    /// Those that changed since this was last asked; waits for the first.
    pub async fn changed(&self) -> BTreeSet<String> {
        loop {
            let names = std::mem::take(&mut *lock(&self.0.names));
            if !names.is_empty() {
                return names;
            }
            self.0.more.notified().await;
        }
    }
}

#[derive(Debug, Default)]
struct Slot {
    link: Option<Arc<Link>>,
    /// Sessions of replaced links, on which calls may still be on the way.
    retired: Vec<Arc<Session>>,
    /// A link was closed to be replaced, and its successor is awaited until then.
    awaited_until: Option<Instant>,
    /// Why the last push through this link failed.
    refusal: Option<Refused>,
    /// Tells the task that dials to shake hands anew.
    redial: Arc<Notify>,
    dialler: Option<AbortHandle>,
    /// Failures of those who dial and name this gateway.
    failures: Throttle,
    /// Alarms about those who come with its spent token.
    token_alarms: Throttle,
    /// When it is dialled again.
    next_attempt: Option<UnixMillis>,
    /// It refuses the key that it proved last.
    refuses_proved: bool,
    noise: Noise,
    /// When links that the gateway opened replaced living ones.
    replacements: VecDeque<Instant>,
    /// For calls that wait for a link; `None`: none did of late.
    changes: Option<watch::Sender<u64>>,
}

/// A gateway did not take a key.
#[derive(Clone, Debug)]
pub(super) struct Refused {
    pub(super) key: KeyId,
    pub(super) why: String,
    pub(super) at: Instant,
}

/// Lets something through once a second.
#[derive(Debug, Default)]
pub(super) struct Throttle(Mutex<Allowance<Instant>>);

impl Throttle {
    pub(super) fn ready(&self) -> bool {
        let once_a_second = Limit {
            burst: 1,
            refill: 1,
            every: Duration::from_secs(1),
        };
        let mut allowance = lock(&self.0);
        allowance.admit(&once_a_second, Instant::now()).is_some()
    }
}

impl Slot {
    fn is_ahead(&self) -> bool {
        self.refuses_proved && self.link.is_none()
    }

    fn outlook(&self) -> Outlook {
        Outlook {
            next_attempt: self.next_attempt,
            ahead: self.is_ahead(),
        }
    }

    fn retire(&mut self, link: &Link) {
        self.retired.retain(|session| !session.is_closed());
        self.retired.push(Arc::clone(link.session()));
    }
}

/// How a gateway stands, in this process.
#[derive(Clone, Debug, Default)]
pub(super) struct Standing {
    pub(super) link: Option<Arc<Link>>,
    pub(super) awaited: bool,
    pub(super) refusal: Option<Refused>,
    /// It refuses the key that it proved last, and there is no link.
    pub(super) ahead: bool,
}

/// What is known of a gateway besides its link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outlook {
    /// When the server dials it again; `None`: it is not waiting to.
    pub next_attempt: Option<UnixMillis>,
    /// There is no link, and since this server started the gateway refused the key that it proved
    /// last: it holds another one, such as a newer one that this repository has forgotten.
    pub ahead: bool,
}

/// Who is, or was, at the other end of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Peer {
    /// Its address with its port.
    pub(super) address: String,
    /// What it calls itself; empty: it did not say.
    pub(super) host: String,
}

impl Peer {
    pub(super) fn of(link: &Link) -> Self {
        Self {
            address: link.remote_address.clone(),
            host: link.host(),
        }
    }

    /// Its address without the port, which is another with each connection of a gateway that dials.
    pub(super) fn ip(&self) -> &str {
        let (ip, _) = self.address.rsplit_once(':').unwrap_or((&self.address, ""));
        ip
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.as_str() {
            "" => f.write_str(&self.address),
            host => write!(f, "{} (host {host})", self.address),
        }
    }
}

/// What the arrival of a link meant.
#[derive(Debug, Default)]
pub(super) struct Arrival {
    /// Two hosts seem to hold one key: where the former link came from.
    pub(super) flapping_with: Option<Peer>,
    /// Attempts that failed before.
    pub(super) failures: u64,
}

impl Roster {
    /// Counts up with every change of a link or of what is known of one.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Something changed of this gateway.
    pub(super) fn changed(&self, gateway: &str) {
        lock(&self.followers).retain(|follower| {
            let Some(changed) = follower.upgrade() else {
                return false;
            };
            lock(&changed.names).insert(gateway.to_owned());
            changed.more.notify_one();
            true
        });
        if let Some(slot) = lock(&self.slots).get_mut(gateway) {
            slot.changes.take_if(|changes| changes.is_closed());
            if let Some(changes) = &slot.changes {
                changes.send_modify(|count| *count = count.wrapping_add(1));
            }
        }
        self.changes
            .send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Counts up with every change of this one gateway: who waits for its link is not woken by all
    /// others'.
    pub(super) fn changes_of(&self, gateway: &str) -> watch::Receiver<u64> {
        self.with_slot(gateway, |slot| {
            let changes = slot.changes.get_or_insert_with(|| watch::Sender::new(0));
            changes.subscribe()
        })
    }

    /// From now on.
    pub(super) fn follow(&self) -> Follower {
        let changed = Arc::new(Changed::default());
        lock(&self.followers).push(Arc::downgrade(&changed));
        Follower(changed)
    }

    pub(super) fn links(&self) -> Vec<Arc<Link>> {
        let mut links: Vec<_> = lock(&self.slots)
            .values()
            .filter_map(|slot| slot.link.clone())
            .collect();
        links.sort_by(|a, b| a.gateway.cmp(&b.gateway));
        links
    }

    /// The names of the gateways that have a live link.
    pub(super) fn connected(&self) -> HashSet<String> {
        let slots = lock(&self.slots);
        let connected = slots.iter().filter(|(_, slot)| slot.link.is_some());
        connected.map(|(name, _)| name.clone()).collect()
    }

    /// How many live links there are.
    pub(super) fn count(&self) -> usize {
        let slots = lock(&self.slots);
        slots.values().filter(|slot| slot.link.is_some()).count()
    }

    /// Whether a gateway has a live link.
    pub(super) fn has_link(&self, gateway: &str) -> bool {
        let slots = lock(&self.slots);
        slots.get(gateway).is_some_and(|slot| slot.link.is_some())
    }

    /// Every gateway of which anything is known here.
    pub(super) fn gateways(&self) -> Vec<String> {
        lock(&self.slots).keys().cloned().collect()
    }

    pub(super) fn standing(&self, gateway: &str) -> Standing {
        let slots = lock(&self.slots);
        slots
            .get(gateway)
            .map_or_else(Standing::default, |slot| Standing {
                link: slot.link.clone(),
                awaited: slot
                    .awaited_until
                    .is_some_and(|until| Instant::now() < until),
                refusal: slot.refusal.clone(),
                ahead: slot.is_ahead(),
            })
    }

    /// What is known of one gateway besides its link.
    pub(super) fn outlook(&self, gateway: &str) -> Outlook {
        let slots = lock(&self.slots);
        slots
            .get(gateway)
            .map_or_else(Outlook::default, Slot::outlook)
    }

    /// The same of all of which something is known.
    pub(super) fn outlooks(&self) -> HashMap<String, Outlook> {
        let slots = lock(&self.slots);
        let known = slots
            .iter()
            .map(|(name, slot)| (name.clone(), slot.outlook()));
        known
            .filter(|(_, outlook)| *outlook != Outlook::default())
            .collect()
    }

    /// When the gateway is dialled again; `None`: it is being dialled, or not at all.
    pub(super) fn next_attempt(&self, gateway: &str, at: Option<UnixMillis>) {
        self.with_slot(gateway, |slot| slot.next_attempt = at);
    }

    /// The gateway refused a handshake that offered the key which it proved last.
    pub(super) fn refused_proved(&self, gateway: &str) {
        let was = self.with_slot(gateway, |slot| {
            std::mem::replace(&mut slot.refuses_proved, true)
        });
        if !was {
            self.changed(gateway);
        }
    }

    /// An attempt failed: what is the log to say of it?
    pub(super) fn failure(&self, gateway: &str, error: &str) -> Heard {
        self.with_slot(gateway, |slot| slot.noise.failure(error, Instant::now()))
    }

    /// A link came to live: it takes the former one's place, which takes no new calls.
    pub(super) fn arrived(&self, link: &Arc<Link>) -> Arrival {
        let mut arrival = Arrival::default();
        let former = self.with_slot(&link.gateway, |slot| {
            let expected = slot.awaited_until.take().is_some();
            slot.refusal = None;
            slot.refuses_proved = false;
            arrival.failures = slot.noise.ended();
            let former = slot.link.replace(Arc::clone(link));
            if let Some(former) = &former {
                slot.retire(former);
            }
            if let Some(former) = former.as_ref().filter(|_| link.dialled_out && !expected) {
                let now = Instant::now();
                slot.replacements.push_back(now);
                slot.replacements
                    .retain(|at| now.duration_since(*at) < FLAP_WINDOW);
                if slot.replacements.len() >= FLAPS {
                    slot.replacements.clear();
                    arrival.flapping_with = Some(Peer::of(former));
                }
            }
            former
        });
        if let Some(former) = former {
            Link::retire(former);
        }
        self.changed(&link.gateway);
        arrival
    }

    /// A link is gone: forgets it, unless another took its place already. True: it was the live
    /// one.
    pub(super) fn gone(&self, gateway: &str, link: &Weak<Link>) -> bool {
        let is_it = |held: &mut Arc<Link>| std::ptr::eq(Arc::as_ptr(held), link.as_ptr());
        let gone = lock(&self.slots)
            .get_mut(gateway)
            .and_then(|slot| slot.link.take_if(is_it));
        let found = gone.is_some();
        // The last holder closes the connection: not under the lock.
        drop(gone);
        self.changed(gateway);
        found
    }

    /// Closes a link that the gateway opened, so that it opens another, which is awaited.
    pub(super) fn dismiss(&self, link: &Arc<Link>) {
        let dismissed = self.with_slot(&link.gateway, |slot| {
            let dismissed = slot.link.take_if(|held| Arc::ptr_eq(held, link))?;
            slot.retire(&dismissed);
            slot.awaited_until = Some(Instant::now() + REPLACEMENT);
            Some(dismissed)
        });
        if let Some(dismissed) = dismissed {
            Link::retire(dismissed);
        }
        self.changed(&link.gateway);
    }

    /// A link is to be replaced, and keeps its place until then. False: its successor is awaited
    /// already, or has come.
    pub(super) fn expect_successor(&self, link: &Arc<Link>) -> bool {
        self.with_slot(&link.gateway, |slot| {
            let now = Instant::now();
            let live = slot.link.as_ref().is_some_and(|it| Arc::ptr_eq(it, link));
            let first = live && slot.awaited_until.is_none_or(|until| until <= now);
            if first {
                slot.awaited_until = Some(now + REPLACEMENT);
            }
            first
        })
    }

    /// A successor is on its way: calls wait for it rather than fail.
    pub(super) fn await_link(&self, gateway: &str) {
        self.with_slot(gateway, |slot| {
            slot.awaited_until = Some(Instant::now() + REPLACEMENT);
        });
        self.changed(gateway);
    }

    /// Nobody is on the way any more.
    pub(super) fn give_up(&self, gateway: &str) {
        self.with_slot(gateway, |slot| slot.awaited_until = None);
        self.changed(gateway);
    }

    /// It is asked once more to take this key.
    pub(super) fn forget_refusal(&self, gateway: &str, key: KeyId) {
        self.with_slot(gateway, |slot| {
            slot.refusal.take_if(|refusal| refusal.key == key);
        });
        self.changed(gateway);
    }

    /// The gateway did not take this key.
    pub(super) fn refused(&self, gateway: &str, key: KeyId, why: String) {
        let at = Instant::now();
        self.with_slot(gateway, |slot| {
            slot.refusal = Some(Refused { key, why, at })
        });
        self.changed(gateway);
    }

    /// May a failure of one who dialled be stored? Once a second.
    pub(super) fn may_note(&self, gateway: &str) -> bool {
        self.with_slot(gateway, |slot| slot.failures.ready())
    }

    /// May an alarm about a spent token be raised? Once a second.
    pub(super) fn may_alarm(&self, gateway: &str) -> bool {
        self.with_slot(gateway, |slot| slot.token_alarms.ready())
    }

    /// Ends a gateway's link at once, and those replaced that still carry calls. True: there was
    /// one.
    pub(super) fn cut(&self, gateway: &str) -> bool {
        let (link, retired) = self.with_slot(gateway, |slot| {
            slot.awaited_until = None;
            slot.refusal = None;
            slot.refuses_proved = false;
            (slot.link.take(), std::mem::take(&mut slot.retired))
        });
        let live = link.as_ref().map(|link| link.session());
        for session in retired.iter().chain(live) {
            session.close();
        }
        self.changed(gateway);
        live.is_some()
    }

    /// The gateway was removed: ends its links as [`Self::cut`] does, and forgets it.
    pub(super) fn forget(&self, gateway: &str) {
        self.cut(gateway);
        let slot = lock(&self.slots).remove(gateway);
        if let Some(dialler) = slot.and_then(|slot| slot.dialler) {
            dialler.abort();
        }
    }

    /// The gateway has another name from now on. Its link takes no new calls and lets those under
    /// way end: the next one comes under the new name.
    pub(super) fn rename(&self, old: &str, new: &str) {
        let Some(mut slot) = lock(&self.slots).remove(old) else {
            return;
        };
        if let Some(dialler) = slot.dialler.take() {
            dialler.abort();
        }
        let link = slot.link.take();
        if let Some(link) = &link {
            slot.retire(link);
        }
        self.with_slot(new, |renamed| {
            renamed.retired.append(&mut slot.retired);
            renamed.awaited_until = link.as_ref().map(|_| Instant::now() + REPLACEMENT);
        });
        if let Some(link) = link {
            Link::retire(link);
        }
        self.changed(old);
        self.changed(new);
    }

    /// Tells the task that dials this gateway.
    pub(super) fn redial(&self, gateway: &str) -> Arc<Notify> {
        self.with_slot(gateway, |slot| Arc::clone(&slot.redial))
    }

    /// Starts the task that dials this gateway, or where it runs tells it to look and dial again.
    pub(super) fn wake_dialler(&self, gateway: &str, start: impl FnOnce() -> AbortHandle) {
        self.with_slot(gateway, |slot| {
            if slot.dialler.as_ref().is_none_or(AbortHandle::is_finished) {
                slot.dialler = Some(start());
            } else {
                slot.redial.notify_one();
            }
        });
    }

    /// Stops dialling and forgets every link: gives the sessions, which end when their last call
    /// has.
    pub(super) fn clear(&self) -> Vec<Arc<Session>> {
        let slots = std::mem::take(&mut *lock(&self.slots));
        let mut sessions = Vec::new();
        for slot in slots.into_values() {
            if let Some(dialler) = slot.dialler {
                dialler.abort();
            }
            sessions.extend(slot.retired);
            sessions.extend(slot.link.map(|link| Arc::clone(link.session())));
        }
        sessions
    }

    fn with_slot<T>(&self, gateway: &str, then: impl FnOnce(&mut Slot) -> T) -> T {
        then(lock(&self.slots).entry(gateway.to_owned()).or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_for_one_gateway_is_woken_by_that_one_alone() {
        let roster = Roster::default();
        let waiting = roster.changes_of("one");
        roster.give_up("other");
        assert!(!waiting.has_changed().unwrap());
        roster.give_up("one");
        assert!(waiting.has_changed().unwrap());
        drop(waiting);
        roster.give_up("one");
        assert!(lock(&roster.slots)["one"].changes.is_none());
    }
}
