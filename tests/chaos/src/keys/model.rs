//! What the repository has to hold, kept beside it. What a crash leaves open is settled by the next
//! look: it has to be the state before the operation or the one after it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use portcullis_common::id::KeyId;
use portcullis_server::keys::protection::Secret;
use portcullis_server::repository::ProtectedType;
use zeroize::Zeroizing;

use super::history::History;

/// The place of a sealed value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Slot {
    pub(super) kind: ProtectedType,
    pub(super) owner: Vec<u8>,
    pub(super) field: String,
}

/// What may stand at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// Nothing.
    None,
    /// This.
    Is(Zeroizing<Vec<u8>>),
    /// What the product made of something: whatever the next look finds has to stay.
    Made,
}

impl Content {
    pub(super) fn is(bytes: &[u8]) -> Self {
        Self::Is(Zeroizing::new(bytes.to_vec()))
    }
}

/// An export file, with every key that there was.
#[derive(Clone)]
pub(super) struct Export {
    pub(super) path: PathBuf,
    pub(super) passphrase: Secret,
    pub(super) server_keys: BTreeSet<KeyId>,
    /// The gateway keys in it.
    pub(super) contents: BTreeMap<KeyId, Content>,
}

#[derive(Default)]
pub(super) struct Model {
    /// By place: what may stand there, one of them.
    values: BTreeMap<Slot, Vec<Content>>,
    /// The server keys of the repository.
    pub(super) keys: BTreeSet<KeyId>,
    /// Which of them seals: one of these.
    pub(super) current: BTreeSet<KeyId>,
    /// Keys that may have come, or gone, by an operation that was interrupted.
    pub(super) may_come: BTreeSet<KeyId>,
    pub(super) may_go: BTreeSet<KeyId>,
    /// Keys that the product may have made, and whose ids nobody was told.
    pub(super) unnamed: usize,
    /// Such a key may be the one that seals.
    pub(super) unnamed_current: bool,
    /// Digests of earlier passwords.
    pub(super) history: History,
    /// Server keys that were deleted by force, and what was sealed under them stays.
    pub(super) missing: BTreeSet<KeyId>,
    /// Those that an operation may delete by force.
    pub(super) may_be_missed: BTreeSet<KeyId>,
    pub(super) exports: Vec<Export>,
}

impl Model {
    /// This is to stand at `slot` now, and nothing else.
    pub(super) fn set(&mut self, slot: Slot, content: Content) {
        self.values.insert(slot, vec![content]);
    }

    /// An operation begins that may put this there.
    pub(super) fn may_become(&mut self, slot: Slot, content: Content) {
        let may = self
            .values
            .entry(slot)
            .or_insert_with(|| vec![Content::None]);
        if !may.contains(&content) {
            may.push(content);
        }
    }

    /// Every place that holds or may hold something.
    pub(super) fn slots(&self) -> Vec<Slot> {
        self.values.keys().cloned().collect()
    }

    /// What stands at `slot`, as the last look left it.
    pub(super) fn content(&self, slot: &Slot) -> Option<Content> {
        let mut may = self.values.get(slot)?.iter();
        may.rfind(|content| **content != Content::None).cloned()
    }

    /// Looks at what stands at `slot`; `Err`: what should stand there.
    pub(super) fn look(&mut self, slot: &Slot, found: Option<&[u8]>) -> Result<(), String> {
        let found_content = found.map_or(Content::None, Content::is);
        let may = self.values.get(slot).map_or(&[][..], Vec::as_slice);
        let nothing = may.is_empty() && found.is_none();
        let allowed = may.iter().any(|content| match content {
            Content::Made => found.is_some(),
            other => *other == found_content,
        });
        if !(allowed || nothing) {
            return Err(match (may.is_empty(), found.is_some()) {
                (true, _) => "nothing was ever stored there".to_owned(),
                (false, false) => "what was stored there is gone".to_owned(),
                (false, true) => "it opens to something else than was stored".to_owned(),
            });
        }
        match found {
            Some(_) => self.values.insert(slot.clone(), vec![found_content]),
            None => self.values.remove(slot),
        };
        Ok(())
    }

    /// What stands at `slot` cannot be opened just now.
    pub(super) fn look_sealed(&mut self, slot: &Slot) -> Result<(), String> {
        match self.values.get(slot) {
            Some(may) if may.iter().any(|content| *content != Content::None) => Ok(()),
            _ => Err("nothing was ever stored there".to_owned()),
        }
    }

    /// Settles which server keys there are; `Err`: the promise that was broken.
    pub(super) fn look_at_keys(
        &mut self,
        found: &BTreeSet<KeyId>,
        current: KeyId,
    ) -> Result<(), String> {
        for gone in self.keys.difference(found) {
            if !self.may_go.contains(gone) {
                return Err(format!("server key {gone} is gone, and nobody deleted it"));
            }
        }
        let new: Vec<_> = found.difference(&self.keys).copied().collect();
        let named = new.iter().filter(|id| self.may_come.contains(id)).count();
        if new.len() - named > self.unnamed {
            return Err(format!("server keys came from nowhere: {new:?}"));
        }
        let by_chance = self.unnamed_current && new.contains(&current);
        if !self.current.contains(&current) && !by_chance {
            return Err(format!("server key {current} seals, and nobody chose it"));
        }
        if !found.contains(&current) {
            return Err(format!("server key {current} seals and is not there"));
        }
        self.missing.retain(|id| !found.contains(id));
        let gone = self.keys.difference(found);
        let by_force = gone.filter(|id| self.may_be_missed.contains(id));
        let by_force: Vec<_> = by_force.copied().collect();
        self.missing.extend(by_force);
        self.may_be_missed.clear();
        self.keys.clone_from(found);
        self.current = BTreeSet::from([current]);
        self.may_come.clear();
        self.may_go.clear();
        self.unnamed = 0;
        self.unnamed_current = false;
        Ok(())
    }
}
