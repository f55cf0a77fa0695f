//! How many handshakes strangers may leave half-open at a listener.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rand::RngExt;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use super::open::ALERT_TIME;

/// What a handshake may take beyond its deadline: it ends itself at that, with an alert, and this
/// is for one that does not.
const LAST_WORD: Duration = ALERT_TIME.saturating_mul(2);

/// What happens to a new connection when the limits are reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// It takes the place of a half-open one picked at random: among those of its own address where
    /// that limit is reached.
    DropOne,
    /// It waits, and with it every later one: the listener stops accepting. Where only its own
    /// address has reached its limit, it is turned away instead, so that one address cannot close
    /// the port to all others.
    StopAccepting,
}

/// Limits of a listener.
#[derive(Clone, Copy, Debug)]
pub struct HalfOpenLimits {
    /// Half-open handshakes in all; at least 1.
    pub total: usize,
    /// Half-open handshakes of one address (IPv6: of one /64); at least 1.
    pub per_address: usize,
    /// How long each may take, from the moment it was admitted: its [deadline](Permit::deadline),
    /// at which the handshake itself is to end.
    pub lifetime: Duration,
    /// What happens beyond.
    pub when_full: WhenFull,
}

impl HalfOpenLimits {
    /// For a gateway's listener: 64 in all, 8 an address, 10 s; beyond that one is dropped at
    /// random.
    pub const GATEWAY: Self = Self {
        total: 64,
        per_address: 8,
        lifetime: Duration::from_secs(10),
        when_full: WhenFull::DropOne,
    };

    /// For the server's dial-out port, where a whole fleet may stand behind one address: 1,024 in
    /// all, 512 an address, 10 s; beyond that it stops accepting, or turns away more from the one
    /// address.
    pub const DIAL_OUT: Self = Self {
        total: 1_024,
        per_address: 512,
        lifetime: Duration::from_secs(10),
        when_full: WhenFull::StopAccepting,
    };
}

/// Why a half-open handshake was ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Dropped {
    /// A newer connection took its place.
    #[error(
        "dropped: too many handshakes are half-open, and a newer connection took the place of this one"
    )]
    Replaced,
    /// It took too long.
    #[error("dropped: the handshake took longer than a listener allows")]
    TooSlow,
}

/// Bounds the half-open handshakes of one listener, which [admits](Self::admit) each connection
/// that it accepted and runs its handshake under the [`Permit`]. Cheap to clone: clones share the
/// bounds.
#[derive(Clone, Debug)]
pub struct HalfOpen {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    limits: HalfOpenLimits,
    table: Mutex<Table>,
    freed: Notify,
}

#[derive(Debug, Default)]
struct Table {
    /// The order means nothing: an entry that leaves is replaced by the last.
    entries: Vec<Entry>,
    counts: HashMap<Source, usize>,
    next_id: u64,
}

#[derive(Debug)]
struct Entry {
    id: u64,
    source: Source,
    /// Dropped to tell the permit that it was replaced.
    _alive: oneshot::Sender<()>,
}

/// What counts as one address: an IPv4 address, or an IPv6 network of 64 bits, which is what one
/// site usually has whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Source(IpAddr);

impl Source {
    fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(v6) => {
                let [a, b, c, d, ..] = v6.segments();
                Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
            }
            v4 => v4,
        })
    }
}

impl HalfOpen {
    /// A listener's bounds. A limit of 0 counts as 1.
    pub fn new(limits: HalfOpenLimits) -> Self {
        Self {
            shared: Arc::new(Shared {
                limits: HalfOpenLimits {
                    total: limits.total.max(1),
                    per_address: limits.per_address.max(1),
                    ..limits
                },
                table: Mutex::default(),
                freed: Notify::new(),
            }),
        }
    }

    /// Admits a connection from `address`. To be awaited before the next one is accepted: under
    /// [`WhenFull::StopAccepting`] it waits for a place; under [`WhenFull::DropOne`] it never does.
    /// `None`: the connection is to be closed.
    pub async fn admit(&self, address: IpAddr) -> Option<Permit> {
        let source = Source::of(address);
        loop {
            let mut freed = std::pin::pin!(self.shared.freed.notified());
            freed.as_mut().enable();
            match self.try_admit(source) {
                Admission::Granted(permit) => return Some(permit),
                Admission::TurnedAway => return None,
                Admission::Full => freed.await,
            }
        }
    }

