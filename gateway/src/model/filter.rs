//! Which objects a search finds.

use super::{AttributeName, Object, Value};

/// A condition on an object. Depth and size are bounded by the parser.
#[derive(Clone, Debug, PartialEq)]
pub enum Filter {
    /// One attribute compared with one value.
    Comparison(Comparison),
    /// Every one holds; none at all: true.
    All(Vec<Filter>),
    /// At least one holds; none at all: false.
    Any(Vec<Filter>),
    /// It does not hold.
    Not(Box<Filter>),
}

/// Compares an attribute with a value. An attribute of several values matches if one of them does;
/// one without values never does.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// How.
    pub operation: FilterOperation,
    /// What: an attribute, or `__id__`, `__name__`, `__enabled__`.
    pub attribute: AttributeName,
    /// With what; `None` only with [`FilterOperation::Present`].
    pub value: Option<Value>,
}

/// Stands for the object's id in a comparison.
const ID: &str = "__id__";
/// Stands for the object's name in a comparison.
const NAME: &str = "__name__";
/// Stands for whether the object is enabled in a comparison.
const ENABLED: &str = "__enabled__";

/// How a comparison compares. Text is compared byte by byte, with case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FilterOperation {
    /// The same type and the same value.
    Equals,
    /// Text that begins so.
    StartsWith,
    /// Text that ends so.
    EndsWith,
    /// Text that holds it.
    Contains,
    /// There is a value.
    Present,
    /// Text, number or time that comes before or is the same.
    LessOrEqual,
    /// Text, number or time that comes after or is the same.
    GreaterOrEqual,
}

impl FilterOperation {
    /// The name used in the script protocol.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Equals => "equals",
            Self::StartsWith => "starts-with",
            Self::EndsWith => "ends-with",
            Self::Contains => "contains",
            Self::Present => "present",
            Self::LessOrEqual => "less-or-equal",
            Self::GreaterOrEqual => "greater-or-equal",
        }
    }
}

impl Filter {
    /// Whether the object meets the condition.
    pub fn matches(&self, object: &Object) -> bool {
        match self {
            Self::Comparison(comparison) => comparison.matches(object),
            Self::All(filters) => filters.iter().all(|filter| filter.matches(object)),
            Self::Any(filters) => filters.iter().any(|filter| filter.matches(object)),
            Self::Not(filter) => !filter.matches(object),
        }
    }

    /// Every attribute that the condition looks at, without those that stand for id, name and
    /// state.
    pub fn attributes(&self) -> Vec<&AttributeName> {
        match self {
            Self::Comparison(Comparison { attribute, .. }) => {
                if [ID, NAME, ENABLED].contains(&attribute.as_str()) {
                    Vec::new()
                } else {
                    vec![attribute]
                }
            }
            Self::All(filters) | Self::Any(filters) => {
                filters.iter().flat_map(Self::attributes).collect()
            }
            Self::Not(filter) => filter.attributes(),
        }
    }
}

impl Comparison {
    fn matches(&self, object: &Object) -> bool {
        let wanted = self.value.as_ref();
        match self.attribute.as_str() {
            ID => self.text_matches(object.identity.id.as_str()),
            NAME => self.text_matches(object.identity.name.as_str()),
            ENABLED => object.enabled.is_some_and(|enabled| {
                wanted.is_none() || holds(self.operation, &Value::Boolean(enabled), wanted)
            }),
            name => object
                .values(name)
                .iter()
                .any(|value| holds(self.operation, value, wanted)),
        }
    }

    fn text_matches(&self, text: &str) -> bool {
        match (&self.value, self.operation) {
            (_, FilterOperation::Present) => true,
            (Some(Value::Text(wanted)), operation) => text_holds(operation, text, wanted),
            _ => false,
        }
    }
}

fn holds(operation: FilterOperation, value: &Value, wanted: Option<&Value>) -> bool {
    let Some(wanted) = wanted else {
        return operation == FilterOperation::Present;
    };
    let order = match (value, wanted) {
        (Value::Text(value), Value::Text(wanted)) => return text_holds(operation, value, wanted),
        (Value::Integer(value), Value::Integer(wanted)) => Some(value.cmp(wanted)),
        (Value::Real(value), Value::Real(wanted)) => value.partial_cmp(wanted),
        (Value::Time(value), Value::Time(wanted)) => Some(value.cmp(wanted)),
        // A secret never takes part: comparing is guessing.
        (Value::Secret(_), _) => None,
        _ => {
            return match operation {
                FilterOperation::Equals => value == wanted,
                FilterOperation::Present => true,
                _ => false,
            };
        }
    };
    match operation {
        FilterOperation::Present => true,
        FilterOperation::Equals => order.is_some_and(std::cmp::Ordering::is_eq),
        FilterOperation::LessOrEqual => order.is_some_and(std::cmp::Ordering::is_le),
        FilterOperation::GreaterOrEqual => order.is_some_and(std::cmp::Ordering::is_ge),
        FilterOperation::StartsWith | FilterOperation::EndsWith | FilterOperation::Contains => {
            false
        }
    }
}

fn text_holds(operation: FilterOperation, value: &str, wanted: &str) -> bool {
    match operation {
        FilterOperation::Equals => value == wanted,
        FilterOperation::StartsWith => value.starts_with(wanted),
        FilterOperation::EndsWith => value.ends_with(wanted),
        FilterOperation::Contains => value.contains(wanted),
        FilterOperation::Present => true,
        FilterOperation::LessOrEqual => value <= wanted,
        FilterOperation::GreaterOrEqual => value >= wanted,
    }
}
