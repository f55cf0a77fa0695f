//! An object as it is compared: its name, and a keyed digest of each attribute.

use std::collections::HashMap;
use std::path::Path;

use data_encoding::BASE64;
use portcullis_common::listing::{DIGEST_LEN, Digest, Listed, ListingKey, Plain, is_compared};
use portcullis_proto::gateway::v1::{Attribute, Object, Value};
use sha2::{Digest as _, Sha256};

use crate::error::CliError;
use crate::import::row::Row;

/// One object of one side.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entry {
    /// What it is sorted and met by.
    pub(crate) key: String,
    pub(crate) name: String,
    /// Of an object of a resource.
    pub(crate) id: Option<String>,
    /// On which line of a file it stands.
    pub(crate) line: u64,
    pub(crate) enabled: Option<bool>,
    /// Of the entries of one object the one with the greatest number counts.
    pub(crate) number: u32,
    /// Of all attributes together; absent where there is none.
    pub(crate) whole: Option<Digest>,
    /// The digests by the numbers of the attributes, sorted.
    pub(crate) digests: Vec<(u16, Digest)>,
}

impl Entry {
    /// The numbers of its attributes.
    pub(crate) fn attributes(&self) -> Vec<u16> {
        self.digests.iter().map(|(number, _)| *number).collect()
    }

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

    /// Bytes that it takes in memory, roughly.
    pub(crate) fn weight(&self) -> usize {
        let texts = self.key.len() + self.name.len() + self.id.as_ref().map_or(0, String::len);
        texts + self.digests.len() * size_of::<(u16, Digest)>() + size_of::<Self>()
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let mut text = |text: &str| {
            let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
            out.extend_from_slice(&length.to_be_bytes());
            out.extend_from_slice(text.as_bytes());
        };
        text(&self.key);
        text(&self.name);
        text(self.id.as_deref().unwrap_or_default());
        out.push(u8::from(self.id.is_some()));
        out.extend_from_slice(&self.line.to_be_bytes());
        out.push(match self.enabled {
            None => 2,
            Some(enabled) => enabled.into(),
        });
        out.extend_from_slice(&self.number.to_be_bytes());
        out.push(self.whole.is_some().into());
        out.extend_from_slice(&self.whole.unwrap_or_default());
        let count = u16::try_from(self.digests.len()).unwrap_or(u16::MAX);
        out.extend_from_slice(&count.to_be_bytes());
        for (number, digest) in &self.digests {
            out.extend_from_slice(&number.to_be_bytes());
            out.extend_from_slice(digest);
        }
    }

    /// What [`Entry::encode`] has written, and what is left after it.
    pub(crate) fn decode(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (key, rest) = text(bytes)?;
        let (name, rest) = text(rest)?;
        let (id, rest) = text(rest)?;
        let (&has_id, rest) = rest.split_first()?;
        let (line, rest) = rest.split_first_chunk::<8>()?;
        let (&enabled, rest) = rest.split_first()?;
        let (number, rest) = rest.split_first_chunk::<4>()?;
        let (&has_whole, rest) = rest.split_first()?;
        let (whole, rest) = rest.split_first_chunk::<DIGEST_LEN>()?;
        let (count, mut rest) = rest.split_first_chunk::<2>()?;
        let mut digests = Vec::new();
        for _ in 0..u16::from_be_bytes(*count) {
            let (attribute, after) = rest.split_first_chunk::<2>()?;
            let (digest, after) = after.split_first_chunk::<DIGEST_LEN>()?;
            digests.push((u16::from_be_bytes(*attribute), *digest));
            rest = after;
        }
        let entry = Self {
            key,
            name,
            id: (has_id == 1).then_some(id),
            line: u64::from_be_bytes(*line),
            enabled: match enabled {
                2 => None,
                enabled => Some(enabled == 1),
            },
            number: u32::from_be_bytes(*number),
            whole: (has_whole == 1).then_some(*whole),
            digests,
        };
        Some((entry, rest))
    }
}

fn text(bytes: &[u8]) -> Option<(String, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (text, rest) = rest.split_at_checked(length)?;
    Some((String::from_utf8(text.to_vec()).ok()?, rest))
}

/// Makes entries, under a key.
pub(crate) struct Digests {
    key: [u8; 32],
    listing: ListingKey,
    meeting: Meeting,
    numbers: HashMap<String, u16>,
    names: Vec<String>,
}

/// What objects are met by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meeting {
    Name,
    NameInAnyCase,
    Id,
}

impl Digests {
    /// Objects are met by their names.
    pub(crate) fn by_name(key: [u8; 32], ignore_case: bool) -> Self {
        Self::new(
            key,
            match ignore_case {
                true => Meeting::NameInAnyCase,
                false => Meeting::Name,
            },
        )
    }

    /// Objects are met by their ids; of their attributes there is one digest, under this key.
    pub(crate) fn by_id(key: [u8; 32]) -> Self {
        Self::new(key, Meeting::Id)
    }

    fn new(key: [u8; 32], meeting: Meeting) -> Self {
        Self {
            listing: ListingKey::new(&key),
            key,
            meeting,
            numbers: HashMap::new(),
            names: Vec::new(),
        }
    }

