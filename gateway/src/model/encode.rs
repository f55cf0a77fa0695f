//! From the checked model to the wire's messages.

use portcullis_proto::gateway::v1 as wire;

use super::{
    Attribute, AttributeSchema, Change, ClassSchema, Done, Failure, FailureKind, Native, Object,
    ObjectClass, Outcome, RunResult, Schema, Value, ValueType,
};

impl Outcome {
    /// As it goes over the wire, under the caller's own id of the call.
    pub fn into_wire(self, call_id: String) -> wire::Outcome {
        use wire::outcome::Result;
        wire::Outcome {
            call_id,
            result: Some(match self {
                Self::Done(done) => Result::Done(done.into()),
                Self::Failed(failure) => Result::Failed(failure.into()),
                Self::Indeterminate(why) => Result::Indeterminate(wire::Indeterminate {
                    message: why.message,
                    evidence: why.evidence,
                    look_again: why.look_again,
                }),
            }),
        }
    }
}

impl From<Done> for wire::Done {
    fn from(done: Done) -> Self {
        use wire::done::Detail;
        Self {
            detail: match done {
                Done::Nothing => None,
                Done::Object(object) => Some(Detail::Object((*object).into())),
                Done::Schema(schema) => Some(Detail::Schema(schema.into())),
                Done::Run(result) => Some(Detail::Run(result.into())),
                Done::Report(report) => Some(Detail::Report(report)),
            },
        }
    }
}

impl From<Failure> for wire::Failure {
    fn from(failure: Failure) -> Self {
        Self {
            kind: wire::FailureKind::from(failure.kind).into(),
            message: failure.message,
            native: failure.native.map(Into::into),
        }
    }
}

impl From<Native> for wire::NativeError {
    fn from(native: Native) -> Self {
        Self {
            code: native.code().to_owned(),
            text: native.text().to_owned(),
        }
    }
}

impl From<FailureKind> for wire::FailureKind {
    fn from(kind: FailureKind) -> Self {
        match kind {
            FailureKind::Invalid => Self::Invalid,
            FailureKind::NotFound => Self::NotFound,
            FailureKind::AlreadyExists => Self::AlreadyExists,
            FailureKind::Refused => Self::Refused,
            FailureKind::Unsupported => Self::Unsupported,
            FailureKind::BadCredentials => Self::BadCredentials,
            FailureKind::Unavailable => Self::Unavailable,
            FailureKind::Rejected => Self::Rejected,
            FailureKind::Busy => Self::Busy,
            FailureKind::Internal => Self::Internal,
            FailureKind::Denied => Self::Denied,
            FailureKind::Policy => Self::Policy,
            FailureKind::AccountLocked => Self::AccountLocked,
            FailureKind::AccountDisabled => Self::AccountDisabled,
            FailureKind::PasswordExpired => Self::PasswordExpired,
            FailureKind::NotBegun => Self::NotBegun,
            FailureKind::Forgotten => Self::Forgotten,
            FailureKind::Late => Self::Late,
        }
    }
}

impl FailureKind {
    /// The kind that came over the wire or was kept; one that is not known here is an internal
    /// failure.
    pub fn from_wire(kind: wire::FailureKind) -> Self {
        let mut kinds = Self::ALL.into_iter();
        kinds
            .find(|known| wire::FailureKind::from(*known) == kind)
            .unwrap_or(Self::Internal)
    }
}

impl From<ObjectClass> for wire::ObjectClass {
    fn from(class: ObjectClass) -> Self {
        match class {
            ObjectClass::Account => Self::Account,
            ObjectClass::Group => Self::Group,
            ObjectClass::Other(_) => Self::Other,
        }
    }
}

impl From<Object> for wire::Object {
    fn from(object: Object) -> Self {
        Self {
            object_class: wire::ObjectClass::from(object.identity.class).into(),
            class_name: object.identity.class.further_name(),
            id: object.identity.id.into(),
            name: object.identity.name.into(),
            enabled: object.enabled,
            attributes: object.attributes.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<Change> for wire::search_item::Kind {
    fn from(change: Change) -> Self {
        match change {
            Change::Present(object) => Self::Object((*object).into()),
            Change::Gone { class, id, name } => Self::Gone(wire::Gone {
                object_class: wire::ObjectClass::from(class).into(),
                id: id.into(),
                name: name.map(Into::into).unwrap_or_default(),
                class_name: class.further_name(),
            }),
        }
    }
}

impl From<Attribute> for wire::Attribute {
    fn from(attribute: Attribute) -> Self {
        Self {
            name: attribute.name.into(),
            values: attribute.values.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<Value> for wire::Value {
    fn from(value: Value) -> Self {
        use wire::value::Kind;
        Self {
            kind: Some(match value {
                Value::Text(text) => Kind::Text(text),
                Value::Integer(number) => Kind::Integer(number),
                Value::Boolean(truth) => Kind::Boolean(truth),
                Value::Binary(bytes) => Kind::Binary(bytes),
                Value::Real(number) => Kind::Real(number),
                Value::Time(time) => Kind::Time(humantime::format_rfc3339(time).to_string()),
                Value::Secret(secret) => {
                    Kind::Secret(wire::Secret::plain(secret.expose().to_vec()))
                }
            }),
        }
    }
}

impl From<ValueType> for wire::ValueType {
    fn from(kind: ValueType) -> Self {
        match kind {
            ValueType::Text => Self::Text,
            ValueType::Integer => Self::Integer,
            ValueType::Boolean => Self::Boolean,
            ValueType::Binary => Self::Binary,
            ValueType::Real => Self::Real,
            ValueType::Time => Self::Time,
            ValueType::Secret => Self::Secret,
        }
    }
}

impl From<Schema> for wire::Schema {
    fn from(schema: Schema) -> Self {
        Self {
            classes: schema.classes.into_iter().map(Into::into).collect(),
            actions: schema.actions,
            settings: schema.settings,
        }
    }
}

impl From<ClassSchema> for wire::ClassSchema {
    fn from(class: ClassSchema) -> Self {
        Self {
            object_class: wire::ObjectClass::from(class.class).into(),
            class_name: class.class.further_name(),
            attributes: class.attributes.into_iter().map(Into::into).collect(),
            verbs: class.verbs.iter().map(ToString::to_string).collect(),
        }
    }
}

impl From<AttributeSchema> for wire::AttributeSchema {
    fn from(attribute: AttributeSchema) -> Self {
        Self {
            name: attribute.name,
            r#type: wire::ValueType::from(attribute.value_type).into(),
            multi_valued: attribute.multi_valued,
            required: attribute.required,
            creatable: attribute.creatable,
            updatable: attribute.updatable,
            returned_by_default: attribute.returned_by_default,
            readable: Some(attribute.readable),
            syntax: attribute.syntax,
            source: attribute.source,
            description: attribute.description,
        }
    }
}

impl From<RunResult> for wire::RunResult {
    fn from(result: RunResult) -> Self {
        Self {
            exit_code: result.exit_code,
            results: result.results.into_iter().map(Into::into).collect(),
        }
    }
}
