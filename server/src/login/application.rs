//! To what users log in, and by which modules: what is stored, over what the program brings.

use std::collections::BTreeMap;
use std::time::Duration;

use super::flags::Flag;
use super::limits::{CEILING, LONGEST, Limits};
use super::rule::{OrderError, Rule, RuleError, check_order};
use crate::repository::{ApplicationRow, GroupRow, SetupRows};

/// The application of programs and of the command.
pub const API: &str = "api";
/// Those that are always there.
const BUILT_IN: [&str; 3] = [API, "console", "scim"];
/// Those that cannot be disabled: administrators have to get in.
const NEVER_DISABLED: [&str; 2] = [API, "console"];
/// The group that is always there: the password of a user.
const PASSWORD: &str = "password";
/// Modules of a group, and groups of an application, at most.
const MAX_LISTED: usize = 16;
/// Bytes of a message at most.
const MAX_MESSAGE: usize = 1_024;

/// What users log in to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Application {
    /// Its name.
    pub name: String,
    /// How long its sessions last.
    pub limits: Limits,
    /// Whether a user has one session at a time.
    pub single_session: bool,
    /// What whoever is kept out is told; `None`: nobody is.
    pub disabled: Option<String>,
    /// The groups in their order, each with its rule.
    pub groups: Vec<(Group, Option<Rule>)>,
}

/// Modules that are asked together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// They, in their order.
    pub modules: Vec<Module>,
}

/// A module of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Module {
    /// What it does.
    pub kind: Kind,
    /// What it is to a log-in.
    pub flag: Flag,
}

/// What a module does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The password of a user of the identity system.
    Password,
}

/// Why it is not to be as somebody wants it. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SetupError {
    /// There is no such application.
    #[error(
        "there is no log-in application `{0}`: `portcullis login app list` shows those there are"
    )]
    NoApplication(String),
    /// There is no such group.
    #[error("there is no log-in group `{0}`: `portcullis login group list` shows those there are")]
    NoGroup(String),
    /// One of that name is there.
    #[error("there is already a log-in application `{0}`: choose another name, or change that one")]
    ApplicationExists(String),
    /// It is always there.
    #[error("`{0}` is built in, and cannot be removed")]
    BuiltIn(String),
    /// Administrators have to get in.
    #[error("application `{0}` cannot be disabled: administrators would be locked out")]
    NeverDisabled(String),
    /// It is in use.
    #[error("group `{group}` is asked by application {}: take it out there first (`portcullis login app set`)", .by.join(", "))]
    GroupInUse {
        /// The group.
        group: String,
        /// By what.
        by: Vec<String>,
    },
    /// No more are made.
    #[error("there are as many log-in applications or groups as there may be: remove one first")]
    TooMany,
    /// A text is no module.
    #[error("`{0}` is no module: give `password:` and required, requisite, sufficient or optional")]
    Module(String),
    /// There is none, there are too many, or one stands there twice.
    #[error("give 1 to {MAX_LISTED} {0}, each once")]
    Number(&'static str),
    /// A text is too long, or not on one line.
    #[error("a message has at most {MAX_MESSAGE} bytes, on one line")]
    Message,
    /// A limit makes no sense.
    #[error(
        "a session may be idle from 1 s to 30 min, and lasts from 1 s to 12 h, the ceilings of the site"
    )]
    Limits,
    /// A rule makes no sense.
    #[error(transparent)]
    Rule(#[from] RuleError),
    /// The groups of an application cannot be asked in that order.
    #[error("application `{application}`: {source}")]
    Order {
        /// The application.
        application: String,
        /// Why.
        source: OrderError,
    },
}

/// What is stored, with what the program brings where nothing is.
///
/// # Errors
/// [`SetupError`]: it does not fit together.
pub fn applications(rows: &SetupRows) -> Result<BTreeMap<String, Application>, SetupError> {
    let rows = with_built_in(rows.clone());
    let mut all = BTreeMap::new();
    for (name, row) in &rows.applications {
        all.insert(name.clone(), application(name, row, &rows.groups)?);
    }
    Ok(all)
}

