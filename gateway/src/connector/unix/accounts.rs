//! The verbs on accounts, but for create.

use std::fs;

use super::account_fields::{Arguments, check_groups, day_of, no_number};
use super::asked::{Asked, Wanted, differs};
use super::attributes::Values;
use super::database::{DISABLED_DAY, under};
use super::expiry::Remembered;
use super::files;
use super::homes::Home;
use super::membership::{Difference, Stopped, pieces};
use super::tools::{Tool, ToolError};
use super::{
    Account, Database, Group, Unix, attributes, belongings, blocking, find_account, subordinate,
    way_back,
};
use crate::connector::Context;
use crate::model::{CallError, Failure, FailureKind, Object, ObjectRef, Update};

/// All that a change of an account may touch.
type View = (Option<Account>, Vec<String>, Option<Group>);

pub(super) fn view(name: &str) -> impl Fn(&Database) -> View {
    move |database| {
        let groups = database.groups_of(name);
        (
            database.account(name).cloned(),
            groups.into_iter().map(str::to_owned).collect(),
            database.group(name).cloned(),
        )
    }
}

impl Unix {
    pub(super) async fn update_account(
        &self,
        cx: &Context,
        update: &Update,
    ) -> Result<Object, CallError> {
        let database = self.read().await?;
        let account = find_account(&database, &update.object)?;
        let current = self.account_object(&database, account)?;
        let values = attributes::for_update(&current, &update.modifications)?;
        let (mut arguments, mut asked) =
            self.arguments(&database, &account.name, &account.gecos, &values)?;
        if let Some(home) = attributes::text(&values, "home") {
            let found = self.policy.judge_home(&database, home, Some(account.uid))?;
            if matches!(found, Home::Empty(_)) {
                return Err(Failure::rejected(format!(
                    "`{home}` is there already and belongs to the uid 0: move it away, or give it to the account first"
                ))
                .into());
            }
        }
        let mut remembered = None;
        if let Some(day) = day_of(&values)? {
            asked.push(Wanted::Expires(day));
            if account.expires == Some(DISABLED_DAY) {
                // To set it now would let the account in again.
                remembered = Some(day);
            } else {
                arguments.option("-e", day.map_or_else(String::new, |day| day.to_string()));
            }
        }
        let runs = with_groups(&database, account, arguments, &values, &mut asked)?;
        self.change(cx, &database, &account.name, &runs, &asked)
            .await?;
        if let Some(day) = remembered {
            let done = Remembered::load(&self.policy.prefix)
                .and_then(|mut all| all.set(account.uid, &account.name, day));
            done.map_err(|failure| partly(&account.name, runs.is_empty(), failure))?;
        }
        let name = account.name.as_str();
        self.confirm(&database, (name, name), &asked).await
    }

    pub(super) async fn delete_account(
        &self,
        cx: &Context,
        target: &ObjectRef,
    ) -> Result<Option<String>, CallError> {
        let database = self.read().await?;
        let account = find_account(&database, target)?;
        let mut arguments = Arguments::default();
        let mut kept = Vec::new();
        if self.policy.remove_home {
            match self.policy.may_remove_home(&database, account) {
                Ok(true) => arguments.flag("-r"),
                Ok(false) => {}
                Err(why) => kept.push(why),
            }
        }
        let removes_home = !arguments.is_empty();
        let result = self
            .tool(cx, Tool::UserDel, &arguments.on(&account.name))
            .await;
        let now = self.read().await;
        let gone = now
            .as_ref()
            .is_ok_and(|now| now.account(&account.name).is_none());
        let what = format!("account `{}`", account.name);
        match result {
            Err(error) if !gone => {
                let view = view(&account.name);
                let before = view(&database);
                let stopped = Stopped { done: 0, error };
                return Err(self.after_failure(stopped, &what, &before, view).await);
            }
            Ok(_) if !gone => {
                let view = view(&account.name);
                let same = now.is_ok_and(|now| view(&now) == view(&database));
                return Err(differs(&what, same, &["is still there".to_owned()]));
            }
            Err(error) => kept.push(format!("the account is gone, but not all of it: {error}")),
            Ok(said) => {
                if removes_home && !self.home_is_free(&account.home) {
                    kept.push(format!("the home directory `{}` was left", account.home));
                }
                if !said.is_empty() {
                    kept.push(format!("userdel says: {said}"));
                }
            }
        }
        kept.extend(self.remove_belongings(cx, &database, account).await);
        // A day that nobody asks for any more does no harm where it stays.
        if let Err(failure) = Remembered::load(&self.policy.prefix)
            .and_then(|mut all| all.set(account.uid, &account.name, None))
        {
            tracing::warn!(
                account = account.name,
                failure.message,
                "the remembered expiry day of a deleted account stays"
            );
        }
        Ok((!kept.is_empty()).then(|| kept.join("; ")))
    }

