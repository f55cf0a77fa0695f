//! A server: what it has in its memory and on its disk, how it starts and how it ends.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Instant;

use portcullis_server::fleet::{Reckoning, Sharing};
use portcullis_server::servers::{Fence, Watcher};

use super::Fault;
use super::clock::Clock;
use super::database::{CallId, ChangeId, Head, Instance, Op, Stored, Told};
use super::reading::named;
use super::session::{Grant, Session};
use super::world::{Event, World};

pub(super) const BEAT: u64 = 2_000;
pub(super) const POLL: u64 = 1_000;

#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    Connect,
    Beat,
    Poll,
    /// What was let through is sent.
    Send(Key),
}

/// A call, and for which other server it is carried.
pub(super) type Key = (CallId, Option<(usize, Instance)>);

#[derive(Debug)]
pub(super) struct Server {
    /// Counts starts, and lives.
    pub(super) run: u64,
    pub(super) clock: Clock,
    /// Nothing of it goes on.
    pub(super) stopped: bool,
    /// What came meanwhile.
    pub(super) missed: VecDeque<Event>,
    /// On its disk.
    pub(super) head: Head,
    pub(super) life: Option<Life>,
}

impl Server {
    pub(super) const fn new(rate: u64) -> Self {
        Self {
            run: 0,
            clock: Clock::new(1_000, 0, rate),
            stopped: false,
            missed: VecDeque::new(),
            head: Head {
                timeline: 0,
                commits: 0,
            },
            life: None,
        }
    }
}

/// How a call is carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Carried {
    /// The claim is not answered.
    Claiming,
    /// Claimed; its entry `begun` is not durable.
    Claimed,
    /// It may be checked.
    Ready,
    /// It was checked under this version of the authority, and is not sent yet.
    Through {
        version: u64,
        not_after: u64,
        session: u64,
    },
    Sent(u64),
    /// Another server was asked to send it, or to look for it.
    Forwarded {
        look: bool,
    },
    /// Claimed, and nobody here knows what became of it.
    Lost,
    Looking(u64),
    /// What came of it, which is not written yet.
    Told(Told),
}

#[derive(Clone, Debug)]
pub(super) struct Job {
    pub(super) gateway: usize,
    pub(super) subject: usize,
    pub(super) carried: Carried,
    /// A write about it is under way.
    pub(super) asked: bool,
    /// Since when it stands so.
    pub(super) since: Instant,
    /// It was somebody else's before.
    pub(super) taken_over: bool,
}

#[derive(Debug)]
pub(super) struct Held {
    pub(super) session: u64,
    pub(super) live: bool,
    pub(super) reckoning: Reckoning,
    /// What the gateway's clock showed last, and when.
    pub(super) last: Option<(Instant, u64)>,
    pub(super) pinging: bool,
}

/// What a start has in its memory.
#[derive(Debug)]
pub(super) struct Life {
    pub(super) instance: Instance,
    pub(super) joined: bool,
    pub(super) beat: u64,
    /// Beats that may have been written.
    pub(super) tried: Vec<u64>,
    pub(super) beating: bool,
    pub(super) fence: Fence,
    pub(super) sharing: Sharing,
    pub(super) watcher: Watcher,
    pub(super) first_seen: BTreeMap<Instance, Instant>,
    pub(super) connection: Option<u64>,
    /// The repository is behind what this server knows, and it does not care.
    pub(super) knows_better: bool,
    pub(super) asked: BTreeMap<ChangeId, (Op, Instant)>,
    /// Changes whose answer was lost.
    pub(super) unknown: BTreeMap<ChangeId, Op>,
    /// The version that it decides by, and from whom it was withdrawn.
    pub(super) authority: Option<(u64, BTreeSet<usize>)>,
    pub(super) acknowledged: u64,
    pub(super) known: Option<Box<Stored>>,
    pub(super) links: BTreeMap<usize, Held>,
    pub(super) jobs: BTreeMap<Key, Job>,
    /// Withdrawals that wait for the others.
    pub(super) barriers: Vec<(usize, u64)>,
    /// Grants that gateways hold to be the highest, and when they said so.
    pub(super) highest: Vec<(usize, Grant, Instant)>,
}

