//! Rows of a file, whatever its format: each read whole or reported, never half-read.

use std::collections::BTreeSet;
use std::fmt;

use portcullis_common::listing::{Content, Plain, is_compared};
use portcullis_host::text::{self, Place, TextError};
use portcullis_proto::gateway::v1::{Attribute, Create, ObjectClass, Secret};
use zeroize::Zeroizing;

/// Longer rows are broken, in bytes.
pub(crate) const MAX_ROW: usize = 64 << 10;

/// Bytes of an account's name.
const MAX_NAME: usize = 256;
/// Bytes of a password.
const MAX_PASSWORD: usize = 1024;
/// Attributes of one call.
const MAX_ATTRIBUTES: usize = 256;

/// The rows of a file, whatever its format.
pub(crate) trait Rows {
    /// The next row, or what is wrong with it; `None` at the end.
    fn next_row(&mut self) -> Option<Result<Row, RowError>>;

    /// How many bytes of the file have been read.
    fn position(&self) -> u64;

    /// The attributes that a row may give; `None`: each row tells by itself.
    fn titles(&self) -> Option<BTreeSet<String>>;

    /// Reads the next row, as it is compared, and as no gateway refuses it.
    fn next_compared(&mut self, row: &mut Compared) -> Option<Result<(), RowError>>;

    /// The row that stands there.
    fn at(&mut self, place: RowPlace) -> Option<Result<Row, RowError>>;
}

/// Where in a file a row begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RowPlace {
    /// Counted from 1, as editors do.
    pub(crate) line: u64,
    /// Bytes before it, of those that hold rows.
    pub(crate) offset: u64,
}

/// A row as it is compared. It is used again for the next one: by the million nothing is copied.
#[derive(Debug, Default)]
pub(crate) struct Compared {
    pub(crate) place: RowPlace,
    pub(crate) name: String,
    pub(crate) enabled: Option<bool>,
    /// Its attributes, of those that are compared.
    pub(crate) content: Content,
    /// The names of those that any row had.
    pub(crate) given: BTreeSet<String>,
    notes: bool,
    wanted: Vec<String>,
}

impl Compared {
    /// Of the attributes in `wanted`; of all where that is empty.
    pub(crate) fn new(wanted: &[String]) -> Self {
        Self {
            wanted: wanted.to_vec(),
            ..Self::default()
        }
    }

    /// The same, which notes the names of attributes that are given.
    pub(crate) fn noting(wanted: &[String]) -> Self {
        Self {
            notes: true,
            ..Self::new(wanted)
        }
    }

    /// Whether an attribute is compared.
    pub(crate) fn wants(&self, attribute: &str) -> bool {
        self.wanted.is_empty() || self.wanted.iter().any(|wanted| wanted == attribute)
    }

    /// Begins with the next row.
    pub(super) fn begin(&mut self, place: RowPlace, name: &str) {
        self.place = place;
        self.name.clear();
        self.name.push_str(name);
        self.enabled = None;
        self.content.clear();
    }

    /// That a row has this attribute.
    pub(super) fn note(&mut self, attribute: &str) {
        if self.notes && !self.given.contains(attribute) {
            self.given.insert(attribute.to_owned());
        }
    }

    /// Takes a row that was read whole.
    pub(super) fn take(&mut self, row: Row, place: RowPlace) {
        self.begin(place, &row.name);
        self.enabled = row.enabled;
        let mut attributes = row.attributes;
        attributes.retain(|attribute| is_compared(attribute) && self.wants(&attribute.name));
        attributes.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        for attribute in &attributes {
            let mut values = attribute.values.iter().map(Plain::of).collect();
            self.content.several(&attribute.name, &mut values);
            self.note(&attribute.name);
        }
    }
}

/// What is wrong with the file as a whole: nothing of it is a row.
#[derive(Debug)]
pub(crate) struct FileFault {
    pub(crate) line: u64,
    pub(crate) problem: String,
}

/// One account to be.
pub(crate) struct Row {
    /// Counted from 1, as editors do.
    pub(crate) line: u64,
    pub(crate) name: String,
    pub(crate) password: Option<Zeroizing<Vec<u8>>>,
    pub(crate) enabled: Option<bool>,
    pub(crate) attributes: Vec<Attribute>,
}

impl Row {
    /// With nothing but a name.
    pub(crate) fn new(line: u64, name: String) -> Self {
        Self {
            line,
            name,
            password: None,
            enabled: None,
            attributes: Vec::new(),
        }
    }

    /// What any gateway refuses, whatever its connector and its guard rails (gateway.proto).
    pub(crate) fn refusal(&self) -> Option<String> {
        let password = self.password.as_ref().map_or(0, |password| password.len());
        refusal(&self.name, password, self.attributes.len())
    }

