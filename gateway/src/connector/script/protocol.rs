//! The JSON that goes to a script and comes back: see `PROTOCOL.md` beside this file.

use data_encoding::BASE64;
use portcullis_host::json::{self, JsonError};
use portcullis_host::text;
use serde_json::{Map, Value as Json, json};

use crate::connector::Context;
use crate::model::{
    Attribute, AttributeName, AttributeSchema, Change, ClassSchema, Cookie, Create, Done, Evidence,
    Failure, FailureKind, Filter, Identity, Look, Native, Object, ObjectClass, ObjectId,
    ObjectName, ObjectRef, Password, Schema, Search, Selector, SyncToken, Synced, Update, Value,
    ValueType, Verb,
};

/// Version of the questions and answers.
const VERSION: u32 = 1;

/// Characters of a script's message that are passed on.
const MAX_MESSAGE: usize = 1000;

/// Sentences of a look that are passed on.
const MAX_SEEN: usize = 16;

/// A question under construction.
#[derive(Debug)]
pub(super) struct Question {
    members: Map<String, Json>,
    /// Every secret in it: to be struck out of whatever the script says.
    pub(super) secrets: Vec<Password>,
}

impl Question {
    pub(super) fn new(cx: &Context, verb: Verb) -> Result<Self, Failure> {
        let mut question = Self {
            members: Map::new(),
            secrets: Vec::new(),
        };
        question.put("version", VERSION);
        question.put("verb", verb.name());
        question.put("call", cx.call.as_str());
        let mut settings = Map::new();
        for (name, value) in &cx.settings {
            settings.insert(name.clone(), value.as_str().into());
        }
        for (name, secret) in &cx.secret_settings {
            let value = question.value(&Value::Secret(secret.clone()))?;
            settings.insert(name.clone(), value);
        }
        question.put("settings", Json::Object(settings));
        Ok(question)
    }

    fn put(&mut self, name: &str, value: impl Into<Json>) {
        self.members.insert(name.to_owned(), value.into());
    }

    pub(super) fn class(mut self, class: ObjectClass) -> Self {
        self.put("class", class.name());
        self
    }

    pub(super) fn object(mut self, object: &ObjectRef) -> Self {
        let by = match &object.by {
            Selector::Id(id) => json!({ "id": id.as_str() }),
            Selector::Name(name) => json!({ "name": name.as_str() }),
        };
        self.put("object", by);
        self.class(object.class)
    }

    pub(super) fn password(mut self, password: Password) -> Result<Self, Failure> {
        let text = text_of(&password)?;
        self.put("password", text);
        self.secrets.push(password);
        Ok(self)
    }

    pub(super) fn create(mut self, create: Create) -> Result<Self, Failure> {
        self.put("name", create.name.as_str());
        self.put("enabled", create.enabled);
        let attributes = self.attributes(&create.attributes)?;
        self.put("attributes", attributes);
        let question = self.class(create.class);
        match create.password {
            Some(password) => question.password(password),
            None => Ok(question),
        }
    }

    pub(super) fn update(mut self, update: &Update) -> Result<Self, Failure> {
        let mut list = Vec::new();
        for modification in &update.modifications {
            list.push(json!({
                "operation": modification.operation.name(),
                "attribute": modification.name.as_str(),
                "values": self.values(&modification.values)?,
            }));
        }
        self.put("modifications", list);
        Ok(self.object(&update.object))
    }

    /// Asks what became of a change of this verb, instead of asking for it.
    pub(super) fn looks(mut self, of: Verb, before: &Evidence) -> Self {
        self.put("verb", "look");
        self.put("of", of.name());
        let facts = before.facts.iter();
        let shown = facts.filter(|(name, _)| !name.starts_with('#'));
        let facts: Map<_, _> = shown
            .map(|(name, value)| (name.clone(), Json::from(value.as_str())))
            .collect();
        self.put("before", Json::Object(facts));
        self
    }

