//! Keys exported, deleted and imported again.

use std::collections::BTreeSet;
use std::fs;

use portcullis_common::crypto::storage;
use portcullis_common::id::KeyId;
use portcullis_server::keys::protection::Secret;
use portcullis_server::keys::protection::pbe::Kdf;
use portcullis_server::keys::transfer::{ExportProtection, ExportSelection};
use portcullis_server::keys::{DeleteError, Deletion};
use portcullis_server::repository::ProtectedType;
use rand::RngExt;

use super::Fault;
use super::model::{Content, Export};
use super::world::{Stop, World, gateway_key_slot};

/// Exports of one world.
const MAX_EXPORTS: usize = 6;

impl World {
    /// Every key, under a passphrase of its own.
    pub(super) async fn export(&mut self) -> Result<(), Stop> {
        if self.model.exports.len() >= MAX_EXPORTS {
            return Err(Stop::Refused("there are exports enough".to_owned()));
        }
        let passphrase = Secret::random(&mut rand::rng());
        self.secrets.add(passphrase.expose(), || {
            "the passphrase of an export".to_owned()
        });
        let server_keys = self.server_key_rows().await?;
        let gateway_keys = self.repository()?.gateway_keys().list().await;
        let gateway_keys = self.stored("the list of gateway keys", gateway_keys)?;
        let protection = ExportProtection::Passphrase {
            passphrase: passphrase.clone(),
            kdf: Kdf::Pbkdf2,
        };
        let running = self.running()?;
        let exported = running
            .keys
            .export(self.server_id, ExportSelection::default(), protection)
            .await;
        let (text, entries) = self.opened("export", exported)?;
        if entries.len() != server_keys.len() + gateway_keys.len() {
            self.broken(|| format!("an export of all keys holds {}", entries.len()));
        }
        let path = self
            .exports
            .join(format!("{}.keys", self.model.exports.len()));
        if let Err(error) = fs::write(&path, text) {
            self.broken(|| format!("an export cannot be written: {error}"));
        }
        self.counts.exports += 1;
        let contents = gateway_keys.iter().filter_map(|row| {
            let content = self.model.content(&gateway_key_slot(row.info.id))?;
            Some((row.info.id, content))
        });
        let contents = contents.collect();
        self.model.exports.push(Export {
            path,
            passphrase,
            server_keys: server_keys.iter().map(|row| row.id).collect(),
            contents,
        });
        Ok(())
    }

    /// Any export; where keys were deleted by force, mostly one that brings one back.
    pub(super) async fn import(&mut self) -> Result<(), Stop> {
        let missing = self.model.missing.clone();
        let useful = |export: &&Export| !export.server_keys.is_disjoint(&missing);
        let all: Vec<_> = self.model.exports.to_vec();
        let of_use: Vec<_> = all.iter().filter(useful).cloned().collect();
        let choice = match of_use.is_empty() || self.rng.random_bool(0.2) {
            true => all,
            false => of_use,
        };
        if choice.is_empty() {
            return Err(Stop::Refused("there is no export".to_owned()));
        }
        let export = choice[self.rng.random_range(0..choice.len())].clone();
        self.import_from(&export).await
    }

    async fn import_from(&mut self, export: &Export) -> Result<(), Stop> {
        let content = match fs::read(&export.path) {
            Ok(content) => content,
            Err(error) => {
                self.broken(|| format!("an export cannot be read: {error}"));
                return Err(Stop::Lost);
            }
        };
        self.model.may_come.extend(&export.server_keys);
        for id in export.contents.keys() {
            if let Some(content) = export.contents.get(id) {
                self.model
                    .may_become(gateway_key_slot(*id), content.clone());
            }
        }
        let keys = self.running()?.keys.clone();
        let passphrase = export.passphrase.clone();
        let imported = keys.import(&content, Some(passphrase), false).await;
        let imported = self.stored("import", imported)?;
        if imported.damaged > 0 {
            self.broken(|| format!("an import tells of {} damaged values", imported.damaged));
        }
        let here: BTreeSet<_> = self
            .server_key_rows()
            .await?
            .iter()
            .map(|row| row.id)
            .collect();
        if !export.server_keys.is_subset(&here) {
            self.broken(|| "an import left out a server key".to_owned());
        }
        self.counts.imports += 1;
        Ok(())
    }

    /// At the end: what was deleted by force comes back.
    pub(super) async fn bring_back_missing(&mut self) {
        for export in self.model.exports.clone() {
            if !export.server_keys.is_disjoint(&self.model.missing) {
                if let Err(stop) = self.import_from(&export).await {
                    self.broken(|| format!("deleted keys do not come back: {stop:?}"));
                }
                self.check().await;
            }
        }
        if !self.model.missing.is_empty() {
            self.broken(|| "a key that was deleted by force was never exported".to_owned());
        }
    }

