//! `--where` with a filter as directories have it (RFC 4515): the same typed filter comes of it.
//!
//! ```text
//! filter = "(" ("&" *filter | "|" *filter | "!" filter | item) ")"
//! item   = NAME ("=" | ">=" | "<=") VALUE
//! VALUE  = characters, `*` for anything, `\xx` for a byte
//! ```
//! The parser of the LDAP codec is no help here: it ends a value at a space, and leaves `\xx` as it
//! stands.

use portcullis_proto::gateway::v1::{
    Comparison, ComparisonOperation as Op, Filter, FilterList, Value, ValueType, filter::Kind,
    value::Kind as ValueKind,
};

use super::assignment::TypedName;
use super::filter::{compare, not, pseudo};
use super::typing::{Typing, convert, wrong_type};
use crate::error::CliError;
use crate::view::printable;

/// As deep as a gateway takes it.
const MAX_DEPTH: usize = 16;
/// As many conditions and lists as a gateway takes.
const MAX_NODES: usize = 256;

/// Why a text is no such filter.
#[derive(Debug)]
pub(super) struct Wrong {
    pub(super) error: CliError,
    /// It is one, and asks for what cannot be asked for.
    pub(super) is_filter: bool,
}

/// Reads a filter; values get the types that the schema gives them.
pub(super) fn parse(text: &str, typing: &Typing) -> Result<Filter, Wrong> {
    let mut parser = Parser {
        text,
        at: 0,
        nodes: 0,
        typing,
    };
    let filter = parser.filter(1)?;
    parser.blank();
    match parser.rest().chars().next() {
        None => Ok(filter),
        Some(_) => Err(parser.wrong("the filter has ended, and nothing may follow")),
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    nodes: usize,
    typing: &'a Typing,
}

impl<'a> Parser<'a> {
    fn filter(&mut self, depth: usize) -> Result<Filter, Wrong> {
        self.nodes += 1;
        if depth > MAX_DEPTH {
            return Err(self.wrong("filters are nested too deeply (16 at most)"));
        }
        if self.nodes > MAX_NODES {
            return Err(self.wrong("the filter has too many parts (256 at most)"));
        }
        self.expect("(")?;
        self.blank();
        let filter = match self.rest().chars().next() {
            Some('&') => list(Kind::All, self.filters(depth)?),
            Some('|') => list(Kind::Any, self.filters(depth)?),
            Some('!') => {
                self.at += 1;
                not(self.filter(depth + 1)?)
            }
            _ => self.item()?,
        };
        self.expect(")")?;
        Ok(filter)
    }

    fn filters(&mut self, depth: usize) -> Result<Vec<Filter>, Wrong> {
        self.at += 1;
        let mut filters = Vec::new();
        loop {
            self.blank();
            // None at all is a filter, too: RFC 4526.
            if !self.rest().starts_with('(') {
                return Ok(filters);
            }
            filters.push(self.filter(depth + 1)?);
        }
    }

    fn item(&mut self) -> Result<Filter, Wrong> {
        let start = self.at;
        let rest = self.rest();
        let end = rest.find(['=', '(', ')']).unwrap_or(rest.len());
        let before = rest.get(..end).unwrap_or_default();
        if !rest[end..].starts_with('=') {
            return Err(self.wrong_at(start + end, "expected =, >= or <= after the name"));
        }
        let (name, operation) = match before.as_bytes().last() {
            Some(b'>') => (&before[..end - 1], Op::GreaterOrEqual),
            Some(b'<') => (&before[..end - 1], Op::LessOrEqual),
            Some(b'~') => {
                return Err(self.refused(start, "an approximate match (`~=`) is not to be had: resources differ in what they take for alike. Ask with = or with *"));
            }
            Some(b':') => {
                return Err(self.refused(start, "an extensible match (`:=`) is not to be had: only a directory knows its rules. Ask with =, >=, <= or *"));
            }
            _ => (before, Op::Equals),
        };
        let (of, fixed) = self.attribute(name, start)?;
        self.at = start + end + 1;
        let begun = self.at;
        let parts = self.value()?;
        let (operation, bytes) = self.meant(operation, parts, begun)?;
        if operation == Op::Present {
            return Ok(compare(Op::Present, &of.name, None));
        }
        let value = self.typed(&of, fixed, bytes, begun)?;
        Ok(compare(operation, &of.name, Some(value)))
    }

    /// The attribute as the schema spells it: a directory does not regard case.
    fn attribute(&self, name: &str, at: usize) -> Result<(TypedName, Option<ValueType>), Wrong> {
        let is_name = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if name.contains(';') {
            return Err(self.refused(at, "an attribute with options (`;`) cannot be asked for"));
        }
        if name.is_empty() || !name.chars().all(is_name) {
            return Err(self.wrong_at(at, "expected an attribute's name"));
        }
        let (name, fixed) = match self.typing.spelling(name) {
            Some(known) => (known, None),
            None => pseudo(name),
        };
        let of = TypedName {
            name: name.to_owned(),
            value_type: None,
        };
        Ok((of, fixed))
    }

    /// The parts of a value between its `*`, with `\xx` as bytes.
    fn value(&mut self) -> Result<Vec<Vec<u8>>, Wrong> {
        let mut parts = vec![Vec::new()];
        loop {
            let rest = self.rest();
            let Some(next) = rest.chars().next() else {
                return Ok(parts);
            };
            match next {
                ')' => return Ok(parts),
                '(' => return Err(self.wrong("write ( as \\28 and ) as \\29 in a value")),
                '\0' => return Err(self.wrong("write a NUL as \\00")),
                '*' => parts.push(Vec::new()),
                '\\' => {
                    let byte = rest
                        .get(1..3)
                        .filter(|hex| hex.bytes().all(|c| c.is_ascii_hexdigit()));
                    let byte = byte.and_then(|hex| u8::from_str_radix(hex, 16).ok());
                    let Some(byte) = byte else {
                        return Err(self.refused(
                            self.at,
                            "two hexadecimal digits stand after \\, such as \\2a for *, and \\5c for \\ itself",
                        ));
                    };
                    parts
                        .last_mut()
                        .into_iter()
                        .for_each(|part| part.push(byte));
                    self.at += 2;
                }
                other => {
                    let mut buffer = [0; 4];
                    let encoded = other.encode_utf8(&mut buffer).as_bytes();
                    parts
                        .last_mut()
                        .into_iter()
                        .for_each(|part| part.extend(encoded));
                }
            }
            self.at += next.len_utf8();
        }
    }

    /// What `*` means where it stands.
    fn meant(
        &self,
        operation: Op,
        mut parts: Vec<Vec<u8>>,
        at: usize,
    ) -> Result<(Op, Vec<u8>), Wrong> {
        let shape: Vec<_> = parts.iter().map(|part| !part.is_empty()).collect();
        let part = |index: usize, parts: &mut Vec<Vec<u8>>| parts.swap_remove(index);
        match (operation, shape.as_slice()) {
            (_, [_]) => Ok((operation, part(0, &mut parts))),
            (Op::Equals, [false, false]) => Ok((Op::Present, Vec::new())),
            (Op::Equals, [true, false]) => Ok((Op::StartsWith, part(0, &mut parts))),
            (Op::Equals, [false, true]) => Ok((Op::EndsWith, part(1, &mut parts))),
            (Op::Equals, [false, true, false]) => Ok((Op::Contains, part(1, &mut parts))),
            (Op::Equals, _) => Err(self.refused(at, "several parts around * in one value cannot be asked for: ask for each by itself, such as (&(cn=A*)(cn=*e))")),
            _ => Err(self.wrong_at(at, "* has no meaning after >= and <=: write it as \\2a")),
        }
    }

    fn typed(
        &self,
        of: &TypedName,
        fixed: Option<ValueType>,
        bytes: Vec<u8>,
        at: usize,
    ) -> Result<Value, Wrong> {
        let refused = |error| Wrong {
            error,
            is_filter: true,
        };
        let value_type = match fixed {
            Some(value_type) => value_type,
            None => self
                .typing
                .type_of(of)
                .map_err(|error| refused(error.into()))?,
        };
        let kind = match (value_type, String::from_utf8(bytes)) {
            (ValueType::Secret, _) => {
                return Err(self.refused(at, "a secret cannot be searched for"));
            }
            (ValueType::Binary, Ok(text)) => Some(ValueKind::Binary(text.into_bytes())),
            (ValueType::Text | ValueType::Unspecified, Ok(text)) if text.contains('\0') => {
                Some(ValueKind::Binary(text.into_bytes()))
            }
            // Bytes that are no text stay what they are.
            (ValueType::Binary | ValueType::Text | ValueType::Unspecified, Err(bytes)) => {
                Some(ValueKind::Binary(bytes.into_bytes()))
            }
            (ValueType::Time, Ok(text)) => {
                convert(ValueType::Time, &generalized_time(&text).unwrap_or(text))
            }
            (other, Ok(text)) => convert(other, &text),
            (_, Err(_)) => None,
        };
        let kind = kind.ok_or_else(|| refused(wrong_type(&of.name, value_type).into()))?;
        Ok(Value { kind: Some(kind) })
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// Blanks between filters mean nothing.
    fn blank(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    fn expect(&mut self, sign: &str) -> Result<(), Wrong> {
        self.blank();
        if !self.rest().starts_with(sign) {
            return Err(self.wrong(&format!("expected `{sign}`")));
        }
        self.at += sign.len();
        Ok(())
    }

    fn wrong(&self, what: &str) -> Wrong {
        self.wrong_at(self.at, what)
    }

    fn wrong_at(&self, at: usize, what: &str) -> Wrong {
        let before = self.text.get(..at).unwrap_or(self.text);
        let column = before.chars().count() + 1;
        Wrong {
            error: CliError::Usage(printable(&format!("--where, character {column}: {what}"))),
            is_filter: false,
        }
    }

    fn refused(&self, at: usize, what: &str) -> Wrong {
        Wrong {
            is_filter: true,
            ..self.wrong_at(at, what)
        }
    }
}

fn list(kind: fn(FilterList) -> Kind, filters: Vec<Filter>) -> Filter {
    Filter {
        kind: Some(kind(FilterList { filters })),
    }
}

/// Whether a filter is one comparison alone.
pub(super) fn is_comparison(filter: &Filter) -> bool {
    matches!(&filter.kind, Some(Kind::Comparison(Comparison { .. })))
}

/// `20261121234000.0Z` as RFC 3339 has it (RFC 4517, section 3.3.13).
fn generalized_time(text: &str) -> Option<String> {
    let (digits, rest) = text.split_at_checked(14)?;
    let rest = rest.strip_suffix('Z')?;
    let fraction = rest.strip_prefix(['.', ',']).unwrap_or(rest);
    let all_digits = digits
        .bytes()
        .chain(fraction.bytes())
        .all(|c| c.is_ascii_digit());
    if !all_digits || (fraction.is_empty() && !rest.is_empty()) {
        return None;
    }
    let part = |from: usize, to: usize| digits.get(from..to).unwrap_or_default();
    let fraction = match fraction {
        "" => String::new(),
        fraction => format!(".{fraction}"),
    };
    Some(format!(
        "{}-{}-{}T{}:{}:{}{fraction}Z",
        part(0, 4),
        part(4, 6),
        part(6, 8),
        part(8, 10),
        part(10, 12),
        part(12, 14)
    ))
}