    pub(super) fn new_name(mut self, name: &ObjectName) -> Self {
        self.put("new_name", name.as_str());
        self
    }

    pub(super) fn attribute_names(mut self, names: &[AttributeName]) -> Self {
        let names: Vec<_> = names.iter().map(AttributeName::as_str).collect();
        self.put("attribute_names", names);
        self
    }

    pub(super) fn search(mut self, search: &Search) -> Result<Self, Failure> {
        if let Some(filter) = &search.filter {
            let filter = self.filter(filter)?;
            self.put("filter", filter);
        }
        self.put("page_size", search.page_size);
        let cookie = std::str::from_utf8(search.cookie.as_bytes()).map_err(|_| {
            Failure::invalid(
                "the search cookie is not one that this connector gave out; start the search anew",
            )
        })?;
        self.put("cookie", cookie);
        Ok(self.class(search.class).attribute_names(&search.attributes))
    }

    pub(super) fn sync(
        mut self,
        class: ObjectClass,
        token: &SyncToken,
        page_size: usize,
    ) -> Result<Self, Failure> {
        let token = std::str::from_utf8(token.as_bytes()).map_err(|_| {
            Failure::new(
                FailureKind::Forgotten,
                "the sync token is not one that this connector gave out: begin anew without a token, and read all objects once",
            )
        })?;
        self.put("token", token);
        self.put("page_size", page_size);
        Ok(self.class(class))
    }

    pub(super) fn run(mut self, action: &str, arguments: &[Attribute]) -> Result<Self, Failure> {
        self.put("action", action);
        let arguments = self.attributes(arguments)?;
        self.put("arguments", arguments);
        Ok(self)
    }

    pub(super) fn into_bytes(self) -> (Vec<u8>, Vec<Password>) {
        let bytes = Json::Object(self.members).to_string().into_bytes();
        (bytes, self.secrets)
    }

    fn attributes(&mut self, attributes: &[Attribute]) -> Result<Json, Failure> {
        let mut members = Map::new();
        for attribute in attributes {
            let values = self.values(&attribute.values)?;
            members.insert(attribute.name.to_string(), values);
        }
        Ok(Json::Object(members))
    }

    fn values(&mut self, values: &[Value]) -> Result<Json, Failure> {
        values.iter().map(|value| self.value(value)).collect()
    }

    fn value(&mut self, value: &Value) -> Result<Json, Failure> {
        Ok(match value {
            Value::Text(text) => json!(text),
            Value::Integer(number) => json!(number),
            Value::Boolean(truth) => json!(truth),
            Value::Real(number) => json!(number),
            Value::Binary(bytes) => json!({ "binary": BASE64.encode(bytes) }),
            Value::Time(time) => json!({ "time": humantime::format_rfc3339(*time).to_string() }),
            Value::Secret(secret) => {
                self.secrets.push(secret.clone());
                json!({ "secret": text_of(secret)? })
            }
        })
    }

    fn filter(&mut self, filter: &Filter) -> Result<Json, Failure> {
        let mut list = |filters: &[Filter]| -> Result<Vec<Json>, Failure> {
            filters.iter().map(|filter| self.filter(filter)).collect()
        };
        Ok(match filter {
            Filter::All(filters) => json!({ "all": list(filters)? }),
            Filter::Any(filters) => json!({ "any": list(filters)? }),
            Filter::Not(filter) => json!({ "not": self.filter(filter)? }),
            Filter::Comparison(comparison) => {
                let mut members = Map::new();
                members.insert("operation".into(), comparison.operation.name().into());
                members.insert("attribute".into(), comparison.attribute.as_str().into());
                if let Some(value) = &comparison.value {
                    members.insert("value".into(), self.value(value)?);
                }
                Json::Object(members)
            }
        })
    }
}

fn text_of(secret: &Password) -> Result<&str, Failure> {
    std::str::from_utf8(secret.expose()).map_err(|_| {
        Failure::invalid("the password is no UTF-8 text, which is all that a script can be given")
    })
}

