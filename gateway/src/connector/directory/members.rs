//! Who is in which group. Calls name members by the names of their accounts; a directory keeps the
//! names of their entries, or those of the accounts.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::connector::Directory;
use super::dn;
use super::fault::Error;
use super::filter::Filter;
use super::gathered::{Room, weight};
use super::message::Entry;
use super::session::Session;
use super::settings::{ClassSettings, MemberSettings};
use crate::model::{CallError, Failure, ObjectClass};

/// Names in one filter.
const BATCH: usize = 100;

/// Groups that are read at the most to find out who is in which.
const MOST_GROUPS: usize = 100_000;

/// How deep groups lie in groups.
const MOST_NESTED: usize = 16;

impl Directory {
    /// The names of a group's members, without the placeholder. A member that is no account here is
    /// named by its entry.
    pub(crate) async fn member_names(
        &self,
        session: &Session<'_>,
        entry: &Entry,
    ) -> Result<Vec<String>, Error> {
        let Some((_, settings)) = &self.settings.groups else {
            return Ok(Vec::new());
        };
        let values = texts(entry, &settings.attribute);
        if settings.by_name {
            return Ok(values);
        }
        let is_other = |dn: &String| {
            let placeholder = settings.placeholder.as_deref();
            placeholder.is_none_or(|placeholder| !dn::same(dn, placeholder))
        };
        let members: Vec<_> = values.into_iter().filter(is_other).collect();
        self.names_of(session, &self.settings.accounts, members)
            .await
    }

    /// The names of the objects of these entries, in this order.
    async fn names_of(
        &self,
        session: &Session<'_>,
        class: &ClassSettings,
        entries: Vec<String>,
    ) -> Result<Vec<String>, Error> {
        if class.is_named_by_rdn() {
            let name = |entry: String| {
                let is_here = dn::is_within(&entry, &class.base);
                let name = dn::first_value(&entry, &class.naming).filter(|_| is_here);
                name.unwrap_or(entry)
            };
            return Ok(entries.into_iter().map(name).collect());
        }
        let mut known = HashMap::new();
        let wanted = [class.naming.clone()];
        for batch in entries.chunks(BATCH) {
            let each = batch.iter().map(|entry| self.dialect.dn_filter(entry));
            let filter = Filter::And(vec![class.filter.clone(), Filter::any(each.collect())]);
            let found = session.entries(&class.base, filter, &wanted, batch.len() * 2);
            for found in found.await? {
                if let (Some(key), Some(name)) = (dn::key(&found.dn), found.text(&class.naming)) {
                    known.insert(key, name.to_owned());
                }
            }
        }
        let name = |entry: String| {
            let name = dn::key(&entry).and_then(|key| known.get(&key).cloned());
            name.unwrap_or(entry)
        };
        Ok(entries.into_iter().map(name).collect())
    }

    /// What a group keeps of the accounts of these names.
    ///
    /// # Errors
    /// A [`Failure`] that names the first one that there is not.
    pub(crate) async fn members_of_names(
        &self,
        session: &Session<'_>,
        settings: &MemberSettings,
        names: &[String],
    ) -> Result<Vec<String>, CallError> {
        if settings.by_name {
            return Ok(names.to_vec());
        }
        let found = self.entries_of_names(session, names).await;
        let found = found.map_err(|error| self.read_error(&error))?;
        let dn = |name: &String| {
            let entry = found.get(&dn::prepared(name.as_bytes()));
            entry.map(|entry| entry.dn.clone()).ok_or_else(|| {
                Failure::invalid(format!(
                    "there is no account `{}` below {}, which was to be a member",
                    super::words(name),
                    self.settings.accounts.base
                ))
            })
        };
        Ok(names.iter().map(dn).collect::<Result<Vec<_>, _>>()?)
    }

    /// The entries of the accounts of these names, or that have these as the names of their
    /// entries; each by the name that it was asked for by, as names are compared.
    pub(crate) async fn entries_of_names(
        &self,
        session: &Session<'_>,
        names: &[String],
    ) -> Result<BTreeMap<Vec<u8>, Entry>, Error> {
        let class = &self.settings.accounts;
        let wanted = self.standing_attributes(class);
        let mut found = BTreeMap::new();
        let (by_dn, by_name): (Vec<_>, Vec<_>) = names.iter().partition(|name| is_dn(name));
        for batch in by_name.chunks(BATCH) {
            let each = batch.iter().map(|name| Filter::equal(&class.naming, name));
            let filter = Filter::And(vec![class.filter.clone(), Filter::any(each.collect())]);
            let entries = session.entries(&class.base, filter, &wanted, batch.len() * 2);
            for entry in entries.await? {
                for name in texts(&entry, &class.naming) {
                    found.insert(dn::prepared(name.as_bytes()), entry.clone());
                }
            }
        }
        for name in by_dn {
            if let Some(entry) = session.entry(name, &wanted).await? {
                found.insert(dn::prepared(name.as_bytes()), entry);
            }
        }
        Ok(found)
    }

