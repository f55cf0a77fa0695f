//! JSON from outside, in which each name means one thing.
//!
//! What an object means in which a name stands twice is left open (RFC 8259, section 4): one reader
//! takes the first, another the last. So whoever can add to an object could say something else to
//! this reader than to one that looked at it before. Such an object is refused.

use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

/// Why a text is no JSON that has one meaning.
#[derive(Debug)]
pub enum JsonError {
    /// It is no JSON. The error names a place, and shows nothing of the text.
    Syntax(serde_json::Error),
    /// This name is in an object twice.
    Repeated(String),
}

/// Reads one value.
///
/// # Errors
/// Where the text is no JSON, or a name stands twice in one of its objects.
pub fn parse(text: &str) -> Result<Value, JsonError> {
    let value = serde_json::from_str(text).map_err(JsonError::Syntax)?;
    let mut repeated = None;
    let walk = Walk {
        repeated: &mut repeated,
    };
    walk.deserialize(&mut serde_json::Deserializer::from_str(text))
        .map_err(JsonError::Syntax)?;
    repeated.map_or(Ok(value), |name| Err(JsonError::Repeated(name)))
}

/// Goes through a value, and notes the first name that is in an object twice.
struct Walk<'a> {
    repeated: &'a mut Option<String>,
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut seen = HashSet::new();
        while let Some(name) = map.next_key::<String>()? {
            if let Some(name) = seen.replace(name.clone()) {
                self.repeated.get_or_insert(name);
            }
            map.next_value_seed(Walk {
                repeated: self.repeated,
            })?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while let Some(()) = seq.next_element_seed(Walk {
            repeated: self.repeated,
        })? {}
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_there_twice_is_found_wherever_it_is() {
        for (text, name) in [
            (r#"{"name":"a","name":"b"}"#, "name"),
            (r#"{"name":"a","n\u0061me":"a"}"#, "name"),
            (r#"{"a":{"b":null,"c":1,"b":[]}}"#, "b"),
            (r#"[1,{"a":[{"x":-1,"x":1.5}]}]"#, "x"),
            (r#"{"":true,"":false}"#, ""),
        ] {
            match parse(text) {
                Err(JsonError::Repeated(found)) => assert_eq!(found, name, "{text}"),
                other => panic!("{text}: {other:?}"),
            }
        }
        for text in [
            r#"{"a":{"a":1},"b":{"a":[{"a":1},{"a":2}]},"A":null}"#,
            "[]",
            "3",
            r#""a""#,
        ] {
            assert!(parse(text).is_ok(), "{text}");
        }
        assert!(matches!(parse("{} x"), Err(JsonError::Syntax(_))));
    }
}
