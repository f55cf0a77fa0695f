//! What statements are given, and what is read from rows.

/// A value that a statement is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    /// None.
    Null,
    /// A number, a time or a boolean.
    Integer(i64),
    /// A text.
    Text(&'a str),
    /// Bytes.
    Blob(&'a [u8]),
}

/// What can be given to a statement.
pub(crate) trait Bind {
    /// As the statement is given it.
    fn bind(&self) -> Value<'_>;
}

/// What stands in a column of a row. Whoever changed the file may have put there what no aggregate
/// did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Column<'a> {
    /// Nothing.
    Null,
    /// A number, a time or a boolean.
    Integer(i64),
    /// A text, perhaps not of UTF-8.
    Text(&'a [u8]),
    /// Bytes.
    Blob(&'a [u8]),
    /// Of another type.
    Other,
}

/// What can be read from a column.
pub(crate) trait FromColumn: Sized {
    /// `None`: it is of another type, or too great.
    fn from_column(column: Column<'_>) -> Option<Self>;
}

impl<T: Bind + ?Sized> Bind for &T {
    fn bind(&self) -> Value<'_> {
        (**self).bind()
    }
}

impl<T: Bind> Bind for Option<T> {
    fn bind(&self) -> Value<'_> {
        self.as_ref().map_or(Value::Null, Bind::bind)
    }
}

impl Bind for i64 {
    fn bind(&self) -> Value<'_> {
        Value::Integer(*self)
    }
}

impl Bind for u32 {
    fn bind(&self) -> Value<'_> {
        Value::Integer((*self).into())
    }
}

impl Bind for u8 {
    fn bind(&self) -> Value<'_> {
        Value::Integer((*self).into())
    }
}

impl Bind for bool {
    fn bind(&self) -> Value<'_> {
        Value::Integer((*self).into())
    }
}

impl Bind for str {
    fn bind(&self) -> Value<'_> {
        Value::Text(self)
    }
}

impl Bind for String {
    fn bind(&self) -> Value<'_> {
        Value::Text(self)
    }
}

impl Bind for [u8] {
    fn bind(&self) -> Value<'_> {
        Value::Blob(self)
    }
}

impl<const N: usize> Bind for [u8; N] {
    fn bind(&self) -> Value<'_> {
        Value::Blob(self)
    }
}

impl Bind for Vec<u8> {
    fn bind(&self) -> Value<'_> {
        Value::Blob(self)
    }
}

impl<T: FromColumn> FromColumn for Option<T> {
    fn from_column(column: Column<'_>) -> Option<Self> {
        match column {
            Column::Null => Some(None),
            column => T::from_column(column).map(Some),
        }
    }
}

impl FromColumn for i64 {
    fn from_column(column: Column<'_>) -> Option<Self> {
        match column {
            Column::Integer(number) => Some(number),
            _ => None,
        }
    }
}

impl FromColumn for u32 {
    fn from_column(column: Column<'_>) -> Option<Self> {
        i64::from_column(column)?.try_into().ok()
    }
}

impl FromColumn for u8 {
    fn from_column(column: Column<'_>) -> Option<Self> {
        i64::from_column(column)?.try_into().ok()
    }
}

impl FromColumn for bool {
    fn from_column(column: Column<'_>) -> Option<Self> {
        Some(i64::from_column(column)? != 0)
    }
}

impl FromColumn for String {
    fn from_column(column: Column<'_>) -> Option<Self> {
        match column {
            Column::Text(text) => Some(str::from_utf8(text).ok()?.to_owned()),
            _ => None,
        }
    }
}

impl FromColumn for Vec<u8> {
    fn from_column(column: Column<'_>) -> Option<Self> {
        match column {
            Column::Blob(bytes) => Some(bytes.to_vec()),
            _ => None,
        }
    }
}
