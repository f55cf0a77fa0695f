//! A new gateway key: made current, then pushed to the gateways that have a link. Those that are
//! away get it when they return.
//!
//! Where several servers share the repository, each asks the gateways whose links it has: the one
//! that was asked for the push tells the others of it, and reads in the repository what comes of it
//! there.
//!
//! A push asks one link after the other, at its pace and with so many unanswered at most, to take
//! the key and shake hands anew. It keeps nothing that has to survive: what a gateway was sent and
//! what it proved stands in its registration, so a push that was cut off is simply begun again.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use portcullis_common::id::{KeyId, KeyKind};
use portcullis_common::rotation::InstallRefusal;
use portcullis_host::clock;
use rand::seq::SliceRandom as _;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::establish::LinkError;
use super::events::Event;
use super::link::Link;
use super::pace::Schedule;
use super::roster::{Follower, REPLACEMENT};
use super::standings::Standings;
use super::{Fleet, Progress, ProgressStream, Push, PushEnd, Rotation, RotationError, SyncState};
use crate::keys::gateway_keys;
use crate::repository::{Replaced, RepositoryError};

/// Gateways that were asked and have not proved the key yet, at most.
const WINDOW: usize = 512;
/// How long a gateway that took the key may take to come back with it.
const PROOF_PATIENCE: Duration = Duration::from_secs(30);
/// A gateway that refused a key is not asked again for so long, unless forced.
const REFUSAL_REST: Duration = Duration::from_secs(60);
/// How often one gateway's turn comes in one push: its link may be replaced just when it does.
const MAX_TRIES: u32 = 3;
/// How often it is looked what came of a push at other servers, and after how long without any
/// progress there they are not waited for any longer, at full speed.
const HEAR_INTERVAL: Duration = Duration::from_secs(2);
const HEAR_PATIENCE: Duration = Duration::from_secs(40);
/// The shortest time between two reports.
const REPORT_INTERVAL: Duration = Duration::from_millis(100);

impl Fleet {
    /// Makes a new gateway key current. Every push of the key that it replaces ends; to push the
    /// new one is the caller's part. Gives the new key and the one replaced.
    ///
    /// # Errors
    /// [`RotationError`]: nothing has changed.
    pub async fn rotate(
        &self,
        rotation: Rotation,
    ) -> Result<(KeyId, Option<KeyId>), RotationError> {
        let keys = self.inner.repository.gateway_keys();
        let kind = match rotation.kind {
            Some(kind) => kind,
            None => keys.current().await?.map_or(KeyKind::Tdes, |id| id.kind()),
        };
        let now = self.inner.repository.database().now().await?;
        let new = gateway_keys::generate(kind, now);
        let id = new.id;
        let expected = rotation.expected_current;
        let replaced = keys.rotate(new, expected, rotation.replaced).await??;
        tracing::info!(new = %id, ?replaced, as = ?rotation.replaced, "gateway key rotated");
        self.inner.current_key.send_replace(Some(id));
        if rotation.replaced == Replaced::Compromised {
            for gateway in self.inner.roster.gateways() {
                self.inner.roster.cut(&gateway);
            }
        }
        Ok((id, replaced))
    }

    /// Pushes the current gateway key in the background, and reports for at most `wait` (zero: one
    /// report of how it stands) or until the push has ended.
    ///
    /// # Errors
    /// [`RepositoryError`]: nothing was begun.
    pub async fn synchronize(
        &self,
        push: Push,
        wait: Duration,
    ) -> Result<ProgressStream, RepositoryError> {
        self.tell_others(&push).await?;
        self.synchronize_here(push, wait).await
    }

    /// The same, without a word to other servers.
    pub(super) async fn synchronize_here(
        &self,
        push: Push,
        wait: Duration,
    ) -> Result<ProgressStream, RepositoryError> {
        let mut running = Running::begin(self.clone(), push).await?;
        let (messages, stream) = mpsc::channel(16);
        let deadline = Instant::now() + wait;
        let mut first = running.progress(PushEnd::UnderWay);
        first.last = wait.is_zero();
        // There is room for the first.
        let _ = messages.send(Ok(first)).await;
        let reports = if wait.is_zero() { None } else { Some(messages) };
        tokio::spawn(async move {
            let mut reports = Reports {
                to: reports,
                deadline,
            };
            match running.run(&mut reports).await {
                Ok(last) => reports.end(Ok(last)).await,
                Err(error) => {
                    tracing::error!(%error, "a push of the gateway key broke off");
                    reports.end(Err(error)).await;
                }
            }
        });
        Ok(ProgressStream::new(stream))
    }

