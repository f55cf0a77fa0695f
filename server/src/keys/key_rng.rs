//! The randomness that keys and secrets are made of.

use rand::rand_core::UnwrapErr;
use rand::rngs::SysRng;

/// The operating system's own randomness. A generator in this process keeps what it gave last in
/// its buffer, and with it the key.
pub const fn key_rng() -> UnwrapErr<SysRng> {
    UnwrapErr(SysRng)
}
