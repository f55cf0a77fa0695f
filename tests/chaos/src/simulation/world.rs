//! The world of one seed: what happens next, and to whom.

use std::collections::BTreeMap;

use portcullis_common::id::ServerId;
use portcullis_common::rotation::{GatewayRecord, Registration, RunId, UnixMillis};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha12Rng;

use super::editor;
use super::gateway::Gateway;
use super::invariants::Ghost;
use super::link::{Link, Message, Peer};
use super::repository::{DAY, Fate, HOUR, MINUTE, Repository};
use super::thief::Loot;
use super::{Counts, Fault};

pub(super) const SERVERS: usize = 2;

/// The process that was at work crashed; what it had not stored or sent is lost.
pub(super) struct Down;

#[derive(Clone, Copy)]
pub(super) enum Process {
    Server(usize),
    Gateway(usize),
}

/// What became of one seed.
pub(super) struct Outcome {
    pub(super) broken: Option<String>,
    pub(super) trace: Vec<String>,
    pub(super) counts: Counts,
}

pub(super) struct World {
    pub(super) rng: ChaCha12Rng,
    pub(super) now: UnixMillis,
    pub(super) fault: Option<Fault>,
    pub(super) repository: Repository,
    pub(super) server_ids: [ServerId; SERVERS],
    pub(super) gateways: Vec<Gateway>,
    pub(super) links: BTreeMap<u64, Link>,
    next_link: u64,
    pub(super) loot: Vec<Loot>,
    pub(super) ghost: Ghost,
    /// A gateway's operator is at work: what it holds may be forgotten.
    pub(super) by_hand: bool,
    /// How likely a process crashes before or after each store and each send.
    pub(super) crash_rate: f64,
    /// How likely a cut loses what is on its way.
    pub(super) loss: f64,
    pub(super) counts: Counts,
    broken: Option<String>,
    trace: Option<Vec<String>>,
}

/// Lives through `seed`, then heals the world and looks whether everybody got where they belong.
pub(super) fn live(seed: u64, fault: Option<Fault>, traced: bool) -> Outcome {
    let mut world = World::new(seed, fault, traced);
    let events = world.rng.random_range(100..500);
    for _ in 0..events {
        world.step();
        if world.broken.is_some() {
            break;
        }
    }
    if world.broken.is_none() {
        world.heal();
    }
    Outcome {
        broken: world.broken,
        trace: world.trace.unwrap_or_default(),
        counts: world.counts,
    }
}

impl World {
    fn new(seed: u64, fault: Option<Fault>, traced: bool) -> Self {
        let mut rng = ChaCha12Rng::seed_from_u64(seed);
        let repository = Repository::new(&mut rng);
        let server_ids = [ServerId::random(&mut rng), ServerId::random(&mut rng)];
        let gateways = rng.random_range(1..=4);
        // Calm worlds get far, rough ones get into odd corners.
        let crash_rate = [0.0, 0.005, 0.02, 0.06][rng.random_range(0..4)];
        let loss = [0.1, 0.5, 0.9][rng.random_range(0..3)];
        let mut world = Self {
            rng,
            now: UnixMillis(1_700_000_000_000),
            fault,
            repository,
            server_ids,
            gateways: Vec::new(),
            links: BTreeMap::new(),
            next_link: 0,
            loot: Vec::new(),
            ghost: Ghost::default(),
            by_hand: false,
            crash_rate,
            loss,
            counts: Counts::default(),
            broken: None,
            trace: traced.then(Vec::new),
        };
        for _ in 0..gateways {
            let run = RunId::random(&mut world.rng);
            world.gateways.push(Gateway {
                stored: GatewayRecord::empty().encode().to_vec(),
                run,
                starts: 0,
                token: None,
                may_pair: false,
            });
            world.register();
        }
        world
    }

    fn step(&mut self) {
        self.counts.events += 1;
        self.now = self.now.plus(self.rng.random_range(0..2_000));
        // Whoever crashes has been dealt with at the point of the crash.
        let _: Result<(), Down> = self.happen();
        self.hang_up(0.5);
        self.check_quiet();
    }

