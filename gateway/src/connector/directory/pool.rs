//! Connections to a directory that are bound and ready, and the way to another server where one
//! fails.
//!
//! Servers are tried in the order of the configuration, and the one that answered is stayed with
//! until it fails: what was written there is read there. Those that failed a short while ago come
//! last. Where one is silent, the next is tried beside it, so that many silent ones cost little.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, timeout_at};

use super::account;
use super::fault::{Error, Fault, FaultKind, code, code_name};
use super::link::Link;
use super::message::{Answer, Control};
use super::server::Servers;
use super::words;
use crate::connector::own_log_ins::{NotTried, OwnLogIns};
use crate::model::Password;

/// How long a server that failed comes last.
const SHUNNED: Duration = Duration::from_secs(30);

/// How long at the most one server is waited for before the next is tried beside it.
const STAGGER: Duration = Duration::from_secs(1);

/// Who the gateway is at the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    /// Its name.
    pub(crate) dn: String,
    /// Its password.
    pub(crate) password: Password,
}

/// Which connection is lent.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Lending {
    /// None that was used before.
    pub(crate) fresh: bool,
    /// To a call that has one already.
    pub(crate) nested: bool,
}

/// The connections to one directory.
#[derive(Debug)]
pub(crate) struct Pool {
    servers: Servers,
    room: Arc<Semaphore>,
    /// Further room for calls that have a connection already: they never wait for one another.
    beside: Arc<Semaphore>,
    /// Which passwords of the gateway's own are tried.
    log_ins: OwnLogIns,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    idle: Vec<(Arc<Identity>, Link)>,
    current: usize,
    /// When each failed that has not served since, and how.
    failed: Vec<Option<(Instant, FaultKind)>>,
}

/// A connection that is lent. It goes back by itself, unless a request on it did not come to its
/// end.
#[derive(Debug)]
pub(crate) struct Lease {
    link: Option<Link>,
    identity: Arc<Identity>,
    pool: Arc<Pool>,
    _room: OwnedSemaphorePermit,
}

impl Pool {
    /// No connection yet.
    pub(crate) fn new(servers: Servers) -> Arc<Self> {
        let room = Arc::new(Semaphore::new(servers.connections));
        let beside = Arc::new(Semaphore::new(servers.connections.div_ceil(4)));
        let failed = vec![None; servers.list.len()];
        Arc::new(Self {
            servers,
            room,
            beside,
            log_ins: OwnLogIns::default(),
            state: Mutex::new(State {
                failed,
                ..State::default()
            }),
        })
    }

    /// A connection on which this identity is bound.
    pub(crate) async fn lease(
        self: &Arc<Self>,
        identity: &Arc<Identity>,
        how: Lending,
        deadline: Instant,
    ) -> Result<Lease, Fault> {
        let of = if how.nested { &self.beside } else { &self.room };
        let room = self.take(of, deadline).await?;
        let kept = if how.fresh { None } else { self.idle(identity) };
        let link = match kept {
            Some(link) => link,
            None => self.bound(identity, deadline).await?,
        };
        Ok(Lease {
            link: Some(link),
            identity: Arc::clone(identity),
            pool: Arc::clone(self),
            _room: room,
        })
    }

    /// Tries a password on a connection of its own, which is never used for anything else.
    pub(crate) async fn try_bind(
        self: &Arc<Self>,
        dn: &str,
        password: &Password,
        controls: &[Control],
        deadline: Instant,
    ) -> Result<Answer, Error> {
        let _room = self.room(deadline).await.map_err(Error::NotBegun)?;
        let mut link = self.open(deadline).await.map_err(Error::NotBegun)?;
        let answer = link.bind(dn, password, controls, deadline).await;
        tokio::spawn(link.close(Instant::now() + STAGGER));
        answer
    }

    /// The same with a password of the gateway's own, in its turn, and only where it may be tried.
    /// `is_wrong` tells an answer that counts against the account.
    pub(crate) async fn try_own(
        self: &Arc<Self>,
        identity: &Identity,
        controls: &[Control],
        is_wrong: impl Fn(&Answer) -> bool,
        deadline: Instant,
    ) -> Result<Answer, Error> {
        let (account, password) = (account::key(&identity.dn), &identity.password);
        let log_in = self.log_ins.begin(&account, password, deadline).await;
        let log_in = log_in.map_err(|why| Error::NotBegun(not_tried("the directory", why)))?;
        let tried = self.try_bind(&identity.dn, password, controls, deadline);
        let answer = tried.await?;
        if is_wrong(&answer) {
            log_in.refused(&not_bound("the directory", &identity.dn, &answer).text);
        } else if answer.code == code::SUCCESS {
            log_in.taken();
        }
        Ok(answer)
    }

