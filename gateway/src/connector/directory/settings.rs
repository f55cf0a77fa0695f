//! The keys that every connector on this driver has in the configuration.

use std::path::PathBuf;

use super::dn;
use super::filter::Filter;
use super::reach::servers;
use super::server::Servers;
use crate::config::Section;
use crate::model::ObjectClass;

/// Who the gateway is at the directory, as the configuration has it.
#[derive(Clone, Debug, Default)]
pub(crate) struct BindSettings {
    /// Its name; `None`: the resource gives it.
    pub(crate) dn: Option<String>,
    /// The file with its password; `None`: the resource gives it.
    pub(crate) password_file: Option<PathBuf>,
}

/// Where the objects of a class are, and how they are named.
#[derive(Clone, Debug)]
pub(crate) struct ClassSettings {
    /// The class.
    pub(crate) class: ObjectClass,
    /// What they lie below.
    pub(crate) base: String,
    /// The object classes of a new one.
    pub(crate) object_classes: Vec<String>,
    /// What tells them from other entries.
    pub(crate) filter: Filter,
    /// The attribute that holds the name.
    pub(crate) naming: String,
    /// The name of a new entry, with `{name}` in it.
    pub(crate) dn: String,
    /// Attributes that a new one gets where the call does not give them, with `{name}` in them.
    pub(crate) defaults: Vec<(String, String)>,
}

/// How members of groups are kept.
#[derive(Clone, Debug)]
pub(crate) struct MemberSettings {
    /// The attribute that holds them.
    pub(crate) attribute: String,
    /// Whether its values are names of accounts, and not of entries.
    pub(crate) by_name: bool,
    /// The entry that stands in a group that has no other member.
    pub(crate) placeholder: Option<String>,
}

/// All of them.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// The way there.
    pub(crate) servers: Servers,
    /// Who the gateway is.
    pub(crate) bind: BindSettings,
    /// Accounts.
    pub(crate) accounts: ClassSettings,
    /// Groups; `None`: the connector has none.
    pub(crate) groups: Option<(ClassSettings, MemberSettings)>,
    /// Further classes, whose objects are only read.
    pub(crate) further: Vec<ClassSettings>,
    /// The attribute of new entries that holds the id of the call that made them.
    pub(crate) marker: Option<String>,
    /// Entries of one page; `None`: the directory has no pages.
    pub(crate) page_size: Option<usize>,
}

/// What a dialect has by default.
#[derive(Clone, Debug)]
pub(crate) struct Defaults {
    /// The object classes of accounts.
    pub(crate) account_classes: &'static [&'static str],
    /// The attribute that holds an account's name.
    pub(crate) account_naming: &'static str,
    /// The attribute of an account's first step, where that is not its name's.
    pub(crate) account_rdn: &'static str,
    /// What tells accounts from others; `None`: their object classes.
    pub(crate) account_filter: Option<Filter>,
    /// The object classes of groups.
    pub(crate) group_classes: &'static [&'static str],
    /// The attribute that holds a group's name.
    pub(crate) group_naming: &'static str,
    /// The attribute of a group's first step.
    pub(crate) group_rdn: &'static str,
    /// The object classes of computers.
    pub(crate) computer_classes: &'static [&'static str],
    /// The attribute that holds a computer's name.
    pub(crate) computer_naming: &'static str,
}

/// The further classes, each with its section (RFC 4519, section 3.11, for the first).
const FURTHER: [(&str, ObjectClass); 2] = [
    ("organizational_units", ObjectClass::ORGANIZATIONAL_UNIT),
    ("computers", ObjectClass::COMPUTER),
];

impl Defaults {
    /// Those of a class: its object classes, its naming attribute, that of the first step, and what
    /// tells it from others.
    fn of(
        &self,
        class: ObjectClass,
    ) -> (
        &'static [&'static str],
        &'static str,
        &'static str,
        Option<Filter>,
    ) {
        match class {
            ObjectClass::Account => (
                self.account_classes,
                self.account_naming,
                self.account_rdn,
                self.account_filter.clone(),
            ),
            ObjectClass::Group => (self.group_classes, self.group_naming, self.group_rdn, None),
            ObjectClass::COMPUTER => (
                self.computer_classes,
                self.computer_naming,
                self.computer_naming,
                None,
            ),
            ObjectClass::Other(_) => (&["organizationalUnit"], "ou", "ou", None),
        }
    }
}

impl ClassSettings {
    /// The name of a new entry.
    pub(crate) fn dn_of(&self, name: &str) -> String {
        self.dn.replace("{name}", &dn::escape(name))
    }

    /// The first step of the name of an entry.
    pub(crate) fn rdn(&self, name: &str) -> String {
        dn::split_first(&self.dn_of(name)).0.to_owned()
    }

    /// Whether an attribute stands in the first step of an entry's name.
    pub(crate) fn is_in_rdn(&self, attribute: &str) -> bool {
        dn::first_value(dn::split_first(&self.dn).0, attribute).is_some()
    }

    /// Whether the first step of an entry's name holds its name, so that one can be told from the
    /// other without asking.
    pub(crate) fn is_named_by_rdn(&self) -> bool {
        let (first, _) = dn::split_first(&self.dn);
        let named = first.split_once('=');
        named.is_some_and(|(attribute, value)| {
            attribute.trim().eq_ignore_ascii_case(&self.naming) && value.trim() == "{name}"
        })
    }
}

