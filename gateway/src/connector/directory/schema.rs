//! What a directory says of itself: its root (RFC 4512, section 5.1) and its schema (section 4).
//!
//! Schemas of the field hold definitions that no standard has and some that are broken: what cannot
//! be read is passed over, and the attribute then is one of which nothing is known.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::dn;
use super::message::Entry;
use crate::model::ValueType;

/// What is read of the root.
pub(crate) const ROOT_ATTRIBUTES: [&str; 4] = [
    "objectClass",
    "supportedControl",
    "supportedExtension",
    "subschemaSubentry",
];

/// Definitions of one schema at the most.
const MOST_DEFINITIONS: usize = 20_000;

/// Bytes of one definition at the most: Active Directory's class of users takes a third of that.
const MOST_BYTES: usize = 64 << 10;

/// Names of one attribute or class at the most.
const MOST_NAMES: usize = 32;

/// Attributes that have two names in the standards (RFC 4519), and may hold those of objects.
const SECOND_NAMES: [(&str, &str); 3] =
    [("cn", "commonname"), ("sn", "surname"), ("uid", "userid")];

/// How far an attribute or class inherits.
const MOST_ANCESTORS: usize = 32;

/// The root of a directory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Root {
    /// Object identifiers of its controls.
    pub(crate) controls: Vec<String>,
    /// Object identifiers of its extended requests.
    pub(crate) extensions: Vec<String>,
    /// Where its schema is.
    pub(crate) subschema: Option<String>,
    /// Whether a condition for which an attribute's type names no rule is met by no entry: OpenLDAP
    /// keeps to RFC 4511, section 4.5.1.7, others go by the syntax.
    pub(crate) goes_by_rules: bool,
}

impl Root {
    /// Of the entry with no name.
    pub(crate) fn of(entry: &Entry) -> Self {
        let texts = |name| {
            let values = entry.values(name).iter();
            values
                .filter_map(|value| String::from_utf8(value.to_vec()).ok())
                .collect()
        };
        Self {
            controls: texts("supportedControl"),
            extensions: texts("supportedExtension"),
            subschema: entry.text("subschemaSubentry").map(str::to_owned),
            goes_by_rules: texts("objectClass").contains(&"OpenLDAProotDSE".to_owned()),
        }
    }

    /// Whether it has a control.
    pub(crate) fn has_control(&self, oid: &str) -> bool {
        self.controls.iter().any(|found| found == oid)
    }

    /// Whether it has an extended request.
    pub(crate) fn has_extension(&self, oid: &str) -> bool {
        self.extensions.iter().any(|found| found == oid)
    }
}

/// When a directory takes two values for the same one (RFC 4517, section 4.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Equality {
    /// Where all of their bytes are the same, as far as is known.
    #[default]
    Exact,
    /// Whatever their case and the number of their blanks.
    Folded,
    /// As telephone numbers: without blanks and hyphens as well.
    Telephone,
    /// As digits: without blanks.
    Digits,
    /// As names of entries.
    Name,
}

impl Equality {
    /// By the rule that an attribute names, or else by its syntax.
    fn of(rule: Option<&str>, syntax: &str) -> Self {
        let number = syntax.strip_prefix("1.3.6.1.4.1.1466.115.121.1.");
        match (rule, number) {
            (Some("caseIgnoreMatch" | "caseIgnoreIA5Match" | "caseIgnoreListMatch"), _) => {
                Self::Folded
            }
            (Some("telephoneNumberMatch"), _) | (None, Some("50")) => Self::Telephone,
            (Some("numericStringMatch"), _) | (None, Some("36")) => Self::Digits,
            (Some("distinguishedNameMatch"), _) | (None, Some("12")) => Self::Name,
            // Active Directory names no rules: its plain text is compared so.
            (None, Some("15")) => Self::Folded,
            _ => Self::Exact,
        }
    }

    /// A value such that those that are the same one are equal.
    pub(crate) fn key(self, value: &[u8]) -> Vec<u8> {
        let without = |left_out: &[char]| match String::from_utf8(dn::prepared(value)) {
            Ok(text) => text.replace(left_out, "").into_bytes(),
            Err(error) => error.into_bytes(),
        };
        match self {
            Self::Exact => value.to_vec(),
            Self::Folded => dn::prepared(value),
            Self::Telephone => without(&[' ', '-']),
            Self::Digits => without(&[' ']),
            Self::Name => match std::str::from_utf8(value).ok().and_then(dn::key) {
                Some(key) => key.into_bytes(),
                None => value.to_vec(),
            },
        }
    }
}

