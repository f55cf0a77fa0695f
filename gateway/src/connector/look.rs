//! What became of a change, where a connector can read objects and knows no better: what was asked
//! for is held against what is there, and against what was there before.
//!
//! It sees whether what was asked for is so now, and not who made it so. A connector whose target
//! can keep the id of a call says more.

use portcullis_common::crypto::mac::{MAC_KEY_LEN, MacKey};

use super::{Connector, Context};
use crate::model::{
    AttributeName, CallError, Create, Done, Evidence, Failure, Get, Look, Modification, Object,
    ObjectClass, ObjectId, ObjectName, ObjectRef, Operation, Request, Role, Roles, Selector, Value,
    Verb,
};

/// Whether the object was there: `yes` or `no`.
const THERE: &str = "there";
/// Its id.
pub(crate) const ID: &str = "id";
/// Its name.
pub(crate) const NAME: &str = "name";
/// Whether an account that gets a password was enabled: `yes` or `no`.
pub(crate) const ENABLED: &str = "enabled";
/// Whether something had a new name already: `yes` or `no`.
const TAKEN: &str = "new name taken";
/// A salt, and a digest under it of the values that are to be changed: it tells whether they are
/// still the same, and nothing else.
const VALUES: &str = "#values";

/// Digits of the salt in [`VALUES`].
const SALT_HEX: usize = 2 * MAC_KEY_LEN;

/// What the default of [`Connector::evidence`] answers.
pub(crate) async fn evidence<C: Connector + ?Sized>(
    connector: &C,
    cx: &Context,
    change: &Request,
) -> Result<Evidence, CallError> {
    let mut evidence = Evidence::default();
    let Some(object) = subject(change) else {
        return Ok(evidence);
    };
    if !reads(connector, object.class) {
        return Ok(evidence);
    }
    let wanted = touched(change);
    let found = read(connector, cx, object, &wanted).await?;
    evidence.note(THERE, yes_or_no(found.is_some()));
    if let Some(found) = found {
        evidence.note(ID, found.identity.id.as_str());
        evidence.note(NAME, found.identity.name.as_str());
        if let (Request::SetPassword(..), Some(enabled)) = (change, found.enabled) {
            evidence.note(ENABLED, yes_or_no(enabled));
        }
        if !wanted.is_empty() {
            evidence.note(VALUES, digest(&text_of_values(&found, &wanted)));
        }
    }
    if let Request::Rename(object, new_name) = change {
        let new = by_name(object.class, new_name.clone());
        let taken = read(connector, cx, new, &[]).await?.is_some();
        evidence.note(TAKEN, yes_or_no(taken));
    }
    Ok(evidence)
}

/// Whether an object was looked for and was not there.
pub(crate) fn was_absent(before: &Evidence) -> bool {
    before.fact(THERE) == Some("no")
}

/// What the default of [`Connector::look`] answers.
pub(crate) async fn look<C: Connector + ?Sized>(
    connector: &C,
    cx: &Context,
    change: &Request,
    before: &Evidence,
) -> Result<Look, CallError> {
    let Some(asked) = subject(change) else {
        let what = "what an action did can be told by nobody but the action";
        return Ok(unclear(what));
    };
    if !reads(connector, asked.class) {
        let what = "the connector cannot read an object";
        return Ok(unclear(what));
    }
    if matches!(change, Request::SetPassword(..)) {
        return Ok(unclear("a password cannot be read"));
    }
    // What has been renamed meanwhile is found by its id.
    let object = match before.fact(ID).map(ObjectId::new) {
        Some(Ok(id)) => ObjectRef {
            class: asked.class,
            by: Selector::Id(id),
        },
        _ => asked,
    };
    let wanted = touched(change);
    let found = read(connector, cx, object.clone(), &wanted).await?;
    let seen = Seen {
        roles: connector.roles(),
        object,
        before,
        found,
    };
    Ok(match change {
        Request::Create(create) => seen.created(create),
        Request::Update(update) => seen.updated(&update.modifications, &wanted),
        Request::Delete(_) => seen.deleted(),
        Request::Enable(_) => seen.standing(true),
        Request::Disable(_) => seen.standing(false),
        Request::Rename(_, new_name) => seen.renamed(new_name),
        _ => Look::NotBegun,
    })
}

