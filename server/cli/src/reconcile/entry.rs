//! An object as it is compared: its name, and keyed digests of its attributes.
//!
//! By the million they are kept as bytes, and few of them are ever taken apart:
//!
//! ```text
//! length of the key, 4 bytes · flags · key · [name] · [id] · [whole] · [place] · [number]
//! · [digests]
//! ```
//!
//! What stands in brackets is there where a flag says so; a name that is the key is not.

use std::cmp::Ordering;

use portcullis_common::listing::{DIGEST_LEN, Digest};

use crate::import::row::RowPlace;

const NAME: u8 = 1;
const ID: u8 = 1 << 1;
const WHOLE: u8 = 1 << 2;
const PLACE: u8 = 1 << 3;
const NUMBER: u8 = 1 << 4;
const DIGESTS: u8 = 1 << 5;
const DISABLED: u8 = 1 << 6;
const ENABLED: u8 = 1 << 7;

/// Bytes before the key.
const BEFORE_KEY: usize = 5;

/// One object of one side.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entry {
    /// What it is sorted and met by.
    pub(crate) key: String,
    pub(crate) name: String,
    /// Of an object of a resource.
    pub(crate) id: Option<String>,
    /// Where in a file it stands.
    pub(crate) place: Option<RowPlace>,
    pub(crate) enabled: Option<bool>,
    /// Of the entries of one object the one with the greatest number counts.
    pub(crate) number: u32,
    /// Of all attributes together; absent where there is none.
    pub(crate) whole: Option<Digest>,
    /// The digests by the numbers of the attributes, sorted.
    pub(crate) digests: Vec<(u16, Digest)>,
}

impl Entry {
    /// Whether nothing is known of its attributes but the digest of all of them.
    pub(crate) fn is_opaque(&self) -> bool {
        self.whole.is_some() && self.digests.is_empty()
    }

    pub(crate) fn digest(&self, attribute: u16) -> Option<&Digest> {
        let mut digests = self.digests.iter();
        digests
            .find(|(number, _)| *number == attribute)
            .map(|(_, digest)| digest)
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let parts = Parts {
            key: self.key.as_bytes(),
            name: self.name.as_bytes(),
            id: self.id.as_deref().map(str::as_bytes),
            place: self.place,
            enabled: self.enabled,
            number: self.number,
            whole: self.whole.as_ref(),
        };
        parts.put(&self.digests, out);
    }

    /// What [`Entry::encode`] has written; `None` where it has not.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (parts, rest) = Parts::take(bytes)?;
        let mut digests = Vec::new();
        let chunks = rest.chunks_exact(2 + DIGEST_LEN);
        if !chunks.remainder().is_empty() {
            return None;
        }
        for chunk in chunks {
            let (attribute, digest) = chunk.split_first_chunk::<2>()?;
            digests.push((u16::from_be_bytes(*attribute), digest.try_into().ok()?));
        }
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
        Some(Self {
            key: text(parts.key)?,
            name: text(parts.name)?,
            id: match parts.id {
                Some(id) => Some(text(id)?),
                None => None,
            },
            place: parts.place,
            enabled: parts.enabled,
            number: parts.number,
            whole: parts.whole.copied(),
            digests,
        })
    }
}

/// The parts of an entry that is kept as bytes, but for the digests of its attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Parts<'a> {
    pub(crate) key: &'a [u8],
    pub(crate) name: &'a [u8],
    pub(crate) id: Option<&'a [u8]>,
    pub(crate) place: Option<RowPlace>,
    pub(crate) enabled: Option<bool>,
    pub(crate) number: u32,
    pub(crate) whole: Option<&'a Digest>,
}

impl<'a> Parts<'a> {
    /// Puts them at the end, and the digests after them.
    pub(crate) fn put(&self, digests: &[(u16, Digest)], out: &mut Vec<u8>) {
        let flag = |is_there: bool, flag: u8| if is_there { flag } else { 0 };
        let has_name = self.name != self.key;
        let flags = [
            flag(has_name, NAME),
            flag(self.id.is_some(), ID),
            flag(self.whole.is_some(), WHOLE),
            flag(self.place.is_some(), PLACE),
            flag(self.number != 0, NUMBER),
            flag(!digests.is_empty(), DIGESTS),
            flag(self.enabled == Some(false), DISABLED),
            flag(self.enabled == Some(true), ENABLED),
        ];
        put_length(self.key, out);
        out.push(flags.iter().fold(0, |all, flag| all | flag));
        out.extend_from_slice(self.key);
        for text in has_name.then_some(self.name).into_iter().chain(self.id) {
            put_length(text, out);
            out.extend_from_slice(text);
        }
        out.extend_from_slice(self.whole.map_or(&[], Digest::as_slice));
        if let Some(RowPlace { line, offset }) = self.place {
            out.extend_from_slice(&line.to_be_bytes());
            out.extend_from_slice(&offset.to_be_bytes());
        }
        if self.number != 0 {
            out.extend_from_slice(&self.number.to_be_bytes());
        }
        for (number, digest) in digests {
            out.extend_from_slice(&number.to_be_bytes());
            out.extend_from_slice(digest);
        }
    }

