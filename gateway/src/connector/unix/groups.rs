//! The verbs on groups.

use std::collections::HashSet;

use super::asked::{differs, members_lacking};
use super::belongings::{self, Numbers};
use super::membership::{Difference, Stopped};
use super::tools::Tool;
use super::{Database, Group, Unix, attributes, find_group, name, rights, way_back};
use crate::connector::Context;
use crate::model::{
    Attribute, AttributeName, CallError, Create, Failure, Identity, Object, ObjectClass, ObjectId,
    ObjectName, ObjectRef, Operation, Update, Value,
};

/// A group as the model has it.
pub(super) fn object(group: &Group) -> Result<Object, Failure> {
    let mut members = group.members.clone();
    members.sort_unstable();
    members.dedup();
    let mut attributes = vec![attribute("gid", vec![Value::Integer(group.gid.into())])?];
    if !members.is_empty() {
        let values = members.into_iter().map(Value::Text).collect();
        attributes.push(attribute("members", values)?);
    }
    for (name, accounts) in [
        ("gshadow_members", &group.hidden_members),
        ("administrators", &group.administrators),
    ] {
        if !accounts.is_empty() {
            let values = accounts.iter().cloned().map(Value::Text).collect();
            attributes.push(attribute(name, values)?);
        }
    }
    Ok(Object {
        identity: identity(ObjectClass::Group, group.gid, &group.name)?,
        enabled: None,
        attributes,
    })
}

pub(super) fn identity(class: ObjectClass, id: u32, name: &str) -> Result<Identity, Failure> {
    let odd = |_| Failure::internal(format!("the {class} with the id {id} has an odd name"));
    Ok(Identity {
        class,
        id: ObjectId::new(id.to_string()).map_err(odd)?,
        name: ObjectName::new(name).map_err(odd)?,
    })
}

pub(super) fn attribute(name: &str, values: Vec<Value>) -> Result<Attribute, Failure> {
    Ok(Attribute {
        name: AttributeName::new(name).map_err(|error| Failure::internal(error.to_string()))?,
        values,
    })
}

impl Unix {
    pub(super) async fn create_group(
        &self,
        cx: &Context,
        create: Create,
    ) -> Result<Object, CallError> {
        let name = name::check(&create.name)?.to_owned();
        let values = attributes::for_create(ObjectClass::Group, create.attributes)?;
        let members = attributes::texts(&values, "members").unwrap_or_default();
        let database = self.read().await?;
        if database.group(&name).is_some() {
            return Err(exists(&name).into());
        }
        check_members(&database, &members)?;
        Self::check_runs(&name, &Difference::default(), Some(&members))?;
        let gid = match values.get("gid").and_then(|values| values.first()) {
            Some(value) => Some(parse_id(value)?),
            None => None,
        };
        rights::inherited_by_no_group(&self.policy.prefix, &name, gid)?;
        let gid = gid.map(|gid| gid.to_string());
        let floor = self.floor_of_groups(&database).await?;
        let mut arguments = Vec::new();
        match (&gid, &floor) {
            (Some(gid), _) => arguments.extend(["-g", gid]),
            (None, Some(floor)) => arguments.extend(["-K", floor]),
            (None, None) => {}
        }
        arguments.extend(["--", &name]);
        if let Err(error) = self
            .tools
            .run(Tool::GroupAdd, &arguments, b"", cx.deadline)
            .await
        {
            let view = |database: &Database| database.group(&name).is_some();
            let stopped = Stopped { done: 0, error };
            return Err(self
                .after_failure(stopped, &format!("group `{name}`"), &false, view)
                .await);
        }
        if !members.is_empty()
            && let Err(stopped) = self.set_members(cx, &database, &name, &members).await
        {
            let failure = stopped.error.into_failure();
            return Err(self.take_back_group(&name, failure).await);
        }
        let database = self
            .read()
            .await
            .map_err(|failure| unseen(&name, failure))?;
        let made = database.group(&name).ok_or_else(|| vanished(&name))?;
        let lacking = members_lacking(made, &members, &[]);
        if !lacking.is_empty() {
            let failure = Failure::rejected(format!(
                "the programs report no error, but the new group `{name}` {}",
                lacking.join(" and ")
            ));
            return Err(self.take_back_group(&name, failure).await);
        }
        Ok(object(made)?)
    }

    /// The setting from which number on `groupadd` looks for a free one, where some belong to files
    /// of groups that are gone.
    async fn floor_of_groups(&self, database: &Database) -> Result<Option<String>, Failure> {
        let left = self.ownerless(database).await?;
        let gids = database.groups.iter().map(|group| group.gid);
        let owners = left.iter().map(|left| left.gid);
        let (prefix, numbers) = (&self.policy.prefix, Numbers::Groups);
        let reserved = belongings::reserved(prefix, database)?;
        Ok(belongings::floor(prefix, numbers, gids, owners, &reserved))
    }

