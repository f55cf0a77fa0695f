//! The memory that keys stand in, and what must not stay in any other.

use std::sync::Once;

use portcullis_common::secret::locked;
use rand::rand_core::UnwrapErr;
use rand::rngs::SysRng;

/// Says in the log, once, where the system does not lock memory that holds keys. Asked at the
/// start, and again when links may have needed more.
pub fn warn_where_not_locked() {
    static SAID: Once = Once::new();
    if let Err(error) = locked::check() {
        SAID.call_once(|| tracing::warn!("{error}"));
    }
}

/// The randomness that keys and secrets are made of: the operating system's own. A generator in
/// this process keeps what it gave last in its buffer, and with it the key.
pub const fn key_rng() -> UnwrapErr<SysRng> {
    UnwrapErr(SysRng)
}