/// Why an answer makes no sense: which member, and what is wrong with it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Nonsense(String);

impl Nonsense {
    fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

/// An answer, read as JSON.
#[derive(Debug)]
pub(super) struct Answer(Map<String, Json>);

impl Answer {
    /// Reads what a script wrote, as every text from outside is read. Nothing at all is an answer
    /// without members.
    pub(super) fn parse(output: &[u8]) -> Result<Self, Nonsense> {
        let text = text::decode(output)
            .map_err(|error| Nonsense::new(format!("what it printed is no text: {error}")))?;
        if text.bytes().all(|byte| byte.is_ascii_whitespace()) {
            return Ok(Self(Map::new()));
        }
        match json::parse(text) {
            Ok(Json::Object(members)) => Ok(Self(members)),
            Ok(_) => Err(Nonsense::new("it is no JSON object")),
            Err(JsonError::Repeated(name)) => {
                Err(Nonsense::new(format!("it has `{}` twice", clean(&name))))
            }
            Err(JsonError::Syntax(error)) => Err(Nonsense::new(format!(
                "it is no JSON (line {}, column {})",
                error.line(),
                error.column()
            ))),
        }
    }

    /// The error that the script reports, if it does. `redact` takes secrets out of a text.
    pub(super) fn error(&self, redact: impl Fn(String) -> String) -> Option<Failure> {
        let error = self.0.get("error")?;
        let named = error.get("kind").and_then(Json::as_str);
        let named = named.and_then(FailureKind::from_name);
        // What the gateway alone can tell is no script's to say.
        let own = [
            FailureKind::Refused,
            FailureKind::Busy,
            FailureKind::Internal,
            FailureKind::NotBegun,
        ];
        let kind = named.filter(|kind| !own.contains(kind));
        let message = error.get("message").and_then(Json::as_str);
        let message = redact(clean(message.unwrap_or("the script gave no reason")));
        let failure = Failure::new(kind.unwrap_or(FailureKind::Rejected), message);
        let part = |native: &Json, name| match native.get(name) {
            Some(Json::String(text)) => redact(clean(text)),
            Some(Json::Number(number)) => number.to_string(),
            _ => String::new(),
        };
        Some(match error.get("native") {
            Some(native) => {
                failure.with_native(Native::new(part(native, "code"), &part(native, "text")))
            }
            None => failure,
        })
    }

    /// Whether the script says that something has changed.
    pub(super) fn changed(&self) -> Option<bool> {
        self.0.get("changed")?.as_bool()
    }

    pub(super) fn report(&self) -> Option<String> {
        self.0.get("report").and_then(Json::as_str).map(clean)
    }

    pub(super) fn has_object(&self) -> bool {
        self.0.contains_key("object")
    }

    pub(super) fn object(&self, class: ObjectClass) -> Result<Object, Nonsense> {
        let object = self
            .0
            .get("object")
            .ok_or_else(|| Nonsense::new("it lacks `object`"))?;
        parse_object(class, object)
    }

    pub(super) fn objects(&self, class: ObjectClass) -> Result<(Vec<Object>, Cookie), Nonsense> {
        let objects = self.0.get("objects").and_then(Json::as_array);
        let objects = objects
            .ok_or_else(|| Nonsense::new("it lacks the list `objects`"))?
            .iter()
            .map(|object| parse_object(class, object))
            .collect::<Result<_, _>>()?;
        let cookie = match self.0.get("next_cookie") {
            None | Some(Json::Null) => Cookie::default(),
            Some(Json::String(text)) => Cookie::new(text.clone().into_bytes())
                .ok_or_else(|| Nonsense::new("its `next_cookie` is longer than 1 KiB"))?,
            Some(_) => return Err(Nonsense::new("its `next_cookie` is no text")),
        };
        Ok((objects, cookie))
    }

