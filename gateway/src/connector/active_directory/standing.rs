//! How accounts and groups of a domain stand to one another, for the guard rails. All of the domain
//! is looked at, not only what the connector works on: the groups that give power lie elsewhere.
//!
//! A group that is in another, over any number of steps, counts as having that one's id as well:
//! whoever joins it joins the other.

use std::collections::{BTreeMap, BTreeSet};

use super::identity::{self, GUID, SID};
use super::names::{ACCOUNT_NAME, PRINCIPAL_NAME};
use super::namesakes::Names;
use crate::connector::directory::dn;
use crate::connector::directory::fault::Error;
use crate::connector::directory::filter::Filter;
use crate::connector::directory::message::Entry;
use crate::connector::directory::session::Session;
use crate::model::{AccountStanding, GroupStanding, ObjectClass, Standings, Touched};

/// Names in one filter.
const BATCH: usize = 100;

/// How deep groups lie in groups.
const MOST_NESTED: usize = 32;

/// The account was in a protected group of Windows when that last looked (MS-ADTS 3.1.1.6.1).
const ADMIN_COUNT: &str = "adminCount";

/// What stands for that among groups.
const ADMINISTERED: &str = "adminCount = 1";

const READ: [&str; 7] = [
    ACCOUNT_NAME,
    PRINCIPAL_NAME,
    GUID,
    SID,
    "primaryGroupID",
    ADMIN_COUNT,
    "memberOf",
];

/// An account or a group, as far as it has to do with groups.
#[derive(Clone, Debug)]
struct Node {
    name: String,
    rid: Option<u64>,
    primary: Option<u64>,
    administered: bool,
    /// The groups that it is in directly: the keys of their names, and those.
    above: Vec<(String, String)>,
}

impl Node {
    fn of(entry: &Entry) -> Self {
        let number = |name| entry.text(name).and_then(|text| text.parse::<u64>().ok());
        let above = entry.values("memberOf").iter();
        Self {
            name: entry.text(ACCOUNT_NAME).unwrap_or(&entry.dn).to_owned(),
            rid: entry.values(SID).first().and_then(|sid| identity::rid(sid)),
            primary: number("primaryGroupID"),
            administered: number(ADMIN_COUNT).is_some_and(|count| count > 0),
            above: above
                .filter_map(|dn| {
                    let dn = std::str::from_utf8(dn).ok()?;
                    Some((dn::key(dn)?, dn.to_owned()))
                })
                .collect(),
        }
    }

    fn number(&self) -> Option<u64> {
        identity::protected_rid(self.rid?)
    }
}

/// All that was read.
#[derive(Default)]
struct Domain {
    /// Accounts, and whether the call touches them.
    accounts: BTreeMap<String, (Node, bool)>,
    /// Groups, and whether somebody would join or leave them.
    groups: BTreeMap<String, (Node, bool)>,
    /// Groups by their RIDs.
    by_rid: BTreeMap<u64, String>,
    /// Names of the call by which another account may be logged in to, with the key of that.
    log_ins: Vec<(String, String)>,
}

/// As [`Connector::standings`](crate::connector::Connector::standings).
pub(super) async fn stand(
    session: &Session<'_>,
    root: &str,
    touched: &Touched<'_>,
) -> Result<Standings, Error> {
    let reading = Reading { session, root };
    let mut domain = Domain::default();
    let mut unknown = reading.accounts(touched, &mut domain).await?;
    reading.namesakes(touched, &mut domain).await?;
    let names: Vec<_> = touched.groups.iter().map(ToString::to_string).collect();
    let by_name = |name: &String| Filter::equal(ACCOUNT_NAME, name);
    for entry in reading.groups(names.iter().map(by_name)).await? {
        domain.group(&entry, true);
    }
    let primaries = domain
        .accounts
        .values()
        .filter_map(|(node, _)| node.primary);
    let numbers: BTreeSet<_> = primaries.chain(touched.numbers.iter().copied()).collect();
    reading
        .of_numbers(&numbers, &touched.numbers, &mut domain)
        .await?;
    reading.climb(&mut domain).await?;
    let known: BTreeSet<_> = domain
        .groups
        .values()
        .map(|(node, _)| dn::prepared(node.name.as_bytes()))
        .collect();
    unknown.groups = names
        .into_iter()
        .filter(|name| !known.contains(&dn::prepared(name.as_bytes())))
        .collect();
    Ok(domain.standings(unknown))
}

/// The keys of the groups that something is in directly.
fn keys(node: &Node) -> impl Iterator<Item = &String> {
    node.above.iter().map(|(key, _)| key)
}

