//! CSV (RFC 4180), with the columns that the heading names.
//!
//! Whoever writes a value of the file must not be able to make a row of it. So the quotes of the
//! whole file are checked before its first row is read: where one is out of place, nobody can tell
//! any more what is a row and what is text, and the file is refused.

mod heading;
mod quotes;

use std::collections::BTreeSet;

use csv::{ByteRecord, Reader};
use portcullis_common::listing::Content;
use portcullis_proto::gateway::v1::{Attribute, Value, ValueType};
use zeroize::Zeroizing;

use super::row::{Compared, FileFault, MAX_ROW, Row, RowError, RowPlace, Rows, decode, refusal};
use crate::input::typing::{Typing, boolean, convert, wrong_type};
pub(crate) use heading::separator;
use heading::{Column, begin, columns, field_text, reader};
use quotes::check_quotes;

/// The rows of a CSV file.
pub(crate) struct Csv<'a> {
    content: &'a [u8],
    reader: Reader<&'a [u8]>,
    record: ByteRecord,
    /// Up to where lines were counted, and which line is there.
    counted: (usize, u64),
    separator: u8,
    columns: Vec<Column>,
    /// The columns with attributes, in the order of their names' bytes.
    attributes: Vec<usize>,
}

impl<'a> Csv<'a> {
    /// Reads the heading of a file that is [checked](check).
    pub(crate) fn new(
        content: &'a [u8],
        separator: Option<u8>,
        typing: &Typing,
    ) -> Result<Self, FileFault> {
        let (content, separator, first) = begin(content, separator);
        let mut csv = Self {
            content,
            reader: reader(content, separator),
            record: ByteRecord::new(),
            counted: (0, first),
            separator,
            columns: Vec::new(),
            attributes: Vec::new(),
        };
        let (RowPlace { line, .. }, raw) = csv.advance().ok_or_else(|| FileFault {
            line: first,
            problem: "the file is empty: its first line has to name the columns".to_owned(),
        })?;
        let fault = |problem: String| FileFault { line, problem };
        if raw.len() > MAX_ROW {
            return Err(fault(format!(
                "the heading is longer than {MAX_ROW} bytes: does the first line name the columns, and do lines end with LF or CR LF?"
            )));
        }
        decode(raw, line).map_err(fault)?;
        csv.columns = columns(&csv.record, typing).map_err(fault)?;
        let columns = csv.columns.iter().enumerate();
        let attributes = columns.filter_map(|(index, column)| Some((column.attribute()?, index)));
        let mut attributes: Vec<_> = attributes.map(|(of, index)| (&of.name, index)).collect();
        attributes.sort_unstable();
        csv.attributes = attributes.into_iter().map(|(_, index)| index).collect();
        Ok(csv)
    }

    /// Reads the next record: where it begins, and it as it stands in the file.
    fn advance(&mut self) -> Option<(RowPlace, &'a [u8])> {
        loop {
            let from = offset(self.reader.position().byte());
            // In memory, and flexible: nothing can fail.
            if !self.reader.read_byte_record(&mut self.record).ok()? {
                return None;
            }
            let to = offset(self.reader.position().byte());
            let raw = self.content.get(from..to)?;
            // Empty lines before a record are read with it.
            let blank = raw
                .iter()
                .take_while(|b| matches!(b, b'\r' | b'\n'))
                .count();
            let (counted, line) = self.counted;
            let before = self.content.get(counted..from + blank)?;
            let line = line + before.iter().filter(|b| **b == b'\n').count() as u64;
            self.counted = (from + blank, line);
            let raw = raw.get(blank..)?;
            if !raw.iter().all(u8::is_ascii_whitespace) {
                let offset = (from + blank) as u64;
                return Some((RowPlace { line, offset }, raw));
            }
        }
    }

    /// The name that stands in the present record, which has a field for each column.
    fn name(&self, line: u64, raw: &[u8]) -> Result<&str, RowError> {
        let broken = |name: Option<&str>, place: String, problem: String| RowError {
            line,
            place,
            name: name.map(str::to_owned),
            problem,
        };
        if raw.len() > MAX_ROW {
            let problem = format!("the row is longer than {MAX_ROW} bytes");
            return Err(broken(None, String::new(), problem));
        }
        decode(raw, line).map_err(|problem| broken(None, String::new(), problem))?;
        let mut columns = self.columns.iter();
        let index = columns.position(|column| matches!(column, Column::Name));
        let name = index.map(|index| self.text(index)).unwrap_or_default();
        if self.record.len() != self.columns.len() {
            let problem = format!(
                "{} fields where the heading has {}: is a separator missing, or a value with one in it not in quotes?",
                self.record.len(),
                self.columns.len()
            );
            let name = Some(name).filter(|name| !name.is_empty());
            return Err(broken(name, String::new(), problem));
        }
        if name.is_empty() {
            let place = self.place(index.unwrap_or_default());
            return Err(broken(None, place, "the name is empty".to_owned()));
        }
        Ok(name)
    }

    /// A field of the present record. Its record was decoded as a whole.
    fn text(&self, index: usize) -> &str {
        self.record.get(index).map(field_text).unwrap_or_default()
    }