    /// Pushes the current gateway key, telling `report` how far it is, and ends with the last
    /// report when every gateway concerned has answered or is away, or the push was superseded.
    /// Dropping the future stops the push: gateways that took the key by then prove it when they
    /// next reconnect.
    ///
    /// # Errors
    /// [`RepositoryError`]: the push broke off.
    pub async fn push(
        &self,
        push: Push,
        report: mpsc::Sender<Result<Progress, RepositoryError>>,
    ) -> Result<Progress, RepositoryError> {
        self.tell_others(&push).await?;
        let mut running = Running::begin(self.clone(), push).await?;
        let mut reports = Reports {
            to: Some(report),
            deadline: Instant::now() + Duration::from_hours(24 * 365),
        };
        running.run(&mut reports).await
    }

    /// Has a link replaced that is too old, or whose key is no longer the newest that was proved:
    /// asks for its successor, once.
    pub(super) fn succeed(&self, link: &Arc<Link>) {
        if !self.inner.roster.expect_successor(link) {
            return;
        }
        if link.dialled_out {
            tokio::spawn(self.clone().ask_for_successor(Arc::downgrade(link)));
        } else {
            self.inner.roster.redial(&link.gateway).notify_one();
        }
    }

    /// Has a gateway shake hands anew that was given a key. One that dials does so unasked.
    fn replace(&self, link: &Arc<Link>) {
        if link.dialled_out {
            self.inner.roster.dismiss(link);
        } else {
            self.inner.roster.await_link(&link.gateway);
            self.inner.roster.redial(&link.gateway).notify_one();
        }
    }
}

/// To whoever follows a push. A slow one gets fewer reports, each with all that changed since the
/// one before.
struct Reports {
    to: Option<mpsc::Sender<Result<Progress, RepositoryError>>>,
    deadline: Instant,
}

impl Reports {
    async fn end(self, last: Result<Progress, RepositoryError>) {
        if let Some(to) = self.to {
            // Nobody listens any more.
            let _ = to.send(last).await;
        }
    }
}

/// What came of asking one gateway.
enum Asked {
    /// It took the key, or holds it.
    Taken,
    /// It has to be asked through its next link, or said why not: the roster knows.
    NotTaken,
    /// Another key is current.
    Superseded,
}

/// A push under way.
struct Running {
    fleet: Fleet,
    push: Push,
    standings: Standings,
    follower: Follower,
    /// Tells of every rotation in this process.
    current: watch::Receiver<Option<KeyId>>,
    queue: VecDeque<String>,
    queued: HashSet<String>,
    tries: HashMap<String, u32>,
    /// Those that were asked, and until when their proof is awaited.
    asked: HashMap<String, Instant>,
    installs: JoinSet<(String, Asked)>,
    /// How many gateways other servers were last known to have to ask.
    elsewhere: usize,
    /// When the repository is looked at next for what came of them, and until when without any
    /// progress.
    hear: (Instant, Instant),
    schedule: Schedule,
    next_report: Instant,
}

impl Running {
    async fn begin(fleet: Fleet, push: Push) -> Result<Self, RepositoryError> {
        // First, so that what happens while the roster is read is not missed.
        let follower = fleet.inner.roster.follow();
        let current = fleet.inner.current_key.subscribe();
        let standings = fleet.standings(&push).await?;
        let now = Instant::now();
        let mut running = Self {
            schedule: Schedule::new(push.pace, now),
            fleet,
            push,
            standings,
            follower,
            current,
            queue: VecDeque::new(),
            queued: HashSet::new(),
            tries: HashMap::new(),
            asked: HashMap::new(),
            installs: JoinSet::new(),
            elsewhere: 0,
            hear: (now + HEAR_INTERVAL, now + HEAR_PATIENCE),
            next_report: now + REPORT_INTERVAL,
        };
        running.fill();
        running.elsewhere = running.wait_elsewhere();
        Ok(running)
    }

