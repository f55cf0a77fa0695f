//! The one repository of both servers: its transactions are atomic, and survive every crash.

use std::collections::BTreeMap;

use portcullis_common::crypto::kdf;
use portcullis_common::id::{GatewayId, KeyId, KeyKind};
use portcullis_common::rotation::{GatewayKeyInfo, HeldKey, Policy, Registration, UnixMillis};
use portcullis_common::secret::{GatewayKey, MasterKey};
use rand::RngExt;
use rand_chacha::ChaCha12Rng;

pub(super) const MINUTE: u64 = 60_000;
pub(super) const HOUR: u64 = 60 * MINUTE;
pub(super) const DAY: u64 = 24 * HOUR;

pub(super) const POLICY: Policy = Policy {
    retired_key_grace_ms: 90 * DAY,
};

/// What becomes of the key that a rotation replaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Retired,
    /// Rolled back: never sent again.
    Withdrawn,
    /// Refused at once.
    Compromised,
}

/// What all servers share.
pub(super) struct Repository {
    /// In the order of their generations; the last is the current one.
    pub(super) keys: Vec<GatewayKeyInfo>,
    secrets: BTreeMap<KeyId, GatewayKey>,
    diversified: BTreeMap<(KeyId, GatewayId), MasterKey>,
    /// One for each gateway's name; the names are numbers here.
    pub(super) registrations: Vec<Registration>,
}

impl Repository {
    pub(super) fn new(rng: &mut ChaCha12Rng) -> Self {
        let mut repository = Self {
            keys: Vec::new(),
            secrets: BTreeMap::new(),
            diversified: BTreeMap::new(),
            registrations: Vec::new(),
        };
        repository.rotate(KeyKind::Tdes, Fate::Retired, UnixMillis(0), rng);
        repository
    }

    /// The key that every gateway is to hold.
    pub(super) fn current(&self) -> Option<GatewayKeyInfo> {
        self.keys.last().copied()
    }

    /// A new current key; the former one is retired, and withdrawn or refused at once where `fate`
    /// says so, at times with all before it.
    pub(super) fn rotate(
        &mut self,
        kind: KeyKind,
        fate: Fate,
        now: UnixMillis,
        rng: &mut ChaCha12Rng,
    ) {
        if let Some(former) = self.keys.last_mut() {
            former.retired = Some(now);
            former.compromised = fate == Fate::Compromised;
            former.withdrawn = fate == Fate::Withdrawn;
        }
        // The server refuses all older keys together; the rules must hold whichever of them are
        // refused.
        if fate == Fate::Compromised && rng.random() {
            for older in &mut self.keys {
                older.compromised = true;
            }
        }
        let id = KeyId::random(kind, rng);
        self.secrets.insert(id, GatewayKey::random(kind, rng));
        self.keys.push(GatewayKeyInfo {
            id,
            generation: self.keys.len() as u64 + 1,
            retired: None,
            compromised: false,
            withdrawn: false,
        });
    }

    pub(super) fn info(&self, id: KeyId) -> Option<&GatewayKeyInfo> {
        self.keys.iter().find(|key| key.id == id)
    }

    /// The generation of a gateway key; `None` for an enrolment key.
    pub(super) fn generation(&self, id: KeyId) -> Option<u64> {
        self.info(id).map(|key| key.generation)
    }

    /// The master key of `gateway_id` under the gateway key `id`.
    pub(super) fn master_key(&mut self, id: KeyId, gateway_id: GatewayId) -> Option<HeldKey> {
        let secret = self.secrets.get(&id)?;
        let key = self
            .diversified
            .entry((id, gateway_id))
            .or_insert_with(|| kdf::diversify(secret, gateway_id))
            .clone();
        Some(HeldKey { id, key })
    }
}
