//! Which account or group a call means.

use super::database::{Account, Database, Group};
use super::files;
use crate::model::{Failure, ObjectRef, Selector};

pub(super) fn find_account<'a>(
    database: &'a Database,
    object: &ObjectRef,
) -> Result<&'a Account, Failure> {
    let missing = || missing(database, files::PASSWD, object);
    match &object.by {
        Selector::Name(name) => database.account(name.as_str()).ok_or_else(missing),
        Selector::Id(id) => {
            let uid = number(id.as_str()).ok_or_else(missing)?;
            let mut found = database.accounts.iter().filter(|a| a.uid == uid);
            let account = found.next().ok_or_else(missing)?;
            match found.next() {
                None => Ok(account),
                Some(other) => Err(Failure::rejected(format!(
                    "the uid {uid} is that of both `{}` and `{}`: name the one that you mean",
                    account.name, other.name
                ))),
            }
        }
    }
}

pub(super) fn find_group<'a>(
    database: &'a Database,
    object: &ObjectRef,
) -> Result<&'a Group, Failure> {
    let missing = || missing(database, files::GROUP, object);
    match &object.by {
        Selector::Name(name) => database.group(name.as_str()).ok_or_else(missing),
        Selector::Id(id) => {
            let gid = number(id.as_str()).ok_or_else(missing)?;
            let mut found = database.groups.iter().filter(|g| g.gid == gid);
            let group = found.next().ok_or_else(missing)?;
            match found.next() {
                None => Ok(group),
                Some(other) => Err(Failure::rejected(format!(
                    "the gid {gid} is that of both `{}` and `{}`: name the one that you mean",
                    group.name, other.name
                ))),
            }
        }
    }
}

/// That it is not there, or that it has a line that makes no sense.
fn missing(database: &Database, file: &'static str, object: &ObjectRef) -> Failure {
    let line = match &object.by {
        Selector::Name(name) => database.faults.of_name(file, name.as_str()),
        Selector::Id(_) => None,
    };
    match line {
        Some(line) => Failure::rejected(line),
        None => Failure::not_found(format!("there is no {}", object.sought())),
    }
}

/// An id as we write it ourselves: `007` and `+7` are no other spellings of 7.
fn number(text: &str) -> Option<u32> {
    text.parse::<u32>()
        .ok()
        .filter(|number| number.to_string() == text)
}
