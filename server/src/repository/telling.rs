//! What the log says of a repository that refuses.

/// Logs that the repository refused what a loop asks for again and again. While its database is
/// away this is said at DEBUG: the beats of the server say once that it is, and once when it is
/// back, however many gateways and calls wait meanwhile.
macro_rules! tell_refusal {
    ($error:expr, $($about:tt)+) => {
        match $error.is_away() {
            true => tracing::debug!(error = %$error, $($about)+),
            false => tracing::error!(error = %$error, $($about)+),
        }
    };
}
pub(crate) use tell_refusal;
