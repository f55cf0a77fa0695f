//! What must hold, checked beside the product's own state by what an onlooker who sees everything
//! remembers.

use std::collections::{BTreeMap, BTreeSet};

use portcullis_common::id::{GatewayId, KeyId};
use portcullis_common::rotation::{
    EnrolmentNonce, GatewayRecord, HeldKey, Identity, Offer, Registration, Standing, UnixMillis,
};

use super::Fault;
use super::channel::Session;
use super::link::Peer;
use super::repository::POLICY;
use super::world::World;

/// What the onlooker remembers.
#[derive(Default)]
pub(super) struct Ghost {
    /// The generation of the newest key that each registration ever proved.
    pub(super) proved: BTreeMap<GatewayId, u64>,
    /// The keys that some server showed to hold in a message 3.
    pub(super) shown: BTreeSet<(GatewayId, KeyId)>,
    /// The first nonce that came with each token.
    pub(super) bound: BTreeMap<KeyId, EnrolmentNonce>,
    /// When each token expires.
    pub(super) tokens: BTreeMap<KeyId, UnixMillis>,
    /// The registrations for which any key was ever proved, an enrolment key too.
    known: BTreeSet<GatewayId>,
    /// Until when an administrator allowed pairing.
    pub(super) allowed: BTreeMap<GatewayId, UnixMillis>,
    /// Which start of a gateway first used a pairing window.
    pairing: BTreeMap<(usize, UnixMillis), u64>,
}

impl World {
    /// A transaction on a registration is about to take effect.
    pub(super) fn check_committed(&mut self, g: usize, after: &Registration) {
        let id = after.gateway_id;
        let bound = after
            .token
            .as_ref()
            .is_some_and(|token| token.bound.is_some());
        if after.last_proved.is_some() || bound {
            self.ghost.known.insert(id);
        }
        if let Some(generation) = after
            .last_proved
            .and_then(|key| self.repository.generation(key))
        {
            let known = self.ghost.proved.entry(id).or_insert(generation);
            let former = *known;
            *known = former.max(generation);
            if generation < former {
                self.broken(|| format!("gateway {g} fell back from key {former} to {generation}"));
            }
        }
        if let Some(token) = &after.token
            && let Some(nonce) = token.bound
            && *self.ghost.bound.entry(token.key_id).or_insert(nonce) != nonce
        {
            self.broken(|| format!("the token of gateway {g} was bound twice"));
        }
    }

    /// Message 1 lists nothing older than what was proved.
    pub(super) fn check_offer(&mut self, gateway_id: GatewayId, peer: Peer, offer: &Offer) {
        let floor = self.ghost.proved.get(&gateway_id).copied();
        let oldest = offer
            .gateway_keys
            .iter()
            .filter_map(|id| self.repository.generation(*id))
            .min();
        if oldest.is_some() && oldest < floor {
            self.broken(|| format!("key {oldest:?} is offered, {floor:?} was proved"));
        }
        if floor.is_some() && offer.token.is_some() {
            self.broken(|| "a token is open after a key was proved".to_owned());
        }
        // What an intruder is handed is checked where he gets it.
        let honest = !matches!(peer, Peer::Intruder);
        if honest && offer.pairing.is_some() && !self.may_be_paired(gateway_id) {
            self.broken(|| "a registered gateway is paired anew".to_owned());
        }
    }

    /// An administrator allows it, and nobody ever proved a key for this registration.
    pub(super) fn may_be_paired(&self, gateway_id: GatewayId) -> bool {
        let allowed = self.ghost.allowed.get(&gateway_id);
        allowed.is_some_and(|until| self.now < *until) && !self.ghost.known.contains(&gateway_id)
    }

    /// A server is about to use a session.
    pub(super) fn check_accepted(&mut self, g: usize, session: &Session) {
        let registration = self.repository.stored(g);
        if registration.gateway_id != session.gateway_id() {
            self.broken(|| format!("a session of a former registration of gateway {g} is used"));
        }
        let floor = self.ghost.proved.get(&session.gateway_id()).copied();
        let generation = self.repository.generation(session.key_id());
        if generation < floor {
            self.broken(|| {
                format!("gateway {g} is served under key {generation:?}, {floor:?} was proved")
            });
        }
        if self
            .repository
            .info(session.key_id())
            .is_some_and(|key| key.compromised)
        {
            self.broken(|| format!("gateway {g} is served under a compromised key"));
        }
    }

    /// A master key is about to be given through a session.
    pub(super) fn check_install(
        &mut self,
        g: usize,
        session: &Session,
        nonce: Option<EnrolmentNonce>,
        new: KeyId,
    ) {
        self.check_accepted(g, session);
        if self.repository.info(new).is_some_and(|key| key.withdrawn) {
            self.broken(|| format!("gateway {g} is sent {new}, which was withdrawn"));
        }
        if self.ghost.tokens.contains_key(&session.key_id())
            && (nonce.is_none() || self.ghost.bound.get(&session.key_id()) != nonce.as_ref())
        {
            self.broken(|| {
                format!("gateway {g}'s key goes to one who did not show the nonce bound first")
            });
        }
    }

    /// A call is about to be sent.
    pub(super) fn check_call(&mut self, g: usize, session: &Session) {
        self.check_accepted(g, session);
        if self.ghost.tokens.contains_key(&session.key_id()) {
            self.broken(|| format!("gateway {g} is called in an enrolment session"));
        }
    }

    /// A gateway in default mode uses a window that was opened for this start of its program.
    pub(super) fn check_pairing(&mut self, g: usize) {
        let starts = self.gateways[g].starts;
        let Some(until) = self.record(g).pairing_until() else {
            self.broken(|| format!("gateway {g} pairs without an open window"));
            return;
        };
        if *self.ghost.pairing.entry((g, until)).or_insert(starts) != starts {
            self.broken(|| format!("a restart of gateway {g} went on pairing"));
        }
    }

