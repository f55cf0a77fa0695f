//! What has to hold, looked at after every start and every operation.

use std::collections::{BTreeMap, BTreeSet};

use portcullis_common::crypto::storage;
use portcullis_common::id::KeyId;
use portcullis_server::repository::{OpenError, ProtectedType, SealedValue, Sealer, Selection};

use super::history::Found;
use super::model::{Content, Slot};
use super::world::{Stop, World};

/// More than any repository here holds.
const ALL: usize = 100_000;

impl World {
    /// Takes what `init` made as it is.
    pub(super) async fn adopt(&mut self) {
        let _: Result<(), Stop> = self.adopt_all().await;
    }

    async fn adopt_all(&mut self) -> Result<(), Stop> {
        let rows = self.repository()?.database().server_keys().list().await;
        for row in self.stored("the list of server keys", rows)? {
            self.model.keys.insert(row.id);
            if row.current {
                self.model.current.insert(row.id);
            }
        }
        for value in self.values().await? {
            self.model.set(slot(&value), Content::Made);
        }
        Ok(())
    }

    /// Checks every promise but the search, which follows each crash.
    pub(super) async fn check(&mut self) {
        let checked = self.check_all().await;
        if let Err(stop) = checked {
            self.broken(|| format!("the repository cannot be looked at: {stop:?}"));
        }
    }

    async fn check_all(&mut self) -> Result<(), Stop> {
        self.counts.checks += 1;
        self.check_keys().await?;
        self.check_values().await?;
        self.check_audit().await?;
        if !self.is_broken() && self.model.missing.is_empty() {
            self.check_gateways().await?;
        }
        Ok(())
    }

    async fn check_keys(&mut self) -> Result<(), Stop> {
        let rows = self.repository()?.database().server_keys().list().await;
        let rows = self.stored("the list of server keys", rows)?;
        let found: BTreeSet<_> = rows.iter().map(|row| row.id).collect();
        let current: Vec<_> = rows
            .iter()
            .filter(|row| row.current)
            .map(|row| row.id)
            .collect();
        let &[current] = current.as_slice() else {
            self.broken(|| format!("{} server keys are current", current.len()));
            return Ok(());
        };
        let keyring = self.running()?.keys.keyring().clone();
        let held: BTreeSet<_> = keyring.ids().into_iter().collect();
        if held != found || keyring.current() != current {
            self.broken(|| format!("the keyring {keyring:?} lags behind the repository"));
        }
        if let Err(broken) = self.model.look_at_keys(&found, current) {
            self.broken(|| broken);
        }
        for id in found {
            if let Some(key) = keyring.key(id) {
                self.needles
                    .add(key.expose(), || format!("server key {id}"));
            }
        }
        Ok(())
    }

    async fn check_values(&mut self) -> Result<(), Stop> {
        let values = self.values().await?;
        let keyring = self.running()?.keys.keyring().clone();
        let mut seen = BTreeSet::new();
        let mut tallies: BTreeMap<(Option<KeyId>, ProtectedType), u64> = BTreeMap::new();
        let mut found = Found::default();
        for value in &values {
            let slot = slot(value);
            let remembered = matches!(
                value.kind,
                ProtectedType::PasswordHistory | ProtectedType::ResourcePasswordHistory
            );
            let place = value.place().to_string();
            let key = storage::server_key_id(&value.sealed);
            *tallies.entry((key, value.kind)).or_default() += 1;
            let looked = match keyring.open(&value.place(), &value.sealed) {
                Ok(opened) if remembered => {
                    self.counts.opened += 1;
                    found.add(value.kind, &value.owner, Some(&opened));
                    Ok(())
                }
                Ok(opened) => {
                    self.counts.opened += 1;
                    self.model.look(&slot, Some(&opened))
                }
                Err(OpenError::UnknownKey { key, .. }) if self.model.missing.contains(&key) => {
                    self.counts.sealed_for_now += 1;
                    if remembered {
                        found.add(value.kind, &value.owner, None);
                        Ok(())
                    } else {
                        self.model.look_sealed(&slot)
                    }
                }
                Err(error) => Err(format!("it does not open: {error}")),
            };
            if let Err(why) = looked {
                self.broken(|| format!("{place}: {why}"));
            }
            if !seen.insert(slot) {
                self.broken(|| format!("{place}: it stands there twice"));
            }
        }
        for slot in self.model.slots() {
            if !seen.contains(&slot)
                && let Err(why) = self.model.look(&slot, None)
            {
                self.broken(|| format!("the {} of {:02x?}: {why}", slot.kind, slot.owner));
            }
        }
        if let Err(why) = self.model.history.look(found) {
            self.broken(|| why);
        }
        self.check_counts(&tallies).await
    }

    async fn check_counts(
        &mut self,
        tallies: &BTreeMap<(Option<KeyId>, ProtectedType), u64>,
    ) -> Result<(), Stop> {
        let database = self.repository()?.database().clone();
        let counts = database.sealed_values().counts().await;
        let counts = self.stored("the count of the values", counts)?;
        let counted: BTreeMap<_, _> = counts
            .iter()
            .map(|count| ((count.server_key, count.kind), count.values))
            .collect();
        if counted != *tallies {
            self.broken(|| format!("the counts are {counted:?}, and there are {tallies:?}"));
        }
        let rows = database.server_keys().list().await;
        for row in self.stored("the list of server keys", rows)? {
            let under = tallies.iter().filter(|((key, _), _)| *key == Some(row.id));
            let under: u64 = under.map(|(_, values)| values).sum();
            if row.in_use_by != under {
                let id = row.id;
                self.broken(|| {
                    format!("{id} is said to seal {}, and seals {under}", row.in_use_by)
                });
            }
        }
        let holdings = self.repository()?.gateways().holdings().await;
        let holdings = self.stored("the list of holders", holdings)?;
        let keys = self.repository()?.gateway_keys().list().await;
        for key in self.stored("the list of gateway keys", keys)? {
            let holders = holdings.gateways.iter();
            let proved = holders.filter(|it| it.registration.last_proved == Some(key.info.id));
            let proved = proved.count() as u64;
            if key.in_use_by != proved {
                let id = key.info.id;
                self.broken(|| {
                    format!("{id} is said to be held by {}, not {proved}", key.in_use_by)
                });
            }
        }
        Ok(())
    }

    async fn check_audit(&mut self) -> Result<(), Stop> {
        let report = self.running()?.audit.verify(Vec::new()).await;
        let report = self.stored("the audit log's verification", report)?;
        if let Some(fault) = report.faults.first() {
            let fault = fault.to_string();
            self.broken(|| format!("the audit log: {fault}"));
        }
        Ok(())
    }

    /// Each gateway that was not told to enrol again holds a key that the server takes.
    async fn check_gateways(&mut self) -> Result<(), Stop> {
        for g in 0..self.gateways.len() {
            if self.gateways[g].excused {
                continue;
            }
            if !self.shares_a_key(g).await? {
                let record = self.record(g);
                self.broken(|| {
                    format!("gateway {g} holds no key that the server takes: {record:?}")
                });
            }
        }
        Ok(())
    }

    pub(super) async fn values(&mut self) -> Result<Vec<SealedValue>, Stop> {
        let database = self.repository()?.database().clone();
        let values = database
            .sealed_values()
            .batch(Selection::default(), 0, ALL)
            .await;
        self.stored("the list of values", values)
    }
}

fn slot(value: &SealedValue) -> Slot {
    Slot {
        kind: value.kind,
        owner: value.owner.clone(),
        field: value.field.clone(),
    }
}
