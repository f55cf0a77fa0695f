//! The connectors: what carries out calls on a resource.

use crate::config::{ConfigProblem, ConnectorsConfig};

/// The connectors that the configuration names.
#[derive(Debug)]
pub struct Connectors {}

impl Connectors {
    /// Reads and checks every connector's own configuration.
    ///
    /// # Errors
    /// Every [`ConfigProblem`] found.
    pub fn from_config(_config: &ConnectorsConfig) -> Result<Self, Vec<ConfigProblem>> {
        Ok(Self {})
    }
}