    /// Removes what the host keeps for an account that is gone, and answers what stays.
    async fn remove_belongings(
        &self,
        cx: &Context,
        before: &Database,
        account: &Account,
    ) -> Vec<String> {
        let (name, number) = (account.name.clone(), account.uid);
        let holders = before.accounts.iter().filter(|a| a.uid == number);
        // What belongs to the number alone may be another's of the same number.
        let uid = (holders.count() == 1).then_some(number);
        let (prefix, deadline) = (self.policy.prefix.clone(), cx.deadline);
        let removed = blocking(move || {
            let mut stays = belongings::remove(&prefix, &name, uid);
            if let Err(failure) = subordinate::remove(&prefix, &name, uid, deadline) {
                stays.push(format!(
                    "its subordinate ids were left: {}",
                    failure.message
                ));
            }
            Ok(stays)
        });
        let removed = removed.await;
        removed.unwrap_or_else(|failure| vec![failure.message])
    }

    /// Gives what the host keeps by the account's name the name that the account has by now.
    async fn rename_belongings(
        &self,
        cx: &Context,
        name: &str,
        new_name: &str,
    ) -> Result<(), CallError> {
        let (old, new) = (name.to_owned(), new_name.to_owned());
        let (prefix, deadline) = (self.policy.prefix.clone(), cx.deadline);
        let followed = blocking(move || {
            subordinate::rename(&prefix, &old, &new, deadline)?;
            belongings::rename(&prefix, &old, &new).map_err(Failure::rejected)
        });
        followed.await.map_err(|failure| {
            CallError::Indeterminate(format!(
                "account `{name}` is `{new_name}` now, but not all that the host keeps for it followed: {}; give it the new name by hand",
                failure.message
            ))
        })
    }

    pub(super) async fn rename_account(
        &self,
        cx: &Context,
        target: &ObjectRef,
        new_name: &str,
    ) -> Result<Object, CallError> {
        let database = self.read().await?;
        let account = find_account(&database, target)?;
        let old_name = account.name.as_str();
        if old_name == new_name {
            return Ok(self.account_object(&database, account)?);
        }
        check_new_name(&database, account, new_name)?;
        belongings::inherits_nothing(&self.policy.prefix, new_name)?;
        let day = Remembered::load(&self.policy.prefix)?.day(account);
        let arguments = renaming(old_name, new_name);
        let mut asked = Asked::default();
        self.change(cx, &database, old_name, &[arguments], &asked)
            .await?;
        let rest = self.rename_rest(cx, &database, account, new_name, day);
        if let Err(failure) = rest.await {
            return Err(self
                .rename_back(&database, old_name, new_name, failure)
                .await);
        }
        self.rename_belongings(cx, old_name, new_name).await?;
        asked.push(Wanted::Uid(account.uid));
        for group in database.groups_of(old_name) {
            asked.push(Wanted::In(
                match own_group(&database, account) && group == old_name {
                    true => new_name.to_owned(),
                    false => group.to_owned(),
                },
            ));
        }
        self.confirm(&database, (old_name, new_name), &asked).await
    }

    /// Gives an account's own group and its remembered expiry day the name that the account has by
    /// now.
    async fn rename_rest(
        &self,
        cx: &Context,
        database: &Database,
        account: &Account,
        new_name: &str,
        day: Option<i64>,
    ) -> Result<(), Failure> {
        if own_group(database, account) {
            let arguments = ["-n", new_name, "--", &account.name];
            self.tools
                .run(Tool::GroupMod, &arguments, b"", cx.deadline)
                .await
                .map(drop)
                .map_err(ToolError::into_failure)?;
        }
        match day {
            Some(day) => {
                Remembered::load(&self.policy.prefix)?.set(account.uid, new_name, Some(day))
            }
            None => Ok(()),
        }
    }

    /// Gives an account its old name back, after a rename that got no further.
    async fn rename_back(
        &self,
        before: &Database,
        old_name: &str,
        new_name: &str,
        why: Failure,
    ) -> CallError {
        let arguments = renaming(new_name, old_name);
        let all: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let back = self.tools.run(Tool::UserMod, &all, b"", way_back()).await;
        let restored = self.read().await;
        match (back, restored) {
            (Ok(_), Ok(now)) if view(old_name)(&now) == view(old_name)(before) => why.into(),
            _ => CallError::Indeterminate(format!(
                "{}; the account may be named `{new_name}` and its group still `{old_name}`: look at both",
                why.message
            )),
        }
    }

    pub(super) async fn tool(
        &self,
        cx: &Context,
        tool: Tool,
        arguments: &[String],
    ) -> Result<String, ToolError> {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        self.tools.run(tool, &arguments, b"", cx.deadline).await
    }

    /// Runs usermod on an account, once or several times; where it fails, looks whether anything
    /// changed, and what is lacking.
    pub(super) async fn change(
        &self,
        cx: &Context,
        before: &Database,
        name: &str,
        runs: &[Vec<String>],
        asked: &Asked,
    ) -> Result<(), CallError> {
        for (done, arguments) in runs.iter().enumerate() {
            let result = match (self.tool(cx, Tool::UserMod, arguments).await, &**arguments) {
                // A usermod that does not know `-r`.
                (Err(error), [option, groups, ..]) if error.is_usage() && option == "-rG" => {
                    self.leave_each(cx, groups, name).await
                }
                (result, _) => result.map(drop),
            };
            if let Err(error) = result {
                let mut what = format!("account `{name}`");
                if let Ok(now) = self.read().await
                    && let Some(come_to) = self.come_to(before, &now, name, asked)
                {
                    what = format!("{what}, which {come_to},");
                }
                let stopped = Stopped { done, error };
                return Err(self
                    .after_failure(stopped, &what, &view(name)(before), view(name))
                    .await);
            }
        }
        Ok(())
    }