/// Names that the call has and the domain has not.
#[derive(Default)]
struct Unknown {
    accounts: Vec<String>,
    groups: Vec<String>,
}

struct Reading<'a, 'b> {
    session: &'a Session<'b>,
    root: &'a str,
}

impl Reading<'_, '_> {
    async fn read(&self, filters: impl Iterator<Item = Filter>) -> Result<Vec<Entry>, Error> {
        let filters: Vec<_> = filters.collect();
        let wanted = READ.map(str::to_owned);
        let mut found = Vec::new();
        for batch in filters.chunks(BATCH) {
            let filter = Filter::any(batch.to_vec());
            let read = self.session.entries(self.root, filter, &wanted, 2 * BATCH);
            for mut entry in read.await? {
                super::ranges::complete(self.session, &mut entry).await?;
                found.push(entry);
            }
        }
        Ok(found)
    }

    async fn groups(&self, filters: impl Iterator<Item = Filter>) -> Result<Vec<Entry>, Error> {
        let group = || Filter::equal("objectClass", "group");
        let filters = filters.map(|filter| Filter::And(vec![group(), filter]));
        self.read(filters).await
    }

    /// The accounts of the call. A member may be named by its entry, and be anything.
    async fn accounts(&self, touched: &Touched<'_>, domain: &mut Domain) -> Result<Unknown, Error> {
        if let Some(target) = touched.target {
            let id = identity::guid_bytes(target.identity.id.as_str());
            let by_id = id.map(|id| Filter::Equal(GUID.to_owned(), id.to_vec()));
            for entry in self.read(by_id.into_iter()).await? {
                match target.identity.class {
                    ObjectClass::Group => domain.group(&entry, false),
                    _ => domain.account(&entry, true),
                }
            }
        }
        let mut unknown = Unknown::default();
        let is_dn = |name: &&String| dn::parse(name).is_some_and(|steps| steps.len() > 1);
        let (by_dn, by_name): (Vec<_>, Vec<_>) = touched.accounts.iter().partition(is_dn);
        let filter = |name: &&String| Filter::equal(ACCOUNT_NAME, name.as_str());
        let dn_filter = |name: &&String| Filter::equal("distinguishedName", name.as_str());
        let filters = by_name
            .iter()
            .map(filter)
            .chain(by_dn.iter().map(dn_filter));
        let mut found = BTreeSet::new();
        for entry in self.read(filters).await? {
            let name = entry.text(ACCOUNT_NAME).unwrap_or_default();
            found.insert(dn::prepared(name.as_bytes()));
            found.insert(dn::key(&entry.dn).unwrap_or_default().into_bytes());
            domain.account(&entry, true);
        }
        unknown.accounts = by_name
            .into_iter()
            .filter(|name| !found.contains(&dn::prepared(name.as_bytes())))
            .chain(
                by_dn
                    .into_iter()
                    .filter(|name| !found.contains(dn::key(name).unwrap_or_default().as_bytes())),
            )
            .cloned()
            .collect();
        Ok(unknown)
    }

    /// Other accounts that may be logged in to by a name that the call gives.
    async fn namesakes(&self, touched: &Touched<'_>, domain: &mut Domain) -> Result<(), Error> {
        let new_name = touched.new_name.iter();
        let new_name = new_name
            .filter(|(class, _)| *class == ObjectClass::Account)
            .map(|(_, name)| name.as_str());
        let given = touched.log_ins.iter().map(String::as_str).chain(new_name);
        let names = Names::of(given.clone());
        let own = touched.target.map(|target| target.identity.id.as_str());
        for entry in self.read(Names::filters(given)).await? {
            let id = entry.values(GUID).first();
            let id = id.and_then(|id| identity::guid_text(id));
            if own.is_some() && id.as_deref() == own {
                continue;
            }
            // What the directory takes for the same, it may take for the same at a log-in.
            let shared = names.shared(&entry).unwrap_or("one of its names");
            let key = dn::key(&entry.dn).unwrap_or_else(|| entry.dn.clone());
            domain.log_ins.push((shared.to_owned(), key));
            domain.account(&entry, false);
        }
        Ok(())
    }

