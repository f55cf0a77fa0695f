//! Reads one table key by key: wrong types, values out of range and unknown keys all become
//! [`Problems`].

use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use super::problem::Problems;
use super::table::{Entry, Table, Value};

/// What is said of a text that TOML allows and nothing else does.
const NUL: &str = "a NUL stands in the text: no value may have one";

/// One table under reading.
///
/// Ask for every key that is allowed, then call [`Self::finish`]: a key that was never asked for is
/// a problem, and the message lists those that were. A value that is absent or wrong gives `None`;
/// where wrong, the problem is noted already.
#[derive(Debug)]
pub struct Section<'a> {
    path: String,
    table: &'a Table,
    asked: Vec<String>,
    problems: &'a Problems,
}

impl<'a> Section<'a> {
    /// Reads `table`, which stands at `path` (dotted, empty at the root).
    pub fn new(path: impl Into<String>, table: &'a Table, problems: &'a Problems) -> Self {
        Self {
            path: path.into(),
            table,
            asked: Vec::new(),
            problems,
        }
    }

    /// Is the key there?
    pub fn has(&self, key: &str) -> bool {
        self.table.find(key).is_some()
    }

    /// Whether nothing was found wrong with the value of `key`.
    pub fn is_sound(&self, key: &str) -> bool {
        self.problems.none_of(&self.full_key(key))
    }

    /// The line of `key`, or of the table where the key is absent.
    pub fn line_of(&self, key: &str) -> u32 {
        self.table
            .find(key)
            .map_or(self.table.line, |entry| entry.line)
    }

    /// Notes that the value of `key` is wrong (or missing). `message` says what is allowed.
    pub fn problem(&self, key: &str, message: impl Into<String>) {
        self.problems
            .add(self.line_of(key), self.full_key(key), message);
    }

