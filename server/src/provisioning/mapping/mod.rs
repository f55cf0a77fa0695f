//! The mapping of a resource: what the attributes of a call are called there, and which others are
//! made of them, so that one form of an account fits every kind of resource.
//!
//! ```text
//!   caller: given_name, family_name, email
//!      │  account.givenName = {given_name}          renamed: also in searches, and back in answers
//!      │  account.cn = {given_name} {family_name}   derived: in calls alone
//!      │  account.loginShell = /bin/bash            constant: at creation alone
//!      ▼
//!   gateway: givenName, cn, loginShell
//! ```

mod answer;
mod ask;
mod template;

use std::collections::BTreeMap;

use portcullis_proto::gateway::v1::ObjectClass;

pub use template::{MAX_TEMPLATE, TemplateError};
use template::{Template, is_attribute};

/// Rules of one resource at the most.
pub const MAX_RULES: usize = 128;

/// Stands for the name of a new account or group, both in a template and as what a rule makes.
const NAME: &str = "name";

/// The mapping of one resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mapping {
    account: Rules,
    group: Rules,
}

/// The rules of one class, by what they make.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Rules(BTreeMap<String, Template>);

/// What is wrong with a mapping, or with a call that goes through it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MappingError {
    /// What a rule makes is not well-formed.
    #[error(
        "`{0}` is nothing that a rule can make: give account.NAME or group.NAME, with the name of an attribute (A-Z a-z 0-9 . _ -), or `name`"
    )]
    Target(String),
    /// A template is not well-formed.
    #[error("the template of `{target}` {source}")]
    Template {
        /// What the rule makes.
        target: String,
        /// What is wrong.
        source: TemplateError,
    },
    /// A distinguished name could be made another one by a value in it.
    #[error(
        "the template of `{0}` makes a distinguished name: write each value in it as {{NAME|dn}}, which escapes it"
    )]
    UnsafeDn(String),
    /// There are too many rules.
    #[error("a resource has at most {MAX_RULES} rules")]
    TooMany,
    /// A call lacks what a rule needs.
    #[error("`{target}` is made of `{field}`, which the call lacks: give it")]
    Lacks {
        /// What the rule makes.
        target: String,
        /// What it needs.
        field: String,
    },
    /// A value that a template cannot take.
    #[error(
        "`{target}` is made of `{field}`, which has to have one value that is a text, a whole number, or true or false"
    )]
    Value {
        /// What the rule makes.
        target: String,
        /// What it needs.
        field: String,
    },
    /// What comes of a template is too long.
    #[error("what is made for `{0}` is too long")]
    TooLong(String),
    /// The call has what a rule makes.
    #[error("`{0}` is made by a rule, and given by the call as well: give it once")]
    Twice(String),
    /// The call changes a part of what a rule makes.
    #[error("`{target}` is made of {fields}: give all of them, each as it is to be")]
    Partly {
        /// What the rule makes.
        target: String,
        /// What it needs.
        fields: String,
    },
    /// Nothing on the resource has it as it is.
    #[error("`{0}` is only a part of what is made of it, so that it cannot be searched for")]
    NotSearched(String),
}

impl Mapping {
    /// Reads a mapping as it is stored: templates by `CLASS.NAME`.
    ///
    /// # Errors
    /// [`MappingError`].
    pub fn parse(rules: &BTreeMap<String, String>) -> Result<Self, MappingError> {
        let mut mapping = Self::default();
        if rules.len() > MAX_RULES {
            return Err(MappingError::TooMany);
        }
        for (target, text) in rules {
            let bad = || MappingError::Target(target.chars().take(128).collect());
            let (class, name) = target.split_once('.').ok_or_else(bad)?;
            if !is_attribute(name) {
                return Err(bad());
            }
            let template = Template::parse(text).map_err(|source| MappingError::Template {
                target: target.clone(),
                source,
            })?;
            let is_dn = ["dn", "distinguishedName", "container"];
            if is_dn.iter().any(|dn| name.eq_ignore_ascii_case(dn)) && !template.is_safe_dn() {
                return Err(MappingError::UnsafeDn(target.clone()));
            }
            let rules = match class {
                "account" => &mut mapping.account,
                "group" => &mut mapping.group,
                _ => return Err(bad()),
            };
            rules.0.insert(name.to_owned(), template);
        }
        Ok(mapping)
    }

    fn of(&self, class: i32) -> Option<&Rules> {
        let rules = match ObjectClass::try_from(class).ok()? {
            ObjectClass::Account => &self.account,
            ObjectClass::Group => &self.group,
            ObjectClass::Other | ObjectClass::Unspecified => return None,
        };
        Some(rules).filter(|rules| !rules.0.is_empty())
    }
}

impl Rules {
    /// Those that give an attribute another name: that one, and the attribute.
    fn renames(&self) -> impl Iterator<Item = (&str, &str)> {
        let rules = self.0.iter().filter(|(target, _)| *target != NAME);
        rules.filter_map(|(target, template)| {
            let source = template.renamed().filter(|source| *source != NAME)?;
            Some((target.as_str(), source))
        })
    }

    /// What the resource calls an attribute; of several, the first in the order of the alphabet.
    fn there(&self, source: &str) -> Option<&str> {
        let mut renames = self.renames();
        renames.find(|(_, from)| *from == source).map(|(to, _)| to)
    }

    /// What a caller calls an attribute of the resource.
    fn here(&self, target: &str) -> Option<&str> {
        let source = self.0.get(target)?.renamed()?;
        (source != NAME && self.there(source) == Some(target)).then_some(source)
    }

    /// Whether any rule takes this attribute of the caller's.
    fn takes(&self, source: &str) -> bool {
        let mut fields = self.0.values().flat_map(Template::fields);
        fields.any(|field| field == source)
    }

    /// Those that make something of several values, or of changed ones; neither renames nor
    /// constants, nor that of the name.
    fn derived(&self) -> impl Iterator<Item = (&str, &Template)> {
        let rules = self
            .0
            .iter()
            .map(|(target, template)| (target.as_str(), template));
        rules.filter(|(target, template)| {
            let renames = template.renamed().is_some_and(|source| source != NAME);
            *target != NAME && !renames && template.fields().next().is_some()
        })
    }
}

#[cfg(test)]
mod tests;
