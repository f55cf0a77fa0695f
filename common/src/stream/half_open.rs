//! How many handshakes strangers may leave half-open at a listener.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rand::RngExt;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

/// What happens to a new connection when the limits are reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// It takes the place of a half-open one picked at random: among those of its own address where that limit is reached.
    DropOne,
    /// It waits, and with it every later one: the listener stops accepting.
    StopAccepting,
}

/// Limits of a listener.
#[derive(Clone, Copy, Debug)]
pub struct HalfOpenLimits {
    /// Half-open handshakes in all; at least 1.
    pub total: usize,
    /// Half-open handshakes of one address (IPv6: of one /64); at least 1.
    pub per_address: usize,
    /// How long each may take, from the moment it was admitted.
    pub lifetime: Duration,
    /// What happens beyond.
    pub when_full: WhenFull,
}

impl HalfOpenLimits {
    /// For a gateway's listener: 64 in all, 8 an address, 10 s; beyond that one is dropped at random.
    pub const GATEWAY: Self = Self {
        total: 64,
        per_address: 8,
        lifetime: Duration::from_secs(10),
        when_full: WhenFull::DropOne,
    };

    /// For the server's dial-out port, where a whole fleet may stand behind one address: 1,024 in all, 256 an address, 10 s;
    /// beyond that it stops accepting.
    pub const DIAL_OUT: Self = Self {
        total: 1_024,
        per_address: 256,
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

/// Bounds the half-open handshakes of one listener, which [admits](Self::admit) each connection that it accepted and runs
/// its handshake under the [`Permit`]. Cheap to clone: clones share the bounds.
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
    /// Gone is what tells the permit that it was replaced.
    _alive: oneshot::Sender<()>,
}

/// What counts as one address: an IPv4 address, or an IPv6 network of 64 bits, which is what one site usually has whole.
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
    pub async fn admit(&self, address: IpAddr) -> Permit {
        let source = Source::of(address);
        loop {
            let mut freed = std::pin::pin!(self.shared.freed.notified());
            freed.as_mut().enable();
            if let Some(permit) = self.try_admit(source) {
                return permit;
            }
            freed.await;
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

    fn try_admit(&self, source: Source) -> Option<Permit> {
        let limits = &self.shared.limits;
        let mut table = self.shared.table();
        let of_source = table.counts.get(&source).copied().unwrap_or(0);
        let victim = if of_source >= limits.per_address {
            Some(table.random(|entry| entry.source == source))
        } else if table.entries.len() >= limits.total {
            Some(table.random(|_| true))
        } else {
            None
        };
        if let Some(victim) = victim {
            if limits.when_full == WhenFull::StopAccepting {
                return None;
            }
            if let Some(id) = victim {
                table.remove(id);
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
        Some(Permit {
            id,
            replaced,
            deadline: Instant::now() + limits.lifetime,
            shared: Arc::clone(&self.shared),
        })
    }
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
    /// Runs a handshake for as long as it may take: the whole of it, the reading of message 0 included.
    ///
    /// # Errors
    /// [`Dropped`] where it was replaced or took too long; the handshake was then dropped, and with it its connection.
    pub async fn guard<F: Future>(mut self, handshake: F) -> Result<F::Output, Dropped> {
        tokio::select! {
            biased;
            done = handshake => Ok(done),
            _ = &mut self.replaced => Err(Dropped::Replaced),
            () = tokio::time::sleep_until(self.deadline) => Err(Dropped::TooSlow),
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
