//! How accounts and groups of a directory stand to one another, for the guard rails: by members,
//! over groups that are in groups, and by the numbers of Unix.

use std::collections::{BTreeMap, BTreeSet};

use super::connector::Directory;
use super::dn;
use super::fault::Error;
use super::filter::Filter;
use super::members::{Group, Member};
use super::message::Entry;
use super::session::Session;
use super::settings::MemberSettings;
use crate::model::{
    AccountStanding, GroupStanding, ObjectClass, ObjectRef, Selector, Standings, Touched, Value,
};

/// Entries that share one number, or one name, at the most.
const MOST_ALIKE: usize = 10_000;

/// Values in one filter.
const BATCH: usize = 100;

/// What was found so far.
#[derive(Default)]
struct Found {
    accounts: BTreeMap<String, (Entry, bool)>,
    groups: BTreeMap<String, (Group, bool)>,
    /// Names of groups that the call has and the directory has not.
    unknown: BTreeSet<String>,
    /// What an object will be known by that is not there yet.
    coming: Vec<Member>,
}

impl Found {
    fn account(&mut self, entry: Entry, touched: bool) {
        let key = dn::key(&entry.dn).unwrap_or_else(|| entry.dn.clone());
        let known = self.accounts.entry(key).or_insert((entry, false));
        known.1 |= touched;
    }

    fn group(&mut self, group: Group, touched: bool) {
        let key = dn::key(&group.dn).unwrap_or_else(|| group.dn.clone());
        let known = self.groups.entry(key).or_insert((group, false));
        known.1 |= touched;
    }
}

impl Directory {
    /// As [`Connector::standings`](crate::connector::Connector::standings).
    pub(crate) async fn stand(
        &self,
        session: &Session<'_>,
        touched: &Touched<'_>,
    ) -> Result<Standings, Error> {
        let mut found = Found::default();
        self.of_call(session, touched, &mut found).await?;
        if touched.by_number {
            self.of_numbers(session, touched, &mut found).await?;
        }
        if touched.by_group {
            let members: Vec<_> = found
                .accounts
                .values()
                .map(|(entry, _)| self.member(entry))
                .chain(found.coming.iter().cloned())
                .collect();
            let direct = self.groups_with(session, &members).await?;
            let above = self.groups_above(session, &direct).await?;
            let joined: Vec<_> = found
                .groups
                .values()
                .filter(|(_, touched)| *touched)
                .map(|(group, _)| group.clone())
                .collect();
            let above_joined = self.groups_above(session, &joined).await?;
            for group in direct.into_iter().chain(above).chain(above_joined) {
                found.group(group, false);
            }
        }
        if touched.by_number {
            let numbers = found.groups.values().filter_map(|(group, _)| group.number);
            let own = found
                .accounts
                .values()
                .filter_map(|(entry, _)| number(entry, "gidNumber"));
            let numbers: BTreeSet<_> = numbers.chain(own).collect();
            for group in self
                .groups_where(session, "gidNumber", &as_texts(&numbers))
                .await?
            {
                found.group(group, false);
            }
        }
        Ok(self.standings_of(found))
    }

    fn member(&self, entry: &Entry) -> Member {
        // What is no account of the connector's has a name all the same, by which it is protected.
        let name = entry
            .text(&self.settings.accounts.naming)
            .map(str::to_owned);
        let name = name.or_else(|| dn::any_first_value(&entry.dn));
        Member {
            dn: entry.dn.clone(),
            name: name.unwrap_or_default(),
        }
    }