/// The same as rows.
pub fn with_built_in(mut rows: SetupRows) -> SetupRows {
    let group = || GroupRow {
        rule: String::new(),
        modules: format!("{PASSWORD}:{}", Flag::Required),
    };
    rows.groups.entry(PASSWORD.to_owned()).or_insert_with(group);
    for name in BUILT_IN {
        let row = rows.applications.entry(name.to_owned());
        row.or_insert_with(new_application);
    }
    rows
}

/// An application as it is where nobody says otherwise.
pub fn new_application() -> ApplicationRow {
    let limits = Limits::within(CEILING, LONGEST);
    ApplicationRow {
        idle_ms: limits.idle_ms,
        absolute_ms: limits.absolute_ms,
        single_session: false,
        disabled: false,
        message: String::new(),
        groups: PASSWORD.to_owned(),
    }
}

/// Takes an application away.
///
/// # Errors
/// [`SetupError`].
pub fn remove_application(rows: &mut SetupRows, name: &str) -> Result<(), SetupError> {
    if BUILT_IN.contains(&name) {
        return Err(SetupError::BuiltIn(name.to_owned()));
    }
    let removed = rows.applications.remove(name);
    removed
        .map(drop)
        .ok_or_else(|| SetupError::NoApplication(name.to_owned()))
}

/// Takes a group away that no application asks.
///
/// # Errors
/// [`SetupError`].
pub fn remove_group(rows: &mut SetupRows, name: &str) -> Result<(), SetupError> {
    if name == PASSWORD {
        return Err(SetupError::BuiltIn(name.to_owned()));
    }
    if !rows.groups.contains_key(name) {
        return Err(SetupError::NoGroup(name.to_owned()));
    }
    let by = used_by(rows, name);
    if !by.is_empty() {
        let group = name.to_owned();
        return Err(SetupError::GroupInUse { group, by });
    }
    rows.groups.remove(name);
    Ok(())
}

/// The applications that ask a group.
pub fn used_by(rows: &SetupRows, group: &str) -> Vec<String> {
    let asks = |row: &ApplicationRow| row.groups.split(' ').any(|one| one == group);
    let all = rows.applications.iter().filter(|(_, row)| asks(row));
    all.map(|(name, _)| name.clone()).collect()
}

fn application(
    name: &str,
    row: &ApplicationRow,
    groups: &BTreeMap<String, GroupRow>,
) -> Result<Application, SetupError> {
    let idle = Duration::from_millis(row.idle_ms);
    let absolute = Duration::from_millis(row.absolute_ms);
    let sound = |one: Duration, most: Duration| (Duration::from_secs(1)..=most).contains(&one);
    if !sound(idle, CEILING) || !sound(absolute, LONGEST) {
        return Err(SetupError::Limits);
    }
    if row.disabled && NEVER_DISABLED.contains(&name) {
        return Err(SetupError::NeverDisabled(name.to_owned()));
    }
    if row.message.len() > MAX_MESSAGE || row.message.chars().any(char::is_control) {
        return Err(SetupError::Message);
    }
    let mut asked = Vec::new();
    for group in listed(&row.groups, "groups")? {
        let no_group = || SetupError::NoGroup(group.to_owned());
        let found = groups.get(group).ok_or_else(no_group)?;
        asked.push(group_of(group, found)?);
    }
    let have_rules: Vec<_> = asked.iter().map(|(_, rule)| rule.is_some()).collect();
    check_order(&have_rules).map_err(|source| SetupError::Order {
        application: name.to_owned(),
        source,
    })?;
    Ok(Application {
        name: name.to_owned(),
        limits: Limits::within(idle, absolute),
        single_session: row.single_session,
        disabled: row.disabled.then(|| row.message.clone()),
        groups: asked,
    })
}

/// A group, with its rule.
///
/// # Errors
/// [`SetupError`]: it makes no sense.
pub fn group_of(name: &str, row: &GroupRow) -> Result<(Group, Option<Rule>), SetupError> {
    let rule = match row.rule.as_str() {
        "" => None,
        rule => Some(rule.parse()?),
    };
    let modules = listed(&row.modules, "modules")?;
    let modules: Result<_, _> = modules.into_iter().map(module).collect();
    let group = Group {
        name: name.to_owned(),
        modules: modules?,
    };
    Ok((group, rule))
}