/// What a look says of an object that is not there: where it was not before the call either, that
/// has changed nothing.
pub(crate) fn not_there(before: &Evidence, object: &ObjectRef) -> Look {
    match before.fact(THERE) {
        Some("no") => Look::NotBegun,
        _ => unclear(&format!("{object} is not there any more")),
    }
}

/// What a look found beside what was there before.
struct Seen<'a> {
    roles: Roles<'a>,
    object: ObjectRef,
    before: &'a Evidence,
    found: Option<Object>,
}

impl Seen<'_> {
    fn was_there(&self) -> Option<bool> {
        self.before.fact(THERE).map(|there| there == "yes")
    }

    fn created(self, create: &Create) -> Look {
        let (was_there, object) = (self.was_there(), &self.object);
        let Some(found) = &self.found else {
            return Look::NotBegun;
        };
        if was_there == Some(true) {
            return Look::NotBegun;
        }
        let mut unlike = differences(self.roles, create, found);
        if create.password.is_some() {
            unlike.push("whether it has the password cannot be read".to_owned());
        }
        if was_there.is_none() {
            unlike.push("whether it was there before the call, nobody noted".to_owned());
        }
        if unlike.is_empty() {
            return self.done();
        }
        let mut seen = vec![format!(
            "{object} was not there before the call, and is there now"
        )];
        seen.extend(unlike);
        Look::Unclear(seen)
    }

    fn updated(self, modifications: &[Modification], wanted: &[AttributeName]) -> Look {
        let Some(found) = &self.found else {
            return self.gone();
        };
        let class = self.object.class;
        let hidden = modifications
            .iter()
            .find(|change| self.roles.has(class, change.name.as_str(), Role::Secret));
        if let Some(hidden) = hidden {
            return unclear(&format!("attribute `{}` cannot be read", hidden.name));
        }
        let missing = Asked::of(modifications).missing(self.roles, class, found);
        if missing.is_empty() {
            return self.done();
        }
        let before = self.before.fact(VALUES);
        let now = text_of_values(found, wanted);
        let same = before.and_then(|noted| is_same(noted, &now));
        match same {
            Some(true) => Look::NotBegun,
            Some(false) => {
                let mut seen = vec![
                    "the attributes are neither as they were before the call nor as it asks"
                        .to_owned(),
                ];
                seen.extend(missing);
                Look::Unclear(seen)
            }
            None => Look::Unclear(missing),
        }
    }

    fn deleted(self) -> Look {
        match (&self.found, self.was_there()) {
            // A number may belong to another by now.
            (Some(found), _) if !self.has_its_name(found) => {
                unclear(&format!("its id is that of `{}` now", found.identity.name))
            }
            (Some(_), _) | (None, Some(false)) => Look::NotBegun,
            (None, Some(true)) => Look::Done(Box::new(Done::Nothing)),
            (None, None) => unclear(&format!(
                "{} is not there, and whether it was there before the call, nobody noted",
                self.object
            )),
        }
    }

    fn has_its_name(&self, found: &Object) -> bool {
        let former = self.before.fact(NAME);
        former.is_none_or(|former| same_name(former, found.identity.name.as_str()))
    }

    fn standing(self, enabled: bool) -> Look {
        match self.found.as_ref().map(|found| found.enabled) {
            None => self.gone(),
            Some(None) => unclear("whether the account is enabled cannot be read"),
            Some(Some(now)) if now == enabled => self.done(),
            Some(Some(_)) => Look::NotBegun,
        }
    }

    fn renamed(self, new_name: &ObjectName) -> Look {
        let Some(found) = &self.found else {
            return self.gone();
        };
        let name = found.identity.name.as_str();
        if same_name(name, new_name.as_str()) {
            return self.done();
        }
        match self.before.fact(NAME) {
            Some(former) if same_name(name, former) => Look::NotBegun,
            _ => unclear(&format!("its name is `{name}` now")),
        }
    }

    fn done(self) -> Look {
        let done = self
            .found
            .map_or(Done::Nothing, |found| Done::Object(Box::new(found)));
        Look::Done(Box::new(done))
    }

    fn gone(&self) -> Look {
        not_there(self.before, &self.object)
    }
}

