//! The types of secrets that are stored sealed.

use std::fmt;
use std::str::FromStr;

use portcullis_common::id::{GatewayId, KeyId};

/// What a sealed value is: each type is counted, listed and encrypted again on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProtectedType {
    /// A gateway key. Its owner is its key id.
    GatewayKey,
    /// The enrolment key of a token. Its owner is the gateway id.
    EnrolmentKey,
    /// A password that a connector needs to reach its resource. Its owner is the resource's name.
    ResourcePassword,
    /// A user's password. Its owner is the user's name.
    UserPassword,
    /// The digest of an earlier password of a user.
    PasswordHistory,
    /// The digest of a user's answer to a question.
    UserAnswer,
    /// The digest of a word that no password may be.
    PolicyWord,
    /// The digest of an earlier password of an account on a resource.
    ResourcePasswordHistory,
    /// The payload of a call that waits for its gateway.
    QueuedCall,
    /// The key of the audit log's chain.
    AuditKey,
    /// The key of the MACs of the rows that decide.
    AuthorityKey,
    /// The key of the digests by which queued calls of one id are told apart.
    CallDigestKey,
    /// The key of links between servers.
    PeerKey,
}

/// A name that no type has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no protected type: give one of {names}", names = names())]
pub struct UnknownType(pub String);

impl ProtectedType {
    /// All of them, in the order of reports.
    pub const ALL: [Self; 13] = [
        Self::GatewayKey,
        Self::EnrolmentKey,
        Self::ResourcePassword,
        Self::UserPassword,
        Self::PasswordHistory,
        Self::UserAnswer,
        Self::PolicyWord,
        Self::ResourcePasswordHistory,
        Self::QueuedCall,
        Self::AuditKey,
        Self::AuthorityKey,
        Self::CallDigestKey,
        Self::PeerKey,
    ];

    /// Its name in the repository, on the command line and in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::GatewayKey => "gateway-key",
            Self::EnrolmentKey => "enrolment-key",
            Self::ResourcePassword => "resource-password",
            Self::UserPassword => "user-password",
            Self::PasswordHistory => "password-history",
            Self::UserAnswer => "user-answer",
            Self::PolicyWord => "policy-word",
            Self::ResourcePasswordHistory => "resource-password-history",
            Self::QueuedCall => "queued-call",
            Self::AuditKey => "audit-key",
            Self::AuthorityKey => "authority-key",
            Self::CallDigestKey => "call-digest-key",
            Self::PeerKey => "peer-key",
        }
    }

    /// An owner as people know it: the id that the bytes are, or a name.
    pub fn owner_name(self, owner: &[u8]) -> String {
        let id = match self {
            Self::GatewayKey => KeyId::from_bytes(owner).map(|id| id.to_string()),
            Self::EnrolmentKey => GatewayId::from_bytes(owner).map(|id| id.to_string()),
            _ => None,
        };
        let name = || {
            let name = std::str::from_utf8(owner).ok();
            name.filter(|name| !name.contains(char::is_control))
                .map(str::to_owned)
        };
        id.or_else(name)
            .unwrap_or_else(|| data_encoding::HEXLOWER.encode(owner))
    }

    /// The name that is authenticated with each value.
    pub(crate) const fn bound_name(self) -> &'static str {
        match self {
            // As the first schema sealed them: they would not open under another.
            Self::EnrolmentKey => "gateway",
            other => other.name(),
        }
    }
}

impl fmt::Display for ProtectedType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for ProtectedType {
    type Err = UnknownType;

    fn from_str(text: &str) -> Result<Self, UnknownType> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.name() == text)
            .ok_or_else(|| UnknownType(text.to_owned()))
    }
}

fn names() -> String {
    ProtectedType::ALL.map(ProtectedType::name).join(", ")
}
