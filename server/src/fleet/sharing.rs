//! Which server dials which gateway. Pure: the time is passed in.
//!
//! Every server sees the same rows, of the servers and of the links, and so puts the servers in the
//! same order for a gateway (rendezvous hashing): nobody has to be asked, and where a server comes
//! or goes, only its own share moves.
//!
//! ```text
//!   order for a gateway:   first       second       third
//!   nobody has its link    dials       after 10 s   after 20 s   each beside the others
//!   another has it         takes it    leaves it    leaves it
//! ```
//!
//! A holder that lost its link stands before all others for this: it dials at once, and ten
//! seconds later the next one tries as well, which may have a route where the holder has none.
//! Whoever takes a link that another one has shakes hands beside it: that other one keeps its own
//! until the gateway has taken the new grant, and what it has under way there comes to its end.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use portcullis_common::id::GatewayId;

use crate::repository::InstanceId;

/// After so long without a link the next server in order dials as well.
pub(super) const PASSED_ON_AFTER: Duration = Duration::from_secs(10);
/// A server that has come to others dials nobody before: they have to know it.
const SETTLED_AFTER: Duration = Duration::from_secs(5);
/// For so long a server takes no link over that it could not bring up.
const NO_ROUTE: Duration = Duration::from_secs(60);
/// For so long a server takes no link over again that another one had to take from it.
const POOR_ROUTE: Duration = Duration::from_secs(300);

/// A server whose row stands, this one among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sibling {
    /// Its instance.
    pub instance: InstanceId,
    /// It takes no new links, and hands over those that it has.
    pub leaves: bool,
}

/// Who holds the link to a gateway, as its row says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkRow {
    /// Whose it is, or was last.
    pub holder: InstanceId,
    /// As far as the holder knows there is a link.
    pub up: bool,
}

/// What a server does about the link to a gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// Nothing: it is another server's, or another one dials first.
    Leave,
    /// It keeps up its own link: it dials where it has none.
    Keep,
    /// It dials, and takes the link from the server that has it.
    Take,
    /// The row of its own link is another one's, who is gone or has no link: nobody finds this
    /// link. It shakes hands anew, and so takes the row.
    Renew,
}

/// What one server knows of the links of a repository. Pure: the time is passed in.
#[derive(Debug)]
pub struct Sharing {
    own: InstanceId,
    since: Instant,
    leaves: bool,
    /// This one not among them.
    others: Vec<Sibling>,
    gateways: HashMap<GatewayId, Known>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Known {
    /// Since when no server has a link.
    without: Option<Instant>,
    /// This server takes it from nobody before.
    not_before: Option<Instant>,
    /// The row was this server's.
    held: bool,
}

impl Sharing {
    /// Of a server that comes now.
    pub fn new(own: InstanceId, now: Instant) -> Self {
        Self {
            own,
            since: now,
            leaves: false,
            others: Vec::new(),
            gateways: HashMap::new(),
        }
    }

    /// These are the servers whose rows stand, and no more.
    pub fn stand(&mut self, servers: impl IntoIterator<Item = Sibling>) {
        self.others.clear();
        for server in servers {
            if server.instance == self.own {
                self.leaves = server.leaves;
            } else {
                self.others.push(server);
            }
        }
    }

    /// This server takes no new links from now on.
    pub const fn leave(&mut self) {
        self.leaves = true;
    }

    /// Whether another server would take this one's links.
    pub fn has_heirs(&self) -> bool {
        self.others.iter().any(|other| !other.leaves)
    }

    /// Whether this server is drained, or about to end.
    pub const fn leaves(&self) -> bool {
        self.leaves
    }

    /// Whether this server's links are to go to others: a gateway without any link would be worse
    /// off than one whose server is drained.
    pub fn gives_away(&self) -> bool {
        self.leaves && self.has_heirs()
    }

    /// The other servers that stand.
    pub fn others(&self) -> impl Iterator<Item = InstanceId> {
        self.others.iter().map(|other| other.instance)
    }

    /// Whether no other server stands.
    pub fn is_alone(&self) -> bool {
        self.others.is_empty()
    }

    /// Of these gateways alone something has to be known.
    pub fn retain(&mut self, is_there: impl Fn(GatewayId) -> bool) {
        self.gateways.retain(|gateway, _| is_there(*gateway));
    }

    /// An attempt to take a link over came to nothing.
    pub fn could_not_take(&mut self, gateway: GatewayId, now: Instant) {
        let known = self.gateways.entry(gateway).or_default();
        known.not_before = now.checked_add(NO_ROUTE);
    }

    /// What this server does about a gateway whose link has this row, to which it has a link itself
    /// where `linked`.
    pub fn share(
        &mut self,
        gateway: GatewayId,
        row: Option<LinkRow>,
        linked: bool,
        now: Instant,
    ) -> Share {
        let gives_away = self.gives_away();
        let (own, others) = (self.own, &self.others);
        let stands = |holder| others.iter().any(|other| other.instance == holder);
        let holder = row.filter(|row| row.holder == own || stands(row.holder));
        let is_own = holder.is_some_and(|row| row.holder == own);
        let is_up = holder.is_some_and(|row| if is_own { linked } else { row.up });
        let known = self.gateways.entry(gateway).or_default();
        known.without = if is_up {
            None
        } else {
            Some(known.without.unwrap_or(now))
        };
        let was_taken = std::mem::replace(&mut known.held, is_own) && holder.is_some() && !is_own;
        if was_taken && !gives_away {
            known.not_before = now.checked_add(POOR_ROUTE);
        }
        let known = *known;
        if is_own {
            return if linked || !gives_away {
                Share::Keep
            } else {
                Share::Leave
            };
        }
        if gives_away {
            return Share::Leave;
        }
        let settled = now.saturating_duration_since(self.since) >= SETTLED_AFTER;
        if is_up {
            let may = settled && known.not_before.is_none_or(|not_before| now >= not_before);
            // A link of its own is superseded: it ends by itself.
            let takes = !linked && may && self.before(gateway, None) == 0;
            return if takes { Share::Take } else { Share::Leave };
        }
        let first = holder.map(|row| row.holder);
        let before = u32::try_from(self.before(gateway, first)).unwrap_or(u32::MAX);
        let without = known
            .without
            .map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        let may = settled || self.others.is_empty();
        let is_turn = may && without >= PASSED_ON_AFTER.saturating_mul(before);
        match (is_turn, linked) {
            (_, true) if row.is_some() && holder.is_none() => Share::Renew,
            (true, true) => Share::Renew,
            (true, false) => Share::Keep,
            (false, _) => Share::Leave,
        }
    }

    /// How many servers come before this one in the order for a gateway; `first` before all others.
    fn before(&self, gateway: GatewayId, first: Option<InstanceId>) -> usize {
        let place = |it: InstanceId| (first == Some(it), weight(it, gateway), it);
        let own = place(self.own);
        let all_leave = self.leaves && !self.has_heirs();
        let others = self.others.iter();
        let others = others.filter(|other| all_leave || !other.leaves);
        others.filter(|other| place(other.instance) > own).count()
    }
}

/// What a server weighs for a gateway: the heaviest comes first. Every version of this program has
/// to reckon it in this way.
fn weight(instance: InstanceId, gateway: GatewayId) -> u64 {
    let bytes = instance.to_bytes().into_iter().chain(gateway.to_bytes());
    // FNV-1a over the bytes, then the last steps of SplitMix64, by which each bit counts for all.
    let mut hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

#[cfg(test)]
mod tests;
