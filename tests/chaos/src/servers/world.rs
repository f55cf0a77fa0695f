//! The world of one seed: what happens next, and to whom.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha12Rng;

use super::database::{Answer, CallId, ChangeId, Database, Head, Op, Standing};
use super::gateway::Gateway;
use super::ghost::Ghost;
use super::peers::Between;
use super::server::{Server, Step};
use super::session::{Session, ToGateway, ToServer};
use super::{Counts, Fault};

/// Milliseconds in which things break.
const TROUBLED: u64 = 150_000;
/// Milliseconds after that in which all that is owed gets done.
const QUIET: u64 = 150_000;
/// What takes no time to speak of, in milliseconds.
const QUICK: u64 = 30;
/// What takes long.
const SLOW: u64 = 3_000;
/// For so long a database keeps a connection of which it hears nothing, in milliseconds.
const FORGOTTEN: u64 = 3_000;
const TASKS: usize = 2;
const SUBJECTS: usize = 100;

/// What became of one seed.
pub(super) struct Outcome {
    pub(super) broken: Option<String>,
    pub(super) trace: Vec<String>,
    pub(super) counts: Counts,
}

/// What goes wrong in this world, and how often.
#[derive(Clone, Debug)]
pub(super) struct Mood {
    /// No machine is suspended, and clocks go at much the same rate.
    pub(super) tame: bool,
    /// How long a database takes at most, to hear and to answer, in milliseconds.
    pub(super) database: u64,
    /// The same of a gateway.
    pub(super) gateway: u64,
    /// How long a server takes between a check and what it sends.
    pub(super) inside: u64,
    /// How likely a server calls through another's session, or claims what another would.
    pub(super) forwards: f64,
    /// How likely a server dials a gateway that is another's.
    pub(super) roves: f64,
    /// How likely each moment withdraws something.
    withdraws: f64,
    /// How likely each moment breaks something.
    trouble: f64,
    loses_tail: bool,
    /// Machines are suspended for long.
    suspends: bool,
}

impl Mood {
    /// Leans to where a fault would show: the same happens as in other worlds, more often.
    fn leaning(self, fault: Option<Fault>) -> Self {
        match fault {
            Some(Fault::LostTail) => Self {
                loses_tail: true,
                ..self
            },
            Some(Fault::OwnClock) => Self {
                tame: false,
                suspends: true,
                withdraws: 0.01,
                database: SLOW,
                gateway: QUICK,
                inside: QUICK,
                loses_tail: false,
                ..self
            },
            Some(Fault::ReadThenRow) => Self {
                database: SLOW,
                gateway: QUICK,
                inside: QUICK,
                withdraws: 0.03,
                ..self
            },
            _ => self,
        }
    }
}

#[derive(Clone, Debug)]
pub(super) enum Event {
    /// A step of a server, in which start.
    Server(usize, u64, Step),
    /// A transaction comes to the database, over which connection of whom.
    Request(usize, u64, u64, ChangeId, Op),
    Answer(usize, u64, u64, ChangeId, Answer, Head),
    ToGateway(u64, ToGateway),
    ToServer(u64, ToServer),
    /// A gateway sends this.
    FromGateway(u64, ToServer),
    /// A gateway finds out that a session is cut.
    GatewayNotices(u64),
    ServerNotices(u64),
    Between(Between),
    Chance,
    Start(usize),
    /// A server goes on that stood still since.
    GoOn(usize, u64),
    DatabaseUp,
    /// A server and a gateway reach each other again.
    Together(usize, usize),
    AcceptLoss,
    Heal,
    End,
}

struct Scheduled {
    at: u64,
    number: u64,
    event: Event,
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.number) == (other.at, other.number)
    }
}

impl Eq for Scheduled {}

impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Scheduled {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

pub(super) struct World {
    rng: ChaCha12Rng,
    pub(super) now: u64,
    origin: Instant,
    queue: BinaryHeap<Reverse<Scheduled>>,
    last: u64,
    pub(super) fault: Option<Fault>,
    pub(super) mood: Mood,
    pub(super) database: Database,
    pub(super) servers: Vec<Server>,
    pub(super) gateways: Vec<Gateway>,
    pub(super) sessions: BTreeMap<u64, Session>,
    /// Servers and gateways that do not reach each other.
    pub(super) apart: BTreeSet<(usize, usize)>,
    /// Servers are drained, and put to work again.
    drains: bool,
    pub(super) ghost: Ghost,
    /// Nothing breaks any more.
    healed: bool,
    trace: Option<Vec<String>>,
}

/// Lives through `seed`, then heals the world and looks whether all that is owed was done.
pub(super) fn live(seed: u64, fault: Option<Fault>, traced: bool) -> Outcome {
    let mut world = World::new(seed, fault, traced);
    while let Some(Reverse(next)) = world.queue.pop() {
        world.now = world.now.max(next.at);
        if let Event::End = next.event {
            world.settle();
            break;
        }
        world.ghost.counts.events += 1;
        world.happens(next.event);
        if world.ghost.broken.is_some() {
            break;
        }
    }
    Outcome {
        broken: world.ghost.broken.take(),
        trace: world.trace.take().unwrap_or_default(),
        counts: world.ghost.counts,
    }
}

impl World {
    fn new(seed: u64, fault: Option<Fault>, traced: bool) -> Self {
        let mut rng = ChaCha12Rng::seed_from_u64(seed);
        let tame = rng.random_bool(0.5);
        let slow = rng.random_bool(0.3);
        let mood = Mood {
            tame,
            database: if slow { SLOW } else { QUICK },
            gateway: if rng.random_bool(0.3) { 2_000 } else { QUICK },
            inside: if rng.random_bool(0.3) { 2_000 } else { QUICK },
            forwards: if rng.random_bool(0.5) { 0.3 } else { 0.0 },
            roves: if rng.random_bool(0.4) { 0.1 } else { 0.0 },
            withdraws: rng.random_range(0.005..0.1),
            trouble: rng.random_range(0.02..0.25),
            loses_tail: rng.random_bool(0.15),
            suspends: false,
        };
        let mood = mood.leaning(fault);
        let tame = mood.tame;
        let servers = rng.random_range(2..=3);
        let gateways = rng.random_range(1..=2);
        let mut rate = || match tame {
            true => rng.random_range(980..=1_020),
            false => rng.random_range(850..=1_180),
        };
        let servers: Vec<_> = (0..servers).map(|_| Server::new(rate())).collect();
        let gateways = (0..gateways).map(|_| Gateway::new(rate())).collect();
        let mut world = Self {
            rng,
            now: 0,
            // Before any that a fence or a watcher takes of the host's clock.
            origin: Instant::now() + Duration::from_secs(3_600),
            queue: BinaryHeap::new(),
            last: 0,
            fault,
            mood,
            database: Database::new(TASKS),
            servers,
            gateways,
            sessions: BTreeMap::new(),
            apart: BTreeSet::new(),
            // In every fourth world, and in none that is to show a fault.
            drains: fault.is_none() && seed % 4 == 3,
            ghost: Ghost::default(),
            healed: false,
            trace: traced.then(Vec::new),
        };
        for server in 0..world.servers.len() {
            let at = world.within(0, 2_000);
            world.at(at, Event::Start(server));
        }
        world.at(1_000, Event::Chance);
        world.at(TROUBLED, Event::Heal);
        world.at(TROUBLED + QUIET, Event::End);
        world
    }

    pub(super) fn note(&mut self, what: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{:>7} {}", self.now, what()));
        }
    }

    /// Something happens at a moment.
    pub(super) fn at(&mut self, at: u64, event: Event) {
        let number = self.number();
        self.queue.push(Reverse(Scheduled { at, number, event }));
    }

    /// A number that nothing else has.
    pub(super) const fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    pub(super) fn within(&mut self, least: u64, most: u64) -> u64 {
        self.rng.random_range(least..=most)
    }

    pub(super) fn chance(&mut self, likely: f64) -> bool {
        self.rng.random_bool(likely)
    }

    /// What a server's clock shows.
    pub(super) fn clock(&self, server: usize) -> Instant {
        let shows = self.servers[server].clock.shows(self.now);
        self.origin + Duration::from_millis(shows)
    }

    fn happens(&mut self, event: Event) {
        if let Some(server) = self.heard_by(&event)
            && self.servers[server].stopped
        {
            self.servers[server].missed.push_back(event);
            return;
        }
        match event {
            Event::Server(server, run, step) => self.step(server, run, step),
            Event::Request(server, run, connection, change, op) => {
                self.request(server, run, connection, change, &op);
            }
            Event::Answer(server, run, connection, change, answer, head) => {
                self.answered(server, (run, connection), change, answer, head);
            }
            Event::ToGateway(session, message) => {
                if self.arrives(session) {
                    self.gateway_hears(session, message);
                }
            }
            Event::ToServer(session, message) => {
                if self.arrives(session) {
                    self.server_hears(session, message);
                }
            }
            Event::FromGateway(session, message) => self.sends_server(session, message),
            Event::GatewayNotices(session) => self.gateway_closes(session, false),
            Event::ServerNotices(session) => self.server_closes(session),
            Event::Between(between) => self.peer_hears(between),
            Event::Chance => self.something(),
            Event::Start(server) => self.starts(server),
            Event::GoOn(server, since) => self.wakes(server, since),
            Event::DatabaseUp => self.database.up = true,
            Event::Together(server, gateway) => {
                self.apart.remove(&(server, gateway));
            }
            Event::AcceptLoss => self.accept_loss(),
            Event::Heal => self.heal(),
            Event::End => {}
        }
    }

    /// The server whose program takes this in hand.
    fn heard_by(&self, event: &Event) -> Option<usize> {
        match event {
            Event::Server(server, ..) | Event::Answer(server, ..) => Some(*server),
            Event::ToServer(session, _) | Event::ServerNotices(session) => {
                self.sessions.get(session).map(|session| session.server)
            }
            Event::Between(between) => Some(between.to),
            _ => None,
        }
    }

    // ---- what is sent

    pub(super) fn sends_gateway(&mut self, session: u64, message: ToGateway) {
        let at = self.comes(session, 0);
        self.at(at, Event::ToGateway(session, message));
    }

    pub(super) fn sends_server(&mut self, session: u64, message: ToServer) {
        let at = self.comes(session, 1);
        self.at(at, Event::ToServer(session, message));
    }

    /// When what is sent now comes: in order.
    fn comes(&mut self, session: u64, way: usize) -> u64 {
        let delay = self.within(1, self.mood.gateway);
        let now = self.now;
        self.sessions.get_mut(&session).map_or(now, |session| {
            session.last[way] = session.last[way].max(now + delay) + 1;
            session.last[way]
        })
    }

    fn arrives(&self, session: u64) -> bool {
        let open = self.sessions.get(&session);
        open.is_some_and(|open| open.cut.is_none_or(|cut| self.now <= cut))
    }

    /// A session is cut: what is on its way comes up to some moment, and no more.
    pub(super) fn cut(&mut self, session: u64) {
        let cut = self.now + self.within(0, self.mood.gateway);
        let Some(open) = self.sessions.get_mut(&session) else {
            return;
        };
        if open.cut.is_some() {
            return;
        }
        open.cut = Some(cut);
        self.ghost.counts.cuts += 1;
        let at = self.now + self.within(0, 20_000);
        self.at(at, Event::GatewayNotices(session));
        self.server_will_notice(session);
    }

    pub(super) fn server_will_notice(&mut self, session: u64) {
        let at = self.now + self.within(0, 20_000);
        self.at(at, Event::ServerNotices(session));
    }

    // ---- the database

    fn request(&mut self, server: usize, run: u64, connection: u64, change: ChangeId, op: &Op) {
        if !self.database.up || !self.is_on_its_way(server, run, connection) {
            return;
        }
        let answer = self
            .database
            .transact(change, op, self.fault, &mut self.ghost);
        if let (Op::End(instance, _), Answer::Done) = (op, &answer)
            && self.mood.tame
            && self.ghost.counts.tails_lost == 0
            && self.dispatches(*instance)
        {
            let instance = *instance;
            self.ghost
                .broke(|| format!("instance {instance} is ended while it may dispatch"));
        }
        self.note(|| match &answer {
            Answer::Snapshot(_) => format!("database: server {server} reads"),
            answer => format!("database: server {server} {op:?} ({change}): {answer:?}"),
        });
        let at = self.now + self.within(1, self.mood.database);
        let head = self.database.head();
        self.at(
            at,
            Event::Answer(server, run, connection, change, answer, head),
        );
    }

    /// The connections of a server to the database are lost: what is on its way may come yet.
    fn cut_database(&mut self, server: usize) {
        self.ghost.counts.cuts += 1;
        self.note(|| format!("server {server} loses the database"));
        self.loses_database(server);
    }

    fn accept_loss(&mut self) {
        if !self.database.disputed {
            return;
        }
        self.note(|| "the loss is accepted".to_owned());
        self.database.accept_loss();
        self.ghost.counts.losses_accepted += 1;
        for server in 0..self.servers.len() {
            self.servers[server].head = self.database.head();
            self.dies(server);
            let at = self.now + self.within(100, 3_000);
            self.at(at, Event::Start(server));
        }
    }

    /// Somebody sees that all is stopped, and accepts the loss some time later.
    pub(super) fn dispute(&mut self) {
        let at = self.now + self.within(1_000, 20_000);
        self.at(at, Event::AcceptLoss);
    }

    // ---- what breaks

    fn something(&mut self) {
        if self.healed {
            return;
        }
        let next = self.now + self.within(50, 800);
        self.at(next, Event::Chance);
        self.asks();
        if !self.chance(self.mood.trouble) {
            return;
        }
        let server = self.any_server();
        let most = if self.mood.loses_tail { 10 } else { 9 };
        match self.within(0, most) {
            0 | 1 => {
                let sessions: Vec<_> = self.sessions.keys().copied().collect();
                if !sessions.is_empty() {
                    let which = self.within(0, sessions.len() as u64 - 1) as usize;
                    self.cut(sessions[which]);
                }
            }
            2 => self.cut_database(server),
            3 => {
                self.ghost.counts.kills += 1;
                self.note(|| format!("server {server} is killed"));
                self.dies(server);
                let at = self.now + self.within(200, 15_000);
                self.at(at, Event::Start(server));
            }
            4 | 5 => self.stops(server),
            6 => {
                let gateway = self.within(0, self.gateways.len() as u64 - 1) as usize;
                self.gateway_restarts(gateway);
            }
            7 => {
                let lasts = self.within(100, 15_000);
                self.note(|| format!("the database is away for {lasts} ms"));
                self.database_goes(lasts);
            }
            8 => {
                self.ghost.counts.failovers += 1;
                self.note(|| "the database fails over".to_owned());
                self.database.fail_over(0);
                let lasts = self.within(100, 4_000);
                self.database_goes(lasts);
            }
            9 => self.parts(server),
            _ => {
                self.ghost.counts.tails_lost += 1;
                let lost = self.within(1, 3) as usize;
                self.note(|| format!("the database fails over, and loses {lost} commits"));
                self.database.fail_over(lost);
                self.ghost.forget(&self.database.stored().withdrawn);
                let lasts = self.within(100, 4_000);
                self.database_goes(lasts);
            }
        }
    }

    /// A server and a gateway do not reach each other for a while.
    fn parts(&mut self, server: usize) {
        let gateway = self.within(0, self.gateways.len() as u64 - 1) as usize;
        let lasts = self.within(1_000, 60_000);
        self.note(|| format!("server {server} and gateway {gateway} are apart for {lasts} ms"));
        self.apart.insert((server, gateway));
        let between =
            |open: &Session| open.server == server && open.gateway == gateway && open.cut.is_none();
        let sessions = self.sessions.iter().filter(|(_, open)| between(open));
        let sessions: Vec<_> = sessions.map(|(number, _)| *number).collect();
        for session in sessions {
            self.cut(session);
        }
        self.at(self.now + lasts, Event::Together(server, gateway));
    }

    fn any_server(&mut self) -> usize {
        self.within(0, self.servers.len() as u64 - 1) as usize
    }

    fn database_goes(&mut self, lasts: u64) {
        self.database.up = false;
        for server in 0..self.servers.len() {
            self.loses_database(server);
        }
        self.at(self.now + lasts, Event::DatabaseUp);
    }

    /// A server stands still for a while, or its machine does.
    fn stops(&mut self, server: usize) {
        self.ghost.counts.stops += 1;
        let with_machine = !self.mood.tame && self.chance(0.7);
        let lasts = match self.chance(0.5) && !self.mood.suspends {
            true => self.within(50, 3_000),
            false => self.within(3_000, 40_000),
        };
        self.note(|| {
            let clock = if with_machine { ", clock and all," } else { "" };
            format!("server {server} stands still{clock} for {lasts} ms")
        });
        if self.mood.suspends {
            self.isolates(server, lasts);
        }
        self.servers[server].stopped = true;
        if with_machine {
            self.servers[server].clock.stop(self.now);
        }
        self.at(self.now + lasts, Event::GoOn(server, self.now));
    }

    /// Nobody else reaches the gateways of a server that is about to stand still, and what it is
    /// about to send is withdrawn meanwhile.
    fn isolates(&mut self, server: usize, lasts: u64) {
        let others: Vec<_> = (0..self.servers.len()).filter(|it| *it != server).collect();
        for other in others {
            for gateway in 0..self.gateways.len() {
                self.apart.insert((other, gateway));
                self.at(self.now + lasts, Event::Together(other, gateway));
            }
            for subject in self.subjects_of(server).into_iter().take(3) {
                self.ask_database(other, Op::Withdraw(subject));
            }
        }
    }

    /// A database hears nothing of a server for so long, and gives its connections up.
    fn wakes(&mut self, server: usize, since: u64) {
        let was_stopped = self.servers[server].stopped;
        self.goes_on(server);
        if was_stopped && self.now - since > FORGOTTEN && self.chance(0.7) {
            self.loses_database(server);
        }
    }

    fn goes_on(&mut self, server: usize) {
        if !std::mem::take(&mut self.servers[server].stopped) {
            return;
        }
        self.note(|| format!("server {server} goes on"));
        self.servers[server].clock.go_on(self.now);
        for event in std::mem::take(&mut self.servers[server].missed) {
            let at = self.now + self.within(0, 50);
            self.at(at, event);
        }
    }

    /// Callers and administrators.
    fn asks(&mut self) {
        let server = self.any_server();
        if self.servers[server].stopped {
            return;
        }
        if self.chance(0.4) {
            let call: CallId = self.number();
            let gateway = self.within(0, self.gateways.len() as u64 - 1) as usize;
            let subject = self.within(0, SUBJECTS as u64 - 1) as usize;
            self.ask_database(server, Op::Submit(call, gateway, subject));
        }
        if self.drains && self.chance(0.05) {
            let rows = &self.database.stored().rows;
            let rows: Vec<_> = rows.iter().map(|(it, row)| (*it, row.drained)).collect();
            let any = self.within(0, 100) as usize % rows.len().max(1);
            if let Some((instance, drained)) = rows.get(any).copied() {
                self.ask_database(server, Op::Drain(instance, !drained));
            }
        }
        if self.chance(self.mood.withdraws) {
            // Where it matters most, or anywhere.
            let under_way = self.subjects_under_way();
            let any = self.within(0, SUBJECTS as u64 - 1) as usize;
            let subject = match self.chance(0.7) {
                true => under_way.get(any % under_way.len().max(1)).copied(),
                false => None,
            };
            let subject = subject.unwrap_or(any);
            self.ask_database(server, Op::Withdraw(subject));
        }
    }

    /// The withdrawal from a subject has returned.
    pub(super) fn withdrew(&mut self, subject: usize) {
        self.note(|| format!("the withdrawal from {subject} is done"));
        let now = self.now;
        let clocks = self.gateways.iter().map(|gateway| gateway.age.shows(now));
        let clocks = clocks.collect();
        self.ghost.withdrew(subject, clocks);
    }

    // ---- the end

    fn heal(&mut self) {
        self.healed = true;
        self.note(|| "nothing breaks any more".to_owned());
        self.mood.roves = 0.0;
        (self.mood.database, self.mood.gateway, self.mood.inside) = (QUICK, QUICK, QUICK);
        self.database.up = true;
        self.database.undo_drains();
        self.apart.clear();
        for server in 0..self.servers.len() {
            self.goes_on(server);
        }
    }

    /// All that was accepted has an end.
    fn settle(&mut self) {
        if self.database.disputed {
            self.ghost
                .broke(|| "the loss was never accepted".to_owned());
        }
        let stored = self.database.stored();
        let calls: Vec<_> = stored
            .calls
            .iter()
            .filter(|(_, call)| matches!(call.standing, Standing::Waiting | Standing::Claimed(_)))
            .map(|(id, call)| format!("{id} ({:?})", call.standing))
            .collect();
        if !calls.is_empty() {
            let calls = calls.join(", ");
            self.ghost
                .broke(|| format!("calls have no outcome: {calls}"));
        }
    }
}
