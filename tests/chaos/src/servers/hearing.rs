//! What a server hears from its gateways.

use super::database::{CallId, Op, Told};
use super::server::{Carried, Job, Key};
use super::session::{ToGateway, ToServer};
use super::world::World;

impl World {
    pub(super) fn server_hears(&mut self, session: u64, message: ToServer) {
        let Some(open) = self.sessions.get(&session) else {
            return;
        };
        let (server, gateway) = (open.server, open.gateway);
        if !open.at_server || self.servers[server].run != open.run {
            return;
        }
        let clock = self.clock(server);
        let Some(life) = self.life(server) else {
            return;
        };
        let instance = life.instance;
        let Some(held) = life.links.get_mut(&gateway) else {
            return;
        };
        if held.session != session {
            return;
        }
        match message {
            ToServer::Up => {
                if !self.ask(server, Op::Link(instance, gateway)) {
                    self.server_ends(session);
                }
            }
            ToServer::Granted => {
                held.live = true;
                self.drives(server);
            }
            ToServer::Refused(highest) => life.highest.push((gateway, highest, clock)),
            ToServer::Clock(shows) => {
                (held.pinging, held.last) = (false, Some((clock, shows)));
                held.reckoning.came(clock, shows);
                self.beats(server);
                self.drives(server);
            }
            ToServer::Done(call) => self.heard(server, session, call, Told::Done, false),
            ToServer::Late(call) => self.heard(server, session, call, Told::Late, false),
            ToServer::Barred(call) => self.heard(server, session, call, Told::Failed, false),
            ToServer::Looked(call, begun) => {
                let told = if begun { Told::Done } else { Told::Failed };
                self.heard(server, session, call, told, true);
            }
            ToServer::Closed => self.server_closes(session),
        }
    }

    /// What a gateway says of a call that was sent, or looked for, in this session.
    pub(super) fn heard(
        &mut self,
        server: usize,
        session: u64,
        call: CallId,
        told: Told,
        looked: bool,
    ) {
        let awaited = if looked {
            Carried::Looking(session)
        } else {
            Carried::Sent(session)
        };
        let Some(life) = self.life(server) else {
            return;
        };
        let of_it = life
            .jobs
            .iter()
            .filter(|(key, job)| key.0 == call && job.carried == awaited);
        let keys: Vec<_> = of_it.map(|(key, _)| *key).collect();
        for key in keys {
            self.becomes(server, key, Carried::Told(told));
        }
    }

    /// The server ends a session.
    pub(super) fn server_ends(&mut self, session: u64) {
        self.sends_gateway(session, ToGateway::Close);
        self.server_closes(session);
    }

    /// A session is over, as the server sees it.
    pub(super) fn server_closes(&mut self, session: u64) {
        let Some(open) = self.sessions.get_mut(&session) else {
            return;
        };
        let (server, gateway, run) = (open.server, open.gateway, open.run);
        if !std::mem::take(&mut open.at_server) || self.servers[server].run != run {
            return;
        }
        let Some(life) = self.life(server) else {
            return;
        };
        if life
            .links
            .get(&gateway)
            .is_some_and(|held| held.session == session)
        {
            life.links.remove(&gateway);
        }
        let mut lost = Vec::new();
        for (key, job) in &mut life.jobs {
            match job.carried {
                Carried::Through { session: of, .. } if of == session => {
                    job.carried = Carried::Ready;
                }
                Carried::Sent(of) | Carried::Looking(of) if of == session => lost.push(*key),
                _ => {}
            }
        }
        for key in lost {
            match key.1 {
                None => self.becomes(server, key, Carried::Lost),
                Some(for_whom) => {
                    if let Some(life) = self.life(server) {
                        life.jobs.remove(&key);
                    }
                    self.answers_unknown(server, for_whom, key.0);
                }
            }
        }
    }

    /// A job that another server asked for.
    pub(super) fn takes_on(
        &mut self,
        server: usize,
        key: Key,
        gateway: usize,
        subject: usize,
        carried: Carried,
    ) {
        let clock = self.clock(server);
        let Some(life) = self.life(server) else {
            return;
        };
        let job = Job {
            gateway,
            subject,
            carried,
            asked: false,
            since: clock,
            taken_over: false,
        };
        life.jobs.entry(key).or_insert(job);
        self.drive(server, key);
    }
}
