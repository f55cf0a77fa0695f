//! Which of the entries of one object counts, where it changed while its resource was read.
//!
//! Those of the listing have the number 0. What is seen afterwards has a number of its own, greater
//! than all before it, and of the entries of one object the one with the greatest number counts;
//! none does where the object is gone.

use std::collections::HashMap;

use sha2::{Digest as _, Sha256};

use super::entry::Parts;
use crate::error::CliError;

/// Objects that may change while a resource is read. Each takes some 40 bytes of memory.
const MOST: usize = 1_000_000;

/// Of an id, in its place: ids are as long as a resource likes.
type Short = [u8; 16];

/// The greatest number of each object that was seen after the listing.
#[derive(Debug, Default)]
pub(crate) struct Revisions {
    last: HashMap<Short, u32>,
    next: u32,
}

impl Revisions {
    /// The object with this id was seen again, or is gone: no entry of it counts but one with the
    /// number that this answers.
    ///
    /// # Errors
    /// [`CliError::ReconcileIncomplete`] where more objects have changed than can be followed.
    pub(crate) fn revised(&mut self, id: &str) -> Result<u32, CliError> {
        self.next = self.next.saturating_add(1);
        self.last.insert(short(id.as_bytes()), self.next);
        if self.last.len() > MOST || self.next == u32::MAX {
            let why = format!("more than {MOST} objects changed while the resource was read");
            let why = format!("{why}: run it again when less is going on");
            return Err(CliError::ReconcileIncomplete {
                source: Box::new(CliError::Usage(why)),
                next: "",
            });
        }
        Ok(self.next)
    }

    /// Whether no object was seen after the listing.
    pub(crate) fn is_empty(&self) -> bool {
        self.last.is_empty()
    }

    /// Whether another entry of the same object counts, or none.
    pub(crate) fn outdate(&self, entry: &Parts<'_>) -> bool {
        let last = entry.id.and_then(|id| self.last.get(&short(id)));
        last.is_some_and(|last| *last != entry.number)
    }
}

fn short(id: &[u8]) -> Short {
    let digest: [u8; 32] = Sha256::digest(id).into();
    digest.first_chunk().copied().unwrap_or_default()
}
