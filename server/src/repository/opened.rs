//! The repository with its secrets at hand.

use std::sync::Arc;

use super::{Database, Sealer};

/// The repository with its secrets at hand: a [`Database`] and the [`Sealer`] that opens its sealed
/// values. Cheap to clone.
#[derive(Clone)]
pub struct Repository {
    pub(super) database: Database,
    pub(super) sealer: Arc<dyn Sealer>,
}

impl Repository {
    /// The repository in `database`, whose sealed values `sealer` opens.
    pub fn new(database: Database, sealer: Arc<dyn Sealer>) -> Self {
        Self { database, sealer }
    }

    /// What needs no secret.
    pub const fn database(&self) -> &Database {
        &self.database
    }
}

impl std::fmt::Debug for Repository {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Repository").field(&self.database).finish()
    }
}
