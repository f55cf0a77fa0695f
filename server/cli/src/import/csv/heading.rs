//! The heading: what separates the columns, and what each of them is.

use std::collections::HashSet;

use csv::{ByteRecord, Reader, ReaderBuilder};
use portcullis_common::listing::Content;
use portcullis_proto::gateway::v1::ValueType;

use crate::input::assignment::TypedName;
use crate::input::typing::{Typing, plain, wrong_type};

/// Between the values of an attribute that has several.
const VALUE_SEPARATOR: char = ';';

/// Bytes of the name of a column.
const MAX_TITLE: usize = 256;

/// What separates columns, where nobody says: the first of these by which the heading has a column
/// `name`.
const SEPARATORS: [u8; 3] = [b',', b';', b'\t'];

/// What a column holds.
pub(super) enum Column {
    Name,
    Password,
    Enabled,
    Attribute(Attributed),
}

/// What the fields of a column are.
pub(super) struct Attributed {
    pub(super) name: String,
    pub(super) value_type: ValueType,
    several: bool,
}

impl Attributed {
    pub(super) fn wrong_type(&self) -> String {
        wrong_type(&self.name, self.value_type).to_string()
    }

    /// The texts of the values in a field.
    pub(super) fn values<'f>(&self, field: &'f str) -> impl Iterator<Item = &'f str> {
        let parts = self.several.then(|| field.split(VALUE_SEPARATOR));
        let parts = parts.into_iter().flatten().filter(|part| !part.is_empty());
        parts.chain((!self.several).then_some(field))
    }

    /// Puts what is in a field into what is compared.
    pub(super) fn put(&self, field: &str, content: &mut Content) -> Result<(), String> {
        let of = |text| plain(self.value_type, text).ok_or_else(|| self.wrong_type());
        if self.several {
            let mut values = self.values(field).map(of).collect::<Result<_, _>>()?;
            content.several(&self.name, &mut values);
        } else {
            content.single(&self.name, &of(field)?);
        }
        Ok(())
    }
}

impl Column {
    pub(super) fn attribute(&self) -> Option<&Attributed> {
        match self {
            Self::Attribute(of) => Some(of),
            Self::Name | Self::Password | Self::Enabled => None,
        }
    }
}

/// What holds the heading and the rows, what separates its columns, and the line that it begins on.
pub(super) fn begin(content: &[u8], separator: Option<u8>) -> (&[u8], u8, u64) {
    let Preamble {
        content,
        lines,
        named,
    } = preamble(content);
    let separator = separator.or(named);
    let separator = separator.unwrap_or_else(|| recognized(content));
    (content, separator, 1 + lines)
}

/// A separator as it is given: a character, or `tab`.
pub(crate) fn separator(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        b"tab" | b"\\t" => Ok(b'\t'),
        [one] if one.is_ascii_punctuation() && *one != b'"' => Ok(*one),
        [b'\t'] => Ok(b'\t'),
        _ => Err("give one character, such as `;`, or `tab`".to_owned()),
    }
}

pub(super) fn reader(content: &[u8], separator: u8) -> Reader<&[u8]> {
    ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(separator)
        .from_reader(content)
}

/// What programs write before the heading.
struct Preamble<'a> {
    /// What follows it.
    content: &'a [u8],
    /// The lines that it has.
    lines: u64,
    /// The separator that it names.
    named: Option<u8>,
}

/// Reads `sep=;`, which tells spreadsheets the separator, and `#TYPE …`, which PowerShell's
/// Export-Csv writes.
fn preamble(content: &[u8]) -> Preamble<'_> {
    let mut found = Preamble {
        content,
        lines: 0,
        named: None,
    };
    loop {
        let end = found.content.iter().position(|byte| *byte == b'\n');
        let (line, rest) = match end {
            Some(end) => found.content.split_at(end + 1),
            None => (found.content, &[][..]),
        };
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let unquoted = line
            .strip_prefix(b"\"")
            .and_then(|it| it.strip_suffix(b"\""));
        match unquoted.unwrap_or(line) {
            [s, e, p, b'=', separator]
                if [*s, *e, *p].eq_ignore_ascii_case(b"sep") && found.named.is_none() =>
            {
                found.named = Some(*separator);
            }
            line if line.starts_with(b"#TYPE ") && found.lines == 0 => {}
            _ => return found,
        }
        found.lines += 1;
        found.content = rest;
    }
}

fn recognized(content: &[u8]) -> u8 {
    let names = |separator: &u8| {
        let mut heading = ByteRecord::new();
        let read = reader(content, *separator).read_byte_record(&mut heading);
        read.is_ok() && heading.iter().any(|title| title.trim_ascii() == b"name")
    };
    SEPARATORS.into_iter().find(names).unwrap_or(b',')
}

/// The record that it is of was decoded as a whole.
pub(super) fn field_text(field: &[u8]) -> &str {
    std::str::from_utf8(field).unwrap_or_default()
}

/// The columns that a heading names.
pub(super) fn columns(record: &ByteRecord, typing: &Typing) -> Result<Vec<Column>, String> {
    let mut seen = HashSet::new();
    let mut columns = Vec::with_capacity(record.len());
    for (index, title) in record.iter().map(field_text).map(str::trim).enumerate() {
        let at = |problem: String| format!("column {}: {problem}", index + 1);
        if title.len() > MAX_TITLE {
            return Err(at(format!("its name is longer than {MAX_TITLE} bytes")));
        }
        // Spreadsheets write their titles in any case; an attribute is what it is exactly.
        let word = match typing.spelling(title) {
            Some(known) if known == title => title.to_owned(),
            _ => title.to_ascii_lowercase(),
        };
        let column = match word.as_str() {
            "" => return Err(at("the column has no name".to_owned())),
            "name" => Column::Name,
            "password" => Column::Password,
            "enabled" => Column::Enabled,
            _ => attribute(title, typing).map_err(at)?,
        };
        let name = match &column {
            Column::Attribute(of) => of.name.clone(),
            _ => word,
        };
        if !seen.insert(name.clone()) {
            return Err(at(format!("`{name}` is there twice")));
        }
        columns.push(column);
    }
    if !columns.iter().any(|column| matches!(column, Column::Name)) {
        return Err("there is no column `name`; where columns are separated by something else than comma, semicolon or tab, say so with --separator".to_owned());
    }
    Ok(columns)
}

fn attribute(title: &str, typing: &Typing) -> Result<Column, String> {
    let mut of: TypedName = title.parse().map_err(|error| format!("{error}"))?;
    of.name = typing.spelled(&of.name);
    match typing.type_of(&of) {
        Ok(ValueType::Secret) => Err(format!(
            "`{title}` is a secret, which a CSV file has no column for besides `password`"
        )),
        Ok(value_type) => Ok(Column::Attribute(Attributed {
            several: typing.multi_valued(&of.name) == Some(true),
            name: of.name,
            value_type,
        })),
        Err(error) => Err(error.to_string()),
    }
}
