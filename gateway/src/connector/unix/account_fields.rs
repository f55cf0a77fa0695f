//! What an account consists of: how its line reads as attributes, and how attributes become
//! arguments of the programs.

use std::time::{Duration, UNIX_EPOCH};

use super::ageing::Ageing;
use super::asked::{Asked, Wanted};
use super::attributes::Values;
use super::database::{DISABLED_DAY, today};
use super::expiry::Remembered;
use super::groups::{attribute, identity, parse_id};
use super::membership::is_number;
use super::text::Text;
use super::{Account, Database, Group, Unix, attributes, marker};
use crate::model::{Attribute, CallId, Failure, Object, ObjectClass, Value};

const DAY: u64 = 86_400;

/// A change as the arguments of `useradd` and `usermod`.
#[derive(Debug, Default)]
pub(super) struct Arguments(Vec<String>);

impl Arguments {
    pub(super) fn option(&mut self, option: &str, value: impl Into<String>) {
        self.0.extend([option.to_owned(), value.into()]);
    }

    pub(super) fn flag(&mut self, option: &str) {
        self.0.push(option.to_owned());
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn on(&self, name: &'_ str) -> Vec<String> {
        let mut all = self.0.clone();
        all.extend(["--".to_owned(), name.to_owned()]);
        all
    }
}

impl Unix {
    /// An account as the model has it.
    pub(super) fn account_object(
        &self,
        database: &Database,
        account: &Account,
    ) -> Result<Object, Failure> {
        let text = |text: &str| vec![Value::Text(text.to_owned())];
        let mut attributes = vec![
            attribute("uid", vec![Value::Integer(account.uid.into())])?,
            attribute("gid", vec![Value::Integer(account.gid.into())])?,
            attribute("home", text(&account.home))?,
            attribute("shell", text(&account.shell))?,
            attribute("locked", vec![Value::Boolean(account.password.is_locked())])?,
            attribute(
                "has_password",
                vec![Value::Boolean(account.password.has_hash())],
            )?,
        ];
        if let Some(group) = database.group_of_gid(account.gid) {
            attributes.push(attribute("primary_group", text(&group.name))?);
        }
        let groups = database.groups_of(&account.name);
        if !groups.is_empty() {
            let values = groups.into_iter().map(|g| Value::Text(g.to_owned()));
            attributes.push(attribute("groups", values.collect())?);
        }
        let comment = marker::unmarked(&account.gecos);
        if !comment.is_empty() {
            attributes.push(attribute("gecos", text(comment))?);
        }
        let hidden = database.hidden_groups_of(&account.name);
        if !hidden.is_empty() {
            let values = hidden.iter().cloned().map(Value::Text);
            attributes.push(attribute("gshadow_groups", values.collect())?);
        }
        let full_name = full_name(&account.gecos);
        if !full_name.is_empty() {
            attributes.push(attribute("full_name", text(full_name))?);
        }
        if let Some(day) = day_when_enabled(database, account) {
            attributes.push(attribute("expires", vec![time(day)])?);
        }
        attributes.extend(ageing(&account.ageing)?);
        Ok(Object {
            identity: identity(ObjectClass::Account, account.uid, &account.name)?,
            enabled: Some(account.is_enabled(today())),
            attributes,
        })
    }

    /// The expiry day that an account has when it is enabled.
    pub(super) fn real_expiry(&self, account: &Account) -> Result<Option<i64>, Failure> {
        match account.expires {
            Some(DISABLED_DAY) => Ok(Remembered::load(&self.policy.prefix)?.day(account)),
            day => Ok(day),
        }
    }