/// The conditions for which an attribute has a matching rule, its own or an inherited one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rules {
    /// `=`.
    pub(crate) equality: bool,
    /// `<=` and `>=`.
    pub(crate) ordering: bool,
    /// `*`.
    pub(crate) substrings: bool,
}

/// What is known of an attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AttributeType {
    /// Its first name.
    pub(crate) name: String,
    /// The object identifier of its syntax.
    pub(crate) syntax: String,
    /// The type of its values.
    pub(crate) value_type: ValueType,
    /// Whether its values are names of entries.
    pub(crate) is_dn: bool,
    /// When two of its values are the same one.
    pub(crate) equality: Equality,
    /// What it can be asked for by.
    pub(crate) rules: Rules,
    /// Whether it may have several.
    pub(crate) multi_valued: bool,
    /// Whether the directory keeps it for itself.
    pub(crate) read_only: bool,
    /// Whether it comes only where it is asked for.
    pub(crate) operational: bool,
    /// What it is, for people.
    pub(crate) description: String,
}

/// What is known of a class.
#[derive(Clone, Debug, Default, PartialEq)]
struct Class {
    parents: Vec<String>,
    must: Vec<String>,
    may: Vec<String>,
}

/// The schema of a directory.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct DirectorySchema {
    /// By every name and object identifier, in lower case.
    attributes: HashMap<String, Arc<AttributeType>>,
    classes: HashMap<String, Arc<Class>>,
}

impl DirectorySchema {
    /// Of the subschema's entry.
    pub(crate) fn of(entry: &Entry) -> Self {
        let mut schema = Self::default();
        let definitions = |name| {
            let values = entry.values(name).iter().take(MOST_DEFINITIONS);
            let values = values.filter(|value| value.len() <= MOST_BYTES);
            values.filter_map(|value| Definition::parse(&String::from_utf8_lossy(value)))
        };
        let types: Vec<_> = definitions("attributeTypes").collect();
        let by_name: HashMap<_, _> = types
            .iter()
            .flat_map(|found| found.keys().map(move |key| (key, found)))
            .collect();
        for definition in &types {
            let known = Arc::new(attribute_type(definition, &by_name));
            for key in definition.keys() {
                schema.attributes.insert(key, Arc::clone(&known));
            }
        }
        for definition in definitions("objectClasses") {
            let class = Arc::new(Class {
                parents: definition.list("SUP"),
                must: definition.list("MUST"),
                may: definition.list("MAY"),
            });
            for key in definition.keys() {
                schema.classes.insert(key, Arc::clone(&class));
            }
        }
        schema.add_rules(definitions("dITContentRules"));
        schema
    }

    /// What entries of a structural class may have beside what the class says: Active Directory
    /// tells most attributes of a user so.
    fn add_rules(&mut self, rules: impl Iterator<Item = Definition>) {
        for rule in rules {
            let Some(known) = self.classes.get(&rule.oid.to_lowercase()).cloned() else {
                continue;
            };
            let mut class = Class::clone(&known);
            class.must.extend(rule.list("MUST"));
            class.may.extend(rule.list("MAY"));
            let class = Arc::new(class);
            let mut same = self.classes.values_mut();
            while let Some(found) = same.find(|found| Arc::ptr_eq(found, &known)) {
                *found = Arc::clone(&class);
            }
        }
    }

    /// What is known of an attribute, whatever its options.
    pub(crate) fn attribute(&self, name: &str) -> Option<&AttributeType> {
        let base = name.split(';').next().unwrap_or(name);
        let found = self.attributes.get(&base.to_ascii_lowercase());
        found.map(Arc::as_ref)
    }

    /// Whether there is a class of this name; so too where no class is known at all.
    pub(crate) fn may_have_class(&self, name: &str) -> bool {
        self.classes.is_empty() || self.classes.contains_key(&name.to_lowercase())
    }

    /// Whether there is an attribute of this name; so too where none is known at all.
    pub(crate) fn may_have_attribute(&self, name: &str) -> bool {
        self.attributes.is_empty() || self.attribute(name).is_some()
    }

    /// Whether two names that differ are those of one attribute.
    pub(crate) fn is_alias(&self, name: &str, other: &str) -> bool {
        let same = |(one, two): (&AttributeType, &AttributeType)| one.name == two.name;
        let pair = [name, other].map(str::to_ascii_lowercase);
        let mut pairs = SECOND_NAMES.into_iter().flat_map(|(a, b)| [[a, b], [b, a]]);
        // A schema that the gateway may not read has them all the same.
        pairs.any(|known| pair == known)
            || pair[0] != pair[1]
                && self
                    .attribute(name)
                    .zip(self.attribute(other))
                    .is_some_and(same)
    }

