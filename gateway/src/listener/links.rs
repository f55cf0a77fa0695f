//! The live sessions: one for each server, plus those that were replaced and carry their last
//! calls.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use portcullis_common::handshake::{Mode, SessionInfo};
use portcullis_common::id::ServerId;
use portcullis_common::rotation::UnixMillis;
use tokio::sync::{Notify, watch};

use portcullis_host::clock;

/// Sessions at once: two servers, with replacements to spare.
const MAX_LINKS: usize = 8;

/// What a session may carry: decided once, when message 3 was verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The enrolment nonce and the first install: it was opened under an enrolment key.
    Enrolment,
    /// Everything: it was opened under a master key.
    Full,
}

/// What a session has been told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Order {
    /// Serve on.
    Serve,
    /// Another session takes its place: serve on until the server has had time to see it, then
    /// drain.
    Retire,
    /// Take no new calls, and end with the last one under way, at the latest when patience ends.
    Drain,
    /// End at once.
    Close,
}

/// When it was decided that a session will be: one with a later turn takes the place of an earlier
/// one with the same server, whichever of them is entered first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Turn(u64);

/// One live session.
#[derive(Debug)]
pub struct Link {
    /// Who, and how.
    pub info: SessionInfo,
    /// What it may carry.
    pub scope: Scope,
    /// The address of the other end.
    pub peer: String,
    /// When it was opened.
    pub since: UnixMillis,
    /// This gateway opened the connection: the server cannot open another.
    pub dialled: bool,
    /// There is TLS around it.
    pub tls: bool,
    turn: Turn,
    order: watch::Sender<Order>,
    redial: Notify,
}

impl Link {
    /// What it has been told last.
    pub fn order(&self) -> watch::Receiver<Order> {
        self.order.subscribe()
    }

    /// May it carry provisioning calls? One that drains takes those that are still on their way to
    /// it.
    pub fn takes_calls(&self) -> bool {
        self.scope == Scope::Full && *self.order.borrow() < Order::Close
    }

    /// Tells it, unless it was told worse before.
    pub fn tell(&self, order: Order) {
        self.order.send_if_modified(|current| {
            let stricter = order > *current;
            if stricter {
                *current = order;
            }
            stricter
        });
    }

    /// Has whoever dialled it dial again, while it serves on.
    pub fn redial(&self) {
        self.redial.notify_one();
    }

    /// Waits until it is to be dialled again.
    pub async fn until_redial(&self) {
        self.redial.notified().await;
    }

    /// The session's name in the logs of both sides.
    pub fn name(&self) -> String {
        data_encoding::HEXLOWER.encode(&self.info.session_id)
    }

    /// How it was authenticated.
    pub fn mode(&self) -> Mode {
        self.info.mode
    }
}

/// Every live session of this run.
#[derive(Debug)]
pub struct Links {
    live: Mutex<Vec<Arc<Link>>>,
    turns: AtomicU64,
    count: watch::Sender<usize>,
}

/// Too many servers are connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{MAX_LINKS} sessions with other servers are live already, which is the limit: find out with `portcullis-gateway status` which servers use this gateway"
)]
pub struct TooManyLinks;

impl Default for Links {
    fn default() -> Self {
        Self {
            live: Mutex::default(),
            turns: AtomicU64::new(0),
            count: watch::Sender::new(0),
        }
    }
}

impl Links {
    /// The turn of a session with `server`, where there is room for it, if need be in place of one
    /// that is ending. Taken before message 4 leaves: the server's next session comes after it.
    ///
    /// # Errors
    /// [`TooManyLinks`].
    pub fn turn(&self, server: ServerId) -> Result<Turn, TooManyLinks> {
        let live = self.lock();
        let in_use = live
            .iter()
            .filter(|link| link.info.server_id != server && *link.order.borrow() == Order::Serve)
            .count();
        if in_use < MAX_LINKS {
            Ok(Turn(self.turns.fetch_add(1, Ordering::Relaxed)))
        } else {
            Err(TooManyLinks)
        }
    }

    /// Enters a session that was just opened, by this gateway where it `dialled`. An older one with
    /// the same server gives way to it.
    pub fn open(
        self: &Arc<Self>,
        info: SessionInfo,
        scope: Scope,
        peer: String,
        dialled: bool,
        tls: bool,
        turn: Turn,
    ) -> OpenLink {
        let link = Arc::new(Link {
            info,
            scope,
            peer,
            since: clock::now(),
            dialled,
            tls,
            turn,
            redial: Notify::new(),
            order: watch::Sender::new(Order::Serve),
        });
        let mut live = self.lock();
        for other in live
            .iter()
            .filter(|other| other.info.server_id == info.server_id)
        {
            let older = if other.turn < turn { other } else { &link };
            older.tell(Order::Retire);
        }
        let excess = (live.len() + 1).saturating_sub(MAX_LINKS);
        for ending in live
            .iter()
            .filter(|link| *link.order.borrow() != Order::Serve)
            .take(excess)
        {
            ending.tell(Order::Close);
        }
        live.push(Arc::clone(&link));
        self.count.send_replace(live.len());
        drop(live);
        OpenLink {
            links: Arc::clone(self),
            link,
        }
    }