fn listed<'a>(text: &'a str, what: &'static str) -> Result<Vec<&'a str>, SetupError> {
    let all: Vec<_> = text.split_ascii_whitespace().collect();
    let twice = (1..all.len()).any(|at| all[..at].contains(&all[at]));
    match (1..=MAX_LISTED).contains(&all.len()) && !twice {
        true => Ok(all),
        false => Err(SetupError::Number(what)),
    }
}

fn module(text: &str) -> Result<Module, SetupError> {
    let read = || {
        let (kind, flag) = text.split_once(':')?;
        let flag = Flag::ALL.into_iter().find(|one| one.name() == flag)?;
        let kind = (kind == Kind::Password.name()).then_some(Kind::Password)?;
        Some(Module { kind, flag })
    };
    read().ok_or_else(|| SetupError::Module(text.chars().take(64).collect()))
}

impl Kind {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Password => PASSWORD,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(groups: &[(&str, &str, &str)], asked: &str) -> SetupRows {
        let mut rows = SetupRows::default();
        for (name, rule, modules) in groups {
            let group = GroupRow {
                rule: (*rule).to_owned(),
                modules: (*modules).to_owned(),
            };
            rows.groups.insert((*name).to_owned(), group);
        }
        let hr = ApplicationRow {
            groups: asked.to_owned(),
            ..new_application()
        };
        rows.applications.insert("hr".to_owned(), hr);
        rows
    }

    #[test]
    fn where_nothing_is_stored_each_application_asks_for_the_password() {
        let all = applications(&SetupRows::default()).unwrap();
        assert_eq!(all.keys().collect::<Vec<_>>(), ["api", "console", "scim"]);
        let api = &all["api"];
        assert_eq!(api.groups.len(), 1);
        assert_eq!(api.groups[0].0.modules[0].flag, Flag::Required);
        assert_eq!(api.limits.idle_ms, 1_800_000);
        assert_eq!((api.single_session, &api.disabled), (false, &None));
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        let inside = ("inside", "host", "password:requisite");
        let always = ("always", "", "password:sufficient password:optional");
        let sound = rows(&[inside, always], "inside always");
        let hr = &applications(&sound).unwrap()["hr"];
        assert_eq!(hr.groups[1].0.modules.len(), 2);
        for (groups, asked) in [
            (&[inside, always][..], "always inside"),
            (&[inside, always], "inside always password"),
            (&[inside], "inside inside"),
            (&[inside], "inside other"),
            (&[inside], ""),
            (&[("inside", "hosts", "password:required")], "inside"),
            (&[("inside", "host", "password")], "inside"),
            (&[("inside", "host", "ldap:required")], "inside"),
            (&[("inside", "host", "")], "inside"),
        ] {
            assert!(
                applications(&rows(groups, asked)).is_err(),
                "{groups:?} {asked}"
            );
        }
        for (idle_ms, absolute_ms) in [
            (0, 1_000),
            (1_000, 0),
            (1_800_001, 1_000),
            (1_000, u64::MAX),
        ] {
            let mut rows = sound.clone();
            let hr = ApplicationRow {
                idle_ms,
                absolute_ms,
                ..new_application()
            };
            rows.applications.insert("hr".to_owned(), hr);
            assert_eq!(applications(&rows), Err(SetupError::Limits));
        }
    }

    #[test]
    fn administrators_always_get_in_and_what_is_in_use_stays() {
        for (name, may) in [
            ("api", false),
            ("console", false),
            ("scim", true),
            ("hr", true),
        ] {
            let mut rows = SetupRows::default();
            let disabled = ApplicationRow {
                disabled: true,
                ..new_application()
            };
            rows.applications.insert(name.to_owned(), disabled);
            assert_eq!(applications(&rows).is_ok(), may, "{name}");
            assert_eq!(remove_application(&mut rows, name).is_ok(), name == "hr");
        }
        let mut rows = rows(&[("inside", "host", "password:required")], "inside");
        let refused = remove_group(&mut rows, "inside").unwrap_err();
        assert!(refused.to_string().contains("application hr"), "{refused}");
        remove_application(&mut rows, "hr").unwrap();
        remove_group(&mut rows, "inside").unwrap();
        assert!(remove_group(&mut rows, "inside").is_err());
        assert!(remove_group(&mut rows, "password").is_err());
    }
}