    fn happen(&mut self) -> Result<(), Down> {
        let g = self.rng.random_range(0..self.gateways.len());
        let s = self.rng.random_range(0..SERVERS);
        match self.rng.random_range(0..1_000) {
            0..560 => self.deliver_any(),
            560..700 => self.connect(s, g, Peer::Gateway),
            700..750 => self.operator_enrols(g),
            750..790 => self.operator_pairs(g),
            790..800 => self.cut_any(),
            800..810 => {
                self.crash(Process::Server(s));
                Ok(())
            }
            810..820 => {
                self.crash(Process::Gateway(g));
                Ok(())
            }
            820..845 => self.rotate(s, Fate::Retired),
            845..850 => self.roll_back(s),
            850..853 => self.rotate(s, Fate::Compromised),
            853..880 => self.push(s, |_| true),
            880..930 => self.call_any(),
            930..960 => self.thief_acts(s),
            960..965 => self.intruder_acts(s, g),
            965..990 => self.administrator_acts(g),
            990..995 => {
                self.editor_acts(g);
                Ok(())
            }
            _ => {
                self.pass_time();
                Ok(())
            }
        }
    }

    fn pass_time(&mut self) {
        let span = match self.rng.random_range(0..20) {
            0..10 => 20 * MINUTE,
            10..17 => 2 * HOUR,
            17..19 => 25 * HOUR,
            _ => 91 * DAY,
        };
        self.now = self.now.plus(span);
        self.note(|| format!("{} minutes pass", span / MINUTE));
    }

    /// Opens a connection, whoever dialled: both ends get ready, and message 1 is on its way.
    pub(super) fn connect(&mut self, s: usize, g: usize, peer: Peer) -> Result<(), Down> {
        let dials = self.rng.random();
        let gateway_end = match peer {
            Peer::Gateway => self.gateway_begins(g, dials)?,
            Peer::Thief(loot) => self.thief_begins(loot, dials),
            Peer::Intruder => editor::intruder_begins(dials),
        };
        let Some((gateway_end, preamble)) = gateway_end else {
            return Ok(());
        };
        let Some((server_end, flight)) = self.server_begins(s, g, peer, preamble.as_ref())? else {
            return Ok(());
        };
        let link = Link {
            server: s,
            gateway: g,
            peer,
            server_end: Some(server_end),
            gateway_end: Some(super::link::GatewayEnd::Handshake(gateway_end)),
            to_server: [].into(),
            to_gateway: [Message::Flight(flight)].into(),
        };
        self.links.insert(self.next_link, link);
        self.next_link += 1;
        Ok(())
    }

    fn deliver_any(&mut self) -> Result<(), Down> {
        let waiting: Vec<_> = self
            .links
            .iter()
            .flat_map(|(id, link)| {
                let to_server = (!link.to_server.is_empty()).then_some((*id, true));
                let to_gateway = (!link.to_gateway.is_empty()).then_some((*id, false));
                [to_server, to_gateway]
            })
            .flatten()
            .collect();
        if waiting.is_empty() {
            return Ok(());
        }
        let (id, to_server) = waiting[self.rng.random_range(0..waiting.len())];
        self.deliver(id, to_server)
    }

    pub(super) fn deliver(&mut self, id: u64, to_server: bool) -> Result<(), Down> {
        let Some(link) = self.links.get_mut(&id) else {
            return Ok(());
        };
        let (s, g, peer) = (link.server, link.gateway, link.peer);
        if to_server {
            let (Some(message), Some(end)) = (link.to_server.pop_front(), link.server_end.take())
            else {
                return Ok(());
            };
            let end = self.server_receives(id, s, g, end, message)?;
            if let Some(link) = self.links.get_mut(&id) {
                link.server_end = end;
            }
        } else {
            let (Some(message), Some(end)) = (link.to_gateway.pop_front(), link.gateway_end.take())
            else {
                return Ok(());
            };
            let end = match peer {
                Peer::Gateway => self.gateway_receives(id, g, end, message)?,
                Peer::Thief(loot) => self.thief_receives(id, loot, end, message),
                Peer::Intruder => self.intruder_receives(id, g, end, message),
            };
            if let Some(link) = self.links.get_mut(&id) {
                link.gateway_end = end;
            }
        }
        Ok(())
    }

