//! Calls that go through another server's session.

use super::database::{CallId, Instance, Told};
use super::server::{Carried, Key};
use super::world::{Event, World};

#[derive(Clone, Copy, Debug)]
pub(super) enum Message {
    /// Sends a call, or looks for it.
    Forward {
        call: CallId,
        gateway: usize,
        subject: usize,
        look: bool,
    },
    /// What came of it.
    Told(CallId, Told),
    /// It was sent, and what came of it is not known there.
    Unknown(CallId),
    /// There is no link either: nothing was sent.
    Elsewhere(CallId),
}

/// What one instance says to another.
#[derive(Clone, Copy, Debug)]
pub(super) struct Between {
    from: (usize, Instance),
    pub(super) to: usize,
    instance: Instance,
    message: Message,
}

impl World {
    /// Has a call sent, or looked for, by whoever holds the link.
    pub(super) fn hands_on(&mut self, server: usize, key: Key) {
        let Some(life) = self.life(server) else {
            return;
        };
        let (own, call) = (life.instance, key.0);
        let Some(job) = life.jobs.get(&key) else {
            return;
        };
        let (gateway, subject) = (job.gateway, job.subject);
        let look = job.carried == Carried::Lost;
        if let Some(for_whom) = key.1 {
            life.jobs.remove(&key);
            let message = Message::Elsewhere(call);
            return self.says(server, for_whom, message);
        }
        let known = life.known.as_ref();
        let holder = known.and_then(|known| {
            known
                .links
                .get(&gateway)
                .filter(|(_, it)| known.stands(*it))
        });
        let Some(holder) = holder.map(|(_, holder)| *holder).filter(|it| *it != own) else {
            return;
        };
        let is_it = |it: &super::server::Server| {
            it.life.as_ref().is_some_and(|life| life.instance == holder)
        };
        let Some(to) = self.servers.iter().position(is_it) else {
            return;
        };
        self.ghost.counts.forwarded += 1;
        self.set(server, key, Carried::Forwarded { look });
        let message = Message::Forward {
            call,
            gateway,
            subject,
            look,
        };
        self.says(server, (to, holder), message);
    }

    /// Tells another server what came of its call.
    pub(super) fn answers(
        &mut self,
        server: usize,
        for_whom: (usize, Instance),
        call: CallId,
        told: Option<Told>,
    ) {
        let message = told.map_or(Message::Unknown(call), |told| Message::Told(call, told));
        self.says(server, for_whom, message);
    }

    /// Tells another server that its call was sent, and nobody knows what came of it.
    pub(super) fn answers_unknown(
        &mut self,
        server: usize,
        for_whom: (usize, Instance),
        call: CallId,
    ) {
        self.answers(server, for_whom, call, None);
    }

    fn says(&mut self, server: usize, (to, instance): (usize, Instance), message: Message) {
        let Some(life) = self.life(server) else {
            return;
        };
        let from = (server, life.instance);
        if self.chance(0.02) {
            return;
        }
        let at = self.now + self.within(1, self.mood.gateway);
        let between = Between {
            from,
            to,
            instance,
            message,
        };
        self.at(at, Event::Between(between));
    }

    pub(super) fn peer_hears(&mut self, between: Between) {
        let server = between.to;
        let Some(life) = self.life(server) else {
            return;
        };
        if life.instance != between.instance {
            return;
        }
        match between.message {
            Message::Forward {
                call,
                gateway,
                subject,
                look,
            } => {
                let carried = if look { Carried::Lost } else { Carried::Ready };
                self.takes_on(
                    server,
                    (call, Some(between.from)),
                    gateway,
                    subject,
                    carried,
                );
            }
            Message::Told(call, told) => self.forward_ends(server, call, Carried::Told(told)),
            Message::Unknown(call) => self.forward_ends(server, call, Carried::Lost),
            Message::Elsewhere(call) => {
                let key = (call, None);
                let job = self.life(server).and_then(|life| life.jobs.get(&key));
                let Some(Carried::Forwarded { look, .. }) = job.map(|job| job.carried) else {
                    return;
                };
                // Not at once: who holds the link is read again first.
                let carried = if look { Carried::Lost } else { Carried::Ready };
                self.set(server, key, carried);
            }
        }
    }

    fn forward_ends(&mut self, server: usize, call: CallId, carried: Carried) {
        let key = (call, None);
        let job = self.life(server).and_then(|life| life.jobs.get(&key));
        if matches!(job.map(|job| job.carried), Some(Carried::Forwarded { .. })) {
            self.becomes(server, key, carried);
        }
    }
}
