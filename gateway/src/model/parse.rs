//! From the wire's messages to the checked model.

use std::collections::{BTreeMap, BTreeSet};
use std::mem::take;
use std::time::Duration;

use portcullis_proto::gateway::v1 as wire;
use portcullis_watch::traces::Trace;

use super::name::{NameError, is_control};
use super::{
    ActionName, Attribute, AttributeName, Call, CallId, Comparison, ConnectorName, Cookie, Create,
    Failure, Filter, FilterOperation, Get, LogIn, Modification, ObjectClass, ObjectId, ObjectName,
    ObjectRef, Operation, Password, Request, Rotation, Run, Search, Selector, SyncSince, SyncToken,
    Update, Value,
};
use crate::moment::NotAfter;

/// Attributes, modifications, arguments or settings in one call.
pub const MAX_ATTRIBUTES: usize = 256;
/// Values of one attribute.
pub const MAX_VALUES: usize = 10_000;
/// How deep a filter may nest.
pub const MAX_FILTER_DEPTH: usize = 16;
/// Comparisons and lists in one filter.
pub const MAX_FILTER_NODES: usize = 256;
/// Bytes of a setting's name or value.
const MAX_SETTING: usize = 1024;

/// What is wrong with a call as it came in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// A name or id is not well-formed.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A part is missing.
    #[error("the call lacks {0}")]
    Missing(&'static str),
    /// There is too much of something.
    #[error("the call has {count} {what}; at most {max} are allowed")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many there are.
        count: usize,
        /// How many there may be.
        max: usize,
    },
    /// The same name stands twice.
    #[error("attribute `{0}` is given twice; give all its values at once")]
    Twice(AttributeName),
    /// A value is not well-formed.
    #[error("a value of attribute `{attribute}` {reason}")]
    Value {
        /// The attribute.
        attribute: AttributeName,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A password is empty or too long.
    #[error("the password is empty or has more than {} bytes", Password::MAX_LEN)]
    Password,
    /// The connector has no such class.
    #[error("the connector has no class `{name}`; it has {classes}")]
    Class {
        /// The class that was asked for.
        name: String,
        /// Those that there are.
        classes: String,
    },
    /// Only a further class has a name.
    #[error("the class name `{0}` goes with the class OTHER only")]
    ClassName(String),
    /// A group has no password and cannot log in.
    #[error("{0} works on accounts only, not on groups")]
    AccountsOnly(&'static str),
    /// Nobody sees such a name.
    #[error("the new name holds nothing but blanks")]
    BlankName,
    /// A new name begins or ends with a blank.
    #[error("the name {0:?} begins or ends with a blank: leave that out")]
    BlankEnds(String),
    /// A modification changes nothing.
    #[error("the modification of attribute `{0}` has no value; only `replace` may have none")]
    NoValues(AttributeName),
    /// A filter is nested too deep.
    #[error("the filter is nested deeper than {MAX_FILTER_DEPTH} levels")]
    FilterDepth,
    /// A comparison and its value do not go together.
    #[error("the filter's comparison of `{attribute}` {reason}")]
    Comparison {
        /// The attribute.
        attribute: AttributeName,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A cookie is too long to be ours.
    #[error("the search cookie is not one that this gateway gave out; start the search anew")]
    Cookie,
    /// A token is too long to be ours.
    #[error(
        "the sync token is not one that this gateway gave out; begin anew without one, and read all objects once"
    )]
    SyncToken,
    /// A setting is too long or holds control characters.
    #[error("setting `{0}` is empty, too long or holds control characters")]
    Setting(String),
    /// A setting is given twice.
    #[error("setting `{0}` is given twice: once as it is, once as a secret, or twice as a secret")]
    SettingTwice(String),
}

impl From<ModelError> for Failure {
    fn from(error: ModelError) -> Self {
        Self::invalid(error.to_string())
    }
}

