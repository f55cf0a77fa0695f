//! A gateway: its journal, its clock, and the highest grant.

use std::collections::BTreeMap;

use super::Fault;
use super::clock::Clock;
use super::database::CallId;
use super::session::{Grant, ToGateway, ToServer};
use super::world::{Event, World};

/// What the journal has of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    /// Begun, and at its end or not.
    Begun,
    /// Not begun, and never will be.
    Barred,
}

#[derive(Debug)]
pub(super) struct Gateway {
    pub(super) up: bool,
    /// Counts starts.
    pub(super) boot: u64,
    /// As it tells it: from the start of its machine.
    pub(super) clock: Clock,
    /// The same, which no start sets back.
    pub(super) age: Clock,
    /// On its disk.
    journal: BTreeMap<CallId, Known>,
    /// On its disk.
    highest: Option<Grant>,
    /// Sessions that it holds open, in the order in which they were opened.
    pub(super) sessions: Vec<u64>,
}

impl Gateway {
    pub(super) const fn new(rate: u64) -> Self {
        Self {
            up: true,
            boot: 0,
            clock: Clock::new(5_000, 0, rate),
            age: Clock::new(0, 0, rate),
            journal: BTreeMap::new(),
            highest: None,
            sessions: Vec::new(),
        }
    }
}

impl World {
    /// Something comes to a gateway.
    pub(super) fn gateway_hears(&mut self, session: u64, message: ToGateway) {
        let Some(gateway) = self.gateway_of(session) else {
            return;
        };
        match message {
            ToGateway::Close => self.gateway_closes(session, false),
            ToGateway::Ping => {
                let shows = self.gateways[gateway].clock.shows(self.now);
                self.sends_server(session, ToServer::Clock(shows));
            }
            ToGateway::Grant(grant) => self.takes_grant(gateway, session, grant),
            ToGateway::Open {
                call,
                subject,
                not_after,
            } => {
                if !self.obeys(gateway, session) {
                    return self.gateway_closes(session, true);
                }
                let answer = self.opens(gateway, session, (call, subject), not_after);
                // What takes long is answered later, where the session is open by then.
                let later = self.now + self.within(0, 1_500);
                self.at(later, Event::FromGateway(session, answer));
            }
            ToGateway::Look { call } => {
                if !self.obeys(gateway, session) {
                    return self.gateway_closes(session, true);
                }
                let begun = self.gateways[gateway].journal.get(&call) == Some(&Known::Begun);
                if !begun && self.fault != Some(Fault::LookDoesNotBar) {
                    let journal = &mut self.gateways[gateway].journal;
                    journal.insert(call, Known::Barred);
                }
                self.sends_server(session, ToServer::Looked(call, begun));
            }
        }
    }

    /// The gateway that has this session open.
    fn gateway_of(&self, session: u64) -> Option<usize> {
        let open = self.sessions.get(&session)?;
        let gateway = self.gateways.get(open.gateway)?;
        (gateway.up && gateway.boot == open.boot && open.at_gateway).then_some(open.gateway)
    }

    fn takes_grant(&mut self, number: usize, session: u64, grant: Grant) {
        let highest = self.gateways[number].highest;
        let is_taken = match highest {
            None => true,
            Some(highest) if highest.height() == grant.height() => {
                highest.instance == grant.instance
            }
            Some(highest) => grant.height() > highest.height(),
        };
        if !is_taken && self.fault != Some(Fault::NewestHandshake) {
            self.note(|| format!("gateway {number} refuses {grant:?}, it has {highest:?}"));
            if let Some(highest) = highest {
                self.sends_server(session, ToServer::Refused(highest));
            }
            return self.gateway_closes(session, true);
        }
        if is_taken {
            self.gateways[number].highest = Some(grant);
        }
        if let Some(open) = self.sessions.get_mut(&session) {
            open.grant = Some(grant);
        }
        self.note(|| format!("gateway {number} takes {grant:?}"));
        if self.fault != Some(Fault::NewestHandshake) {
            for other in self.gateways[number].sessions.clone() {
                let lower = self.sessions.get(&other).is_some_and(|other| {
                    other
                        .grant
                        .is_some_and(|other| other.height() < grant.height())
                });
                if lower {
                    self.gateway_closes(other, true);
                }
            }
        }
        self.sends_server(session, ToServer::Granted);
    }

    /// Whether calls of this session are taken.
    fn obeys(&self, number: usize, session: u64) -> bool {
        let gateway = &self.gateways[number];
        if self.fault == Some(Fault::NewestHandshake) {
            return gateway.sessions.last() == Some(&session);
        }
        let granted = self
            .sessions
            .get(&session)
            .and_then(|session| session.grant);
        granted.is_some() && granted == gateway.highest
    }

    fn opens(
        &mut self,
        number: usize,
        session: u64,
        (call, subject): (CallId, usize),
        not_after: u64,
    ) -> ToServer {
        let gateway = &self.gateways[number];
        let shows = gateway.clock.shows(self.now);
        match gateway.journal.get(&call) {
            Some(Known::Begun) => {
                // What a database has lost is sent again; nothing else ever is.
                if self.ghost.counts.tails_lost == 0 {
                    self.ghost
                        .broke(|| format!("call {call} is sent again after it was begun"));
                }
                return ToServer::Done(call);
            }
            Some(Known::Barred) => {
                self.ghost.counts.barred += 1;
                return ToServer::Barred(call);
            }
            None => {}
        }
        if shows > not_after {
            self.ghost.counts.late += 1;
            self.note(|| format!("gateway {number} refuses call {call}: {shows} > {not_after}"));
            return ToServer::Late(call);
        }
        let granted = self
            .sessions
            .get(&session)
            .and_then(|session| session.grant);
        if granted != gateway.highest {
            self.ghost.broke(|| {
                format!("call {call} begins for a server whose link another was granted")
            });
        }
        let age = gateway.age.shows(self.now);
        self.gateways[number].journal.insert(call, Known::Begun);
        self.note(|| format!("gateway {number} begins call {call}"));
        let rates_hold = self.mood.tame;
        self.ghost
            .begins(session, call, subject, (number, age), rates_hold);
        ToServer::Done(call)
    }

    /// The gateway ends a session; `told`: the server hears of it.
    pub(super) fn gateway_closes(&mut self, session: u64, told: bool) {
        let Some(open) = self.sessions.get_mut(&session) else {
            return;
        };
        if !std::mem::take(&mut open.at_gateway) {
            return;
        }
        let gateway = open.gateway;
        self.gateways[gateway].sessions.retain(|it| *it != session);
        if told {
            self.ghost.counts.superseded += 1;
            self.sends_server(session, ToServer::Closed);
        }
    }

    /// Its process, or its whole machine, starts again.
    pub(super) fn gateway_restarts(&mut self, number: usize) {
        let now = self.now;
        let of_machine = self.chance(0.5);
        self.note(|| format!("gateway {number} starts again"));
        let gateway = &mut self.gateways[number];
        gateway.boot += 1;
        if of_machine {
            let rate = gateway.clock.rate();
            gateway.clock = Clock::new(0, now, rate);
        }
        for session in std::mem::take(&mut gateway.sessions) {
            if let Some(open) = self.sessions.get_mut(&session) {
                open.at_gateway = false;
            }
            self.server_will_notice(session);
        }
    }
}