    /// Handshakes that are half-open now.
    pub fn len(&self) -> usize {
        self.shared.table().entries.len()
    }

    /// None is half-open.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn try_admit(&self, source: Source) -> Admission {
        let limits = &self.shared.limits;
        let mut table = self.shared.table();
        let of_source = table.counts.get(&source).copied().unwrap_or(0);
        let crowded = of_source >= limits.per_address;
        if crowded || table.entries.len() >= limits.total {
            match limits.when_full {
                WhenFull::StopAccepting if crowded => return Admission::TurnedAway,
                WhenFull::StopAccepting => return Admission::Full,
                WhenFull::DropOne => {
                    let victim = table.random(|entry| !crowded || entry.source == source);
                    if let Some(victim) = victim {
                        table.remove(victim);
                    }
                }
            }
        }
        let id = table.next_id;
        table.next_id += 1;
        let (alive, replaced) = oneshot::channel();
        table.entries.push(Entry {
            id,
            source,
            _alive: alive,
        });
        *table.counts.entry(source).or_insert(0) += 1;
        Admission::Granted(Permit {
            id,
            replaced,
            deadline: Instant::now() + limits.lifetime,
            shared: Arc::clone(&self.shared),
        })
    }
}

/// Whether accepting failed for one connection alone, whose peer was gone before it was accepted:
/// nothing is wrong on this side, and the next one can be accepted at once.
pub fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}

enum Admission {
    Granted(Permit),
    /// Its address has reached its limit.
    TurnedAway,
    /// There is no place now.
    Full,
}

/// The place of one half-open handshake; given back when dropped.
#[derive(Debug)]
pub struct Permit {
    id: u64,
    replaced: oneshot::Receiver<()>,
    deadline: Instant,
    shared: Arc<Shared>,
}

impl Permit {
    /// When the handshake has to end, and its peer to be told so.
    pub const fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Runs a handshake, the reading of message 0 included, which ends itself at its
    /// [deadline](Self::deadline).
    ///
    /// # Errors
    /// [`Dropped`] where it was replaced or did not end at its deadline; the handshake was then
    /// dropped, and with it its connection.
    pub async fn guard<F: Future>(mut self, handshake: F) -> Result<F::Output, Dropped> {
        tokio::select! {
            biased;
            done = handshake => Ok(done),
            _ = &mut self.replaced => Err(Dropped::Replaced),
            () = tokio::time::sleep_until(self.deadline + LAST_WORD) => Err(Dropped::TooSlow),
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.shared.table().remove(self.id);
        self.shared.freed.notify_waiters();
    }
}

impl Shared {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// The id of a random one among the entries that fit.
    fn random(&self, fits: impl Fn(&Entry) -> bool) -> Option<u64> {
        let fitting = || self.entries.iter().filter(|entry| fits(entry));
        let index = rand::rng().random_range(0..fitting().count().max(1));
        fitting().nth(index).map(|entry| entry.id)
    }

