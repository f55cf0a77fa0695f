//! `[capabilities]`: which users of this host may do what.

use std::fmt;

use nix::unistd::{Group, User};
use serde::de::Error;
use serde::{Deserialize, Deserializer};

/// What a subject may do. Which methods ask for which is in `api/methods.rs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capability {
    /// Keys, their tasks and their protection; verify and export the audit log.
    SecurityAdministrator,
    /// Gateways, resources, users and policy.
    Administrator,
    /// Calls, and the lists of what they are about.
    Operator,
    /// Reads the audit log, the lists and the status; changes nothing.
    Auditor,
}

impl Capability {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::SecurityAdministrator,
        Self::Administrator,
        Self::Operator,
        Self::Auditor,
    ];

    /// Its name in the configuration and in messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SecurityAdministrator => "security-administrator",
            Self::Administrator => "administrator",
            Self::Operator => "operator",
            Self::Auditor => "auditor",
        }
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of capabilities.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CapabilitySet(u8);

impl CapabilitySet {
    /// Every capability.
    pub const ALL: Self = Self::of(&Capability::ALL);

    /// These.
    pub const fn of(capabilities: &[Capability]) -> Self {
        let mut set = 0;
        let mut rest = capabilities;
        while let [first, others @ ..] = rest {
            set |= 1 << *first as u8;
            rest = others;
        }
        Self(set)
    }

    /// Whether the two have one in common.
    pub const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Those in it, in the order of [`Capability::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Capability> {
        let all = Capability::ALL.into_iter();
        all.filter(move |one| self.meets(Self::of(&[*one])))
    }
}

impl fmt::Display for CapabilitySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.iter().map(Capability::name).collect();
        f.write_str(&names.join(", "))
    }
}

/// `[capabilities]`: whom each is given to. Root and the user that the server runs as have all of them: root reaches
/// everything that the server holds anyway.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Capabilities {
    /// [`Capability::SecurityAdministrator`].
    pub security_administrator: Vec<Principal>,
    /// [`Capability::Administrator`].
    pub administrator: Vec<Principal>,
    /// [`Capability::Operator`].
    pub operator: Vec<Principal>,
    /// [`Capability::Auditor`].
    pub auditor: Vec<Principal>,
}

impl Capabilities {
    /// What a process of this user, in these groups, may do.
    pub fn held_by(&self, uid: u32, groups: &[u32]) -> CapabilitySet {
        let held: Vec<_> = Capability::ALL
            .into_iter()
            .filter(|capability| {
                let given_to = self.given_to(*capability).iter();
                given_to.copied().any(|principal| match principal {
                    Principal::User(user) => user == uid,
                    Principal::Group(group) => groups.contains(&group),
                })
            })
            .collect();
        CapabilitySet::of(&held)
    }

    /// Whether nobody is given anything.
    pub fn is_empty(&self) -> bool {
        Capability::ALL
            .into_iter()
            .all(|capability| self.given_to(capability).is_empty())
    }

    fn given_to(&self, capability: Capability) -> &[Principal] {
        match capability {
            Capability::SecurityAdministrator => &self.security_administrator,
            Capability::Administrator => &self.administrator,
            Capability::Operator => &self.operator,
            Capability::Auditor => &self.auditor,
        }
    }
}

/// Who is given a capability, by the id that the system knew for the name when the server started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Principal {
    /// A user id.
    User(u32),
    /// A group id.
    Group(u32),
}

impl<'de> Deserialize<'de> for Principal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        const ALLOWED: &str = "give `user:NAME`, `group:NAME`, `uid:NUMBER` or `gid:NUMBER`";
        let text = String::deserialize(deserializer)?;
        let number = |digits: &str| {
            digits.parse::<u32>().map_err(|_| {
                Error::custom(format_args!(
                    "`{text}` has no number that is an id: {ALLOWED}"
                ))
            })
        };
        match text.split_once(':') {
            Some(("user", name)) => user(name).map(Self::User),
            Some(("group", name)) => group(name).map(Self::Group),
            Some(("uid", digits)) => number(digits).map(Self::User),
            Some(("gid", digits)) => number(digits).map(Self::Group),
            _ => Err(Error::custom(format_args!(
                "`{text}` names nobody: {ALLOWED}"
            ))),
        }
    }
}

/// A group by its name; `""`: none.
pub(super) fn optional_group<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<u32>, D::Error> {
    let name = String::deserialize(deserializer)?;
    if name.is_empty() {
        return Ok(None);
    }
    group(&name).map(Some)
}

fn user<E: Error>(name: &str) -> Result<u32, E> {
    match User::from_name(name) {
        Ok(Some(user)) => Ok(user.uid.as_raw()),
        Ok(None) => Err(E::custom(format_args!(
            "the system knows no user `{name}`: create it, or take it out here"
        ))),
        Err(error) => Err(E::custom(format_args!(
            "the system cannot say who user `{name}` is: {error}"
        ))),
    }
}

fn group<E: Error>(name: &str) -> Result<u32, E> {
    match Group::from_name(name) {
        Ok(Some(group)) => Ok(group.gid.as_raw()),
        Ok(None) => Err(E::custom(format_args!(
            "the system knows no group `{name}`: create it, or take it out here"
        ))),
        Err(error) => Err(E::custom(format_args!(
            "the system cannot say what group `{name}` is: {error}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_and_groups_hold_what_they_are_given() {
        let capabilities: Capabilities = toml::from_str(
            "security-administrator = [\"user:root\", \"gid:77\"]\noperator = [\"uid:5\", \"group:root\"]",
        )
        .unwrap();
        let held = |uid, groups: &[u32]| capabilities.held_by(uid, groups).to_string();
        assert_eq!(held(0, &[]), "security-administrator");
        assert_eq!(held(5, &[5, 77]), "security-administrator, operator");
        assert_eq!(held(9, &[0]), "operator");
        assert_eq!(held(77, &[5]), "");
    }
}