fn unclear(seen: &str) -> Look {
    Look::Unclear(vec![seen.to_owned()])
}

fn yes_or_no(yes: bool) -> &'static str {
    if yes { "yes" } else { "no" }
}

fn reads<C: Connector + ?Sized>(connector: &C, class: ObjectClass) -> bool {
    connector.verbs(class).contains(&Verb::Get)
}

fn by_name(class: ObjectClass, name: ObjectName) -> ObjectRef {
    ObjectRef {
        class,
        by: Selector::Name(name),
    }
}

/// The object that a change is about, or that it makes.
fn subject(change: &Request) -> Option<ObjectRef> {
    match change {
        Request::Create(create) => Some(by_name(create.class, create.name.clone())),
        other => other.object().cloned(),
    }
}

/// The attributes that an update changes; none: all that are returned by default.
fn touched(change: &Request) -> Vec<AttributeName> {
    let Request::Update(update) = change else {
        return Vec::new();
    };
    let mut names: Vec<AttributeName> = Vec::new();
    for Modification { name, .. } in &update.modifications {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    names
}

/// `None`: there is no such object.
async fn read<C: Connector + ?Sized>(
    connector: &C,
    cx: &Context,
    object: ObjectRef,
    wanted: &[AttributeName],
) -> Result<Option<Object>, CallError> {
    let get = Get {
        object,
        attributes: wanted.to_vec(),
    };
    match connector.get(cx, &get).await {
        Ok(object) => Ok(Some(object)),
        Err(CallError::Failed(failure)) if failure.is_not_found() => Ok(None),
        Err(CallError::Failed(failure)) => Err(failure.into()),
        // To read changes nothing.
        Err(CallError::Indeterminate(message)) => Err(Failure::unavailable(message).into()),
    }
}

/// In what an object is not as it was to be made. What cannot be compared is named too.
fn differences(roles: Roles<'_>, create: &Create, found: &Object) -> Vec<String> {
    let mut unlike = Vec::new();
    // One that is to be enabled may be kept out by more, such as a day on which it expires.
    if found.enabled == Some(true) && !create.enabled {
        unlike.push("it is enabled".to_owned());
    }
    for attribute in &create.attributes {
        let name = attribute.name.as_str();
        let hidden = |value: &Value| matches!(value, Value::Secret(_));
        if roles.has(create.class, name, Role::Secret) || attribute.values.iter().any(hidden) {
            unlike.push(format!("attribute `{name}` cannot be read"));
            continue;
        }
        let there = values(found, name);
        let wanted = texts(roles, create.class, name, &attribute.values);
        if wanted != texts(roles, create.class, name, there) {
            unlike.push(format!("attribute `{name}` is not as it was asked for"));
        }
    }
    unlike
}

/// What the attributes are to be after all modifications of an update, in their order.
struct Asked<'a>(Vec<(&'a AttributeName, Has<'a>)>);

#[derive(Default)]
struct Has<'a> {
    /// No other value may be there.
    only: bool,
    with: Vec<&'a Value>,
    without: Vec<&'a Value>,
}