    /// The groups that these are in directly, by the key of their entry or by their name, as groups
    /// keep them.
    pub(crate) async fn groups_with(
        &self,
        session: &Session<'_>,
        members: &[Member],
    ) -> Result<Vec<Group>, Error> {
        let Some((class, settings)) = &self.settings.groups else {
            return Ok(Vec::new());
        };
        let mut wanted = self.standing_attributes(class);
        wanted.push(settings.attribute.clone());
        let mut groups: BTreeMap<String, Group> = BTreeMap::new();
        let mut room = Room::new();
        for batch in members.chunks(BATCH) {
            let each = batch.iter().map(|member| {
                let value = if settings.by_name {
                    &member.name
                } else {
                    &member.dn
                };
                Filter::equal(&settings.attribute, value)
            });
            let filter = Filter::And(vec![class.filter.clone(), Filter::any(each.collect())]);
            let found = session.entries(&class.base, filter, &wanted, MOST_GROUPS);
            for mut entry in found.await? {
                self.dialect.complete(session, &mut entry).await?;
                room.take(weight(&entry))?;
                let key = dn::key(&entry.dn).unwrap_or_default();
                groups
                    .entry(key)
                    .or_insert_with(|| Group::of(entry, class, settings));
            }
        }
        Ok(groups.into_values().collect())
    }

    /// The groups that an account is in directly.
    pub(crate) async fn groups_of(
        &self,
        session: &Session<'_>,
        member: &Member,
    ) -> Result<Vec<String>, Error> {
        let groups = self.groups_with(session, std::slice::from_ref(member));
        Ok(groups.await?.into_iter().map(|group| group.name).collect())
    }

    /// The groups that these groups are in, over any number of steps, each with the key of one of
    /// them that it is above.
    pub(crate) async fn groups_above(
        &self,
        session: &Session<'_>,
        groups: &[Group],
    ) -> Result<Vec<Group>, Error> {
        let by_name = self
            .settings
            .groups
            .as_ref()
            .is_none_or(|(_, members)| members.by_name);
        if by_name {
            return Ok(Vec::new());
        }
        let mut seen: BTreeSet<_> = groups
            .iter()
            .filter_map(|group| dn::key(&group.dn))
            .collect();
        let mut next: Vec<_> = groups.iter().map(Group::as_member).collect();
        let mut above = Vec::new();
        for _ in 0..MOST_NESTED {
            if next.is_empty() {
                break;
            }
            let found = self.groups_with(session, &next).await?;
            let new = |group: &Group| dn::key(&group.dn).is_some_and(|key| seen.insert(key));
            let fresh: Vec<_> = found.into_iter().filter(new).collect();
            next = fresh.iter().map(Group::as_member).collect();
            above.extend(fresh);
        }
        Ok(above)
    }

    /// What is read of an entry to know how it stands to others.
    pub(crate) fn standing_attributes(&self, class: &ClassSettings) -> Vec<String> {
        let number = match class.class {
            ObjectClass::Group => "gidNumber",
            _ => "uidNumber",
        };
        vec![
            class.naming.clone(),
            self.dialect.id_attribute().to_owned(),
            number.to_owned(),
            "gidNumber".to_owned(),
        ]
    }
}

/// Somebody who may be in a group.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    /// The name of his entry.
    pub(crate) dn: String,
    /// His own.
    pub(crate) name: String,
}

/// A group, as far as it has to do with others.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    /// The name of its entry.
    pub(crate) dn: String,
    /// Its own.
    pub(crate) name: String,
    /// Its number.
    pub(crate) number: Option<u64>,
    /// Its members, as it keeps them, such that they can be compared.
    pub(crate) members: BTreeSet<Vec<u8>>,
}

impl Group {
    /// Of its entry.
    pub(crate) fn of(entry: Entry, class: &ClassSettings, settings: &MemberSettings) -> Self {
        let members = texts(&entry, &settings.attribute);
        let members = members
            .iter()
            .map(|member| kept(settings, member))
            .collect();
        let name = entry.text(&class.naming).unwrap_or(&entry.dn).to_owned();
        let number = entry.text("gidNumber").and_then(|text| text.parse().ok());
        Self {
            name,
            number,
            members,
            dn: entry.dn,
        }
    }

    /// As one who may be in others.
    pub(crate) fn as_member(&self) -> Member {
        Member {
            dn: self.dn.clone(),
            name: self.name.clone(),
        }
    }

    /// Whether somebody is in it directly.
    pub(crate) fn has(&self, settings: &MemberSettings, member: &Member) -> bool {
        let value = if settings.by_name {
            &member.name
        } else {
            &member.dn
        };
        self.members.contains(&kept(settings, value))
    }
}

/// A member as it is compared.
pub(crate) fn kept(settings: &MemberSettings, value: &str) -> Vec<u8> {
    if settings.by_name {
        return value.as_bytes().to_vec();
    }
    dn::key(value).map_or_else(|| value.as_bytes().to_vec(), String::into_bytes)
}

/// Whether a name is that of an entry.
pub(crate) fn is_dn(name: &str) -> bool {
    dn::parse(name).is_some_and(|steps| steps.len() > 1)
}

/// The values of an attribute that are text.
pub(crate) fn texts(entry: &Entry, attribute: &str) -> Vec<String> {
    let values = entry.values(attribute).iter();
    values
        .filter_map(|value| String::from_utf8(value.to_vec()).ok())
        .collect()
}
