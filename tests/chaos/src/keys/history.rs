//! The histories as they have to be: their entries stand at places that the product chooses.

use std::collections::BTreeMap;

use portcullis_server::repository::ProtectedType;

struct Entry {
    kind: ProtectedType,
    owner: Vec<u8>,
    digest: Vec<u8>,
    /// It is there; otherwise an interrupted operation left that open.
    certain: bool,
}

/// Every digest that was remembered.
#[derive(Default)]
pub(super) struct History(Vec<Entry>);

/// What a look at the repository found: digests that opened, and how many values stay sealed.
#[derive(Default)]
pub(super) struct Found(BTreeMap<(ProtectedType, Vec<u8>), OfOwner>);

/// The digests of one owner that opened, and how many did not.
type OfOwner = (Vec<Vec<u8>>, usize);

impl Found {
    pub(super) fn add(&mut self, kind: ProtectedType, owner: &[u8], digest: Option<&[u8]>) {
        let (opened, closed) = self.0.entry((kind, owner.to_vec())).or_default();
        match digest {
            Some(digest) => opened.push(digest.to_vec()),
            None => *closed += 1,
        }
    }
}

impl History {
    /// An operation begins that may remember this.
    pub(super) fn may_come(&mut self, kind: ProtectedType, owner: &[u8], digest: &[u8]) {
        self.0.push(Entry {
            kind,
            owner: owner.to_vec(),
            digest: digest.to_vec(),
            certain: false,
        });
    }

    pub(super) fn certain(&mut self, digest: &[u8]) {
        let entries = self.0.iter_mut().filter(|entry| entry.digest == digest);
        entries.for_each(|entry| entry.certain = true);
    }

    /// An operation begins that may forget all of `owner`.
    pub(super) fn may_forget(&mut self, owner: &[u8]) {
        let entries = self.0.iter_mut().filter(|entry| entry.owner == owner);
        entries.for_each(|entry| entry.certain = false);
    }

    pub(super) fn forget(&mut self, owner: &[u8]) {
        self.0.retain(|entry| entry.owner != owner);
    }

    /// Compares, and settles what was open; `Err`: the promise that was broken.
    pub(super) fn look(&mut self, found: Found) -> Result<(), String> {
        let mut found = found.0;
        let mut kept = Vec::new();
        let mut unseen = Vec::new();
        for mut entry in std::mem::take(&mut self.0) {
            let there = found.get_mut(&(entry.kind, entry.owner.clone()));
            let at = there
                .as_ref()
                .and_then(|(opened, _)| opened.iter().position(|digest| *digest == entry.digest));
            match (there, at) {
                (Some((opened, _)), Some(at)) => {
                    opened.swap_remove(at);
                    entry.certain = true;
                    kept.push(entry);
                }
                _ => unseen.push(entry),
            }
        }
        // Those that have to be there first: what cannot be opened just now may be any of them.
        unseen.sort_by_key(|entry| !entry.certain);
        for entry in unseen {
            let there = found.get_mut(&(entry.kind, entry.owner.clone()));
            match there.filter(|(_, closed)| *closed > 0) {
                Some((_, closed)) => {
                    *closed -= 1;
                    kept.push(entry);
                }
                None if entry.certain => {
                    return Err(format!("a digest of the {} is gone", entry.kind));
                }
                None => {}
            }
        }
        self.0 = kept;
        let mut left = found.iter();
        match left.find(|(_, (opened, closed))| !opened.is_empty() || *closed > 0) {
            Some(((kind, _), _)) => Err(format!(
                "a digest of the {kind} came from nowhere, or twice"
            )),
            None => Ok(()),
        }
    }
}
