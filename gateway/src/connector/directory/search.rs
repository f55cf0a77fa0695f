//! Searches: the filter of a call as the directory takes it, and its pages.

use super::connector::Directory;
use super::dialect::Place;
use super::filter::Filter;
use super::gathered::weight;
use super::members::{Group, Member, is_dn};
use super::message::Entry;
use super::objects::{DN, Links, MEMBER_OF};
use super::pages::Pages;
use super::parked::Stop;
use super::pool::Lease;
use super::session::{Knowledge, Session, below};
use super::settings::ClassSettings;
use crate::connector::Found;
use crate::model::{
    AttributeName, CallError, Comparison, Cookie, Failure, Filter as Condition, FilterOperation,
    Object, ObjectClass, Search, Value,
};

/// Entries whose groups are found out together.
const TOGETHER: usize = 50;

/// Bytes of such entries, about.
const TOGETHER_BYTES: usize = 8 << 20;

/// Accounts or groups that one name of a filter may stand for.
const MOST_NAMED: usize = 2;

impl Directory {
    /// Hands on one page of what a search finds.
    pub(crate) async fn search_page(
        &self,
        session: &Session<'_>,
        search: &Search,
        found: &mut Found,
    ) -> Result<Cookie, CallError> {
        let class = self.class(search.class)?;
        let known = session.knowledge().await;
        let known = known.map_err(|error| self.read_error(&error))?;
        self.check_names(class, &known.schema)?;
        let filter = match &search.filter {
            Some(condition) => {
                let condition = self.filter(session, class, condition).await?;
                Filter::And(vec![class.filter.clone(), condition])
            }
            None => class.filter.clone(),
        };
        let wanted = self.wanted(class, &search.attributes);
        let below = below(&class.base, filter, &wanted);
        let same = format!("{:?} {:?} {:?}", below.base, below.filter, below.attributes);
        let paged = self.settings.page_size.is_some();
        let mut pages = if search.cookie.is_empty() {
            let lease = session.lease(false).await;
            Pages::new(
                lease.map_err(|error| self.read_error(&error))?,
                below,
                paged,
            )
        } else {
            let ticket = search.cookie.as_bytes();
            let stop = self.parked.take(ticket, &same, &session.identity);
            let stop = stop.ok_or_else(|| {
                Failure::unavailable("the search was not asked for its next page for too long, or the directory ended its connection: begin it again")
            })?;
            let pool = &self.pool;
            let lease = Lease::resume(pool, stop.identity, stop.link, session.deadline).await;
            let lease = lease.map_err(|fault| super::failures::of_fault(&fault))?;
            Pages::new(lease, below, paged).at(stop.cookie)
        };
        let most = search.page_size.unwrap_or(usize::MAX);
        self.hand_on(session, class, search, &mut pages, (most, found))
            .await?;
        if pages.references > 0 {
            tracing::warn!(
                references = pages.references,
                "the directory names other servers where the search would go on: they are not asked"
            );
        }
        if pages.is_last() {
            return Ok(Cookie::default());
        }
        let (lease, cookie) = pages.into_parts();
        let Some((identity, link)) = lease.park() else {
            return Err(Failure::internal("the search lost its connection").into());
        };
        let ticket = self.parked.keep(Stop {
            identity,
            link,
            cookie,
            search: same,
        });
        Ok(Cookie::new(ticket.to_vec()).unwrap_or_default())
    }

    async fn hand_on(
        &self,
        session: &Session<'_>,
        class: &ClassSettings,
        search: &Search,
        pages: &mut Pages,
        (most, found): (usize, &mut Found),
    ) -> Result<(), CallError> {
        let with_groups = search
            .attributes
            .iter()
            .any(|name| self.computes(name.as_str()))
            && class.class == ObjectClass::Account;
        // What is read beside the search goes over a connection of its own.
        let session = &session.beside();
        let page = self.settings.page_size.unwrap_or(usize::MAX);
        let page = if with_groups {
            page.min(TOGETHER)
        } else {
            page
        };
        let mut left = most;
        while left > 0 {
            let begun = pages.begin(page.min(left), session.deadline).await;
            begun.map_err(|error| self.read_error(&error))?;
            let mut together = Vec::new();
            let mut bytes = 0;
            while let Some(mut entry) = {
                let next = pages.next(session.deadline).await;
                next.map_err(|error| self.read_error(&error))?
            } {
                left = left.saturating_sub(1);
                if with_groups {
                    bytes += weight(&entry);
                    together.push(entry);
                    // A page may be larger than what was asked for.
                    if together.len() >= TOGETHER || bytes >= TOGETHER_BYTES {
                        bytes = 0;
                        let entries = std::mem::take(&mut together);
                        self.hand_on_together(session, class, search, entries, found)
                            .await?;
                    }
                    continue;
                }
                let completed = self.dialect.complete(session, &mut entry).await;
                completed.map_err(|error| self.read_error(&error))?;
                let object = self
                    .plain(session, class, &entry, &search.attributes)
                    .await?;
                found.push(object).await?;
            }
            self.hand_on_together(session, class, search, together, found)
                .await?;
            if pages.is_last() {
                break;
            }
        }
        Ok(())
    }

