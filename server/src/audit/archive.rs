//! Older entries leave the log once they stand in a file, and an anchor stays in their place.
//!
//! ```text
//!   file:  1 … N, head of N          repository:  anchor of N │ N+1 … last
//! ```
//!
//! The anchor has the number and the MAC of the last entry that is gone, and a MAC of its own under
//! the key of the chain: nobody without that key can shorten the log. The file is an export and is
//! verified as one. No entry is in two of them: what a file has beside another is not removed, and
//! whoever made it is told to make it anew.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use super::AuditLog;
use super::chain::Chain;
use super::error::AuditError;
use super::head::Head;
use super::verify::Verifier;
use crate::repository::{AUDIT_MAC_LEN, AuditTip, Repository, RepositoryError};

/// Entries that one transaction removes: others write in between.
const TOGETHER: u64 = 5_000;
/// Entries read at once.
const PAGE: u32 = 1_000;
/// Copies of the log that are remembered.
const MAX_COPIES: usize = 64;

/// Where the log begins: after what was archived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// After this entry.
    At(AuditTip),
    /// What stands in its place was not made by this server.
    Forged,
}

/// Why entries stay where they are.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The log cannot be read or written.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// There is no such entry.
    #[error(
        "entry {0} of the file is not the one in the log: the file is another server's, or of another state of this one"
    )]
    Unknown(u64),
    /// Those up to this one are gone.
    #[error(
        "the entries up to {0} are no longer in the log: another `audit archive` has moved them into its file"
    )]
    Moved(u64),
    /// Another one is under way.
    #[error("another `audit archive` is under way: give this one again once that has ended")]
    UnderWay,
    /// Something is wrong up to there.
    #[error("the log is not sound up to entry {0}: `portcullis audit verify` says why")]
    Unsound(u64),
    /// Entries from this one on are needed.
    #[error(
        "entries from {0} on stay in the log: that one has no outcome yet, was not forwarded yet, or is the last or that of the head file"
    )]
    Needed(u64),
}

impl From<RepositoryError> for ArchiveError {
    fn from(error: RepositoryError) -> Self {
        Self::Audit(error.into())
    }
}

/// Copies of entries that are to be archived: the end of each, and the entry before its first one.
#[derive(Debug, Default)]
pub(super) struct Copies(Mutex<VecDeque<(AuditTip, u64)>>);

impl Copies {
    fn note(&self, end: AuditTip, after: u64) {
        let mut copies = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        copies.retain(|(one, _)| *one != end);
        copies.push_back((end, after));
        if copies.len() > MAX_COPIES {
            copies.pop_front();
        }
    }

    /// `None`: there is none in this run of the server, or too many were made since.
    fn after(&self, end: AuditTip) -> Option<u64> {
        let copies = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = copies.iter().find(|(one, _)| *one == end);
        found.map(|(_, after)| *after)
    }
}

impl AuditLog {
    /// Notes that somebody has a copy of the entries after this one up to `end`, to archive them.
    pub fn copied(&self, after: u64, end: AuditTip) {
        self.copies.note(end, after);
    }

    /// Where the log begins.
    ///
    /// # Errors
    /// [`AuditError`] where it cannot be read.
    pub async fn anchor(&self) -> Result<Anchor, AuditError> {
        let chain = Chain::load(&self.repository, self.server).await?;
        Ok(anchor(&self.repository, &chain).await?)
    }

    /// The head of the entries that may be archived, of those that were written before this time
    /// and are not after entry `most`; `None`: there is none.
    ///
    /// # Errors
    /// [`AuditError`] where it cannot be read.
    pub async fn archivable(&self, before_ms: u64, most: u64) -> Result<Option<Head>, AuditError> {
        let chain = Chain::load(&self.repository, self.server).await?;
        let entries = self.repository.audit_entries();
        let Anchor::At(start) = anchor(&self.repository, &chain).await? else {
            return Ok(None);
        };
        let last = (self.first_needed().await?.saturating_sub(1))
            .min(most)
            .min(entries.last_before(before_ms).await?);
        if last <= start.count {
            return Ok(None);
        }
        let found = entries.scan(last - 1, 1).await?;
        let found = found.first().filter(|entry| entry.seq == last);
        let Some(mac) = found.and_then(|entry| entry.mac.as_slice().try_into().ok()) else {
            return Ok(None);
        };
        let tip = AuditTip { count: last, mac };
        Ok(Some(chain.head(tip, true)?))
    }