impl Settings {
    /// Where the objects of a class are.
    pub(crate) fn class(&self, class: ObjectClass) -> Option<&ClassSettings> {
        match class {
            ObjectClass::Account => Some(&self.accounts),
            ObjectClass::Group => self.groups.as_ref().map(|(groups, _)| groups),
            ObjectClass::Other(_) => self.further.iter().find(|own| own.class == class),
        }
    }

    /// Reads them; what is wrong becomes a problem of the section.
    pub(crate) fn read(section: &mut Section<'_>, defaults: &Defaults) -> Option<Self> {
        let servers = servers(section);
        let bind = BindSettings {
            dn: section.text("bind_dn").map(str::to_owned),
            password_file: section.text("bind_password_file").map(PathBuf::from),
        };
        let marker = section.text("marker").map(str::to_owned);
        if marker.as_deref().is_some_and(|name| !is_attribute(name)) {
            section.problem("marker", "the name of an attribute is allowed");
        }
        let page_size = match section.integer("page_size", 0..=10_000) {
            Some(0) => None,
            Some(size) => usize::try_from(size).ok(),
            None => Some(500),
        };
        let accounts = match section.section("accounts") {
            Some(accounts) => class(accounts, ObjectClass::Account, defaults),
            None => {
                section.problem(
                    "accounts",
                    "missing: it says where the accounts are; give [….accounts] with `base`",
                );
                None
            }
        };
        let groups = match section.section("groups") {
            Some(mut groups) => {
                let members = members(&mut groups);
                let class = class(groups, ObjectClass::Group, defaults);
                Some((class?, members?))
            }
            None => None,
        };
        let mut further = Vec::new();
        for (key, other) in FURTHER {
            if let Some(section) = section.section(key) {
                further.push(class(section, other, defaults)?);
            }
        }
        Some(Self {
            servers: servers?,
            bind,
            accounts: accounts?,
            groups,
            further,
            marker,
            page_size,
        })
    }
}

fn class(
    mut section: Section<'_>,
    class: ObjectClass,
    defaults: &Defaults,
) -> Option<ClassSettings> {
    let (classes, naming, first, filter) = defaults.of(class);
    let attribute = |name: &str| {
        let allowed = || "the name of an attribute or class is allowed".to_owned();
        is_attribute(name)
            .then(|| name.to_owned())
            .ok_or_else(allowed)
    };
    let base = base(&mut section);
    let object_classes = section.list("object_classes", attribute);
    let own_classes = object_classes.is_some();
    let object_classes =
        object_classes.unwrap_or_else(|| classes.iter().map(|name| (*name).to_owned()).collect());
    let naming = section.text("name").unwrap_or(naming).to_owned();
    if !is_attribute(&naming) {
        section.problem("name", "the name of an attribute is allowed");
    }
    let base = base?;
    let default = format!("{first}={{name}},{base}");
    let template = section.text("dn").unwrap_or(&default).to_owned();
    if section.is_sound("base") {
        check_template(&section, &template, &base);
    }
    let defaults = texts(section.section("defaults"));
    section.finish();
    let by_class = || {
        let classes = object_classes.iter();
        Filter::all(
            classes
                .map(|name| Filter::equal("objectClass", name))
                .collect(),
        )
    };
    Some(ClassSettings {
        class,
        filter: filter.filter(|_| !own_classes).unwrap_or_else(by_class),
        base,
        object_classes,
        naming,
        dn: template,
        defaults,
    })
}

/// The entry below which the objects of a class lie.
fn base(section: &mut Section<'_>) -> Option<String> {
    let base = section.text("base").map(str::to_owned);
    if !section.has("base") {
        section.problem(
            "base",
            "missing: the entry below which they lie, such as \"ou=people,dc=example,dc=org\"",
        );
    }
    if base
        .as_deref()
        .is_some_and(|base| dn::parse(base).is_none_or(|steps| steps.is_empty()))
    {
        section.problem(
            "base",
            "the name of an entry is allowed, such as \"ou=people,dc=example,dc=org\"",
        );
    }
    base
}

fn texts(section: Option<Section<'_>>) -> Vec<(String, String)> {
    let Some(mut section) = section else {
        return Vec::new();
    };
    let found = section.named_texts().into_iter();
    let found = found
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    section.finish();
    found
}

fn check_template(section: &Section<'_>, template: &str, base: &str) {
    let example = template.replace("{name}", "x");
    let is_below = template.contains("{name}") && dn::is_within(&example, base);
    if !is_below || dn::same(&example, base) {
        section.problem(
            "dn",
            format!("a name with {{name}} in it and below `base` is allowed, such as \"cn={{name}},{base}\""),
        );
    }
}

fn members(section: &mut Section<'_>) -> Option<MemberSettings> {
    let attribute = section.text("members").unwrap_or("member").to_owned();
    if !is_attribute(&attribute) {
        section.problem("members", "the name of an attribute is allowed, such as \"member\", \"uniqueMember\" or \"memberUid\"");
        return None;
    }
    let placeholder = section.text("placeholder").map(str::to_owned);
    if placeholder
        .as_deref()
        .is_some_and(|name| dn::parse(name).is_none())
    {
        section.problem(
            "placeholder",
            "the name of an entry is allowed, which then stands in a group without members",
        );
    }
    Some(MemberSettings {
        by_name: attribute.eq_ignore_ascii_case("memberUid"),
        attribute,
        placeholder,
    })
}

/// Whether a text can be the name of an attribute or class (RFC 4512, section 1.4).
pub(crate) fn is_attribute(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.chars().all(plain)
}
