//! Names of accounts and groups: what Active Directory takes, and the three that one account has.

use crate::connector::directory::dn;
use crate::connector::directory::filter::Filter;
use crate::connector::directory::message::{Change, ChangeKind, Entry, Operation};
use crate::connector::directory::settings::ClassSettings;
use crate::model::{Failure, ObjectClass};

/// The name that an object is known by here.
pub(super) const ACCOUNT_NAME: &str = "sAMAccountName";
/// The name that an account may log in by.
pub(super) const PRINCIPAL_NAME: &str = "userPrincipalName";

/// Characters of an account's name at the most (MS-ADTS 3.1.1.6: LAN Manager's limit).
const ACCOUNT: usize = 20;
/// Characters of a common name at the most (MS-ADA1 2.110): the name of a new entry has it.
const COMMON: usize = 64;

/// Characters that no account name may hold (MS-SAMR 3.1.1.6).
const FORBIDDEN: &str = "/\\[]:;|=,+*?<>@\"";

/// Attributes that the schema demands and Active Directory makes by itself.
pub(super) const MADE_BY_ITSELF: [&str; 6] = [
    "nTSecurityDescriptor",
    "instanceType",
    "objectCategory",
    "objectSid",
    "sAMAccountName",
    "groupType",
];

/// Refuses a name before anything is sent: not every controller does.
pub(super) fn check(class: ObjectClass, name: &str) -> Result<(), Failure> {
    let most = match class {
        ObjectClass::Account => ACCOUNT,
        _ => COMMON,
    };
    let length = name.chars().count();
    if length > most {
        return Err(Failure::invalid(format!(
            "the name `{name}` has {length} characters: Active Directory takes {most} at the most as the `{ACCOUNT_NAME}` of an object of this class"
        )));
    }
    if let Some(found) = name.chars().find(|c| FORBIDDEN.contains(*c)) {
        return Err(Failure::invalid(format!(
            "the name `{name}` holds the character {found:?}: Active Directory takes none of {FORBIDDEN} in a `{ACCOUNT_NAME}`"
        )));
    }
    if name.ends_with('.') || name.chars().all(|c| c == ' ' || c == '.') {
        return Err(Failure::invalid(format!(
            "the name `{name}` ends with a dot, or holds nothing but dots and blanks: Active Directory takes no such `{ACCOUNT_NAME}`"
        )));
    }
    Ok(())
}

/// What the account meets that logs in by this name; `None`: it is the name of an entry.
pub(super) fn of_login(name: &str) -> Option<Filter> {
    if let Some((_, own)) = name.split_once('\\') {
        return Some(Filter::equal(ACCOUNT_NAME, own));
    }
    if name.contains('=') {
        return None;
    }
    let (own, _) = name.split_once('@')?;
    // Without a name of its own for it, an account has that of its domain.
    Some(Filter::Or(vec![
        Filter::equal(PRINCIPAL_NAME, name),
        Filter::equal(ACCOUNT_NAME, own),
    ]))
}

/// The name of the entry, and then those that are attributes of it, in one change. An entry whose
/// name is not made of the account's keeps it.
pub(super) fn renaming(entry: &Entry, class: &ClassSettings, new_name: &str) -> Vec<Operation> {
    let old_name = entry.text(ACCOUNT_NAME).unwrap_or_default();
    let (own_rdn, parent) = dn::split_first(&entry.dn);
    let new_rdn = class.rdn(new_name);
    let follows = dn::key(&class.rdn(old_name)) == dn::key(own_rdn);
    let moves = follows && dn::key(&new_rdn) != dn::key(own_rdn);
    let mut steps = Vec::new();
    let mut dn = entry.dn.clone();
    if moves {
        steps.push(Operation::ModifyDn {
            dn: dn.clone(),
            new_rdn: new_rdn.clone(),
            delete_old: true,
            new_superior: None,
        });
        dn = format!("{new_rdn},{parent}");
    }
    let replace = |attribute: &str, value: String| Change {
        kind: ChangeKind::Replace,
        attribute: attribute.to_owned(),
        values: vec![value.into_bytes()],
    };
    let mut changes = vec![replace(ACCOUNT_NAME, new_name.to_owned())];
    let principal = entry
        .text(PRINCIPAL_NAME)
        .and_then(|name| name.rsplit_once('@'));
    if let Some((_, domain)) = principal.filter(|(own, _)| own.eq_ignore_ascii_case(old_name)) {
        changes.push(replace(PRINCIPAL_NAME, format!("{new_name}@{domain}")));
    }
    steps.push(Operation::Modify { dn, changes });
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_not_every_controller_refuses_are_refused_here() {
        let account = ObjectClass::Account;
        for name in [
            "ada",
            "Ada Lovelace",
            "twenty-characters-20",
            "é1234567890123456789",
        ] {
            assert!(check(account, name).is_ok(), "{name}");
        }
        for name in [
            "twenty-one-characters",
            "a@b",
            "a/b",
            "a\"b",
            "ada.",
            " . ",
            "a,b",
        ] {
            assert!(check(account, name).is_err(), "{name}");
        }
        assert!(check(ObjectClass::Group, "twenty-one-characters").is_ok());
        assert!(check(ObjectClass::Group, &"x".repeat(65)).is_err());
    }
}
