//! Truth values in columns that may have none by their type.

use super::engine::Seen;
use crate::model::{Value, ValueType};

/// Texts that stand for true, in either case.
pub(super) const TRUE: [&str; 6] = ["t", "true", "1", "y", "yes", "on"];
/// Texts that stand for false.
pub(super) const FALSE: [&str; 6] = ["f", "false", "0", "n", "no", "off"];

impl Seen<'_> {
    /// The truth value that it stands for, in a column that may have none by its type; `None`:
    /// neither.
    pub(super) fn truth(&self) -> Option<bool> {
        match self {
            Self::Boolean(truth) => Some(*truth),
            Self::Integer(number) => Some(*number != 0),
            Self::Text(text) => {
                let text = text.trim_matches(' ');
                let is_of =
                    |words: &[&str]| words.iter().any(|word| word.eq_ignore_ascii_case(text));
                match (is_of(&TRUE), is_of(&FALSE)) {
                    (true, _) => Some(true),
                    (_, true) => Some(false),
                    _ => None,
                }
            }
            Self::Binary(_) | Self::Real(_) | Self::Time(_) => None,
        }
    }

    fn value_type(&self) -> ValueType {
        match self {
            Self::Text(_) => ValueType::Text,
            Self::Integer(_) => ValueType::Integer,
            Self::Boolean(_) => ValueType::Boolean,
            Self::Binary(_) => ValueType::Binary,
            Self::Real(_) => ValueType::Real,
            Self::Time(_) => ValueType::Time,
        }
    }

    /// What is wrong with it where a column ought to have truth values. It is not shown itself.
    pub(super) fn no_truth(&self, column: &str) -> String {
        format!(
            "a value of the type {} in its column `{column}` that is neither true ({}) nor false ({}): have the statement answer with a truth value, such as `status = 'active' AS {column}`",
            self.value_type().name(),
            TRUE.join(", "),
            FALSE.join(", ")
        )
    }
}

/// The truth value in a column.
///
/// # Errors
/// What the row has instead.
pub(super) fn truth(value: &Value, column: &str) -> Result<bool, String> {
    let Some(seen) = Seen::of(value) else {
        return Err(format!("a secret in its column `{column}`"));
    };
    seen.truth().ok_or_else(|| seen.no_truth(column))
}