    /// A server key that may be in use: then it is refused.
    pub(super) async fn delete_server_key(&mut self) -> Result<(), Stop> {
        let Some(id) = self.any_server_key().await? else {
            return Ok(());
        };
        let used = self.values_under(id).await?;
        self.model.may_go.insert(id);
        self.retire(id).await?;
        let how = match self.fault == Some(Fault::DeleteBlindly) {
            true => Deletion::Forced,
            false => Deletion::Unused,
        };
        let keys = self.running()?.keys.clone();
        match keys.delete(id, how).await {
            Err(error @ DeleteError::CurrentServerKey(_)) => Err(Stop::Refused(error.to_string())),
            Err(DeleteError::ValuesDepend { values, .. }) => {
                let told: u64 = values.iter().map(|values| values.count).sum();
                if told != used {
                    self.broken(|| {
                        format!("{told} values are said to depend on {id}, and {used} do")
                    });
                }
                Err(Stop::Refused("values depend on it".to_owned()))
            }
            other => {
                let deleted = self.stored("delete", other)?;
                self.counts.server_keys_deleted += 1;
                self.scrubbed(deleted.not_scrubbed)
            }
        }
    }

    /// One that an export brings back, and on which the audit log does not depend.
    pub(super) async fn delete_by_force(&mut self) -> Result<(), Stop> {
        if self.model.exports.len() < MAX_EXPORTS && self.model.missing.is_empty() {
            self.export().await?;
        }
        let current = self.running()?.keys.keyring().current();
        let audit = self.values().await?.into_iter();
        let audit = audit.filter(|value| value.kind == ProtectedType::AuditKey);
        let audit: Vec<_> = audit
            .filter_map(|value| storage::server_key_id(&value.sealed))
            .collect();
        let exported: BTreeSet<_> = self
            .model
            .exports
            .iter()
            .flat_map(|export| export.server_keys.iter().copied())
            .collect();
        let rows = self.server_key_rows().await?.into_iter().map(|row| row.id);
        let free: Vec<_> = rows
            .filter(|id| *id != current && !audit.contains(id) && exported.contains(id))
            .collect();
        if free.is_empty() {
            return Err(Stop::Refused("no key may be deleted by force".to_owned()));
        }
        let id = free[self.rng.random_range(0..free.len())];
        // The authority key goes under the current key before anything is deleted by force.
        let values = self.values().await?.into_iter();
        let used = values
            .filter(|value| value.kind != ProtectedType::AuthorityKey)
            .filter(|value| storage::server_key_id(&value.sealed) == Some(id))
            .count() as u64;
        self.model.may_go.insert(id);
        self.model.may_be_missed.insert(id);
        self.retire(id).await?;
        let keys = self.running()?.keys.clone();
        let deleted = keys.delete(id, Deletion::Forced).await;
        let deleted = self.stored("delete --force", deleted)?;
        let lost = deleted.closed_after - deleted.closed_before;
        if lost != used {
            self.broken(|| {
                format!("delete --force tells of {lost} values, and {used} depend on {id}")
            });
        }
        self.counts.deleted_by_force += 1;
        self.scrubbed(deleted.not_scrubbed)
    }

    /// A gateway key, with `forced` whoever depends on it.
    pub(super) async fn delete_gateway_key(&mut self, forced: bool) -> Result<(), Stop> {
        let keys = self.repository()?.gateway_keys().list().await;
        let keys = self.stored("the list of gateway keys", keys)?;
        let at = self.rng.random_range(0..keys.len().max(1));
        let Some(key) = keys.get(at) else {
            return Ok(());
        };
        let id = key.info.id;
        let slot = gateway_key_slot(id);
        if forced {
            for gateway in &mut self.gateways {
                gateway.excused = true;
            }
        }
        self.model.may_become(slot.clone(), Content::None);
        let how = match forced {
            true => Deletion::Forced,
            false => Deletion::Unused,
        };
        let keys = self.running()?.keys.clone();
        match keys.delete(id, how).await {
            Err(DeleteError::GatewayKey(error)) => Err(Stop::Refused(error.to_string())),
            other => {
                let deleted = self.stored("delete", other)?;
                self.counts.gateway_keys_deleted += 1;
                self.model.set(slot, Content::None);
                self.scrubbed(deleted.not_scrubbed)
            }
        }
    }

    async fn retire(&mut self, id: KeyId) -> Result<(), Stop> {
        let rows = self.server_key_rows().await?;
        let wrapped = rows.into_iter().filter(|row| row.id == id);
        self.retired_wraps.extend(wrapped.map(|row| row.wrapped));
        Ok(())
    }

    async fn values_under(&mut self, id: KeyId) -> Result<u64, Stop> {
        let values = self.values().await?;
        let under = values
            .iter()
            .filter(|value| storage::server_key_id(&value.sealed) == Some(id));
        Ok(under.count() as u64)
    }
}
