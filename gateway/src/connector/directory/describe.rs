//! What a directory can hold, and whether it can be worked on.

use super::connector::Directory;
use super::fault::{Error, code};
use super::message::Operation;
use super::objects::{DN, MEMBER_OF};
use super::schema::{AttributeType, DirectorySchema};
use super::session::{Knowledge, Session};
use super::settings::ClassSettings;
use super::words;
use crate::connector::Connector as _;
use crate::model::{
    AttributeName, AttributeSchema, CallError, ClassSchema, Failure, ObjectClass, Schema, ValueType,
};

/// RFC 4532.
const WHO_AM_I: &str = "1.3.6.1.4.1.4203.1.11.3";

/// RFC 4511, section 4.5.1.8: no attribute at all.
const NO_ATTRIBUTE: &str = "1.1";

impl Directory {
    /// Checks that the directory can be worked on; says so in a sentence.
    pub(crate) async fn try_out(&self, session: &Session<'_>) -> Result<String, CallError> {
        let known = session.knowledge().await;
        let known = known.map_err(|error| self.read_error(&error))?;
        for class in self
            .classes()
            .filter_map(|class| self.settings.class(class))
        {
            let found = session.entry(&class.base, &[NO_ATTRIBUTE.to_owned()]).await;
            if found.map_err(|error| self.read_error(&error))?.is_none() {
                return Err(Failure::unavailable(format!(
                    "the directory has no entry `{}` that the gateway may read, below which the {}s are to be (`base`)",
                    class.base, class.class
                ))
                .into());
            }
        }
        for class in self
            .classes()
            .filter_map(|class| self.settings.class(class))
        {
            self.check_names(class, &known.schema)?;
        }
        let who = self.who(session, &known).await;
        let who = who.map_err(|error| self.read_error(&error))?;
        let mut lease = session
            .lease(false)
            .await
            .map_err(|error| self.read_error(&error))?;
        let link = lease.link().map_err(|error| self.read_error(&error))?;
        let pin = data_encoding::HEXLOWER.encode(link.certificate());
        let schema = if known.schema == DirectorySchema::default() {
            ", whose schema the gateway may not read"
        } else {
            ""
        };
        Ok(format!(
            "{}{schema}, as {who}; SHA-256 of its certificate: {pin}",
            link.shown()
        ))
    }

    /// Refuses to go by classes and attributes that the directory does not have: a search for them
    /// finds nothing, and says no more than that.
    pub(super) fn check_names(
        &self,
        class: &ClassSettings,
        schema: &DirectorySchema,
    ) -> Result<(), Failure> {
        let missing = |key: &str, what: &str, name: &str| {
            Failure::unavailable(format!(
                "the directory's schema has no {what} `{name}`: mend `{key}` of the {}s in the gateway's configuration",
                class.class
            ))
        };
        for name in &class.object_classes {
            if !schema.may_have_class(name) {
                return Err(missing("object_classes", "class", name));
            }
        }
        let defaults = class.defaults.iter();
        let mut named: Vec<_> = defaults.map(|(name, _)| ("defaults", name)).collect();
        named.push(("name", &class.naming));
        if let (ObjectClass::Group, Some((_, members))) = (class.class, &self.settings.groups) {
            named.push(("members", &members.attribute));
        }
        match named
            .iter()
            .find(|(_, name)| !schema.may_have_attribute(name))
        {
            Some((key, name)) => Err(missing(key, "attribute", name)),
            None => Ok(()),
        }
    }

    /// All that there may be.
    fn classes(&self) -> impl Iterator<Item = ObjectClass> + use<> {
        let classes = [ObjectClass::Account, ObjectClass::Group].into_iter();
        classes.chain(self.further_classes())
    }

    /// Who the directory says that the gateway is.
    async fn who(&self, session: &Session<'_>, known: &Knowledge) -> Result<String, Error> {
        let own = || format!("`{}`", words(&session.identity.dn));
        if !known.root.has_extension(WHO_AM_I) {
            return Ok(own());
        }
        let ask = Operation::Extended {
            oid: WHO_AM_I,
            value: None,
        };
        match session.ask(&ask, &[]).await {
            Ok(answer) => {
                let said = answer.value.unwrap_or_default();
                let said = words(&String::from_utf8_lossy(&said));
                Ok(if said.is_empty() {
                    "nobody at all".to_owned()
                } else {
                    format!("`{said}`")
                })
            }
            Err(Error::Refused(answer)) if answer.code == code::PROTOCOL_ERROR => Ok(own()),
            Err(error) => Err(error),
        }
    }