/// Checks a call on a connector that has these classes beside accounts and groups.
///
/// # Errors
/// [`ModelError`], which says what is wrong with it.
pub fn parse_call(call: wire::Call, further: &[ObjectClass]) -> Result<Call, ModelError> {
    let classes = Classes(further);
    let settings = parse_settings(call.settings)?;
    Ok(Call {
        id: CallId::new(call.call_id)?,
        connector: ConnectorName::new(call.connector)?,
        secret_settings: parse_secret_settings(call.secret_settings, &settings)?,
        settings,
        timeout: (call.timeout_ms > 0).then(|| Duration::from_millis(call.timeout_ms.into())),
        look: call.look,
        journal_lost: call.journal_lost,
        accepted_ago: Duration::from_millis(call.accepted_ms_ago),
        not_after: NotAfter::default(),
        trace: Trace::default(),
        request: parse_request(call.verb.ok_or(ModelError::Missing("a verb"))?, classes)?,
    })
}

fn parse_settings(
    settings: std::collections::HashMap<String, String>,
) -> Result<BTreeMap<String, String>, ModelError> {
    at_most("settings", settings.len(), MAX_ATTRIBUTES)?;
    for (name, value) in &settings {
        let sound = |text: &str| text.len() <= MAX_SETTING && !text.chars().any(is_control);
        if name.is_empty() || !sound(name) || !sound(value) {
            return Err(ModelError::Setting(shown(name)));
        }
    }
    Ok(settings.into_iter().collect())
}