    /// Itself, or that any gateway refuses it.
    pub(super) fn sound(self) -> Result<Self, RowError> {
        match self.refusal() {
            None => Ok(self),
            Some(problem) => Err(RowError {
                line: self.line,
                place: String::new(),
                name: Some(self.name),
                problem,
            }),
        }
    }

    /// The call that makes it.
    pub(crate) fn create(&self) -> Create {
        Create {
            object_class: ObjectClass::Account.into(),
            name: self.name.clone(),
            attributes: self.attributes.clone(),
            password: self.secret(),
            enabled: self.enabled,
        }
    }

    pub(crate) fn secret(&self) -> Option<Secret> {
        self.password
            .as_ref()
            .map(|password| Secret::plain(password.to_vec()))
    }
}

/// Why any gateway refuses an account with this name, a password of so many bytes and so many
/// attributes.
pub(super) fn refusal(name: &str, password: usize, attributes: usize) -> Option<String> {
    let hides = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') || turns(c);
    // Most names are printable ASCII.
    let is_plain = name.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    if name.len() > MAX_NAME {
        Some(format!(
            "the name has {} bytes: {MAX_NAME} at most",
            name.len()
        ))
    } else if !is_plain && name.chars().any(hides) {
        Some(
            "the name holds a control character, or a mark that turns the direction of writing"
                .to_owned(),
        )
    } else if name.trim() != name {
        Some(format!("the name {name:?} begins or ends with a blank"))
    } else if password > MAX_PASSWORD {
        Some(format!(
            "the password has {password} bytes: {MAX_PASSWORD} at most"
        ))
    } else if attributes > MAX_ATTRIBUTES {
        Some(format!("{attributes} attributes: {MAX_ATTRIBUTES} at most"))
    } else {
        None
    }
}

/// The marks that turn the direction of writing.
const fn turns(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

impl fmt::Debug for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Row")
            .field("line", &self.line)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// What is wrong with a row. Never repeats a value: it may be a password in the wrong column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RowError {
    pub(crate) line: u64,
    /// Where in the line: `column 3 (uid)`; empty where it is the line as a whole.
    pub(crate) place: String,
    /// The account's name, where it could be read.
    pub(crate) name: Option<String>,
    pub(crate) problem: String,
}

impl fmt::Display for RowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.place.is_empty() {
            f.write_str(&self.problem)
        } else {
            write!(f, "{}: {}", self.place, self.problem)
        }
    }
}

/// The lines of a file, with their numbers, without their ends; blank ones left out.
pub(crate) struct Lines<'a> {
    content: &'a [u8],
    /// Where the last line began.
    begin: usize,
    at: usize,
    number: u64,
}

impl<'a> Lines<'a> {
    pub(crate) fn new(content: &'a [u8]) -> Self {
        Self {
            content,
            begin: 0,
            at: 0,
            number: 0,
        }
    }

    /// The next line as text, or what keeps it from being one.
    pub(crate) fn next_line(&mut self) -> Option<(u64, Result<&'a str, String>)> {
        loop {
            let rest = self
                .content
                .get(self.at..)
                .filter(|rest| !rest.is_empty())?;
            let length = rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len());
            self.begin = self.at;
            self.at += (length + 1).min(rest.len());
            self.number += 1;
            let line = &rest[..length];
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let text = if line.len() > MAX_ROW {
                Err(format!("the line is longer than {MAX_ROW} bytes"))
            } else {
                decode(line, self.number)
            };
            return Some((self.number, text));
        }
    }

    /// How many bytes have been read.
    pub(crate) fn position(&self) -> u64 {
        self.at as u64
    }

    /// How many bytes stand before the last line.
    pub(crate) fn begin(&self) -> u64 {
        self.begin as u64
    }

    /// The line that stands there.
    pub(crate) fn at(&self, place: RowPlace) -> Option<(u64, Result<&'a str, String>)> {
        let mut lines = Self {
            content: self.content,
            begin: 0,
            at: usize::try_from(place.offset).ok()?,
            number: place.line.saturating_sub(1),
        };
        lines.next_line()
    }
}

/// The text that begins on line `first` of the file, or what keeps it from being one.
pub(crate) fn decode(raw: &[u8], first: u64) -> Result<&str, String> {
    let within = |place: Place| Place {
        line: first + place.line - 1,
        ..place
    };
    text::decode(raw).map_err(|error| {
        match error {
            TextError::Encoding(place) => TextError::Encoding(within(place)),
            TextError::Nul(place) => TextError::Nul(within(place)),
            other => other,
        }
        .to_string()
    })
}