    /// A gateway's record is about to be replaced.
    pub(super) fn check_stored(&mut self, g: usize, old: &GatewayRecord, new: &GatewayRecord) {
        if self.by_hand {
            return;
        }
        let (Some(gateway_id), former) = (new.gateway_id(), old.gateway_id()) else {
            if old.gateway_id().is_some() {
                self.broken(|| format!("gateway {g} forgot its keys"));
            }
            return;
        };
        if former.is_some_and(|former| former != gateway_id) {
            self.broken(|| format!("gateway {g} changed its id"));
        }
        if let Some(active) = new.active_key_id()
            && old.active_key_id() != Some(active)
            && !self.ghost.shown.contains(&(gateway_id, active))
        {
            self.broken(|| {
                format!("gateway {g} relies on {active}, which no server showed to hold")
            });
        }
        let generation = |id: Option<KeyId>| id.and_then(|id| self.repository.generation(id));
        let (before, after) = (
            generation(old.active_key_id()),
            generation(new.active_key_id()),
        );
        let pending = generation(new.pending_key_id());
        if after < before || (pending.is_some() && pending < after) {
            self.broken(|| format!("gateway {g} goes back: {before:?} to {after:?}, {pending:?}"));
        }
    }

    /// After every event: both ends share a usable key, or one of the acts that part them happened
    /// and the server says so.
    pub(super) fn check_quiet(&mut self) {
        for g in 0..self.gateways.len() {
            if self.shares_a_key(g) {
                continue;
            }
            if let Some(key) = self
                .held(g)
                .1
                .into_iter()
                .find(|held| !self.excused(g, held))
            {
                self.broken(|| format!("gateway {g} holds {}, which no server takes", key.id));
            } else if !self.is_told(g) {
                self.broken(|| format!("gateway {g} must enrol again and nobody says so"));
            }
        }
    }

    /// What a gateway would bring to a handshake: its id and its keys.
    fn held(&mut self, g: usize) -> (Option<GatewayId>, Vec<HeldKey>) {
        let (run, now) = (self.gateways[g].run, self.now);
        match self.record(g).begin(run, now).identity {
            Identity::Keyed { gateway_id, keys } => (Some(gateway_id), keys),
            Identity::Pairing | Identity::None => (None, Vec::new()),
        }
    }

    /// Would a handshake succeed: does the gateway hold one of the keys that a server would list,
    /// the very same key?
    pub(super) fn shares_a_key(&mut self, g: usize) -> bool {
        let (Some(gateway_id), held) = self.held(g) else {
            return false;
        };
        if self.is_refused(g) {
            return false;
        }
        let mut registration = self.repository.stored(g).clone();
        let Ok(offer) = registration.begin(&self.repository.keys, &POLICY, self.now) else {
            return false;
        };
        let ours = offer
            .gateway_keys
            .iter()
            .filter_map(|id| self.repository.master_key(*id, registration.gateway_id))
            .chain(offer.token.map(|(id, key)| HeldKey { id, key }));
        // The gateway takes the first listed that it holds: a wrong key under a right id would
        // stand in the way.
        let chosen = ours
            .filter_map(|ours| {
                let held = held.iter().find(|held| held.id == ours.id)?;
                Some(held.key.expose() == ours.key.expose())
            })
            .next();
        gateway_id == registration.gateway_id && chosen == Some(true)
    }

    /// Does every server refuse the gateway's row, since its MAC does not fit?
    pub(super) fn is_refused(&self, g: usize) -> bool {
        self.fault != Some(Fault::NoMac) && self.repository.is_forged(g)
    }

    /// Did an administrator, or time, or who wrote into its row, put this key out of use?
    fn excused(&mut self, g: usize, held: &HeldKey) -> bool {
        let record = self.record(g);
        let registration = self.repository.stored(g);
        if self.is_refused(g)
            || registration.standing != Standing::Admitted
            || record.gateway_id() != Some(registration.gateway_id)
        {
            return true;
        }
        if let Some(expires) = self.ghost.tokens.get(&held.id) {
            return *expires <= self.now;
        }
        self.repository.info(held.id).is_some_and(|key| {
            key.compromised
                || key
                    .retired
                    .is_some_and(|retired| retired.plus(POLICY.retired_key_grace_ms) <= self.now)
        })
    }

    /// Does the server say that the gateway must enrol, or may have to?
    fn is_told(&self, g: usize) -> bool {
        let registration = self.repository.stored(g);
        let keys = &self.repository.keys;
        self.is_refused(g)
            || registration.standing != Standing::Admitted
            || registration.last_proved.is_none()
            || registration.may_have_to_enrol(keys, &POLICY, self.now)
    }

    pub(super) fn must_enrol(&self, g: usize) -> bool {
        let registration = self.repository.stored(g);
        registration.must_enrol(&self.repository.keys, &POLICY, self.now)
    }

    pub(super) fn is_current(&mut self, g: usize) -> bool {
        let record = self.record(g);
        let current = self.current_id();
        record.active_key_id() == current
            && record.pending_key_id().is_none()
            && self
                .repository
                .stored(g)
                .synchronized(&self.repository.keys)
            && self.shares_a_key(g)
    }

    /// In the healed world: the gateway holds the current key and nothing else, and the server
    /// knows.
    pub(super) fn check_current(&mut self, g: usize) {
        if !self.is_current(g) {
            let record = self.record(g);
            let registration = self.repository.stored(g).clone();
            self.broken(|| {
                format!("gateway {g} does not reach the current key: {record:?}, {registration:?}")
            });
        }
    }
}