    /// An entry with its members, and without the groups that it is in.
    async fn plain(
        &self,
        session: &Session<'_>,
        class: &ClassSettings,
        entry: &Entry,
        wanted: &[AttributeName],
    ) -> Result<Object, CallError> {
        if class.class == ObjectClass::Group {
            return self.read_links(session, class, entry, wanted).await;
        }
        let known = session.knowledge().await;
        let known = known.map_err(|error| self.read_error(&error))?;
        self.object(class, entry, &known, wanted, Links::default())
    }

    /// Entries with the groups that they are in, which are looked for together.
    async fn hand_on_together(
        &self,
        session: &Session<'_>,
        class: &ClassSettings,
        search: &Search,
        entries: Vec<Entry>,
        found: &mut Found,
    ) -> Result<(), CallError> {
        let Some((_, settings)) = self
            .settings
            .groups
            .as_ref()
            .filter(|_| !entries.is_empty())
        else {
            return Ok(());
        };
        let member = |entry: &Entry| Member {
            dn: entry.dn.clone(),
            name: entry.text(&class.naming).unwrap_or_default().to_owned(),
        };
        let members: Vec<_> = entries.iter().map(member).collect();
        let groups = self.groups_with(session, &members).await;
        let groups: Vec<Group> = groups.map_err(|error| self.read_error(&error))?;
        let known = session.knowledge().await;
        let known = known.map_err(|error| self.read_error(&error))?;
        for (entry, member) in entries.iter().zip(&members) {
            let of = groups.iter().filter(|group| group.has(settings, member));
            let links = Links {
                groups: Some(of.map(|group| group.name.clone()).collect()),
                members: None,
            };
            let object = self.object(class, entry, &known, &search.attributes, links)?;
            found.push(object).await?;
        }
        Ok(())
    }

    /// A condition of a call as the directory takes it. Its depth and size are bounded by the
    /// parser of calls.
    async fn filter(
        &self,
        session: &Session<'_>,
        class: &ClassSettings,
        condition: &Condition,
    ) -> Result<Filter, CallError> {
        Ok(match condition {
            Condition::All(inner) => Filter::all(self.filters(session, class, inner).await?),
            Condition::Any(inner) => Filter::any(self.filters(session, class, inner).await?),
            Condition::Not(inner) => {
                let inner = Box::pin(self.filter(session, class, inner)).await?;
                Filter::Not(Box::new(inner))
            }
            Condition::Comparison(one) => self.comparison(session, class, one).await?,
        })
    }

    async fn filters(
        &self,
        session: &Session<'_>,
        class: &ClassSettings,
        inner: &[Condition],
    ) -> Result<Vec<Filter>, CallError> {
        let mut filters = Vec::with_capacity(inner.len());
        for condition in inner {
            filters.push(Box::pin(self.filter(session, class, condition)).await?);
        }
        Ok(filters)
    }

    async fn comparison(
        &self,
        session: &Session<'_>,
        class: &ClassSettings,
        one: &Comparison,
    ) -> Result<Filter, CallError> {
        let equals = one.operation == FilterOperation::Equals;
        let known = session.knowledge().await;
        let known = known.map_err(|error| self.read_error(&error))?;
        match (one.attribute.as_str(), &one.value) {
            ("__id__", Some(Value::Text(id))) if equals => Ok(match self.dialect.place_of_id(id) {
                Some(Place::Where(filter)) => filter,
                Some(Place::At(dn)) => {
                    let wanted = [self.dialect.id_attribute().to_owned()];
                    let found = session.entry(&dn, &wanted).await;
                    let found = found.map_err(|error| self.read_error(&error))?;
                    found.map_or_else(Filter::nothing, |entry| self.dialect.dn_filter(&entry.dn))
                }
                None => Filter::nothing(),
            }),
            ("__id__", _) => self.assertion(self.dialect.id_attribute(), one, &known),
            ("__name__", _) => self.assertion(&class.naming, one, &known),
            ("__enabled__", value) => {
                let wanted = match value {
                    Some(Value::Boolean(wanted)) if equals => *wanted,
                    _ => return Ok(Filter::everything()),
                };
                self.dialect.enabled_filter(wanted).ok_or_else(|| {
                    Failure::unsupported(
                        "this directory cannot search by whether an account is enabled",
                    )
                    .into()
                })
            }
            (name, Some(Value::Text(text))) if equals && self.names_others(class, name) => {
                self.relation(session, class, name, text).await
            }
            (DN, Some(Value::Text(dn))) if equals => Ok(self.dialect.dn_filter(dn)),
            (name, _) if self.is_hidden(name) => {
                Err(Failure::unsupported(format!("`{name}` cannot be searched by")).into())
            }
            (name, _) => self.assertion(name, one, &known),
        }
    }

    /// Whether the values of an attribute are names of accounts or groups.
    fn names_others(&self, class: &ClassSettings, name: &str) -> bool {
        match class.class {
            ObjectClass::Group => self.is_member_attribute(name),
            _ => name.eq_ignore_ascii_case(MEMBER_OF),
        }
    }

