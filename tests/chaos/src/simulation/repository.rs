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
    rows: Vec<Row>,
}

/// A registration as the file holds it.
struct Row {
    registration: Registration,
    /// Its MAC is not that of what stands there.
    forged: bool,
}

impl Repository {
    pub(super) fn new(rng: &mut ChaCha12Rng) -> Self {
        let mut repository = Self {
            keys: Vec::new(),
            secrets: BTreeMap::new(),
            diversified: BTreeMap::new(),
            rows: Vec::new(),
        };
        repository.rotate(KeyKind::Tdes, Fate::Retired, UnixMillis(0), rng);
        repository
    }

    /// What stands in a gateway's row, whoever wrote it there.
    pub(super) fn stored(&self, g: usize) -> &Registration {
        &self.rows[g].registration
    }

    /// Whether the row is refused wherever a server reads it.
    pub(super) fn is_forged(&self, g: usize) -> bool {
        self.rows[g].forged
    }

    /// How many gateways have a name here.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// A server stores a registration, with a MAC that fits: of one gateway more, or of one that
    /// has its row already.
    pub(super) fn store(&mut self, g: usize, registration: Registration) {
        let row = Row {
            registration,
            forged: false,
        };
        match self.rows.get_mut(g) {
            Some(former) => *former = row,
            None => self.rows.push(row),
        }
    }

    /// Somebody without the server's secret writes a row; `covered` says whether the MAC covers
    /// what he changed.
    pub(super) fn forge(&mut self, g: usize, registration: Registration, covered: bool) {
        let row = &mut self.rows[g];
        row.registration = registration;
        row.forged |= covered;
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