    /// An administrator asks for another try of the passwords of this name.
    pub(crate) fn try_again(&self, dn: &str) {
        self.log_ins.try_again(&account::key(dn));
    }

    /// The passwords of this name were changed.
    pub(crate) fn forget(&self, dn: &str) {
        self.log_ins.forget(&account::key(dn));
    }

    /// What the directory said of passwords that are not tried, for people.
    pub(crate) fn faults(&self) -> Vec<String> {
        self.log_ins.faults()
    }

    /// Lets go of every connection that nobody has.
    pub(crate) fn clear(&self) {
        self.state().idle.clear();
    }

    async fn room(&self, deadline: Instant) -> Result<OwnedSemaphorePermit, Fault> {
        self.take(&self.room, deadline).await
    }

    async fn take(
        &self,
        room: &Arc<Semaphore>,
        deadline: Instant,
    ) -> Result<OwnedSemaphorePermit, Fault> {
        let waiting = Arc::clone(room).acquire_owned();
        match timeout_at(deadline, waiting).await {
            Ok(Ok(room)) => Ok(room),
            _ => Err(Fault::new(
                FaultKind::Full,
                format!(
                    "each of the {} connections to the directory (`connections`) was in use all the time",
                    self.servers.connections
                ),
            )),
        }
    }

    /// A connection that was used before and can be used again.
    fn idle(&self, identity: &Arc<Identity>) -> Option<Link> {
        let mut state = self.state();
        let current = state.current;
        let kept = std::mem::take(&mut state.idle);
        let mut found = None;
        // The one that was used last comes first: the others may grow old.
        for (whose, mut link) in kept.into_iter().rev() {
            let is_young = link.opened.elapsed() < self.servers.age
                && link.used.elapsed() < self.servers.idle
                && link.server == current;
            if !is_young {
                continue;
            }
            if found.is_none() && whose == *identity && link.is_fit() {
                found = Some(link);
            } else {
                state.idle.insert(0, (whose, link));
            }
        }
        found
    }

    /// Nothing is sent where the password was refused before.
    async fn bound(&self, identity: &Identity, deadline: Instant) -> Result<Link, Fault> {
        let account = account::key(&identity.dn);
        let held = self.log_ins.check(&account, &identity.password);
        held.map_err(|why| not_tried("the directory", why))?;
        let mut last = None;
        // Each server once: one that takes connections may still be unable to serve.
        for _ in 0..self.servers.list.len() {
            let mut link = match (self.open(deadline).await, last.take()) {
                (Ok(link), _) => link,
                (Err(_), Some(fault)) | (Err(fault), None) => return Err(fault),
            };
            let shown = link.shown().to_owned();
            let (dn, password) = (&identity.dn, &identity.password);
            let log_in = self.log_ins.begin(&account, password, deadline).await;
            let log_in = log_in.map_err(|why| not_tried(&shown, why))?;
            // Who had the turn before may have waited for it in vain: once is enough.
            if self.is_silent(link.server) {
                last = Some(failed_another(&shown));
                continue;
            }
            let bound = link.bind(dn, password, &[], deadline);
            let fault = match bound.await {
                Ok(answer) if answer.code == code::SUCCESS => {
                    log_in.taken();
                    return Ok(link);
                }
                Ok(answer) => {
                    let fault = not_bound(&shown, dn, &answer);
                    if answer.code == code::INVALID_CREDENTIALS {
                        log_in.refused(&fault.text);
                    }
                    // A wrong password is tried once: elsewhere it would be wrong again, and count.
                    if !matches!(answer.code, code::BUSY | code::UNAVAILABLE) {
                        return Err(fault);
                    }
                    fault
                }
                Err(Error::Unknown(fault) | Error::NotBegun(fault)) => fault,
                Err(Error::Refused(answer)) => not_bound(&shown, dn, &answer),
            };
            self.failed(link.server, &fault);
            last = Some(fault);
        }
        Err(last.unwrap_or_else(|| Fault::new(FaultKind::Name, "there is no server")))
    }

    /// Opens a connection to the best server that answers.
    async fn open(&self, deadline: Instant) -> Result<Link, Fault> {
        let since = Instant::now();
        let deadline = deadline.min(since + self.servers.connect_timeout);
        let order = self.order();
        let count = u32::try_from(order.len()).unwrap_or(u32::MAX).max(1);
        let stagger = (self.servers.connect_timeout / 2 / count).min(STAGGER);
        let mut waiting = order.into_iter();
        let mut opening = FuturesUnordered::new();
        let mut faults = Vec::new();
        let mut next = waiting.next();
        loop {
            if let Some(index) = next.take() {
                let open = Link::open(&self.servers, index, deadline);
                opening.push(async move { (index, open.await) });
            }
            tokio::select! {
                opened = opening.next() => match opened {
                    Some((index, Ok(link))) => {
                        self.succeeded(index, since);
                        return Ok(link);
                    }
                    Some((index, Err(fault))) => {
                        self.failed(index, &fault);
                        faults.push(fault);
                        next = waiting.next();
                    }
                    None => return Err(none_answers(faults)),
                },
                () = sleep(stagger), if waiting.len() > 0 => next = waiting.next(),
            }
        }
    }