    /// Who is in a group, or which groups somebody is in.
    async fn relation(
        &self,
        session: &Session<'_>,
        class: &ClassSettings,
        attribute: &str,
        name: &str,
    ) -> Result<Filter, CallError> {
        let Some((groups, settings)) = &self.settings.groups else {
            return Ok(Filter::nothing());
        };
        if class.class == ObjectClass::Group {
            if settings.by_name || is_dn(name) {
                return Ok(Filter::equal(attribute, name));
            }
            let found = self.entries_of_names(session, &[name.to_owned()]).await;
            let found = found.map_err(|error| self.read_error(&error))?;
            let each = found
                .values()
                .map(|entry| Filter::equal(attribute, &entry.dn));
            return Ok(Filter::any(each.collect()));
        }
        let filter = Filter::And(vec![
            groups.filter.clone(),
            Filter::equal(&groups.naming, name),
        ]);
        let wanted = [settings.attribute.clone()];
        let found = session
            .entries(&groups.base, filter, &wanted, MOST_NAMED)
            .await;
        let found = found.map_err(|error| self.read_error(&error))?;
        let of = |member: String| {
            if settings.by_name {
                Filter::equal(&class.naming, member)
            } else {
                self.dialect.dn_filter(&member)
            }
        };
        let mut each = Vec::new();
        for mut entry in found {
            let completed = self.dialect.complete(session, &mut entry).await;
            completed.map_err(|error| self.read_error(&error))?;
            each.extend(
                super::members::texts(&entry, &settings.attribute)
                    .into_iter()
                    .map(of),
            );
        }
        Ok(Filter::any(each))
    }

    fn assertion(
        &self,
        attribute: &str,
        one: &Comparison,
        known: &Knowledge,
    ) -> Result<Filter, CallError> {
        let Some(value) = &one.value else {
            return Ok(Filter::Present(attribute.to_owned()));
        };
        check_rule(attribute, one.operation, known)?;
        let bytes = self.to_directory(value, attribute)?;
        let name = attribute.to_owned();
        let part = |first, any, last| Filter::Substrings {
            attribute: attribute.to_owned(),
            first,
            any,
            last,
        };
        if bytes.is_empty() && one.operation != FilterOperation::Equals {
            return Ok(Filter::Present(name));
        }
        Ok(match one.operation {
            FilterOperation::Equals => Filter::Equal(name, bytes),
            FilterOperation::StartsWith => part(Some(bytes), None, None),
            FilterOperation::EndsWith => part(None, None, Some(bytes)),
            FilterOperation::Contains => part(None, Some(bytes), None),
            FilterOperation::Present => Filter::Present(name),
            FilterOperation::LessOrEqual => Filter::LessOrEqual(name, bytes),
            FilterOperation::GreaterOrEqual => Filter::GreaterOrEqual(name, bytes),
        })
    }
}

/// Refuses a condition that no entry meets, whatever it has, because the attribute has no rule for
/// it: the answer would be that there is none.
fn check_rule(
    attribute: &str,
    operation: FilterOperation,
    known: &Knowledge,
) -> Result<(), Failure> {
    use FilterOperation::{
        Contains, EndsWith, Equals, GreaterOrEqual, LessOrEqual, Present, StartsWith,
    };
    let Some(found) = known
        .schema
        .attribute(attribute)
        .filter(|_| known.root.goes_by_rules)
    else {
        return Ok(());
    };
    let (has, what, instead) = match operation {
        Present => return Ok(()),
        Equals => (found.rules.equality, "be equal", "whether it is present"),
        StartsWith | EndsWith | Contains => (
            found.rules.substrings,
            "begin, end or contain",
            "whole values",
        ),
        LessOrEqual | GreaterOrEqual => (
            found.rules.ordering,
            "be less or greater",
            "values that are equal",
        ),
    };
    if has {
        return Ok(());
    }
    Err(Failure::unsupported(format!(
        "the directory's schema has no rule by which a value of `{attribute}` could {what}, so that no entry would be found: ask for {instead}"
    )))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::connector::directory::schema::{DirectorySchema, Root};

    #[test]
    fn a_condition_without_a_rule_is_refused_where_the_directory_goes_by_rules() {
        let types =
            "( 1.1 NAME 'number' EQUALITY caseIgnoreMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )";
        let schema = DirectorySchema::of(&Entry {
            dn: "cn=Subschema".to_owned(),
            attributes: vec![("attributeTypes".to_owned(), vec![Bytes::from(types)])],
        });
        let known = |goes_by_rules| Knowledge {
            root: Root {
                goes_by_rules,
                ..Root::default()
            },
            schema: schema.clone(),
        };
        for (operation, by_rules) in [
            (FilterOperation::Equals, true),
            (FilterOperation::Present, true),
            (FilterOperation::Contains, false),
            (FilterOperation::GreaterOrEqual, false),
        ] {
            let takes = |name, rules| check_rule(name, operation, &known(rules)).is_ok();
            assert_eq!(takes("number", true), by_rules, "{operation:?}");
            // Others go by the syntax, and of an unknown one nothing can be said.
            assert!(takes("number", false) && takes("unknown", true));
        }
    }
}