    /// One end of a connection is lost; the other notices later, and may still get what was on its
    /// way.
    fn cut_any(&mut self) -> Result<(), Down> {
        let ids: Vec<_> = self.links.keys().copied().collect();
        if ids.is_empty() {
            return Ok(());
        }
        let id = ids[self.rng.random_range(0..ids.len())];
        let (server_side, lost) = (self.rng.random(), self.rng.random_bool(self.loss));
        self.counts.cuts += 1;
        if let Some(link) = self.links.get_mut(&id) {
            if server_side {
                link.server_end = None;
                link.to_server.clear();
            } else {
                link.gateway_end = None;
                link.to_gateway.clear();
            }
            if lost {
                link.to_server.clear();
                link.to_gateway.clear();
            }
        }
        Ok(())
    }

    /// Ends whose peer is gone notice it, once they have read what it sent.
    pub(super) fn hang_up(&mut self, chance: f64) {
        for link in self.links.values_mut() {
            if link.server_end.is_none() {
                link.to_server.clear();
                if link.to_gateway.is_empty() && self.rng.random_bool(chance) {
                    link.gateway_end = None;
                }
            }
            if link.gateway_end.is_none() {
                link.to_gateway.clear();
                if link.to_server.is_empty() && self.rng.random_bool(chance) {
                    link.server_end = None;
                }
            }
        }
        self.links.retain(|_, link| !link.is_dead());
    }

    fn call_any(&mut self) -> Result<(), Down> {
        let ids: Vec<_> = self.links.keys().copied().collect();
        if ids.is_empty() {
            return Ok(());
        }
        let id = ids[self.rng.random_range(0..ids.len())];
        let Some(link) = self.links.get_mut(&id) else {
            return Ok(());
        };
        let (s, g) = (link.server, link.gateway);
        let Some(end) = link.server_end.take() else {
            return Ok(());
        };
        self.server_calls(id, s, g, &end)?;
        if let Some(link) = self.links.get_mut(&id) {
            link.server_end = Some(end);
        }
        Ok(())
    }

    /// A server looks at its links: whichever is under another key than the current, and
    /// `concerned`, gets that installed.
    pub(super) fn push(
        &mut self,
        s: usize,
        concerned: impl Fn(&Registration) -> bool,
    ) -> Result<(), Down> {
        let ids: Vec<_> = self.links.keys().copied().collect();
        for id in ids {
            let Some(link) = self.links.get_mut(&id).filter(|link| link.server == s) else {
                continue;
            };
            let g = link.gateway;
            if !concerned(self.repository.stored(g)) {
                continue;
            }
            let Some(end) = link.server_end.take() else {
                continue;
            };
            let end = self.server_installs(id, s, g, end)?;
            if let Some(link) = self.links.get_mut(&id) {
                link.server_end = end;
            }
        }
        Ok(())
    }

    pub(super) fn crash_point(&mut self, process: Process) -> Result<(), Down> {
        if self.crash_rate > 0.0 && self.rng.random_bool(self.crash_rate) {
            self.crash(process);
            return Err(Down);
        }
        Ok(())
    }

    /// All that was not stored is gone. What it had sent may still arrive.
    fn crash(&mut self, process: Process) {
        self.counts.crashes += 1;
        match process {
            Process::Server(s) => {
                self.note(|| format!("server {s} crashes"));
                for link in self.links.values_mut().filter(|link| link.server == s) {
                    link.server_end = None;
                }
            }
            Process::Gateway(g) => {
                self.note(|| format!("gateway {g} crashes"));
                if self.fault != Some(Fault::ReopenPairing) {
                    self.gateways[g].run = RunId::random(&mut self.rng);
                }
                self.gateways[g].starts += 1;
                for link in self.links.values_mut() {
                    if link.gateway == g && matches!(link.peer, Peer::Gateway) {
                        link.gateway_end = None;
                    }
                }
            }
        }
    }

    /// A generator of its own, for use while the world is borrowed.
    pub(super) fn fork(&mut self) -> ChaCha12Rng {
        ChaCha12Rng::from_rng(&mut self.rng)
    }

    pub(super) fn note(&mut self, what: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(what());
        }
    }

    /// A promise is broken: the first one counts.
    pub(super) fn broken(&mut self, what: impl FnOnce() -> String) {
        if self.broken.is_none() {
            self.broken = Some(what());
        }
    }

    pub(super) fn is_broken(&self) -> bool {
        self.broken.is_some()
    }
}
