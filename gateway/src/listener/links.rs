//! The live sessions: one for each server, plus those that were replaced and carry their last
//! calls.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use portcullis_common::handshake::{Mode, SessionInfo};
use portcullis_common::id::ServerId;
use portcullis_common::rotation::UnixMillis;
use tokio::sync::{Notify, watch};

use portcullis_host::clock;

use super::grants::{Between, Grant, Grants};

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
    grants: Arc<Grants>,
    granted: OnceLock<Grant>,
    /// It may take the place of others, and others may take its place.
    settled: watch::Sender<bool>,
}

impl Link {
    /// What it has been told last.
    pub fn order(&self) -> watch::Receiver<Order> {
        self.order.subscribe()
    }

    /// May it carry provisioning calls? One that drains takes those that are still on their way to
    /// it, unless another instance of the server was granted the link.
    pub fn takes_calls(&self) -> bool {
        self.scope == Scope::Full
            && *self.order.borrow() < Order::Close
            && self.grants.admits(self.between(), self.grant())
    }

    /// What its server was granted.
    pub fn grant(&self) -> Option<Grant> {
        self.granted.get().copied()
    }

    /// Whether it has taken the place of those before it: at once, but with a server that grants
    /// only then.
    pub fn is_settled(&self) -> bool {
        *self.settled.borrow()
    }

    /// Waits until then.
    pub async fn until_settled(&self) {
        let mut settled = self.settled.subscribe();
        if settled.wait_for(|settled| *settled).await.is_err() {
            std::future::pending().await
        }
    }

    fn between(&self) -> Between {
        (self.info.server_id, self.info.gateway_id)
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
    grants: Arc<Grants>,
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
        Self::new(Grants::default())
    }
}

impl Links {
    /// None yet; calls are taken as `grants` says.
    pub fn new(grants: Grants) -> Self {
        Self {
            grants: Arc::new(grants),
            live: Mutex::default(),
            turns: AtomicU64::new(0),
            count: watch::Sender::new(0),
        }
    }

    /// The grants by which calls are taken.
    pub fn grants(&self) -> &Arc<Grants> {
        &self.grants
    }

    /// The turn of a session with `server`, where there is room for it, if need be in place of one
    /// that is ending. Taken before message 4 leaves: the server's next session comes after it.
    ///
    /// # Errors
    /// [`TooManyLinks`].
    pub fn turn(&self, server: ServerId) -> Result<Turn, TooManyLinks> {
        let live = self.lock();
        let stays = |link: &&Arc<Link>| {
            let serves = *link.order.borrow() == Order::Serve && link.is_settled();
            serves && link.info.server_id != server
        };
        let in_use = live.iter().filter(stays).count();
        if in_use < MAX_LINKS {
            Ok(Turn(self.turns.fetch_add(1, Ordering::Relaxed)))
        } else {
            Err(TooManyLinks)
        }
    }

