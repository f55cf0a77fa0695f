//! Searches between two of their pages. The place where one goes on is worth something on its own
//! connection alone (RFC 2696), so that the connection is kept with it, for a while.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::link::Link;
use super::pool::Identity;

/// How long a search is kept.
const KEPT: Duration = Duration::from_secs(120);

/// Bytes of a ticket.
pub(crate) const TICKET: usize = 16;

/// A search between two pages.
#[derive(Debug)]
pub(crate) struct Stop {
    /// Who the gateway is on the connection.
    pub(crate) identity: Arc<Identity>,
    /// The connection.
    pub(crate) link: Link,
    /// Where the search goes on.
    pub(crate) cookie: Vec<u8>,
    /// What was searched for: a ticket is for this search and no other.
    pub(crate) search: String,
}

/// Those that there are, by their tickets.
#[derive(Debug)]
pub(crate) struct Parked {
    most: usize,
    stops: Mutex<Vec<([u8; TICKET], Instant, Stop)>>,
}

impl Parked {
    /// None yet; so many at the most.
    pub(crate) fn new(most: usize) -> Self {
        Self {
            most,
            stops: Mutex::default(),
        }
    }

    /// Keeps one; the ticket fetches it again. Where there are too many, the oldest goes.
    pub(crate) fn keep(&self, stop: Stop) -> [u8; TICKET] {
        let ticket = rand::random();
        let mut stops = self.fresh();
        if stops.len() >= self.most {
            stops.remove(0);
        }
        stops.push((ticket, Instant::now(), stop));
        ticket
    }

    /// Fetches one, for the same search of the same identity; `None`: it is not there any more.
    pub(crate) fn take(&self, ticket: &[u8], search: &str, whose: &Identity) -> Option<Stop> {
        let mut stops = self.fresh();
        let place = stops.iter().position(|(own, _, stop)| {
            own == ticket && stop.search == search && *stop.identity == *whose
        })?;
        Some(stops.remove(place).2)
    }

    /// Lets go of all.
    pub(crate) fn clear(&self) {
        self.fresh().clear();
    }

    fn fresh(&self) -> MutexGuard<'_, Vec<([u8; TICKET], Instant, Stop)>> {
        let mut stops = self.stops.lock().unwrap_or_else(PoisonError::into_inner);
        stops.retain(|(_, since, _)| since.elapsed() < KEPT);
        stops
    }
}
