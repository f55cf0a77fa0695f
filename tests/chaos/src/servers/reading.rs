//! What a server does about what it reads.

use std::collections::BTreeSet;
use std::time::Instant;

use portcullis_common::id::GatewayId;
use portcullis_server::fleet::{LinkRow, Reckoning, Share, Sibling};
use portcullis_server::repository::{Beat, InstanceId};
use portcullis_server::servers::ENDED_AFTER;

use super::Fault;
use super::database::{BATCHES, Instance, Op, Standing, Stored};
use super::server::{Carried, Held, Job};
use super::session::{Session, ToServer};
use super::world::World;

impl World {
    pub(super) fn reads(&mut self, server: usize, stored: Stored, sent: Instant) {
        let fault = self.fault;
        let Some(life) = self.life(server) else {
            return;
        };
        if !life.joined {
            life.authority = Some((stored.version, stored.withdrawn));
            life.acknowledged = stored.version;
            let (instance, beat) = (life.instance, life.beat);
            if !life.is_asked(Op::joins) {
                self.ask(server, Op::Join(instance, beat));
            }
            return;
        }
        let instance = life.instance;
        if !stored.stands(instance) && fault != Some(Fault::Revived) {
            return self.gone(server);
        }
        let version = stored.version;
        let seen = stored.rows.get(&instance).map_or(0, |row| row.seen);
        if fault != Some(Fault::ReadThenRow) || seen < version {
            life.authority = Some((version, stored.withdrawn.clone()));
        }
        if fault != Some(Fault::EarlyAcknowledgement) {
            for job in life.jobs.values_mut() {
                if matches!(job.carried, Carried::Through { version: old, .. } if old < version) {
                    job.carried = Carried::Ready;
                }
            }
        }
        let acknowledges = life.acknowledged < version;
        let over = |(_, of): &(usize, u64)| stored.rows.values().all(|row| row.seen >= *of);
        let (over, barriers) = life.barriers.iter().copied().partition(over);
        life.barriers = barriers;
        if acknowledges {
            self.ask(server, Op::Seen(instance, version));
        }
        let over: Vec<(usize, u64)> = over;
        for (subject, _) in over {
            self.withdrew(subject);
        }
        if self.is_behind(server, &stored, sent) {
            self.database.disputed = true;
            self.dies(server);
            return self.dispute();
        }
        self.watches(server, &stored, sent);
        self.takes_work(server, &stored);
        self.shares_out(server, &stored);
        if let Some(life) = self.life(server) {
            life.known = Some(Box::new(stored));
        }
        self.drives(server);
    }

    /// Whether a gateway was granted what this repository, as it was read since, does not know of.
    pub(super) fn is_behind(&mut self, server: usize, stored: &Stored, asked: Instant) -> bool {
        let Some(life) = self.life(server) else {
            return false;
        };
        let mut behind = false;
        life.highest.retain(|(gateway, highest, told)| {
            let (epoch, holder) = stored.links.get(gateway).copied().unwrap_or_default();
            let known = (stored.generation, epoch);
            behind |= asked > *told
                && (known < highest.height()
                    || known == highest.height() && holder != highest.instance);
            asked <= *told
        });
        behind
    }

    /// Ends those whose beat stands.
    pub(super) fn watches(&mut self, server: usize, stored: &Stored, sent: Instant) {
        let clock = self.clock(server);
        let fault = self.fault;
        let Some(life) = self.life(server) else {
            return;
        };
        let own = life.instance;
        let others = stored.rows.iter().filter(|(instance, _)| **instance != own);
        let others: Vec<_> = others
            .map(|(instance, row)| (*instance, row.beat))
            .collect();
        let beats = others.iter();
        let beats = beats.map(|(instance, beat)| (named(*instance), Beat::from(bytes(*beat))));
        let stands = life.watcher.saw(sent, clock, beats);
        let stands: BTreeSet<_> = stands.into_iter().map(|(id, _)| id.to_bytes()).collect();
        let mut stopped = others.clone();
        stopped.retain(|(instance, _)| stands.contains(&bytes(*instance)));
        if fault == Some(Fault::OneReading) {
            for (instance, beat) in &others {
                let first = *life.first_seen.entry(*instance).or_insert(clock);
                if clock.duration_since(first) >= ENDED_AFTER {
                    life.first_seen.remove(instance);
                    stopped.push((*instance, *beat));
                }
            }
        }
        stopped.sort_unstable();
        for (instance, beat) in stopped {
            self.ask(server, Op::End(instance, beat));
        }
        if self.chance(0.1) {
            self.ask(server, Op::EndEntries(own));
        }
    }

