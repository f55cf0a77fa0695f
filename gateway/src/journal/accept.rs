//! Goes on after damage, at an administrator's word: what can be read is kept, in a new journal.

use std::collections::HashMap;
use std::sync::Arc;

use super::disk::{self, Draft};
use super::keys::Keys;
use super::record::{Header, Record};
use super::replay::{End, Replay};
use super::{CallKey, FILE, now};
use crate::state_dir::{StateDir, StateDirError};

/// Where the damaged one goes.
const DAMAGED: &str = "journal.damaged";

/// What became of a damaged journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Calls that the new one has.
    pub kept: usize,
    /// Records that could not be read, as far as that can be told.
    pub lost: u64,
}

/// Begins a new journal with all that can be read of a damaged one, which is kept beside it.
/// `None`: there is no damage. No gateway may run on the folder meanwhile.
///
/// What was lost nobody knows: looks at calls that were accepted before now, and are not in the new
/// journal, are answered that it has forgotten them, and servers see that it is another.
///
/// # Errors
/// [`StateDirError`] where the folder is unsafe, or cannot be read or written.
pub fn accept(folder: &StateDir) -> Result<Option<Accepted>, StateDirError> {
    let Some(bytes) = disk::bytes(folder)? else {
        return Ok(None);
    };
    let (keys, found) = match Keys::load(folder)? {
        Some(keys) => {
            let found = salvage(&bytes, &keys);
            (keys, found)
        }
        None => (Keys::create(folder)?, Some(Salvaged::default())),
    };
    let Some(found) = found else {
        return Ok(None);
    };
    let header = Header {
        incarnation: rand::random(),
        created: now(),
        forgotten: found.forgotten,
        first: 1,
    };
    let (mut new, mut draft) = disk::rewrite(&Arc::new(keys.records), &header);
    let kept = found.write(&mut draft);
    new.extend(draft.take_bytes());
    folder.rename(FILE, DAMAGED)?;
    disk::create(folder, &new)?;
    Ok(Some(Accepted {
        kept,
        lost: found.lost,
    }))
}

/// What can be read of a damaged journal.
#[derive(Default)]
struct Salvaged {
    /// The last record of each call, in the order in which the calls came.
    records: Vec<Record>,
    places: HashMap<CallKey, usize>,
    forgotten: u64,
    lost: u64,
}

/// `None`: it is not damaged.
fn salvage(bytes: &[u8], keys: &Keys) -> Option<Salvaged> {
    let mut salvaged = Salvaged::default();
    let Some((header, mut replay)) = Replay::new(bytes, &keys.records) else {
        return Some(salvaged);
    };
    salvaged.forgotten = header.forgotten.min(now());
    let mut damaged = header.is_ahead(now());
    loop {
        while let Some((_, record)) = replay.record() {
            salvaged.take(keys, record);
        }
        damaged |= replay.end() == End::Damaged;
        match replay.skip() {
            Some(lost) => salvaged.lost += lost,
            None => return damaged.then_some(salvaged),
        }
    }
}

impl Salvaged {
    fn take(&mut self, keys: &Keys, mut record: Record) {
        let Some(key) = disk::key_of(keys, &record) else {
            return;
        };
        // What a lost acknowledgement said, the server says again or never.
        if let Record::Ended(ended) = &mut record {
            ended.acknowledged = true;
        }
        if let Some(place) = self.places.get(&key).copied() {
            if let Some(there) = self.records.get_mut(place) {
                *there = record;
            }
            return;
        }
        self.places.insert(key, self.records.len());
        self.records.push(record);
    }

    fn write(&self, draft: &mut Draft) -> usize {
        let records = self.records.iter();
        records.map(|record| draft.append(record)).count()
    }
}
