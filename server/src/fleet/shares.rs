//! Keeps this server, where it is one of several, to the links that are its share: [`Sharing`]
//! says which, from what the repository tells.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use portcullis_common::id::GatewayId;
use tokio::time::{sleep, timeout};

use super::establish::LinkError;
use super::link::Link;
use super::sharing::{LinkRow, PASSED_ON_AFTER, Share, Sharing, Sibling};
use super::{Fleet, lock};
use crate::repository::{Gateway, HeldLink, InstanceId, LinkPlace, RepositoryError};

/// How often the rows of links are looked at.
const LOOK: Duration = Duration::from_secs(1);
/// The same while no other server stands, to whom they could tell anything.
const LOOK_ALONE: Duration = Duration::from_secs(10);
/// A gateway without a link that is to be dialled is dialled at once after so long, whatever is
/// waited for.
const AT_THE_LATEST: Duration = Duration::from_secs(60);
/// How often gateways that dial out are asked to go elsewhere while this server is drained.
const ELSEWHERE: Duration = Duration::from_secs(60);
/// How long a server that stops waits until others have its links.
const HAND_OVER: Duration = Duration::from_secs(15);
/// How often it looks whether they have.
const HANDED_OVER: Duration = Duration::from_millis(50);

/// Tells which servers share the repository.
pub trait Siblings: fmt::Debug + Send + Sync {
    /// All whose rows stood when this server last saw them, this one among them.
    fn all(&self) -> Vec<Sibling>;
}

/// What a server among several keeps about links.
#[derive(Debug)]
pub(super) struct Shares {
    siblings: Arc<dyn Siblings>,
    sharing: Mutex<Sharing>,
    /// By gateway name.
    seen: Mutex<HashMap<String, Seen>>,
    /// The number of the last push of the gateway key that was told of; `None`: nobody looked yet.
    pub(super) pushed: Mutex<Option<i64>>,
}

/// What a look found last.
#[derive(Debug)]
struct Seen {
    share: Share,
    /// Where it was to be dialled.
    address: Option<String>,
    /// When it was last had dialled.
    woken: Instant,
    /// Since when its row says something else of this server's link than there is.
    wrong: Option<Instant>,
}

/// What is to be written into rows.
#[derive(Debug, Default)]
struct Told {
    up: Vec<GatewayId>,
    down: Vec<GatewayId>,
}

impl Shares {
    pub(super) fn new(own: InstanceId, siblings: Arc<dyn Siblings>) -> Self {
        Self {
            siblings,
            sharing: Mutex::new(Sharing::new(own, Instant::now())),
            seen: Mutex::default(),
            pushed: Mutex::default(),
        }
    }

    /// The servers whose rows stand.
    pub(super) fn standing(&self) -> HashSet<InstanceId> {
        let siblings = self.siblings.all().into_iter();
        siblings.map(|sibling| sibling.instance).collect()
    }

    fn look<T>(&self, look: impl FnOnce(&mut Sharing) -> T) -> T {
        let siblings = self.siblings.all();
        let mut sharing = lock(&self.sharing);
        sharing.stand(siblings);
        look(&mut sharing)
    }
}

impl Fleet {
    /// Keeps this server to its share of the links, for as long as it is polled. One that is alone
    /// has them all.
    pub async fn share_out(&self) {
        let Some(shares) = &self.inner.shares else {
            return;
        };
        let mut asked: Option<Instant> = None;
        loop {
            if let Err(error) = self.look_at_links(shares).await {
                tracing::debug!(%error, "it is not known which server has which link");
            }
            if let Err(error) = self.look_at_pushes(&shares.pushed).await {
                tracing::debug!(%error, "it is not known which pushes other servers began");
            }
            if !self.gives_away() {
                asked = None;
            } else if asked.is_none_or(|asked| asked.elapsed() >= ELSEWHERE) {
                asked = Some(Instant::now());
                self.send_elsewhere();
            }
            sleep(if self.is_alone() { LOOK_ALONE } else { LOOK }).await;
        }
    }

    /// Gives this server's links to the others that stand, and dials and awaits nobody any more.
    /// What is under way through a link comes to its end there. Returns once they have all of them,
    /// after 15 s at the latest; at once where there is no other.
    pub async fn hand_over(&self) {
        let Some(shares) = &self.inner.shares else {
            return;
        };
        if !shares.look(|sharing| sharing.has_heirs()) {
            return;
        }
        // A gateway that is asked to dial again finds another server.
        if let Some((_, listener)) = self.inner.dial_out.get() {
            listener.abort();
        }
        for link in self.inner.roster.links() {
            if link.dialled_out {
                self.succeed(&link);
            }
        }
        let handed_over = async {
            while self.count() > 0 && shares.look(|sharing| sharing.has_heirs()) {
                sleep(HANDED_OVER).await;
            }
        };
        if timeout(HAND_OVER, handed_over).await.is_err() {
            let links = self.count();
            tracing::warn!(links, "no other server has taken these links");
        }
    }

    /// Whether an administrator drained this server, or it is about to end: it begins no queued
    /// call and no task.
    pub fn is_drained(&self) -> bool {
        let shares = self.inner.shares.as_ref();
        shares.is_some_and(|shares| shares.look(|sharing| sharing.leaves()))
    }

    /// Whether others are to take what this server has: it [is drained](Self::is_drained), and
    /// there is another one that is not.
    pub fn gives_away(&self) -> bool {
        let shares = self.inner.shares.as_ref();
        shares.is_some_and(|shares| shares.look(|sharing| sharing.gives_away()))
    }