impl Life {
    pub(super) fn new(instance: Instance, now: Instant) -> Self {
        Self {
            sharing: Sharing::new(named(instance), now),
            instance,
            joined: false,
            beat: instance,
            tried: Vec::new(),
            beating: false,
            fence: Fence::shared(),
            watcher: Watcher::default(),
            first_seen: BTreeMap::new(),
            connection: None,
            knows_better: false,
            asked: BTreeMap::new(),
            unknown: BTreeMap::new(),
            authority: None,
            acknowledged: 0,
            known: None,
            links: BTreeMap::new(),
            jobs: BTreeMap::new(),
            barriers: Vec::new(),
            highest: Vec::new(),
        }
    }

    /// The session of a live link.
    pub(super) fn live(&self, gateway: usize) -> Option<u64> {
        let held = self.links.get(&gateway)?;
        held.live.then_some(held.session)
    }

    pub(super) fn is_asked(&self, is_it: impl Fn(&Op) -> bool) -> bool {
        let asked = self.asked.values().map(|(op, _)| op);
        asked.chain(self.unknown.values()).any(is_it)
    }
}

impl World {
    pub(super) fn life(&mut self, server: usize) -> Option<&mut Life> {
        self.servers.get_mut(server)?.life.as_mut()
    }

    /// Whether an instance is at work that its own clock lets dispatch.
    pub(super) fn dispatches(&self, instance: Instance) -> bool {
        let mut lives = self.servers.iter().enumerate();
        lives.any(|(server, it)| {
            let life = it.life.as_ref().filter(|life| life.instance == instance);
            life.is_some_and(|life| life.fence.may_dispatch(self.clock(server)))
        })
    }

    /// The subjects of calls that are about to be sent, by servers that stand still where there are
    /// any.
    pub(super) fn subjects_under_way(&self) -> Vec<usize> {
        let any_stopped = self.servers.iter().any(|it| it.stopped);
        let servers = self.servers.iter().enumerate();
        let servers = servers.filter(|(_, it)| it.stopped == any_stopped);
        servers
            .flat_map(|(server, _)| self.subjects_of(server))
            .collect()
    }

    /// The subjects of calls that a server is about to send.
    pub(super) fn subjects_of(&self, server: usize) -> Vec<usize> {
        let about_to = |job: &&Job| {
            matches!(
                job.carried,
                Carried::Claimed | Carried::Ready | Carried::Through { .. }
            )
        };
        let life = self.servers.get(server).and_then(|it| it.life.as_ref());
        let jobs = life.into_iter().flat_map(|life| life.jobs.values());
        jobs.filter(about_to).map(|job| job.subject).collect()
    }

    pub(super) fn starts(&mut self, server: usize) {
        if self.database.disputed || self.servers[server].life.is_some() {
            return;
        }
        self.begins(server);
    }

    pub(super) fn begins(&mut self, server: usize) {
        let instance = self.number();
        let (clock, shows) = (self.now, self.clock(server));
        self.note(|| format!("server {server} is instance {instance}"));
        let it = &mut self.servers[server];
        it.run += 1;
        it.life = Some(Life::new(instance, shows));
        let run = it.run;
        for (step, within) in [(Step::Connect, 100), (Step::Poll, POLL), (Step::Beat, BEAT)] {
            let at = clock + self.within(0, within);
            self.at(at, Event::Server(server, run, step));
        }
    }

    /// All that is in its memory is gone.
    pub(super) fn dies(&mut self, server: usize) {
        let it = &mut self.servers[server];
        it.life = None;
        it.stopped = false;
        it.missed.clear();
        it.clock.go_on(self.now);
        self.drops_sessions(server);
    }

    pub(super) fn drops_sessions(&mut self, server: usize) {
        let of_it = |session: &Session| session.server == server && session.at_server;
        let sessions: Vec<_> = self.sessions.iter().filter(|(_, it)| of_it(it)).collect();
        let sessions: Vec<_> = sessions.into_iter().map(|(number, _)| *number).collect();
        for session in sessions {
            if let Some(open) = self.sessions.get_mut(&session) {
                open.at_server = false;
            }
            let at = self.now + self.within(0, 20_000);
            self.at(at, Event::GatewayNotices(session));
        }
    }

    /// Its row is gone: it is nobody from now on, and begins anew.
    pub(super) fn gone(&mut self, server: usize) {
        if self.fault == Some(Fault::Revived) {
            let Some(life) = self.life(server) else {
                return;
            };
            let (instance, beat) = (life.instance, life.beat);
            life.tried.clear();
            life.beating = false;
            self.ask(server, Op::Join(instance, beat));
            return;
        }
        self.note(|| format!("server {server} finds its row gone"));
        self.drops_sessions(server);
        self.begins(server);
    }
}
