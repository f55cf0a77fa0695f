//! What a server asks of the database, and what it makes of the answers.

use std::time::Instant;

use super::Fault;
use super::database::{Answer, ChangeId, Head, Op, Standing, Told};
use super::server::{Carried, Job, Key};
use super::session::{Grant, ToGateway};
use super::world::{Event, World};

impl World {
    /// Asks the database, where there is a connection.
    pub(super) fn ask_database(&mut self, server: usize, op: Op) {
        if self.life(server).is_some_and(|life| life.joined) {
            self.ask(server, op);
        }
    }

    pub(super) fn ask(&mut self, server: usize, op: Op) -> bool {
        let (change, sent) = (self.number(), self.clock(server));
        let run = self.servers[server].run;
        let Some(life) = self.life(server) else {
            return false;
        };
        let Some(connection) = life.connection else {
            return false;
        };
        life.asked.insert(change, (op.clone(), sent));
        if life.knows_better {
            self.ghost.broke(|| {
                format!(
                    "server {server} knows of commits that the repository has lost, and goes on"
                )
            });
        }
        let at = self.now + self.within(1, self.mood.database);
        self.at(at, Event::Request(server, run, connection, change, op));
        true
    }

    /// Whether a transaction over this connection comes to the database: after a cut, perhaps.
    pub(super) fn is_on_its_way(&mut self, server: usize, run: u64, connection: u64) -> bool {
        let it = &self.servers[server];
        let life = it.life.as_ref().filter(|_| it.run == run);
        life.is_some_and(|life| life.connection == Some(connection)) || self.chance(0.5)
    }

    pub(super) fn answered(
        &mut self,
        server: usize,
        (run, connection): (u64, u64),
        change: ChangeId,
        answer: Answer,
        head: Head,
    ) {
        if self.servers[server].run != run {
            return;
        }
        let Some(life) = self.life(server) else {
            return;
        };
        if life.connection != Some(connection) {
            return;
        }
        let Some((op, sent)) = life.asked.remove(&change) else {
            return;
        };
        if let Answer::Disputed = answer {
            return self.dies(server);
        }
        self.servers[server].head = head;
        match (op, answer) {
            (Op::Find(of), Answer::Found(made)) => self.found(server, of, made),
            (Op::Read, Answer::Snapshot(stored)) => self.reads(server, *stored, sent),
            (Op::Submit(call, ..), Answer::Refused) => self.ghost.was_not_accepted(call),
            (op, Answer::Gone) => {
                if !matches!(op, Op::Join(..)) {
                    self.gone(server);
                }
            }
            (op, Answer::Refused) => self.refused(server, &op),
            (op, answer) => self.made(server, &op, &answer, Some(sent)),
        }
    }

    /// It is known whether a change was made whose answer was lost.
    pub(super) fn found(&mut self, server: usize, change: ChangeId, made: bool) {
        let Some(op) = self.life(server).and_then(|it| it.unknown.remove(&change)) else {
            return;
        };
        self.note(|| format!("server {server} finds {op:?} made: {made}"));
        if made {
            self.ghost.counts.found_made += 1;
            return self.made(server, &op, &Answer::Done, None);
        }
        match op {
            Op::Submit(call, ..) => self.ghost.was_not_accepted(call),
            Op::Join(instance, beat) => {
                self.ask(server, Op::Join(instance, beat));
            }
            op => self.refused(server, &op),
        }
    }

