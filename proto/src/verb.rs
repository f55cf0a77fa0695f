//! What a call's verb means for whoever does not learn what came of it.

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
}

impl Call {
    /// As [`Verb::changes`]; a call without a verb changes nothing.
    pub fn changes(&self) -> bool {
        self.verb.as_ref().is_some_and(Verb::changes)
    }
}
