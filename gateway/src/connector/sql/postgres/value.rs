//! Values on their way to PostgreSQL and back.
//!
//! Parameters go as text of no type: the server infers the type from the statement, and reads every
//! type that it has from text, its users' own too. Columns come back in the few types that are read
//! here; whatever else there is, the server is asked to write as text.

use std::error::Error;
use std::fmt;
use std::fmt::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio_postgres::Row as TargetRow;
use tokio_postgres::types::private::BytesMut;
use tokio_postgres::types::{Format, FromSql, IsNull, Kind, ToSql, Type};

use super::super::engine::{Cell, Cells, Column, Fault, Param, Row, Seen, SeenCell};
use super::super::statement::quote;
use crate::model::{FailureKind, Value, ValueType};

/// Seconds from 1970 to 2000, where PostgreSQL's times begin.
const EPOCH_2000: i64 = 946_684_800;

/// A type that says nothing, so that the server infers it.
pub(super) fn unknown() -> Type {
    Type::new(String::new(), 0, Kind::Simple, String::new())
}

/// A parameter as it is sent. It has no `Debug` that shows it.
pub(super) struct Sent<'a>(pub(super) &'a Param);

impl fmt::Debug for Sent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sent")
    }
}

impl ToSql for Sent<'_> {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match self.0 {
            Param::Null => return Ok(IsNull::Yes),
            Param::Secret(bytes) => out.extend_from_slice(bytes),
            Param::Value(value) => write(value, out)?,
        }
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn to_sql_checked(
        &self,
        ty: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        self.to_sql(ty, out)
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Text
    }
}

fn write(value: &Value, out: &mut BytesMut) -> fmt::Result {
    match value {
        Value::Text(text) => out.write_str(text),
        Value::Integer(number) => write!(out, "{number}"),
        Value::Boolean(truth) => write!(out, "{truth}"),
        Value::Real(number) => write!(out, "{number:?}"),
        Value::Binary(bytes) => {
            out.write_str("\\x")?;
            out.write_str(&data_encoding::HEXLOWER.encode(bytes))
        }
        Value::Time(time) => write!(out, "{}", humantime::format_rfc3339_micros(*time)),
        Value::Secret(secret) => {
            out.extend_from_slice(secret.expose());
            Ok(())
        }
    }
}

/// How a column of this type is selected.
pub(super) fn column(name: &str, target: &Type) -> Column {
    let quoted = quote(name);
    let (element, is_list) = match target.kind() {
        Kind::Array(element) => (element, true),
        _ => (target, false),
    };
    let brackets = if is_list { "[]" } else { "" };
    let cast = |to: &str| format!("{quoted}::{to}{brackets}");
    let (value_type, expression) = match *element {
        Type::BOOL => (ValueType::Boolean, quoted),
        Type::INT8 => (ValueType::Integer, quoted),
        Type::INT2 | Type::INT4 | Type::OID => (ValueType::Integer, cast("int8")),
        Type::FLOAT8 => (ValueType::Real, quoted),
        Type::FLOAT4 => (ValueType::Real, cast("float8")),
        Type::BYTEA => (ValueType::Binary, quoted),
        Type::TIMESTAMPTZ => (ValueType::Time, quoted),
        Type::TIMESTAMP if !is_list => (ValueType::Time, format!("({quoted} AT TIME ZONE 'UTC')")),
        _ => (ValueType::Text, cast("text")),
    };
    Column {
        name: name.to_owned(),
        value_type,
        is_list,
        expression,
    }
}

/// A row whose columns were selected as [`column`] says.
pub(super) fn row(target: &TargetRow, columns: &[Column]) -> Result<Row, Fault> {
    let cells = columns.iter().enumerate();
    cells
        .map(|(place, column)| cell(target, place, column))
        .collect()
}

/// A row as it came, whose columns were selected as [`column`] says.
pub(super) struct Borrowed<'a> {
    pub(super) row: TargetRow,
    pub(super) columns: &'a [Column],
}

impl Cells for Borrowed<'_> {
    fn cell(&self, place: usize) -> Result<SeenCell<'_>, Fault> {
        let column = self.columns.get(place);
        column.map_or(Ok(SeenCell::None), |column| seen(&self.row, place, column))
    }
}

fn cell(target: &TargetRow, place: usize, column: &Column) -> Result<Cell, Fault> {
    Ok(match seen(target, place, column)? {
        SeenCell::None => Vec::new(),
        SeenCell::One(one) => vec![one.into_value()],
        SeenCell::List(all) => all.into_iter().map(Seen::into_value).collect(),
    })
}

fn seen<'a>(target: &'a TargetRow, place: usize, column: &Column) -> Result<SeenCell<'a>, Fault> {
    let unreadable = |error: &dyn fmt::Display| {
        Fault::refused(
            FailureKind::Rejected,
            format!("column `{}` of a row cannot be read: {error}", column.name),
        )
    };
    let wanted = column.value_type;
    if column.is_list {
        let read = target.try_get::<_, Option<Vec<Option<Read>>>>(place);
        let values = read.map_err(|error| unreadable(&error))?;
        let values = values.into_iter().flatten().flatten();
        let values = values.map(|value| value.seen(wanted).map_err(|error| unreadable(&error)));
        return Ok(SeenCell::List(values.collect::<Result<_, _>>()?));
    }
    let read = target.try_get::<_, Option<Read>>(place);
    match read.map_err(|error| unreadable(&error))? {
        None => Ok(SeenCell::None),
        Some(value) => value
            .seen(wanted)
            .map(SeenCell::One)
            .map_err(|error| unreadable(&error)),
    }
}

