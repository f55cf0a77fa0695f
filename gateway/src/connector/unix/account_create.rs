//! How an account is made, all of it or nothing.

use std::fs;

use zeroize::Zeroizing;

use super::account_fields::{Arguments, check_groups, day_of, with_mark};
use super::accounts::{exists, inherits_no_ranges, inherits_nothing, view};
use super::asked::{Asked, Wanted};
use super::belongings::{self, Numbers};
use super::database::{DISABLED_DAY, today, under};
use super::expiry::Remembered;
use super::groups::parse_id;
use super::homes::{Empty, Home};
use super::membership::Stopped;
use super::policy::NO_HOME;
use super::text::Text;
use super::tools::{Tool, ToolError};
use super::{Database, Unix, attributes, name, way_back};
use crate::connector::Context;
use crate::model::{CallError, Create, Failure, Object, ObjectClass};

/// An account that is about to be made.
struct New {
    name: String,
    /// For `useradd`.
    arguments: Arguments,
    /// What it then has to be.
    asked: Asked,
    enabled: bool,
    /// An empty folder that stands where its home is to be.
    empty_home: Option<Empty>,
    /// The home directory that is made with it, if one is.
    made_home: Option<String>,
    /// What is stored for its password.
    hash: Option<Zeroizing<String>>,
    /// The expiry day that it gets back when it is enabled.
    remembered: Option<i64>,
}

impl Unix {
    pub(super) async fn create_account(
        &self,
        cx: &Context,
        create: Create,
    ) -> Result<Object, CallError> {
        let (database, new) = self.new_account(cx, create).await?;

        // Nothing has been touched up to here.
        if let (Some(empty), Some(home)) = (&new.empty_home, &new.made_home) {
            empty.remove(home)?;
        }
        let made = self.make_account(cx, &database, &new).await;
        if let (Err(_), Some(empty)) = (&made, &new.empty_home) {
            empty.make_again();
        }
        made
    }

    async fn make_account(
        &self,
        cx: &Context,
        database: &Database,
        new: &New,
    ) -> Result<Object, CallError> {
        let name = new.name.as_str();
        if let Err(error) = self.tool(cx, Tool::UserAdd, &new.arguments.on(name)).await {
            if error.wrote_nothing() || matches!(&error, ToolError::Exited { code: 1 | 10, .. }) {
                let before = view(name)(database);
                let what = format!("account `{name}`");
                let stopped = Stopped { done: 0, error };
                return Err(self
                    .after_failure(stopped, &what, &before, view(name))
                    .await);
            }
            return Err(self.take_back(new, error.into_failure()).await);
        }
        match self.finish_account(cx, new).await {
            Ok(object) => Ok(object),
            Err(failure) => Err(self.take_back(new, failure).await),
        }
    }

    /// Works out all that a create asks for, and refuses what cannot be. With it comes what is
    /// there before.
    async fn new_account(&self, cx: &Context, create: Create) -> Result<(Database, New), Failure> {
        let name = name::check(&create.name)?.to_owned();
        let mut values = attributes::for_create(ObjectClass::Account, create.attributes)?;
        if self.policy.marker {
            values = with_mark(values, &cx.call)?;
        }
        let database = self.read().await?;
        let uid = match values.get("uid").and_then(|values| values.first()) {
            Some(uid) => Some(parse_id(uid)?),
            None => None,
        };
        self.check_unused(&database, &name, uid)?;
        let home = attributes::text(&values, "home").map_or_else(
            || self.policy.home_base.join(&name).display().to_string(),
            str::to_owned,
        );
        let (mut arguments, mut asked) =
            self.arguments(&database, &name, &Text::default(), &values)?;
        if let Some(groups) = attributes::texts(&values, "groups") {
            check_groups(&database, &groups)?;
            arguments.option("-G", groups.join(","));
            for group in groups {
                asked.push(Wanted::In(group.to_owned()));
            }
        }
        if !values.contains_key("home") {
            self.policy.check_home(&database, &name, &home)?;
            arguments.option("-d", home.clone());
            asked.push(Wanted::Home(home.clone()));
        }
        if !values.contains_key("primary_group") {
            own_group_is_free(&database, &name)?;
            arguments.flag("-U");
        }
        let expires = day_of(&values)?.flatten();
        let disabled = (!create.enabled).then_some(DISABLED_DAY);
        // Also where it never expires: the host may have a default of its own.
        let day = disabled.or(expires);
        arguments.option("-e", day.map_or_else(String::new, |day| day.to_string()));
        for floor in self.floors(&database, uid, &home).await? {
            arguments.option("-K", floor);
        }
        let found = self.policy.judge_home(&database, &home, uid)?;
        let makes_home = self.policy.create_home && home != NO_HOME && !matches!(found, Home::Own);
        arguments.flag(if makes_home { "-m" } else { "-M" });
        asked.push(Wanted::Expires(expires));
        let new = New {
            name,
            arguments,
            asked,
            enabled: create.enabled,
            empty_home: match found {
                Home::Empty(empty) if makes_home => Some(empty),
                _ => None,
            },
            made_home: makes_home.then_some(home),
            hash: self.hash(create.password, !create.enabled).await?,
            remembered: expires.filter(|_| !create.enabled),
        };
        Ok((database, new))
    }

