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

use tokio::time::Instant;

pub use self::error::{ChannelError, Stage};
pub use self::half_open::{
    Dropped, HalfOpen, HalfOpenLimits, Permit, WhenFull, is_of_one_connection,
};
pub use self::open::{
    accept, answer_peer, connect, dial_peer, read_peer_preamble, read_preamble, refuse,
};
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelLimits {
    /// The whole handshake (10 s). [`read_preamble`] counts apart: a listener gives what it calls
    /// [what is left](Self::until) of one deadline.
    pub handshake: Duration,
    /// The sender ends an epoch at this age (10 minutes).
    pub epoch_age: Duration,
}

impl ChannelLimits {
    /// With what is left of the handshake's time where it has begun already. The handshake then
    /// ends at `deadline` with an alert.
    #[must_use]
    pub fn until(self, deadline: Instant) -> Self {
        Self {
            handshake: deadline.saturating_duration_since(Instant::now()),
            ..self
        }
    }
}

impl Default for ChannelLimits {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(10),
            epoch_age: Duration::from_secs(600),
        }
    }
}
