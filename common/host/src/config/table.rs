//! A TOML table of which every value knows its line.

use toml::de::{DeTable, DeValue};

/// A table: its entries, sorted by key.
#[derive(Clone, Debug, Default)]
pub struct Table {
    pub(super) line: u32,
    pub(super) entries: Vec<Entry>,
}

/// One key and its value.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    /// Counted from 1.
    pub(super) line: u32,
    pub(super) value: Value,
}

#[derive(Clone, Debug)]
pub(super) enum Value {
    Text(String),
    /// `None`: it does not fit 64 bits.
    Integer(Option<i64>),
    Boolean(bool),
    Array(Vec<(u32, Value)>),
    Table(Table),
    /// A type that no key has.
    Other(&'static str),
}

impl Value {
    /// The name of its type, for messages.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::Text(_) => "a text",
            Self::Integer(_) => "a whole number",
            Self::Boolean(_) => "true or false",
            Self::Array(_) => "a list",
            Self::Table(_) => "a table",
            Self::Other(name) => name,
        }
    }
}

impl Value {
    fn says_the_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Text(one), Self::Text(other)) => one == other,
            (Self::Integer(one), Self::Integer(other)) => one == other,
            (Self::Boolean(one), Self::Boolean(other)) => one == other,
            (Self::Other(one), Self::Other(other)) => one == other,
            (Self::Table(one), Self::Table(other)) => one.says_the_same(other),
            (Self::Array(one), Self::Array(other)) => {
                let pairs = one.iter().zip(other);
                one.len() == other.len()
                    && pairs
                        .into_iter()
                        .all(|((_, one), (_, other))| one.says_the_same(other))
            }
            _ => false,
        }
    }
}

impl Table {
    /// Parses a whole file; on bad syntax, each message with its line.
    pub(super) fn parse(text: &str) -> Result<Self, Vec<(Option<u32>, String)>> {
        let lines = Lines::of(text);
        let (root, errors) = DeTable::parse_recoverable(text);
        if errors.is_empty() {
            return Ok(table(root.get_ref(), 1, &lines));
        }
        Err(errors
            .iter()
            .map(|error| {
                let line = error.span().map(|span| lines.at(span.start));
                (line, error.message().to_owned())
            })
            .collect())
    }

    /// The line where it starts, from 1.
    pub fn line(&self) -> u32 {
        self.line
    }

    /// Whether both say the same, wherever it stands.
    pub fn says_the_same(&self, other: &Self) -> bool {
        let pairs = self.entries.iter().zip(&other.entries);
        self.entries.len() == other.entries.len()
            && pairs
                .into_iter()
                .all(|(one, other)| one.key == other.key && one.value.says_the_same(&other.value))
    }

    pub(super) fn find(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }
}

fn table(table: &DeTable<'_>, line: u32, lines: &Lines) -> Table {
    let entries = table
        .iter()
        .map(|(key, value)| {
            let line = lines.at(key.span().start);
            Entry {
                key: key.get_ref().to_string(),
                line,
                value: self::value(value.get_ref(), line, lines),
            }
        })
        .collect();
    Table { line, entries }
}

fn value(value: &DeValue<'_>, line: u32, lines: &Lines) -> Value {
    match value {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(number) => {
            Value::Integer(i64::from_str_radix(number.as_str(), number.radix()).ok())
        }
        DeValue::Boolean(flag) => Value::Boolean(*flag),
        DeValue::Array(items) => Value::Array(
            items
                .iter()
                .map(|item| {
                    let line = lines.at(item.span().start);
                    (line, self::value(item.get_ref(), line, lines))
                })
                .collect(),
        ),
        DeValue::Table(inner) => Value::Table(table(inner, line, lines)),
        DeValue::Float(_) => Value::Other("a number with a fraction"),
        DeValue::Datetime(_) => Value::Other("a date or time"),
    }
}

/// Where each line starts, in bytes.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        let ends = text.match_indices('\n').map(|(at, _)| at + 1);
        Self(std::iter::once(0).chain(ends).collect())
    }

    fn at(&self, offset: usize) -> u32 {
        let line = self.0.partition_point(|start| *start <= offset);
        u32::try_from(line).unwrap_or(u32::MAX)
    }
}
