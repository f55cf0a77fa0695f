//! What a connector declares of its objects, so that the guard rails can judge calls without
//! knowing the connector.

use std::borrow::Cow;

use super::ObjectClass;

/// What the values of an attribute are. An attribute can have several roles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Names of accounts that the object takes in, as a group does its members.
    NamesAccounts,
    /// Names of groups that the object is in.
    NamesGroups,
    /// A numeric id that decides what the object may do: its own.
    NumericId,
    /// The numeric id of a group that the account is in: of its primary group.
    GroupNumber,
    /// A further name that the account logs in by, be it `NAME` or `NAME@DOMAIN`.
    LogInName,
    /// A secret. It comes in sealed, and what a connector reads of it never leaves the gateway.
    Secret,
    /// The resource works it out by itself: no call can set it.
    Computed,
}

/// An attribute that has a role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttributeRole {
    /// The class of the objects that have it.
    pub class: ObjectClass,
    /// Its name.
    pub attribute: Cow<'static, str>,
    /// What its values are.
    pub role: Role,
}

impl AttributeRole {
    /// Of an attribute that the connector's type has in any case.
    pub const fn new(class: ObjectClass, attribute: &'static str, role: Role) -> Self {
        Self {
            class,
            attribute: Cow::Borrowed(attribute),
            role,
        }
    }
}

/// The roles of a connector's attributes. The guard rails know no attribute but by its role.
#[derive(Clone, Copy, Debug)]
pub struct Roles<'a>(&'a [AttributeRole]);

impl<'a> Roles<'a> {
    /// Of a connector whose attributes are nothing to the guard rails.
    pub const NONE: Self = Self(&[]);

    /// All roles, in any order.
    pub const fn new(roles: &'a [AttributeRole]) -> Self {
        Self(roles)
    }

    /// Whether an attribute has a role. The case of its name does not matter: the resource may not
    /// regard it either.
    pub fn has(&self, class: ObjectClass, attribute: &str, role: Role) -> bool {
        self.attributes(class, role)
            .any(|name| name.eq_ignore_ascii_case(attribute))
    }

    /// The attributes that have a role.
    pub fn attributes(&self, class: ObjectClass, role: Role) -> impl Iterator<Item = &'a str> {
        let roles = self.0.iter();
        roles
            .filter(move |found| found.role == role && found.class == class)
            .map(|found| &*found.attribute)
    }
}

/// What the guard rails of a connector protect where the configuration is silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GuardDefaults {
    /// Names or patterns of accounts. The configuration can add to them, not take them away.
    pub protected_accounts: &'static [&'static str],
    /// Names or patterns of groups, likewise.
    pub protected_groups: &'static [&'static str],
    /// Accounts and groups with lower numeric ids are protected; 0: ids decide nothing.
    pub protected_ids_below: u64,
    /// Names or patterns of groups with such an id that protect nobody who is in one. The
    /// configuration can put others in their place.
    pub harmless_groups: &'static [&'static str],
    /// How the resource compares names, as far as it is known.
    pub compare_names: NameComparison,
}

/// Which names a resource takes for the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameComparison {
    /// Those that are the same, byte by byte.
    Exact,
    /// Those that differ in the case of letters only.
    CaseInsensitive,
    /// Those that are the same once they are prepared as for a directory (RFC 4518, section 2):
    /// compatible characters (NFKC), case, blanks and invisible characters make no difference; nor
    /// do dots at the end, as on Windows.
    Normalized,
}

impl NameComparison {
    /// Every one of them.
    pub const ALL: [Self; 3] = [Self::Exact, Self::CaseInsensitive, Self::Normalized];

    /// The spelling of the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::CaseInsensitive => "case-insensitive",
            Self::Normalized => "normalized",
        }
    }
}

impl GuardDefaults {
    /// Of a resource of which nothing is known.
    pub const NOTHING: Self = Self {
        protected_accounts: &[],
        protected_groups: &[],
        protected_ids_below: 0,
        harmless_groups: &[],
        compare_names: NameComparison::Normalized,
    };
}