    /// What the call itself names.
    async fn of_call(
        &self,
        session: &Session<'_>,
        touched: &Touched<'_>,
        found: &mut Found,
    ) -> Result<(), Error> {
        if let Some(target) = touched.target {
            let class = target.identity.class;
            let by_id = ObjectRef {
                class,
                by: Selector::Id(target.identity.id.clone()),
            };
            self.target(session, &by_id, found).await?;
        }
        let names: Vec<_> = touched.accounts.iter().cloned().collect();
        for entry in self.entries_of_names(session, &names).await?.into_values() {
            found.account(entry, true);
        }
        if let Some((class, _)) = &self.settings.groups {
            let names: Vec<_> = touched.groups.iter().map(ToString::to_string).collect();
            let groups = self.groups_where(session, &class.naming, &names).await?;
            let known: BTreeSet<_> = groups
                .iter()
                .map(|group| dn::prepared(group.name.as_bytes()))
                .collect();
            found.unknown = names
                .into_iter()
                .filter(|name| !known.contains(&dn::prepared(name.as_bytes())))
                .collect();
            for group in groups {
                found.group(group, true);
            }
        }
        for group in self
            .groups_where(session, "gidNumber", &as_texts(&touched.numbers))
            .await?
        {
            found.group(group, true);
        }
        let Some((of, name)) = &touched.new_name else {
            return Ok(());
        };
        let name = [name.to_string()];
        let [new_name] = &name;
        if touched.by_group && self.may_be_member(*of) {
            found.coming = self.coming(*of, new_name, touched);
        }
        // One of the other class may have that name.
        match (of, &self.settings.groups) {
            (ObjectClass::Account, None) => {}
            (ObjectClass::Account, Some((class, _))) => {
                for group in self.groups_where(session, &class.naming, &name).await? {
                    found.group(group, false);
                }
            }
            _ => {
                for entry in self.entries_of_names(session, &name).await?.into_values() {
                    found.account(entry, false);
                }
            }
        }
        Ok(())
    }

    /// A group may name an entry that is gone: whoever gets that name is in it.
    fn coming(&self, of: ObjectClass, name: &str, touched: &Touched<'_>) -> Vec<Member> {
        let Some(class) = self.settings.class(of) else {
            return Vec::new();
        };
        let renamed = touched.target.filter(|target| target.identity.class == of);
        let place = renamed.and_then(|target| match target.values(super::objects::DN) {
            [Value::Text(dn), ..] => Some(format!("{},{}", class.rdn(name), dn::split_first(dn).1)),
            _ => None,
        });
        let places = place.into_iter().chain([class.dn_of(name)]);
        let member = |dn| Member {
            dn,
            name: name.to_owned(),
        };
        places.map(member).collect()
    }

    async fn target(
        &self,
        session: &Session<'_>,
        target: &ObjectRef,
        found: &mut Found,
    ) -> Result<(), Error> {
        let Some(class) = self.settings.class(target.class) else {
            return Ok(());
        };
        let mut wanted = self.standing_attributes(class);
        if let (ObjectClass::Group, Some((_, members))) = (target.class, &self.settings.groups) {
            wanted.push(members.attribute.clone());
        }
        let Selector::Id(id) = &target.by else {
            return Ok(());
        };
        let entry = match self.dialect.place_of_id(id.as_str()) {
            Some(super::dialect::Place::At(dn)) => session.entry(&dn, &wanted).await?,
            Some(super::dialect::Place::Where(filter)) => {
                let found = session.entries(&class.base, filter, &wanted, 2).await?;
                found.into_iter().next()
            }
            None => None,
        };
        match (entry, &self.settings.groups) {
            (Some(entry), Some((groups, members))) if target.class == ObjectClass::Group => {
                found.group(Group::of(entry, groups, members), false);
            }
            (Some(entry), _) => found.account(entry, true),
            (None, _) => {}
        }
        Ok(())
    }

    /// Accounts that share a number with those of the call, that have the name of one of its
    /// groups, or the number of one as that of their primary group.
    async fn of_numbers(
        &self,
        session: &Session<'_>,
        touched: &Touched<'_>,
        found: &mut Found,
    ) -> Result<(), Error> {
        let class = &self.settings.accounts;
        let own = found.accounts.values().filter(|(_, touched)| *touched);
        let own: BTreeSet<_> = own
            .filter_map(|(entry, _)| number(entry, "uidNumber"))
            .collect();
        let names: Vec<_> = found
            .groups
            .values()
            .map(|(group, _)| group.name.clone())
            .collect();
        let of_groups = found.groups.values().filter_map(|(group, _)| group.number);
        let of_groups: BTreeSet<_> = of_groups.chain(touched.numbers.iter().copied()).collect();
        let wanted = self.standing_attributes(class);
        for (attribute, values) in [
            ("uidNumber", as_texts(&own)),
            (class.naming.as_str(), names),
            ("gidNumber", as_texts(&of_groups)),
        ] {
            for batch in values.chunks(BATCH) {
                let each = batch.iter().map(|value| Filter::equal(attribute, value));
                let filter = Filter::And(vec![class.filter.clone(), Filter::any(each.collect())]);
                for entry in session
                    .entries(&class.base, filter, &wanted, MOST_ALIKE)
                    .await?
                {
                    found.account(entry, false);
                }
            }
        }
        Ok(())
    }

