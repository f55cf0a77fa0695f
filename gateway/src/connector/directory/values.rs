//! Values as a directory has them, and as a call does.

use std::time::{Duration, SystemTime};

use bytes::Bytes;

use super::schema::AttributeType;
use crate::model::{Failure, Value, ValueType};

/// A value of an entry as a call has it. What is not of the type that the schema says is taken for
/// text, or for bytes.
pub(crate) fn to_model(bytes: &Bytes, known: Option<&AttributeType>) -> Value {
    let kind = known.map_or(ValueType::Text, |known| known.value_type);
    if kind == ValueType::Binary {
        return Value::Binary(bytes.to_vec());
    }
    let text = match std::str::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => text,
        _ => return Value::Binary(bytes.to_vec()),
    };
    let typed = match kind {
        ValueType::Integer => text.parse().ok().map(Value::Integer),
        ValueType::Boolean => match text {
            "TRUE" => Some(Value::Boolean(true)),
            "FALSE" => Some(Value::Boolean(false)),
            _ => None,
        },
        ValueType::Time => generalized(text).map(Value::Time),
        _ => None,
    };
    typed.unwrap_or_else(|| Value::Text(text.to_owned()))
}

/// A value of a call as a directory has it.
///
/// # Errors
/// Where the value is a secret: those go through `set-password` alone.
pub(crate) fn to_directory(value: &Value, attribute: &str) -> Result<Vec<u8>, Failure> {
    Ok(match value {
        Value::Text(text) => text.clone().into_bytes(),
        Value::Integer(number) => number.to_string().into_bytes(),
        Value::Real(number) => number.to_string().into_bytes(),
        Value::Boolean(true) => b"TRUE".to_vec(),
        Value::Boolean(false) => b"FALSE".to_vec(),
        Value::Binary(bytes) => bytes.clone(),
        Value::Time(time) => as_generalized(*time).into_bytes(),
        Value::Secret(_) => {
            return Err(Failure::invalid(format!(
                "`{attribute}` takes no secret: a password is set by `set-password`, or given to `create` as the password"
            )));
        }
    })
}

/// A time as RFC 4517, section 3.3.13 has it, in UTC, to the second.
pub(crate) fn as_generalized(time: SystemTime) -> String {
    let shown = humantime::format_rfc3339_seconds(time).to_string();
    shown.chars().filter(|c| !"-:T".contains(*c)).collect()
}

/// The moment that a time of the directory is; `None` where it is none from 1970 on.
pub(crate) fn generalized(text: &str) -> Option<SystemTime> {
    let (digits, rest) = text.split_at_checked(14)?;
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let part = |from: usize, to: usize| digits.get(from..to);
    let shown = format!(
        "{}-{}-{}T{}:{}:{}Z",
        part(0, 4)?,
        part(4, 6)?,
        part(6, 8)?,
        part(8, 10)?,
        part(10, 12)?,
        part(12, 14)?
    );
    let whole = humantime::parse_rfc3339(&shown).ok()?;
    let fraction = match rest.strip_suffix('Z')? {
        "" => 0.0,
        fraction => {
            let digits = fraction.strip_prefix(['.', ','])?;
            if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                return None;
            }
            format!("0.{digits}").parse::<f64>().ok()?.min(0.999_999)
        }
    };
    let fraction = Duration::try_from_secs_f64(fraction).ok()?;
    whole.checked_add(fraction)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(value_type: ValueType) -> AttributeType {
        AttributeType {
            name: "x".to_owned(),
            syntax: String::new(),
            value_type,
            is_dn: false,
            equality: Default::default(),
            rules: Default::default(),
            multi_valued: true,
            read_only: false,
            operational: false,
            description: String::new(),
        }
    }

    #[test]
    fn values_come_back_as_they_went() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        for value in [
            Value::Text(" Ada, Countess; of = Lovelace\\ ".to_owned()),
            Value::Integer(-5),
            Value::Boolean(true),
            Value::Binary(vec![0, 255, 10]),
            Value::Time(time),
        ] {
            let bytes = Bytes::from(to_directory(&value, "x").unwrap());
            assert_eq!(to_model(&bytes, Some(&known(value.value_type()))), value);
        }
    }

    #[test]
    fn what_is_not_of_its_type_is_shown_all_the_same() {
        for (bytes, kind, shown) in [
            (
                &b"12x"[..],
                ValueType::Integer,
                Value::Text("12x".to_owned()),
            ),
            (b"yes", ValueType::Boolean, Value::Text("yes".to_owned())),
            (
                b"000001010000Z",
                ValueType::Time,
                Value::Text("000001010000Z".to_owned()),
            ),
            (
                b"\xff\xfe",
                ValueType::Text,
                Value::Binary(vec![0xff, 0xfe]),
            ),
            (b"a\0b", ValueType::Text, Value::Binary(b"a\0b".to_vec())),
        ] {
            let bytes = Bytes::from_static(bytes);
            assert_eq!(to_model(&bytes, Some(&known(kind))), shown);
        }
        for none in [
            "999912312359599Z",
            "99991231235959999999999Z",
            "20261129164150e9Z",
            "20261129164150.-1Z",
            "20261129164150",
        ] {
            assert_eq!(generalized(none), None, "{none}");
        }
        let last = generalized(&format!("99991231235959.{}Z", "9".repeat(40))).unwrap();
        assert_eq!(
            humantime::format_rfc3339_seconds(last).to_string().len(),
            20
        );
        assert_eq!(
            generalized("20261129164150.5Z")
                .map(as_generalized)
                .as_deref(),
            Some("20261129164150Z")
        );
    }
}
