//! Messages of LDAP (RFC 4511, section 4): requests are written, answers are read.
//!
//! What a directory says is taken as it is where the standard leaves it open: a result code that
//! nobody knows keeps its number, a diagnostic that is not UTF-8 is shown as far as it can be. A
//! request whose answer could not be read would be one whose outcome nobody knows.

mod decode;
mod encode;

use std::fmt;

use bytes::Bytes;
use zeroize::{Zeroize as _, Zeroizing};

pub(crate) use super::ber::Malformed;
use super::filter::Filter;
use crate::model::Password;
pub(crate) use decode::{decode, decode_entry, length};
pub(crate) use encode::encode;

/// What is asked of a directory.
pub(crate) enum Operation {
    /// RFC 4511, section 4.2: a simple bind.
    Bind {
        /// Who.
        dn: String,
        /// With which password.
        password: Password,
    },
    /// RFC 4511, section 4.3. It has no answer.
    Unbind,
    /// RFC 4511, section 4.5.
    Search(Search),
    /// RFC 4511, section 4.6.
    Modify {
        /// Which entry.
        dn: String,
        /// In this order, all of them or none.
        changes: Vec<Change>,
    },
    /// RFC 4511, section 4.7.
    Add {
        /// Its name.
        dn: String,
        /// Its attributes with their values.
        attributes: Vec<(String, Vec<Vec<u8>>)>,
    },
    /// RFC 4511, section 4.8.
    Delete {
        /// Which entry.
        dn: String,
    },
    /// RFC 4511, section 4.9.
    ModifyDn {
        /// Which entry.
        dn: String,
        /// Its new relative name.
        new_rdn: String,
        /// Whether the former relative name is taken from its attributes.
        delete_old: bool,
        /// Its new parent, where that changes.
        new_superior: Option<String>,
    },
    /// RFC 4511, section 4.12.
    Extended {
        /// Which.
        oid: &'static str,
        /// Its value, which may hold a password.
        value: Option<Zeroizing<Vec<u8>>>,
    },
}

/// Values to be sent may be passwords: they do not outlive the request.
impl Drop for Operation {
    fn drop(&mut self) {
        if let Self::Add { attributes, .. } = self {
            attributes.iter_mut().for_each(|(_, values)| wipe(values));
        }
    }
}

/// Wipes values, one of which may be a password.
pub(crate) fn wipe(values: &mut [Vec<u8>]) {
    values.iter_mut().for_each(|value| value.zeroize());
}

/// How far below its base a search goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// The base itself.
    Base = 0,
    /// The base and all below it.
    Subtree = 2,
}

/// A search.
#[derive(Clone, Debug)]
pub(crate) struct Search {
    /// Where it starts.
    pub(crate) base: String,
    /// How far it goes.
    pub(crate) scope: Scope,
    /// What it finds.
    pub(crate) filter: Filter,
    /// The attributes wanted; none: all of users. `*` and `+` as in RFC 3673.
    pub(crate) attributes: Vec<String>,
    /// Entries at the most; 0: as many as the directory gives.
    pub(crate) size_limit: i32,
}

/// What happens to values of an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChangeKind {
    /// They come.
    Add = 0,
    /// They go; none: all of them.
    Delete = 1,
    /// They take the place of those that are there.
    Replace = 2,
}

/// One change of an entry.
#[derive(Clone)]
pub(crate) struct Change {
    /// What happens.
    pub(crate) kind: ChangeKind,
    /// To which attribute.
    pub(crate) attribute: String,
    /// With which values.
    pub(crate) values: Vec<Vec<u8>>,
}

/// A value may be a password.
impl Drop for Change {
    fn drop(&mut self) {
        wipe(&mut self.values);
    }
}

/// A value may be a password.
impl fmt::Debug for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            kind,
            attribute,
            values,
        } = self;
        write!(f, "{kind:?} {attribute} ({} values)", values.len())
    }
}

/// A control of a request or an answer (RFC 4511, section 4.1.11).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Control {
    /// Which.
    pub(crate) oid: String,
    /// Whether the directory must not do without.
    pub(crate) critical: bool,
    /// What it says.
    pub(crate) value: Option<Vec<u8>>,
}

impl Control {
    /// A control that the directory may do without.
    pub(crate) fn new(oid: &str, value: Option<Vec<u8>>) -> Self {
        Self {
            oid: oid.to_owned(),
            critical: false,
            value,
        }
    }

    /// The same, as one that it must not do without.
    #[must_use]
    pub(crate) fn critical(self) -> Self {
        Self {
            critical: true,
            ..self
        }
    }
}

/// A message from a directory.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    /// Which request it answers; 0: none.
    pub(crate) id: i32,
    /// What it says.
    pub(crate) body: Body,
    /// Its controls.
    pub(crate) controls: Vec<Control>,
}

/// What a message says.
#[derive(Clone, Debug)]
pub(crate) enum Body {
    /// An entry that a search found.
    Entry(Entry),
    /// Other directories in which a search would go on.
    Reference(Vec<String>),
    /// The last word on a request, whatever kind of answer it came as.
    Answer(Answer),
    /// Something before the last word (RFC 4511, section 4.13).
    Intermediate {
        /// Which.
        oid: Option<String>,
        /// What it says.
        value: Option<Bytes>,
    },
}

/// An entry as a search gives it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Its name.
    pub(crate) dn: String,
    /// Its attributes, with options, in the spelling of the directory.
    pub(crate) attributes: Vec<(String, Vec<Bytes>)>,
}

impl Entry {
    /// The values of an attribute, in whatever case its name is written.
    pub(crate) fn values(&self, name: &str) -> &[Bytes] {
        self.attributes
            .iter()
            .find(|(found, _)| found.eq_ignore_ascii_case(name))
            .map_or(&[], |(_, values)| values)
    }

    /// The first value of an attribute, as text.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        let value = self.values(name).first()?;
        std::str::from_utf8(value).ok()
    }
}

/// The last word on a request (RFC 4511, section 4.1.9).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    /// The result code, known or not.
    pub(crate) code: u32,
    /// How much of the name of the entry is there.
    pub(crate) matched: String,
    /// The directory's own words.
    pub(crate) text: String,
    /// Where the request should go instead.
    pub(crate) referrals: Vec<String>,
    /// The name of an extended answer.
    pub(crate) oid: Option<String>,
    /// The value of an extended answer.
    pub(crate) value: Option<Bytes>,
    /// The controls of the message.
    pub(crate) controls: Vec<Control>,
}

impl Answer {
    /// The value of the control of this kind; empty where it has none.
    pub(crate) fn control(&self, oid: &str) -> Option<&[u8]> {
        let found = self.controls.iter().find(|control| control.oid == oid)?;
        Some(found.value.as_deref().unwrap_or_default())
    }
}
