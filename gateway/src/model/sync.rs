//! What has changed at a resource since a point in its history.

use std::fmt;

use super::{Object, ObjectClass, ObjectId, ObjectName};

/// A point in the history of a resource. Only the connector that made it knows what it means.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct SyncToken(Vec<u8>);

impl SyncToken {
    /// Bytes in a token at the most.
    pub const MAX_LEN: usize = 64 << 10;

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
