//! Reads a journal's bytes: up to their end, to a record that was cut short, or to damage.
//!
//! A failure of power may leave any part of the last writes on the disk. What can be nothing else
//! is dropped; whatever is damaged before is never guessed at.

use portcullis_common::crypto::mac::{MacKey, TAG_LEN};

use super::record::{Front, HEADER, Header, Link, OVERHEAD, Record, verify};

/// Bytes of the records that are written between two flushes, at the most.
pub(super) const MAX_UNFLUSHED: usize = 1 << 20;

/// How the reading ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// With the last byte.
    Whole,
    /// A write was cut short here: what follows was never on the disk for sure.
    Torn,
    /// Something else changed the file here.
    Damaged,
}

/// Reads record by record.
pub(super) struct Replay<'a> {
    bytes: &'a [u8],
    key: &'a MacKey,
    link: Link,
    /// Where the next record begins.
    pub(super) at: usize,
    /// The sequence of the next record.
    pub(super) next: u64,
    /// All up to this sequence is on the disk.
    pub(super) flushed: u64,
}

impl<'a> Replay<'a> {
    /// Of a whole journal; `None` where it has no header under this key.
    pub(super) fn new(bytes: &'a [u8], key: &'a MacKey) -> Option<(Header, Self)> {
        let header = Header::decode(bytes.get(..HEADER)?, key)?;
        let link = bytes.get(HEADER - TAG_LEN..HEADER)?.try_into().ok()?;
        let replay = Self {
            bytes,
            key,
            link,
            at: HEADER,
            next: header.first,
            flushed: header.first.saturating_sub(1),
        };
        Some((header, replay))
    }

    /// The MAC that the next record is taken over.
    pub(super) const fn link(&self) -> &Link {
        &self.link
    }

    /// The next record, with where it begins; `None` at the end, see [`Self::end`].
    pub(super) fn record(&mut self) -> Option<(usize, Record)> {
        let rest = self.bytes.get(self.at..)?;
        let (front, record, link) = verify(rest, self.key, &self.link)?;
        if front.sequence != self.next {
            return None;
        }
        let at = self.at;
        self.at += front.whole();
        self.next += 1;
        self.flushed = self.flushed.max(front.flushed);
        self.link = link;
        Some((at, record))
    }

    /// Why there is no next record.
    pub(super) fn end(&self) -> End {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        if rest.is_empty() {
            return End::Whole;
        }
        let was_flushed = || {
            let mut later = self.later(rest);
            later.any(|(_, front, _)| front.flushed >= self.next)
        };
        if rest.len() > MAX_UNFLUSHED || was_flushed() {
            End::Damaged
        } else {
            End::Torn
        }
    }

    /// Goes on behind what is damaged, where anything can be read there. Answers how many records
    /// are lost.
    pub(super) fn skip(&mut self) -> Option<u64> {
        let rest = self.bytes.get(self.at..)?;
        let (offset, front, link) = self.later(rest).next()?;
        let lost = front.sequence - self.next;
        self.at += offset;
        self.next = front.sequence;
        self.link = link;
        Some(lost)
    }

    /// The sound records within `rest` behind the first, each with where it begins and the MAC
    /// before it.
    fn later(&self, rest: &'a [u8]) -> impl Iterator<Item = (usize, Front, Link)> {
        let starts = 0..rest.len().saturating_sub(OVERHEAD - 1);
        starts.filter_map(move |start| {
            let from = rest.get(start..)?;
            let front = Front::decode(from)?;
            let plausible = front.sequence > self.next && front.flushed < front.sequence;
            if !plausible {
                return None;
            }
            let link = match start.checked_sub(TAG_LEN) {
                Some(from) => rest.get(from..start)?.try_into().ok()?,
                None => self.link,
            };
            verify(from, self.key, &link)?;
            Some((start, front, link))
        })
    }
}
