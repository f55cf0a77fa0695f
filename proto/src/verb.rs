//! What a call's verb is called, and what it means for whoever does not learn what came of it.

use crate::gateway::v1::Call;
use crate::gateway::v1::call::Verb;

impl Verb {
    /// Whether it may leave something changed behind. Where it may not, a call without an answer
    /// has failed; where it may, nobody knows.
    pub const fn changes(&self) -> bool {
        match self {
            Self::Test(_)
            | Self::Schema(_)
            | Self::Get(_)
            | Self::Authenticate(_)
            | Self::Search(_)
            | Self::Sync(_) => false,
            Self::Create(_)
            | Self::Update(_)
            | Self::Delete(_)
            | Self::Enable(_)
            | Self::Disable(_)
            | Self::SetPassword(_)
            | Self::Rename(_)
            | Self::Run(_)
            | Self::RotatePassword(_) => true,
        }
    }

    /// Its name, in the spelling of the command line.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Test(_) => "test",
            Self::Schema(_) => "schema",
            Self::Create(_) => "create",
            Self::Get(_) => "get",
            Self::Update(_) => "update",
            Self::Delete(_) => "delete",
            Self::Enable(_) => "enable",
            Self::Disable(_) => "disable",
            Self::SetPassword(_) => "set-password",
            Self::Authenticate(_) => "authenticate",
            Self::Rename(_) => "rename",
            Self::Search(_) => "search",
            Self::Sync(_) => "sync",
            Self::RotatePassword(_) => "rotate-password",
            Self::Run(_) => "run",
        }
    }
}

impl Call {
    /// As [`Verb::changes`]; a call without a verb changes nothing.
    pub fn changes(&self) -> bool {
        self.verb.as_ref().is_some_and(Verb::changes)
    }

    /// As [`Verb::name`]; `unknown` of a call without a verb, or with one of a later version.
    pub fn verb_name(&self) -> &'static str {
        self.verb.as_ref().map_or("unknown", Verb::name)
    }
}
