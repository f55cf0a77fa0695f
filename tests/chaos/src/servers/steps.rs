//! What a server does from time to time.

use super::Fault;
use super::database::{ChangeId, Op};
use super::server::{BEAT, POLL, Step};
use super::world::{Event, World};

impl World {
    pub(super) fn step(&mut self, server: usize, run: u64, step: Step) {
        if self.servers[server].run != run || self.servers[server].life.is_none() {
            return;
        }
        match step {
            Step::Connect => self.connects(server),
            Step::Beat => {
                self.at(self.now + BEAT, Event::Server(server, run, Step::Beat));
                self.beats(server);
            }
            Step::Poll => {
                self.at(self.now + POLL, Event::Server(server, run, Step::Poll));
                self.polls(server);
            }
            Step::Send(key) => self.sends(server, key),
        }
    }

    pub(super) fn connects(&mut self, server: usize) {
        let (run, head, now) = (
            self.servers[server].run,
            self.servers[server].head,
            self.database.head(),
        );
        let connection = self.number();
        if !self.database.up {
            let at = self.now + self.within(100, 1_500);
            self.at(at, Event::Server(server, run, Step::Connect));
            return;
        }
        if self.database.disputed {
            return self.dies(server);
        }
        let is_behind = now.commits < head.commits;
        let fault = self.fault;
        if is_behind && fault != Some(Fault::LostTail) {
            self.note(|| format!("server {server} knows {head:?}, and the repository is {now:?}"));
            self.database.disputed = true;
            self.dies(server);
            return self.dispute();
        }
        let Some(life) = self.life(server) else {
            return;
        };
        life.connection = Some(connection);
        life.knows_better = is_behind;
        let unknown: Vec<_> = life.unknown.keys().copied().collect();
        let (joined, instance, beat) = (life.joined, life.instance, life.beat);
        for change in unknown {
            self.finds_out(server, change);
        }
        if fault == Some(Fault::ReadThenRow) && !joined {
            self.ask(server, Op::Read);
        } else if !joined && !self.life(server).is_some_and(|it| it.is_asked(Op::joins)) {
            self.ask(server, Op::Join(instance, beat));
        }
    }

    /// What became of a change whose answer was lost.
    pub(super) fn finds_out(&mut self, server: usize, change: ChangeId) {
        let Some(life) = self.life(server) else {
            return;
        };
        let op = life.unknown.get(&change).cloned();
        if let (Some(Op::Submit(call, gateway, subject)), Some(Fault::RepeatWithoutLook)) =
            (op, self.fault)
        {
            if let Some(life) = self.life(server) {
                life.unknown.remove(&change);
            }
            let again = self.number();
            self.ghost.is_again(again, call);
            self.ask(server, Op::Submit(again, gateway, subject));
            return;
        }
        self.ask(server, Op::Find(change));
    }

    pub(super) fn loses_database(&mut self, server: usize) {
        let at = self.now + self.within(50, 1_500);
        let run = self.servers[server].run;
        let Some(life) = self.life(server) else {
            return;
        };
        if life.connection.take().is_none() {
            return;
        }
        life.beating = false;
        let asked = std::mem::take(&mut life.asked);
        let matters = asked.into_iter().filter(|(_, (op, _))| op.matters());
        let before = life.unknown.len();
        life.unknown
            .extend(matters.map(|(change, (op, _))| (change, op)));
        let lost = life.unknown.len() - before;
        self.ghost.counts.answers_lost += lost as u64;
        self.at(at, Event::Server(server, run, Step::Connect));
    }

    pub(super) fn beats(&mut self, server: usize) {
        let beat = self.number();
        let Some(life) = self.life(server) else {
            return;
        };
        if !life.joined || life.beating || life.connection.is_none() {
            return;
        }
        life.beating = true;
        let mut from = life.tried.clone();
        from.push(life.beat);
        life.tried.push(beat);
        let instance = life.instance;
        self.ask(server, Op::Beat(instance, from, beat));
    }

    pub(super) fn polls(&mut self, server: usize) {
        let clock = self.clock(server);
        let Some(life) = self.life(server) else {
            return;
        };
        if life.joined && life.fence.must_close(clock) {
            let links: Vec<_> = life.links.values().map(|held| held.session).collect();
            for session in links {
                self.server_ends(session);
            }
        }
        let reads = |op: &Op| matches!(op, Op::Read);
        if self
            .life(server)
            .is_some_and(|it| it.joined && !it.is_asked(reads))
        {
            self.ask(server, Op::Read);
        }
        self.drives(server);
    }
}
