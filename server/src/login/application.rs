//! To what users log in, and how.

use std::time::Duration;

use super::flags::Flag;
use super::limits::{CEILING, LONGEST, Limits};

/// What users log in to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Application {
    /// Its name.
    pub name: &'static str,
    /// How long it may be idle.
    pub idle: Duration,
    /// How long a session lasts in any case.
    pub absolute: Duration,
    /// Whether a user has one session at a time.
    pub single_session: bool,
    /// The modules that say who somebody is, in their order.
    pub modules: &'static [Module],
}

/// A module of an application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Module {
    /// What it does.
    pub kind: Kind,
    /// What it is to a log-in.
    pub flag: Flag,
}

/// What a module does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The password of a user of the identity system.
    Password,
}

const BY_PASSWORD: &[Module] = &[Module {
    kind: Kind::Password,
    flag: Flag::Required,
}];

/// The applications.
const ALL: [Application; 1] = [Application {
    name: "api",
    idle: CEILING,
    absolute: LONGEST,
    single_session: false,
    modules: BY_PASSWORD,
}];

impl Application {
    /// The one of this name; empty: that of programs and of the command.
    pub fn named(name: &str) -> Option<Self> {
        let name = if name.is_empty() { "api" } else { name };
        ALL.into_iter().find(|one| one.name == name)
    }

    /// What its sessions are limited to.
    pub fn limits(&self) -> Limits {
        Limits::within(self.idle, self.absolute)
    }
}

impl Kind {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Password => "password",
        }
    }
}
