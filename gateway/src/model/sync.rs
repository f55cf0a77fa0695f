//! What has changed at a resource since a point in its history.

use std::fmt;

use super::{Failure, Object, ObjectClass, ObjectId, ObjectName};

/// A point in the history of a resource. Only the connector that made it knows what it means.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct SyncToken(Vec<u8>);

impl SyncToken {
    /// Bytes in a token at the most.
    pub const MAX_LEN: usize = 16 << 10;

    /// Bytes at the most in one that a server has, which says beside whose it is.
    const MAX_BOUND_LEN: usize = Self::MAX_LEN + 64;

    /// A token as a server has it; `None` where it is too long for one.
    pub(crate) fn from_server(bytes: Vec<u8>) -> Option<Self> {
        (bytes.len() <= Self::MAX_BOUND_LEN).then_some(Self(bytes))
    }

    /// A token of these bytes; `None` where they are more than [`SyncToken::MAX_LEN`].
    pub fn new(bytes: Vec<u8>) -> Option<Self> {
        (bytes.len() <= Self::MAX_LEN).then_some(Self(bytes))
    }

    /// Whether it stands for no point at all: the first sync.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for SyncToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SyncToken({} bytes)", self.0.len())
    }
}

/// What [`Verb::Sync`](super::Verb::Sync) asks for.
#[derive(Clone, Debug)]
pub struct SyncSince {
    /// The class.
    pub class: ObjectClass,
    /// Since when; empty: the first sync.
    pub token: SyncToken,
    /// Changes wanted at the most; `None`: all of them.
    pub page_size: Option<usize>,
}

/// One step of a sync.
#[derive(Debug, PartialEq)]
pub enum SyncEvent {
    /// Something has changed.
    Changed(Change),
    /// The last event: where the next sync starts, or why this one ended early.
    End(Result<Synced, Failure>),
}

/// The end of a sync that told all that it was asked for.
#[derive(Debug, PartialEq)]
pub struct Synced {
    /// Where the next one starts.
    pub token: SyncToken,
    /// There are more changes already.
    pub more: bool,
}

/// One change of an object. The same change may come more than once.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// It was made or changed, and is now this.
    Present(Box<Object>),
    /// It is gone.
    Gone {
        /// Its class.
        class: ObjectClass,
        /// Its id.
        id: ObjectId,
        /// Its last name, where the resource still tells it.
        name: Option<ObjectName>,
    },
}
