//! Which start of a server is at work.

use std::fmt;

use rand::RngExt;

use super::sql::{Bind, Column, FromColumn, Value};

/// The id of one start of a server. Tasks and dispatched calls name the instance that claimed them,
/// and only that one writes what came of them. On SQLite the lock file proves that no other
/// instance lives: a start takes over what earlier ones left.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstanceId([u8; 16]);

impl InstanceId {
    /// One that no other start has.
    pub fn random() -> Self {
        Self(rand::rng().random())
    }

    /// Of these bytes.
    pub const fn from_array(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// As it is stored, and sent to others.
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0
    }

    /// `None`: it is not 16 bytes.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }
}

/// As people see it: 32 hexadecimal digits.
impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What holds of a row whose `instance` is not ?1, and which nobody has any more. Where servers
/// share the repository, that of one that stands has it: once its row is gone it writes nothing. In
/// a file the lock proves that no other instance lives.
pub(super) const fn has_no_server(shared: bool) -> &'static str {
    match shared {
        true => {
            "instance IS DISTINCT FROM ?1
                AND (instance IS NULL OR instance NOT IN (SELECT instance FROM servers))"
        }
        false => "instance IS DISTINCT FROM ?1",
    }
}

impl Bind for InstanceId {
    fn bind(&self) -> Value<'_> {
        self.0.bind()
    }
}

impl FromColumn for InstanceId {
    fn from_column(column: Column<'_>) -> Option<Self> {
        match column {
            Column::Blob(bytes) => Self::from_bytes(bytes),
            _ => None,
        }
    }
}
