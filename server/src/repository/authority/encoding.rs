//! How the columns of a row stand in what its MAC covers.

use super::{RowMac, Table};
use crate::repository::sql::{Column, Value};

/// Values one after the other, each with its type and length before it: no two rows have the same
/// bytes.
#[derive(Clone, Debug, Default)]
pub(super) struct Encoding(Vec<u8>);

impl Encoding {
    pub(super) fn of_table(table: &Table) -> Self {
        let mut encoding = Self(Vec::with_capacity(256));
        encoding.value(Value::Text(table.name));
        encoding.value(Value::Text(table.columns));
        encoding
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    pub(super) fn value(&mut self, value: Value<'_>) {
        match value {
            Value::Null => self.tagged(0, &[]),
            Value::Integer(number) => self.tagged(1, &number.to_be_bytes()),
            Value::Text(text) => self.tagged(2, text.as_bytes()),
            Value::Blob(bytes) => self.tagged(3, bytes),
        }
    }

    pub(super) fn column(&mut self, column: Column<'_>) {
        match column {
            Column::Null => self.tagged(0, &[]),
            Column::Integer(number) => self.tagged(1, &number.to_be_bytes()),
            Column::Text(text) => self.tagged(2, text),
            Column::Blob(bytes) => self.tagged(3, bytes),
            // Never written by this program: no MAC was made over it.
            Column::Other => self.tagged(4, &[]),
        }
    }

    fn tagged(&mut self, tag: u8, bytes: &[u8]) {
        self.0.push(tag);
        self.0
            .extend_from_slice(&(bytes.len() as u64).to_be_bytes());
        self.0.extend_from_slice(bytes);
    }
}

/// A column that was read, kept for longer than its row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Owned {
    Null,
    Integer(i64),
    Text(String),
    Blob(Vec<u8>),
}

impl Owned {
    pub(super) fn of(column: Column<'_>) -> Self {
        match column {
            Column::Null | Column::Other => Self::Null,
            Column::Integer(number) => Self::Integer(number),
            Column::Text(text) => Self::Text(String::from_utf8_lossy(text).into_owned()),
            Column::Blob(bytes) => Self::Blob(bytes.to_vec()),
        }
    }

    pub(super) fn value(&self) -> Value<'_> {
        match self {
            Self::Null => Value::Null,
            Self::Integer(number) => Value::Integer(*number),
            Self::Text(text) => Value::Text(text),
            Self::Blob(bytes) => Value::Blob(bytes),
        }
    }

    /// The MAC that this is; `None`: it is none.
    pub(super) fn mac(&self) -> Option<RowMac> {
        match self {
            Self::Blob(bytes) => bytes.as_slice().try_into().ok(),
            _ => None,
        }
    }
}