fn parse_secret_settings(
    given: Vec<wire::SecretSetting>,
    settings: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, Password>, ModelError> {
    at_most("secret settings", given.len(), MAX_ATTRIBUTES)?;
    let mut secrets = BTreeMap::new();
    for wire::SecretSetting { name, value } in given {
        let malformed = |name: &str| ModelError::Setting(shown(name));
        if name.is_empty() || name.len() > MAX_SETTING || name.chars().any(is_control) {
            return Err(malformed(&name));
        }
        let value = value.and_then(|mut secret| Password::new(take(&mut secret.value)));
        let value = value.ok_or_else(|| malformed(&name))?;
        if settings.contains_key(&name) || secrets.contains_key(&name) {
            return Err(ModelError::SettingTwice(name));
        }
        secrets.insert(name, value);
    }
    Ok(secrets)
}

fn parse_request(verb: wire::call::Verb, classes: Classes<'_>) -> Result<Request, ModelError> {
    use wire::call::Verb;
    Ok(match verb {
        Verb::Test(_) => Request::Test,
        Verb::Schema(_) => Request::Schema,
        Verb::Create(create) => Request::Create(parse_create(create)?),
        Verb::Get(get) => Request::Get(Get {
            object: parse_object(get.object, classes)?,
            attributes: parse_names(get.attribute_names)?,
        }),
        Verb::Update(update) => Request::Update(parse_update(update, classes)?),
        Verb::Delete(delete) => Request::Delete(parse_object(delete.object, classes)?),
        Verb::Enable(enable) => Request::Enable(parse_account("enable", enable.object, classes)?),
        Verb::Disable(disable) => {
            Request::Disable(parse_account("disable", disable.object, classes)?)
        }
        Verb::SetPassword(set) => Request::SetPassword(
            parse_account("set-password", set.object, classes)?,
            parse_password(set.password)?,
        ),
        Verb::Authenticate(check) => Request::Authenticate(LogIn {
            object: parse_account("authenticate", check.object, classes)?,
            password: parse_password(check.password)?,
            tells_apart: check.tells_unknown,
        }),
        Verb::Rename(rename) => Request::Rename(
            parse_object(rename.object, classes)?,
            parse_new_name(rename.new_name)?,
        ),
        Verb::Search(search) => Request::Search(parse_search(search, classes)?),
        Verb::Sync(sync) => Request::Sync(parse_sync(sync, classes)?),
        Verb::RotatePassword(rotate) => Request::RotatePassword(Rotation {
            setting: rotate.setting,
            password: parse_password(rotate.password)?,
        }),
        Verb::Run(run) => Request::Run(Run {
            action: ActionName::new(run.action)?,
            arguments: parse_attributes(run.arguments)?,
        }),
    })
}

fn parse_create(create: wire::Create) -> Result<Create, ModelError> {
    let class = Classes(&[]).parse(create.object_class, "")?;
    if class != ObjectClass::Account && create.password.is_some() {
        return Err(ModelError::AccountsOnly("a password"));
    }
    if class != ObjectClass::Account && create.enabled == Some(false) {
        return Err(ModelError::AccountsOnly("`enabled`"));
    }
    Ok(Create {
        class,
        name: parse_new_name(create.name)?,
        attributes: parse_attributes(create.attributes)?,
        password: match create.password {
            Some(password) => Some(parse_password(Some(password))?),
            None => None,
        },
        enabled: create.enabled.unwrap_or(true),
    })
}

/// A name that an object gets. A blank at its beginning or end nobody sees, and directories take it
/// for the same name without.
fn parse_new_name(name: String) -> Result<ObjectName, ModelError> {
    if !name.is_empty() && name.trim().is_empty() {
        return Err(ModelError::BlankName);
    }
    if name.trim() != name {
        return Err(ModelError::BlankEnds(name));
    }
    Ok(ObjectName::new(name)?)
}

fn parse_update(update: wire::Update, classes: Classes<'_>) -> Result<Update, ModelError> {
    at_most("modifications", update.modifications.len(), MAX_ATTRIBUTES)?;
    if update.modifications.is_empty() {
        return Err(ModelError::Missing("a modification"));
    }
    Ok(Update {
        object: parse_object(update.object, classes)?,
        modifications: update
            .modifications
            .into_iter()
            .map(parse_modification)
            .collect::<Result<_, _>>()?,
    })
}

fn parse_modification(modification: wire::Modification) -> Result<Modification, ModelError> {
    let operation = match modification.operation() {
        wire::ModificationOperation::Unspecified => {
            return Err(ModelError::Missing("a modification's operation"));
        }
        wire::ModificationOperation::Add => Operation::Add,
        wire::ModificationOperation::Remove => Operation::Remove,
        wire::ModificationOperation::Replace => Operation::Replace,
    };
    let name = AttributeName::new(modification.name)?;
    let values = parse_values(&name, modification.values)?;
    if values.is_empty() && operation != Operation::Replace {
        return Err(ModelError::NoValues(name));
    }
    Ok(Modification {
        operation,
        name,
        values,
    })
}

fn parse_search(search: wire::Search, classes: Classes<'_>) -> Result<Search, ModelError> {
    Ok(Search {
        class: classes.parse(search.object_class, &search.class_name)?,
        filter: match search.filter {
            Some(filter) => Some(parse_filter(filter, 1, &mut 0)?),
            None => None,
        },
        attributes: parse_names(search.attribute_names)?,
        page_size: usize::try_from(search.page_size)
            .ok()
            .filter(|&size| size > 0),
        cookie: Cookie::from_server(search.cookie).ok_or(ModelError::Cookie)?,
    })
}

fn parse_sync(sync: wire::Sync, classes: Classes<'_>) -> Result<SyncSince, ModelError> {
    Ok(SyncSince {
        class: classes.parse(sync.object_class, &sync.class_name)?,
        token: SyncToken::from_server(sync.token).ok_or(ModelError::SyncToken)?,
        page_size: usize::try_from(sync.page_size)
            .ok()
            .filter(|&size| size > 0),
    })
}

fn parse_filter(
    filter: wire::Filter,
    depth: usize,
    nodes: &mut usize,
) -> Result<Filter, ModelError> {
    use wire::filter::Kind;
    if depth > MAX_FILTER_DEPTH {
        return Err(ModelError::FilterDepth);
    }
    *nodes += 1;
    at_most("filter conditions", *nodes, MAX_FILTER_NODES)?;
    let mut list = |list: wire::FilterList| {
        list.filters
            .into_iter()
            .map(|filter| parse_filter(filter, depth + 1, nodes))
            .collect::<Result<Vec<_>, _>>()
    };
    Ok(
        match filter.kind.ok_or(ModelError::Missing("a filter's kind"))? {
            Kind::Comparison(comparison) => Filter::Comparison(parse_comparison(comparison)?),
            Kind::All(filters) => Filter::All(list(filters)?),
            Kind::Any(filters) => Filter::Any(list(filters)?),
            Kind::Negation(filter) => {
                Filter::Not(Box::new(parse_filter(*filter, depth + 1, nodes)?))
            }
        },
    )
}

fn parse_comparison(comparison: wire::Comparison) -> Result<Comparison, ModelError> {
    use wire::ComparisonOperation as Wire;
    let operation = match comparison.operation() {
        Wire::Unspecified => return Err(ModelError::Missing("a comparison's operation")),
        Wire::Equals => FilterOperation::Equals,
        Wire::StartsWith => FilterOperation::StartsWith,
        Wire::EndsWith => FilterOperation::EndsWith,
        Wire::Contains => FilterOperation::Contains,
        Wire::Present => FilterOperation::Present,
        Wire::LessOrEqual => FilterOperation::LessOrEqual,
        Wire::GreaterOrEqual => FilterOperation::GreaterOrEqual,
    };
    let attribute = AttributeName::new(comparison.attribute)?;
    let reason = |reason| ModelError::Comparison {
        attribute: attribute.clone(),
        reason,
    };
    let value = match comparison.value {
        None if operation == FilterOperation::Present => None,
        None => return Err(reason("lacks a value")),
        Some(_) if operation == FilterOperation::Present => {
            return Err(reason("asks for presence and so takes no value"));
        }
        Some(value) => Some(parse_value(&attribute, value)?),
    };
    let part = matches!(
        operation,
        FilterOperation::StartsWith | FilterOperation::EndsWith | FilterOperation::Contains
    );
    match &value {
        Some(Value::Secret(_)) => Err(reason("holds a secret, which cannot be searched for")),
        Some(value) if part && value.as_text().is_none() => {
            Err(reason("looks for a part, which only a text has"))
        }
        _ => Ok(()),
    }?;
    Ok(Comparison {
        operation,
        attribute,
        value,
    })
}

/// The classes that a connector has beside accounts and groups.
#[derive(Clone, Copy)]
struct Classes<'a>(&'a [ObjectClass]);

