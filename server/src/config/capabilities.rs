//! `[capabilities]`: which users of this host may do what.

use std::fmt;
use std::str::FromStr;

use nix::unistd::{Group, User};
use portcullis_host::config::Section;

/// What a subject may do. Which request needs which is declared beside the request, in `admin/`.
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

    /// Whether exactly one is in it.
    pub const fn is_one(self) -> bool {
        self.0.count_ones() == 1
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

impl FromIterator<Capability> for CapabilitySet {
    fn from_iter<I: IntoIterator<Item = Capability>>(capabilities: I) -> Self {
        capabilities
            .into_iter()
            .fold(Self::default(), |set, one| Self(set.0 | Self::of(&[one]).0))
    }
}

impl fmt::Display for CapabilitySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.iter().map(Capability::name).collect();
        f.write_str(&names.join(", "))
    }
}

/// `[capabilities]`: whom each is given to. Root and the user that the server runs as have all of
/// them: root reaches everything that the server holds anyway.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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
    /// Reads the keys of `[capabilities]`; the caller finishes the section. Whom the system does
    /// not know is left out, and told in `warnings`.
    pub(super) fn read(section: &mut Section<'_>, warnings: &mut Vec<Warning>) -> Self {
        let mut list = |capability: Capability| {
            let key = capability.name();
            let listed = section.list(key, str::parse).unwrap_or_default();
            let mut given_to = Vec::new();
            for one in listed {
                match one {
                    Listed::Known(principal) => given_to.push(principal),
                    Listed::Unknown(why) => warnings.push(Warning {
                        line: section.line_of(key),
                        key: format!("capabilities.{key}"),
                        message: format!("{why}; until the configuration is reloaded (SIGHUP) with that user or group there, nobody has this capability by it"),
                    }),
                }
            }
            given_to
        };
        Self {
            security_administrator: list(Capability::SecurityAdministrator),
            administrator: list(Capability::Administrator),
            operator: list(Capability::Operator),
            auditor: list(Capability::Auditor),
        }
    }

    /// What a process of this user, in these groups, may do.
    pub fn held_by(&self, uid: u32, groups: &[u32]) -> CapabilitySet {
        let held = Capability::ALL.into_iter().filter(|capability| {
            let given_to = self.given_to(*capability).iter();
            given_to.copied().any(|principal| match principal {
                Principal::User(user) => user == uid,
                Principal::Group(group) => groups.contains(&group),
            })
        });
        held.collect()
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

/// An entry of a list.
enum Listed {
    Known(Principal),
    /// The system does not know it, for this reason.
    Unknown(String),
}

/// What is wrong and keeps nothing from working but itself.
#[derive(Debug)]
pub(super) struct Warning {
    pub(super) line: u32,
    pub(super) key: String,
    pub(super) message: String,
}

impl FromStr for Listed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const ALLOWED: &str = "give `user:NAME`, `group:NAME`, `uid:NUMBER` or `gid:NUMBER`";
        let number = |digits: &str| {
            let number = digits.parse::<u32>();
            number.map_err(|_| format!("no number that is an id: {ALLOWED}"))
        };
        match text.split_once(':') {
            Some(("user", name)) => Ok(known(user(name).map(Principal::User))),
            Some(("group", name)) => Ok(known(group(name).map(Principal::Group))),
            Some(("uid", digits)) => number(digits).map(Principal::User).map(Self::Known),
            Some(("gid", digits)) => number(digits).map(Principal::Group).map(Self::Known),
            _ => Err(format!("names nobody: {ALLOWED}")),
        }
    }
}

fn known(asked: Result<Principal, String>) -> Listed {
    asked.map_or_else(Listed::Unknown, Listed::Known)
}

/// The group that may open the socket; `""`: none. One that the system does not know is none, and
/// told in `warnings`.
pub(super) fn socket_group(section: &mut Section<'_>, warnings: &mut Vec<Warning>) -> Option<u32> {
    let key = "socket_group";
    let name = section.text(key).filter(|name| !name.is_empty())?;
    let warn = |why| {
        warnings.push(Warning {
            line: section.line_of(key),
            key: format!("admin.{key}"),
            message: format!("{why}; until the server is started with that group there, only root and the server's own user can open the socket"),
        });
    };
    group(name).map_err(warn).ok()
}

fn user(name: &str) -> Result<u32, String> {
    match User::from_name(name) {
        Ok(Some(user)) => Ok(user.uid.as_raw()),
        Ok(None) => Err(format!(
            "the system knows no user `{name}`: create it, or take it out here"
        )),
        Err(error) => Err(format!(
            "the system cannot say who user `{name}` is: {error}"
        )),
    }
}

fn group(name: &str) -> Result<u32, String> {
    match Group::from_name(name) {
        Ok(Some(group)) => Ok(group.gid.as_raw()),
        Ok(None) => Err(format!(
            "the system knows no group `{name}`: create it, or take it out here"
        )),
        Err(error) => Err(format!(
            "the system cannot say what group `{name}` is: {error}"
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn users_and_groups_hold_what_they_are_given() {
        let text = "security-administrator = [\"user:root\", \"gid:77\"]\noperator = [\"uid:5\", \"group:root\"]";
        let read =
            |mut section: Section<'_>, _: &_| Capabilities::read(&mut section, &mut Vec::new());
        let capabilities =
            portcullis_host::config::parse(Path::new("server.toml"), text, read).unwrap();
        let held = |uid, groups: &[u32]| capabilities.held_by(uid, groups).to_string();
        assert_eq!(held(0, &[]), "security-administrator");
        assert_eq!(held(5, &[5, 77]), "security-administrator, operator");
        assert_eq!(held(9, &[0]), "operator");
        assert_eq!(held(77, &[5]), "");
    }
}
