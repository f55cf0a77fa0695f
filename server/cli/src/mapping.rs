//! `portcullis resource set --map …` and `resource suggest`: the mapping of a resource.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use portcullis_host::text;
use portcullis_proto::gateway::v1::{AttributeSchema, ClassSchema, ObjectClass, Schema, ValueType};
use serde_json::json;

use crate::context::Context;
use crate::error::CliError;
use crate::input::assignment::Setting;
use crate::view::printable;

/// Bytes of a file of rules, at most.
const MAX_FILE: u64 = 256 * 1024;

/// The form of an account that suggestions go by: its attributes, and what resources call them.
const FORM: [(&str, &[&str]); 9] = [
    (
        "given_name",
        &["givenName", "given_name", "first_name", "firstname"],
    ),
    (
        "family_name",
        &["sn", "surname", "family_name", "last_name", "lastname"],
    ),
    ("email", &["mail", "email", "email_address", "e_mail"]),
    ("phone", &["telephoneNumber", "phone", "phone_number"]),
    ("mobile", &["mobile", "mobile_number"]),
    ("title", &["title", "job_title"]),
    ("department", &["department", "departmentNumber"]),
    (
        "employee_number",
        &[
            "employeeNumber",
            "employee_number",
            "employeeID",
            "employee_id",
        ],
    ),
    ("company", &["company", "o"]),
];
/// What is made of that form.
const DERIVED: [(&str, &[&str]); 2] = [
    (
        "{given_name} {family_name}",
        &["cn", "displayName", "display_name", "full_name", "gecos"],
    ),
    ("{name}", &["uid", "sAMAccountName", "login", "username"]),
];

/// The rules of `--map` or `--map-file`, and whether they are all of the mapping.
pub(crate) fn rules(
    map: Vec<Setting>,
    file: Option<&Path>,
) -> Result<(HashMap<String, String>, bool), CliError> {
    if let Some(path) = file {
        return Ok((read(path)?, true));
    }
    let mut rules = HashMap::new();
    for Setting { name, value } in map {
        if rules.insert(name.clone(), value).is_some() {
            return Err(CliError::Usage(format!("--map {name}=… is given twice")));
        }
    }
    Ok((rules, false))
}

fn read(path: &Path) -> Result<HashMap<String, String>, CliError> {
    let content = text::read_file(path, MAX_FILE).map_err(CliError::text(path))?;
    let mut rules = HashMap::new();
    for (number, line) in content.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let wrong = |what: &str| {
            let line = number + 1;
            CliError::Usage(format!("{}, line {line}: {what}", path.display()))
        };
        let (target, template) = line
            .split_once('=')
            .ok_or_else(|| wrong("expected CLASS.NAME = TEMPLATE"))?;
        let (target, template) = (target.trim(), template.trim());
        if template.is_empty() {
            return Err(wrong("the template is empty"));
        }
        if rules
            .insert(target.to_owned(), template.to_owned())
            .is_some()
        {
            return Err(wrong(&format!(
                "`{}` has a rule already",
                printable(target)
            )));
        }
    }
    Ok(rules)
}

/// Prints a mapping that fits the schema, as `--map-file` takes it.
pub(crate) fn suggest(context: &Context, schema: &Schema) -> Result<(), CliError> {
    let mut classes = schema.classes.iter();
    let accounts = classes.find(|class| class.object_class() == ObjectClass::Account);
    let (rules, missing) = accounts.map(suggested).unwrap_or_default();
    if context.json() {
        let body = json!({ "mapping": rules, "missing": missing });
        return context.say("", &body);
    }
    let mut lines: Vec<_> = rules
        .iter()
        .map(|(target, template)| format!("{target} = {template}"))
        .collect();
    if rules.is_empty() {
        lines.push("# the attributes of accounts are called as in the form already".to_owned());
    }
    let asked = missing
        .iter()
        .map(|name| format!("# account.{name} has to be given: by each call, or by a rule here"));
    lines.extend(asked);
    context.line(&printable_lines(&lines))
}

fn printable_lines(lines: &[String]) -> String {
    let lines: Vec<_> = lines.iter().map(|line| printable(line)).collect();
    lines.join("\n")
}

/// Whether it is the name of an entry in a directory, or made of that: only a new one is given it.
fn is_name(attribute: &AttributeSchema) -> bool {
    !attribute.updatable && !attribute.syntax.is_empty()
}

/// The rules for accounts, and the required attributes that none of them makes.
fn suggested(class: &ClassSchema) -> (BTreeMap<String, String>, Vec<String>) {
    let find = |names: &[&str]| {
        let takes =
            |it: &&AttributeSchema| it.creatable && !is_name(it) && it.r#type() == ValueType::Text;
        let mut attributes = class.attributes.iter().filter(takes);
        attributes.find(|it| names.iter().any(|name| it.name.eq_ignore_ascii_case(name)))
    };
    let mut rules = BTreeMap::new();
    for (template, names) in DERIVED {
        for name in names {
            if let Some(found) = find(&[name]) {
                rules.insert(format!("account.{}", found.name), template.to_owned());
            }
        }
    }
    let is_derived = !rules.is_empty();
    for (source, names) in FORM {
        // An attribute that others are made of has a rule of its own, or it would go nowhere else.
        if let Some(found) = find(names).filter(|found| found.name != source || is_derived) {
            rules.insert(format!("account.{}", found.name), format!("{{{source}}}"));
        }
    }
    let missing = class.attributes.iter().filter(|it| {
        let made = rules.contains_key(&format!("account.{}", it.name));
        it.required && it.creatable && !is_name(it) && !made
    });
    let missing = missing.map(|it| it.name.clone()).collect();
    (rules, missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(names: &[&str]) -> ClassSchema {
        let attribute = |name: &&str| AttributeSchema {
            name: (*name).to_owned(),
            r#type: ValueType::Text.into(),
            creatable: true,
            updatable: *name != "uid",
            syntax: "1.3.6.1.4.1.1466.115.121.1.15".to_owned(),
            required: true,
            ..AttributeSchema::default()
        };
        ClassSchema {
            attributes: names.iter().map(attribute).collect(),
            ..ClassSchema::default()
        }
    }

    fn shown(names: &[&str]) -> (Vec<String>, Vec<String>) {
        let (rules, missing) = suggested(&class(names));
        let rules = rules.iter().map(|(target, of)| format!("{target}={of}"));
        (rules.collect(), missing)
    }

    #[test]
    fn one_form_is_fitted_to_what_resources_have() {
        let (rules, missing) = shown(&["cn", "sn", "givenName", "mail", "postalCode", "uid"]);
        assert_eq!(
            rules,
            [
                "account.cn={given_name} {family_name}",
                "account.givenName={given_name}",
                "account.mail={email}",
                "account.sn={family_name}"
            ]
        );
        // `uid` is the name itself, which each call gives.
        assert_eq!(missing, ["postalCode"]);
        let (rules, _) = shown(&["full_name", "shell"]);
        assert_eq!(rules, ["account.full_name={given_name} {family_name}"]);
        // What is called so already needs no rule.
        assert!(shown(&["given_name", "email"]).0.is_empty());
    }
}