/// A value as it came: bytes, and their type.
struct Read<'a> {
    target: Type,
    bytes: &'a [u8],
}

impl<'a> FromSql<'a> for Read<'a> {
    fn from_sql(target: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self {
            target: target.clone(),
            bytes: raw,
        })
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

impl<'a> Read<'a> {
    fn seen(self, wanted: ValueType) -> Result<Seen<'a>, String> {
        let bytes = self.bytes;
        if bytes.len() > Value::MAX_LEN {
            return Err(format!(
                "it has {} bytes, and {} are the most that a value may have",
                bytes.len(),
                Value::MAX_LEN
            ));
        }
        let eight = || bytes.try_into().ok();
        let read = match (wanted, self.target) {
            (ValueType::Boolean, Type::BOOL) => match *bytes {
                [byte] => Some(Seen::Boolean(byte != 0)),
                _ => None,
            },
            (ValueType::Integer, Type::INT8) => {
                eight().map(|bytes| Seen::Integer(i64::from_be_bytes(bytes)))
            }
            (ValueType::Real, Type::FLOAT8) => eight().map(|bytes| real(f64::from_be_bytes(bytes))),
            (ValueType::Time, Type::TIMESTAMPTZ) => {
                eight().map(|bytes| moment(i64::from_be_bytes(bytes)))
            }
            (ValueType::Binary, Type::BYTEA) => Some(Seen::Binary(bytes)),
            (ValueType::Text, _) => std::str::from_utf8(bytes)
                .ok()
                .filter(|text| !text.contains('\0'))
                .map(|text| Seen::Text(text.into())),
            _ => None,
        };
        read.ok_or_else(|| format!("it is no {} of those that there are here", wanted.name()))
    }
}

/// A number; as PostgreSQL writes it where it is none, so that the row can be read.
fn real(number: f64) -> Seen<'static> {
    if number.is_finite() {
        return Seen::Real(number);
    }
    let text = match (number.is_nan(), number > 0.0) {
        (true, _) => "NaN",
        (false, true) => "Infinity",
        (false, false) => "-Infinity",
    };
    Seen::Text(text.into())
}

/// A moment, from microseconds since 2000; as PostgreSQL takes it in text where it lies before 1970
/// or after 9999, or is no moment at all (`infinity`), so that the row can be read.
fn moment(micros: i64) -> Seen<'static> {
    match micros {
        i64::MAX => return Seen::Text("infinity".into()),
        i64::MIN => return Seen::Text("-infinity".into()),
        _ => {}
    }
    let (day, of_day) = (micros.div_euclid(DAY), micros.rem_euclid(DAY));
    let (year, month, date) = civil(day.saturating_add(DAYS_2000));
    match time(micros) {
        Some(time) if year <= 9999 => return Seen::Time(time),
        _ => {}
    }
    let (second, micros) = (of_day / 1_000_000, of_day % 1_000_000);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    // The year 1 comes after 1 BC.
    let (year, era) = if year > 0 {
        (year, "")
    } else {
        (1 - year, " BC")
    };
    let text = format!(
        "{year:04}-{month:02}-{date:02} {hour:02}:{minute:02}:{second:02}.{micros:06}+00{era}"
    );
    Seen::Text(text.into())
}

/// Microseconds of a day.
const DAY: i64 = 86_400_000_000;

/// Days from 1970 to 2000.
const DAYS_2000: i64 = EPOCH_2000 / 86_400;

/// Year, month and day of the Gregorian calendar, from days since 1970. Years are counted from
/// March on, so that the day that some have more is their last.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let date = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    (year, month, date)
}

/// A moment from 1970 on, from microseconds since 2000.
fn time(micros: i64) -> Option<SystemTime> {
    let since_1970 = micros.checked_add(EPOCH_2000.checked_mul(1_000_000)?)?;
    let since_1970 = u64::try_from(since_1970).ok()?;
    UNIX_EPOCH.checked_add(Duration::from_micros(since_1970))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_time_or_number_here_is_text_that_postgresql_takes() {
        let text = |value| match value {
            Seen::Text(text) => text,
            other => panic!("{other:?}"),
        };
        for (micros, expected) in [
            (i64::MAX, "infinity"),
            (i64::MIN, "-infinity"),
            // 1969-12-31, 1900-03-01, 44 BC, the last that PostgreSQL has.
            (-946_684_800_000_001, "1969-12-31 23:59:59.999999+00"),
            (-3_150_662_400_000_000, "1900-02-28 00:00:00.000000+00"),
            (-3_150_576_000_000_000, "1900-03-01 00:00:00.000000+00"),
            (252_455_616_000_000_000, "10000-01-01 00:00:00.000000+00"),
            (-64_464_508_800_000_000, "0044-03-15 00:00:00.000000+00 BC"),
        ] {
            assert_eq!(text(moment(micros)), expected);
        }
        assert_eq!(moment(-946_684_800_000_000), Seen::Time(UNIX_EPOCH));
        assert!(matches!(moment(252_455_615_999_999_999), Seen::Time(_)));
        assert_eq!(text(real(f64::NAN)), "NaN");
        assert_eq!(text(real(f64::NEG_INFINITY)), "-Infinity");
        assert_eq!(real(0.5), Seen::Real(0.5));
    }
}
