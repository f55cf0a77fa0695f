//! What an earlier run has left, read from its file.

use std::collections::HashSet;
use std::io;

use sha2::{Digest as _, Sha256};

use crate::reconcile::compare::Kind;
use crate::reconcile::entry::Entry;
use crate::reconcile::side::Side;
use crate::reconcile::watch::Watch;

/// Bytes of a record at the most: what is longer was not written here.
pub(super) const MOST_RECORD: usize = 16 << 20;
/// Bytes of a checksum.
pub(super) const SUM: usize = 16;

pub(super) const TOKEN: u8 = 1;
pub(super) const BLIND: u8 = 2;
pub(super) const ENTRY: u8 = 3;
pub(super) const NAME: u8 = 4;
pub(super) const PAGE: u8 = 5;
pub(super) const DONE: u8 = 6;
pub(super) const BEGUN: u8 = 7;
/// What was read before does not count: repairs have begun.
pub(super) const ANEW: u8 = 8;

/// What an earlier run has read of a resource.
pub(crate) struct Listed {
    pub(crate) watch: Watch,
    pub(crate) side: Side,
    /// Where the next page starts; empty: from the start.
    pub(crate) cookie: Vec<u8>,
    /// All of it was listed.
    pub(crate) done: bool,
}

/// Repairs that were begun: how the object differed, and its name.
pub(crate) type Begun = HashSet<(&'static str, String)>;

/// What an earlier run has left.
#[derive(Default)]
pub(super) struct Left {
    pub(super) sides: [Option<Listed>; 2],
    pub(super) names: Vec<String>,
    pub(super) begun: Begun,
}

impl Left {
    /// Takes the records of a file; answers how many bytes of them are closed.
    pub(super) fn records(&mut self, reader: &mut impl io::Read) -> io::Result<u64> {
        let (mut closed, mut open) = (0, 0);
        let mut pending = Vec::new();
        let mut sum = Sha256::new();
        while let Some(record) = next(reader) {
            open += record.len() as u64 + 4;
            let Some((kind, content)) = record.split_first() else {
                break;
            };
            if *kind < PAGE {
                add(&mut sum, &record);
                pending.push(record);
                continue;
            }
            let Some((content, kept)) = content.split_last_chunk::<SUM>() else {
                break;
            };
            add(&mut sum, record.get(..=content.len()).unwrap_or_default());
            if short(std::mem::take(&mut sum)) != *kept {
                break;
            }
            for record in pending.drain(..) {
                self.take(&record)?;
            }
            self.close(*kind, content)?;
            closed = open;
        }
        Ok(closed)
    }

    /// A record that does not close.
    fn take(&mut self, record: &[u8]) -> io::Result<()> {
        let (kind, content) = record.split_first().ok_or_else(broken)?;
        if *kind == NAME {
            self.names.push(text(content)?);
            return Ok(());
        }
        let (side, content) = self.side(content)?;
        match *kind {
            TOKEN => *side = Some(Listed::from(Watch::From(content.to_vec()))?),
            BLIND => *side = Some(Listed::from(Watch::Blind(text(content)?))?),
            ENTRY => {
                let entry = Entry::decode(content).ok_or_else(broken)?;
                let side = &mut side.as_mut().ok_or_else(broken)?.side;
                side.has_digests |= entry.is_opaque();
                side.entries.push(content).map_err(io::Error::other)?;
            }
            _ => return Err(broken()),
        }
        Ok(())
    }

    /// One that does.
    fn close(&mut self, kind: u8, content: &[u8]) -> io::Result<()> {
        match kind {
            PAGE | DONE => {
                let (side, cookie) = self.side(content)?;
                let side = side.as_mut().ok_or_else(broken)?;
                side.cookie = cookie.to_vec();
                side.done = kind == DONE;
            }
            BEGUN => {
                let content = text(content)?;
                let (word, name) = content.split_once(' ').ok_or_else(broken)?;
                let kinds = [Kind::Missing, Kind::Unknown, Kind::Changed];
                let mut words = kinds.into_iter().map(Kind::word);
                let word = words.find(|it| *it == word).ok_or_else(broken)?;
                self.begun.insert((word, name.to_owned()));
            }
            ANEW => self.sides = [None, None],
            _ => return Err(broken()),
        }
        Ok(())
    }

    fn side<'a>(&mut self, content: &'a [u8]) -> io::Result<(&mut Option<Listed>, &'a [u8])> {
        let (which, content) = content.split_first().ok_or_else(broken)?;
        let side = self.sides.get_mut(usize::from(*which));
        Ok((side.ok_or_else(broken)?, content))
    }
}

impl Listed {
    fn from(watch: Watch) -> io::Result<Self> {
        Ok(Self {
            watch,
            side: Side::new().map_err(io::Error::other)?,
            cookie: Vec::new(),
            done: false,
        })
    }
}

/// The next record that is whole.
fn next(reader: &mut impl io::Read) -> Option<Vec<u8>> {
    let mut length = [0; 4];
    reader.read_exact(&mut length).ok()?;
    let length = usize::try_from(u32::from_be_bytes(length)).ok()?;
    let mut record = vec![0; Some(length).filter(|length| *length <= MOST_RECORD)?];
    reader.read_exact(&mut record).ok()?;
    Some(record)
}

/// Adds a record to a checksum.
pub(super) fn add(sum: &mut Sha256, record: &[u8]) {
    sum.update((record.len() as u64).to_be_bytes());
    sum.update(record);
}

/// The checksum.
pub(super) fn short(sum: Sha256) -> [u8; SUM] {
    let sum: [u8; 32] = sum.finalize().into();
    sum.first_chunk().copied().unwrap_or_default()
}

fn text(bytes: &[u8]) -> io::Result<String> {
    String::from_utf8(bytes.to_vec()).map_err(|_| broken())
}

fn broken() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        "it cannot be understood: remove it to begin anew",
    )
}