    /// Removes the entries up to `end`, which stand in a file: gives how many those were. `most`:
    /// as in [`Self::archivable`].
    ///
    /// # Errors
    /// [`ArchiveError`]; where it failed on the way, some are gone and the log is sound.
    pub async fn archive(&self, end: AuditTip, most: u64) -> Result<u64, ArchiveError> {
        let Ok(_one_at_a_time) = self.archiving.try_lock() else {
            return Err(ArchiveError::UnderWay);
        };
        let chain = Chain::load(&self.repository, self.server).await?;
        let Anchor::At(start) = anchor(&self.repository, &chain).await? else {
            return Err(ArchiveError::Unsound(end.count));
        };
        // What left the log since the copy was made would be in two.
        let after = self.copies.after(end).unwrap_or(start.count);
        if end.count <= start.count || after < start.count {
            return Err(ArchiveError::Moved(end.count.min(start.count)));
        }
        // After a loss of power the log is held against this head, or a later one.
        let head = self.flushed_head().await?;
        let needed = self.first_needed().await?;
        let needed = needed.min(head.count).min(most.saturating_add(1));
        if end.count >= needed {
            return Err(ArchiveError::Needed(needed));
        }
        let steps = self.steps(Verifier::after(chain, start), end).await?;
        let chain = Chain::load(&self.repository, self.server).await?;
        let entries = self.repository.audit_entries();
        for tip in steps {
            let tag = chain.anchor(tip).map_err(AuditError::from)?;
            entries.remove_up_to(tip, tag).await?;
        }
        Ok(end.count.saturating_sub(start.count))
    }

    /// Verifies all up to `end`, and gives the ends of the transactions that remove it.
    async fn steps(
        &self,
        mut verifier: Verifier,
        end: AuditTip,
    ) -> Result<Vec<AuditTip>, ArchiveError> {
        let mut steps = Vec::new();
        let entries = self.repository.audit_entries();
        while verifier.tip().count < end.count {
            let page = entries.scan(verifier.tip().count, PAGE).await?;
            let page = page.iter().take_while(|entry| entry.seq <= end.count);
            let before = verifier.tip().count;
            for entry in page {
                let taken = verifier.take(entry);
                if taken.is_err() || verifier.unchecked().is_some() {
                    return Err(ArchiveError::Unsound(end.count));
                }
                if entry.seq % TOGETHER == 0 {
                    steps.push(verifier.tip());
                }
            }
            if verifier.tip().count == before {
                return Err(ArchiveError::Unknown(end.count));
            }
        }
        if verifier.tip() != end {
            return Err(ArchiveError::Unknown(end.count));
        }
        if steps.last() != Some(&end) {
            steps.push(end);
        }
        Ok(steps)
    }

    /// The first entry that has to stay: one that waits for its outcome, or the last.
    async fn first_needed(&self) -> Result<u64, RepositoryError> {
        let entries = self.repository.audit_entries();
        let last = entries.last().await?.map_or(1, |entry| entry.seq);
        let open = entries.unfinished(0, false).await?;
        Ok(open.first().map_or(last, |entry| entry.seq.min(last)))
    }
}

/// Where the log of `repository` begins.
pub(super) async fn anchor(
    repository: &Repository,
    chain: &Chain,
) -> Result<Anchor, RepositoryError> {
    let stored = repository.audit_entries().anchor().await?;
    Ok(anchored(stored.as_deref(), chain))
}

/// Where a log begins in which this stands in the place of archived entries.
pub(super) fn anchored(stored: Option<&[u8]>, chain: &Chain) -> Anchor {
    match stored {
        None => Anchor::At(AuditTip::BEGINNING),
        Some(stored) => read(stored, chain).map_or(Anchor::Forged, Anchor::At),
    }
}

/// The number, the MAC, and the MAC of both.
fn read(stored: &[u8], chain: &Chain) -> Option<AuditTip> {
    let (count, rest) = stored.split_first_chunk::<8>()?;
    let (mac, tag) = rest.split_first_chunk::<AUDIT_MAC_LEN>()?;
    let tip = AuditTip {
        count: u64::from_be_bytes(*count),
        mac: *mac,
    };
    let tag: [u8; AUDIT_MAC_LEN] = tag.try_into().ok()?;
    chain.made_anchor(tip, &tag).then_some(tip)
}
