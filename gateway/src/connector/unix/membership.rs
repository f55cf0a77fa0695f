//! Who joins a group and who leaves it.
//!
//! A membership is changed as a difference, never by writing a list anew that was read before the
//! lock was taken: what somebody else changes meanwhile stays. `usermod -aG` and `-rG` read under
//! the lock and take one account each; `gpasswd` reads before it, and is used only for what usermod
//! cannot do: a member that is no account, a group whose name is a number, a usermod without `-r`
//! (before shadow-utils 4.12), and to set the members of a group all at once.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use super::tools::{Tool, ToolError};
use super::{Database, Group, Unix};
use crate::connector::Context;
use crate::model::Failure;

/// Bytes of names in one argument; the kernel takes 128 KiB.
const MAX_ARGUMENT: usize = 100 * 1024;

/// Members that join or leave one by one; for more, a `replace` writes the list.
const ONE_BY_ONE: usize = 64;

/// Members that join or leave one by one at the most, each with a run of a program: some twenty
/// seconds on a slow host.
const MOST_ONE_BY_ONE: usize = 256;

/// Names that are to be in, and that are not to be in any more.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Difference<'a> {
    pub(super) join: Vec<&'a str>,
    pub(super) leave: Vec<&'a str>,
}

impl<'a> Difference<'a> {
    /// What makes `wanted` of `present`.
    pub(super) fn between(
        present: impl IntoIterator<Item = &'a str>,
        wanted: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let wanted: Vec<&str> = wanted.into_iter().collect();
        let new: HashSet<_> = wanted.iter().copied().collect();
        let mut old = HashSet::new();
        let mut leave = Vec::new();
        for name in present {
            if old.insert(name) && !new.contains(name) {
                leave.push(name);
            }
        }
        let join = wanted.into_iter().filter(|name| !old.contains(name));
        Self {
            join: join.collect(),
            leave,
        }
    }
}

/// Names joined by commas, each piece short enough for an argument.
pub(super) fn pieces(names: &[&str]) -> Vec<String> {
    let mut pieces: Vec<String> = Vec::new();
    for name in names {
        match pieces.last_mut() {
            Some(piece) if piece.len() + name.len() < MAX_ARGUMENT => {
                piece.push(',');
                piece.push_str(name);
            }
            _ => pieces.push((*name).to_owned()),
        }
    }
    pieces
}

/// Whether a name is a number to the programs, which take it for an id then.
pub(super) fn is_number(name: &str) -> bool {
    name.trim().parse::<i128>().is_ok()
}

/// Whether shadow-utils refuse to write a line with this name.
fn has_control(name: &str) -> bool {
    name.bytes().any(|byte| byte.is_ascii_control())
}

/// A program failed after `done` others had done their work.
#[derive(Debug)]
pub(super) struct Stopped {
    pub(super) done: usize,
    pub(super) error: ToolError,
}

impl Unix {
    /// Has members join and leave a group, one by one.
    pub(super) async fn change_members(
        &self,
        cx: &Context,
        database: &Database,
        group: &str,
        difference: &Difference<'_>,
    ) -> Result<(), Stopped> {
        let mut done = 0;
        // As long as one with a control character stays, no other can leave.
        let (odd, others): (Vec<&str>, Vec<&str>) =
            difference.leave.iter().partition(|name| has_control(name));
        for member in odd.into_iter().chain(others) {
            let is_account = database.account(member).is_some();
            let of_group = database.group(group);
            let left = match of_group.and_then(|group| group.unreadable.get(member)) {
                Some(bytes) => {
                    let arguments = ["-d".as_ref(), OsStr::from_bytes(bytes), group.as_ref()];
                    let left = self.tools.run(Tool::GPasswd, &arguments, b"", cx.deadline);
                    left.await.map(drop)
                }
                None => self.leave(cx, group, member, is_account).await,
            };
            left.map_err(|error| Stopped { done, error })?;
            done += 1;
        }
        for member in &difference.join {
            let (tool, arguments) = match is_number(group) {
                true => (Tool::GPasswd, vec!["-a", member, group]),
                false => (Tool::UserMod, vec!["-aG", group, "--", member]),
            };
            let joined = self.tools.run(tool, &arguments, b"", cx.deadline).await;
            joined.map_err(|error| Stopped { done, error })?;
            done += 1;
        }
        Ok(())
    }

