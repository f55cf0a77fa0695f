//! What an entry of the audit log is about, each in a field of its own.

use super::sql::Value;

/// What an entry is about. A field that is empty says that it is about none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditFields {
    /// The id of a call.
    pub call_id: String,
    /// The resource.
    pub resource: String,
    /// The class of the object on it: `account`, `group`, `action`.
    pub object_class: String,
    /// The object's name, or its id on the resource.
    pub object_name: String,
    /// The user of the identity system.
    pub user: String,
    /// The gateway.
    pub gateway: String,
}

impl AuditFields {
    /// Of a resource.
    pub fn resource(name: &str) -> Self {
        Self {
            resource: name.to_owned(),
            ..Self::default()
        }
    }

    /// Of a gateway.
    pub fn gateway(name: &str) -> Self {
        Self {
            gateway: name.to_owned(),
            ..Self::default()
        }
    }

    /// Of a call of which no more is known.
    pub fn call(id: &str) -> Self {
        Self {
            call_id: id.to_owned(),
            ..Self::default()
        }
    }

    /// Of a user.
    pub fn user(name: &str) -> Self {
        Self {
            user: name.to_owned(),
            ..Self::default()
        }
    }

    /// Each with its name, as the MAC of an entry covers them and its export shows them.
    pub fn named(&self) -> [(&'static str, &str); 6] {
        [
            ("call_id", &self.call_id),
            ("resource", &self.resource),
            ("object_class", &self.object_class),
            ("object_name", &self.object_name),
            ("user", &self.user),
            ("gateway", &self.gateway),
        ]
    }

    /// With each field as `change` makes it.
    pub fn map(self, change: impl Fn(&str) -> String) -> Self {
        Self {
            call_id: change(&self.call_id),
            resource: change(&self.resource),
            object_class: change(&self.object_class),
            object_name: change(&self.object_name),
            user: change(&self.user),
            gateway: change(&self.gateway),
        }
    }

    /// As a statement is given them.
    pub(super) fn bound(&self) -> [Value<'_>; 6] {
        self.named().map(|(_, value)| Value::Text(value))
    }
}
