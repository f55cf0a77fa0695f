//! One who can write the repository's file and does not hold the server's secret, and his
//! accomplice, who holds no key and asks to be paired under a gateway's name.
//!
//! What he writes is refused where the row is read, since its MAC does not fit. That he puts back a
//! whole earlier row is another matter: it is found at the next start, not here.

use portcullis_common::crypto::suites::Suite;
use portcullis_common::handshake::{Preamble, ResponderConfig};
use portcullis_common::id::KeyId;
use portcullis_common::rotation::{Identity, Registration, Standing};
use rand::RngExt;
use rand::seq::IndexedRandom;

use super::channel::{GatewayHandshake, GatewayStep};
use super::link::{GatewayEnd, Message, Peer};
use super::repository::{DAY, HOUR};
use super::world::{Down, World};

impl World {
    /// Changes gateway `g`'s row, in one column or in several.
    pub(super) fn editor_acts(&mut self, g: usize) {
        self.counts.edits += 1;
        let mut row = self.repository.stored(g).clone();
        let proved = row.last_proved.is_some();
        let mut covered = true;
        let what = match self.rng.random_range(0..8) {
            0 => {
                row.pairing_until = Some(self.now.plus(HOUR));
                // As if the MAC left this column out: it opens nothing once a key was proved.
                covered = !proved;
                "opens pairing"
            }
            1 => {
                self.open_wholly(&mut row);
                "makes a new gateway"
            }
            2 => {
                row.standing = *[Standing::Admitted, Standing::Evicted, Standing::Revoked]
                    .choose(&mut self.rng)
                    .unwrap_or(&Standing::Admitted);
                "changes the standing"
            }
            3 => {
                row.last_proved = self.any_key();
                "changes what was proved"
            }
            4 => {
                let sent = self.any_key();
                row.sent.extend(sent);
                "changes what was sent"
            }
            5 => {
                row.last_proved = None;
                row.sent = self.repository.keys.iter().map(|key| key.id).collect();
                "has every key accepted again"
            }
            6 => {
                self.change_token(&mut row);
                "changes the token"
            }
            _ => {
                self.swap(g, &mut row);
                "gives two gateways each other's ids"
            }
        };
        self.note(|| format!("an editor {what} in the row of gateway {g}"));
        self.repository.forge(g, row, covered);
    }

    fn open_wholly(&mut self, row: &mut Registration) {
        row.standing = Standing::Admitted;
        row.pairing_until = Some(self.now.plus(HOUR));
        row.last_proved = None;
        row.token = None;
    }

    fn any_key(&mut self) -> Option<KeyId> {
        let keys: Vec<_> = self.repository.keys.iter().map(|key| key.id).collect();
        keys.choose(&mut self.rng)
            .copied()
            .filter(|_| self.rng.random_bool(0.8))
    }

    /// Takes the nonce out and makes it last, or puts another gateway's in its place.
    fn change_token(&mut self, row: &mut Registration) {
        if self.rng.random_bool(0.5) {
            let other = self.rng.random_range(0..self.repository.len());
            row.token.clone_from(&self.repository.stored(other).token);
        }
        if let Some(token) = &mut row.token {
            token.bound = None;
            token.expires = self.now.plus(DAY);
        }
    }

    fn swap(&mut self, g: usize, row: &mut Registration) {
        let other = self.rng.random_range(0..self.repository.len());
        if other != g {
            let mut theirs = self.repository.stored(other).clone();
            std::mem::swap(&mut row.gateway_id, &mut theirs.gateway_id);
            self.repository.forge(other, theirs, true);
        }
    }

    /// Asks to be paired as gateway `g`, where no administrator allows that: whoever he allows it
    /// for can be anybody, which is known.
    pub(super) fn intruder_acts(&mut self, s: usize, g: usize) -> Result<(), Down> {
        if self.may_be_paired(self.repository.stored(g).gateway_id) {
            return Ok(());
        }
        self.counts.intrusions += 1;
        self.note(|| format!("an intruder asks server {s} to be paired as gateway {g}"));
        self.connect(s, g, Peer::Intruder)
    }

    pub(super) fn intruder_receives(
        &mut self,
        link: u64,
        g: usize,
        end: GatewayEnd,
        message: Message,
    ) -> Option<GatewayEnd> {
        let (GatewayEnd::Handshake(state), Message::Flight(flight)) = (end, message) else {
            return None;
        };
        match state.handle(&flight, &mut self.rng).ok()? {
            GatewayStep::Send(state, flight) => {
                let link = self.links.get_mut(&link)?;
                link.to_server.push_back(Message::Flight(flight));
                Some(GatewayEnd::Handshake(state))
            }
            GatewayStep::Proved(_) => {
                self.broken(|| format!("gateway {g}'s key goes to one who never held any"));
                None
            }
        }
    }
}

/// What an intruder brings to a connection.
pub(super) fn intruder_begins(dials: bool) -> Option<(GatewayHandshake, Option<Preamble>)> {
    let config = ResponderConfig {
        suites: Suite::ALL.to_vec(),
        identity: Identity::Pairing,
    };
    GatewayHandshake::start(config, dials).ok()
}
