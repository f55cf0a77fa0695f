//! CSV (RFC 4180), with the columns that the heading names.
//!
//! Whoever writes a value of the file must not be able to make a row of it. So the quotes of the
//! whole file are checked before its first row is read: where one is out of place, nobody can tell
//! any more what is a row and what is text, and the file is refused.

use std::collections::{BTreeSet, HashSet};

use csv::{ByteRecord, Reader, ReaderBuilder};
use portcullis_common::listing::Content;
use portcullis_proto::gateway::v1::{Attribute, Value, ValueType};
use zeroize::Zeroizing;

use super::row::{Compared, FileFault, MAX_ROW, Row, RowError, RowPlace, Rows, decode, refusal};
use crate::input::assignment::TypedName;
use crate::input::typing::{Typing, boolean, convert, plain, wrong_type};

/// Between the values of an attribute that has several.
const VALUE_SEPARATOR: char = ';';

/// Bytes of the name of a column.
const MAX_TITLE: usize = 256;

/// What separates columns, where nobody says: the first of these by which the heading has a column
/// `name`.
const SEPARATORS: [u8; 3] = [b',', b';', b'\t'];

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

enum Column {
    Name,
    Password,
    Enabled,
    Attribute(Attributed),
}

/// What the fields of a column are.
struct Attributed {
    name: String,
    value_type: ValueType,
    several: bool,
}

impl Attributed {
    fn wrong_type(&self) -> String {
        wrong_type(&self.name, self.value_type).to_string()
    }

