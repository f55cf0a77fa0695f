//! The memory that keys stand in: locked, where the system lets it be.

use std::sync::Once;

use portcullis_common::secret::locked;

/// Says in the log, once, where the system does not lock memory that holds keys. Asked at the
/// start, and again when links may have needed more.
pub fn warn_where_not_locked() {
    static SAID: Once = Once::new();
    if let Err(error) = locked::check() {
        SAID.call_once(|| tracing::warn!("{error}"));
    }
}
