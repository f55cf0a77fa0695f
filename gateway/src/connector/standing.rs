//! Finds out how accounts and groups stand to one another where a connector can only read and
//! search objects, and its attributes are known by their roles alone.

use std::collections::{BTreeSet, HashMap, HashSet};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio::sync::mpsc;

use super::{Connector, Context, Found};
use crate::model::{
    AccountStanding, AttributeName, CallError, Comparison, Cookie, Failure, Filter,
    FilterOperation, Get, GroupStanding, Object, ObjectClass, ObjectName, ObjectRef, Role, Search,
    Selector, Standings, Touched, Value, Verb,
};

/// Objects that are read at the same time.
const AT_ONCE: usize = 8;

/// Objects of one page of a search.
const PAGE: usize = 1000;

/// What the default of [`Connector::standings`] answers. An object that the connector cannot read
/// is known by its name alone.
pub(super) async fn by_roles<C: Connector + ?Sized>(
    connector: &C,
    cx: &Context,
    touched: &Touched<'_>,
) -> Result<Standings, CallError> {
    let mut asking = Asking::new(connector, cx, touched.by_number);
    asking.groups_of_call(touched).await?;
    asking.accounts_of_call(touched).await?;
    if touched.by_number {
        asking.owners(touched).await?;
        asking.twins().await?;
    }
    if touched.by_group {
        asking.groups_of_accounts().await?;
    }
    if touched.by_number {
        asking.second_names().await?;
    }
    Ok(asking.standings)
}

struct Asking<'a, C: ?Sized> {
    connector: &'a C,
    cx: &'a Context,
    by_number: bool,
    standings: Standings,
    /// Places of groups by name and number.
    places: HashMap<(Option<String>, Option<u64>), usize>,
    /// Places of accounts by id and name.
    known: HashMap<(String, String), usize>,
    /// Names of the groups that each account is in.
    groups_of: Vec<Vec<String>>,
}

impl<'a, C: Connector + ?Sized> Asking<'a, C> {
    fn new(connector: &'a C, cx: &'a Context, by_number: bool) -> Self {
        Self {
            connector,
            cx,
            by_number,
            standings: Standings::default(),
            places: HashMap::new(),
            known: HashMap::new(),
            groups_of: Vec::new(),
        }
    }

    fn has(&self, verb: Verb, class: ObjectClass) -> bool {
        self.connector.verbs(class).contains(&verb)
    }

    async fn groups_of_call(&mut self, touched: &Touched<'_>) -> Result<(), CallError> {
        if let Some(target) = touched.target
            && target.identity.class != ObjectClass::Account
        {
            self.add_group(target, false);
        }
        let reads = self.by_number && self.has(Verb::Get, ObjectClass::Group);
        let found = if reads {
            self.read(ObjectClass::Group, touched.groups.iter().cloned())
                .await?
        } else {
            Vec::new()
        };
        for (asked, group) in &found {
            self.add_group(group, true);
            // Under the name that the call has for it, too.
            self.add(
                Some(asked.to_string()),
                self.connector.number_of(group),
                true,
            );
        }
        for &number in &touched.numbers {
            let named = self.of_number(ObjectClass::Group, Role::NumericId, number);
            for group in named.await? {
                self.add_group(&group, true);
            }
        }
        if let Some((ObjectClass::Account, name)) = &touched.new_name
            && reads
        {
            let found = self.read(ObjectClass::Group, [name.clone()]).await?;
            for (asked, group) in &found {
                self.add(
                    Some(asked.to_string()),
                    self.connector.number_of(group),
                    false,
                );
            }
        }
        Ok(())
    }

    async fn accounts_of_call(&mut self, touched: &Touched<'_>) -> Result<(), CallError> {
        if let Some(target) = touched.target
            && target.identity.class != ObjectClass::Group
        {
            self.add_account(target, true);
        }
        if touched.by_group && self.has(Verb::Get, ObjectClass::Account) {
            let names = touched.accounts.iter().map(|name| {
                ObjectName::new(name.clone()).map_err(|error| Failure::invalid(error.to_string()))
            });
            let names = names.collect::<Result<Vec<_>, _>>()?;
            for (_, account) in self.read(ObjectClass::Account, names).await? {
                self.add_account(&account, true);
            }
        }
        Ok(())
    }