    /// Enters a session that was just opened, by this gateway where it `dialled`. An older one with
    /// the same server gives way to it; with a server that grants, once it was granted.
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
            grants: Arc::clone(&self.grants),
            granted: OnceLock::new(),
            settled: watch::Sender::new(false),
        });
        let mut live = self.lock();
        if !self.grants.knows(info.server_id) {
            settle(&live, &link);
        }
        let excess = (live.len() + 1).saturating_sub(MAX_LINKS);
        for ending in live
            .iter()
            .filter(|link| *link.order.borrow() != Order::Serve || !link.is_settled())
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

    /// The server of a session asks for its grant. Gives the highest that there is; where that is
    /// another one, this session ends, and where it is this one, all others of the server do. Waits
    /// for the disk.
    ///
    /// # Errors
    /// Why none can be taken.
    pub fn grant(&self, link: &Arc<Link>, asked: Grant) -> Result<Grant, String> {
        let highest = self.grants.take(link.between(), asked)?;
        if highest != asked {
            link.tell(Order::Drain);
            return Ok(highest);
        }
        // A session has one grant: its first.
        let _ = link.granted.set(asked);
        let live = self.lock();
        // A higher one may have come meanwhile.
        if !self.grants.admits(link.between(), Some(asked)) {
            link.tell(Order::Drain);
            return Ok(highest);
        }
        for other in live
            .iter()
            .filter(|other| other.between() == link.between())
        {
            if other.grant().is_some_and(|other| other != asked) {
                other.tell(Order::Drain);
            }
        }
        settle(&live, link);
        Ok(highest)
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

/// Has one session take the place of those before it, or give way to those after it.
fn settle(live: &[Arc<Link>], link: &Arc<Link>) {
    let same = |other: &&Arc<Link>| {
        other.info.server_id == link.info.server_id
            && other.is_settled()
            && !Arc::ptr_eq(other, link)
    };
    for other in live.iter().filter(same) {
        let older = if other.turn < link.turn { other } else { link };
        older.tell(Order::Retire);
    }
    link.settled.send_replace(true);
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

    fn grant(epoch: u64, instance: u8) -> Grant {
        let request = portcullis_proto::gateway::v1::GrantRequest {
            generation: 0,
            epoch,
            instance: vec![instance; 16],
        };
        Grant::from_wire(&request).unwrap()
    }

    fn told(open: &OpenLink) -> Order {
        *open.link().order.borrow()
    }

    /// Sessions of one server id and one registration.
    fn of_instances(links: &Arc<Links>, count: usize) -> Vec<OpenLink> {
        let info = session(ServerId::random(&mut rand::rng()));
        let open = |_| {
            let (turn, peer) = (links.turn(info.server_id).unwrap(), "test".to_owned());
            links.open(info, Scope::Full, peer, false, false, turn)
        };
        (0..count).map(open).collect()
    }

    #[test]
    fn with_a_server_that_grants_the_higher_grant_wins_and_not_the_newer_session() {
        let links = Arc::new(Links::default());
        let opened = of_instances(&links, 1);
        assert!(opened[0].link().is_settled() && opened[0].link().takes_calls());
        assert_eq!(links.grant(opened[0].link(), grant(2, 1)), Ok(grant(2, 1)));
        let info = opened[0].link().info;
        let again = || {
            let turn = links.turn(info.server_id).unwrap();
            links.open(info, Scope::Full, "test".to_owned(), false, false, turn)
        };
        // An instance that was stopped long ago.
        let stale = again();
        assert!(!stale.link().takes_calls() && !stale.link().is_settled());
        assert_eq!(told(&opened[0]), Order::Serve);
        assert_eq!(links.grant(stale.link(), grant(1, 2)), Ok(grant(2, 1)));
        assert_eq!(told(&stale), Order::Drain);
        assert!(!stale.link().takes_calls());
        // One that says that it has the same.
        let false_one = again();
        assert_eq!(links.grant(false_one.link(), grant(2, 3)), Ok(grant(2, 1)));
        assert_eq!(told(&false_one), Order::Drain);
        // The successor of the first session, and then another instance.
        let successor = again();
        assert_eq!(told(&opened[0]), Order::Serve);
        assert_eq!(links.grant(successor.link(), grant(2, 1)), Ok(grant(2, 1)));
        assert_eq!(told(&opened[0]), Order::Retire);
        assert!(opened[0].link().takes_calls() && successor.link().takes_calls());
        let higher = again();
        assert_eq!(links.grant(higher.link(), grant(3, 2)), Ok(grant(3, 2)));
        for former in [&opened[0], &successor] {
            assert_eq!(told(former), Order::Drain);
            assert!(!former.link().takes_calls());
        }
        assert_eq!(told(&higher), Order::Serve);
        assert!(higher.link().takes_calls());
    }

    #[test]
    fn sessions_that_are_granted_nothing_never_pile_up() {
        let links = Arc::new(Links::default());
        let first = of_instances(&links, 1);
        links.grant(first[0].link(), grant(1, 1)).unwrap();
        let info = first[0].link().info;
        let opened: Vec<_> = (0..MAX_LINKS + 2)
            .map(|_| {
                let turn = links.turn(info.server_id).unwrap();
                links.open(info, Scope::Full, "test".to_owned(), false, false, turn)
            })
            .collect();
        let closed = opened.iter().filter(|it| told(it) == Order::Close).count();
        assert_eq!(closed, 3);
        assert_eq!(told(&first[0]), Order::Serve);
    }
}