    /// A change was made. `sent`: when it was, where its answer came.
    pub(super) fn made(&mut self, server: usize, op: &Op, answer: &Answer, sent: Option<Instant>) {
        let clock = self.clock(server);
        let fault = self.fault;
        let Some(life) = self.life(server) else {
            return;
        };
        match *op {
            Op::Join(..) => {
                life.joined = true;
                if let Some(sent) = sent {
                    life.fence.renewed(sent);
                }
                if fault != Some(Fault::ReadThenRow) {
                    self.ask(server, Op::Read);
                }
            }
            Op::Beat(_, _, to) => {
                (life.beat, life.beating) = (to, false);
                life.tried.clear();
                if let Some(sent) = sent {
                    life.fence.renewed(sent);
                }
                self.drives(server);
            }
            Op::Seen(_, version) => life.acknowledged = life.acknowledged.max(version),
            Op::Link(instance, gateway) => {
                let session = life.links.get(&gateway).map(|held| held.session);
                match (answer, session) {
                    (Answer::Granted(generation, epoch), Some(session)) => {
                        let grant = Grant {
                            generation: *generation,
                            epoch: *epoch,
                            instance,
                        };
                        self.sends_gateway(session, ToGateway::Grant(grant));
                    }
                    // It is not known what was granted.
                    (_, Some(session)) => self.server_ends(session),
                    (_, None) => {}
                }
            }
            Op::Claim(_, call) => self.becomes(server, (call, None), Carried::Claimed),
            Op::Begin(_, call) => self.becomes(server, (call, None), Carried::Ready),
            Op::TakeClaim(_, _, call) => self.becomes(server, (call, None), Carried::Lost),
            Op::Outcome(_, call, told) => {
                let job = life.jobs.remove(&(call, None));
                let taken_over = job.is_some_and(|job| job.taken_over);
                self.ghost.counts.found_done += u64::from(taken_over && told == Told::Done);
            }
            Op::Withdraw(subject) => {
                if let Answer::Withdrawn(version) = answer {
                    if fault == Some(Fault::BarrierDoesNotWait) {
                        return self.withdrew(subject);
                    }
                    life.barriers.push((subject, *version));
                }
            }
            Op::Read
            | Op::End(..)
            | Op::Submit(..)
            | Op::Drain(..)
            | Op::EndEntries(_)
            | Op::ClaimTask(..)
            | Op::Batch(..)
            | Op::Find(_) => {}
        }
        if let Some(job) = self.job_of(server, op) {
            job.since = clock;
        }
    }

    /// A change was not made.
    pub(super) fn refused(&mut self, server: usize, op: &Op) {
        let Some(life) = self.life(server) else {
            return;
        };
        match *op {
            Op::Claim(_, call) | Op::TakeClaim(_, _, call) => {
                life.jobs.remove(&(call, None));
            }
            // Where the answer was lost it is asked again; where the claim is another's, it is
            // over.
            Op::Outcome(instance, call, _) => {
                let standing = self.database.stored().calls.get(&call);
                let is_own = standing.is_some_and(|it| it.standing == Standing::Claimed(instance));
                let Some(life) = self.life(server) else {
                    return;
                };
                match life.jobs.get_mut(&(call, None)) {
                    Some(job) if is_own => job.asked = false,
                    _ => {
                        life.jobs.remove(&(call, None));
                    }
                }
            }
            Op::Begin(_, call) => {
                if let Some(job) = life.jobs.get_mut(&(call, None)) {
                    job.asked = false;
                }
            }
            Op::Link(_, gateway) => {
                if let Some(session) = life.links.get(&gateway).map(|held| held.session) {
                    self.server_ends(session);
                }
            }
            _ => {}
        }
    }

    pub(super) fn job_of(&mut self, server: usize, op: &Op) -> Option<&mut Job> {
        let call = match *op {
            Op::Claim(_, call) | Op::Begin(_, call) | Op::TakeClaim(_, _, call) => call,
            _ => return None,
        };
        self.life(server)?.jobs.get_mut(&(call, None))
    }

    /// A job stands in another way.
    pub(super) fn becomes(&mut self, server: usize, key: Key, carried: Carried) {
        let clock = self.clock(server);
        let Some(job) = self.life(server).and_then(|life| life.jobs.get_mut(&key)) else {
            return;
        };
        (job.carried, job.asked, job.since) = (carried, false, clock);
        self.drive(server, key);
    }
}