    /// Accounts that have the name of a group, or its number as that of their primary group.
    async fn owners(&mut self, touched: &Touched<'_>) -> Result<(), CallError> {
        let class = ObjectClass::Account;
        let roles = self.connector.roles();
        if roles.attributes(class, Role::NumericId).next().is_none() {
            return Ok(());
        }
        let groups = self.standings.groups.clone();
        let mut names: BTreeSet<_> = touched.groups.clone();
        if let Some((ObjectClass::Group | ObjectClass::Other(_), name)) = &touched.new_name {
            names.insert(name.clone());
        }
        let named = groups.iter().filter_map(|group| group.name.clone());
        names.extend(named.filter_map(|name| ObjectName::new(name).ok()));
        if self.has(Verb::Get, class) {
            for (_, account) in self.read(class, names).await? {
                self.add_account(&account, false);
            }
        }
        let numbers: BTreeSet<_> = groups.iter().filter_map(|group| group.number).collect();
        for number in numbers.union(&touched.numbers) {
            let users = self.of_number(class, Role::GroupNumber, *number);
            for account in users.await? {
                self.add_account(&account, false);
            }
        }
        Ok(())
    }

    /// Accounts that share their number with those of the call.
    async fn twins(&mut self) -> Result<(), CallError> {
        let accounts = self.standings.accounts.iter();
        let numbers: BTreeSet<_> = accounts
            .filter(|account| account.touched)
            .filter_map(|account| account.number)
            .collect();
        for number in numbers {
            let twins = self.of_number(ObjectClass::Account, Role::NumericId, number);
            for account in twins.await? {
                self.add_account(&account, false);
            }
        }
        Ok(())
    }

    /// The numbers of the groups that the accounts are in.
    async fn groups_of_accounts(&mut self) -> Result<(), CallError> {
        let groups_of = std::mem::take(&mut self.groups_of);
        let mut named: HashMap<String, Vec<usize>> = HashMap::new();
        for (place, group) in self.standings.groups.iter().enumerate() {
            if let Some(name) = &group.name {
                named.entry(name.clone()).or_default().push(place);
            }
        }
        let unknown: BTreeSet<_> = groups_of
            .iter()
            .flatten()
            .filter(|name| !named.contains_key(*name))
            .filter_map(|name| ObjectName::new(name.clone()).ok())
            .collect();
        if self.by_number && self.has(Verb::Get, ObjectClass::Group) {
            for (asked, group) in self.read(ObjectClass::Group, unknown).await? {
                let place = self.add_group(&group, false);
                named.entry(asked.into()).or_default().push(place);
            }
        }
        for (account, groups) in groups_of.into_iter().enumerate() {
            for name in groups {
                let places = named.entry(name.clone());
                let places = places.or_insert_with(|| vec![self.add(Some(name), None, false)]);
                if let Some(account) = self.standings.accounts.get_mut(account) {
                    account.groups.extend(places.iter().copied());
                }
            }
        }
        let primaries = self.standings.accounts.iter().enumerate();
        let primaries: Vec<_> = primaries
            .filter_map(|(place, account)| Some((place, account.primary?)))
            .collect();
        for (account, number) in primaries {
            let group = self.add(None, Some(number), false);
            if let Some(account) = self.standings.accounts.get_mut(account) {
                account.groups.push(group);
            }
        }
        Ok(())
    }

    /// Groups that share their number with one that is known.
    async fn second_names(&mut self) -> Result<(), CallError> {
        let numbers: BTreeSet<_> = self
            .standings
            .groups
            .iter()
            .filter_map(|group| group.number)
            .collect();
        for number in numbers {
            let named = self.of_number(ObjectClass::Group, Role::NumericId, number);
            for group in named.await? {
                self.add_group(&group, false);
            }
        }
        Ok(())
    }

    fn add_account(&mut self, object: &Object, touched: bool) {
        let identity = &object.identity;
        let key = (identity.id.to_string(), identity.name.to_string());
        if let Some(place) = self.known.get(&key) {
            if let Some(account) = self.standings.accounts.get_mut(*place) {
                account.touched |= touched;
            }
            return;
        }
        self.known.insert(key, self.standings.accounts.len());
        let named = self.values(object, Role::NamesGroups);
        let groups: HashSet<_> = named.filter_map(Value::as_text).collect();
        self.groups_of
            .push(groups.into_iter().map(str::to_owned).collect());
        let primary = self
            .values(object, Role::GroupNumber)
            .find_map(Value::as_id);
        self.standings.accounts.push(AccountStanding {
            name: identity.name.to_string(),
            number: self.connector.number_of(object),
            primary,
            groups: Vec::new(),
            touched,
        });
    }