    /// Arguments for `useradd` or `usermod` that give an account these values, but for its expiry
    /// day and its groups, and what it then has to be.
    pub(super) fn arguments(
        &self,
        database: &Database,
        name: &str,
        gecos: &Text,
        values: &Values,
    ) -> Result<(Arguments, Asked), Failure> {
        let mut arguments = Arguments::default();
        let mut asked = Asked::default();
        if let Some(value) = values.get("uid").and_then(|values| values.first()) {
            let uid = parse_id(value)?;
            arguments.option("-u", uid.to_string());
            asked.push(Wanted::Uid(uid));
        }
        if values.contains_key("primary_group") {
            let group = existing_group(database, required(values, "primary_group")?)?;
            no_number(&group.name)?;
            // By its number: no program has to look the name up, wherever it would look.
            arguments.option("-g", group.gid.to_string());
            asked.push(Wanted::Gid(group.gid));
        }
        if values.contains_key("home") {
            let home = required(values, "home")?;
            self.policy.check_home(database, name, home)?;
            arguments.option("-d", home);
            asked.push(Wanted::Home(home.to_owned()));
        }
        if values.contains_key("shell") {
            let shell = required(values, "shell")?;
            self.policy.check_shell(shell)?;
            arguments.option("-s", shell);
            asked.push(Wanted::Shell(shell.to_owned()));
        }
        if let Some(comment) = comment(gecos, values)? {
            asked.push(Wanted::Comment(comment.clone()));
            arguments.option("-c", comment);
        }
        Ok((arguments, asked))
    }
}

/// The same, as it stood when the database was read.
fn day_when_enabled(database: &Database, account: &Account) -> Option<i64> {
    match account.expires {
        Some(DISABLED_DAY) => database.remembered.day(account),
        day => day,
    }
}

/// How the password of an account ages.
fn ageing(ageing: &Ageing) -> Result<Vec<Attribute>, Failure> {
    let today = today();
    let mut attributes = Vec::new();
    if let Some(day) = ageing.last_change {
        attributes.push(attribute("last_change", vec![time(day)])?);
    }
    for (name, days) in [
        ("password_min_days", ageing.min),
        ("password_max_days", ageing.max),
        ("password_warn_days", ageing.warn),
        ("password_inactive_days", ageing.inactive),
    ] {
        if let Some(days) = days {
            attributes.push(attribute(name, vec![Value::Integer(days)])?);
        }
    }
    for (name, truth) in [
        ("password_expired", ageing.must_change(today)),
        ("password_inactive", ageing.is_inactive(today)),
    ] {
        attributes.push(attribute(name, vec![Value::Boolean(truth)])?);
    }
    Ok(attributes)
}

/// Refuses groups that are not there, or that the programs would take for others.
pub(super) fn check_groups(database: &Database, groups: &[&str]) -> Result<(), Failure> {
    groups.iter().try_for_each(|group| {
        existing_group(database, group)?;
        no_number(group)
    })
}

fn existing_group<'a>(database: &'a Database, name: &str) -> Result<&'a Group, Failure> {
    database
        .group(name)
        .ok_or_else(|| Failure::invalid(format!("there is no group `{name}`")))
}

/// Refuses a group whose name is a number, as other programs make them: shadow-utils would take it
/// for the id of another.
pub(super) fn no_number(group: &str) -> Result<(), Failure> {
    if !is_number(group) {
        return Ok(());
    }
    Err(Failure::rejected(format!(
        "the name of group `{group}` is a number, which the programs would take for a group's id: rename it first"
    )))
}

fn required<'a>(values: &'a Values, name: &str) -> Result<&'a str, Failure> {
    attributes::text(values, name).ok_or_else(|| {
        Failure::invalid(format!(
            "attribute `{name}` of an account cannot be removed"
        ))
    })
}

/// The values of a new account with its comment field marked as made by a call.
pub(super) fn with_mark(mut values: Values, call: &CallId) -> Result<Values, Failure> {
    let comment = comment(&Text::default(), &values)?.unwrap_or_default();
    values.remove("full_name");
    let marked = marker::marked(&comment, call)?;
    values.insert("gecos", vec![Value::Text(marked)]);
    Ok(values)
}

/// The comment field that the values ask for; `None`: as it was.
fn comment(before: &Text, values: &Values) -> Result<Option<String>, Failure> {
    let whole = values.contains_key("gecos");
    let first = values.contains_key("full_name");
    let text = |name| attributes::text(values, name).unwrap_or_default();
    let comment = match (whole, first) {
        (false, false) => return Ok(None),
        (true, true) => {
            return Err(Failure::invalid(
                "`full_name` is the first part of `gecos`: give one of them, not both",
            ));
        }
        (true, false) => text("gecos").to_owned(),
        (false, true) if text("full_name").contains(',') => {
            return Err(Failure::invalid(
                "`full_name` holds a comma, which ends it in the account files",
            ));
        }
        (false, true) => {
            let rest = before.behind_comma().ok_or_else(|| {
                Failure::rejected(
                    "the comment field holds bytes behind its first comma that are no UTF-8, and would not stay as they are: give the whole of it, `gecos`",
                )
            })?;
            match rest {
                "" => text("full_name").to_owned(),
                rest => format!("{},{rest}", text("full_name")),
            }
        }
    };
    if comment.len() > 512 || comment.contains(':') || comment.chars().any(char::is_control) {
        return Err(Failure::invalid(
            "a comment field has at most 512 bytes, no colon and no control characters",
        ));
    }
    Ok(Some(comment))
}

fn full_name(gecos: &str) -> &str {
    gecos.split(',').next().unwrap_or_default()
}

fn time(day: i64) -> Value {
    let seconds = u64::try_from(day).unwrap_or(0).saturating_mul(DAY);
    Value::Time(UNIX_EPOCH + Duration::from_secs(seconds))
}

/// The expiry day that the values ask for: `None`: as it was; `Some(None)`: none any more.
pub(super) fn day_of(values: &Values) -> Result<Option<Option<i64>>, Failure> {
    let Some(given) = values.get("expires") else {
        return Ok(None);
    };
    let Some(Value::Time(time)) = given.first() else {
        return Ok(Some(None));
    };
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let day = i64::try_from(since.as_secs() / DAY).unwrap_or(i64::MAX);
    // The first two days of 1970 mean `never` and `disabled` to the programs; the last are beyond
    // what they can write.
    if !(2..=2_932_000).contains(&day) {
        return Err(Failure::invalid(
            "`expires` lies before 1970-01-03 or after the year 9990; to keep an account from logging in, disable it",
        ));
    }
    Ok(Some(Some(day)))
}
