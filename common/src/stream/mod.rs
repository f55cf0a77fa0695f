//! The tokio driver: [`connect`] and [`accept`] run a handshake over any byte stream and give a
//! [`SealedStream`].
//!
//! A listener bounds the handshakes that strangers may leave half-open with [`HalfOpen`].

mod error;
mod half_open;
mod inbox;
mod open;
mod outbox;
mod sealed;
#[cfg(feature = "tonic")]
mod secrets;
mod session;
#[cfg(feature = "tonic")]
mod tonic;

use std::time::Duration;

pub use self::error::{ChannelError, Stage};
pub use self::half_open::{Dropped, HalfOpen, HalfOpenLimits, Permit, WhenFull};
pub use self::open::{accept, connect, read_preamble, refuse};
pub use self::sealed::SealedStream;
#[cfg(feature = "tonic")]
pub use self::secrets::{
    open_call, open_outcome, open_secrets, seal_call, seal_outcome, seal_secrets,
};
pub use self::session::Session;
#[cfg(feature = "tonic")]
pub use self::tonic::SealedConnectInfo;

/// Bytes of a buffer, as long as no more is needed. An idle stream keeps none.
const SMALL_BUFFER: usize = 4 * 1024;

/// Limits of one channel.
#[derive(Clone, Copy, Debug)]
pub struct ChannelLimits {
    /// The whole handshake (10 s); [`read_preamble`] counts apart, so a listener that calls both is
    /// to bound them together, as [`Permit::guard`] does.
    pub handshake: Duration,
    /// The sender ends an epoch at this age (10 minutes).
    pub epoch_age: Duration,
}

impl Default for ChannelLimits {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(10),
            epoch_age: Duration::from_secs(600),
        }
    }
}
