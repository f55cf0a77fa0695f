//! Makes entries: the digests of objects and of rows, under the key of one run.

use std::collections::HashMap;
use std::path::Path;

use data_encoding::BASE64;
use portcullis_common::listing::{Digest, Listed, ListingKey, Plain, is_compared};
use portcullis_proto::gateway::v1::{Attribute, Object, Value};
use sha2::{Digest as _, Sha256};

use super::entry::{Entry, Parts};
use crate::error::CliError;
use crate::import::row::Compared;

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

    /// Gives attributes their numbers, in this order, where they have none.
    pub(crate) fn number_as<'a>(&mut self, names: impl IntoIterator<Item = &'a String>) {
        for name in names {
            self.number(name);
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

    /// Makes entries of the rows of a file.
    pub(crate) fn of_rows(&self) -> OfRows {
        OfRows {
            listing: self.listing.clone(),
            meeting: self.meeting,
        }
    }

    /// The digests of these attributes, by their numbers; of those that have one.
    pub(crate) fn of_attributes(
        &self,
        attributes: &[Attribute],
        wanted: &[String],
    ) -> Vec<(u16, Digest)> {
        let numbered = compared(attributes, wanted).filter_map(|attribute| {
            let number = *self.numbers.get(&attribute.name)?;
            Some((number, self.digest(number, &attribute.values)))
        });
        let mut digests: Vec<_> = numbered.collect();
        digests.sort_unstable();
        digests
    }

    /// An object of a resource. Of its attributes those in `wanted`; all where that is empty.
    pub(crate) fn object(&mut self, object: &Object, wanted: &[String]) -> Entry {
        let by_id = self.are_by_id();
        let mut digests = Vec::new();
        if !by_id {
            for attribute in compared(&object.attributes, wanted) {
                self.number(&attribute.name);
            }
            digests = self.of_attributes(&object.attributes, wanted);
        }
        let whole = by_id || !digests.is_empty();
        let whole = whole.then(|| self.listing.digest_of(compared(&object.attributes, wanted)));
        Entry {
            key: self.meeting.key(&object.name, &object.id),
            name: object.name.clone(),
            id: Some(object.id.clone()),
            place: None,
            enabled: object.enabled,
            number: 0,
            whole,
            digests,
        }
    }

    /// Puts one of which there is but a digest at the end of `out`.
    pub(crate) fn listed(&self, listed: &Listed<'_>, out: &mut Vec<u8>) {
        let lower;
        let parts = Parts {
            key: match self.meeting {
                Meeting::Id => listed.id.as_bytes(),
                Meeting::Name => listed.name.as_bytes(),
                Meeting::NameInAnyCase => {
                    lower = listed.name.to_lowercase();
                    lower.as_bytes()
                }
            },
            name: listed.name.as_bytes(),
            id: Some(listed.id.as_bytes()),
            place: None,
            enabled: listed.enabled,
            number: 0,
            whole: Some(&listed.digest),
        };
        parts.put(&[], out);
    }

    fn number(&mut self, name: &str) {
        if self.numbers.contains_key(name) {
            return;
        }
        // One that gets no number is not compared by itself.
        if let Ok(number) = u16::try_from(self.names.len()) {
            self.numbers.insert(name.to_owned(), number);
            self.names.push(name.to_owned());
        }
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

impl Meeting {
    fn key(self, name: &str, id: &str) -> String {
        match self {
            Self::Name => name.to_owned(),
            Self::NameInAnyCase => name.to_lowercase(),
            Self::Id => id.to_owned(),
        }
    }
}

/// Makes entries of the rows of a file.
pub(crate) struct OfRows {
    listing: ListingKey,
    meeting: Meeting,
}

impl OfRows {
    /// Puts a row at the end of `out`.
    pub(crate) fn put(&self, row: &Compared, out: &mut Vec<u8>) {
        let whole = (!row.content.is_empty()).then(|| self.listing.digest(&row.content));
        let lower;
        let parts = Parts {
            key: match self.meeting {
                Meeting::Name | Meeting::Id => row.name.as_bytes(),
                Meeting::NameInAnyCase => {
                    lower = row.name.to_lowercase();
                    lower.as_bytes()
                }
            },
            name: row.name.as_bytes(),
            id: None,
            place: Some(row.place),
            enabled: row.enabled,
            number: 0,
            whole: whole.as_ref(),
        };
        parts.put(&[], out);
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
