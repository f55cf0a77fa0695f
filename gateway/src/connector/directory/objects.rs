//! Entries as the objects that calls are about.

use super::connector::Directory;
use super::dn;
use super::message::Entry;
use super::session::Knowledge;
use super::settings::ClassSettings;
use super::values;
use crate::model::{
    Attribute, AttributeName, CallError, Failure, Identity, Object, ObjectClass, ObjectId,
    ObjectName, Value,
};

/// The attribute that says which groups an object is in.
pub(crate) const MEMBER_OF: &str = "memberOf";

/// The attribute that says the name of an object's entry.
pub(crate) const DN: &str = "dn";

impl Directory {
    /// The attributes to ask a directory for where a call wants these.
    pub(crate) fn wanted(&self, class: &ClassSettings, wanted: &[AttributeName]) -> Vec<String> {
        let mut names: Vec<String> = match wanted {
            [] => vec!["*".to_owned()],
            some => some
                .iter()
                .map(AttributeName::as_str)
                .filter(|name| !self.is_hidden(name))
                .filter(|name| !name.eq_ignore_ascii_case(DN) && !self.computes(name))
                .map(str::to_owned)
                .collect(),
        };
        names.push(class.naming.clone());
        names.push(self.dialect.id_attribute().to_owned());
        if class.class == ObjectClass::Account {
            names.extend(self.dialect.state_attributes());
        }
        if wanted.is_empty() && !self.dialect.searches_memberships() {
            names.push(MEMBER_OF.to_owned());
        }
        names
    }

    /// Who an entry is.
    pub(crate) fn identity(
        &self,
        class: &ClassSettings,
        entry: &Entry,
    ) -> Result<Identity, Failure> {
        let lacks = |attribute: &str, why: String| {
            Failure::rejected(format!(
                "entry `{}` has no `{attribute}` that is of use ({why}): may the gateway read it?",
                super::words(&entry.dn)
            ))
        };
        let attribute = self.dialect.id_attribute();
        let id = entry.values(attribute).first();
        let id = id.and_then(|value| self.dialect.id_text(value));
        let id = id.ok_or_else(|| lacks(attribute, "it is the object's id".to_owned()))?;
        let name = self.name(class, entry);
        let name =
            name.ok_or_else(|| lacks(&class.naming, "it is the object's name".to_owned()))?;
        Ok(Identity {
            class: class.class,
            id: ObjectId::new(id).map_err(|error| lacks(attribute, error.to_string()))?,
            name: ObjectName::new(name).map_err(|error| lacks(&class.naming, error.to_string()))?,
        })
    }

    /// The name of an object. Of several values it is the one by which the entry is named.
    pub(super) fn name(&self, class: &ClassSettings, entry: &Entry) -> Option<String> {
        let texts: Vec<_> = entry
            .values(&class.naming)
            .iter()
            .filter_map(|value| std::str::from_utf8(value).ok())
            .collect();
        let first = dn::first_value(&entry.dn, &class.naming);
        let of_rdn = first.filter(|first| texts.contains(&first.as_str()));
        of_rdn.or_else(|| texts.first().map(|text| (*text).to_owned()))
    }

    /// An entry as an object. `members`: the names of those that it takes in; `groups`: of those
    /// that it is in.
    pub(crate) fn object(
        &self,
        class: &ClassSettings,
        entry: &Entry,
        known: &Knowledge,
        wanted: &[AttributeName],
        links: Links,
    ) -> Result<Object, CallError> {
        let identity = self.identity(class, entry)?;
        let enabled = match class.class {
            ObjectClass::Account => self.dialect.is_enabled(entry),
            _ => None,
        };
        let mut attributes = Vec::new();
        let asked = |name: &str| {
            let mut wanted = wanted.iter();
            wanted.find(|asked| asked.as_str().eq_ignore_ascii_case(name))
        };
        let mut push = |name: &str, values: Vec<Value>| {
            let name = match (asked(name), wanted.is_empty()) {
                (Some(asked), _) => asked.clone(),
                // The operational ones are read for the gateway's own use.
                (None, true) if !self.is_internal(known, name) => match AttributeName::new(name) {
                    Ok(name) => name,
                    Err(_) => return,
                },
                _ => return,
            };
            attributes.push(Attribute { name, values });
        };
        push(DN, vec![Value::Text(super::words(&entry.dn))]);
        for (name, values) in &entry.attributes {
            if self.is_hidden(name) || self.computes(name) {
                continue;
            }
            if class.class == ObjectClass::Group && self.is_member_attribute(name) {
                continue;
            }
            let known = known.schema.attribute(name);
            let values = values.iter().map(|value| {
                let own = self.dialect.to_model(name, value);
                own.unwrap_or_else(|| values::to_model(value, known))
            });
            push(name, values.collect());
        }
        for (name, value) in self.dialect.derived(class.class, entry) {
            push(name, vec![value]);
        }
        let texts = |names: Vec<String>| names.into_iter().map(Value::Text).collect();
        if let (Some(members), Some((_, settings))) = (links.members, &self.settings.groups) {
            push(&settings.attribute, texts(members));
        }
        if let Some(groups) = links.groups {
            push(MEMBER_OF, texts(groups));
        }
        Ok(Object {
            identity,
            enabled,
            attributes,
        })
    }

    /// Whether nobody may read or write an attribute by a call: it holds a password.
    pub(crate) fn is_hidden(&self, name: &str) -> bool {
        let base = base_of(name);
        let mut hidden = self.dialect.hidden().iter();
        // By its number any attribute could be meant.
        base.contains('.') || hidden.any(|hidden| hidden.eq_ignore_ascii_case(base))
    }

    /// A value of a call as the directory has it.
    pub(crate) fn to_directory(&self, value: &Value, attribute: &str) -> Result<Vec<u8>, Failure> {
        match self.dialect.to_directory(attribute, value) {
            Some(bytes) => Ok(bytes),
            None => values::to_directory(value, attribute),
        }
    }

    /// Whether an attribute is worked out here, and not by the directory.
    pub(crate) fn computes(&self, name: &str) -> bool {
        name.eq_ignore_ascii_case(MEMBER_OF) && self.settings.groups.is_some()
    }

    /// Whether an attribute holds the members of a group.
    pub(crate) fn is_member_attribute(&self, name: &str) -> bool {
        let groups = self.settings.groups.as_ref();
        groups.is_some_and(|(_, members)| members.attribute.eq_ignore_ascii_case(base_of(name)))
    }

    /// Whether an attribute is read for the gateway's own use alone.
    fn is_internal(&self, known: &Knowledge, name: &str) -> bool {
        if self.computes(name) {
            return false;
        }
        let operational = known.schema.attribute(name);
        operational.is_some_and(|found| found.operational)
            || name.eq_ignore_ascii_case(self.dialect.id_attribute())
    }
}

/// How an object stands to others.
#[derive(Clone, Debug, Default)]
pub(crate) struct Links {
    /// The names of its members.
    pub(crate) members: Option<Vec<String>>,
    /// The names of the groups that it is in.
    pub(crate) groups: Option<Vec<String>>,
}

/// An attribute's name without options.
pub(crate) fn base_of(name: &str) -> &str {
    name.split(';').next().unwrap_or(name)
}
