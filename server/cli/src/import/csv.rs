//! CSV (RFC 4180), where a row is one line.
//!
//! A quote that is not closed on its line is a broken row, not the beginning of a value that
//! swallows the rows below it.

use std::borrow::Cow;
use std::collections::HashSet;

use portcullis_proto::gateway::v1::{Attribute, ValueType};
use zeroize::Zeroizing;

use super::row::{Lines, Row, RowError, RowFormat};
use crate::input::assignment::TypedName;
use crate::input::typing::Typing;

/// Between the values of an attribute that has several.
const VALUE_SEPARATOR: char = ';';

/// CSV, with the columns that the heading names.
pub(crate) struct Csv<'a> {
    columns: Vec<Column>,
    typing: &'a Typing,
}

enum Column {
    Name,
    Password,
    Enabled,
    Attribute(TypedName),
}

/// What is wrong with the heading: nothing can be read then.
#[derive(Debug)]
pub(crate) struct HeadingError {
    pub(crate) line: u64,
    pub(crate) problem: String,
}

impl<'a> Csv<'a> {
    /// Reads the heading.
    pub(crate) fn new(lines: &mut Lines<'_>, typing: &'a Typing) -> Result<Self, HeadingError> {
        let (line, text) = lines.next_line().ok_or_else(|| HeadingError {
            line: 1,
            problem: "the file is empty: its first line has to name the columns".to_owned(),
        })?;
        let columns = text
            .and_then(|text| heading(text, typing))
            .map_err(|problem| HeadingError { line, problem })?;
        Ok(Self { columns, typing })
    }

    fn field(&self, row: &mut Row, column: &Column, field: &str) -> Result<(), String> {
        if field.is_empty() {
            return Ok(());
        }
        match column {
            Column::Name => {}
            Column::Password => {
                row.password = Some(Zeroizing::new(field.as_bytes().to_vec()));
            }
            Column::Enabled => {
                let flag = field
                    .parse()
                    .map_err(|_| "takes true or false".to_owned())?;
                row.enabled = Some(flag);
            }
            Column::Attribute(of) => {
                let several = self.typing.multi_valued(&of.name) == Some(true);
                let values = if several {
                    field
                        .split(VALUE_SEPARATOR)
                        .filter(|part| !part.is_empty())
                        .map(|part| self.typing.value(of, part))
                        .collect::<Result<_, _>>()
                } else {
                    self.typing.value(of, field).map(|value| vec![value])
                };
                row.attributes.push(Attribute {
                    name: of.name.clone(),
                    values: values.map_err(|error| error.to_string())?,
                });
            }
        }
        Ok(())
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

impl RowFormat for Csv<'_> {
    fn row(&self, line: u64, text: &str) -> Result<Row, RowError> {
        let broken = |name: Option<&str>, place: String, problem: String| RowError {
            line,
            place,
            name: name.map(str::to_owned),
            problem,
        };
        let fields = split(text)
            .map_err(|(index, problem)| broken(None, self.place(index), problem.to_owned()))?;
        let name = self
            .columns
            .iter()
            .zip(&fields)
            .find_map(|(column, field)| matches!(column, Column::Name).then_some(&**field))
            .filter(|name| !name.is_empty());
        if fields.len() != self.columns.len() {
            let problem = format!(
                "{} fields where the heading has {}: is a comma missing, or a value with a comma not in quotes?",
                fields.len(),
                self.columns.len()
            );
            return Err(broken(name, String::new(), problem));
        }
        let mut row = Row::new(line, name.unwrap_or_default().to_owned());
        if row.name.is_empty() {
            let index = self.columns.iter().position(|c| matches!(c, Column::Name));
            let place = self.place(index.unwrap_or_default());
            return Err(broken(None, place, "the name is empty".to_owned()));
        }
        for (index, (column, field)) in self.columns.iter().zip(&fields).enumerate() {
            self.field(&mut row, column, field)
                .map_err(|problem| broken(name, self.place(index), problem))?;
        }
        Ok(row)
    }
}

fn heading(text: &str, typing: &Typing) -> Result<Vec<Column>, String> {
    let titles =
        split(text).map_err(|(index, problem)| format!("column {}: {problem}", index + 1))?;
    let mut seen = HashSet::new();
    let mut columns = Vec::with_capacity(titles.len());
    for (index, title) in titles.iter().map(|title| title.trim()).enumerate() {
        let at = |problem: String| format!("column {}: {problem}", index + 1);
        let column = match title {
            "" => return Err(at("the column has no name".to_owned())),
            "name" => Column::Name,
            "password" => Column::Password,
            "enabled" => Column::Enabled,
            title => {
                let of: TypedName = title.parse().map_err(|error| at(format!("{error}")))?;
                match typing.type_of(&of) {
                    Ok(ValueType::Secret) => {
                        return Err(at(format!(
                            "`{title}` is a secret, which a CSV file has no column for besides `password`"
                        )));
                    }
                    Ok(_) => Column::Attribute(of),
                    Err(error) => return Err(at(error.to_string())),
                }
            }
        };
        let name = title.split(':').next().unwrap_or(title);
        if !seen.insert(name.to_owned()) {
            return Err(at(format!("`{name}` is there twice")));
        }
        columns.push(column);
    }
    if !columns.iter().any(|column| matches!(column, Column::Name)) {
        let hint = if text.contains(';') || text.contains('\t') {
            "; columns are separated by commas"
        } else {
            ""
        };
        return Err(format!("there is no column `name`{hint}"));
    }
    Ok(columns)
}

/// The fields of a line; or the index of the field that is broken, and how.
fn split(line: &str) -> Result<Vec<Cow<'_, str>>, (usize, &'static str)> {
    let mut fields = Vec::new();
    let mut rest = line;
    loop {
        let (field, after) = if let Some(quoted) = rest.strip_prefix('"') {
            unquote(quoted).map_err(|problem| (fields.len(), problem))?
        } else {
            let end = rest.find(',').unwrap_or(rest.len());
            (Cow::Borrowed(&rest[..end]), &rest[end..])
        };
        fields.push(field);
        match after.strip_prefix(',') {
            Some(next) => rest = next,
            None => return Ok(fields),
        }
    }
}

/// What stands in quotes, from after the first to the last, and what follows.
fn unquote(text: &str) -> Result<(Cow<'_, str>, &str), &'static str> {
    let mut from = 0;
    let mut doubled = false;
    let end = loop {
        let quote = text[from..].find('"').map(|at| from + at).ok_or(
            "a quote is opened and not closed on this line (a value with a line break in it needs JSON Lines)",
        )?;
        if text[quote + 1..].starts_with('"') {
            doubled = true;
            from = quote + 2;
        } else {
            break quote;
        }
    };
    let after = &text[end + 1..];
    if !after.is_empty() && !after.starts_with(',') {
        return Err("something follows the closing quote (a quote inside quotes is doubled)");
    }
    let inside = &text[..end];
    let field = if doubled {
        Cow::Owned(inside.replace("\"\"", "\""))
    } else {
        Cow::Borrowed(inside)
    };
    Ok((field, after))
}