    /// The names of the gateways that have a link, to this server or, as the rows say, to another
    /// one that stands.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn connected_anywhere(&self) -> Result<HashSet<String>, RepositoryError> {
        let mut connected = self.connected();
        let Some(shares) = &self.inner.shares else {
            return Ok(connected);
        };
        let others: HashSet<_> = shares.look(|sharing| sharing.others().collect());
        if others.is_empty() {
            return Ok(connected);
        }
        let places = self.inner.repository.gateways().link_places().await?;
        let is_elsewhere = |place: &LinkPlace| {
            let row = place.link.filter(|row| row.up);
            row.is_some_and(|row| others.contains(&row.holder))
        };
        let elsewhere = places.into_iter().filter(is_elsewhere);
        connected.extend(elsewhere.map(|place| place.gateway));
        Ok(connected)
    }

    /// Has the gateways that dial out dial again, so that they find another server. A link whose
    /// gateway finds none stays.
    fn send_elsewhere(&self) {
        for link in self.inner.roster.links() {
            if link.dialled_out && self.inner.roster.expect_successor(&link) {
                tokio::spawn(self.clone().ask_to_go(Arc::downgrade(&link)));
            }
        }
    }

    /// Whether no other server stands.
    pub(super) fn is_alone(&self) -> bool {
        let shares = self.inner.shares.as_ref();
        shares.is_none_or(|shares| shares.look(|sharing| sharing.is_alone()))
    }

    /// What this server does about a gateway that it is about to dial.
    pub(super) async fn share_of(&self, gateway: &Gateway) -> Result<Share, RepositoryError> {
        let Some(shares) = &self.inner.shares else {
            return Ok(Share::Keep);
        };
        let id = gateway.registration.gateway_id;
        let row = self.inner.repository.gateways().link(id).await?;
        let link = self.inner.roster.standing(&gateway.name).link;
        let linked = link.is_some_and(|link| link.gateway_id() == id);
        let now = Instant::now();
        Ok(shares.look(|sharing| sharing.share(id, row.map(told), linked, now)))
    }

    /// A link that another server has was not taken over.
    pub(super) fn could_not_take(&self, gateway: &str, id: GatewayId, error: &LinkError) {
        tracing::info!(gateway, %error, "its link stays with another server");
        if let Some(shares) = &self.inner.shares {
            lock(&shares.sharing).could_not_take(id, Instant::now());
        }
    }

    async fn look_at_links(&self, shares: &Shares) -> Result<(), RepositoryError> {
        let gateways = self.inner.repository.gateways();
        let places = gateways.link_places().await?;
        let links = self.inner.roster.links();
        let links: HashMap<_, _> = links.iter().map(|it| (it.gateway_id(), it)).collect();
        let (now, mut told) = (Instant::now(), Told::default());
        let decided: Vec<_> = shares.look(|sharing| {
            let decide = |place: &LinkPlace| {
                let id = place.gateway_id;
                let row = place.link.map(self::told);
                sharing.share(id, row, links.contains_key(&id), now)
            };
            let decided = places.iter().map(decide).collect();
            let known: HashSet<_> = places.iter().map(|place| place.gateway_id).collect();
            sharing.retain(|id| known.contains(&id));
            decided
        });
        let mut before = std::mem::take(&mut *lock(&shares.seen));
        let mut seen = HashMap::with_capacity(places.len());
        for (place, share) in places.into_iter().zip(decided) {
            let link = links.get(&place.gateway_id).copied();
            let former = before.remove(&place.gateway);
            let woken = self.act(&place, link, (share, now), former.as_ref());
            let wrong = self.is_wrong(&place, link).then(|| {
                let since = former.and_then(|former| former.wrong);
                since.unwrap_or(now)
            });
            if wrong.is_some_and(|since| now.duration_since(since) >= PASSED_ON_AFTER) {
                let to = if link.is_some() {
                    &mut told.up
                } else {
                    &mut told.down
                };
                to.push(place.gateway_id);
            }
            let address = place.dialled_at;
            seen.insert(
                place.gateway,
                Seen {
                    share,
                    address,
                    woken,
                    wrong,
                },
            );
        }
        *lock(&shares.seen) = seen;
        if !told.up.is_empty() || !told.down.is_empty() {
            gateways.tell_links(told.up, told.down).await?;
        }
        Ok(())
    }

    /// Dials, or has a link made anew, where that is called for. Gives when it had the gateway
    /// dialled last.
    fn act(
        &self,
        place: &LinkPlace,
        link: Option<&Arc<Link>>,
        (share, now): (Share, Instant),
        seen: Option<&Seen>,
    ) -> Instant {
        if let (Some(link), Share::Renew) = (link, share) {
            self.succeed(link);
        }
        let woken = seen.map_or(now, |seen| seen.woken);
        let Some(address) = &place.dialled_at else {
            return woken;
        };
        let is_new = seen.is_none_or(|seen| {
            seen.share != share
                || seen.address.as_ref() != Some(address)
                || link.is_none() && now.duration_since(seen.woken) >= AT_THE_LATEST
        });
        let is_there = link.is_some_and(|link| link.remote_address == *address);
        if is_new && !is_there && matches!(share, Share::Keep | Share::Take) {
            self.wake(&place.gateway);
            return now;
        }
        woken
    }

    /// Whether the row of this server's own link says something else of it than there is.
    fn is_wrong(&self, place: &LinkPlace, link: Option<&Arc<Link>>) -> bool {
        let own = self.inner.repository.database().instance();
        let row = place.link.filter(|row| row.holder == own);
        row.is_some_and(|row| row.up != link.is_some())
    }
}

fn told(row: HeldLink) -> LinkRow {
    LinkRow {
        holder: row.holder,
        up: row.up,
    }
}