    /// The key by which a gateway makes the digests of whole objects.
    pub(crate) fn key(&self) -> Vec<u8> {
        self.key.to_vec()
    }

    /// Whether objects are met by their ids, and the digest of one is all that is kept of it.
    pub(crate) fn are_by_id(&self) -> bool {
        self.meeting == Meeting::Id
    }

    /// Gives attributes the numbers that they had in an earlier run.
    pub(crate) fn number_as(&mut self, names: Vec<String>) {
        for name in names {
            self.number(&name);
        }
    }

    /// The attributes that were met.
    pub(crate) fn known(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    pub(crate) fn names(&self, numbers: &[u16]) -> Vec<String> {
        let names = numbers
            .iter()
            .filter_map(|number| self.names.get(usize::from(*number)));
        names.cloned().collect()
    }

    /// A row of a file. Of its attributes those in `wanted`; all where that is empty.
    pub(crate) fn row(&mut self, row: &Row, wanted: &[String]) -> Entry {
        Entry {
            line: row.line,
            enabled: row.enabled,
            ..self.entry(&row.name, &row.attributes, wanted)
        }
    }

    /// An object of a resource.
    pub(crate) fn object(&mut self, object: &Object, wanted: &[String]) -> Entry {
        let entry = match self.meeting {
            Meeting::Id => Entry {
                key: object.id.clone(),
                whole: Some(self.whole(&object.attributes, wanted)),
                ..self.entry(&object.name, &[], wanted)
            },
            Meeting::Name | Meeting::NameInAnyCase => {
                self.entry(&object.name, &object.attributes, wanted)
            }
        };
        Entry {
            id: Some(object.id.clone()),
            enabled: object.enabled,
            ..entry
        }
    }

    /// One of which there is but a digest.
    pub(crate) fn listed(&mut self, listed: &Listed<'_>) -> Entry {
        let entry = self.entry(listed.name, &[], &[]);
        Entry {
            key: match self.meeting {
                Meeting::Id => listed.id.to_owned(),
                Meeting::Name | Meeting::NameInAnyCase => entry.key,
            },
            id: Some(listed.id.to_owned()),
            enabled: listed.enabled,
            whole: Some(listed.digest),
            ..entry
        }
    }

    fn whole(&self, attributes: &[Attribute], wanted: &[String]) -> Digest {
        self.listing.digest_of(compared(attributes, wanted))
    }

    fn entry(&mut self, name: &str, attributes: &[Attribute], wanted: &[String]) -> Entry {
        let mut digests = Vec::new();
        for attribute in compared(attributes, wanted) {
            if let Some(number) = self.number(&attribute.name) {
                digests.push((number, self.digest(number, &attribute.values)));
            }
        }
        digests.sort_unstable();
        let whole = (!digests.is_empty()).then(|| self.whole(attributes, wanted));
        Entry {
            key: match self.meeting {
                Meeting::NameInAnyCase => name.to_lowercase(),
                Meeting::Name | Meeting::Id => name.to_owned(),
            },
            name: name.to_owned(),
            id: None,
            line: 0,
            enabled: None,
            number: 0,
            whole,
            digests,
        }
    }

    fn number(&mut self, name: &str) -> Option<u16> {
        if let Some(number) = self.numbers.get(name) {
            return Some(*number);
        }
        let number = u16::try_from(self.names.len()).ok()?;
        self.numbers.insert(name.to_owned(), number);
        self.names.push(name.to_owned());
        Some(number)
    }

    /// Over the values in any order: the order of values means nothing.
    fn digest(&self, attribute: u16, values: &[Value]) -> Digest {
        let mut values: Vec<_> = values.iter().map(Plain::of).collect();
        values.sort_unstable_by(|one, other| one.as_bytes().cmp(other.as_bytes()));
        values.dedup_by(|one, other| one.as_bytes() == other.as_bytes());
        let mut hash = Sha256::new();
        hash.update(self.key);
        hash.update(attribute.to_be_bytes());
        for value in values {
            hash.update((value.as_bytes().len() as u64).to_be_bytes());
            hash.update(value.as_bytes());
        }
        let digest: [u8; 32] = hash.finalize().into();
        digest.first_chunk().copied().unwrap_or_default()
    }
}

/// The attributes in `wanted`, all where that is empty: those that are compared.
fn compared<'a>(
    attributes: &'a [Attribute],
    wanted: &'a [String],
) -> impl Iterator<Item = &'a Attribute> {
    let is_wanted = |one: &Attribute| wanted.is_empty() || wanted.contains(&one.name);
    let mut attributes = attributes.iter();
    std::iter::from_fn(move || attributes.find(|one| is_wanted(one) && is_compared(one)))
}

/// The key in a file, in base64.
pub(super) fn key(text: &str, path: &Path) -> Result<[u8; 32], CliError> {
    let bytes = BASE64.decode(text.as_bytes()).ok();
    bytes
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| CliError::usage(format!("{}: its key cannot be read", path.display())))
}
