//! The resources that calls are made on, and what `deploy/SEMANTICS.md` calls certain on each.

use portcullis_proto::gateway::v1::ObjectClass;

use super::schedule::{Action, MEMBERS};

/// What a resource lies in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Kind {
    /// OpenLDAP.
    Ldap,
    /// Samba as a controller of Active Directory.
    ActiveDirectory,
    /// PostgreSQL.
    Sql,
    /// Account files, through shadow-utils.
    Unix,
}

/// A resource, which is called as its connector is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Resource {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// It has a marker or a ledger.
    pub(super) marked: bool,
    /// Objects that are changed beside one another.
    pub(super) objects: usize,
    /// Its part of the calls.
    pub(super) share: usize,
    /// Of 100 new accounts, those with a password.
    pub(super) passwords: u32,
}

const fn resource(name: &'static str, kind: Kind, marked: bool) -> Resource {
    Resource {
        name,
        kind,
        marked,
        objects: 7,
        share: 4,
        // Active Directory has no account without one that is enabled.
        passwords: if matches!(kind, Kind::ActiveDirectory) {
            100
        } else {
            60
        },
    }
}

/// All of them.
pub(super) const RESOURCES: [Resource; 7] = [
    resource("ldap-marked", Kind::Ldap, true),
    resource("ldap-plain", Kind::Ldap, false),
    resource("ad-marked", Kind::ActiveDirectory, true),
    resource("ad-plain", Kind::ActiveDirectory, false),
    resource("sql-ledger", Kind::Sql, true),
    resource("sql-plain", Kind::Sql, false),
    Resource {
        // One change at a time, and a password is hashed slowly.
        objects: 4,
        share: 2,
        passwords: 25,
        ..resource("unix", Kind::Unix, false)
    },
];

impl Resource {
    /// The attribute that is changed.
    pub(super) const fn attribute(&self) -> &'static str {
        match self.kind {
            Kind::Ldap | Kind::ActiveDirectory => "description",
            Kind::Sql | Kind::Unix => "full_name",
        }
    }

    /// The attribute that is joined and left.
    pub(super) const fn members_attribute(&self) -> &'static str {
        match self.kind {
            Kind::Ldap | Kind::ActiveDirectory => "member",
            Kind::Sql => "teams",
            Kind::Unix => "members",
        }
    }

    /// What has that attribute.
    pub(super) const fn team_class(&self) -> ObjectClass {
        match self.kind {
            Kind::Sql => ObjectClass::Account,
            Kind::Ldap | Kind::ActiveDirectory | Kind::Unix => ObjectClass::Group,
        }
    }

    pub(super) fn team_name(&self) -> String {
        format!("{}team", self.name.replace('-', ""))
    }

    pub(super) fn member_name(&self, at: usize) -> String {
        format!("{}m{at}", self.name.replace('-', ""))
    }

    /// How many accounts are there from the start and stay.
    pub(super) const fn fixed(&self) -> usize {
        match self.kind {
            Kind::Sql => 1,
            Kind::Ldap | Kind::ActiveDirectory | Kind::Unix => MEMBERS,
        }
    }

    /// Whether it always can be told what came of a call on an account that was enabled before, or
    /// perhaps was not.
    pub(super) fn is_certain(&self, action: &Action, enabled: bool) -> bool {
        match (self.kind, action) {
            // Ended between the account and its password.
            (Kind::Unix, Action::Create(_, _, password)) => password.is_none(),
            (Kind::Ldap, Action::Create(_, _, password)) => self.marked && password.is_none(),
            (_, Action::Create(..)) => self.marked,
            // The name of the entry, then that of the account.
            (Kind::ActiveDirectory, Action::Rename(_)) => false,
            // A password is tried by a log-in.
            (Kind::Ldap | Kind::ActiveDirectory, Action::SetPassword(..)) => enabled,
            _ => true,
        }
    }
}