    /// How many gateways other servers have still to ask.
    fn wait_elsewhere(&self) -> usize {
        let roster = &self.fleet.inner.roster;
        self.standings.elsewhere(|name| roster.standing(name))
    }

    /// Looks at what came of the push at other servers.
    async fn hear(&mut self) {
        let now = Instant::now();
        match self.fleet.standings(&self.push).await {
            Ok(fresh) if fresh.key() == self.standings.key() => {
                let roster = &self.fleet.inner.roster;
                self.standings.hear(&fresh, |name| roster.standing(name));
            }
            // That another key is current is told by whoever looks at pushes of others.
            Ok(_) => {}
            Err(error) => tracing::debug!(%error, "it is not known how far other servers are"),
        }
        let left = self.wait_elsewhere();
        if left != self.elsewhere {
            self.elsewhere = left;
            self.hear.1 = now + HEAR_PATIENCE + 3 * self.push.pace.slot();
        } else if now >= self.hear.1 {
            let roster = &self.fleet.inner.roster;
            self.standings
                .give_up_elsewhere(|name| roster.standing(name));
            self.elsewhere = 0;
        }
        self.hear.0 = Instant::now() + HEAR_INTERVAL;
    }

    /// Puts everybody who is to be asked into the queue, in an order left to chance.
    fn fill(&mut self) {
        let roster = &self.fleet.inner.roster;
        let key = self.standings.key();
        let mut names = self.standings.pending(|name| roster.standing(name));
        for name in self.standings.refused() {
            let refusal = roster.standing(&name).refusal;
            if self.push.force || refusal.is_none_or(|refusal| refusal.at.elapsed() > REFUSAL_REST)
            {
                roster.forget_refusal(&name, key);
                names.push(name);
            }
        }
        if self.push.force {
            names.append(&mut self.standings.to_be_dialled());
        }
        names.shuffle(&mut rand::rng());
        for name in names {
            self.enqueue(name);
        }
    }

    fn enqueue(&mut self, name: String) {
        let tries = self.tries.entry(name.clone()).or_default();
        if *tries == MAX_TRIES {
            return;
        }
        *tries += 1;
        if self.queued.insert(name.clone()) {
            self.queue.push_back(name);
        }
    }

    async fn run(&mut self, reports: &mut Reports) -> Result<Progress, RepositoryError> {
        let key = self.standings.key();
        let superseded = loop {
            let is_idle =
                self.queue.is_empty() && self.asked.is_empty() && self.installs.is_empty();
            if is_idle && self.elsewhere == 0 {
                break false;
            }
            let may_ask = !self.queue.is_empty() && self.asked.len() < WINDOW;
            let patience = self.asked.values().min().copied();
            tokio::select! {
                () = another(&mut self.current, key) => break true,
                () = sleep_until(self.schedule.next()), if may_ask => self.ask_next(),
                Some(Ok((name, asked))) = self.installs.join_next() => match asked {
                    Asked::Superseded => break true,
                    Asked::Taken => {
                        self.asked.insert(name.clone(), Instant::now() + PROOF_PATIENCE);
                        self.look(&name);
                    }
                    Asked::NotTaken => self.look(&name),
                },
                names = self.follower.changed() => names.iter().for_each(|name| self.look(name)),
                () = sleep_until(patience.unwrap_or(self.next_report)), if patience.is_some() => self.give_up(),
                () = sleep_until(self.hear.0), if self.elsewhere > 0 => self.hear().await,
                () = sleep_until(self.next_report.min(reports.deadline)), if reports.to.is_some() => {
                    self.report(reports).await;
                }
            }
        };
        self.installs.abort_all();
        let end = if superseded {
            PushEnd::Superseded
        } else {
            PushEnd::Complete
        };
        if !superseded {
            // What another server saw, and what was written last.
            let fresh = self.fleet.standings(&self.push).await?;
            if fresh.key() == key {
                self.standings.renew(fresh);
            }
        }
        let mut last = self.progress(end);
        last.last = true;
        tracing::info!(%key, ?end, counts = ?last.counts, "a push of the gateway key ended");
        let text = self.standings.summary(end);
        self.fleet.tell(Event::Pushed { key, text });
        Ok(last)
    }