    /// Has one member leave a group.
    pub(super) async fn leave(
        &self,
        cx: &Context,
        group: &str,
        member: &str,
        is_account: bool,
    ) -> Result<(), ToolError> {
        if is_account && !is_number(group) {
            let arguments = ["-rG", group, "--", member];
            match self
                .tools
                .run(Tool::UserMod, &arguments, b"", cx.deadline)
                .await
            {
                Err(error) if error.is_usage() => {}
                done => return done.map(drop),
            }
        }
        let arguments = ["-d", member, group];
        let done = self.tools.run(Tool::GPasswd, &arguments, b"", cx.deadline);
        done.await.map(drop)
    }

    /// Gives a group just these members, all of them accounts. Whoever else was in it is not any
    /// more.
    pub(super) async fn set_members(
        &self,
        cx: &Context,
        database: &Database,
        group: &str,
        members: &[&str],
    ) -> Result<(), Stopped> {
        let pieces = pieces(members);
        let first = pieces.first().map_or("", String::as_str);
        let arguments = ["-M", first, group];
        let done = self.tools.run(Tool::GPasswd, &arguments, b"", cx.deadline);
        done.await.map_err(|error| Stopped { done: 0, error })?;
        let rest = Difference {
            join: pieces
                .iter()
                .skip(1)
                .flat_map(|piece| piece.split(','))
                .collect(),
            leave: Vec::new(),
        };
        let changed = self.change_members(cx, database, group, &rest).await;
        changed.map_err(|stopped| Stopped {
            done: stopped.done + 1,
            ..stopped
        })
    }

    /// Refuses to change a group that keeps a member with a control character: shadow-utils write
    /// no such line (`valid_field` in their library), and do not say so.
    pub(super) fn check_kept(group: &Group, difference: &Difference<'_>) -> Result<(), Failure> {
        let leaves: HashSet<_> = difference.leave.iter().copied().collect();
        let mut kept = group.members.iter();
        match kept.find(|name| has_control(name) && !leaves.contains(name.as_str())) {
            Some(odd) if *difference != Difference::default() => Err(Failure::rejected(format!(
                "group `{}` has the member {odd:?}, and no program changes a line with a control character: remove that member first, and then do this",
                group.name
            ))),
            _ => Ok(()),
        }
    }

    /// Refuses what would take too many runs of the programs, before the first of them.
    pub(super) fn check_runs(
        group: &str,
        difference: &Difference<'_>,
        list: Option<&[&str]>,
    ) -> Result<(), Failure> {
        let (runs, advice) = match list {
            // What does not go into the first argument joins one by one.
            Some(list) => {
                let first = pieces(list)
                    .first()
                    .map_or(0, |piece| piece.split(',').count());
                (
                    list.len() - first,
                    "give it fewer members, or longer lists by hand",
                )
            }
            None => (
                difference.join.len() + difference.leave.len(),
                "change it in several calls, or `replace` the list by one of accounts that are there",
            ),
        };
        if runs > MOST_ONE_BY_ONE {
            return Err(Failure::invalid(format!(
                "{runs} members of group `{group}` would have to join or leave one by one, and {MOST_ONE_BY_ONE} may in one call: {advice}"
            )));
        }
        Ok(())
    }

    /// Whether a list is better written at once: many change, and all of them are accounts.
    pub(super) fn is_for_a_list(
        database: &Database,
        difference: &Difference<'_>,
        wanted: &[&str],
    ) -> bool {
        let accounts =
            || -> HashSet<&str> { database.accounts.iter().map(|a| a.name.as_str()).collect() };
        difference.join.len() + difference.leave.len() > ONE_BY_ONE && {
            let accounts = accounts();
            wanted.iter().all(|name| accounts.contains(name))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_joins_or_leaves() {
        let difference = Difference::between(["a", "b", "leaver"], ["b", "leaver", "c"]);
        assert_eq!((difference.join, difference.leave), (vec!["c"], vec!["a"]));
        assert_eq!(Difference::between(["a"], ["a"]), Difference::default());
        // The files may list a member twice.
        assert_eq!(Difference::between(["a", "a"], []).leave, ["a"]);
    }

    #[test]
    fn no_piece_is_longer_than_an_argument_and_no_name_is_lost() {
        let names: Vec<String> = (0..20_000).map(|n| format!("student{n:05}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let pieces = pieces(&names);
        assert!(pieces.iter().all(|piece| piece.len() <= MAX_ARGUMENT));
        assert_eq!(pieces.join(","), names.join(","));
        assert!(super::pieces(&[]).is_empty());
    }
}
