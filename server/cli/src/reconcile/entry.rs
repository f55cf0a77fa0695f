//! An object as it is compared: its name, and a keyed digest of each attribute.

use std::collections::HashMap;

use portcullis_proto::gateway::v1::value::Kind;
use portcullis_proto::gateway::v1::{Attribute, Object, Value};
use rand::RngExt as _;
use sha2::{Digest as _, Sha256};

use crate::import::row::Row;

/// Bytes of a digest: two different values have the same one by a chance of 2^-128.
const DIGEST_LEN: usize = 16;

/// Of one attribute.
type Digest = [u8; DIGEST_LEN];

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
    /// The digests by the numbers of the attributes, sorted.
    pub(crate) digests: Vec<(u16, Digest)>,
}

impl Entry {
    /// The numbers of its attributes.
    pub(crate) fn attributes(&self) -> Vec<u16> {
        self.digests.iter().map(|(number, _)| *number).collect()
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

/// Makes entries, with a key of this run alone.
pub(crate) struct Digests {
    key: [u8; 32],
    ignore_case: bool,
    numbers: HashMap<String, u16>,
    names: Vec<String>,
}

impl Digests {
    pub(crate) fn new(ignore_case: bool) -> Self {
        Self {
            key: rand::rng().random(),
            ignore_case,
            numbers: HashMap::new(),
            names: Vec::new(),
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
        Entry {
            id: Some(object.id.clone()),
            enabled: object.enabled,
            ..self.entry(&object.name, &object.attributes, wanted)
        }
    }

    fn entry(&mut self, name: &str, attributes: &[Attribute], wanted: &[String]) -> Entry {
        let wanted = |name: &String| wanted.is_empty() || wanted.contains(name);
        let is_secret = |value: &Value| matches!(value.kind, Some(Kind::Secret(_)));
        let compared = attributes.iter().filter(|attribute| {
            wanted(&attribute.name)
                && !attribute.values.is_empty()
                && !attribute.values.iter().any(is_secret)
        });
        let mut digests = Vec::new();
        for attribute in compared {
            if let Some(number) = self.number(&attribute.name) {
                digests.push((number, self.digest(number, &attribute.values)));
            }
        }
        digests.sort_unstable();
        Entry {
            key: match self.ignore_case {
                true => name.to_lowercase(),
                false => name.to_owned(),
            },
            name: name.to_owned(),
            id: None,
            line: 0,
            enabled: None,
            number: 0,
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
        let mut texts: Vec<_> = values.iter().map(plain).collect();
        texts.sort_unstable();
        texts.dedup();
        let mut hash = Sha256::new();
        hash.update(self.key);
        hash.update(attribute.to_be_bytes());
        for text in texts {
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text);
        }
        let digest: [u8; 32] = hash.finalize().into();
        let mut short = Digest::default();
        short.copy_from_slice(digest.get(..DIGEST_LEN).unwrap_or(&[0; DIGEST_LEN]));
        short
    }
}

/// A value as it is compared: a number is the same in whatever type it comes.
fn plain(value: &Value) -> Vec<u8> {
    match &value.kind {
        Some(Kind::Text(text) | Kind::Time(text)) => text.clone().into_bytes(),
        Some(Kind::Integer(number)) => number.to_string().into_bytes(),
        Some(Kind::Real(number)) => number.to_string().into_bytes(),
        Some(Kind::Boolean(truth)) => truth.to_string().into_bytes(),
        Some(Kind::Binary(bytes)) => bytes.clone(),
        Some(Kind::Secret(_)) | None => Vec::new(),
    }
}