    fn row(&self, line: u64, raw: &[u8]) -> Result<Row, RowError> {
        let mut row = Row::new(line, self.name(line, raw)?.to_owned());
        for (index, column) in self.columns.iter().enumerate() {
            let field = self.text(index);
            if !field.is_empty() {
                let read = self.field(&mut row, column, field);
                read.map_err(|problem| self.broken(line, index, problem))?;
            }
        }
        Ok(row)
    }

    fn broken(&self, line: u64, index: usize, problem: String) -> RowError {
        let mut columns = self.columns.iter();
        let name = columns.position(|column| matches!(column, Column::Name));
        RowError {
            line,
            place: self.place(index),
            name: name.map(|name| self.text(name).to_owned()),
            problem,
        }
    }

    fn field(&self, row: &mut Row, column: &Column, field: &str) -> Result<(), String> {
        match column {
            Column::Name => {}
            Column::Password => {
                row.password = Some(Zeroizing::new(field.as_bytes().to_vec()));
            }
            Column::Enabled => row.enabled = Some(enabled(field)?),
            Column::Attribute(of) => {
                let values = of.values(field).map(|text| {
                    let kind = convert(of.value_type, text);
                    kind.map(|kind| Value { kind: Some(kind) })
                });
                let values = values.collect::<Option<_>>();
                row.attributes.push(Attribute {
                    name: of.name.clone(),
                    values: values.ok_or_else(|| of.wrong_type())?,
                });
            }
        }
        Ok(())
    }

    /// The present record as it is compared.
    fn compared(&self, place: RowPlace, raw: &[u8], row: &mut Compared) -> Result<(), RowError> {
        let line = place.line;
        row.begin(place, self.name(line, raw)?);
        let (mut password, mut attributes) = (0, 0);
        for (index, column) in self.columns.iter().enumerate() {
            let field = self.text(index);
            match column {
                Column::Enabled if !field.is_empty() => {
                    let flag = enabled(field);
                    let flag = flag.map_err(|problem| self.broken(line, index, problem));
                    row.enabled = Some(flag?);
                }
                Column::Password => password = field.len(),
                Column::Attribute(_) => attributes += usize::from(!field.is_empty()),
                Column::Name | Column::Enabled => {}
            }
        }
        for &index in &self.attributes {
            let of = self.columns.get(index).and_then(Column::attribute);
            let (field, Some(of)) = (self.text(index), of) else {
                continue;
            };
            if field.is_empty() {
                continue;
            }
            let mut none = Content::default();
            let wanted = row.wants(&of.name);
            let content = if wanted { &mut row.content } else { &mut none };
            let put = of.put(field, content);
            put.map_err(|problem| self.broken(line, index, problem))?;
            if wanted {
                row.note(&of.name);
            }
        }
        match refusal(&row.name, password, attributes) {
            None => Ok(()),
            Some(problem) => Err(RowError {
                place: String::new(),
                ..self.broken(line, 0, problem)
            }),
        }
    }

    fn place(&self, index: usize) -> String {
        let title = match self.columns.get(index) {
            Some(Column::Name) => " (name)",
            Some(Column::Password) => " (password)",
            Some(Column::Enabled) => " (enabled)",
            Some(Column::Attribute(of)) => &format!(" ({})", of.name),
            None => "",
        };
        format!("column {}{title}", index + 1)
    }
}

fn enabled(field: &str) -> Result<bool, String> {
    boolean(field).ok_or_else(|| wrong_type("enabled", ValueType::Boolean).to_string())
}

impl Rows for Csv<'_> {
    fn next_row(&mut self) -> Option<Result<Row, RowError>> {
        let (RowPlace { line, .. }, raw) = self.advance()?;
        Some(self.row(line, raw))
    }

    fn titles(&self) -> Option<BTreeSet<String>> {
        let attributes = self.columns.iter().filter_map(Column::attribute);
        Some(attributes.map(|of| of.name.clone()).collect())
    }

    fn next_compared(&mut self, row: &mut Compared) -> Option<Result<(), RowError>> {
        let (place, raw) = self.advance()?;
        Some(self.compared(place, raw, row))
    }

    fn at(&mut self, place: RowPlace) -> Option<Result<Row, RowError>> {
        let content = self.content.get(offset(place.offset)..)?;
        let mut reader = reader(content, self.separator);
        // In memory, and flexible: nothing can fail.
        if !reader.read_byte_record(&mut self.record).ok()? {
            return None;
        }
        let raw = content.get(..offset(reader.position().byte()))?;
        Some(self.row(place.line, raw))
    }

    fn position(&self) -> u64 {
        self.reader.position().byte()
    }
}

/// Checks the quotes of the whole file: nothing of one in which they are out of place is a row.
pub(crate) fn check(content: &[u8], separator: Option<u8>) -> Result<(), FileFault> {
    let (content, separator, first) = begin(content, separator);
    check_quotes(content, separator, first)
}

/// A place in what is in memory.
fn offset(byte: u64) -> usize {
    usize::try_from(byte).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