    fn add_group(&mut self, object: &Object, touched: bool) -> usize {
        let name = object.identity.name.to_string();
        let number = self.connector.number_of(object);
        self.add(Some(name), number, touched)
    }

    fn add(&mut self, name: Option<String>, number: Option<u64>, touched: bool) -> usize {
        let next = self.standings.groups.len();
        let place = *self.places.entry((name.clone(), number)).or_insert(next);
        match self.standings.groups.get_mut(place) {
            Some(group) => group.touched |= touched,
            None => self.standings.groups.push(GroupStanding {
                name,
                number,
                touched,
            }),
        }
        place
    }

    fn values<'o>(
        &self,
        object: &'o Object,
        role: Role,
    ) -> impl Iterator<Item = &'o Value> + use<'o, C> {
        let class = object.identity.class;
        let roles = self.connector.roles();
        let with: Vec<_> = object
            .attributes
            .iter()
            .filter(|attribute| roles.has(class, attribute.name.as_str(), role))
            .collect();
        with.into_iter().flat_map(|attribute| &attribute.values)
    }

    /// The objects of these names that there are, each with the name that it was asked for by.
    async fn read(
        &self,
        class: ObjectClass,
        names: impl IntoIterator<Item = ObjectName>,
    ) -> Result<Vec<(ObjectName, Object)>, CallError> {
        let read = |name: ObjectName| async move {
            self.in_time()?;
            let get = Get {
                object: ObjectRef {
                    class,
                    by: Selector::Name(name.clone()),
                },
                attributes: Vec::new(),
            };
            match self.connector.get(self.cx, &get).await {
                Ok(object) => Ok(Some((name, object))),
                Err(CallError::Failed(failure)) if failure.is_not_found() => Ok(None),
                Err(error) => Err(error),
            }
        };
        let names: Vec<_> = names.into_iter().map(read).collect();
        let found = stream::iter(names).buffer_unordered(AT_ONCE);
        let found: Vec<Option<_>> = found.try_collect().await?;
        Ok(found.into_iter().flatten().collect())
    }

    /// The objects whose attribute of this role holds a number; none where the connector has no
    /// such search.
    async fn of_number(
        &self,
        class: ObjectClass,
        role: Role,
        number: u64,
    ) -> Result<Vec<Object>, CallError> {
        let mut all = Vec::new();
        let Ok(value) = i64::try_from(number) else {
            return Ok(all);
        };
        if !self.has(Verb::Search, class) {
            return Ok(all);
        }
        for attribute in self.connector.roles().attributes(class, role) {
            let Ok(attribute) = AttributeName::new(attribute) else {
                continue;
            };
            let filter = Filter::Comparison(Comparison {
                operation: FilterOperation::Equals,
                attribute,
                value: Some(Value::Integer(value)),
            });
            let found = match self.search(class, filter).await {
                Ok(found) => found,
                Err(CallError::Failed(failure)) if failure.is_unsupported() => continue,
                Err(error) => return Err(error),
            };
            // Whatever the resource makes of the filter.
            let has = |object: &Object| {
                let mut values = self.values(object, role);
                values.any(|value| value.as_id() == Some(number))
            };
            all.extend(found.into_iter().filter(has));
        }
        Ok(all)
    }

    async fn search(&self, class: ObjectClass, filter: Filter) -> Result<Vec<Object>, CallError> {
        let mut search = Search {
            class,
            filter: Some(filter),
            attributes: Vec::new(),
            page_size: Some(PAGE),
            cookie: Cookie::default(),
        };
        let mut all = Vec::new();
        loop {
            self.in_time()?;
            let (sender, mut objects) = mpsc::channel(PAGE);
            let mut found = Found::new(sender, PAGE);
            let next = self.connector.search(self.cx, &search, &mut found).await?;
            drop(found);
            while let Some(object) = objects.recv().await {
                all.push(object);
            }
            if next.is_empty() || next == search.cookie {
                return Ok(all);
            }
            search.cookie = next;
        }
    }

    fn in_time(&self) -> Result<(), Failure> {
        if self.cx.remaining().is_zero() {
            return Err(Failure::unavailable(
                "to find out what is protected took all the time that the call may take: nothing was begun",
            ));
        }
        Ok(())
    }
}
