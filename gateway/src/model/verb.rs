//! What kinds of objects there are, and what a connector can be asked to do with them.

use std::fmt;

/// What kind of object a call is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ObjectClass {
    /// Somebody who can log in, or something that acts as such.
    Account,
    /// A set of accounts.
    Group,
    /// A further class, such as `organizational-unit`, which the connector of the call names
    /// itself.
    Other(&'static str),
}

impl ObjectClass {
    /// Parts of an organization, in which other objects lie.
    pub const ORGANIZATIONAL_UNIT: Self = Self::Other("organizational-unit");

    /// Computers.
    pub const COMPUTER: Self = Self::Other("computer");

    /// `account`, `group`, or the connector's own name of it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Group => "group",
            Self::Other(name) => name,
        }
    }

    /// The connector's own name of a further class; empty of another one.
    pub fn further_name(self) -> String {
        match self {
            Self::Account | Self::Group => String::new(),
            Self::Other(name) => name.to_owned(),
        }
    }
}

impl fmt::Display for ObjectClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The closed set of what a connector can be asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Verb {
    /// Is the connector ready to work?
    Test,
    /// Which classes, attributes, actions and settings there are.
    Schema,
    /// Makes an object.
    Create,
    /// Reads one object.
    Get,
    /// Changes attributes of an object.
    Update,
    /// Removes an object.
    Delete,
    /// Lets an account log in again.
    Enable,
    /// Keeps an account from logging in.
    Disable,
    /// Gives an account a password.
    SetPassword,
    /// Checks a password.
    Authenticate,
    /// Gives an object another name; its id stays.
    Rename,
    /// Finds objects.
    Search,
    /// Runs an action that the gateway's configuration allows.
    Run,
    /// Tells what has changed since the last time.
    Sync,
    /// Changes the gateway's own password at the target.
    RotatePassword,
}

impl Verb {
    /// Every verb, in the order of the wire.
    pub const ALL: [Self; 15] = [
        Self::Test,
        Self::Schema,
        Self::Create,
        Self::Get,
        Self::Update,
        Self::Delete,
        Self::Enable,
        Self::Disable,
        Self::SetPassword,
        Self::Authenticate,
        Self::Rename,
        Self::Search,
        Self::Run,
        Self::Sync,
        Self::RotatePassword,
    ];

    /// The spelling of the command line and of the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Test => "test",
            Self::Schema => "schema",
            Self::Create => "create",
            Self::Get => "get",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Enable => "enable",
            Self::Disable => "disable",
            Self::SetPassword => "set-password",
            Self::Authenticate => "authenticate",
            Self::Rename => "rename",
            Self::Search => "search",
            Self::Run => "run",
            Self::Sync => "sync",
            Self::RotatePassword => "rotate-password",
        }
    }

    /// The verb of this spelling.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verb| verb.name() == name)
    }

    /// Whether the verb may change the resource: such a call is carried to its end even when its
    /// caller goes away.
    pub const fn changes(self) -> bool {
        !matches!(
            self,
            Self::Test | Self::Schema | Self::Get | Self::Search | Self::Authenticate | Self::Sync
        )
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
