//! Which accounts one name may be taken for. Active Directory takes a log-in as `NAME@DOMAIN` for
//! the account that has it as its userPrincipalName, then for the one whose sAMAccountName is
//! `NAME` where the domain is its own, and then for the computer `NAME$` (MS-KILE 3.3.5.6.1). It
//! keeps each of the two attributes unique, and not one against the other.

use std::collections::BTreeMap;

use super::names::{ACCOUNT_NAME, PRINCIPAL_NAME};
use crate::connector::directory::dn;
use crate::connector::directory::filter::Filter;
use crate::connector::directory::message::Entry;
use crate::connector::directory::session::Session;
use crate::connector::directory::words;
use crate::model::{CallError, Failure, FailureKind};

/// Accounts that share a name at the most.
const MOST: usize = 100;

/// Names to log in by, by what an account may have of them.
#[derive(Debug, Default)]
pub(super) struct Names(BTreeMap<Vec<u8>, String>);

impl Names {
    /// Of these names.
    pub(super) fn of<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let mut all = BTreeMap::new();
        for name in names {
            for part in parts(name) {
                all.entry(key(part)).or_insert_with(|| name.to_owned());
            }
        }
        Self(all)
    }

    /// What every account meets that may be logged in to by one of them, whatever the domain that
    /// stands behind an `@`.
    pub(super) fn filters<'a>(
        names: impl Iterator<Item = &'a str> + 'a,
    ) -> impl Iterator<Item = Filter> + 'a {
        let user = || Filter::equal("objectClass", "user");
        names
            .flat_map(parts)
            .map(move |part| Filter::And(vec![user(), filter(part)]))
    }

    /// The name that an account has in common with them.
    pub(super) fn shared(&self, entry: &Entry) -> Option<&str> {
        let own = entry.text(ACCOUNT_NAME).into_iter();
        let principal = entry.text(PRINCIPAL_NAME).into_iter().flat_map(parts);
        let mut each = own.chain(principal);
        each.find_map(|part| self.0.get(&key(part)).map(String::as_str))
    }
}

/// A name, and what stands before an `@` in it.
fn parts(name: &str) -> impl Iterator<Item = &str> {
    let first = name.split_once('@').map(|(local, _)| local);
    let last = name.rsplit_once('@').map(|(local, _)| local);
    let last = last.filter(|last| Some(*last) != first);
    [Some(name), first, last]
        .into_iter()
        .flatten()
        .filter(|part| !part.is_empty())
}

/// The name of a computer has a `$` at its end, and is found without it.
fn key(name: &str) -> Vec<u8> {
    dn::prepared(name.strip_suffix('$').unwrap_or(name).as_bytes())
}

fn filter(part: &str) -> Filter {
    let bare = part.strip_suffix('$').unwrap_or(part);
    Filter::Or(vec![
        Filter::equal(ACCOUNT_NAME, bare),
        Filter::equal(ACCOUNT_NAME, format!("{bare}$")),
        Filter::equal(PRINCIPAL_NAME, part),
        Filter::Substrings {
            attribute: PRINCIPAL_NAME.to_owned(),
            first: Some(format!("{part}@").into_bytes()),
            any: None,
            last: None,
        },
    ])
}

/// The domain's name in DNS, from that of its root.
fn dns_name(root: &str) -> String {
    let mut labels = Vec::new();
    let mut rest = root;
    while !rest.is_empty() {
        let (first, parent) = dn::split_first(rest);
        labels.push(first.split_once('=').map_or("", |(_, label)| label.trim()));
        rest = parent;
    }
    labels.join(".")
}

/// As [`Dialect::check_log_ins`](crate::connector::directory::dialect::Dialect::check_log_ins):
/// in the domain itself a name may not be that of one account in one way, and of another in the
/// other.
pub(super) async fn check(
    session: &Session<'_>,
    root: &str,
    own: Option<&Entry>,
    name: &str,
    log_ins: &[String],
) -> Result<(), CallError> {
    let domain = dns_name(root);
    let implicit = format!("{name}@{domain}");
    let is_here = |suffix: &str| {
        let label = domain.split('.').next().unwrap_or_default();
        suffix.eq_ignore_ascii_case(&domain) || suffix.eq_ignore_ascii_case(label)
    };
    let mut filters = Vec::new();
    for log_in in log_ins {
        let local = match log_in.rsplit_once('@') {
            Some((local, suffix)) if is_here(suffix) => local,
            Some(_) => continue,
            None => log_in,
        };
        // What is the account's own name already, the domain keeps unique by itself.
        if key(local) != key(name) {
            let bare = local.strip_suffix('$').unwrap_or(local);
            filters.push(Filter::equal(ACCOUNT_NAME, bare));
            filters.push(Filter::equal(ACCOUNT_NAME, format!("{bare}$")));
        }
    }
    let takes_name = own.is_none_or(|own| own.text(ACCOUNT_NAME) != Some(name));
    if takes_name
        && !log_ins
            .iter()
            .any(|log_in| log_in.eq_ignore_ascii_case(&implicit))
    {
        filters.push(Filter::equal(PRINCIPAL_NAME, &implicit));
    }
    if filters.is_empty() {
        return Ok(());
    }
    let users = Filter::And(vec![
        Filter::equal("objectClass", "user"),
        Filter::any(filters),
    ]);
    let wanted = [ACCOUNT_NAME, PRINCIPAL_NAME].map(str::to_owned);
    let found = session.entries(root, users, &wanted, MOST).await;
    let found = found.map_err(|error| session.directory.read_error(&error))?;
    let is_other = |entry: &&Entry| own.is_none_or(|own| !dn::same(&own.dn, &entry.dn));
    let Some(other) = found.iter().find(is_other) else {
        return Ok(());
    };
    let message = format!(
        "a log-in could take the account for `{}`, which has the `{ACCOUNT_NAME}` `{}` and the `{PRINCIPAL_NAME}` `{}`: to the domain each of them is `NAME@{domain}`. Give another name",
        words(&other.dn),
        words(other.text(ACCOUNT_NAME).unwrap_or_default()),
        words(other.text(PRINCIPAL_NAME).unwrap_or_default()),
    );
    Err(Failure::new(FailureKind::AlreadyExists, message).into())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn account(name: &'static str, principal: &'static str) -> Entry {
        let attribute = |attribute: &str, value: &'static str| {
            (
                attribute.to_owned(),
                vec![Bytes::from_static(value.as_bytes())],
            )
        };
        Entry {
            dn: String::new(),
            attributes: vec![
                attribute(ACCOUNT_NAME, name),
                attribute(PRINCIPAL_NAME, principal),
            ],
        }
    }

    #[test]
    fn a_name_is_shared_however_it_is_written() {
        for (name, shared) in [
            ("admin", true),
            ("ADMIN@other.example", true),
            ("admin@a@b", true),
            ("admin$@example.test", true),
            ("chief@example.test", true),
            ("chief", true),
            ("chief@x@y", true),
            ("admin.x@example.test", false),
            ("eve@admin", false),
        ] {
            let names = Names::of([name].into_iter());
            let found = names.shared(&account("Admin", "Chief@corp.example"));
            assert_eq!(found.is_some(), shared, "{name}");
        }
        let computer = Names::of(["dc1@example.test"].into_iter());
        assert!(computer.shared(&account("DC1$", "")).is_some());
    }

    #[test]
    fn the_domain_has_a_name() {
        assert_eq!(dns_name("DC=example,DC=test"), "example.test");
    }
}