    /// The servers as they are to be tried.
    fn order(&self) -> Vec<usize> {
        let state = self.state();
        let mut order: Vec<_> = (0..self.servers.list.len()).collect();
        order.sort_by_key(|index| (state.shuns(*index), *index != state.current, *index));
        order
    }

    fn is_silent(&self, index: usize) -> bool {
        let state = self.state();
        let silent = |(_, kind)| kind == FaultKind::Silent;
        state.shuns(index) && state.failure_of(index).is_some_and(silent)
    }

    /// A connection stands that was begun at `since`: what failed later is not made good by it.
    fn succeeded(&self, index: usize, since: Instant) {
        let mut state = self.state();
        if state
            .failure_of(index)
            .is_some_and(|(when, _)| when > since)
        {
            return;
        }
        state.current = index;
        if let Some(failed) = state.failed.get_mut(index) {
            *failed = None;
        }
    }

    fn failed(&self, index: usize, fault: &Fault) {
        let mut state = self.state();
        if let Some(failed) = state.failed.get_mut(index) {
            *failed = Some((Instant::now(), fault.kind));
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn shuns(&self, index: usize) -> bool {
        let failed = self.failure_of(index);
        failed.is_some_and(|(when, _)| when.elapsed() < SHUNNED)
    }

    fn failure_of(&self, index: usize) -> Option<(Instant, FaultKind)> {
        self.failed.get(index).copied().flatten()
    }
}

impl Lease {
    /// The connection.
    ///
    /// # Errors
    /// Never, unless it was parked.
    pub(crate) fn link(&mut self) -> Result<&mut Link, Error> {
        let parked = || Error::NotBegun(Fault::new(FaultKind::Closed, "the connection was parked"));
        self.link.as_mut().ok_or_else(parked)
    }

    /// Takes the connection out, for whoever keeps it between two calls.
    pub(crate) fn park(mut self) -> Option<(Arc<Identity>, Link)> {
        let link = self.link.take()?;
        Some((Arc::clone(&self.identity), link))
    }

    /// Takes a connection up again that was kept.
    pub(crate) async fn resume(
        pool: &Arc<Pool>,
        identity: Arc<Identity>,
        link: Link,
        deadline: Instant,
    ) -> Result<Self, Fault> {
        Ok(Self {
            _room: pool.room(deadline).await?,
            link: Some(link),
            identity,
            pool: Arc::clone(pool),
        })
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(link) = self.link.take()
            && link.is_idle()
        {
            let kept = (Arc::clone(&self.identity), link);
            self.pool.state().idle.push(kept);
        }
    }
}

fn not_bound(shown: &str, dn: &str, answer: &Answer) -> Fault {
    let code = answer.code;
    let what = match code {
        code::INVALID_CREDENTIALS => {
            "does not let the gateway in: its password is wrong, or there is no such entry"
        }
        code::CONFIDENTIALITY_REQUIRED | code::STRONGER_AUTH_REQUIRED => {
            "wants another protection than it has"
        }
        _ => "does not let the gateway in",
    };
    let said = words(&answer.text);
    let name = code_name(code);
    let text = format!("{shown} {what} (bind as `{dn}`: {code} {name} {said})");
    Fault::new(FaultKind::Bind, text)
}

/// Another call has just waited in vain for the server on which this one would log in.
fn failed_another(shown: &str) -> Fault {
    Fault::new(
        FaultKind::Silent,
        format!("{shown} was silent a moment ago, when another call logged in there"),
    )
}

fn not_tried(shown: &str, why: NotTried) -> Fault {
    match why {
        NotTried::Late => Fault::new(
            FaultKind::Silent,
            format!("{shown} did not say in time whether it lets the gateway in"),
        ),
        NotTried::Refused(text) => Fault::new(FaultKind::Bind, text),
    }
}

fn none_answers(mut faults: Vec<Fault>) -> Fault {
    match faults.len() {
        0 => Fault::new(FaultKind::Name, "there is no server"),
        1 => faults.remove(0),
        count => {
            let kind = faults
                .iter()
                .map(|fault| fault.kind)
                .find(|kind| *kind == FaultKind::Certificate)
                .unwrap_or(FaultKind::Silent);
            let some: Vec<_> = faults.iter().take(3).map(|fault| &*fault.text).collect();
            let text = format!(
                "none of the {count} servers of the directory answers: {}{}",
                some.join("; "),
                if count > some.len() { "; …" } else { "" }
            );
            Fault::new(kind, text)
        }
    }
}