    /// The groups one of whose values of an attribute is one of these.
    async fn groups_where(
        &self,
        session: &Session<'_>,
        attribute: &str,
        values: &[String],
    ) -> Result<Vec<Group>, Error> {
        let Some((class, members)) = &self.settings.groups else {
            return Ok(Vec::new());
        };
        let mut wanted = self.standing_attributes(class);
        wanted.push(members.attribute.clone());
        let mut groups = Vec::new();
        for batch in values.chunks(BATCH) {
            let each = batch.iter().map(|value| Filter::equal(attribute, value));
            let filter = Filter::And(vec![class.filter.clone(), Filter::any(each.collect())]);
            let found = session
                .entries(&class.base, filter, &wanted, MOST_ALIKE)
                .await?;
            groups.extend(
                found
                    .into_iter()
                    .map(|entry| Group::of(entry, class, members)),
            );
        }
        Ok(groups)
    }

    fn standings_of(&self, found: Found) -> Standings {
        let mut standings = Standings::default();
        let groups: Vec<_> = found.groups.into_values().collect();
        for (group, touched) in &groups {
            standings.groups.push(GroupStanding {
                name: Some(group.name.clone()),
                number: group.number,
                touched: *touched,
            });
        }
        standings.accounts = self.joining(&groups);
        for member in &found.coming {
            let places = self.places(&groups, member);
            // What is there already has its own standing, and is not in them by a new name.
            let is_there = found
                .accounts
                .contains_key(&dn::key(&member.dn).unwrap_or_default());
            if !places.is_empty() && !is_there {
                standings.accounts.push(AccountStanding {
                    name: member.name.clone(),
                    number: None,
                    primary: None,
                    groups: places,
                    touched: true,
                });
            }
        }
        for name in found.unknown {
            standings.groups.push(GroupStanding {
                name: Some(name),
                number: None,
                touched: true,
            });
        }
        for (entry, touched) in found.accounts.into_values() {
            let member = self.member(&entry);
            let primary = number(&entry, "gidNumber");
            let mut places = self.places(&groups, &member);
            if let Some(primary) = primary {
                places.push(primary_place(&mut standings, primary));
            }
            standings.accounts.push(AccountStanding {
                name: member.name,
                number: number(&entry, "uidNumber"),
                primary,
                groups: places,
                touched,
            });
        }
        standings
    }

    /// Whoever joins a group is in those that it is in as well: he is judged as one who is.
    fn joining(&self, groups: &[(Group, bool)]) -> Vec<AccountStanding> {
        let by_name = |(_, members): &(_, MemberSettings)| members.by_name;
        if self.settings.groups.as_ref().is_none_or(by_name) {
            return Vec::new();
        }
        let joined = groups.iter().filter(|(_, touched)| *touched);
        let standing = joined.map(|(group, _)| AccountStanding {
            name: format!("a member of {}", group.name),
            number: None,
            primary: None,
            groups: self.places(groups, &group.as_member()),
            touched: true,
        });
        standing.filter(|one| !one.groups.is_empty()).collect()
    }

    /// The places of the groups that somebody is in, over any number of steps.
    fn places(&self, groups: &[(Group, bool)], member: &Member) -> Vec<usize> {
        let Some((_, settings)) = &self.settings.groups else {
            return Vec::new();
        };
        let mut places: Vec<usize> = Vec::new();
        let mut next = vec![member.clone()];
        while let Some(member) = next.pop() {
            for (place, (group, _)) in groups.iter().enumerate() {
                if !places.contains(&place) && group.has(settings, &member) {
                    places.push(place);
                    if !settings.by_name {
                        next.push(Member {
                            dn: group.dn.clone(),
                            name: group.name.clone(),
                        });
                    }
                }
            }
        }
        places
    }
}

/// The place of the group with this number: of one without a name where there is none.
fn primary_place(standings: &mut Standings, number: u64) -> usize {
    let known = standings
        .groups
        .iter()
        .position(|group| group.number == Some(number));
    known.unwrap_or_else(|| {
        standings.groups.push(GroupStanding {
            name: None,
            number: Some(number),
            touched: false,
        });
        standings.groups.len() - 1
    })
}

fn number(entry: &Entry, attribute: &str) -> Option<u64> {
    entry.text(attribute)?.parse().ok()
}

fn as_texts(numbers: &BTreeSet<u64>) -> Vec<String> {
    numbers.iter().map(ToString::to_string).collect()
}