    /// The attributes of entries of these classes, each with whether it is required.
    pub(crate) fn attributes_of(&self, classes: &[String]) -> BTreeMap<String, bool> {
        let mut found = BTreeMap::new();
        let mut seen = BTreeSet::new();
        let mut left: Vec<_> = classes.iter().map(|name| name.to_lowercase()).collect();
        while let Some(name) = left.pop() {
            if seen.len() > MOST_ANCESTORS * classes.len().max(1) || !seen.insert(name.clone()) {
                continue;
            }
            let Some(class) = self.classes.get(&name) else {
                continue;
            };
            for attribute in &class.may {
                found.entry(self.first_name(attribute)).or_insert(false);
            }
            for attribute in &class.must {
                found.insert(self.first_name(attribute), true);
            }
            left.extend(class.parents.iter().map(|parent| parent.to_lowercase()));
        }
        found
    }

    fn first_name(&self, name: &str) -> String {
        self.attribute(name)
            .map_or_else(|| name.to_owned(), |known| known.name.clone())
    }
}

fn attribute_type(
    definition: &Definition,
    by_name: &HashMap<String, &Definition>,
) -> AttributeType {
    let mut syntax = definition.syntax.as_deref();
    let mut rule = definition.equality.as_deref();
    let mut rules = definition.rules;
    let mut ancestor = definition;
    for _ in 0..MOST_ANCESTORS {
        let parent = ancestor.parent.as_ref();
        let Some(parent) = parent.and_then(|name| by_name.get(name)) else {
            break;
        };
        ancestor = parent;
        syntax = syntax.or(ancestor.syntax.as_deref());
        rule = rule.or(ancestor.equality.as_deref());
        rules.equality |= ancestor.rules.equality;
        rules.ordering |= ancestor.rules.ordering;
        rules.substrings |= ancestor.rules.substrings;
    }
    // A bound may follow, as in `{256}`; Active Directory quotes it.
    let syntax = syntax.unwrap_or_default();
    let syntax = syntax.split('{').next().unwrap_or_default();
    let usage = definition.word("USAGE").unwrap_or_default();
    AttributeType {
        name: definition.names.first().unwrap_or(&definition.oid).clone(),
        syntax: syntax.to_owned(),
        value_type: value_type(syntax),
        is_dn: syntax == "1.3.6.1.4.1.1466.115.121.1.12",
        equality: Equality::of(rule, syntax),
        rules,
        multi_valued: !definition.has("SINGLE-VALUE"),
        read_only: definition.has("NO-USER-MODIFICATION"),
        operational: !matches!(usage.as_str(), "" | "userApplications"),
        description: definition.word("DESC").unwrap_or_default(),
    }
}

/// The type of the values of a syntax (RFC 4517, section 3.3, and those of the field).
fn value_type(syntax: &str) -> ValueType {
    let (standard, number) = match syntax.strip_prefix("1.3.6.1.4.1.1466.115.121.1.") {
        Some(number) => (true, number),
        None => (false, syntax),
    };
    match (standard, number) {
        (true, "7") => ValueType::Boolean,
        (true, "24") => ValueType::Time,
        (true, "27") => ValueType::Integer,
        // Audio, binary, certificates and lists, fax, JPEG, octet string.
        (true, "4" | "5" | "8" | "9" | "10" | "23" | "28" | "40" | "49") => ValueType::Binary,
        // Active Directory: large integer, security descriptor.
        (false, "1.2.840.113556.1.4.906") => ValueType::Integer,
        (false, "1.2.840.113556.1.4.907") => ValueType::Binary,
        _ => ValueType::Text,
    }
}

/// One definition, as words (RFC 4512, section 4.1).
#[derive(Debug)]
struct Definition {
    oid: String,
    names: Vec<String>,
    /// What those that inherit from it ask for again and again.
    syntax: Option<String>,
    equality: Option<String>,
    rules: Rules,
    /// The name of what it inherits from, in lower case.
    parent: Option<String>,
    words: Vec<Word>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Word {
    Bare(String),
    Quoted(String),
    Open,
    Close,
}

impl Definition {
    fn parse(text: &str) -> Option<Self> {
        let words = words(text);
        let mut all = words.into_iter();
        if all.next() != Some(Word::Open) {
            return None;
        }
        let Some(Word::Bare(oid)) = all.next() else {
            return None;
        };
        let mut definition = Self {
            oid,
            names: Vec::new(),
            syntax: None,
            equality: None,
            rules: Rules::default(),
            parent: None,
            words: all.collect(),
        };
        definition.names = definition.list("NAME");
        definition.names.truncate(MOST_NAMES);
        definition.syntax = definition.word("SYNTAX");
        definition.equality = definition.word("EQUALITY");
        definition.rules = Rules {
            equality: definition.equality.is_some(),
            ordering: definition.has("ORDERING"),
            substrings: definition.has("SUBSTR"),
        };
        definition.parent = definition.word("SUP").map(|name| name.to_lowercase());
        Some(definition)
    }

