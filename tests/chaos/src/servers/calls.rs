//! The calls that a server carries.

use std::time::Duration;

use portcullis_server::servers::MAY_DISPATCH;

use super::Fault;
use super::database::{Op, Told};
use super::server::{Carried, Key, Step};
use super::session::ToGateway;
use super::world::{Event, World};

/// A call that another server was asked for is looked for after this time.
const PATIENCE: Duration = Duration::from_secs(15);

impl World {
    pub(super) fn drives(&mut self, server: usize) {
        let Some(life) = self.life(server) else {
            return;
        };
        let keys: Vec<_> = life.jobs.keys().copied().collect();
        for key in keys {
            self.drive(server, key);
        }
    }

    pub(super) fn drive(&mut self, server: usize, key: Key) {
        let clock = self.clock(server);
        let Some(life) = self.life(server) else {
            return;
        };
        let (instance, call) = (life.instance, key.0);
        let Some(job) = life.jobs.get(&key).cloned() else {
            return;
        };
        let live = life.live(job.gateway);
        match (job.carried, key.1) {
            (Carried::Claimed, None) if !job.asked => {
                self.ask(server, Op::Begin(instance, call));
                self.marks_asked(server, key);
            }
            (Carried::Told(told), None) if !job.asked => {
                self.ask(server, Op::Outcome(instance, call, told));
                self.marks_asked(server, key);
            }
            (Carried::Told(told), Some(for_whom)) => {
                life.jobs.remove(&key);
                self.answers(server, for_whom, call, Some(told));
            }
            (Carried::Ready, _) if live.is_some() => self.checks(server, key),
            (Carried::Lost, _) => match live {
                Some(session) => {
                    self.set(server, key, Carried::Looking(session));
                    self.sends_gateway(session, ToGateway::Look { call });
                }
                None => self.hands_on(server, key),
            },
            (Carried::Ready, _) => self.hands_on(server, key),
            (Carried::Forwarded { .. }, None) if clock.duration_since(job.since) > PATIENCE => {
                self.set(server, key, Carried::Lost);
            }
            _ => {}
        }
    }

    /// A write about a job is under way, where it was asked for.
    pub(super) fn marks_asked(&mut self, server: usize, key: Key) {
        let Some(life) = self.life(server) else {
            return;
        };
        let under_way = life.is_asked(
            |op| matches!(op, Op::Begin(_, call) | Op::Outcome(_, call, _) if *call == key.0),
        );
        if let Some(job) = life.jobs.get_mut(&key) {
            job.asked = under_way;
        }
    }

    pub(super) fn set(&mut self, server: usize, key: Key, carried: Carried) {
        let clock = self.clock(server);
        if let Some(job) = self.life(server).and_then(|life| life.jobs.get_mut(&key)) {
            (job.carried, job.since) = (carried, clock);
        }
    }

    /// Checks a call that is to leave.
    pub(super) fn checks(&mut self, server: usize, key: Key) {
        let clock = self.clock(server);
        let own_clock = self.fault == Some(Fault::OwnClock);
        let Some(life) = self.life(server) else {
            return;
        };
        let Some(job) = life.jobs.get(&key) else {
            return;
        };
        let (gateway, subject) = (job.gateway, job.subject);
        let Some((version, withdrawn)) = &life.authority else {
            return;
        };
        let version = *version;
        if !life.fence.may_dispatch(clock) {
            return;
        }
        if withdrawn.contains(&subject) {
            return self.becomes(server, key, Carried::Told(Told::Failed));
        }
        let renewed = life.fence.last_renewal();
        let Some(held) = life.links.get_mut(&gateway) else {
            return;
        };
        let session = held.session;
        if let Some(sent) = renewed {
            held.reckoning.renewed(sent);
        }
        let due = held.reckoning.is_due(clock) && !held.pinging;
        held.pinging |= due;
        let last = held.last.filter(|_| !held.pinging);
        let not_after = match (own_clock, last, renewed) {
            (true, Some((came, shown)), Some(renewed)) => {
                let left = MAY_DISPATCH.saturating_sub(clock.saturating_duration_since(renewed));
                let passed = clock.saturating_duration_since(came) + left;
                Some(shown + u64::try_from(passed.as_millis()).unwrap_or_default())
            }
            (true, ..) => None,
            (false, ..) => held
                .reckoning
                .not_after(clock)
                .map(std::num::NonZeroU64::get),
        };
        if due {
            self.sends_gateway(session, ToGateway::Ping);
        }
        let Some(not_after) = not_after else {
            return;
        };
        let through = Carried::Through {
            version,
            not_after,
            session,
        };
        self.set(server, key, through);
        let run = self.servers[server].run;
        let at = self.now + self.within(0, self.mood.inside);
        self.at(at, Event::Server(server, run, Step::Send(key)));
    }

    pub(super) fn sends(&mut self, server: usize, key: Key) {
        let Some(life) = self.life(server) else {
            return;
        };
        let Some(job) = life.jobs.get(&key) else {
            return;
        };
        let (subject, gateway) = (job.subject, job.gateway);
        let Carried::Through {
            not_after, session, ..
        } = job.carried
        else {
            return;
        };
        if life.live(gateway) != Some(session) {
            return self.becomes(server, key, Carried::Ready);
        }
        self.set(server, key, Carried::Sent(session));
        let call = key.0;
        self.ghost.sent(session, call, subject);
        self.note(|| format!("server {server} sends call {call}, not after {not_after}"));
        let open = ToGateway::Open {
            call,
            subject,
            not_after,
        };
        self.sends_gateway(session, open);
    }
}
