//! What administrators do, and the end of every run: the network is healed, and all that is owed is
//! done.

use portcullis_common::id::{GatewayId, KeyKind};
use portcullis_common::rotation::{EnrolmentToken, Registration, Standing};
use rand::RngExt;

use super::link::Peer;
use super::repository::{DAY, Fate, HOUR};
use super::world::{Down, Process, SERVERS, World};

const TOKEN_LIFETIME: u64 = DAY;
const PAIRING_LIFETIME: u64 = HOUR;
/// Connections after which everybody must have got where they belong.
const HEALING_ROUNDS: usize = 6;

impl World {
    /// `gateway add`: with a token, or with pairing allowed besides.
    pub(super) fn register(&mut self) {
        let g = self.repository.len();
        let (registration, token) = self.fresh_registration();
        let pairing = registration.pairing_until.is_some();
        self.repository.store(g, registration);
        self.gateways[g].may_pair = pairing;
        // Where pairing is allowed, the token mostly stays in a drawer.
        if !pairing || self.rng.random_bool(0.3) {
            self.gateways[g].token = Some(token);
        }
    }

    fn fresh_registration(&mut self) -> (Registration, EnrolmentToken) {
        let kind = self.kind();
        let id = GatewayId::random(&mut self.rng);
        let token = EnrolmentToken::random(id, kind, &mut self.rng);
        let expires = self.now.plus(TOKEN_LIFETIME);
        let pairing = self
            .rng
            .random_bool(0.5)
            .then(|| self.now.plus(PAIRING_LIFETIME));
        let registration = Registration::new(&token, expires, pairing);
        self.ghost.tokens.insert(token.key_id(), expires);
        if let Some(until) = pairing {
            self.ghost.allowed.insert(id, until);
        }
        (registration, token)
    }

    fn kind(&mut self) -> KeyKind {
        if self.rng.random_bool(0.2) {
            KeyKind::Aes256
        } else {
            KeyKind::Tdes
        }
    }

    /// `gateway token`, and `gateway restore` of a revoked one: a new id, a new token.
    fn renew(&mut self, g: usize) {
        let (registration, token) = self.fresh_registration();
        self.note(|| format!("gateway {g} is registered anew: {token:?}"));
        self.gateways[g].may_pair |= registration.pairing_until.is_some();
        self.repository.store(g, registration);
        self.gateways[g].token = Some(token);
    }

    /// Some other command about gateway `g`.
    pub(super) fn administrator_acts(&mut self, g: usize) -> Result<(), Down> {
        let mut registration = self.repository.stored(g).clone();
        let revoked = registration.standing == Standing::Revoked;
        let forged = self.is_refused(g);
        match self.rng.random_range(0..4) {
            _ if revoked || forged => self.renew(g),
            0 => self.renew(g),
            1 => {
                self.note(|| format!("gateway {g} is evicted"));
                registration.evict();
                self.repository.store(g, registration);
            }
            2 => {
                self.note(|| format!("gateway {g} is revoked"));
                registration.revoke();
                self.repository.store(g, registration);
            }
            _ if self.must_enrol(g) => self.renew(g),
            _ => {}
        }
        Ok(())
    }

    /// `key rotate-gateway`, and the push to this server's own links; at times twice in quick
    /// succession.
    pub(super) fn rotate(&mut self, s: usize, fate: Fate) -> Result<(), Down> {
        if self.repository.keys.len() > 25 {
            return Ok(());
        }
        let times = if self.rng.random_bool(0.2) { 2 } else { 1 };
        for _ in 0..times {
            self.crash_point(Process::Server(s))?;
            let kind = self.kind();
            self.repository.rotate(kind, fate, self.now, &mut self.rng);
            self.counts.rotations += 1;
            self.counts.compromised += u64::from(fate == Fate::Compromised);
            self.note(|| format!("server {s} rotates, the former key is {fate:?}"));
            self.crash_point(Process::Server(s))?;
        }
        self.push(s, |_| true)
    }

    /// `key rotate-gateway --roll-back`: those that may hold the key withdrawn move forward to the
    /// fresh one, the others are left alone.
    pub(super) fn roll_back(&mut self, s: usize) -> Result<(), Down> {
        let Some(withdrawn) = self
            .current_id()
            .filter(|_| self.repository.keys.len() <= 25)
        else {
            return Ok(());
        };
        self.crash_point(Process::Server(s))?;
        let kind = self.kind();
        self.repository
            .rotate(kind, Fate::Withdrawn, self.now, &mut self.rng);
        self.counts.rolled_back += 1;
        self.note(|| format!("server {s} rolls {withdrawn} back"));
        self.crash_point(Process::Server(s))?;
        self.push(s, |registration| registration.may_hold(withdrawn))
    }

    /// No crash, no cut, no thief any more: whoever shares a key must end on the current one;
    /// whoever does not is told to enrol again, does so, and must then end there too.
    pub(super) fn heal(&mut self) {
        self.note(|| "the world is healed".to_owned());
        self.crash_rate = 0.0;
        self.links
            .retain(|_, link| matches!(link.peer, Peer::Gateway));
        self.drain();
        let sharing: Vec<_> = (0..self.gateways.len())
            .filter(|g| self.shares_a_key(*g))
            .collect();
        self.reconnect();
        for g in sharing {
            self.check_current(g);
        }
        for g in 0..self.gateways.len() {
            if !self.is_current(g) {
                self.counts.enrolled_again += 1;
                self.renew(g);
                let _: Result<(), Down> = self.operator_enrols(g);
            }
        }
        self.reconnect();
        for g in 0..self.gateways.len() {
            self.check_current(g);
        }
    }

    fn reconnect(&mut self) {
        for _ in 0..HEALING_ROUNDS {
            for g in 0..self.gateways.len() {
                for s in 0..SERVERS {
                    let _: Result<(), Down> = self.connect(s, g, Peer::Gateway);
                    self.drain();
                    self.check_quiet();
                    if self.is_broken() {
                        return;
                    }
                }
            }
        }
    }

    fn drain(&mut self) {
        while let Some((id, to_server)) = self.links.iter().find_map(|(id, link)| {
            let to_server = !link.to_server.is_empty();
            (to_server || !link.to_gateway.is_empty()).then_some((*id, to_server))
        }) {
            let _: Result<(), Down> = self.deliver(id, to_server);
            self.hang_up(1.0);
        }
    }
}