    /// All that it is known by, in lower case.
    fn keys(&self) -> impl Iterator<Item = String> {
        let names = self.names.iter().chain([&self.oid]);
        names.map(|name| name.to_lowercase())
    }

    fn has(&self, keyword: &str) -> bool {
        self.words.contains(&Word::Bare(keyword.to_owned()))
    }

    fn word(&self, keyword: &str) -> Option<String> {
        self.list(keyword).into_iter().next()
    }

    /// What follows a keyword: one word, or those in brackets, separated by `$` or blanks.
    fn list(&self, keyword: &str) -> Vec<String> {
        let is_keyword = |word: &Word| matches!(word, Word::Bare(bare) if bare == keyword);
        let Some(at) = self.words.iter().position(is_keyword) else {
            return Vec::new();
        };
        let mut rest = self.words.iter().skip(at + 1);
        match rest.next() {
            Some(Word::Open) => rest
                .take_while(|word| **word != Word::Close)
                .filter_map(|word| match word {
                    Word::Bare(text) if text == "$" => None,
                    Word::Bare(text) | Word::Quoted(text) => Some(text.clone()),
                    Word::Open | Word::Close => None,
                })
                .collect(),
            Some(Word::Bare(text) | Word::Quoted(text)) => vec![text.clone()],
            _ => Vec::new(),
        }
    }
}

fn words(text: &str) -> Vec<Word> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (word, after) = match first {
            '(' => (Word::Open, rest.get(1..)),
            ')' => (Word::Close, rest.get(1..)),
            '$' => (Word::Bare("$".to_owned()), rest.get(1..)),
            '\'' => {
                let inner = rest.get(1..).unwrap_or_default();
                let end = inner.find('\'').unwrap_or(inner.len());
                let quoted = inner.get(..end).unwrap_or_default();
                (Word::Quoted(quoted.to_owned()), inner.get(end + 1..))
            }
            _ => {
                let ends = |c: char| c.is_whitespace() || "()$'".contains(c);
                let end = rest.find(ends).unwrap_or(rest.len());
                let bare = rest.get(..end).unwrap_or_default();
                (Word::Bare(bare.to_owned()), rest.get(end..))
            }
        };
        words.push(word);
        rest = after.unwrap_or_default().trim_start();
    }
    words
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn schema(attributes: &[&str], classes: &[&str]) -> DirectorySchema {
        let values = |texts: &[&str]| {
            let texts = texts.iter();
            texts
                .map(|text| Bytes::copy_from_slice(text.as_bytes()))
                .collect()
        };
        DirectorySchema::of(&Entry {
            dn: "cn=Subschema".to_owned(),
            attributes: vec![
                ("attributeTypes".to_owned(), values(attributes)),
                ("objectClasses".to_owned(), values(classes)),
            ],
        })
    }

    #[test]
    fn definitions_of_the_field_are_read_and_broken_ones_passed_over() {
        let schema = schema(
            &[
                "( 2.5.4.41 NAME 'name' DESC 'RFC4519: it''s' EQUALITY caseIgnoreMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15{32768} )",
                "( 2.5.4.4 NAME ( 'sn' 'surname' ) SUP name X-ORIGIN 'RFC 4519' )",
                "( 0.9.2342.19200300.100.1.60 NAME 'jpegPhoto' SYNTAX 1.3.6.1.4.1.1466.115.121.1.28 )",
                "( 1.1 NAME 'uidNumber' SYNTAX 1.3.6.1.4.1.1466.115.121.1.27 SINGLE-VALUE )",
                "( 1.2 NAME 'entryUUID' SYNTAX 1.3.6.1.1.16.1 SINGLE-VALUE NO-USER-MODIFICATION USAGE directoryOperation )",
                "( 1.3 NAME 'pwdLastSet' SYNTAX '1.2.840.113556.1.4.906' SINGLE-VALUE )",
                "( 1.4 NAME 'loop' SUP loop )",
                "( 1.5 NAME 'manager' SYNTAX 1.3.6.1.4.1.1466.115.121.1.12 )",
                "broken",
                "(",
                "",
                "( )",
                "( 'x' )",
                "( 1.6 NAME 'open",
            ],
            &[
                "( 2.5.6.0 NAME 'top' ABSTRACT MUST objectClass )",
                "( 2.5.6.6 NAME 'person' SUP top STRUCTURAL MUST ( sn $ cn ) MAY ( userPassword $ uidNumber ) )",
                "( 9.9 NAME 'round' SUP round MAY surname )",
            ],
        );
        let rules = ["( 2.5.6.6 NAME 'other' AUX extra MAY manager )", "("];
        let mut schema = schema;
        schema.add_rules(rules.iter().filter_map(|rule| Definition::parse(rule)));
        let of = |name| schema.attribute(name).unwrap().clone();
        assert_eq!(of("SURNAME").name, "sn");
        assert!(of("sn").multi_valued && of("sn").value_type == ValueType::Text);
        assert_eq!(of("jpegPhoto;x-small").value_type, ValueType::Binary);
        assert!(!of("uidnumber").multi_valued);
        assert!(of("entryUUID").read_only && of("entryUUID").operational);
        assert_eq!(of("pwdLastSet").value_type, ValueType::Integer);
        assert!(of("manager").is_dn);
        assert_eq!(of("loop").value_type, ValueType::Text);
        assert_eq!(of("1.1").name, "uidNumber");
        let attributes = schema.attributes_of(&["Person".to_owned()]);
        let required = |name: &str| attributes.get(name).copied();
        assert_eq!(required("sn"), Some(true));
        assert_eq!(required("objectClass"), Some(true));
        assert_eq!(required("uidNumber"), Some(false));
        // A rule of its structural class adds to it.
        assert_eq!(required("manager"), Some(false));
        assert_eq!(schema.attributes_of(&["round".to_owned()]).len(), 1);
        assert_eq!(of("sn").equality, Equality::Folded);
        assert_eq!(of("manager").equality, Equality::Name);
        assert_eq!(of("jpegPhoto").equality, Equality::Exact);
        // What it inherits counts as its own.
        assert!(of("sn").rules.equality && !of("sn").rules.ordering);
        assert_eq!(of("jpegPhoto").rules, Rules::default());
        assert!(schema.may_have_class("PERSON") && !schema.may_have_class("persn"));
        assert!(schema.may_have_attribute("surname") && !schema.may_have_attribute("srname"));
        assert!(DirectorySchema::default().may_have_class("persn"));
        assert!(schema.is_alias("SURNAME", "sn") && !schema.is_alias("SN", "sn"));
        assert!(DirectorySchema::default().is_alias("userID", "uid"));
        assert!(!schema.is_alias("sn", "name") && !schema.is_alias("unknown", "other"));
    }

    #[test]
    fn values_are_the_same_where_their_rule_says_so() {
        for (rule, syntax, one, other, same) in [
            (Some("caseIgnoreMatch"), "15", "Ada  L", "ada l", true),
            (
                Some("caseExactMatch"),
                "15",
                "/home/Ada",
                "/home/ada",
                false,
            ),
            (None, "50", "+49 30-123", "+4930123", true),
            (Some("numericStringMatch"), "36", "12 34", "1234", true),
            (None, "12", "UID=a, dc=x", "uid=A,dc=X", true),
            (None, "12", "no name", "No name", false),
            (None, "40", "A", "a", false),
        ] {
            let equality = Equality::of(rule, &format!("1.3.6.1.4.1.1466.115.121.1.{syntax}"));
            let equal = equality.key(one.as_bytes()) == equality.key(other.as_bytes());
            assert_eq!(equal, same, "{one} {other}");
        }
    }

    #[test]
    fn no_definition_takes_more_room_than_it_has_itself() {
        // Each name with a copy of the description would be gigabytes.
        let names: String = (0..MOST_NAMES + 1).map(|at| format!("'a{at}' ")).collect();
        let wide = format!("( 1.1 NAME ( {names}) DESC '{}' )", "d".repeat(60_000));
        let long = format!("( 1.2 NAME 'long' DESC '{}' )", "x ".repeat(MOST_BYTES / 2));
        let schema = schema(&[&wide, &long], &[&long]);
        let first = schema.attributes.get("a0").unwrap();
        assert!(Arc::ptr_eq(first, schema.attributes.get("a31").unwrap()));
        assert!(schema.attribute("a32").is_none() && schema.attribute("long").is_none());
        assert!(schema.classes.is_empty());
    }
}
