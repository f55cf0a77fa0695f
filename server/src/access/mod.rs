//! Who somebody is, and what they may do, on what.
//!
//! A front authenticates, each in its own way, and makes a [`Caller`]; from there on nothing
//! depends on the front.

mod carried;
mod peer_facts;
mod scope;

use portcullis_watch::traces::TraceContext;

use crate::audit::Subject;
use crate::config::{Capability, CapabilitySet};
pub use peer_facts::{Address, PeerFacts, TlsFacts};
pub use scope::{Scope, Target};

/// Who makes a request.
#[derive(Clone, Debug)]
pub struct Caller {
    /// As the audit log names them.
    pub subject: Subject,
    /// How the server knows who it is.
    pub authentication: Authentication,
    /// What they may do.
    pub permissions: Vec<Permission>,
    /// From where the request comes.
    pub from: PeerFacts,
    /// The trace that the request belongs to, as they say; nothing depends on it.
    pub trace: Option<TraceContext>,
}

/// How the server knows who a caller is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authentication {
    /// The kernel vouches for the process at the other end of a Unix socket.
    UnixPeer,
    /// They have logged in, and presented their session.
    Session,
    /// Another server on the same repository vouches for them.
    OtherServer,
    /// It does not know.
    Unknown,
}

/// One capability, and where it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permission {
    /// What may be done.
    pub capability: Capability,
    /// On what.
    pub scope: Scope,
}

impl Caller {
    /// Somebody who holds `capabilities` on everything.
    pub fn everywhere(
        subject: Subject,
        authentication: Authentication,
        capabilities: CapabilitySet,
    ) -> Self {
        let permissions = capabilities.iter().map(|capability| Permission {
            capability,
            scope: Scope::Everything,
        });
        Self {
            subject,
            authentication,
            permissions: permissions.collect(),
            from: PeerFacts::default(),
            trace: None,
        }
    }

    /// Somebody whom the server does not know, and who may do nothing.
    pub fn nobody() -> Self {
        let (subject, nothing) = (Subject::nobody(), CapabilitySet::default());
        Self::everywhere(subject, Authentication::Unknown, nothing)
    }

    /// The capabilities held, each somewhere.
    pub fn held(&self) -> CapabilitySet {
        self.permissions
            .iter()
            .map(|held| held.capability)
            .collect()
    }

    /// The permissions that give one of `capabilities`.
    pub(crate) fn giving(&self, capabilities: CapabilitySet) -> impl Iterator<Item = &Permission> {
        self.permissions
            .iter()
            .filter(move |held| capabilities.meets(CapabilitySet::of(&[held.capability])))
    }
}