    /// The live sessions, oldest first.
    pub fn list(&self) -> Vec<Arc<Link>> {
        self.lock().clone()
    }

    /// Tells every session that `wanted` picks.
    pub fn tell(&self, order: Order, wanted: impl Fn(&Link) -> bool) {
        for link in self.lock().iter().filter(|link| wanted(link)) {
            link.tell(order);
        }
    }

    /// Tells of every change in the number of live sessions.
    pub fn changes(&self) -> watch::Receiver<usize> {
        self.count.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Link>>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A session as long as it lives: dropping this takes it off the list.
#[derive(Debug)]
pub struct OpenLink {
    links: Arc<Links>,
    link: Arc<Link>,
}

impl OpenLink {
    /// The session.
    pub fn link(&self) -> &Arc<Link> {
        &self.link
    }
}

impl Drop for OpenLink {
    fn drop(&mut self) {
        let mut live = self.links.lock();
        live.retain(|link| !Arc::ptr_eq(link, &self.link));
        self.links.count.send_replace(live.len());
    }
}

#[cfg(test)]
mod tests {
    use portcullis_common::crypto::suites::Suite;
    use portcullis_common::id::{GatewayId, KeyId, KeyKind};

    use super::*;

    fn session(server_id: ServerId) -> SessionInfo {
        SessionInfo {
            server_id,
            gateway_id: GatewayId::random(&mut rand::rng()),
            mode: Mode::Secure,
            key_id: KeyId::random(KeyKind::Tdes, &mut rand::rng()),
            suite: Suite::TdesCtrHmacSha256,
            session_id: [0; 8],
        }
    }

    fn open(links: &Arc<Links>, server: ServerId) -> OpenLink {
        let turn = links.turn(server).unwrap();
        open_at(links, server, turn)
    }

    fn open_at(links: &Arc<Links>, server: ServerId, turn: Turn) -> OpenLink {
        links.open(
            session(server),
            Scope::Full,
            "test".to_owned(),
            false,
            false,
            turn,
        )
    }

    #[test]
    fn a_new_session_replaces_the_older_one_of_the_same_server_alone() {
        let links = Arc::new(Links::default());
        let (one, two) = (
            ServerId::random(&mut rand::rng()),
            ServerId::random(&mut rand::rng()),
        );
        let (older, other, newer) = (open(&links, one), open(&links, two), open(&links, one));
        let told = |open: &OpenLink| *open.link().order.borrow();
        assert_eq!(told(&older), Order::Retire);
        assert_eq!(told(&other), Order::Serve);
        assert_eq!(told(&newer), Order::Serve);
        drop(older);
        assert_eq!(links.list().len(), 2);
    }

    #[test]
    fn a_session_that_is_entered_late_gives_way_to_the_one_after_it() {
        let links = Arc::new(Links::default());
        let server = ServerId::random(&mut rand::rng());
        let turn = links.turn(server).unwrap();
        let newer = open(&links, server);
        let older = open_at(&links, server, turn);
        assert_eq!(*older.link().order.borrow(), Order::Retire);
        assert_eq!(*newer.link().order.borrow(), Order::Serve);
    }

    #[test]
    fn replacements_of_one_server_never_pile_up() {
        let links = Arc::new(Links::default());
        let server = ServerId::random(&mut rand::rng());
        let opened: Vec<_> = (0..MAX_LINKS + 3).map(|_| open(&links, server)).collect();
        let closed = opened
            .iter()
            .filter(|open| *open.link().order.borrow() == Order::Close)
            .count();
        assert_eq!(closed, 3);
        assert_eq!(*opened.last().unwrap().link().order.borrow(), Order::Serve);
    }

    #[test]
    fn servers_beyond_the_limit_find_no_room_and_cut_nobody() {
        let links = Arc::new(Links::default());
        let opened: Vec<_> = (0..MAX_LINKS)
            .map(|_| open(&links, ServerId::random(&mut rand::rng())))
            .collect();
        let known = opened[0].link().info.server_id;
        assert_eq!(
            links.turn(ServerId::random(&mut rand::rng())),
            Err(TooManyLinks)
        );
        assert!(links.turn(known).is_ok());
        let told = |open: &OpenLink| *open.link().order.borrow();
        assert!(opened.iter().all(|open| told(open) == Order::Serve));
    }

    #[test]
    fn a_session_for_enrolment_takes_no_calls() {
        let links = Arc::new(Links::default());
        let server = ServerId::random(&mut rand::rng());
        let (turn, scope) = (links.turn(server).unwrap(), Scope::Enrolment);
        let open = links.open(
            session(server),
            scope,
            "test".to_owned(),
            false,
            false,
            turn,
        );
        assert!(!open.link().takes_calls());
    }
}