    /// A text.
    pub fn text(&mut self, key: &str) -> Option<&'a str> {
        let entry = self.ask(key)?;
        match &entry.value {
            Value::Text(text) => self.without_nul(key, text),
            other => self.wrong_type(key, other, "a text in quotes"),
        }
    }

    /// A text; of a value of another type `refusal` is said.
    pub fn text_or(&mut self, key: &str, refusal: &str) -> Option<&'a str> {
        let entry = self.ask(key)?;
        if let Value::Text(text) = &entry.value {
            return self.without_nul(key, text);
        }
        self.problem(key, refusal);
        None
    }

    /// A text, parsed. The parser's error is shown to the reader: it has to say what is allowed.
    pub fn parsed<T: FromStr<Err: std::fmt::Display>>(&mut self, key: &str) -> Option<T> {
        let text = self.text(key)?;
        match text.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                self.problem(key, format!("`{text}`: {error}"));
                None
            }
        }
    }

    /// A whole number within `range`.
    pub fn integer(&mut self, key: &str, range: RangeInclusive<u64>) -> Option<u64> {
        let (low, high) = (range.start(), range.end());
        let entry = self.ask(key)?;
        match &entry.value {
            Value::Integer(Some(number))
                if u64::try_from(*number).is_ok_and(|number| range.contains(&number)) =>
            {
                u64::try_from(*number).ok()
            }
            Value::Integer(_) => {
                self.problem(
                    key,
                    format!("out of range: a whole number from {low} to {high} is allowed"),
                );
                None
            }
            other => self.wrong_type(key, other, &format!("a whole number from {low} to {high}")),
        }
    }

    /// `true` or `false`.
    pub fn boolean(&mut self, key: &str) -> Option<bool> {
        let entry = self.ask(key)?;
        match &entry.value {
            Value::Boolean(flag) => Some(*flag),
            other => self.wrong_type(key, other, "true or false, without quotes"),
        }
    }

    /// A duration within `range`, written like `"10s"` or `"1h 30m"`.
    pub fn duration(&mut self, key: &str, range: RangeInclusive<Duration>) -> Option<Duration> {
        let text = self.text(key)?;
        match humantime::parse_duration(text) {
            Ok(duration) if range.contains(&duration) => Some(duration),
            _ => {
                self.problem(
                    key,
                    format!(
                        "`{text}`: a duration from \"{}\" to \"{}\" is allowed",
                        humantime::format_duration(*range.start()),
                        humantime::format_duration(*range.end()),
                    ),
                );
                None
            }
        }
    }

    /// A list of texts, each parsed by `parse`, whose error is shown to the reader.
    pub fn list<T>(
        &mut self,
        key: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<Vec<T>> {
        let entry = self.ask(key)?;
        let Value::Array(items) = &entry.value else {
            return self.wrong_type(key, &entry.value, "a list of texts, such as [\"a\", \"b\"]");
        };
        let full_key = self.full_key(key);
        let parsed: Vec<_> = items
            .iter()
            .filter_map(|(line, item)| {
                let result = match item {
                    Value::Text(text) if text.contains('\0') => Err(NUL.to_owned()),
                    Value::Text(text) => parse(text).map_err(|error| format!("`{text}`: {error}")),
                    other => Err(format!(
                        "{} stands in the list: only texts in quotes are allowed",
                        other.type_name()
                    )),
                };
                result
                    .map_err(|message| self.problems.add(*line, full_key.clone(), message))
                    .ok()
            })
            .collect();
        (parsed.len() == items.len()).then_some(parsed)
    }

    /// The table under `key`.
    pub fn section(&mut self, key: &str) -> Option<Section<'a>> {
        let entry = self.ask(key)?;
        match &entry.value {
            Value::Table(table) => Some(Section::new(self.full_key(key), table, self.problems)),
            other => self.wrong_type(key, other, "a table"),
        }
    }

    /// Every text in this table, by key: for keys that the administrator chooses.
    pub fn named_texts(&mut self) -> Vec<(&'a str, &'a str)> {
        let table = self.table;
        table
            .entries
            .iter()
            .filter_map(|entry| Some((entry.key.as_str(), self.text(&entry.key)?)))
            .collect()
    }

    /// Every table in this one, by name: for tables whose names the administrator chooses.
    pub fn named_tables(&mut self) -> Vec<(&'a str, &'a Table)> {
        let table = self.table;
        let mut found = Vec::new();
        for entry in &table.entries {
            self.asked.push(entry.key.clone());
            match &entry.value {
                Value::Table(inner) => found.push((entry.key.as_str(), inner)),
                other => {
                    self.wrong_type::<()>(&entry.key, other, "a table");
                }
            }
        }
        found
    }

    /// One of the tables that [`Self::named_tables`] gave.
    pub fn within(&self, name: &str, table: &'a Table) -> Section<'a> {
        Section::new(self.full_key(name), table, self.problems)
    }

    /// Ends the reading: every key that was not asked for is a problem.
    pub fn finish(self) {
        let place = if self.path.is_empty() {
            "here".to_owned()
        } else {
            format!("in [{}]", self.path)
        };
        self.finish_with(|_, allowed| format!("unknown key: allowed {place} are {allowed}"));
    }

    /// As [`Self::finish`], in the words of `unknown`: it is given the key, and those that are
    /// allowed in its place.
    pub fn finish_with(self, unknown: impl Fn(&str, &str) -> String) {
        let allowed: Vec<_> = self.asked.iter().map(|key| format!("`{key}`")).collect();
        let allowed = allowed.join(", ");
        for entry in &self.table.entries {
            if !self.asked.contains(&entry.key) {
                self.problem(&entry.key, unknown(&entry.key, &allowed));
            }
        }
    }

    fn ask(&mut self, key: &str) -> Option<&'a Entry> {
        if !self.asked.iter().any(|asked| asked == key) {
            self.asked.push(key.to_owned());
        }
        self.table.find(key)
    }

    /// A path that had one would end there, for the system.
    fn without_nul(&self, key: &str, text: &'a str) -> Option<&'a str> {
        if text.contains('\0') {
            self.problem(key, NUL);
            return None;
        }
        Some(text)
    }

    fn wrong_type<T>(&self, key: &str, found: &Value, allowed: &str) -> Option<T> {
        self.problem(
            key,
            format!("{} stands here: {allowed} is allowed", found.type_name()),
        );
        None
    }

    fn full_key(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }
}