    pub(super) fn look(&self, class: ObjectClass) -> Result<Look, Nonsense> {
        match self.0.get("outcome").and_then(Json::as_str) {
            Some("done") if self.has_object() => {
                let object = self.object(class)?;
                Ok(Look::Done(Box::new(Done::Object(Box::new(object)))))
            }
            Some("done") => Ok(Look::Done(Box::new(
                self.report().map_or(Done::Nothing, Done::Report),
            ))),
            Some("not-begun") => Ok(Look::NotBegun),
            Some("unclear") => {
                let seen = self.0.get("seen").and_then(Json::as_array);
                let seen = seen.into_iter().flatten().filter_map(Json::as_str);
                Ok(Look::Unclear(seen.take(MAX_SEEN).map(clean).collect()))
            }
            _ => Err(Nonsense::new(
                "its `outcome` is none of `done`, `not-begun` and `unclear`",
            )),
        }
    }

    /// What has changed, what is gone first, so that an id that was given out again is there in the
    /// end; and where the next sync starts.
    pub(super) fn changes(&self, class: ObjectClass) -> Result<(Vec<Change>, Synced), Nonsense> {
        let list = |member: &str| match self.0.get(member) {
            None | Some(Json::Null) => Ok(&[][..]),
            Some(Json::Array(list)) => Ok(list.as_slice()),
            Some(_) => Err(Nonsense::new(format!("its `{member}` is no list"))),
        };
        let mut changes = Vec::new();
        for gone in list("gone")? {
            changes.push(parse_gone(class, gone)?);
        }
        for object in list("objects")? {
            let object = parse_object(class, object)?;
            changes.push(Change::Present(Box::new(object)));
        }
        let token = self.0.get("next_token").and_then(Json::as_str);
        let token = token.and_then(|text| SyncToken::new(text.as_bytes().to_vec()));
        let token = token.filter(|token| !token.is_empty()).ok_or_else(|| {
            Nonsense::new("it lacks the text `next_token`, of at most 16 KiB and not empty")
        })?;
        let more = self.0.get("more").and_then(Json::as_bool);
        let more = more.unwrap_or(false);
        Ok((changes, Synced { token, more }))
    }

    pub(super) fn results(&self) -> Result<Vec<Attribute>, Nonsense> {
        self.0
            .get("results")
            .map_or(Ok(Vec::new()), parse_attributes)
    }