    fn ask_next(&mut self) {
        self.schedule.advance(Instant::now());
        let Some(name) = self.queue.pop_front() else {
            return;
        };
        self.queued.remove(&name);
        let standing = self.fleet.inner.roster.standing(&name);
        self.standings.ask(&name, &standing);
        let patience = Instant::now() + PROOF_PATIENCE;
        match standing.link {
            Some(link) if link.info().key_id != self.standings.key() => {
                let (fleet, key) = (self.fleet.clone(), self.standings.key());
                self.asked.insert(name.clone(), patience);
                self.installs
                    .spawn(async move { (name, fleet.ask(&link, key).await) });
            }
            Some(_) => self.look(&name),
            None if standing.awaited => {
                self.asked.insert(name, Instant::now() + REPLACEMENT);
            }
            // Forced: it gets the key by connecting.
            None if self.push.force => {
                self.fleet.inner.roster.await_link(&name);
                self.fleet.wake(&name);
                self.asked.insert(name, patience);
            }
            None => self.look(&name),
        }
    }

    /// Something changed of this gateway.
    fn look(&mut self, name: &str) {
        let standing = self.fleet.inner.roster.standing(name);
        let state = self.standings.look(name, &standing);
        match state {
            // A link under the former key came up just when that was replaced.
            Some(SyncState::Pending)
                if standing.link.is_some() && !self.asked.contains_key(name) =>
            {
                self.enqueue(name.to_owned());
            }
            Some(SyncState::Pending) => {}
            _ => {
                self.asked.remove(name);
            }
        }
    }

    fn give_up(&mut self) {
        let now = Instant::now();
        let late = self.asked.extract_if(|_, until| *until <= now);
        for (name, _) in late.collect::<Vec<_>>() {
            let standing = self.fleet.inner.roster.standing(&name);
            self.standings.give_up(&name, &standing);
        }
    }

    async fn report(&mut self, reports: &mut Reports) {
        let now = Instant::now();
        self.next_report = now + REPORT_INTERVAL;
        let Some(to) = &reports.to else {
            return;
        };
        if now >= reports.deadline {
            let mut progress = self.progress(PushEnd::UnderWay);
            progress.last = true;
            // Nobody listens any more.
            let _ = to.send(Ok(progress)).await;
            reports.to = None;
        } else if to.is_closed() {
            reports.to = None;
        } else if self.standings.has_changes()
            && let Ok(room) = to.clone().try_reserve_owned()
        {
            room.send(Ok(self.progress(PushEnd::UnderWay)));
        }
    }

    fn progress(&mut self, end: PushEnd) -> Progress {
        Progress {
            current: self.standings.key(),
            counts: self.standings.counts(),
            results: self.standings.take_changes(),
            end,
            last: false,
        }
    }
}

/// Waits until a key other than `key` is made current.
async fn another(current: &mut watch::Receiver<Option<KeyId>>, key: KeyId) {
    loop {
        if current.changed().await.is_err() {
            // The server is stopping.
            std::future::pending::<()>().await;
        }
        if *current.borrow_and_update() != Some(key) {
            return;
        }
    }
}

impl Fleet {
    async fn standings(&self, push: &Push) -> Result<Standings, RepositoryError> {
        let holdings = self.inner.repository.gateways().holdings().await?;
        let policy = self.inner.settings.policy;
        let roster = &self.inner.roster;
        let elsewhere = self.linked_elsewhere().await?;
        let known = (&policy, clock::now());
        Standings::new(holdings, push, known, &elsewhere, |name| {
            roster.standing(name)
        })
        .ok_or_else(|| RepositoryError::Damaged("no gateway key".to_owned()))
    }

    /// Asks a gateway to take `key` and to shake hands anew.
    async fn ask(&self, link: &Arc<Link>, key: KeyId) -> Asked {
        match self.install(link, None, Some(key)).await {
            Ok(_) => {
                self.replace(link);
                Asked::Taken
            }
            Err(LinkError::Superseded) => Asked::Superseded,
            // Its link was replaced meanwhile: the new one is asked, or has brought the key
            // already.
            Err(LinkError::Install(InstallRefusal::NotAccepted)) => {
                self.replace(link);
                Asked::Taken
            }
            Err(error) => {
                tracing::warn!(gateway = link.gateway, %error, "the new key was not taken");
                if !link.session().is_closed() {
                    self.inner
                        .roster
                        .refused(&link.gateway, key, error.to_string());
                }
                Asked::NotTaken
            }
        }
    }
}