impl Classes<'_> {
    fn parse(self, class: i32, name: &str) -> Result<ObjectClass, ModelError> {
        let class = wire::ObjectClass::try_from(class).unwrap_or_default();
        if class == wire::ObjectClass::Other {
            let mut further = self.0.iter().copied();
            let found = further.find(|class| class.name() == name);
            return found.ok_or_else(|| ModelError::Class {
                name: shown(name),
                classes: self.listed(),
            });
        }
        if !name.is_empty() {
            return Err(ModelError::ClassName(shown(name)));
        }
        match class {
            wire::ObjectClass::Account => Ok(ObjectClass::Account),
            wire::ObjectClass::Group => Ok(ObjectClass::Group),
            _ => Err(ModelError::Missing("a known object class")),
        }
    }

    fn listed(self) -> String {
        let both = [ObjectClass::Account, ObjectClass::Group];
        let all: Vec<_> = both
            .iter()
            .chain(self.0)
            .map(|class| class.name())
            .collect();
        all.join(", ")
    }
}

/// A text of the server's, fit for a message.
fn shown(text: &str) -> String {
    text.chars().filter(|&c| !is_control(c)).take(64).collect()
}

fn parse_object(
    object: Option<wire::ObjectRef>,
    classes: Classes<'_>,
) -> Result<ObjectRef, ModelError> {
    let object = object.ok_or(ModelError::Missing("an object"))?;
    Ok(ObjectRef {
        class: classes.parse(object.object_class, &object.class_name)?,
        by: match object.by.ok_or(ModelError::Missing("an id or a name"))? {
            wire::object_ref::By::Id(id) => Selector::Id(ObjectId::new(id)?),
            wire::object_ref::By::Name(name) => Selector::Name(ObjectName::new(name)?),
        },
    })
}