    /// What the directory can hold.
    pub(crate) async fn describe(&self, session: &Session<'_>) -> Result<Schema, CallError> {
        let known = session.knowledge().await;
        let known = known.map_err(|error| self.read_error(&error))?;
        let classes = self.classes().map(|class| ClassSchema {
            class,
            attributes: match self.settings.class(class) {
                Some(settings) => self.attributes(settings, &known),
                None => Vec::new(),
            },
            verbs: self.verbs(class),
        });
        Ok(Schema {
            classes: classes.collect(),
            actions: Vec::new(),
            settings: self.settings(),
        })
    }

    fn attributes(&self, class: &ClassSettings, known: &Knowledge) -> Vec<AttributeSchema> {
        let of_classes = known.schema.attributes_of(&class.object_classes);
        let mut attributes: Vec<_> = of_classes
            .into_iter()
            .filter(|(name, _)| !name.eq_ignore_ascii_case("objectClass"))
            .filter(|(name, _)| AttributeName::new(name.as_str()).is_ok())
            .filter(|(name, _)| self.check_writable(class, name).is_ok())
            .map(|(name, required)| {
                let attribute = known.schema.attribute(&name);
                self.attribute(class, name, attribute, required)
            })
            .collect();
        let computed = |name: &str, multi_valued, description: &str| AttributeSchema {
            multi_valued,
            creatable: false,
            updatable: false,
            description: description.to_owned(),
            ..AttributeSchema::new(name, ValueType::Text)
        };
        attributes.push(computed(DN, false, "the name of its entry"));
        if class.class == ObjectClass::Account && self.settings.groups.is_some() {
            let of = "the groups that it is in; they are changed at the group";
            attributes.push(computed(MEMBER_OF, true, of));
        }
        for name in self.dialect.derived_names(class.class) {
            let mut derived = computed(name, false, "worked out of how the account stands");
            derived.value_type = ValueType::Boolean;
            attributes.push(derived);
        }
        let has_members = attributes
            .iter()
            .any(|found| self.is_member_attribute(&found.name));
        if let (ObjectClass::Group, Some((_, members)), false) =
            (class.class, &self.settings.groups, has_members)
        {
            attributes.push(self.attribute(class, members.attribute.clone(), None, false));
        }
        attributes
    }

    fn attribute(
        &self,
        class: &ClassSettings,
        name: String,
        known: Option<&AttributeType>,
        required: bool,
    ) -> AttributeSchema {
        let is_member = class.class == ObjectClass::Group && self.is_member_attribute(&name);
        let is_name = name.eq_ignore_ascii_case(&class.naming);
        // It follows the name, and takes no other value beside that.
        let in_dn = class.is_in_rdn(&name) && known.is_some_and(|known| !known.multi_valued);
        let mut defaults = class.defaults.iter();
        let by_itself = is_name
            || is_member
                && self
                    .settings
                    .groups
                    .as_ref()
                    .is_some_and(|(_, members)| members.placeholder.is_some())
            || defaults.any(|(default, _)| default.eq_ignore_ascii_case(&name));
        let is_further = matches!(class.class, ObjectClass::Other(_));
        let writable = !is_further && known.is_none_or(|known| !known.read_only);
        let value_type = match known {
            Some(known) if !is_member => known.value_type,
            _ => ValueType::Text,
        };
        AttributeSchema {
            multi_valued: is_member || known.is_none_or(|known| known.multi_valued),
            required: required && !by_itself && self.dialect.is_required(&name),
            creatable: writable,
            updatable: writable && !is_name && !in_dn,
            readable: true,
            returned_by_default: known.is_none_or(|known| !known.operational),
            syntax: known.map(|known| known.syntax.clone()).unwrap_or_default(),
            source: String::new(),
            description: if is_member {
                "the names of its accounts".to_owned()
            } else {
                known
                    .map(|known| words(&known.description))
                    .unwrap_or_default()
            },
            ..AttributeSchema::new(name, value_type)
        }
    }
}