impl<'a> Asked<'a> {
    fn of(modifications: &'a [Modification]) -> Self {
        let mut asked: Vec<(&AttributeName, Has<'_>)> = Vec::new();
        for change in modifications {
            let same = |name: &AttributeName| same_name(name.as_str(), change.name.as_str());
            let place = asked.iter().position(|(name, _)| same(name));
            let place = place.unwrap_or_else(|| {
                asked.push((&change.name, Has::default()));
                asked.len() - 1
            });
            if let Some((_, has)) = asked.get_mut(place) {
                has.apply(change);
            }
        }
        Self(asked)
    }

    /// What is not so, a sentence each.
    fn missing(&self, roles: Roles<'_>, class: ObjectClass, found: &Object) -> Vec<String> {
        let missing = self.0.iter().filter_map(|(name, has)| {
            let there = texts(roles, class, name.as_str(), values(found, name.as_str()));
            let text = |value: &&Value| text_of(roles, class, name.as_str(), value);
            let with: Vec<_> = has.with.iter().map(text).collect();
            let lacks = with.iter().any(|value| !there.contains(value));
            let keeps = has
                .without
                .iter()
                .map(text)
                .any(|value| there.contains(&value));
            let more = has.only && there.iter().any(|value| !with.contains(value));
            (lacks || keeps || more)
                .then(|| format!("attribute `{name}` is not as the call asks for it"))
        });
        missing.collect()
    }
}

impl<'a> Has<'a> {
    fn apply(&mut self, change: &'a Modification) {
        match change.operation {
            Operation::Replace => {
                *self = Self {
                    only: true,
                    with: change.values.iter().collect(),
                    without: Vec::new(),
                };
            }
            Operation::Add => {
                for value in &change.values {
                    self.without.retain(|gone| *gone != value);
                    self.with.push(value);
                }
            }
            Operation::Remove => {
                for value in &change.values {
                    self.with.retain(|there| *there != value);
                    self.without.push(value);
                }
            }
        }
    }
}

fn values<'a>(object: &'a Object, name: &str) -> &'a [Value] {
    let mut attributes = object.attributes.iter();
    let found = attributes.find(|attribute| same_name(attribute.name.as_str(), name));
    found.map_or(&[], |attribute| &attribute.values)
}

fn texts(roles: Roles<'_>, class: ObjectClass, name: &str, values: &[Value]) -> Vec<String> {
    let mut texts: Vec<_> = values
        .iter()
        .map(|value| text_of(roles, class, name, value))
        .collect();
    texts.sort_unstable();
    texts.dedup();
    texts
}

/// A value as it is compared: a number is one in whichever type it comes, and of names the case
/// does not count.
fn text_of(roles: Roles<'_>, class: ObjectClass, name: &str, value: &Value) -> String {
    let text = match value {
        Value::Text(text) => text.clone(),
        Value::Integer(number) => number.to_string(),
        Value::Boolean(truth) => truth.to_string(),
        Value::Binary(bytes) => data_encoding::HEXLOWER.encode(bytes),
        other => format!("{other:?}"),
    };
    let is_name = [Role::NamesAccounts, Role::NamesGroups]
        .iter()
        .any(|role| roles.has(class, name, *role));
    if is_name { text.to_lowercase() } else { text }
}

fn same_name(one: &str, other: &str) -> bool {
    one.to_lowercase() == other.to_lowercase()
}

/// The values of these attributes, to be digested.
fn text_of_values(object: &Object, wanted: &[AttributeName]) -> Vec<u8> {
    let mut text = String::new();
    for name in wanted {
        let mut shown: Vec<_> = values(object, name.as_str())
            .iter()
            .map(|value| format!("{value:?}"))
            .collect();
        shown.sort_unstable();
        text.push_str(&format!("{name:?}{shown:?}"));
    }
    text.into_bytes()
}

/// A digest for [`is_same`], under a fresh salt that stands before it.
pub(crate) fn digest(content: &[u8]) -> String {
    digest_under(rand::random(), content)
}

/// Whether the content is still that of a digest; `None` where that is none.
pub(crate) fn is_same(noted: &str, content: &[u8]) -> Option<bool> {
    let salt = noted.get(..SALT_HEX)?.as_bytes();
    let salt = data_encoding::HEXLOWER.decode(salt).ok()?.try_into().ok()?;
    Some(digest_under(salt, content) == noted)
}

fn digest_under(salt: [u8; MAC_KEY_LEN], content: &[u8]) -> String {
    let tag = MacKey::new(&salt).tag(&[content]).to_bytes();
    let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
    hex(&salt) + &hex(&tag)
}