    /// The texts of the values in a field.
    fn values<'f>(&self, field: &'f str) -> impl Iterator<Item = &'f str> {
        let parts = self.several.then(|| field.split(VALUE_SEPARATOR));
        let parts = parts.into_iter().flatten().filter(|part| !part.is_empty());
        parts.chain((!self.several).then_some(field))
    }

    /// Puts what is in a field into what is compared.
    fn put(&self, field: &str, content: &mut Content) -> Result<(), String> {
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
        csv.columns = heading(&csv.record, typing).map_err(fault)?;
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

impl Column {
    fn attribute(&self) -> Option<&Attributed> {
        match self {
            Self::Attribute(of) => Some(of),
            Self::Name | Self::Password | Self::Enabled => None,
        }
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

/// What holds the heading and the rows, what separates its columns, and the line that it begins on.
fn begin(content: &[u8], separator: Option<u8>) -> (&[u8], u8, u64) {
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

fn reader(content: &[u8], separator: u8) -> Reader<&[u8]> {
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

/// Where a quote can stand (RFC 4180, section 2, rules 5 to 7).
#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    /// The beginning of a value.
    Beginning,
    /// In a value without quotes.
    Plain,
    /// In a value in quotes.
    Quoted,
    /// After a quote within quotes: the last, or the first of two.
    Closed,
}

fn check_quotes(content: &[u8], separator: u8, first: u64) -> Result<(), FileFault> {
    let (mut line, mut opened, mut at) = (first, first, At::Beginning);
    for (index, byte) in content.iter().enumerate() {
        let fault = |problem: &str| FileFault {
            line,
            problem: problem.to_owned(),
        };
        at = match (at, *byte) {
            (At::Quoted, b'"') => At::Closed,
            (At::Quoted, _) => At::Quoted,
            (At::Closed, b'"') => At::Quoted,
            (At::Beginning, b'"') => {
                opened = line;
                At::Quoted
            }
            (At::Plain, b'"') => {
                return Err(fault(
                    "a quote stands in a value that is not in quotes: put the value in quotes, and double the quote",
                ));
            }
            (_, b'\n') => At::Beginning,
            (same, b'\r') => match content.get(index + 1) {
                Some(b'\n') | None => same,
                Some(_) => {
                    return Err(fault("a line ends with CR alone: save it with LF or CR LF"));
                }
            },
            (_, byte) if byte == separator => At::Beginning,
            (At::Closed, _) => {
                return Err(fault(
                    "something follows the closing quote (a quote inside quotes is doubled)",
                ));
            }
            (At::Beginning | At::Plain, _) => At::Plain,
        };
        line += u64::from(*byte == b'\n');
    }
    if at == At::Quoted {
        return Err(FileFault {
            line: opened,
            problem: "the quote that is opened here is never closed".to_owned(),
        });
    }
    Ok(())
}

/// The record that it is of was decoded as a whole.
fn field_text(field: &[u8]) -> &str {
    std::str::from_utf8(field).unwrap_or_default()
}

/// A place in what is in memory.
fn offset(byte: u64) -> usize {
    usize::try_from(byte).unwrap_or(usize::MAX)
}

fn heading(record: &ByteRecord, typing: &Typing) -> Result<Vec<Column>, String> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::typing::tests::typing;

    /// Lines and names of the rows; or the fault of the file.
    fn names(content: &str) -> Result<Vec<(u64, String)>, String> {
        let typing = typing();
        let mut csv = check(content.as_bytes(), None)
            .and_then(|()| Csv::new(content.as_bytes(), None, &typing))
            .map_err(|fault| format!("{}: {}", fault.line, fault.problem))?;
        let mut rows = Vec::new();
        while let Some(row) = csv.next_row() {
            rows.push(match row {
                Ok(row) => (row.line, row.name),
                Err(error) => (error.line, error.problem),
            });
        }
        Ok(rows)
    }

    /// As [`Row`]s tell it, and as rows are compared; each also by its place.
    #[test]
    fn rows_are_compared_as_they_are() {
        let typing = typing();
        let content = "\n\nname,enabled,uid,groups,shell\r\nada,yes,007,b;a;b,\"/bin/\"\"sh\"\"\"\n\n\nbob,,,,\ncid,no,,;,x\n";
        for wanted in [
            &[][..],
            &["shell".to_owned()],
            &["uid".to_owned(), "groups".to_owned()],
        ] {
            let mut rows = Csv::new(content.as_bytes(), None, &typing).ok().unwrap();
            let mut again = Csv::new(content.as_bytes(), None, &typing).ok().unwrap();
            let (mut compared, mut expected) = (Compared::noting(wanted), Compared::noting(wanted));
            let mut names = Vec::new();
            while let Some(read) = rows.next_compared(&mut compared) {
                read.unwrap();
                let row = again.at(compared.place).unwrap().unwrap();
                expected.take(row, compared.place);
                assert_eq!(format!("{compared:?}"), format!("{expected:?}"));
                names.push((compared.place.line, compared.name.clone(), compared.enabled));
            }
            let names: Vec<_> = names.iter().map(|it| (it.0, it.1.as_str(), it.2)).collect();
            let all = [
                (4, "ada", Some(true)),
                (7, "bob", None),
                (8, "cid", Some(false)),
            ];
            assert_eq!(names, all);
        }
    }

    #[test]
    fn what_is_wrong_with_a_row_is_wrong_however_it_is_read() {
        let typing = typing();
        let long = "x".repeat(300);
        for row in [
            "ada,ten,",
            "ada,1",
            ",1,",
            "ada,1,,",
            "a\u{202e}da,1,",
            &long,
            "ada,1,x\u{0}",
        ] {
            let content = format!("name,uid,shell\n{row}\n");
            let new = || Csv::new(content.as_bytes(), None, &typing).ok().unwrap();
            let whole = new().next_row().unwrap().and_then(Row::sound);
            let mut compared = Compared::new(&["shell".to_owned()]);
            let compared = new().next_compared(&mut compared).unwrap();
            assert_eq!(compared.err(), whole.err(), "{row:?}");
        }
    }

    #[test]
    fn titles_may_be_written_in_any_case() {
        let rows = names("Name,Shell\nada,/bin/sh\n").unwrap();
        assert_eq!(rows, [(2, "ada".to_owned())]);
        for (content, twice) in [
            ("name,NAME\nada,x\n", "`name`"),
            ("name,shell,SHELL\nada,a,b\n", "`shell`"),
        ] {
            let problem = names(content).unwrap_err();
            assert!(
                problem.contains(&format!("{twice} is there twice")),
                "{problem}"
            );
        }
    }

    #[test]
    fn no_row_begins_inside_a_quoted_text() {
        let at = |line: u64, name: &str| (line, name.to_owned());
        // A value in quotes may hold line breaks, separators and doubled quotes.
        for break_ in ["\n", "\r\n"] {
            let content = "name,shell\nada,\"Room 1\nmallory,x\nend \"\"2\"\"\"\nbob,Bob\n";
            let rows = names(&content.replace('\n', break_)).unwrap();
            assert_eq!(rows, [at(2, "ada"), at(5, "bob")]);
        }
        // Out of step, nothing of the file is a row.
        for (content, fault) in [
            (
                "name,shell\nada,\"Room 1\nmallory,x\n",
                "2: the quote that is opened here is never",
            ),
            (
                "name,shell\nada,Room\nbob,\"a\"b\nmallory,x\n",
                "3: something follows the closing",
            ),
            (
                "name,shell\nada,5\" pipe\nmallory,x\n",
                "2: a quote stands in a value",
            ),
            (
                "name,shell\nada, \"Room 1\nmallory,x\n\"\n",
                "2: a quote stands in a value",
            ),
            (
                "name,shell\nada,end\"\nbob,x\n",
                "2: a quote stands in a value",
            ),
            (
                "name,shell\rada,x\rmallory,x\r",
                "1: a line ends with CR alone",
            ),
            (
                "name,shell\nada,x\rmallory,x\n",
                "2: a line ends with CR alone",
            ),
            (
                "\"name\nada\n",
                "1: the quote that is opened here is never closed",
            ),
        ] {
            let refused = names(content).unwrap_err();
            assert!(refused.starts_with(fault), "{content:?}: {refused}");
        }
    }

    #[test]
    fn lines_are_those_that_an_editor_shows() {
        let rows = names("\n\nname\n\nada\r\n  \n\"bob\"\n\n\ncid").unwrap();
        let expected = [(5, "ada"), (7, "bob"), (10, "cid")];
        assert_eq!(rows, expected.map(|(line, name)| (line, name.to_owned())));
    }

    #[test]
    fn separators_are_recognized_from_the_heading_or_given() {
        for (content, expected) in [
            ("name,uid\nada,1\n", "ada"),
            ("uid;name;groups\n1;a,da;\"x;y\"\n", "a,da"),
            ("uid\tname\n1\ta;d,a\n", "a;d,a"),
            ("\"name\";\"uid\"\n\"ada\";1\n", "ada"),
            ("\"uid\";\"name\"\n1;\"ada\"\n", "ada"),
            ("uid;\"name\"\n1;ada\n", "ada"),
            ("\"uid\"\t\"name\"\n1\tada\n", "ada"),
            ("\"uid\",\"name\"\n1,ada\n", "ada"),
            (
                "shell;\"groups\";\"name\"\n/bin/sh;\"a,b\";\"a;d,a\"\n",
                "a;d,a",
            ),
        ] {
            assert_eq!(names(content).unwrap(), [(2, expected.to_owned())]);
        }
        let typing = typing();
        let mut csv = Csv::new(b"uid|name\n1|ada\n", Some(b'|'), &typing)
            .ok()
            .unwrap();
        assert_eq!(csv.next_row().unwrap().unwrap().name, "ada");
        assert_eq!(separator("tab"), Ok(b'\t'));
        for wrong in ["", "ab", "\"", "a", "\n", "ä"] {
            assert!(separator(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn what_programs_write_before_the_heading_is_no_row() {
        for (content, line) in [
            ("sep=;\nuid;name\n1;ada\n", 3),
            ("\"sep=;\"\r\nuid;name\r\n1;ada\r\n", 3),
            ("SEP=|\nuid|name\n1|ada\n", 3),
            (
                "#TYPE Selected.User\r\n\"name\",\"uid\"\r\n\"ada\",\"1\"\r\n",
                3,
            ),
            ("#TYPE A`1[[B, C]]\nsep=\t\nuid\tname\n1\tada\n", 4),
        ] {
            let rows = names(content);
            assert_eq!(rows, Ok(vec![(line, "ada".to_owned())]), "{content:?}");
        }
        let late = names("sep=;\nname;shell\nada;\"x\n").unwrap_err();
        assert!(late.starts_with("3: the quote that is opened"), "{late}");
        assert!(
            names("sep=;\n")
                .unwrap_err()
                .starts_with("2: the file is empty")
        );
    }

    #[test]
    fn a_heading_without_end_is_refused_and_not_repeated() {
        for content in [
            "x".repeat(20_000_000),
            format!("name,{}\nada,1\n", "x".repeat(10_000)),
        ] {
            let refused = names(&content).unwrap_err();
            assert!(refused.contains("longer than"), "{}", &refused[..100]);
            assert!(refused.len() < 300, "{} bytes", refused.len());
        }
    }

    #[test]
    fn what_is_no_text_breaks_its_row_alone() {
        let typing = typing();
        let content = b"name\nada\n\"b\nx\xff\"\ncid\n\0\n";
        let mut csv = Csv::new(content, None, &typing).ok().unwrap();
        assert!(csv.next_row().unwrap().is_ok());
        let broken = csv.next_row().unwrap().unwrap_err();
        assert!(
            broken.problem.contains("byte 2 of line 4 is not UTF-8"),
            "{broken}"
        );
        assert!(csv.next_row().unwrap().is_ok());
        assert!(csv.next_row().unwrap().unwrap_err().problem.contains("NUL"));
    }
}
