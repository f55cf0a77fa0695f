//! Thieves: one who copied a gateway's active key and uses it once it is retired, one who copied a
//! token.

use portcullis_common::crypto::suites::Suite;
use portcullis_common::handshake::{Preamble, ResponderConfig};
use portcullis_common::id::GatewayId;
use portcullis_common::rotation::{
    ENROLMENT_NONCE_LEN, EnrolmentNonce, GatewayRecord, HeldKey, Identity,
};
use rand::RngExt;

use super::channel::{GatewayHandshake, GatewayStep};
use super::link::{GatewayEnd, Message, Peer};
use super::world::{Down, World};

/// What was stolen from a gateway.
pub(super) struct Loot {
    pub(super) gateway: usize,
    gateway_id: GatewayId,
    key: HeldKey,
    /// For a token: what the thief answers, or nothing at all, waiting for what comes.
    nonce: Option<EnrolmentNonce>,
    is_token: bool,
}

impl World {
    /// Steals, or uses what was stolen.
    pub(super) fn thief_acts(&mut self, s: usize) -> Result<(), Down> {
        if self.loot.is_empty() || self.rng.random_bool(0.3) {
            self.steal();
            return Ok(());
        }
        let loot = self.rng.random_range(0..self.loot.len());
        if !self.may_use(loot) {
            return Ok(());
        }
        self.counts.thefts += 1;
        let g = self.loot[loot].gateway;
        self.note(|| format!("a thief poses as gateway {g} to server {s}"));
        self.connect(s, g, Peer::Thief(loot))
    }

    fn steal(&mut self) {
        let g = self.rng.random_range(0..self.gateways.len());
        let record = self.record(g);
        let Some((gateway_id, key, is_token)) = self.copy(&record) else {
            return;
        };
        let mut nonce = [0; ENROLMENT_NONCE_LEN];
        self.rng.fill(&mut nonce);
        let nonce = (is_token && self.rng.random_bool(0.7)).then_some(nonce);
        self.note(|| format!("a thief copies {} of gateway {g}", key.id));
        self.loot.push(Loot {
            gateway: g,
            gateway_id,
            key,
            nonce,
            is_token,
        });
    }

    /// The active key, or the enrolment key; pending ones are out of the thief's reach here.
    fn copy(&mut self, record: &GatewayRecord) -> Option<(GatewayId, HeldKey, bool)> {
        let run = self.gateways.first()?.run;
        let Identity::Keyed { gateway_id, keys } = record.begin(run, self.now).identity else {
            return None;
        };
        Some((
            gateway_id,
            keys.last()?.clone(),
            record.enrolment().is_some(),
        ))
    }

    /// Who steals a gateway's current key can pose as it, and is handed the next one: that is
    /// known. So a key is used once a newer one was proved, or while it still is the gateway's
    /// active one and without using what is handed out. A token is used once the gateway's own
    /// nonce was bound.
    fn may_use(&mut self, loot: usize) -> bool {
        let Loot {
            gateway,
            gateway_id,
            is_token,
            ..
        } = self.loot[loot];
        let key_id = self.loot[loot].key.id;
        if is_token {
            return self.ghost.bound.contains_key(&key_id);
        }
        let proved = self.ghost.proved.get(&gateway_id).copied();
        let outdated = self.repository.generation(key_id) < proved;
        outdated || self.record(gateway).active_key_id() == Some(key_id)
    }

    pub(super) fn thief_begins(
        &mut self,
        loot: usize,
        dials: bool,
    ) -> Option<(GatewayHandshake, Option<Preamble>)> {
        let Loot {
            gateway_id,
            ref key,
            ..
        } = self.loot[loot];
        let config = ResponderConfig {
            suites: Suite::ALL.to_vec(),
            identity: Identity::Keyed {
                gateway_id,
                keys: vec![key.clone()],
            },
        };
        GatewayHandshake::start(config, dials).ok()
    }

    pub(super) fn thief_receives(
        &mut self,
        link: u64,
        loot: usize,
        end: GatewayEnd,
        message: Message,
    ) -> Option<GatewayEnd> {
        let (end, answer) = match (end, message) {
            (GatewayEnd::Handshake(state), Message::Flight(flight)) => {
                match state.handle(&flight, &mut self.rng).ok()? {
                    GatewayStep::Send(state, flight) => {
                        (GatewayEnd::Handshake(state), Some(Message::Flight(flight)))
                    }
                    GatewayStep::Proved(finish) => {
                        let (session, flight) = finish.send();
                        let end = GatewayEnd::Live {
                            session,
                            enrolment: false,
                        };
                        (end, Some(Message::Flight(flight)))
                    }
                }
            }
            (end, Message::AskNonce) => (end, self.loot[loot].nonce.map(Message::Nonce)),
            // What may be given to whom is checked where it is given.
            (end, _) => (end, None),
        };
        if let (Some(answer), Some(link)) = (answer, self.links.get_mut(&link)) {
            link.to_server.push_back(answer);
        }
        Some(end)
    }
}
