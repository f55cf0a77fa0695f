//! How accounts and groups of the account files stand to one another.

use std::collections::{HashMap, HashSet};

use super::database::{Account, Database};
use crate::model::{
    AccountStanding, GroupStanding, Object, ObjectClass, ObjectName, Standings, Touched,
};

/// What a call touches, by names and numbers.
#[derive(Debug, Default)]
pub(super) struct Asked {
    accounts: HashSet<String>,
    joined: HashSet<String>,
    /// Groups that change, or whose names are taken.
    groups: HashSet<String>,
    numbers: HashSet<u32>,
    /// The group that everybody leaves.
    emptied: Option<String>,
}

impl Asked {
    pub(super) fn new(touched: &Touched<'_>) -> Self {
        let names = |names: &std::collections::BTreeSet<ObjectName>| -> HashSet<String> {
            names.iter().map(ToString::to_string).collect()
        };
        let mut asked = Self {
            accounts: touched.accounts.iter().cloned().collect(),
            joined: names(&touched.groups),
            groups: names(&touched.groups),
            numbers: touched
                .numbers
                .iter()
                .filter_map(|&number| u32::try_from(number).ok())
                .collect(),
            emptied: None,
        };
        if let Some((_, name)) = &touched.new_name {
            asked.groups.insert(name.to_string());
        }
        if let Some(target) = touched.target {
            asked.take_target(target, touched.empties);
        }
        asked
    }

    fn take_target(&mut self, target: &Object, empties: bool) {
        let name = target.identity.name.to_string();
        if target.identity.class == ObjectClass::Account {
            self.accounts.insert(name);
            return;
        }
        self.emptied = empties.then(|| name.clone());
        self.groups.insert(name);
    }
}

/// Goes through every line a fixed number of times, however much is asked for.
pub(super) fn find(database: &Database, asked: &Asked) -> Standings {
    let members = Members::new(database);
    let accounts = accounts(database, &members, asked);
    let mut standings = Standings::default();
    let mut places: HashMap<usize, usize> = HashMap::new();
    let mut numbers: HashMap<u32, Vec<usize>> = HashMap::new();
    for (line, group) in database.groups.iter().enumerate() {
        numbers.entry(group.gid).or_default().push(line);
    }
    let mut nameless: HashMap<u32, usize> = HashMap::new();
    for (line, group) in database.groups.iter().enumerate() {
        let joined = asked.joined.contains(&group.name) || asked.numbers.contains(&group.gid);
        if joined || asked.groups.contains(&group.name) {
            add_group(&mut standings, &mut places, database, line);
        }
        if joined
            && let Some(group) = places
                .get(&line)
                .and_then(|place| standings.groups.get_mut(*place))
        {
            group.touched = true;
        }
    }
    for (account, touched) in accounts {
        let mut groups = Vec::new();
        for line in members.of(&account.name) {
            groups.push(add_group(&mut standings, &mut places, database, *line));
        }
        match numbers.get(&account.gid).and_then(|lines| lines.first()) {
            Some(line) => groups.push(add_group(&mut standings, &mut places, database, *line)),
            None => groups.push(*nameless.entry(account.gid).or_insert_with(|| {
                standings.groups.push(GroupStanding {
                    name: None,
                    number: Some(account.gid.into()),
                    touched: false,
                });
                standings.groups.len() - 1
            })),
        }
        standings.accounts.push(AccountStanding {
            name: account.name.clone(),
            number: Some(account.uid.into()),
            primary: Some(account.gid.into()),
            groups,
            touched,
        });
    }
    let known: HashSet<u32> = places
        .keys()
        .filter_map(|line| Some(database.groups.get(*line)?.gid))
        .collect();
    for line in known.iter().filter_map(|gid| numbers.get(gid)).flatten() {
        add_group(&mut standings, &mut places, database, *line);
    }
    standings
}

fn add_group(
    standings: &mut Standings,
    places: &mut HashMap<usize, usize>,
    database: &Database,
    line: usize,
) -> usize {
    *places.entry(line).or_insert_with(|| {
        let group = database.groups.get(line);
        standings.groups.push(GroupStanding {
            name: group.map(|group| group.name.clone()),
            number: group.map(|group| group.gid.into()),
            touched: false,
        });
        standings.groups.len() - 1
    })
}

/// The accounts that have to do with what is asked for, and whether the call touches them.
fn accounts<'a>(
    database: &'a Database,
    members: &Members<'_>,
    asked: &Asked,
) -> Vec<(&'a Account, bool)> {
    let left: HashSet<usize> = match &asked.emptied {
        Some(name) => lines_of(database, |group| group == name).collect(),
        None => HashSet::new(),
    };
    let gids: HashSet<u32> = database
        .groups
        .iter()
        .filter(|group| asked.groups.contains(&group.name))
        .map(|group| group.gid)
        .chain(asked.numbers.iter().copied())
        .collect();
    let touches = |account: &Account| {
        asked.accounts.contains(&account.name)
            || members
                .of(&account.name)
                .iter()
                .any(|line| left.contains(line))
    };
    let touched: Vec<bool> = database.accounts.iter().map(touches).collect();
    let of_touched = database.accounts.iter().zip(&touched);
    let uids: HashSet<u32> = of_touched
        .clone()
        .filter(|(_, touched)| **touched)
        .map(|(account, _)| account.uid)
        .collect();
    let concerned = |account: &Account| {
        uids.contains(&account.uid)
            || gids.contains(&account.gid)
            || asked.groups.contains(&account.name)
    };
    of_touched
        .filter(|(account, touched)| **touched || concerned(account))
        .map(|(account, touched)| (account, *touched))
        .collect()
}

fn lines_of<'a>(
    database: &'a Database,
    wanted: impl Fn(&str) -> bool + 'a,
) -> impl Iterator<Item = usize> + 'a {
    let groups = database.groups.iter().enumerate();
    groups
        .filter(move |(_, group)| wanted(&group.name))
        .map(|(line, _)| line)
}

/// Places of the groups that each account is in by any list, or rules.
struct Members<'a>(HashMap<&'a str, Vec<usize>>);

impl<'a> Members<'a> {
    fn new(database: &'a Database) -> Self {
        let mut groups: HashMap<&str, Vec<usize>> = HashMap::new();
        for (line, group) in database.groups.iter().enumerate() {
            // Who is a member or an administrator in gshadow has what the group has, or can take
            // it, whatever `etc/group` says.
            let listed = group.members.iter().chain(&group.hidden_members);
            for member in listed.chain(&group.administrators) {
                let of_member = groups.entry(member.as_str()).or_default();
                if of_member.last() != Some(&line) {
                    of_member.push(line);
                }
            }
        }
        Self(groups)
    }

    fn of(&self, account: &str) -> &[usize] {
        self.0.get(account).map_or(&[], Vec::as_slice)
    }
}
