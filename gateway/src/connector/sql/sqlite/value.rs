//! Values on their way to SQLite and back.
//!
//! SQLite has no times, no truth values and no lists: a column that is declared BOOLEAN holds 0 or
//! 1, and a list is the JSON text of an array, as `json_group_array` makes it.

use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Row as TargetRow, Statement};

use super::super::engine::{Cell, Column, Fault, Param, Row};
use super::super::statement::quote;
use crate::model::{FailureKind, Value, ValueType};

/// Values of one list at the most.
const MOST_VALUES: usize = 100_000;

impl ToSql for Param {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let borrowed = ToSqlOutput::Borrowed;
        Ok(match self {
            Self::Null => borrowed(ValueRef::Null),
            Self::Secret(bytes) => borrowed(ValueRef::Text(bytes)),
            Self::Value(value) => match value {
                Value::Text(text) => borrowed(ValueRef::Text(text.as_bytes())),
                Value::Integer(number) => borrowed(ValueRef::Integer(*number)),
                Value::Boolean(truth) => borrowed(ValueRef::Integer((*truth).into())),
                Value::Real(number) => borrowed(ValueRef::Real(*number)),
                Value::Binary(bytes) => borrowed(ValueRef::Blob(bytes)),
                Value::Time(time) => {
                    let text = humantime::format_rfc3339_micros(*time).to_string();
                    ToSqlOutput::Owned(rusqlite::types::Value::Text(text))
                }
                Value::Secret(secret) => borrowed(ValueRef::Text(secret.expose())),
            },
        })
    }
}

/// The columns that a statement answers with.
pub(super) fn columns(statement: &Statement<'_>, lists: &[String]) -> Vec<Column> {
    let columns = statement.columns();
    let column = |column: &rusqlite::Column<'_>| {
        let is_list = lists.iter().any(|name| name == column.name());
        Column {
            name: column.name().to_owned(),
            value_type: match column.decl_type() {
                Some(declared) if !is_list => declared_type(declared),
                _ => ValueType::Text,
            },
            is_list,
            expression: quote(column.name()),
        }
    };
    columns.map(|found| column(&found)).collect()
}

/// SQLite's documentation, "Datatypes In SQLite", section 3.1, and its habit of BOOLEAN.
fn declared_type(declared: &str) -> ValueType {
    let declared = declared.to_ascii_uppercase();
    let has = |part: &str| declared.contains(part);
    if has("BOOL") {
        ValueType::Boolean
    } else if has("INT") {
        ValueType::Integer
    } else if has("BLOB") {
        ValueType::Binary
    } else if has("REAL") || has("FLOA") || has("DOUB") {
        ValueType::Real
    } else {
        ValueType::Text
    }
}

/// A row with these columns.
pub(super) fn row(row: &TargetRow<'_>, columns: &[Column]) -> Result<Row, Fault> {
    let cells = columns.iter().enumerate();
    cells
        .map(|(place, column)| {
            let unreadable = |why: String| {
                Fault::refused(
                    FailureKind::Rejected,
                    format!("column `{}` of a row cannot be read: {why}", column.name),
                )
            };
            let raw = row
                .get_ref(place)
                .map_err(|error| unreadable(error.to_string()))?;
            cell(raw, column).map_err(unreadable)
        })
        .collect()
}

fn cell(raw: ValueRef<'_>, column: &Column) -> Result<Cell, String> {
    Ok(vec![match raw {
        ValueRef::Null => return Ok(Vec::new()),
        ValueRef::Integer(number) if column.value_type == ValueType::Boolean => {
            Value::Boolean(number != 0)
        }
        ValueRef::Integer(number) => Value::Integer(number),
        ValueRef::Real(number) if number.is_finite() => Value::Real(number),
        ValueRef::Real(_) => return Err("it is no finite number".to_owned()),
        ValueRef::Text(bytes) if column.is_list => return list(bytes),
        ValueRef::Text(bytes) => Value::Text(text(bytes)?),
        ValueRef::Blob(bytes) => {
            within(bytes.len())?;
            Value::Binary(bytes.to_vec())
        }
    }])
}

fn text(bytes: &[u8]) -> Result<String, String> {
    within(bytes.len())?;
    let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
    if text.contains('\0') {
        return Err("a NUL stands in it".to_owned());
    }
    Ok(text.to_owned())
}

fn within(length: usize) -> Result<(), String> {
    if length > Value::MAX_LEN {
        return Err(format!(
            "it has {length} bytes, and {} are the most that a value may have",
            Value::MAX_LEN
        ));
    }
    Ok(())
}

fn list(bytes: &[u8]) -> Result<Cell, String> {
    let values: Vec<Option<serde_json::Value>> =
        serde_json::from_slice(bytes).map_err(|error| format!("it is no JSON array: {error}"))?;
    if values.len() > MOST_VALUES {
        return Err(format!("it has more than {MOST_VALUES} values"));
    }
    values
        .into_iter()
        .flatten()
        .filter(|value| !value.is_null())
        .map(|value| match value {
            serde_json::Value::String(value) => text(value.as_bytes()).map(Value::Text),
            serde_json::Value::Bool(truth) => Ok(Value::Boolean(truth)),
            serde_json::Value::Number(number) => number
                .as_i64()
                .map(Value::Integer)
                .or_else(|| number.as_f64().map(Value::Real))
                .ok_or_else(|| "a number in it is out of range".to_owned()),
            _ => Err("a value in it is no text, number, true or false".to_owned()),
        })
        .collect()
}