fn parse_account(
    verb: &'static str,
    object: Option<wire::ObjectRef>,
    classes: Classes<'_>,
) -> Result<ObjectRef, ModelError> {
    let object = parse_object(object, classes)?;
    match object.class {
        ObjectClass::Account => Ok(object),
        ObjectClass::Group | ObjectClass::Other(_) => Err(ModelError::AccountsOnly(verb)),
    }
}

fn parse_password(password: Option<wire::Secret>) -> Result<Password, ModelError> {
    let mut password = password.ok_or(ModelError::Missing("a password"))?;
    Password::new(take(&mut password.value)).ok_or(ModelError::Password)
}

fn parse_names(names: Vec<String>) -> Result<Vec<AttributeName>, ModelError> {
    at_most("attribute names", names.len(), MAX_ATTRIBUTES)?;
    Ok(names
        .into_iter()
        .map(AttributeName::new)
        .collect::<Result<_, _>>()?)
}

fn parse_attributes(attributes: Vec<wire::Attribute>) -> Result<Vec<Attribute>, ModelError> {
    at_most("attributes", attributes.len(), MAX_ATTRIBUTES)?;
    let mut seen = BTreeSet::new();
    attributes
        .into_iter()
        .map(|attribute| {
            let name = AttributeName::new(attribute.name)?;
            let values = parse_values(&name, attribute.values)?;
            if !seen.insert(name.clone()) {
                return Err(ModelError::Twice(name));
            }
            Ok(Attribute { name, values })
        })
        .collect()
}

fn parse_values(name: &AttributeName, values: Vec<wire::Value>) -> Result<Vec<Value>, ModelError> {
    at_most("values of one attribute", values.len(), MAX_VALUES)?;
    values
        .into_iter()
        .map(|value| parse_value(name, value))
        .collect()
}

fn parse_value(attribute: &AttributeName, value: wire::Value) -> Result<Value, ModelError> {
    use wire::value::Kind;
    let bad = |reason| ModelError::Value {
        attribute: attribute.clone(),
        reason,
    };
    let parsed = match value.kind.ok_or_else(|| bad("has no type"))? {
        Kind::Text(text) if text.contains('\0') => return Err(bad("holds a NUL character")),
        Kind::Text(text) => Value::Text(text),
        Kind::Integer(number) => Value::Integer(number),
        Kind::Boolean(truth) => Value::Boolean(truth),
        Kind::Binary(bytes) => Value::Binary(bytes),
        Kind::Real(number) if number.is_finite() => Value::Real(number),
        Kind::Real(_) => return Err(bad("is no finite number")),
        Kind::Time(text) => Value::Time(
            humantime::parse_rfc3339(&text)
                .map_err(|_| bad("is no time such as 2030-12-31T00:00:00Z"))?,
        ),
        Kind::Secret(mut secret) => {
            Value::Secret(Password::new(take(&mut secret.value)).ok_or(ModelError::Password)?)
        }
    };
    let length = match &parsed {
        Value::Text(text) => text.len(),
        Value::Binary(bytes) => bytes.len(),
        _ => 0,
    };
    if length > Value::MAX_LEN {
        return Err(bad("is longer than 1 MiB"));
    }
    Ok(parsed)
}

fn at_most(what: &'static str, count: usize, max: usize) -> Result<(), ModelError> {
    if count > max {
        return Err(ModelError::TooMany { what, count, max });
    }
    Ok(())
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