    /// The parts of an entry, and the digests as they were put after them; `None` where it was not
    /// put so.
    pub(crate) fn take(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (length, rest) = bytes.split_first_chunk::<4>()?;
        let (&flags, rest) = rest.split_first()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let (key, mut rest) = rest.split_at_checked(length)?;
        let has = |flag: u8| flags & flag != 0;
        let (mut name, mut id, mut place) = (key, None, None);
        let (mut whole, mut number) = (None, 0);
        if has(NAME) {
            (name, rest) = text(rest)?;
        }
        if has(ID) {
            let (taken, after) = text(rest)?;
            (id, rest) = (Some(taken), after);
        }
        if has(WHOLE) {
            let (taken, after) = rest.split_first_chunk::<DIGEST_LEN>()?;
            (whole, rest) = (Some(taken), after);
        }
        if has(PLACE) {
            let (line, after) = rest.split_first_chunk::<8>()?;
            let (offset, after) = after.split_first_chunk::<8>()?;
            rest = after;
            place = Some(RowPlace {
                line: u64::from_be_bytes(*line),
                offset: u64::from_be_bytes(*offset),
            });
        }
        if has(NUMBER) {
            let (taken, after) = rest.split_first_chunk::<4>()?;
            (number, rest) = (u32::from_be_bytes(*taken), after);
        }
        let enabled = match (has(DISABLED), has(ENABLED)) {
            (false, false) => None,
            (_, enabled) => Some(enabled),
        };
        let parts = Self {
            key,
            name,
            id,
            place,
            enabled,
            number,
            whole,
        };
        (has(DIGESTS) || rest.is_empty()).then_some((parts, rest))
    }
}

fn put_length(text: &[u8], out: &mut Vec<u8>) {
    let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&length.to_be_bytes());
}

fn text(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    rest.split_at_checked(length)
}

/// The key of an entry that is kept as bytes.
pub(crate) fn key(entry: &[u8]) -> &[u8] {
    let length = entry.first_chunk().copied().unwrap_or_default();
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or_default();
    let after = entry.get(BEFORE_KEY..).unwrap_or_default();
    after.get(..length).unwrap_or_default()
}

/// The order of entries that are kept as bytes: by their keys, and then one that is always the
/// same.
pub(crate) fn order(one: &[u8], other: &[u8]) -> Ordering {
    key(one).cmp(key(other)).then_with(|| one.cmp(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries() -> Vec<Entry> {
        let bare = Entry {
            key: "ada".to_owned(),
            name: "ada".to_owned(),
            id: None,
            place: None,
            enabled: None,
            number: 0,
            whole: None,
            digests: Vec::new(),
        };
        let row = Entry {
            name: "Ada".to_owned(),
            place: Some(RowPlace {
                line: 7,
                offset: 300,
            }),
            enabled: Some(false),
            whole: Some([1; DIGEST_LEN]),
            ..bare.clone()
        };
        let object = Entry {
            key: String::new(),
            id: Some("x".repeat(70_000)),
            enabled: Some(true),
            number: 9,
            digests: vec![(0, [2; DIGEST_LEN]), (700, [3; DIGEST_LEN])],
            ..row.clone()
        };
        vec![bare, row, object]
    }

    #[test]
    fn entries_are_read_as_they_were_kept_and_no_part_for_the_whole() {
        for entry in entries() {
            let mut bytes = Vec::new();
            entry.encode(&mut bytes);
            assert_eq!(key(&bytes), entry.key.as_bytes());
            assert_eq!(Entry::decode(&bytes).as_ref(), Some(&entry));
            let digests = entry.digests.len() * (2 + DIGEST_LEN);
            for length in 0..bytes.len() - digests {
                assert_eq!(Entry::decode(&bytes[..length]), None, "{length}");
            }
        }
    }
}
