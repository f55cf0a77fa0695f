//! Which start of a server is at work.

use rand::RngExt;

use super::sql::{Bind, Value};

/// The id of one start of a server. Tasks and dispatched calls name the instance that claimed them,
/// and only that one writes what came of them. On SQLite the lock file proves that no other
/// instance lives: a start takes over what earlier ones left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct InstanceId([u8; 16]);

impl InstanceId {
    /// One that no other start has.
    pub(super) fn random() -> Self {
        Self(rand::rng().random())
    }

    pub(super) const fn to_bytes(self) -> [u8; 16] {
        self.0
    }
}

impl Bind for InstanceId {
    fn bind(&self) -> Value<'_> {
        self.0.bind()
    }
}