    /// The schema; the verbs of each class are those that `verbs` names.
    pub(super) fn schema(
        &self,
        verbs: impl Fn(ObjectClass) -> Vec<Verb>,
    ) -> Result<Schema, Nonsense> {
        let classes = self
            .0
            .get("schema")
            .and_then(|schema| schema.get("classes"))
            .and_then(Json::as_array)
            .ok_or_else(|| Nonsense::new("it lacks `schema` with a list `classes`"))?;
        let classes = classes.iter().map(|class| {
            let name = match class.get("class").and_then(Json::as_str) {
                Some("account") => ObjectClass::Account,
                Some("group") => ObjectClass::Group,
                _ => return Err(Nonsense::new("a class is neither `account` nor `group`")),
            };
            let attributes = class.get("attributes").and_then(Json::as_array);
            Ok(ClassSchema {
                class: name,
                attributes: attributes
                    .into_iter()
                    .flatten()
                    .map(parse_attribute_schema)
                    .collect::<Result<_, _>>()?,
                verbs: verbs(name),
            })
        });
        Ok(Schema {
            classes: classes.collect::<Result<_, _>>()?,
            ..Schema::default()
        })
    }
}

fn parse_attribute_schema(json: &Json) -> Result<AttributeSchema, Nonsense> {
    let name = json.get("name").and_then(Json::as_str).unwrap_or_default();
    let name = AttributeName::new(name).map_err(|error| Nonsense::new(error.to_string()))?;
    let kind = json.get("type").and_then(Json::as_str).unwrap_or("text");
    let flag = |member: &str, default| json.get(member).and_then(Json::as_bool).unwrap_or(default);
    let text = |member: &str| {
        let text = json.get(member).and_then(Json::as_str);
        clean(text.unwrap_or_default())
    };
    Ok(AttributeSchema {
        value_type: ValueType::from_name(kind)
            .ok_or_else(|| Nonsense::new(format!("the type of attribute `{name}` is unknown")))?,
        name: name.to_string(),
        multi_valued: flag("multi_valued", false),
        required: flag("required", false),
        creatable: flag("creatable", true),
        updatable: flag("updatable", true),
        readable: flag("readable", true),
        returned_by_default: flag("returned_by_default", true),
        syntax: text("syntax"),
        source: text("source"),
        description: text("description"),
    })
}

fn parse_object(class: ObjectClass, json: &Json) -> Result<Object, Nonsense> {
    let text = |member: &str| {
        let text = json.get(member).and_then(Json::as_str);
        text.ok_or_else(|| Nonsense::new(format!("an object lacks the text `{member}`")))
    };
    let bad = |error: crate::model::NameError| Nonsense::new(error.to_string());
    let enabled = match json.get("enabled") {
        None | Some(Json::Null) => None,
        Some(Json::Bool(enabled)) => Some(*enabled),
        Some(_) => return Err(Nonsense::new("`enabled` of an object is not true or false")),
    };
    Ok(Object {
        identity: Identity {
            class,
            id: ObjectId::new(text("id")?).map_err(bad)?,
            name: ObjectName::new(text("name")?).map_err(bad)?,
        },
        enabled,
        attributes: json
            .get("attributes")
            .map_or(Ok(Vec::new()), parse_attributes)?,
    })
}

fn parse_gone(class: ObjectClass, json: &Json) -> Result<Change, Nonsense> {
    let text = |member: &str| json.get(member).and_then(Json::as_str);
    let bad = |error: crate::model::NameError| Nonsense::new(error.to_string());
    let id = text("id").ok_or_else(|| Nonsense::new("what is gone lacks the text `id`"))?;
    let name = text("name").map(ObjectName::new).transpose();
    Ok(Change::Gone {
        class,
        id: ObjectId::new(id).map_err(bad)?,
        name: name.map_err(bad)?,
    })
}

fn parse_attributes(json: &Json) -> Result<Vec<Attribute>, Nonsense> {
    let members = json
        .as_object()
        .ok_or_else(|| Nonsense::new("attributes are no JSON object"))?;
    members
        .iter()
        .map(|(name, values)| {
            let name = AttributeName::new(name.as_str())
                .map_err(|error| Nonsense::new(error.to_string()))?;
            let values = values
                .as_array()
                .and_then(|values| values.iter().map(parse_value).collect::<Option<_>>())
                .ok_or_else(|| Nonsense::new(format!("attribute `{name}` is no list of values")))?;
            Ok(Attribute { name, values })
        })
        .collect()
}

fn parse_value(json: &Json) -> Option<Value> {
    Some(match json {
        Json::String(text) if !text.contains('\0') => Value::Text(text.clone()),
        Json::Bool(truth) => Value::Boolean(*truth),
        Json::Number(number) => match number.as_i64() {
            Some(number) => Value::Integer(number),
            None => Value::Real(number.as_f64()?),
        },
        Json::Object(members) if members.len() == 1 => {
            let text = |member: &str| members.get(member).and_then(Json::as_str);
            if let Some(time) = text("time") {
                Value::Time(humantime::parse_rfc3339(time).ok()?)
            } else if let Some(bytes) = text("binary") {
                Value::Binary(BASE64.decode(bytes.as_bytes()).ok()?)
            } else {
                Value::Secret(Password::new(text("secret")?.as_bytes().to_vec())?)
            }
        }
        _ => return None,
    })
}

/// A script's words, fit for one line of a log or a message.
fn clean(text: &str) -> String {
    let text = crate::connector::process::printable(text.as_bytes());
    text.chars().take(MAX_MESSAGE).collect()
}