    fn remove(&mut self, id: u64) {
        let Some(index) = self.entries.iter().position(|entry| entry.id == id) else {
            return;
        };
        let entry = self.entries.swap_remove(index);
        if let Some(count) = self.counts.get_mut(&entry.source) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&entry.source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::task::JoinHandle;

    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn limits(when_full: WhenFull) -> HalfOpenLimits {
        HalfOpenLimits {
            total: 6,
            per_address: 3,
            lifetime: Duration::from_secs(10),
            when_full,
        }
    }

    /// A handshake that never ends by itself.
    async fn stall(half_open: &HalfOpen, from: &str) -> JoinHandle<Result<(), Dropped>> {
        let permit = half_open.admit(address(from)).await.unwrap();
        tokio::spawn(permit.guard(pending()))
    }

    async fn settle() {
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    }

    fn replaced(handshakes: &[JoinHandle<Result<(), Dropped>>]) -> usize {
        handshakes.iter().filter(|one| one.is_finished()).count()
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_from_one_address_drops_only_its_own() {
        let half_open = HalfOpen::new(limits(WhenFull::DropOne));
        let honest = stall(&half_open, "192.0.2.1").await;
        let mut flood = Vec::new();
        for _ in 0..1_000 {
            flood.push(stall(&half_open, "198.51.100.7").await);
            assert!(half_open.len() <= 4);
        }
        settle().await;
        assert_eq!(replaced(&flood), 997);
        assert!(!honest.is_finished());
        for one in flood.into_iter().filter(|one| one.is_finished()) {
            assert_eq!(one.await.unwrap(), Err(Dropped::Replaced));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_from_everywhere_is_bounded_and_its_victims_are_random() {
        let mut survivals = 0;
        for _ in 0..60 {
            let half_open = HalfOpen::new(limits(WhenFull::DropOne));
            let first = stall(&half_open, "192.0.2.1").await;
            for other in 0..6 {
                stall(&half_open, &format!("198.51.100.{other}")).await;
                assert!(half_open.len() <= 6);
            }
            settle().await;
            survivals += usize::from(!first.is_finished());
        }
        // One in six is dropped once: were it always or never the oldest, this would be 0 or 60.
        assert!((1..60).contains(&survivals), "{survivals}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_permit_ends_with_its_time_and_gives_its_place_back() {
        let half_open = HalfOpen::new(limits(WhenFull::DropOne));
        let began = Instant::now();
        let slow = stall(&half_open, "192.0.2.1").await;
        assert_eq!(slow.await.unwrap(), Err(Dropped::TooSlow));
        assert_eq!(began.elapsed(), Duration::from_secs(10) + LAST_WORD);
        assert!(half_open.is_empty());

        let permit = half_open.admit(address("192.0.2.1")).await.unwrap();
        assert_eq!(permit.guard(async { 7 }).await, Ok(7));
        assert!(half_open.is_empty());
        // Dropped before it was used.
        drop(half_open.admit(address("192.0.2.1")).await);
        assert!(half_open.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_port_stops_accepting_and_drops_nobody() {
        let half_open = HalfOpen::new(limits(WhenFull::StopAccepting));
        let mut handshakes = Vec::new();
        for number in 0..6 {
            handshakes.push(stall(&half_open, &format!("192.0.2.{number}")).await);
        }
        let waiting = tokio::spawn({
            let half_open = half_open.clone();
            async move { half_open.admit(address("192.0.2.0")).await }
        });
        settle().await;
        assert!(!waiting.is_finished());
        assert_eq!(replaced(&handshakes), 0);
        // It gets the place of the first that ends.
        handshakes.remove(0).abort();
        waiting.await.unwrap().unwrap();
        assert_eq!(replaced(&handshakes), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn one_address_cannot_close_the_port_to_the_others() {
        let half_open = HalfOpen::new(limits(WhenFull::StopAccepting));
        let mut flood = Vec::new();
        for _ in 0..3 {
            flood.push(stall(&half_open, "198.51.100.7").await);
        }
        for _ in 0..1_000 {
            assert!(half_open.admit(address("198.51.100.7")).await.is_none());
        }
        let honest = stall(&half_open, "192.0.2.1").await;
        settle().await;
        assert_eq!(replaced(&flood), 0);
        assert!(!honest.is_finished());
        // It has a place again when one of its own ends.
        flood.remove(0).abort();
        settle().await;
        assert!(half_open.admit(address("198.51.100.7")).await.is_some());
    }

    #[tokio::test]
    async fn an_ipv6_site_counts_as_one_address_and_a_mapped_ipv4_as_ipv4() {
        for (one, other, same) in [
            ("2001:db8::1", "2001:db8::ffff:2", true),
            ("2001:db8:0:1::1", "2001:db8:0:2::1", false),
            ("::ffff:192.0.2.1", "192.0.2.1", true),
            ("::ffff:192.0.2.1", "::ffff:192.0.2.2", false),
            ("192.0.2.1", "192.0.2.2", false),
        ] {
            let equal = Source::of(address(one)) == Source::of(address(other));
            assert_eq!(equal, same, "{one} {other}");
        }
    }

    #[tokio::test]
    async fn limits_of_nothing_still_admit_one() {
        for when_full in [WhenFull::DropOne, WhenFull::StopAccepting] {
            let half_open = HalfOpen::new(HalfOpenLimits {
                total: 0,
                per_address: 0,
                ..limits(when_full)
            });
            assert!(half_open.admit(address("192.0.2.1")).await.is_some());
        }
    }
}
