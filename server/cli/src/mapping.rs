//! `portcullis resource set --map …` and `resource suggest`: the mapping of a resource.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use portcullis_host::text;
use portcullis_proto::gateway::v1::{AttributeSchema, ClassSchema, ObjectClass, Schema, ValueType};
use serde_json::json;
use tonic::Code;

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

/// The rules of `--map` or `--map-file`.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    /// Templates by what they make.
    pub(crate) templates: HashMap<String, String>,
    /// They are all of the mapping, and stand in this file.
    file: Option<RuleFile>,
}

/// Where rules stand.
#[derive(Debug)]
struct RuleFile {
    path: PathBuf,
    /// By what they make.
    lines: HashMap<String, usize>,
}

impl Rules {
    /// As the command line has them.
    pub(crate) fn given(map: Vec<Setting>, file: Option<&Path>) -> Result<Self, CliError> {
        if let Some(path) = file {
            return Self::read(path);
        }
        let mut templates = HashMap::new();
        for Setting { name, value } in map {
            if templates.insert(name.clone(), value).is_some() {
                return Err(CliError::Usage(format!("--map {name}=… is given twice")));
            }
        }
        Ok(Self {
            templates,
            file: None,
        })
    }

    /// Whether they take the place of the mapping there is.
    pub(crate) fn replace(&self) -> bool {
        self.file.is_some()
    }

    /// A refusal of the server's with the file, and the line of the rule that it names.
    pub(crate) fn placed(&self, error: CliError) -> CliError {
        let Some(RuleFile { path, lines }) = &self.file else {
            return error;
        };
        match error {
            CliError::Refused { code, message } if code == Code::InvalidArgument => {
                let mut named = message.split('`').skip(1).step_by(2);
                let line = named.find_map(|named| lines.get(named));
                let line = line.map(|line| format!(", line {line}"));
                let file = path.display();
                let message = format!("{file}{}: {message}", line.unwrap_or_default());
                CliError::Refused { code, message }
            }
            error => error,
        }
    }

    fn read(path: &Path) -> Result<Self, CliError> {
        let content = text::read_file(path, MAX_FILE).map_err(CliError::text(path))?;
        let (mut templates, mut lines) = (HashMap::new(), HashMap::new());
        for (number, line) in content.lines().enumerate() {
            let (number, line) = (number + 1, line.trim());
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let wrong =
                |what: &str| CliError::Usage(format!("{}, line {number}: {what}", path.display()));
            let (target, template) = line
                .split_once('=')
                .ok_or_else(|| wrong("expected CLASS.NAME = TEMPLATE"))?;
            let (target, template) = (target.trim(), template.trim());
            if template.is_empty() {
                return Err(wrong("the template is empty"));
            }
            if let Some(before) = lines.insert(target.to_owned(), number) {
                let target = printable(target);
                return Err(wrong(&format!(
                    "`{target}` has a rule already, on line {before}"
                )));
            }
            templates.insert(target.to_owned(), template.to_owned());
        }
        let file = RuleFile {
            path: path.to_owned(),
            lines,
        };
        Ok(Self {
            templates,
            file: Some(file),
        })
    }
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

    #[test]
    fn a_refused_rule_is_told_with_its_file_and_line() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let text = "# ours\naccount.mail = {email}\n\naccount.cn = {given name}\n";
        std::fs::write(&file, text).unwrap();
        let rules = Rules::given(Vec::new(), Some(file.path())).unwrap();
        assert!(rules.replace() && rules.templates.len() == 2);
        let refused = |code, message: &str| {
            let message = message.to_owned();
            rules
                .placed(CliError::Refused { code, message })
                .to_string()
        };
        let path = file.path().display();
        let wrong = "mapping: the template of `account.cn` has `{given name}`";
        assert_eq!(
            refused(Code::InvalidArgument, wrong),
            format!("{path}, line 4: {wrong}")
        );
        let many = "mapping: a resource has at most 128 rules";
        assert_eq!(
            refused(Code::InvalidArgument, many),
            format!("{path}: {many}")
        );
        assert_eq!(refused(Code::NotFound, "`account.cn`"), "`account.cn`");
        std::fs::write(&file, "account.cn = a\naccount.cn = b\n").unwrap();
        let twice = Rules::given(Vec::new(), Some(file.path())).unwrap_err();
        assert!(twice.to_string().contains(", line 2: "), "{twice}");
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