    /// Claims what waits, what nobody carries any more, and tasks.
    pub(super) fn takes_work(&mut self, server: usize, stored: &Stored) {
        let clock = self.clock(server);
        let forwards = self.mood.forwards;
        let Some(own) = self.life(server).map(|life| life.instance) else {
            return;
        };
        let drained = stored.rows.get(&own).is_some_and(|row| row.drained);
        for (id, call) in &stored.calls {
            let op = match call.standing {
                Standing::Waiting => Op::Claim(own, *id),
                Standing::Claimed(by) if by == own || !stored.stands(by) => {
                    Op::TakeClaim(own, by, *id)
                }
                _ => continue,
            };
            let holder = stored.links.get(&call.gateway).map(|(_, holder)| *holder);
            let elsewhere = holder.is_some_and(|it| it != own && stored.stands(it));
            let wants = self.chance(if elsewhere { forwards } else { 0.0 });
            let Some(life) = self.life(server) else {
                return;
            };
            let is_it = |op: &Op| matches!(op, Op::Claim(_, it) | Op::TakeClaim(_, _, it) | Op::Outcome(_, it, _) if it == id);
            let mine = matches!(op, Op::TakeClaim(_, by, _) if by == own);
            if drained && !mine {
                continue;
            }
            if life.jobs.contains_key(&(*id, None)) || life.is_asked(is_it) {
                continue;
            }
            if !(life.live(call.gateway).is_some() || wants || mine) {
                continue;
            }
            let taken_over = matches!(op, Op::TakeClaim(..)) && !mine;
            let job = Job {
                gateway: call.gateway,
                subject: call.subject,
                carried: Carried::Claiming,
                asked: true,
                since: clock,
                taken_over,
            };
            life.jobs.insert((*id, None), job);
            if !self.ask(server, op)
                && let Some(life) = self.life(server)
            {
                life.jobs.remove(&(*id, None));
            }
        }
        for (number, task) in stored.tasks.iter().enumerate() {
            if task.next >= BATCHES {
                continue;
            }
            match task.claimed {
                Some(by) if by == own => {
                    self.ask(server, Op::Batch(own, number, task.next));
                }
                Some(by) if stored.stands(by) => {}
                _ if drained => {}
                _ => {
                    self.ask(server, Op::ClaimTask(own, number));
                }
            }
        }
    }

    /// Whether a holder says that it has a link: it does so as soon as it knows.
    fn has_link(&self, holder: Instance, gateway: usize) -> bool {
        let mut lives = self.servers.iter().filter_map(|it| it.life.as_ref());
        lives.any(|life| life.instance == holder && life.links.contains_key(&gateway))
    }

    /// Dials the gateways that are this server's.
    pub(super) fn shares_out(&mut self, server: usize, stored: &Stored) {
        let clock = self.clock(server);
        if let Some(life) = self.life(server) {
            let stand = stored.rows.iter().map(|(instance, row)| Sibling {
                instance: named(*instance),
                leaves: row.drained,
            });
            life.sharing.stand(stand);
        }
        for gateway in 0..self.gateways.len() {
            let row = stored.links.get(&gateway).map(|(_, holder)| LinkRow {
                holder: named(*holder),
                up: self.has_link(*holder, gateway),
            });
            let roves = self.mood.roves > 0.0 && self.chance(self.mood.roves);
            let up = self.gateways[gateway].up && !self.apart.contains(&(server, gateway));
            let boot = self.gateways[gateway].boot;
            let run = self.servers[server].run;
            let session = self.number();
            let Some(life) = self.life(server) else {
                return;
            };
            let may = life.fence.may_dispatch(clock);
            let live = life.live(gateway);
            let id = GatewayId::from_array(bytes(gateway as u64));
            let share = life.sharing.share(id, row, live.is_some(), clock);
            if let (Some(live), Share::Renew) = (live, share) {
                self.server_ends(live);
                continue;
            }
            let own = share != Share::Leave;
            if life.links.contains_key(&gateway) || !up || !may || !(own || roves) {
                continue;
            }
            let held = Held {
                session,
                live: false,
                reckoning: Reckoning::default(),
                last: None,
                pinging: false,
            };
            life.links.insert(gateway, held);
            let open = Session {
                server,
                run,
                gateway,
                boot,
                at_server: true,
                at_gateway: true,
                grant: None,
                last: [self.now; 2],
                cut: None,
            };
            self.sessions.insert(session, open);
            self.gateways[gateway].sessions.push(session);
            self.note(|| format!("server {server} dials gateway {gateway}: session {session}"));
            self.sends_server(session, ToServer::Up);
        }
    }
}

/// An instance as the product names it.
pub(super) const fn named(instance: Instance) -> InstanceId {
    InstanceId::from_array(bytes(instance))
}

/// A number as one of the product's ids.
const fn bytes(number: u64) -> [u8; 16] {
    (number as u128).to_be_bytes()
}