    async fn leave_each(&self, cx: &Context, groups: &str, name: &str) -> Result<(), ToolError> {
        for group in groups.split(',') {
            self.leave(cx, group, name, false).await?;
        }
        Ok(())
    }

    pub(super) fn home_is_free(&self, home: &str) -> bool {
        fs::symlink_metadata(under(&self.policy.prefix, home)).is_err()
    }
}

/// The runs of usermod that give an account these arguments, and the groups that the values ask
/// for: one at the most, but for very many groups, that gives, and one that takes away.
fn with_groups(
    database: &Database,
    account: &Account,
    mut arguments: Arguments,
    values: &Values,
    asked: &mut Asked,
) -> Result<Vec<Vec<String>>, Failure> {
    let name = account.name.as_str();
    let wanted = attributes::texts(values, "groups");
    let difference = wanted.map_or_else(Difference::default, |wanted| {
        Difference::between(database.groups_of(name), wanted)
    });
    check_groups(database, &difference.join)?;
    difference
        .leave
        .iter()
        .try_for_each(|group| no_number(group))?;
    let mut runs = Vec::new();
    for groups in pieces(&difference.join) {
        arguments.option("-aG", groups);
        runs.push(std::mem::take(&mut arguments).on(name));
    }
    if !arguments.is_empty() {
        runs.push(arguments.on(name));
    }
    for groups in pieces(&difference.leave) {
        let mut arguments = Arguments::default();
        arguments.option("-rG", groups);
        runs.push(arguments.on(name));
    }
    for group in difference.join {
        asked.push(Wanted::In(group.to_owned()));
    }
    for group in difference.leave {
        asked.push(Wanted::NotIn(group.to_owned()));
    }
    Ok(runs)
}

/// Arguments of `usermod` that give an account another name.
fn renaming(old_name: &str, new_name: &str) -> Vec<String> {
    let mut arguments = Arguments::default();
    arguments.option("-l", new_name);
    arguments.on(old_name)
}

/// Refuses a name that is taken, also by a group where the account's own group is renamed with it.
fn check_new_name(database: &Database, account: &Account, new_name: &str) -> Result<(), Failure> {
    if database.account(new_name).is_some() {
        return Err(exists(new_name));
    }
    inherits_nothing(database, new_name)?;
    if own_group(database, account) && database.group(new_name).is_some() {
        return Err(Failure::rejected(format!(
            "the account's own group is renamed with it, and there is a group `{new_name}` already"
        )));
    }
    Ok(())
}

/// Refuses a name that the account files mention although nobody has it: who takes it would be in a
/// group at once, or own another's range of ids, and no guard rail was asked.
pub(super) fn inherits_nothing(database: &Database, name: &str) -> Result<(), Failure> {
    let refused = |what: String, place: &str| {
        Err(Failure::rejected(format!(
            "{what} already, although there is no such account: take it out of {place} first"
        )))
    };
    if let Some(group) = database.groups_of(name).first() {
        return refused(
            format!("group `{group}` lists a member `{name}`"),
            "that group",
        );
    }
    if let Some(group) = database.hidden_groups_of(name).first() {
        let what = format!(
            "{} lists `{name}` as a member or administrator of group `{group}`",
            files::GSHADOW
        );
        return refused(what, "that group");
    }
    if let Some(file) = database.owns_ranges_in(name) {
        return refused(format!("{file} has a range of ids for `{name}`"), file);
    }
    match database.faults.of_name(files::PASSWD, name) {
        Some(line) => Err(Failure::rejected(line)),
        None => Ok(()),
    }
}

/// Refuses a uid that owns ranges of ids, although a new account is to have it.
pub(super) fn inherits_no_ranges(database: &Database, uid: u32) -> Result<(), Failure> {
    match database.owns_ranges_in(&uid.to_string()) {
        Some(file) => Err(Failure::rejected(format!(
            "{file} has a range of ids for the uid {uid} already, although the account is new: take it out of there first"
        ))),
        None => Ok(()),
    }
}

/// Whether an account's primary group is its own: of its name, and nobody else's.
fn own_group(database: &Database, account: &Account) -> bool {
    let users = database.accounts.iter().filter(|a| a.gid == account.gid);
    users.count() == 1
        && database
            .group(&account.name)
            .is_some_and(|group| group.gid == account.gid)
}

pub(super) fn exists(name: &str) -> Failure {
    Failure::new(
        FailureKind::AlreadyExists,
        format!("there is an account `{name}` already"),
    )
}

fn partly(name: &str, nothing_else: bool, failure: Failure) -> CallError {
    if nothing_else {
        return failure.into();
    }
    CallError::Indeterminate(format!(
        "{}; the other attributes of account `{name}` were changed",
        failure.message
    ))
}
