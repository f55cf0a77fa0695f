//! How accounts and groups stand to one another: all that the guard rails judge them by.

use std::collections::BTreeSet;

use super::{Object, ObjectClass, ObjectName};

/// What a call touches. A connector answers with these objects and with those that have to do with
/// them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Touched<'a> {
    /// The object that it is about, as it now is.
    pub target: Option<&'a Object>,
    /// Accounts that would join or leave a group. A group may hold a name that no object can have:
    /// what stands there has to leave all the same.
    pub accounts: BTreeSet<String>,
    /// Groups that somebody would join or leave.
    pub groups: BTreeSet<ObjectName>,
    /// The same, where they are named by their numbers.
    pub numbers: BTreeSet<u64>,
    /// Further names that an account would log in by.
    pub log_ins: BTreeSet<String>,
    /// The name that an object of this class would get. There may be one of the other class that
    /// has it.
    pub new_name: Option<(ObjectClass, ObjectName)>,
    /// Whether everybody would leave the group that it is about.
    pub empties: bool,
    /// Whether the groups that an account is in decide anything.
    pub by_group: bool,
    /// Whether numeric ids decide anything.
    pub by_number: bool,
}

/// The accounts and groups that a call touches, and those that have to do with them:
///
/// * of an account: every account that has the same number, every group that it is in in any way;
/// * of a group: every account of its name, every account whose primary group has its number;
/// * of every group among these: every other group that has the same number;
/// * of every name that an account would log in by: every other account that has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standings {
    /// Each once.
    pub accounts: Vec<AccountStanding>,
    /// Each once.
    pub groups: Vec<GroupStanding>,
    /// Names of the call by which another account may be logged in to, each with that one's place
    /// among the accounts.
    pub log_ins: Vec<(String, usize)>,
}

/// An account, as far as it has to do with groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountStanding {
    /// Its name.
    pub name: String,
    /// Its numeric id, if it has one.
    pub number: Option<u64>,
    /// The number of its primary group, if it has one.
    pub primary: Option<u64>,
    /// Places in [`Standings::groups`] of the groups that it is in or rules: as a member by any
    /// list, as an administrator, by its primary group.
    pub groups: Vec<usize>,
    /// Whether the call touches it: is about it, or has it join or leave a group.
    pub touched: bool,
}

/// A group. One without a name is a number that an account has as its primary group, and that no
/// group has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupStanding {
    /// Its name.
    pub name: Option<String>,
    /// Its numeric id, if it has one.
    pub number: Option<u64>,
    /// Whether somebody would join or leave it.
    pub touched: bool,
}

/// Which numeric ids a resource has for those who ask for one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IdRanges {
    /// The first and the last id of accounts, and where that stands; `None`: any.
    pub accounts: Option<IdRange>,
    /// The same of groups.
    pub groups: Option<IdRange>,
    /// Ids of accounts that are given away already, such as to what runs in containers.
    pub given_to_accounts: Vec<IdRange>,
    /// The same of groups.
    pub given_to_groups: Vec<IdRange>,
}

/// A range of ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdRange {
    /// The first.
    pub first: u64,
    /// The last.
    pub last: u64,
    /// Where that stands, and whose they are if somebody has them.
    pub source: String,
}

impl IdRange {
    /// Whether an id lies in it.
    pub const fn holds(&self, id: u64) -> bool {
        self.first <= id && id <= self.last
    }
}