    pub(super) async fn update_group(
        &self,
        cx: &Context,
        update: &Update,
    ) -> Result<Object, CallError> {
        let database = self.read().await?;
        let group = find_group(&database, &update.object)?;
        let current = object(group)?;
        let values = attributes::for_update(&current, &update.modifications)?;
        let Some(members) = attributes::texts(&values, "members") else {
            return Ok(current);
        };
        let name = group.name.as_str();
        let present = group.members.iter().map(String::as_str);
        let difference = Difference::between(present, members.iter().copied());
        check_members(&database, &difference.join)?;
        let by_list = replaces(update) && Self::is_for_a_list(&database, &difference, &members);
        Self::check_kept(group, &difference)?;
        Self::check_runs(name, &difference, by_list.then_some(&*members))?;
        let changed = if by_list {
            self.set_members(cx, &database, name, &members).await
        } else {
            self.change_members(cx, &database, name, &difference).await
        };
        if let Err(stopped) = changed {
            let view = |database: &Database| database.group(name).cloned();
            let what = format!("group `{name}`");
            return Err(self
                .after_failure(stopped, &what, &Some(group.clone()), view)
                .await);
        }
        let now = self.read().await.map_err(|failure| unseen(name, failure))?;
        let now = now.group(name).ok_or_else(|| vanished(name))?;
        let difference = match replaces(update) {
            true => Difference::between(
                now.members.iter().map(String::as_str),
                members.iter().copied(),
            ),
            false => difference,
        };
        let lacking = members_lacking(now, &difference.join, &difference.leave);
        if !lacking.is_empty() {
            return Err(differs(&format!("group `{name}`"), now == group, &lacking));
        }
        Ok(object(now)?)
    }

    pub(super) async fn delete_group(
        &self,
        cx: &Context,
        target: &ObjectRef,
    ) -> Result<(), CallError> {
        let database = self.read().await?;
        let group = find_group(&database, target)?;
        let arguments = ["--", group.name.as_str()];
        let result = self.tools.run(Tool::GroupDel, &arguments, b"", cx.deadline);
        if let Err(error) = result.await {
            let view = |database: &Database| database.group(&group.name).cloned();
            let what = format!("group `{}`", group.name);
            let stopped = Stopped { done: 0, error };
            return Err(self
                .after_failure(stopped, &what, &Some(group.clone()), view)
                .await);
        }
        let now = self
            .read()
            .await
            .map_err(|failure| unseen(&group.name, failure))?;
        match now.group(&group.name) {
            None => Ok(()),
            Some(now) => Err(differs(
                &format!("group `{}`", group.name),
                now == group,
                &["is still there".to_owned()],
            )),
        }
    }

    pub(super) async fn rename_group(
        &self,
        cx: &Context,
        target: &ObjectRef,
        new_name: &str,
    ) -> Result<Object, CallError> {
        let database = self.read().await?;
        let group = find_group(&database, target)?;
        if group.name == new_name {
            return Ok(object(group)?);
        }
        if database.group(new_name).is_some() {
            return Err(exists(new_name).into());
        }
        rights::inherited_by_no_group(&self.policy.prefix, new_name, None)?;
        let arguments = ["-n", new_name, "--", group.name.as_str()];
        let result = self.tools.run(Tool::GroupMod, &arguments, b"", cx.deadline);
        if let Err(error) = result.await {
            let view = |database: &Database| database.group(&group.name).cloned();
            let what = format!("group `{}`", group.name);
            let stopped = Stopped { done: 0, error };
            return Err(self
                .after_failure(stopped, &what, &Some(group.clone()), view)
                .await);
        }
        let now = self
            .read()
            .await
            .map_err(|failure| unseen(new_name, failure))?;
        let renamed = now.group(new_name);
        match renamed.filter(|now| now.gid == group.gid && now.members == group.members) {
            Some(renamed) if now.group(&group.name).is_none() => Ok(object(renamed)?),
            _ => Err(differs(
                &format!("group `{}`", group.name),
                now.group(&group.name) == Some(group) && renamed.is_none(),
                &[format!("is not `{new_name}` with the same id and members")],
            )),
        }
    }

    async fn take_back_group(&self, name: &str, why: Failure) -> CallError {
        let arguments = ["--", name];
        let result = self
            .tools
            .run(Tool::GroupDel, &arguments, b"", way_back())
            .await;
        match self.read().await {
            Ok(now) if now.group(name).is_none() => why.into(),
            _ => CallError::Indeterminate(format!(
                "{}; and the group `{name}`, made before that, could not be removed again{}: remove it, or give it what it lacks",
                why.message,
                result
                    .err()
                    .map_or_else(String::new, |error| format!(" ({error})")),
            )),
        }
    }
}

/// An id that a new object may have: not one of those that stand for nobody.
pub(super) fn parse_id(value: &Value) -> Result<u32, Failure> {
    match value {
        Value::Integer(number) => u32::try_from(*number)
            .ok()
            .filter(|id| !matches!(id, 65_534 | 65_535) && *id < u32::MAX - 1)
            .ok_or_else(|| {
                Failure::invalid(format!("{number} cannot be the id of an account or group"))
            }),
        _ => Err(Failure::invalid("an id is a whole number")),
    }
}

/// Whether the members are given whole.
fn replaces(update: &Update) -> bool {
    let modifications = update.modifications.iter();
    let mut of_members = modifications.filter(|change| change.name.as_str() == "members");
    of_members.any(|change| change.operation == Operation::Replace)
}

fn check_members(database: &Database, members: &[&str]) -> Result<(), Failure> {
    let accounts: HashSet<_> = database.accounts.iter().map(|a| a.name.as_str()).collect();
    match members.iter().find(|member| !accounts.contains(**member)) {
        Some(missing) => Err(Failure::invalid(format!(
            "there is no account `{missing}` that could be a member"
        ))),
        None => Ok(()),
    }
}

fn exists(name: &str) -> Failure {
    Failure::new(
        crate::model::FailureKind::AlreadyExists,
        format!("there is a group `{name}` already"),
    )
}

fn unseen(name: &str, failure: Failure) -> CallError {
    CallError::Indeterminate(format!(
        "group `{name}` was changed, but cannot be read again: {}",
        failure.message
    ))
}

fn vanished(name: &str) -> CallError {
    CallError::Indeterminate(format!(
        "the group `{name}` is not there although it was just changed: somebody else changes accounts on this host"
    ))
}
