//! Templates of a mapping: text with values of attributes in it. A closed language, without code.
//!
//! ```text
//! template = { TEXT | "{{" | "}}" | "{" NAME { "|" FUNCTION } "}" }
//! FUNCTION = "lower" | "upper" | "trim" | "first:" NUMBER | "dn"
//! ```

use std::fmt::Write as _;

/// Bytes of a template at the most.
pub const MAX_TEMPLATE: usize = 512;
/// Bytes of what comes of one at the most.
const MAX_RENDERED: usize = 4096;

/// A text with values of attributes in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Field {
        name: String,
        functions: Vec<Function>,
    },
}

/// What is done to a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Function {
    Lower,
    Upper,
    Trim,
    /// Its first characters.
    First(usize),
    /// Escaped as the value of an attribute in a distinguished name (RFC 4514, section 2.4).
    Dn,
}

/// What is wrong with a template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// It is too long.
    #[error("has more than {MAX_TEMPLATE} bytes")]
    TooLong,
    /// A control character.
    #[error("holds a control character")]
    Control,
    /// A brace without its other one.
    #[error("has a `{0}` without its other one: write `{0}{0}` where the sign itself is meant")]
    Brace(char),
    /// What stands in braces is no attribute.
    #[error("has `{{{0}}}`, which names no attribute (A-Z a-z 0-9 . _ -)")]
    Name(String),
    /// There is no such function.
    #[error("has no function `{0}`: there are lower, upper, trim, first:N (N from 1 to 64) and dn")]
    Function(String),
}

impl Template {
    /// Reads a template.
    pub(super) fn parse(text: &str) -> Result<Self, TemplateError> {
        if text.len() > MAX_TEMPLATE {
            return Err(TemplateError::TooLong);
        }
        if text.chars().any(char::is_control) {
            return Err(TemplateError::Control);
        }
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, from) = rest.split_at(at);
            plain.push_str(before);
            if let Some(after) = from.strip_prefix("{{") {
                plain.push('{');
                rest = after;
            } else if let Some(after) = from.strip_prefix("}}") {
                plain.push('}');
                rest = after;
            } else if let Some(inside) = from.strip_prefix('{') {
                let (field, after) = inside.split_once('}').ok_or(TemplateError::Brace('{'))?;
                if !plain.is_empty() {
                    parts.push(Part::Text(std::mem::take(&mut plain)));
                }
                parts.push(parse_field(field)?);
                rest = after;
            } else {
                return Err(TemplateError::Brace('}'));
            }
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        Ok(Self { parts })
    }

    /// The attribute that it takes as it is, with all its values; `None`: it is more than that.
    pub(super) fn renamed(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [Part::Field { name, functions }] if functions.is_empty() => Some(name),
            _ => None,
        }
    }

    /// The attributes that it takes.
    pub(super) fn fields(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Field { name, .. } => Some(name.as_str()),
            Part::Text(_) => None,
        })
    }

    /// Whether every value in it is escaped for a distinguished name.
    pub(super) fn is_safe_dn(&self) -> bool {
        self.parts.iter().all(|part| match part {
            Part::Field { functions, .. } => functions.last() == Some(&Function::Dn),
            Part::Text(_) => true,
        })
    }

    /// The text, with each value as `value` has it. `None`: it is too long.
    pub(super) fn render<E>(
        &self,
        value: impl Fn(&str) -> Result<String, E>,
    ) -> Result<Option<String>, E> {
        let mut out = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Field { name, functions } => {
                    let value = functions.iter().fold(value(name)?, Function::apply);
                    out.push_str(&value);
                }
            }
            if out.len() > MAX_RENDERED {
                return Ok(None);
            }
        }
        Ok(Some(out))
    }
}

fn parse_field(field: &str) -> Result<Part, TemplateError> {
    let mut words = field.split('|').map(str::trim);
    let name = words.next().unwrap_or_default();
    if !is_attribute(name) {
        return Err(TemplateError::Name(name.to_owned()));
    }
    Ok(Part::Field {
        name: name.to_owned(),
        functions: words.map(parse_function).collect::<Result<_, _>>()?,
    })
}

fn parse_function(word: &str) -> Result<Function, TemplateError> {
    let count = |number: &str| number.parse().ok().filter(|count| (1..=64).contains(count));
    match (word, word.strip_prefix("first:").and_then(count)) {
        ("lower", _) => Ok(Function::Lower),
        ("upper", _) => Ok(Function::Upper),
        ("trim", _) => Ok(Function::Trim),
        ("dn", _) => Ok(Function::Dn),
        (_, Some(count)) => Ok(Function::First(count)),
        _ => Err(TemplateError::Function(word.to_owned())),
    }
}

/// Whether a text may name an attribute, as a gateway takes it.
pub(super) fn is_attribute(name: &str) -> bool {
    let sound = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    !name.is_empty() && name.len() <= 128 && name.chars().all(sound)
}

impl Function {
    fn apply(value: String, function: &Self) -> String {
        match function {
            Self::Lower => value.to_lowercase(),
            Self::Upper => value.to_uppercase(),
            Self::Trim => value.trim().to_owned(),
            Self::First(count) => value.chars().take(*count).collect(),
            Self::Dn => escaped(&value),
        }
    }
}

/// RFC 4514, section 2.4.
fn escaped(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    let last = value.chars().count().saturating_sub(1);
    for (at, letter) in value.chars().enumerate() {
        match letter {
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' | '=' => out.extend(['\\', letter]),
            '#' if at == 0 => out.push_str("\\#"),
            ' ' if at == 0 || at == last => out.push_str("\\ "),
            letter if letter.is_control() => {
                let mut bytes = [0; 4];
                for byte in letter.encode_utf8(&mut bytes).bytes() {
                    // Writing to a String does not fail.
                    let _ = write!(out, "\\{byte:02x}");
                }
            }
            letter => out.push(letter),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(template: &str) -> String {
        let value = |name: &str| match name {
            "given_name" => Ok("Ádá".to_owned()),
            "family_name" => Ok(" O'Neil, Jr ".to_owned()),
            other => Err(other.to_owned()),
        };
        let template = Template::parse(template).unwrap();
        template.render(value).unwrap().unwrap()
    }

    #[test]
    fn values_stand_where_they_are_named() {
        for (template, expected) in [
            ("{given_name|first:1|lower}.x", "á.x"),
            ("{{{given_name | upper}}}", "{ÁDÁ}"),
            ("cn={family_name|dn},ou=x", "cn=\\ O'Neil\\, Jr\\ ,ou=x"),
            ("{family_name|trim}", "O'Neil, Jr"),
            ("constant", "constant"),
        ] {
            assert_eq!(rendered(template), expected, "{template}");
        }
        assert_eq!(escaped("#a\0=\u{85}"), "\\#a\\00\\=\\c2\\85");
    }

    #[test]
    fn mistakes_are_named() {
        for (template, expected) in [
            ("{given_name", "has a `{` without"),
            ("given}", "has a `}` without"),
            ("{}", "names no attribute"),
            ("{given name}", "names no attribute"),
            ("{a|capital}", "no function `capital`"),
            ("{a|first:0}", "no function `first:0`"),
            ("{a|first:65}", "no function `first:65`"),
            ("a\nb", "control character"),
        ] {
            let error = Template::parse(template).unwrap_err().to_string();
            assert!(error.contains(expected), "{template}: {error}");
        }
        assert_eq!(
            Template::parse(&"x".repeat(600)),
            Err(TemplateError::TooLong)
        );
    }
}
