//! Filters of a search as a directory takes them (RFC 4511, section 4.5.1.7). Values are bytes and
//! are never written as text, so that nothing in them has to be escaped.

use super::ber::Writer;

/// A condition on entries.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(dead_code, reason = "a matching rule is for dialects that have one")]
pub(crate) enum Filter {
    /// Every one holds. None at all is left out by [`all`](Self::all).
    And(Vec<Filter>),
    /// At least one holds.
    Or(Vec<Filter>),
    /// It does not hold.
    Not(Box<Filter>),
    /// The attribute has this value.
    Equal(String, Vec<u8>),
    /// A value begins, goes on and ends so.
    Substrings {
        /// The attribute.
        attribute: String,
        /// How it begins.
        first: Option<Vec<u8>>,
        /// What lies between.
        any: Option<Vec<u8>>,
        /// How it ends.
        last: Option<Vec<u8>>,
    },
    /// A value is this or comes after it.
    GreaterOrEqual(String, Vec<u8>),
    /// A value is this or comes before it.
    LessOrEqual(String, Vec<u8>),
    /// There is a value.
    Present(String),
    /// A matching rule holds, such as the bits of Active Directory (RFC 4511, section 4.5.1.7.7).
    Matches {
        /// The rule's object identifier.
        rule: &'static str,
        /// The attribute.
        attribute: String,
        /// What is held against it.
        value: Vec<u8>,
    },
}

impl Filter {
    /// What every entry meets.
    pub(crate) fn everything() -> Self {
        // The true filter of RFC 4526 is not known everywhere.
        Self::Present("objectClass".to_owned())
    }

    /// What no entry meets.
    pub(crate) fn nothing() -> Self {
        Self::Not(Box::new(Self::everything()))
    }

    /// The attribute has this value.
    pub(crate) fn equal(attribute: &str, value: impl AsRef<[u8]>) -> Self {
        Self::Equal(attribute.to_owned(), value.as_ref().to_vec())
    }

    /// Every one holds; none at all: everything.
    pub(crate) fn all(mut filters: Vec<Self>) -> Self {
        match filters.len() {
            0 => Self::everything(),
            1 => filters.remove(0),
            _ => Self::And(filters),
        }
    }

    /// At least one holds; none at all: nothing.
    pub(crate) fn any(mut filters: Vec<Self>) -> Self {
        match filters.len() {
            0 => Self::nothing(),
            1 => filters.remove(0),
            _ => Self::Or(filters),
        }
    }

    /// Writes it. Its depth is bounded by what a call may have.
    pub(crate) fn encode(&self, writer: &mut Writer) {
        match self {
            Self::And(filters) => writer.constructed(0xa0, |list| {
                filters.iter().for_each(|filter| filter.encode(list));
            }),
            Self::Or(filters) => writer.constructed(0xa1, |list| {
                filters.iter().for_each(|filter| filter.encode(list));
            }),
            Self::Not(filter) => writer.constructed(0xa2, |inner| filter.encode(inner)),
            Self::Equal(attribute, value) => assertion(writer, 0xa3, attribute, value),
            Self::GreaterOrEqual(attribute, value) => assertion(writer, 0xa5, attribute, value),
            Self::LessOrEqual(attribute, value) => assertion(writer, 0xa6, attribute, value),
            Self::Present(attribute) => writer.primitive(0x87, attribute.as_bytes()),
            Self::Substrings {
                attribute,
                first,
                any,
                last,
            } => writer.constructed(0xa4, |inner| {
                inner.octets(attribute);
                inner.constructed(0x30, |parts| {
                    for (tag, part) in [(0x80, first), (0x81, any), (0x82, last)] {
                        if let Some(part) = part {
                            parts.primitive(tag, part);
                        }
                    }
                });
            }),
            Self::Matches {
                rule,
                attribute,
                value,
            } => writer.constructed(0xa9, |inner| {
                inner.primitive(0x81, rule.as_bytes());
                inner.primitive(0x82, attribute.as_bytes());
                inner.primitive(0x83, value);
            }),
        }
    }
}

fn assertion(writer: &mut Writer, tag: u8, attribute: &str, value: &[u8]) {
    writer.constructed(tag, |inner| {
        inner.octets(attribute);
        inner.octets(value);
    });
}