    /// The groups that have these RIDs in the domain.
    async fn of_numbers(
        &self,
        numbers: &BTreeSet<u64>,
        touched: &BTreeSet<u64>,
        domain: &mut Domain,
    ) -> Result<(), Error> {
        if numbers.is_empty() {
            return Ok(());
        }
        let own = self.session.entry(self.root, &[SID.to_owned()]).await?;
        let own = own.and_then(|entry| entry.values(SID).first().cloned());
        let Some(own) = own else {
            return Ok(());
        };
        let sids = numbers
            .iter()
            .filter_map(|rid| identity::of_domain(&own, *rid));
        let filters = sids.map(|sid| Filter::Equal(SID.to_owned(), sid));
        for entry in self.groups(filters).await? {
            let rid = entry.values(SID).first().and_then(|sid| identity::rid(sid));
            domain.group(&entry, rid.is_some_and(|rid| touched.contains(&rid)));
        }
        Ok(())
    }

    /// The groups that all of them are in, and those that these are in.
    async fn climb(&self, domain: &mut Domain) -> Result<(), Error> {
        for _ in 0..MOST_NESTED {
            let accounts = domain.accounts.values().map(|(node, _)| node);
            let groups = domain.groups.values().map(|(node, _)| node);
            let above = accounts.chain(groups).flat_map(|node| &node.above);
            let next: BTreeSet<_> = above
                .filter(|(key, _)| !domain.groups.contains_key(key))
                .map(|(_, dn)| dn.clone())
                .collect();
            if next.is_empty() {
                break;
            }
            let filters = next.iter().map(|dn| Filter::equal("distinguishedName", dn));
            let read = self.groups(filters).await?;
            if read.is_empty() {
                break;
            }
            read.iter().for_each(|entry| domain.group(entry, false));
        }
        Ok(())
    }
}

impl Domain {
    fn account(&mut self, entry: &Entry, touched: bool) {
        let key = dn::key(&entry.dn).unwrap_or_else(|| entry.dn.clone());
        let known = self.accounts.entry(key).or_insert((Node::of(entry), false));
        known.1 |= touched;
    }

    fn group(&mut self, entry: &Entry, touched: bool) {
        let key = dn::key(&entry.dn).unwrap_or_else(|| entry.dn.clone());
        let node = Node::of(entry);
        if let Some(rid) = node.rid {
            self.by_rid.insert(rid, key.clone());
        }
        let known = self.groups.entry(key).or_insert((node, false));
        known.1 |= touched;
    }

    /// The keys of the groups above something, over any number of steps.
    fn above<'a>(&'a self, node: &'a Node) -> BTreeSet<&'a String> {
        let mut found = BTreeSet::new();
        let primary = node.primary.and_then(|rid| self.by_rid.get(&rid));
        let mut next: Vec<_> = keys(node).chain(primary).collect();
        while let Some(key) = next.pop() {
            if let Some((group, _)) = self.groups.get(key)
                && found.insert(key)
            {
                next.extend(keys(group));
            }
        }
        found
    }

    fn standings(self, unknown: Unknown) -> Standings {
        let mut standings = Standings::default();
        let mut places = BTreeMap::new();
        for (key, (group, touched)) in &self.groups {
            places.insert(key, standings.groups.len());
            standings.groups.push(GroupStanding {
                name: Some(group.name.clone()),
                number: group.number(),
                touched: *touched,
            });
        }
        for (group, _) in self.groups.values().filter(|(_, touched)| *touched) {
            let above = self.above(group).into_iter();
            let above = above.filter_map(|key| self.groups.get(key)?.0.number());
            let also = above.map(|number| GroupStanding {
                name: Some(group.name.clone()),
                number: Some(number),
                touched: true,
            });
            standings.groups.extend(also.collect::<Vec<_>>());
        }
        let administered = standings.groups.len();
        standings.groups.push(GroupStanding {
            name: Some(ADMINISTERED.to_owned()),
            number: Some(0),
            touched: false,
        });
        for (name, key) in &self.log_ins {
            let place = self.accounts.keys().position(|own| own == key);
            standings
                .log_ins
                .extend(place.map(|place| (name.clone(), place)));
        }
        for (account, touched) in self.accounts.values() {
            let above = self.above(account).into_iter();
            let mut groups: Vec<_> = above.filter_map(|key| places.get(key).copied()).collect();
            groups.extend(account.administered.then_some(administered));
            standings.accounts.push(AccountStanding {
                name: account.name.clone(),
                number: account.number(),
                primary: account.primary.and_then(identity::protected_rid),
                groups,
                touched: *touched,
            });
        }
        let nobody = |name| AccountStanding {
            name,
            number: None,
            primary: None,
            groups: Vec::new(),
            touched: true,
        };
        standings
            .accounts
            .extend(unknown.accounts.into_iter().map(nobody));
        let no_group = |name| GroupStanding {
            name: Some(name),
            number: None,
            touched: true,
        };
        standings
            .groups
            .extend(unknown.groups.into_iter().map(no_group));
        standings
    }
}