    /// Refuses a name that somebody has, and one or a number that the host still knows from before.
    fn check_unused(
        &self,
        database: &Database,
        name: &str,
        uid: Option<u32>,
    ) -> Result<(), Failure> {
        if database.account(name).is_some() {
            return Err(exists(name));
        }
        inherits_nothing(database, name)?;
        belongings::inherits_nothing(&self.policy.prefix, name)?;
        uid.map_or(Ok(()), |uid| inherits_no_ranges(database, uid))
    }

    /// The settings from which number on `useradd` looks for a free one, for the account and for
    /// the group of its own, where none is asked for and some belong to files of accounts that are
    /// gone.
    async fn floors(
        &self,
        database: &Database,
        uid: Option<u32>,
        home: &str,
    ) -> Result<Vec<String>, Failure> {
        let prefix = &self.policy.prefix;
        let mut left = self.ownerless(database).await?;
        let reserved = belongings::reserved(prefix, database)?;
        if let Some(uid) = uid {
            left.extend(reserved);
            belongings::check_number(&left, uid, home)?;
            return Ok(Vec::new());
        }
        let uids = database.accounts.iter().map(|account| account.uid);
        let gids = database.groups.iter().map(|group| group.gid);
        let of_accounts = left.iter().map(|left| left.uid);
        let of_groups = left.iter().map(|left| left.gid);
        let floors = [
            belongings::floor(prefix, Numbers::Accounts, uids, of_accounts, &reserved),
            belongings::floor(prefix, Numbers::Groups, gids, of_groups, &reserved),
        ];
        Ok(floors.into_iter().flatten().collect())
    }

    /// What a new account lacks after `useradd`.
    async fn finish_account(&self, cx: &Context, new: &New) -> Result<Object, Failure> {
        let name = new.name.as_str();
        if let Some(hash) = &new.hash {
            self.store_hash(cx, name, hash)
                .await
                .map_err(ToolError::into_failure)?;
        }
        let database = self.read().await?;
        let account = database
            .account(name)
            .ok_or_else(|| Failure::internal(format!("useradd made no account `{name}`")))?;
        // Which uid it gets by itself is known only now.
        inherits_no_ranges(&database, account.uid)?;
        // Nor, where none was asked for, which shell.
        if self.policy.allowed_shells.is_some() {
            self.policy.check_shell(&account.shell)?;
        }
        Remembered::load(&self.policy.prefix)?.set(account.uid, name, new.remembered)?;
        let mut lacking = self.lacking(&database, name, &new.asked);
        if new
            .hash
            .as_ref()
            .is_some_and(|hash| !account.password.is(hash))
        {
            lacking.push("has another password than was asked for".to_owned());
        }
        if !new.enabled && account.is_enabled(today()) {
            lacking.push("can log in".to_owned());
        }
        if lacking.is_empty() {
            return self.account_object(&database, account);
        }
        Err(Failure::rejected(format!(
            "the programs report no error, but the new account `{name}` {}",
            lacking.join(" and ")
        )))
    }

    /// Removes an account that could not be made whole.
    async fn take_back(&self, new: &New, why: Failure) -> CallError {
        let (name, made_home) = (new.name.as_str(), new.made_home.as_deref());
        let mut arguments = Arguments::default();
        if made_home.is_some() {
            arguments.flag("-r");
        }
        let arguments = arguments.on(name);
        let all: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let result = self.tools.run(Tool::UserDel, &all, b"", way_back()).await;
        let home = made_home.map(|home| under(&self.policy.prefix, home));
        if let Some(home) = &home {
            // userdel leaves a home that does not seem to be the account's, as in a user namespace,
            // which cannot give it to the account. This one was made a moment ago, where nothing
            // was before.
            let _ = fs::remove_dir_all(home);
        }
        let left = match self.read().await {
            Ok(now) => {
                let group = now.group(name).map(|_| "its group");
                let account = now.account(name).map(|_| "the account itself");
                let home = home.filter(|home| fs::symlink_metadata(home).is_ok());
                account.or(group).or(home.map(|_| "its home directory"))
            }
            Err(_) => Some("what is not known"),
        };
        match left {
            None => why.into(),
            Some(left) => CallError::Indeterminate(format!(
                "{}; and of the account `{name}`, half made before that, there remains {left}{}: remove it before you try again",
                why.message,
                result
                    .err()
                    .map_or_else(String::new, |error| format!(" ({error})")),
            )),
        }
    }
}

fn own_group_is_free(database: &Database, name: &str) -> Result<(), Failure> {
    if database.group(name).is_some() {
        return Err(Failure::rejected(format!(
            "there is a group `{name}`, so that the account cannot have one of its own: give it a `primary_group`"
        )));
    }
    Ok(())
}
