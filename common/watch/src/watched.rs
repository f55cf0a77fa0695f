//! What is watched.

use crate::readiness::Readiness;

/// What a program tells.
pub trait Watched: Send + Sync + 'static {
    /// Whether each part of it works.
    fn ready(&self) -> impl Future<Output = Readiness> + Send;

    /// All metrics as OpenMetrics text, `ready` among them.
    fn metrics(&self, ready: &Readiness) -> impl Future<Output = String> + Send;
}
